/* exit.S - the machine ends with the first OUT that says so: nothing behind it is executed. */
#include "bare.inc"
start:
	movw $EXIT_PORT, %dx
	movb $0x10, %al
	outb %al, %dx
	movb $0x21, %al         /* check 1 failed */
1:	outb %al, %dx
	jmp 1b
