/*
 * tlb.S - 64-bit code that moves under its linear address: INVLPG, CR3, PGE, PCIDs, and code that crosses pages;
 * and the system instructions that kernels use all the time, often enough to be translated.
 */
#include "bare.inc"
#include "pm32.inc"
#define PML4 0x20000
#define PT 0x24000              /* of CODE */
#define PML4_B 0x25000          /* a second address space: as the first, but CODE is another table */
#define PT_B 0x28000
#define CODE 0x40000000
#define FRAME1 0x30000          /* code that gives 1 */
#define FRAME2 0x31000          /* code that gives 2 */
#define LOCAL 3
#define GLOBAL 0x103
#define MSR_EFER 0xc0000080
#define MSR_GSBASE 0xc0000101
#define MSR_KGSBASE 0xc0000102
#define TIMES 200

/* CODE is called directly and through a register, and must give `value`. */
.macro GIVES n, value
	call CODE
	cmpl \value, %eax
	CHECK e, \n
	movq $CODE, %rdx
	call *%rdx
	cmpl \value, %eax
	CHECK e, \n
.endm
/* CODE's page is mapped to frame 1 + (RBX & 1); R12D is what it then gives. */
.macro MOVE flags
	movq %rbx, %rax
	andq $1, %rax
	leal 1(%rax), %r12d
	shlq $12, %rax
	addq $FRAME1 + \flags, %rax
	movq %rax, PT
.endm

start:
	ENTER_PM main
	.code32
main:
	movl $0xffff, gdt_own
	movl $0x00af9b00, gdt_own + 4
	movl $PML4, %edi
	xorl %eax, %eax
	movl $0x2400, %ecx
	rep stosl
	movl $PML4 + 0x1003, PML4
	movl $PML4 + 0x2003, PML4 + 0x1000      /* 0: identity, 2 MiB */
	movl $0x83, PML4 + 0x2000
	movl $PML4 + 0x3003, PML4 + 0x1008      /* CODE: a table */
	movl $PT + 3, PML4 + 0x3000
	movl $PML4_B + 0x1003, PML4_B
	movl $PML4 + 0x2003, PML4_B + 0x1000
	movl $PML4_B + 0x2003, PML4_B + 0x1008
	movl $PT_B + 3, PML4_B + 0x2000
	movl $FRAME2 + LOCAL, PT_B
	movl $0x000001b8, FRAME1                /* movl $1, %eax; ret */
	movl $0x0000c300, FRAME1 + 4
	movl $0x000002b8, FRAME2
	movl $0x0000c300, FRAME2 + 4
	movl $PML4 + 0x1028, %edi               /* CODE + 4 GiB, + 8 and so on: something to read */
	movl $8, %ecx
1:	movl $PML4 + 0x2003, (%edi)
	addl $32, %edi
	loop 1b
	movl $FRAME1 + 0x100, %edi
	call copy_halves
	movl $FRAME2 + 0x100, %edi
	call copy_halves
	movb $0x20, FRAME2 + 0x103              /* this one's give 20h and 21h */
	movb $0x21, FRAME2 + 0x181
	movl %cr4, %eax
	orl $0x6a0, %eax                        /* PAE, PGE */
	movl %eax, %cr4
	movl $PML4, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	movl $0x100, %eax
	xorl %edx, %edx
	wrmsr
	movl %cr0, %eax
	orl $0x80010000, %eax
	movl %eax, %cr0
	ljmp $0x30, $in_long
	.code64
in_long:
	movl $0x10, %eax
	movl %eax, %ss
	movq $0x1e000, %rsp

	/* INVLPG of a page that is local, of one that is global */
	movl $TIMES, %ebx
1:	MOVE LOCAL
	invlpg CODE
	GIVES 1, %r12d
	decl %ebx
	jnz 1b
	movl $TIMES, %ebx
1:	MOVE GLOBAL
	invlpg CODE
	GIVES 2, %r12d
	decl %ebx
	jnz 1b
	/* a write to CR3 does for the local one */
	movl $0, PT
	invlpg CODE
	movl $TIMES, %ebx
1:	MOVE LOCAL
	movq %cr3, %rax
	movq %rax, %cr3
	GIVES 3, %r12d
	decl %ebx
	jnz 1b
	/* PGE off and on does for the global one */
	movl $TIMES, %ebx
