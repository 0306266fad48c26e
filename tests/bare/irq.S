/* irq.S - the 8254 through the 8259s, then the local APIC's timer and an interrupt to oneself. */
#include "bare.inc"
#include "pm32.inc"
start:
	ENTER_PM main
	.code32
main:
	/* gates 0x20 (PIT), 0x30 (APIC timer), 0x31 (own), 0x3f (spurious) */
	movl $on_pit, %eax
	movl $idt + 0x20*8, %edi
	call one_gate
	movl $on_apic, %eax
	movl $idt + 0x30*8, %edi
	call one_gate
	movl $on_self, %eax
	call one_gate
	movl $on_spurious, %eax
	movl $idt + 0x3f*8, %edi
	call one_gate
	/* 8259s at 0x20 and 0x28, only line 0 open; 8254 channel 0 at 1 kHz, mode 2 */
	movl $pic_script, %esi
	movl $13, %ecx
	xorl %edx, %edx
1:	lodsb
	movb %al, %dl
	lodsb
	outb %al, %dx
	loop 1b
	sti
1:	hlt
	cmpl $20, ticks
	jb 1b
	cli
	CHECK ae, 1
	/* masked: none comes */
	movb $0xff, %al
	outb %al, $0x21
	movl ticks, %ebx
	sti
	movl $100000, %ecx
1:	pause
	loop 1b
	cli
	cmpl ticks, %ebx
	CHECK e, 2

	/* the local APIC: software enable, one-shot timer */
	movl $0x13f, LAPIC + 0xf0
	movl $0xb, LAPIC + 0x3e0
	movl $0x30, LAPIC + 0x320
	movl $10000, LAPIC + 0x380
	sti
1:	hlt
	cmpl $1, apic_ticks
	jb 1b
	cli
	cmpl $0, LAPIC + 0x390                  /* stays at 0 */
	CHECK e, 3
	/* periodic */
	movl $0x20030, LAPIC + 0x320
	movl $100000, LAPIC + 0x380
	sti
1:	hlt
	cmpl $10, apic_ticks
	jb 1b
	cli
	movl $0x10000, LAPIC + 0x320
	/* to oneself by the shorthand; held back by the task priority, then let in */
	movl $0x40, LAPIC + 0x80
	movl $0x40031, LAPIC + 0x300
	testl $2, LAPIC + 0x210                 /* requested */
	CHECK z, 4                              /* 0x31 is bit 17 */
	testl $0x20000, LAPIC + 0x210
	CHECK nz, 5
	sti
	nop
	nop
	cmpl $0, own
	CHECK e, 6
	movl $0, LAPIC + 0x80
	movl $1000, %ecx                        /* it may take a moment */
1:	pause
	loop 1b
	cli
	cmpl $1, own
	CHECK e, 7
	/* an STI lets one more instruction run before an interrupt */
	movl $0x40031, LAPIC + 0x300
	sti
	incl order
	cli
	cmpl $2, own
	CHECK e, 8
	cmpl $1, order_seen
	CHECK e, 9
	/* and none at all between STI and CLI */
	movl $0x40031, LAPIC + 0x300
	sti
	cli
	cmpl $2, own
	CHECK e, 11
	cmpl $0, spurious
	CHECK e, 10
	PASS

on_pit:	incl ticks
	pushl %eax
	movb $0x20, %al
	outb %al, $0x20
	popl %eax
	iretl
on_apic:
	incl apic_ticks
	movl $0, LAPIC + 0xb0
	iretl
on_self:
	incl own
	pushl order
	popl order_seen
	movl $0, LAPIC + 0xb0
	iretl
on_spurious:
	incl spurious
	iretl

pic_script:
	.byte 0x20, 0x11, 0xa0, 0x11, 0x21, 0x20, 0xa1, 0x28, 0x21, 4, 0xa1, 2, 0x21, 1, 0xa1, 1
	.byte 0x21, 0xfe, 0xa1, 0xff, 0x43, 0x34, 0x40, 0xa9
	.byte 0x40, 0x04
	.balign 4
ticks:	.long 0
apic_ticks: .long 0
own:	.long 0
order:	.long 0
order_seen: .long 0
spurious: .long 0
