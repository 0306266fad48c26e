/*
 * split.S - two cpus: locked instructions on an operand in two cache lines, and in two pages, exclude each other.
 * A lock of XCHG, one of CMPXCHG and one of BTS around a counter that is not atomic; XADD gives each number once.
 */
#include "bare.inc"
#include "pm32.inc"
#include "mp.inc"
#define ROUNDS 3000
#define LINE 0x3003e
#define PAGE 0x30ffe
start:
	SECOND_AT_8000
	ENTER_PM main
	.code32
main:
	call start_second
1:	pause
	cmpl $1, arrived
	jb 1b
	movl $LINE, place
	call both
	cmpl $ROUNDS * 6, plain
	CHECK e, 1
	cmpl $ROUNDS * 2, LINE + 0x80           /* XADD's counter */
	CHECK e, 2
	movl $PAGE, place
	call both
	cmpl $ROUNDS * 12, plain
	CHECK e, 3
	cmpl $ROUNDS * 2, PAGE + 0x1000
	CHECK e, 4
	/* Each number from XADD came once: their sum over both rounds and cpus. */
	movl sum, %eax
	addl sum2, %eax
	cmpl $2 * ROUNDS * (2 * ROUNDS - 1), %eax
	CHECK e, 5
	PASS

/* Runs `work` on both cpus, and waits for both. */
both:
	incl go
	movl $sum, %esi
	call work
	movl go, %eax
1:	pause
	cmpl %eax, done
	jb 1b
	ret

/* ESI: where this cpu adds up what XADD gave it. */
work:
	movl place, %ebx
	movl $0x80, %edi                        /* XADD's counter lies two lines, or a page, on */
	cmpl $LINE, %ebx
	je 1f
	movl $0x1000, %edi
1:	movl $ROUNDS, %ecx
2:	movl $0x80000001, %eax
3:	xchgl %eax, (%ebx)
	testl %eax, %eax
	jz 4f
	pause
	jmp 3b
4:	incl plain
	movl $0, (%ebx)
	loop 2b
	movl $ROUNDS, %ecx              /* whoever has the lock, bit 31 is set: the cpus need not be in step */
2:	xorl %eax, %eax
	movl $0x81000001, %edx
	lock cmpxchgl %edx, (%ebx)
	jz 4f
	pause
	jmp 2b
4:	incl plain
	movl $0, (%ebx)
	loop 2b
	movl $ROUNDS, %ecx
2:	lock btsl $31, (%ebx)
	jnc 4f
	pause
	jmp 2b
4:	incl plain
	movl $0, (%ebx)
	loop 2b
	movl $ROUNDS, %ecx
2:	movl $1, %eax
	lock xaddl %eax, (%ebx,%edi)
	addl %eax, (%esi)
	loop 2b
	ret

second_main:
	movl $1, arrived
	movl $sum2, %esi
	movl $1, %ebp
1:	pause
	cmpl %ebp, go
	jb 1b
	call work
	movl %ebp, done
	incl %ebp
	jmp 1b

	.balign 64
arrived: .long 0
go:	.long 0
done:	.long 0
place:	.long 0
plain:	.long 0
sum:	.long 0
	.balign 64
sum2:	.long 0
