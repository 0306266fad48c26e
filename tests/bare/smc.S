/* smc.S - code that changes: the next instruction, a loop's body, another page, through an alias, by strings. */
#include "bare.inc"
#include "pm32.inc"
#define CODE 0x30000
start:
	ENTER_PM main
	.code32
main:
	/* the next instruction */
	movb $0x22, n1 + 1
n1:	movb $0x11, %al
	cmpb $0x22, %al
	CHECK e, 1
	/* a loop that changes its own immediate */
	movl $1000, %ecx
	xorl %edx, %edx
1:	incl 2f + 2
2:	addl $0x10000000, %edx          /* 81 c2 imm32 */
	loop 1b
	movl $0, %eax
	movl $1000, %ecx
	movl $0x10000000, %ebx
3:	incl %ebx
	addl %ebx, %eax
	loop 3b
	cmpl %eax, %edx
	CHECK e, 2
	/* a function in another page, rewritten between calls */
	movl $500, %ecx
1:	movl %ecx, CODE + 1
	movb $0xb8, CODE
	movb $0xc3, CODE + 5
	movl $CODE, %eax
	call *%eax
	cmpl %ecx, %eax
	CHECK e, 3
	loop 1b
	/* an instruction that crosses a page, each half changed */
	movl $0xb8, CODE + 0xffe
	movl $0x44332211, CODE + 0xfff
	movb $0xc3, CODE + 0x1003
	movl $CODE + 0xffe, %eax
	call *%eax
	cmpl $0x44332211, %eax
	CHECK e, 4
	movb $0x55, CODE + 0xfff
	movl $CODE + 0xffe, %eax
	call *%eax
	cmpl $0x44332255, %eax
	CHECK e, 5
	movb $0x66, CODE + 0x1002
	movl $CODE + 0xffe, %eax
	call *%eax
	cmpl $0x66332255, %eax
	CHECK e, 6
	/* REP MOVSB over code that has run */
	movl $image_of_code, %esi
	movl $CODE, %edi
	movl $6, %ecx
	rep movsb
	movl $CODE, %eax
	call *%eax
	cmpl $0x77777777, %eax
	CHECK e, 7
	/* a function in its caller's page, hot, and now and then another one */
	movl $2000, %ecx
	jmp 1f
	.balign 256
1:	testl $127, %ecx
	jnz 2f
	movl %ecx, 3f + 1
	movl %ecx, wanted
2:	call 3f
	cmpl wanted, %eax
	CHECK e, 11
	loop 1b
	jmp 4f
3:	movl $0, %eax
	ret
4:	/* flags that the target overwrites, until it reads them */
	movl $1000, %ecx
	jmp 1f
	.balign 256
1:	movl $0, %eax
	cmpl $1, %eax
	jmp 2f
2:	movl $5, %ebx
3:	addl $0, %ebx                   /* 83 c3 00; ADC is 83 d3 00 */
	cmpl $500, %ecx
	jne 5f
	movb $0xd3, 3b + 1
5:	loop 1b
	cmpl $6, %ebx
	CHECK e, 12
	/* through an alias: 32-bit paging, 0x40000 on 0x30000 too */
	movl $0x21007, 0x20000
	movl $0x21000, %edi
	movl $7, %eax
	movl $1024, %ecx
1:	stosl
	addl $0x1000, %eax
	loop 1b
	movl $CODE + 7, 0x21000 + 0x40*4
	movl $0x20000, %eax
	movl %eax, %cr3
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	movl $CODE, %eax
	call *%eax
	movl $0x88888888, 0x40001
	movl $CODE, %eax
	call *%eax
	cmpl $0x88888888, %eax
	CHECK e, 8
	movl $0x40000, %eax
	call *%eax
	movl $0x99999999, CODE + 1
	movl $0x40000, %eax
	call *%eax
	cmpl $0x99999999, %eax
	CHECK e, 9
	/* another page under the same address */
	movl $0x30007 + 0x2000, 0x21000 + 0x40*4
	movb $0xb8, CODE + 0x2000
	movl $0x12121212, CODE + 0x2001
	movb $0xc3, CODE + 0x2005
	invlpg 0x40000
	movl $0x40000, %eax
	call *%eax
	cmpl $0x12121212, %eax
	CHECK e, 10
	PASS
	.balign 4
wanted:	.long 0
image_of_code:
	movl $0x77777777, %eax
	ret
