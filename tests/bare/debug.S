/* debug.S - single steps, breakpoints on code and data and ports, DR6, general detect, ICEBP. */
#include "bare.inc"
#include "pm32.inc"
start:
	ENTER_PM main
	.code32
main:
	movl $idt + 1*8, %edi
	movl $on_db, %eax
	call one_gate
	xorl %eax, %eax
	movl %eax, %dr6
	/* TF: a trap behind each instruction, from the second on; POPF of itself is not one */
	pushfl
	orl $0x100, (%esp)
	popfl
s1:	nop
s2:	nop
s3:	pushfl
s4:	andl $~0x100, (%esp)
s5:	popfl
s6:	cmpl $5, count                  /* behind nop, nop, pushf, and, popf */
	CHECK e, 1
	cmpl $s6, last
	CHECK e, 2
	cmpl $s2, first
	CHECK e, 3
	testl $0x4000, dr6              /* BS */
	CHECK nz, 4
	/* a string instruction traps at each step */
	movl $0, count
	movl $5, %ecx
	movl $0x9000, %edi
	pushfl
	orl $0x100, (%esp)
	popfl
	rep stosb
	pushfl
	andl $~0x100, (%esp)
	popfl
	cmpl $8, count
	CHECK e, 5
	/* an instruction breakpoint is a fault: RF lets it go on */
	movl $0, count
	movl $0, %eax
	movl %eax, %dr6
	movl $b1, %eax
	movl %eax, %dr0
	movl $0x402, %eax
	movl %eax, %dr7
	nop
b1:	nop
	cmpl $1, count
	CHECK e, 6
	cmpl $b1, last
	CHECK e, 7
	movl dr6, %eax
	andl $0xf, %eax
	cmpl $1, %eax
	CHECK e, 8
	/* data: DR1 on writes of four bytes, a trap behind the instruction */
	movl $0, count
	movl $0x9004, %eax
	movl %eax, %dr1
	movl $0x00d00408, %eax          /* G1, RW1=01, LEN1=11 */
	movl %eax, %dr7
	movl 0x9004, %eax
	movl %eax, 0x9008
	movl %eax, 0x9000
	cmpl $0, count
	CHECK e, 9
w1:	movb %al, 0x9006
w2:	cmpl $1, count
	CHECK e, 10
	cmpl $w2, last
	CHECK e, 11
	movl $0, count
	movl %eax, 0x9002               /* reaches into it */
	cmpl $1, count
	CHECK e, 12
	/* DR2 on reads and writes of one byte */
	movl $0, count
	movl $0x9010, %eax
	movl %eax, %dr2
	movl $0x03000420, %eax
	movl %eax, %dr7
	movb 0x9010, %al
	movb 0x900f, %al
	movl 0x900d, %eax
	cmpl $2, count
	CHECK e, 13
	xorl %eax, %eax
	movl %eax, %dr7
	/* INT1 */
	movl $0, count
	.byte 0xf1
i1:	cmpl $1, count
	CHECK e, 14
	cmpl $i1, last
	CHECK e, 15
	/* DR7.GD: a look at a debug register faults, and BD says so */
	movl $0, count
	movl $0x2400, %eax
	movl %eax, %dr7
d1:	movl %dr0, %eax
	cmpl $1, count
	CHECK e, 16
	testl $0x2000, dr6
	CHECK nz, 17
	cmpl $d1, last
	CHECK e, 18
	PASS

on_db:	pushl %eax
	incl count
	movl 4(%esp), %eax
	movl %eax, last
	cmpl $0, first
	jne 1f
	movl %eax, first
1:	movl %dr6, %eax
	movl %eax, dr6
	xorl %eax, %eax
	movl %eax, %dr6
	orl $0x10000, 12(%esp)          /* RF */
	popl %eax
	iretl
	.balign 4
count:	.long 0
first:	.long 0
last:	.long 0
dr6:	.long 0
