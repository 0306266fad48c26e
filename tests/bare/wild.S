/* wild.S - jumps into unmapped memory with no handlers: FFh everywhere, so #UD, so a triple fault. */
#include "bare.inc"
#include "pm32.inc"
start:
	ENTER_PM main
	.code32
main:
	lidtl no_idt
	movl $0xd0000000, %eax
	jmp *%eax
no_idt:	.word 0
	.long 0
