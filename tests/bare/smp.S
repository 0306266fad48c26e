/* smp.S - two cpus: INIT and SIPI, an interrupt between them, locked counting, code changed by the other. */
#include "bare.inc"
#include "pm32.inc"
#include "mp.inc"
#define ROUNDS 20000
start:
	SECOND_AT_8000
	ENTER_PM main
	.code32
main:
	movl $on_call, %eax
	movl $idt + 0x40*8, %edi
	call one_gate
	call start_second
	call pause_a_bit
	movl $0xc4608, LAPIC + 0x300            /* the second one must not start it again */
1:	pause
	cmpl $1, arrived
	jb 1b
	/* it sleeps: wake it */
	movl $0xc4040, LAPIC + 0x300
1:	pause
	cmpl $1, called
	jb 1b
	/* both count, with and without the other's help */
	movl $1, go
	movl $ROUNDS, %ecx
1:	lock incl counter
	movl $1, %eax
	lock xaddl %eax, counter
	loop 1b
	movl $1, %eax
1:	pause
	cmpl $1, done
	jb 1b
	cmpl $ROUNDS * 4, counter
	CHECK e, 1
	/* a spin lock around a counter that is not atomic */
	movl $2, go
	call count_locked
1:	pause
	cmpl $2, done
	jb 1b
	cmpl $ROUNDS * 2, plain
	CHECK e, 2
	cmpl $1, arrived
	CHECK e, 3
	/* the other one calls code that this one changes */
	movl $3, go
1:	pause
	cmpl $0x11111111, got
	jne 1b
	movl $0x22222222, patched + 1
1:	pause
	cmpl $0x22222222, got
	jne 1b
	movl $4, go
1:	pause
	cmpl $3, done
	jb 1b
	PASS

count_locked:
	movl $ROUNDS, %ecx
1:	lock btsl $0, spin
	jnc 2f
	pause
	jmp 1b
2:	incl plain
	movl $0, spin
	loop 1b
	ret
patched:
	movl $0x11111111, %eax
	ret
on_call:
	incl called
	movl $0, LAPIC + 0xb0
	iretl

second_main:
	movl $0x13f, LAPIC + 0xf0
	lock incl arrived
	sti
1:	hlt
	cmpl $1, called
	jb 1b
	cli
1:	pause
	cmpl $1, go
	jb 1b
	movl $ROUNDS * 2, %ecx
1:	lock incl counter
	loop 1b
	movl $1, done
1:	pause
	cmpl $2, go
	jb 1b
	call count_locked
	movl $2, done
1:	pause
	cmpl $3, go
	jb 1b
1:	call patched
	movl %eax, got
	cmpl $4, go
	jb 1b
	movl $3, done
1:	hlt
	jmp 1b

	.balign 64
arrived: .long 0
called:	.long 0
go:	.long 0
done:	.long 0
counter: .long 0
plain:	.long 0
spin:	.long 0
got:	.long 0
