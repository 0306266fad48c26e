/* real.S - real mode: interrupt table, exceptions, stack wrap, flags, self-modifying code. */
#include "bare.inc"
start:
	xorw %ax, %ax
	movw %ax, %fs
	movw $O(on_int), %fs:0x40*4
	movw %cs, %fs:0x40*4+2
	movw $O(on_fault), %fs:0*4
	movw %cs, %fs:0*4+2
	movw $O(on_fault), %fs:5*4
	movw %cs, %fs:5*4+2
	movw $O(on_fault), %fs:6*4
	movw %cs, %fs:6*4+2
	movw $O(on_fault), %fs:13*4
	movw %cs, %fs:13*4+2
	movw $O(on_fault), %fs:4*4
	movw %cs, %fs:4*4+2

	/* INT pushes flags, CS, IP and clears IF and TF; IRET brings them back */
	sti
	stc
	int $0x40
after_int:
	CHECK c, 1
	pushfw
	popw %ax
	testw $0x200, %ax
	CHECK nz, 2
	cli
	cmpw $O(after_int), O(saw_ip)
	CHECK e, 3
	testw $0x201, O(saw_flags)
	CHECK nz, 4
	testw $0x200, O(saw_inner)
	CHECK z, 5

	/* #DE, #BR, #UD point at the instruction */
	movw $O(after_div), O(go_on)
	xorw %cx, %cx
	movw $7, %ax
	cwd
div_here:
	divw %cx
after_div:
	cmpw $O(div_here), O(saw_ip)
	CHECK e, 6
	movw $O(after_bound), O(go_on)
	movw $9, %ax
bound_here:
	boundw %ax, O(bounds)
after_bound:
	cmpw $O(bound_here), O(saw_ip)
	CHECK e, 7
	movw $O(after_ud), O(go_on)
ud_here:
	ud2
after_ud:
	cmpw $O(ud_here), O(saw_ip)
	CHECK e, 8
	/* INTO is a trap: IP behind it */
	movw $O(after_into), O(go_on)
	movb $0x7f, %al
	addb $1, %al
	into
after_into:
	cmpw $O(after_into), O(saw_ip)
	CHECK e, 9
	/* a word at offset 0xffff is beyond the segment: #GP */
	movw $O(after_wrap), O(go_on)
	movw $0xffff, %bx
wrap_here:
	movw (%bx), %ax
after_wrap:
	cmpw $O(wrap_here), O(saw_ip)
	CHECK e, 10

	/* segments wrap at 1 MiB only without A20: FFFF:0010 is 0x100000 with it */
	inb $0x92, %al
	orb $2, %al
	andb $0xfe, %al
	outb %al, $0x92
	movw $0xffff, %ax
	movw %ax, %gs
	movb $0x5a, %fs:0
	movb $0xa5, %gs:0x10
	cmpb $0x5a, %fs:0
	CHECK e, 11
	cmpb $0xa5, %gs:0x10
	CHECK e, 12

	/* string instructions: direction, wrap of SI at 64 KiB */
	std
	movw $O(word_b), %si
	movw $O(word_c), %di
	movsw
	cld
	cmpw $0x2222, O(word_c)
	CHECK e, 13
	/* BCD and old arithmetic */
	movw $0x0905, %ax
	aad
	CHECK nz, 14
	cmpb $95, %al
	CHECK e, 14
	aam
	cmpw $0x0905, %ax
	CHECK e, 15
	movb $0x19, %al
	addb $0x28, %al
	daa
	cmpb $0x47, %al
	CHECK e, 16

	/* code that changes itself, behind and before it */
	movw $3, %cx
again:
	movb $0, %al
patch:	.byte 0xb0, 0x11        /* mov $0x11, %al */
	incb O(patch) + 1
	loop again
	cmpb $0x13, %al
	CHECK e, 17
	movb $0x77, O(next) + 1
next:	movb $0x66, %al
	cmpb $0x77, %al
	CHECK e, 18

	/* 32-bit registers and addresses with prefixes; far call and return */
	movl $0x12345678, %eax
	movl $O(word_a), %ebx
	movl $1, %ecx
	movw (%ebx,%ecx,2), %dx
	cmpw $0x2222, %dx
	CHECK e, 19
	lcall $0x1000, $O(far_proc)
	cmpw $0x4321, %ax
	CHECK e, 20
	PASS

far_proc:
	movw $0x4321, %ax
	lretw

on_int:
	pushfw
	popw O(saw_inner)
	movw %sp, %bp
	movw (%bp), %ax
	movw %ax, O(saw_ip)
	movw 4(%bp), %ax
	movw %ax, O(saw_flags)
	iretw
on_fault:
	movw %sp, %bp
	movw (%bp), %ax
	movw %ax, O(saw_ip)
	movw O(go_on), %ax
	movw %ax, (%bp)
	iretw

saw_ip:	.word 0
saw_flags: .word 0
saw_inner: .word 0
go_on:	.word 0
bounds:	.word 1, 8
word_a:	.word 0x1111
word_b:	.word 0x2222
word_c:	.word 0x3333
