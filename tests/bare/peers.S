/*
 * peers.S - four cpus in 64-bit code do what kernels do to each other: locks of several kinds, the order of stores and
 * loads that they rest on, code patched by way of INT3, a page taken away and write-protected while it is written.
 */
#include "bare.inc"
#include "pm32.inc"
#include "mp.inc"
#define CPUS 4
#define TICKETS 100             /* each waits for the one before it, who may have no host cpu */
#define MANY 300000             /* of what takes no time: they have to last until all run at once */
#define FEW 500                 /* of what needs all four at once, and the host may have fewer */
#include "mp64.inc"
#define ONE 0x11111111          /* what the patched instruction gives, */
#define TWO 0x22222222
#define TRAPPED 0x33333333      /* and what on_breakpoint does in its place */
#define PTE_P 1
#define PTE_W 2
#define PTE_D 0x40

/* Interrupts all others and waits for their answers. RDX is used. */
.macro ASK_OTHERS vector
	movl $0, answers
	APIC_WRITE 0x300, $OTHERS_FIXED + \vector
1:	pause
	cmpl $CPUS - 1, answers
	jne 1b
.endm

prepare:
	GATE 3, on_breakpoint
	GATE 14, on_page_fault
	GATE 0x40, on_shootdown
	GATE 0x41, on_sync
	movl $FRAMES, %edi
	xorl %eax, %eax
	movl $1024, %ecx
	rep stosl
	ret

each:
	/* ---- locks; what they guard is counted by instructions that lock nothing ---- */
	movl $TICKETS, %ebx
1:	movl $1, %eax                           /* a ticket */
	lock xaddw %ax, ticket
2:	cmpw %ax, serving
	je 3f
	pause
	jmp 2b
3:	incq guarded
	addq $1, guarded + 3000                 /* in another page */
	incw serving
	decl %ebx
	jnz 1b
	MEET
	movl $MANY, %ebx
1:	lock btsl $5, bits                      /* a bit */
	jnc 2f
	pause
	jmp 1b
2:	incq guarded
	lock btrl $5, bits
	CHECK c, 1
	movl $1, %eax                           /* XCHG */
3:	xchgl %eax, byte_lock
	testl %eax, %eax
	jz 4f
	pause
	jmp 3b
4:	incq guarded + 3000
	movl $0, byte_lock
	decl %ebx
	jnz 1b
	movl $MANY, %r13d
1:	movq pair, %rax                         /* a number and its complement, at once */
	movq pair + 8, %rdx
2:	leaq 1(%rax), %rbx
	movq %rbx, %rcx
	notq %rcx
	lock cmpxchg16b pair
	jne 2b
	decl %r13d
	jnz 1b
	MEET
	cmpq $CPUS * (TICKETS + MANY), guarded
	CHECK e, 2
	cmpq $CPUS * (TICKETS + MANY), guarded + 3000
	CHECK e, 3
	cmpq $CPUS * MANY, pair
	CHECK e, 4
	cmpq $-CPUS * MANY - 1, pair + 8
	CHECK e, 5

	/* ---- pairs of cpus: a store, a fence, a load (SDM vol. 3A, 8.2.3.4). Without the fence both might go in ---- */
	movl %r12d, %esi
	shll $6, %esi
	addl $wants, %esi                       /* its own wish */
	movl %esi, %edi
	xorl $64, %edi                          /* the other's */
	movl %r12d, %ebp
	shrl $1, %ebp
	shll $6, %ebp
	addl $in_pairs, %ebp
	movl $MANY, %ebx
1:	movl $1, (%rsi)
	testl $1, %ebx
	jz 2f
	mfence
	jmp 3f
2:	testl $2, %ebx
	jz 2f
	movl %ebx, %r13d
	xorl %eax, %eax
	cpuid                                   /* serializes: waits for the store (8.3) */
	movl %r13d, %ebx
	jmp 3f
2:	lock orl $0, (%rsp)
3:	cmpl $0, (%rdi)
	je 4f
	movl $0, (%rsi)                         /* one of them gives way for longer */
	movl %r12d, %ecx
	andl $1, %ecx
	shll $6, %ecx
	incl %ecx
5:	pause
	loop 5b
	jmp 1b
4:	incl (%rbp)
	movl $0, (%rsi)
	decl %ebx
	jnz 1b
	MEET
	cmpl $2 * MANY, (%rbp)
	CHECK e, 6

	/* ---- stores are seen in their order, loads are made in theirs (8.2.3.2) ---- */
	testl $1, %r12d
	jnz 2f
	movl $4 * MANY, %ecx
	xorl %eax, %eax
1:	incl %eax
	movl %eax, (%rsi)
	movl %eax, 32(%rsi)
	loop 1b
	jmp 3f
2:	movl 32(%rdi), %eax
	movl (%rdi), %edx
	cmpl %eax, %edx
	CHECK ae, 7
	cmpl $4 * MANY, %eax
	jne 2b
3:	MEET

	/* ---- code that is run all the time: INT3 over it, its tail, its head; all serialize in between ---- */
	testl %r12d, %r12d
	jnz runner
	movl $1, %r13d
1:	movl %r13d, begun
	movb $0xcc, site
	ASK_OTHERS 0x41
	testl $1, %r13d
	jz 2f
	movl $TWO, site + 1
	movb $0x35, %al                         /* XOR EAX, imm32 */
	jmp 3f
2:	movl $ONE, site + 1
	movb $0xb8, %al                         /* MOV EAX, imm32 */
