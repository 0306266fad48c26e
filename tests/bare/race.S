/*
 * race.S - four cpus in 64-bit code against each other: locked counting, operands that change while they are looked at,
 * hot code that another one rewrites, page tables changed with a shootdown, interrupts in the shadow of STI.
 */
#include "bare.inc"
#include "pm32.inc"
#include "mp.inc"
#define CPUS 4
#define ROUNDS 4000
#define FEW 300                 /* of what needs all four at once, and the host may have fewer */
#include "mp64.inc"

/* Two frames for PAGE: each gives its number, 1 or 2, to a read and to a call. */
prepare:
	GATE 0, on_divide
	GATE 13, on_protection
	GATE 16, on_x87
	GATE 0x40, on_shootdown
	GATE 0x41, on_poke
	movl $1, %eax
	movl $FRAMES, %edi
1:	movl %eax, (%rdi)
	movl %eax, 8(%rdi)
	movl %eax, 16(%rdi)
	movb $0xb8, 64(%rdi)                    /* movl $n, %eax; ret */
	movl %eax, 65(%rdi)
	movb $0xc3, 69(%rdi)
	addl $0x1000, %edi
	incl %eax
	cmpl $2, %eax
	jbe 1b
	ret

each:
	/* ---- locked counting ---- */
	movl $ROUNDS, %ecx
1:	lock incl total
	movl $1, %eax
	lock xaddl %eax, total
2:	movl total, %eax
	leal 1(%rax), %edx
	lock cmpxchgl %edx, total
	jne 2b
	lock addq $1, within + 1                /* not aligned */
	decl %ecx
	jnz 1b
	movl $FEW, %ecx
1:	lock addq $1, across + 1                /* in two cache lines */
	decl %ecx
	jnz 1b
	MEET
	cmpl $3 * CPUS * ROUNDS, total
	CHECK e, 1
	cmpq $CPUS * ROUNDS, within + 1
	CHECK e, 2
	cmpq $CPUS * FEW, across + 1
	CHECK e, 3

	/* ---- one writes what the others divide by, and what they load into MXCSR and the control word ---- */
	cmpl $1, %r12d
	je writer
	movl $10 * ROUNDS, %ebx
1:	movl $100, %eax
	xorl %edx, %edx
	divl divisor                            /* 5, 0 or -1: 20, #DE or 0 */
	cmpl $20, %eax
	je 2f
	cmpl $0, %eax
	je 2f
	cmpl $100, %eax
	CHECK e, 4
2:	movl $0x80000000, %eax
	cltd
	idivl divisor
	movl $0x80000000, %eax
	cltq
	cqto
	idivq divisor_q
	movw $100, %ax
	cwtd
	idivw divisor
	movl $csr, %edi
	ldmxcsr (%rdi)
	fldcw control
	fld1
	fdivs nought
	fstp %st(0)
	fwait
	fninit
	decl %ebx
	jnz 1b
	lock incl finished
	jmp written
writer:
	xorl %eax, %eax
1:	movl $0, divisor
	movq $0, divisor_q
	movl $0x1ffff, csr                      /* a reserved bit */
	movw $0x340, control
	movl $5, divisor
	movq $5, divisor_q
	movl $0x1f80, csr
	movw $0x37f, control
	movl $-1, divisor
	movq $-1, divisor_q
	cmpl $CPUS - 1, finished
	jb 1b
written:
	MEET

	/* ---- each rewrites the next one's function: there first, then the news of it; that one looks, serializes, calls ---- */
	leal 1(%r12), %r13d
	andl $CPUS - 1, %r13d
	shll $7, %r13d
	addl $functions, %r13d                  /* the next one's */
	movl %r12d, %r14d
	shll $7, %r14d
	addl $functions, %r14d                  /* its own */
	movl $1, %r15d
	xorl %ebp, %ebp                         /* the latest it saw */
1:	cmpl $ROUNDS, %r15d
	ja 2f
	movl %r15d, 4(%r13)                     /* the constant of the MOV at 3 */
	movl %r15d, 64(%r13)                    /* the news, in the same page */
	incl %r15d
2:	movl 64(%r14), %ebp
	xorl %eax, %eax
	cpuid
	leaq 3(%r14), %rax
	call *%rax
	cmpl %ebp, %eax
	CHECK ae, 5
	call hot
	cmpl $ROUNDS, %ebp
	jne 1b
	cmpl $ROUNDS, %r15d
	jbe 1b
	MEET

	/* ---- the first one moves PAGE; nobody sees the old place once all have answered ---- */
	testl %r12d, %r12d
	jnz watcher
	movl $1, %r15d
