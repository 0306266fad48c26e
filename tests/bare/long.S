/* long.S - 64-bit mode: faults and codes, IST, SYSCALL and SYSRET, compatibility mode, SWAPGS. */
#include "bare.inc"
#include "pm32.inc"
#define PML4 0x20000
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define MSR_GSBASE 0xc0000101
#define MSR_KGSBASE 0xc0000102
.macro EXPECT64 n, vec, err, insn:vararg
	movq $-1, got_vec
	movq $7f, go_on
6:	\insn
7:	cmpq $\vec, got_vec
	CHECK e, \n
	cmpq $\err, got_err
	CHECK e, \n
	cmpq $6b, got_rip
	CHECK e, \n
.endm
.macro WRMSR64 msr, low, high=0
	movl $\msr, %ecx
	movl $\low, %eax
	movl $\high, %edx
	wrmsr
.endm
start:
	ENTER_PM main
	.code32
main:
	/* 0x30 code64, 0x38 data, 0x40 code32 ring 3 (SYSRET32), 0x48 data ring 3, 0x50 code64 ring 3, 0x58 TSS */
	movl $0xffff, gdt_own
	movl $0x00af9b00, gdt_own + 4
	movl $0xffff, gdt_own + 8
	movl $0x00cf9300, gdt_own + 12
	movl $0xffff, gdt_own + 16
	movl $0x00cffb00, gdt_own + 20
	movl $0xffff, gdt_own + 24
	movl $0x00cff300, gdt_own + 28
	movl $0xffff, gdt_own + 32
	movl $0x00affb00, gdt_own + 36
	movw $0x67, gdt_own + 40
	movw $O(tss64), gdt_own + 42
	movw $0x8901, gdt_own + 44
	/* 2 MiB pages over the first GiB, user; the second 2 MiB never executed */
	movl $PML4, %edi
	xorl %eax, %eax
	movl $0xc00, %ecx
	rep stosl
	movl $PML4 + 0x1007, PML4
	movl $PML4 + 0x2007, PML4 + 0x1000
	movl $0x87, PML4 + 0x2000
	movl $0x87, PML4 + 0x2008
	movl $0x80000000, PML4 + 0x200c
	movl %cr4, %eax
	orl $0x620, %eax
	movl %eax, %cr4
	movl $PML4, %eax
	movl %eax, %cr3
	WRMSR64 MSR_EFER, 0x901
	movl %cr0, %eax
	orl $0x80010000, %eax
	movl %eax, %cr0
	ljmp $0x30, $in_long
	.code64
in_long:
	movl $0x38, %eax
	movl %eax, %ss
	movl %eax, %ds
	movl %eax, %es
	movq $0x1e000, %rsp
	/* 32 gates; vector 8 and 2 on IST 1 */
	movl $stubs64, %eax
	movl $idt64, %edi
	movl $48, %ecx
1:	movw %ax, (%rdi)
	movw $0x30, 2(%rdi)
	movw $0x8e00, 4(%rdi)
	movl %eax, %edx
	shrl $16, %edx
	movw %dx, 6(%rdi)
	movq $0, 8(%rdi)
	addl $16, %edi
	addl $16, %eax
	loop 1b
	movb $1, idt64 + 2*16 + 4
	movb $0xee, idt64 + 0x2f*16 + 5
	lidt idt64_ptr
	movl $0x58, %eax
	ltr %ax

	/* non-canonical, NX, reserved, privilege */
	movabsq $0x800000000000, %rbx
	EXPECT64 1, 13, 0, movq (%rbx), %rax
	EXPECT64 3, 14, 0, movq 0x40000000, %rax
	EXPECT64 4, 14, 2, movq %rax, 0x40000000
	movb $0xc3, 0x200000
	movl $0x200000, %eax
	movq $-1, got_vec
	movq $1f, go_on
	call *%rax
1:	cmpq $0x11, got_err
	CHECK e, 5
	cmpq $14, got_vec
	CHECK e, 5
	movq $0x1e000, %rsp
	EXPECT64 6, 6, 0, ud2
	EXPECT64 7, 13, 0x28a, int $0x51
	movq $7f, go_on
	movl $1, %eax
	xorl %edx, %edx
	xorl %ecx, %ecx
	divq %rcx
7:	cmpq $0, got_vec
	CHECK e, 8
	/* an interrupt aligns the stack to 16 and pushes SS:RSP always */
	movq $0x1dff3, %rsp
	EXPECT64 9, 6, 0, ud2
	cmpq $0x1dff3, got_rsp
	CHECK e, 10
	movq $0x1e000, %rsp
	/* IST: vector 2 arrives on its own stack */
	movq $7f, go_on
	int $2
