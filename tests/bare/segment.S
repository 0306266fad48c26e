/* segment.S - protected mode: descriptor checks, error codes, rings, gates, I/O bitmap. */
#include "bare.inc"
#include "pm32.inc"
start:
	/* 0x30 not present data, 0x38 read-only, 0x40 expand-down over 0x1000, 0x48 execute-only, */
	movl $0x0000ffff, O(gdt_own)
	movl $0x00cf1300, O(gdt_own) + 4
	movl $0x0000ffff, O(gdt_own) + 8
	movl $0x00cf9100, O(gdt_own) + 12
	movl $0x00000fff, O(gdt_own) + 16
	movl $0x00409700, O(gdt_own) + 20
	movl $0x0000ffff, O(gdt_own) + 24
	movl $0x00cf9900, O(gdt_own) + 28
	/* 0x50 data of 16 bytes at 0x2000, 0x58 call gate DPL 3 with two parameters */
	movl $0x2000000f, O(gdt_own) + 32
	movl $0x00409300, O(gdt_own) + 36
	movw $O(gate_proc), O(gdt_own) + 40
	movw $0x08, O(gdt_own) + 42
	movw $0xec02, O(gdt_own) + 44
	movw $1, O(gdt_own) + 46
	ENTER_PM main

	.code32
main:
	/* loads that are refused, each with its error code */
	movl $0x200, %ebx
	EXPECT 1, 13, 0x200, mov %bx, %ds
	movl $0x30, %ebx
	EXPECT 2, 11, 0x30, mov %bx, %es
	EXPECT 3, 12, 0x30, mov %bx, %ss
	movl $0x38, %ebx
	EXPECT 4, 13, 0x38, mov %bx, %ss
	movl $0x48, %ebx
	EXPECT 5, 13, 0x48, mov %bx, %ds
	xorl %ebx, %ebx
	EXPECT 6, 13, 0, mov %bx, %ss
	mov %bx, %fs
	EXPECT 7, 13, 0, movl %fs:0, %eax

	/* limits and kinds */
	movl $0x50, %ebx
	mov %bx, %fs
	movl $0x12345678, %fs:12
	cmpl $0x12345678, 0x200c
	CHECK e, 8
	EXPECT 9, 13, 0, movl %fs:13, %eax
	EXPECT 10, 13, 0, movb %fs:16, %al
	movl $0x40, %ebx
	mov %bx, %fs
	EXPECT 11, 13, 0, movl %fs:0xfff, %eax
	movl %fs:0x1000, %eax
	movl $0x38, %ebx
	mov %bx, %fs
	EXPECT 12, 13, 0, movl %eax, %fs:0
	EXPECT 13, 13, 0, movl %ecx, %cs:seen_vec

	/* LAR, LSL, VERR, VERW */
	movl $0x38, %ebx
	larl %ebx, %eax
	CHECK z, 14
	andl $0x00f0ff00, %eax
	cmpl $0x00c09100, %eax
	CHECK e, 14
	lsll %ebx, %eax
	CHECK z, 15
	cmpl $0xffffffff, %eax
	CHECK e, 15
	verr %bx
	CHECK z, 16
	verw %bx
	CHECK nz, 17
	movl $0x400, %ebx
	larl %ebx, %eax
	CHECK nz, 18

	/* gates not present, beyond the table; INT carries its vector */
	EXPECT 19, 13, 0x40*8+2, int $0x40
	movw $0x0e00, idt + 0x40*8 + 4
	EXPECT 19, 11, 0x40*8+2, int $0x40
	EXPECT 20, 6, 0, ud2
	movl $trap3, resume
	movl $-1, seen_vec
	int3
trap3:	cmpl $3, seen_vec
	CHECK e, 21
	cmpl $trap3, seen_eip
	CHECK e, 21
	movl $6f, resume
	movl $0x7fffffff, %eax
	xorl %ecx, %ecx
	cdq
	divl %ecx
6:	cmpl $0, seen_vec
	CHECK e, 22

	/* ring 3 by IRET, on its own stack; the exceptions come back on ring 0's */
	movw $0x8e00 | 0x6000, idt + 0x41*8 + 4
	movw $0x08, idt + 0x41*8 + 2
	movw $O(back_in_0), idt + 0x41*8
	movw $1, idt + 0x41*8 + 6
	movb $0xf9, tss + 0x68 + 0xe0 / 8      /* ports e1h and e2h are free */
	pushl $0x2b
	pushl $0x1b000
	pushl $0x3002                      /* IOPL 3 is taken back below */
	andl $0xffffcfff, (%esp)
	pushl $0x23
	pushl $ring3
	iretl
ring3:
	movw $0x2b, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %cs, %ax
	cmpw $0x23, %ax
	CHECK e, 23
	EXPECT 24, 13, 0, hlt
	EXPECT 25, 13, 0, cli
	EXPECT 26, 13, 0, movl %cr0, %eax
	EXPECT 27, 13, 0, inb $0xe0, %al
	inb $0xe1, %al
	EXPECT 28, 13, 0, inw $0xe2, %ax
	EXPECT 29, 13, 6*8+2, int $6
	movw $0x10, %bx
	EXPECT 30, 13, 0x10, mov %bx, %fs
	cmpl $0x23, seen_cs
	CHECK e, 31
	cmpl $0x1b000, seen_esp
	CHECK e, 32
	/* a call gate into ring 0 copies its two parameters */
	pushl $0x1111
	pushl $0x2222
	lcall $0x58, $0
	cmpl $0x3333, %eax
	CHECK e, 33
	cmpl $0x1b000, %esp
	CHECK e, 34
	int $0x41
	FAIL 35
gate_proc:
	movl 8(%esp), %eax
	addl 12(%esp), %eax
	lretl $8
back_in_0:
	mov %cs, %ax
	cmpw $0x08, %ax
	CHECK e, 36
	cmpl $0x2b, 16(%esp)
	CHECK e, 37
	cmpl $0x1cfec, %esp
	CHECK e, 38
	PASS
