/*
 * hot16.S - hot 16-bit code: addresses that wrap, limits met in the middle of loops, code that changes, segments
 * that change under a loop, unreal mode. Each loop runs often enough to be translated.
 */
#include "bare.inc"
#define OTHER 0x3000                    /* a data segment of its own */
start:
	xorw %ax, %ax
	movw %ax, %fs
	movw $O(on_fault), %fs:13*4
	movw %cs, %fs:13*4+2
	movw $O(on_fault), %fs:12*4
	movw %cs, %fs:12*4+2
	movw $OTHER, %ax
	movw %ax, %es

	/* BX + SI + 0x7fff wraps at 64 KiB */
	movw $0x8000, %bx
	xorw %si, %si
	xorw %dx, %dx
	movw $2000, %cx
1:	movb %cl, %es:0x7fff(%bx,%si)   /* at 0xffff, then from 0 on */
	addb %es:0x7fff(%bx,%si), %dl
	addb %cl, %dh
	incw %si
	loop 1b
	cmpb %dl, %dh
	CHECK e, 1
	cmpb $2000 & 0xff, %es:0xffff
	CHECK e, 2
	cmpb $1999 & 0xff, %es:0
	CHECK e, 3

	/* a byte at 0xffff is within the segment, a word is not: #GP at that instruction, registers as they were */
	movw $O(after_word), O(go_on)
	movw $0xff00, %bx
1:	movw %es:(%bx), %ax
	incw %bx
	jmp 1b
after_word:
	cmpw $0xffff, %bx
	CHECK e, 4
	cmpw $O(1b), O(saw_ip)
	CHECK e, 5

	/* a stack that wraps: PUSH at SP = 0 goes to the top; calls and returns there */
	movw %sp, %bp
	movw $600, %cx
1:	movw $2, %sp
	pushw %cx
	pushw %cx
	call 2f
	popw %ax
	popw %dx
	addw %dx, %ax
	shrw $1, %ax
	cmpw %cx, %ax
	CHECK e, 6
	cmpw $2, %sp
	CHECK e, 7
	loop 1b
	movw %bp, %sp
	jmp 3f
2:	ret

	/* the segment changes in the loop, and what is read with it */
3:	movw $OTHER, %ax
	movw $500, %cx
1:	movw %ax, %ds
	movw %cx, 0x100
	incw %ax
	loop 1b
	movw $OTHER + 7, %ax
	movw %ax, %ds
	cmpw $500 - 7, 0x100
	CHECK e, 8
	pushw %cs
	popw %ds

	/* the loop's own immediate, patched now and then */
	movw $3000, %cx
	xorw %dx, %dx
	xorw %bx, %bx
1:	testw $255, %cx
	jnz 2f
	movb %cl, %al
	incb %bl
	movb %bl, O(3f) + 2
2:	nop
3:	addw $0, %dx                    /* 83 c2 ib */
	loop 1b
	/* 3000 - 2816 turns with 0, 256 with each of 1 to 10, 256 with 11 */
	cmpw $256 * (11 * 12 / 2), %dx
	CHECK e, 9

	/* the same offset in two code segments is not the same code */
	movw $OTHER + 0x100, %ax
	movw %ax, %es
	movb $0xb8, %es:0x10            /* movw $0x1234, %ax; lret */
	movw $0x1234, %es:0x11
	movb $0xcb, %es:0x13
	incw %ax
	movw %ax, %es
	movb $0xb8, %es:0x10
	movw $0x5678, %es:0x11
	movb $0xcb, %es:0x13
	movw $400, %cx
1:	lcall $OTHER + 0x100, $0x10
	cmpw $0x1234, %ax
	CHECK e, 10
	lcall $OTHER + 0x101, $0x10
	cmpw $0x5678, %ax
	CHECK e, 11
	loop 1b

	/* unreal mode: real mode with the limits of protected mode */
	cli
	lgdtl O(gdt_ptr)
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	movw $8, %bx
	movw %bx, %es
	movw $16, %bx
	movw %bx, %gs
	andb $0xfe, %al
	movl %eax, %cr0
	xorw %ax, %ax
	movw %ax, %es
	movl $0x200000, %edi
	movl $3000, %ecx
1:	movl %ecx, %es:(%edi)
	addl $4, %edi
	addr32 loop 1b                  /* ECX counts */
	cmpl $1, %es:-4(%edi)
	CHECK e, 12
	movl $0x200000, %edi
	cmpl $3000, %es:(%edi)
	CHECK e, 13
	/* a small limit stays, too */
	movw %ax, %gs
	movw $O(after_limit), O(go_on)
	movl $0x100, %ebx
1:	movl %gs:(%ebx), %eax
	incl %ebx
	jmp 1b
after_limit:
	cmpl $0x1ffd, %ebx              /* limit 0x1fff */
	CHECK e, 14

	/* IP does not wrap: the instruction behind the segment's last byte is #GP */
	movw $OTHER, %ax
	movw %ax, %es
	movb $0x40, %es:0xfffe          /* incw %ax, twice */
	movb $0x40, %es:0xffff
	movw $200, %cx
	movw $O(2f), O(go_on)
1:	xorw %ax, %ax
	ljmp $OTHER, $0xfffe
2:	loop 1b
	cmpw $0, O(saw_ip)              /* 10000h does not fit its slot */
	CHECK e, 15
	PASS

on_fault:
	movw %sp, %bp
	movw (%bp), %ax
	movw %ax, %cs:O(saw_ip)
	movw %cs:O(go_on), %ax
	movw %ax, (%bp)
	movw %cs, 2(%bp)
	iretw

saw_ip:	.word 0
go_on:	.word 0
	.balign 8
gdt:	.quad 0
	.quad 0x00cf93000000ffff
	.quad 0x0000930000001fff
gdt_ptr: .word gdt_ptr - gdt - 1
	.long gdt