1:	movl %r15d, begun
	movl %r15d, %eax
	andl $1, %eax
	shll $12, %eax
	addl $FRAMES + 3, %eax
	movl %eax, PT
	movl $0, answers
	invlpg PAGE
	APIC_WRITE 0x300, $OTHERS_FIXED + 0x40
2:	pause
	cmpl $CPUS - 1, answers
	jne 2b
	movl %r15d, ended
	incl %r15d
	cmpl $FEW, %r15d
	jbe 1b
	lock incl finished
	jmp watched
watcher:
	movl $PAGE, %ebx
1:	movl ended, %ebp
	movl (%rbx), %eax                       /* checked together */
	movl 8(%rbx), %ecx
	movl 16(%rbx), %edx
	cmpl begun, %ebp
	jne 2f
	movl %ebp, %esi
	andl $1, %esi
	incl %esi
	cmpl %esi, %eax
	CHECK e, 6
	cmpl %esi, %ecx
	CHECK e, 7
	cmpl %esi, %edx
	CHECK e, 8
2:	movl ended, %ebp
	call PAGE + 64
	cmpl begun, %ebp
	jne 3f
	movl %ebp, %esi
	andl $1, %esi
	incl %esi
	cmpl %esi, %eax
	CHECK e, 9
3:	cmpl $FEW, ended
	jne 1b
watched:
	MEET

	/* ---- the first one interrupts; never between STI and what follows it (on_poke looks) ---- */
	testl %r12d, %r12d
	jnz poked
1:	APIC_WRITE 0x300, $OTHERS_FIXED + 0x41
	movl $50, %ecx
2:	pause
	loop 2b
	cmpl $2 * CPUS - 1, finished            /* what the last rounds left, and CPUS - 1 more */
	jb 1b
	jmp unpoked
poked:
	movl $4 * ROUNDS, %ebx
	jmp 1f
	.balign 4096
	.fill 4096 - 9, 1, 0x90                 /* the page ends behind STI, and the block with it */
1:	cli
	.fill 7, 1, 0x90
	sti
	nopl 0x5a(%rax)                         /* what on_poke knows */
	cli
	.rept 29                                /* here the block is full */
	incl %ecx
	.endr
	sti
	nopl 0x5a(%rax)
	cli
	sti
	nopl 0x5a(%rax)
	decl %ebx
	jnz 1b
	lock incl finished
unpoked:
	MEET
	testl %r12d, %r12d
	jnz 1f
	PASS
1:	hlt
	jmp 1b

/* Something to do between two calls that change. */
hot:
	movl $20, %ecx
1:	addl %ecx, %eax
	decl %ecx
	jnz 1b
	ret

/* ---- handlers ---- */
on_divide:                                      /* on behind it */
	pushq %rax
	movq 8(%rsp), %rax
	cmpb $0xf7, (%rax)                      /* DIVL m32: 7 bytes; others have a prefix */
	je 1f
	incq 8(%rsp)
1:	addq $7, 8(%rsp)
	popq %rax
	iretq
on_protection:                                  /* LDMXCSR */
	addq $8, %rsp
	addq $3, (%rsp)
	iretq
on_x87:
	fninit
	iretq
on_shootdown:
	pushq %rdx
	invlpg PAGE
	lock incl answers
	APIC_WRITE 0xb0, $0
	popq %rdx
	iretq
on_poke:
	pushq %rdx
	movq 8(%rsp), %rdx
	cmpl $0x5a401f0f, (%rdx)
	CHECK ne, 10
	APIC_WRITE 0xb0, $0
	popq %rdx
	iretq

	.balign 4096
finished: .long 0
total:	.long 0
begun:	.long 0
ended:	.long 0
answers: .long 0
divisor: .long 5
divisor_q: .quad 5
csr:	.long 0x1f80
nought: .long 0
control: .word 0x37f
	.balign 64
within: .quad 0, 0
	.balign 64
	.fill 64 - 4, 1, 0
across: .fill 68, 1, 0

/* For each cpu a line of code and one of data; the constant is aligned. */
	.balign 4096
functions:
	.rept CPUS
	.fill 3, 1, 0x90
	movl $0, %eax
	ret
	.balign 64
	.long 0
	.balign 64
	.endr