1:	MOVE GLOBAL
	movq %cr4, %rax
	btcq $7, %rax
	movq %rax, %cr4
	btcq $7, %rax
	movq %rax, %cr4
	GIVES 4, %r12d
	decl %ebx
	jnz 1b
	/* two address spaces in turn */
	movl $FRAME1 + LOCAL, PT
	invlpg CODE
	movl $TIMES, %ebx
1:	movl $PML4_B, %eax
	movq %rax, %cr3
	GIVES 5, $2
	movl $PML4, %eax
	movq %rax, %cr3
	GIVES 6, $1
	decl %ebx
	jnz 1b
	/* the same with PCIDs 1 and 2 and without flushing, where there are any */
	movl $1, %eax
	cpuid
	btl $17, %ecx
	jnc no_pcid
	movq %cr4, %rax
	btsq $17, %rax
	movq %rax, %cr4
	movl $TIMES, %ebx
1:	movq $(1 << 63) + PML4_B + 2, %rax
	movq %rax, %cr3
	GIVES 7, $2
	movq $(1 << 63) + PML4 + 1, %rax
	movq %rax, %cr3
	GIVES 8, $1
	decl %ebx
	jnz 1b
	/* INVPCID of the one in force, by address, and of the other, as a whole */
	movl $7, %eax
	xorl %ecx, %ecx
	cpuid
	btl $10, %ebx
	jnc no_invpcid
	movl $TIMES, %ebx
1:	MOVE LOCAL
	movl $0, %eax
	invpcid descriptor, %rax
	GIVES 9, %r12d
	movl %r12d, %ecx
	shll $12, %ecx
	leal FRAME1 - 0x1000 + LOCAL(%rcx), %eax
	movl %eax, PT_B
	movl $1, %eax
	invpcid descriptor + 16, %rax
	movq $(1 << 63) + PML4_B + 2, %rax
	movq %rax, %cr3
	GIVES 10, %r12d
	movq $(1 << 63) + PML4 + 1, %rax
	movq %rax, %cr3
	decl %ebx
	jnz 1b
no_invpcid:
	movl $PML4, %eax
	movq %rax, %cr3
	movq %cr4, %rax
	btrq $17, %rax
	movq %rax, %cr4
no_pcid:

	/*
	 * One half of the page is found in the old frame and the other in the new one, while its table says so and nobody
	 * has invalidated it. When it is the old frame's again, so are both halves.
	 */
	movl $FRAME2 + LOCAL, PT
	invlpg CODE
	movl $TIMES, %ebx
1:	call CODE + 0x180
	decl %ebx
	jnz 1b
	movl $FRAME1 + LOCAL, PT
	invlpg CODE
	movl $TIMES, %ebx
	xorl %ecx, %ecx
1:	call CODE + 0x100
	cmpl $0x10, %eax
	CHECK e, 30
	decl %ebx
	jnz 1b
	movl $FRAME2 + LOCAL, PT
	movl $8, %ebx
	movq $CODE, %rax
	movq $1 << 32, %rdx                     /* such neighbours are in one place of any TLB */
1:	addq %rdx, %rax
	movl (%rax), %ecx
	decl %ebx
	jnz 1b
	movl $1, %ecx
	call CODE + 0x100                       /* from here to there, */
	call CODE + 0x100                       /* and by now that is known */
	movl $FRAME1 + LOCAL, PT
	invlpg CODE
	call CODE + 0x100
	cmpl $0x11, %eax
	CHECK e, 31

	/* an instruction whose second half moves: b8 in one page, its constant and RET in the next */
	movb $0xb8, FRAME1 + 0xfff
	movl $FRAME1 + LOCAL, PT
	invlpg CODE
	movl $0x3333, 0x32000
	movb $0xc3, 0x32004
	movl $0x4444, 0x33000
	movb $0xc3, 0x33004
	movl $TIMES, %ebx