7:	movq got_frame, %rax
	andq $~0xfff, %rax
	cmpq $0x1b000, %rax
	CHECK e, 11

	/* results of 32-bit operations clear the upper half, 16-bit ones do not; MUL, CMPXCHG16B, RIP-relative */
	movq $-1, %rax
	movl %eax, %eax
	shrq $32, %rax
	CHECK z, 12
	movq $-1, %rax
	movw $0, %ax
	cmpq $-65536, %rax
	CHECK e, 13
	leaq here(%rip), %rax
here:	cmpq $here, %rax
	CHECK e, 14

	/* SWAPGS and the bases */
	WRMSR64 MSR_GSBASE, 0x30000
	WRMSR64 MSR_KGSBASE, 0x31000
	movq $0x1111, 0x30008
	movq $0x2222, 0x31008
	cmpq $0x1111, %gs:8
	CHECK e, 15
	swapgs
	cmpq $0x2222, %gs:8
	CHECK e, 16
	movl $MSR_GSBASE, %ecx
	movl $0x12345678, %eax
	movl $0x8000, %edx
	EXPECT64 17, 13, 0, wrmsr

	/* ring 3 by SYSRET, back by SYSCALL */
	WRMSR64 MSR_STAR, 0, 0x00430030
	WRMSR64 MSR_LSTAR, on_syscall
	WRMSR64 MSR_FMASK, 0x400
	movl $ring3, %ecx
	movl $0x3402, %r11d             /* IOPL 3, DF */
	sysretq
ring3:	movl %cs, %eax
	cmpl $0x53, %eax
	CHECK e, 18
	movl %ss, %eax
	cmpl $0x4b, %eax
	CHECK e, 19
	EXPECT64 20, 13, 0, movq %cr0, %rax
	EXPECT64 21, 13, 0x52, int $10
	syscall
after_syscall:
	FAIL 22
on_syscall:
	cmpq $after_syscall, %rcx
	CHECK e, 23
	testl $0x400, %r11d
	CHECK nz, 24
	pushfq
	popq %rax
	testl $0x400, %eax
	CHECK z, 25
	movl %cs, %eax
	cmpl $0x30, %eax
	CHECK e, 26
	movl %ss, %eax
	cmpl $0x38, %eax
	CHECK e, 27
	/* compatibility mode, ring 3, and back by INT */
	movq $0x1e000, %rsp
	pushq $0x4b
	pushq $0x1c000
	pushq $0x3002
	pushq $0x43
	pushq $compat
	iretq
	.code32
compat:	movl $0x40000000, %eax
	.byte 0x40                      /* INC EAX here, a REX prefix in 64-bit code */
	nop
	cmpl $0x40000001, %eax
	CHECK e, 28
	movl $0x4b, %ecx                /* IRET to ring 3 took DS away */
	movl %ecx, %ds
	movl $0, got_vec
	movl $-1, got_vec + 4
	movl $1f, go_on
	movl $0, go_on + 4
	int $0x2f
1:	cmpl $0x2f, got_vec
	CHECK e, 29
	cmpl $0x43, got_cs
	CHECK e, 30
	PASS

	.code64
	.balign 16
stubs64:
.set v, 0
.rept 48
	.balign 16
	.if (v > 31) || (1 - (0x227d00 >> v & 1))
	pushq $0
	.endif
	pushq $v
	jmp common64
.set v, v + 1
.endr
common64:
	pushq %rax
	movq %rsp, got_frame
	movq 8(%rsp), %rax
	movq %rax, got_vec
	movq 16(%rsp), %rax
	movq %rax, got_err
	movq 24(%rsp), %rax
	movq %rax, got_rip
	movq 32(%rsp), %rax
	movq %rax, got_cs
	movq 48(%rsp), %rax
	movq %rax, got_rsp
	movq go_on, %rax
	movq %rax, 24(%rsp)
	popq %rax
	addq $16, %rsp
	iretq

	.balign 16
got_vec: .quad 0
got_err: .quad 0
got_rip: .quad 0
got_cs:	.quad 0
got_rsp: .quad 0
got_frame: .quad 0
go_on:	.quad 0
idt64_ptr: .word 48 * 16 - 1
	.quad idt64
tss64:	.long 0
	.quad 0x1d000, 0, 0, 0
	.quad 0x1c000
	.fill 15, 4, 0
	.balign 16
idt64:	.fill 48 * 16, 1, 0
