/* task.S - hardware task switches: JMP, CALL with NT and IRET, a task gate; busy bits, back links, CR0.TS. */
#include "bare.inc"
#include "pm32.inc"
#define TSS_A 0x2000    /* 0x30 */
#define TSS_B 0x2100    /* 0x38 */
start:
	movl $0x20000067, O(gdt_own)
	movl $0x00008900, O(gdt_own) + 4
	movl $0x21000067, O(gdt_own) + 8
	movl $0x00008900, O(gdt_own) + 12
	ENTER_PM main
	.code32
main:
	movl $TSS_A, %edi
	xorl %eax, %eax
	movl $0x80, %ecx
	rep stosl
	movw $0x30, %ax
	ltr %ax
	testb $2, gdt_own + 5           /* busy */
	CHECK nz, 1
	/* task B: segments, stack, registers, entry */
	movl $task_b, TSS_B + 32
	movl $2, TSS_B + 36
	movl $0xb0b0b0b0, TSS_B + 40
	movl $0x1c000, TSS_B + 56
	movl $0x10, TSS_B + 72
	movl $0x08, TSS_B + 76
	movl $0x10, TSS_B + 80
	movl $0x10, TSS_B + 84
	movw $0x68, TSS_B + 102
	movw $0x68, TSS_A + 102
	clts
	movl $0xa0a0a0a0, %ebx
	/* JMP: A stops being busy, B is; nothing is linked */
	ljmp $0x38, $0
back_by_jmp:
	cmpl $0xa0a0a0a0, %ebx
	CHECK e, 2
	cmpl $1, runs
	CHECK e, 3
	testb $2, gdt_own + 13
	CHECK z, 4
	/* CALL: B is linked to A and NT is set there; IRET comes back */
	movl $by_call, TSS_B + 32
	lcall $0x38, $0
	cmpl $2, runs
	CHECK e, 5
	cmpl $0xa0a0a0a0, %ebx
	CHECK e, 6
	testb $2, gdt_own + 5
	CHECK nz, 7
	testb $2, gdt_own + 13
	CHECK z, 8
	/* a task gate in the IDT, for #GP, brings the error code on B's stack */
	movl $by_gate, TSS_B + 32
	movl $0x1c000, TSS_B + 56
	movl $0x00380000, idt + 13*8
	movl $0x00008500, idt + 13*8 + 4
	movl $0x400, %eax
	movl $after_gp, go_on
	mov %ax, %fs
after_gp:
	cmpl $3, runs
	CHECK e, 9
	cmpl $0x400, code_seen
	CHECK e, 10
	/* a task that is busy is not entered: #GP(selector), by the ordinary gate again */
	movl $idt + 13*8, %edi
	movl $stubs + 13*16, %eax
	call one_gate
	EXPECT 11, 13, 0x30, ljmp $0x30, $0
	PASS

task_b:	incl runs
	cmpw $0, TSS_B
	CHECK e, 20
	pushfl
	testl $0x4000, (%esp)
	CHECK z, 21
	popl %eax
	cmpl $0xb0b0b0b0, TSS_B + 40
	CHECK e, 22
	movl %cr0, %eax
	testl $8, %eax                  /* TS */
	CHECK nz, 23
	testb $2, gdt_own + 5
	CHECK z, 24
	testb $2, gdt_own + 13
	CHECK nz, 25
	cmpl $0xa0a0a0a0, TSS_A + 52    /* EBX was saved */
	CHECK e, 26
	cmpl $back_by_jmp, TSS_A + 32
	CHECK e, 27
	ljmp $0x30, $0
	FAIL 28

by_call: incl runs
	cmpw $0x30, TSS_B
	CHECK e, 30
	pushfl
	testl $0x4000, (%esp)
	CHECK nz, 31
	popl %eax
	testb $2, gdt_own + 5           /* the caller stays busy */
	CHECK nz, 32
	iretl
	FAIL 33

by_gate: incl runs
	popl code_seen
	movl go_on, %eax
	movl %eax, TSS_A + 32
	iretl
	FAIL 34

	.balign 4
runs:	.long 0
code_seen: .long 0
go_on:	.long 0