1:	movl %ebx, %eax
	andl $1, %eax
	imull $0x1111, %eax, %r12d
	addl $0x3333, %r12d
	shll $12, %eax
	addl $0x32000 + LOCAL, %eax
	movl %eax, PT + 8
	invlpg CODE + 0x1000
	call CODE + 0xfff
	cmpl %r12d, %eax
	CHECK e, 11
	decl %ebx
	jnz 1b
	movl $0x32000 + LOCAL, PT + 8
	invlpg CODE + 0x1000
	movl $TIMES, %ebx
1:	movl %ebx, 0x32000                      /* and when it is written to */
	call CODE + 0xfff
	cmpl %ebx, %eax
	CHECK e, 12
	decl %ebx
	jnz 1b

	/* flags as PUSHF shows and POPF takes them */
	movl $TIMES, %ebx
1:	pushq $0x8d7                            /* all arithmetic flags */
	popfq
	CHECK c, 13
	pushq $0x8d7
	popfq
	CHECK o, 13
	pushfq
	popq %rax
	cmpq $0x8d7, %rax
	CHECK e, 14
	pushq $0x402                            /* DF alone */
	popfq
	pushfq
	popq %rax
	cmpq $0x402, %rax
	CHECK e, 15
	cld
	pushfq
	popq %rax
	testl $0x400, %eax
	CHECK z, 16
	std
	pushfq
	popq %rax
	cld
	testl $0x400, %eax
	CHECK nz, 16
	stc
	sti
	pushfq
	cli
	popq %rax
	andl $0x201, %eax
	cmpl $0x201, %eax
	CHECK e, 17
	pushfq
	popq %rax
	testl $0x200, %eax
	CHECK z, 18
	pushq $0x202
	popfq
	pushfq
	popq %rax
	cli
	testl $0x200, %eax
	CHECK nz, 19
	pushq $0x200002                         /* ID can be changed: there is CPUID */
	popfq
	pushfq
	popq %rax
	cmpq $0x200002, %rax
	CHECK e, 20
	pushq $2
	popfq
	decl %ebx
	jnz 1b

	/* SWAPGS and control registers */
	movl $MSR_GSBASE, %ecx
	movl $gs_a, %eax
	xorl %edx, %edx
	wrmsr
	movl $MSR_KGSBASE, %ecx
	movl $gs_b, %eax
	wrmsr
	movl $TIMES, %ebx
1:	swapgs
	cmpl $0xb, %gs:0
	CHECK e, 21
	swapgs
	cmpl $0xa, %gs:0
	CHECK e, 22
	movq %cr3, %rax
	cmpq $PML4, %rax
	CHECK e, 23
	movq %rbx, %cr2
	movq %cr2, %r13
	cmpq %rbx, %r13
	CHECK e, 24
	movq %cr0, %rax
	andl $0x80000001, %eax
	cmpl $0x80000001, %eax
	CHECK e, 25
	movq %cr4, %rax
	testl $0x20, %eax
	CHECK nz, 26
	pushq gs_b
	popq %rax
	cmpl $0xb, %eax
	CHECK e, 27
	decl %ebx
	jnz 1b

	/* PUSH of memory that the TLB has not; and the same code uses two stacks, far apart */
	movl $FRAME1 + LOCAL, PT
	movl $0x32000 + LOCAL, PT + 8
	invlpg CODE + 0x1000
	movq %rsp, %r14
	movq $CODE + 0x2000, %r15
	movl $TIMES, %ebx
1:	xchgq %r14, %r15
	movq %r15, %rsp
	movq %rbx, 0x1d000
	invlpg 0x1d000
	jmp 2f
2:	pushq 0x1d000
	pushq %rbx
	popq %rax
	popq %rdx
	cmpq %rax, %rdx
	CHECK e, 28
	cmpq %rbx, -16(%r15)
	CHECK e, 29
	decl %ebx
	jnz 1b
	PASS
	/* What CODE's frames have at 100h: one half leads to the other if ECX is not 0. */
	.balign 16
halves:	testl %ecx, %ecx
	movl $0x10, %eax
	jnz 1f
	ret
	.org halves + 0x80
1:	movl $0x11, %eax
	ret
halves_end:
	.code32
copy_halves:                                    /* to EDI */
	movl $halves, %esi
	movl $halves_end - halves, %ecx
	rep movsb
	ret
	.balign 16
descriptor:
	.quad 1, CODE, 2, CODE
gs_a:	.quad 0xa
gs_b:	.quad 0xb
