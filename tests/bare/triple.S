/* triple.S - a triple fault resets the machine; memory keeps what it held. */
#include "bare.inc"
start:
	xorw %ax, %ax
	movw %ax, %fs
	cmpl $0x51af0001, %fs:0x9000
	je second_life
	movl $0x51af0001, %fs:0x9000
	lidtl O(no_idt)
	int3
	FAIL 1
second_life:
	PASS
no_idt:	.word 0
	.long 0