3:	movl %eax, %r14d
	ASK_OTHERS 0x41
	movb %r14b, site
	ASK_OTHERS 0x41
	movl %r13d, ended
	movl $100, %ecx
4:	pause
	loop 4b
	incl %r13d
	cmpl $FEW, %r13d
	jbe 1b
	jmp patched
	.balign 64
runner:
	movl ended, %ebp
	xorl %eax, %eax
	jmp site
	.balign 64
site:	movl $ONE, %eax
	cmpl $TRAPPED, %eax
	je 2f
	cmpl $ONE, %eax
	je 1f
	cmpl $TWO, %eax
	CHECK e, 8
1:	cmpl begun, %ebp
	jne 3f
	movl $ONE, %ecx                         /* no change on its way: it is the one that was asked for */
	movl $TWO, %edx
	testl $1, %ebp
	cmovnzl %edx, %ecx
	cmpl %ecx, %eax
	CHECK e, 9
3:	cmpl $FEW, %ebp
	jne runner
	jmp patched
2:	cmpl %ebp, begun                        /* was trapped: only while a change is on its way */
	CHECK ne, 10
	jmp runner
patched:
	MEET
	movl $0, begun
	movl $0, ended
	MEET

	/*
	 * ---- PAGE is taken away, then write-protected, while the others count in it. What its entry said of it when it was
	 * taken stands: if it was not dirty nobody has written, and behind the answers nobody can ----
	 */
	testl %r12d, %r12d
	jnz counter
	movl $1, %r13d
1:	movl $FRAMES + 3, PT                    /* neither accessed nor dirty */
	ASK_OTHERS 0x40
	call sum
	movq %rax, %rbx
	movl %r13d, %ecx
	andl $0x3f, %ecx
	incl %ecx
2:	pause
	loop 2b
	xorl %eax, %eax
	testl $1, %r13d
	jz 3f
	movl $FRAMES + PTE_P, %eax
3:	xchgl %eax, PT
	movl %eax, %r14d
	ASK_OTHERS 0x40
	call sum
	movq %rax, %r15
	testl $PTE_D, %r14d
	jnz 4f
	cmpq %rbx, %r15
	CHECK e, 11
4:	movl $50, %ecx
5:	pause
	loop 5b
	call sum
	cmpq %rax, %r15
	CHECK e, 12
	testl $PTE_D, PT
	CHECK z, 13
	incl %r13d
	cmpl $FEW, %r13d
	jbe 1b
	movl $FRAMES + 3, PT
	movl $1, ended
	jmp counted
counter:
	movl %r12d, %edi
	shll $6, %edi
	addl $PAGE, %edi
	xorl %ebx, %ebx
1:	incl %ebx                               /* checked together, and in a loop of its own */
	incl (%rdi)
	addl $2, 8(%rdi)
	movl %ebx, 16(%rdi)
	movl $8, %ecx
2:	addl $1, 24(%rdi)
	decl %ecx
	jnz 2b
	lock incl PAGE + 8 * 64
	cmpl $0, ended
	je 1b
	cmpl %ebx, (%rdi)
	CHECK e, 14
	cmpl %ebx, 16(%rdi)
	CHECK e, 15
	leal (%rbx, %rbx), %eax
	cmpl %eax, 8(%rdi)
	CHECK e, 16
	shll $2, %eax
	cmpl %eax, 24(%rdi)
	CHECK e, 17
	lock addl %ebx, all_turns
counted:
	MEET
	movl all_turns, %eax
	cmpl %eax, FRAMES + 8 * 64
	CHECK e, 18
	testl %r12d, %r12d
	jnz 1f
	PASS
1:	hlt
	jmp 1b

/* RAX: a sum over all that the others write in the page, looked at where it lies. RSI, RCX are used. */
sum:
	xorl %eax, %eax
	movl $FRAMES, %esi
	movl $(8 * 64 + 8) / 8, %ecx
1:	addq (%rsi), %rax
	rorq $3, %rax
	addl $8, %esi
	loop 1b
	ret

/* ---- handlers ---- */
on_breakpoint:                                  /* does the instruction's work */
	cmpq $site + 1, (%rsp)
	CHECK e, 20
	movl $TRAPPED, %eax
	movq $site + 5, (%rsp)
	iretq
on_page_fault:                                  /* of a write; waits until it may be done, and answers meanwhile */
	testl $2, (%rsp)
	CHECK nz, 21
	sti
1:	pause
	pushq %rax
	movl PT, %eax
	andl $PTE_P + PTE_W, %eax
	cmpl $PTE_P + PTE_W, %eax
	popq %rax
	jne 1b
	addq $8, %rsp
	iretq
on_shootdown:
	pushq %rdx
	invlpg PAGE
	lock incl answers
	APIC_WRITE 0xb0, $0
	popq %rdx
	iretq
on_sync:                                        /* IRET serializes */
	pushq %rdx
	lock incl answers
	APIC_WRITE 0xb0, $0
	popq %rdx
	iretq

	.balign 4096
begun:	.long 0
ended:	.long 0
answers: .long 0
all_turns: .long 0
bits:	.long 0
byte_lock: .long 0
ticket:	.word 0
serving: .word 0
	.balign 64
pair:	.quad 0, -1
	.balign 64
wants:	.fill CPUS * 64, 1, 0
in_pairs: .fill CPUS * 32, 1, 0
	.balign 2048
	.fill 1984, 1, 0
guarded: .fill 3008, 1, 0
