/*
 * watchdog.S - the i6300esb in slot 5, programmed as a driver does, then forgotten.
 *
 * With -watchdog-action inject-nmi an NMI comes; with reset the second life finds the bit that
 * tells of it.
 */
#include "bare.inc"
#include "pm32.inc"
#define FUNCTION 0x80002800      /* bus 0, slot 5 */
#define REGS 0xfeb00000
#define TICKS 20000              /* of a microsecond, nearly: as long as a stage takes */
.macro CONFIG reg, value, insn, reg_a
	movw $0xcf8, %dx
	movl $(FUNCTION + (\reg & 0xfc)), %eax
	outl %eax, %dx
	movw $(0xcfc + (\reg & 3)), %dx
	movl $\value, %eax
	\insn %\reg_a, %dx
.endm
.macro UNLOCK
	movw $0x80, REGS + 0xc
	movw $0x86, REGS + 0xc
.endm
start:
	ENTER_PM main
	.code32
main:
	movw $0xcf8, %dx
	movl $FUNCTION, %eax
	outl %eax, %dx
	movw $0xcfc, %dx
	inl %dx, %eax
	cmpl $0x25ab8086, %eax
	CHECK e, 1
	CONFIG 0x10, REGS, outl, eax
	CONFIG 0x04, 2, outw, ax
	testw $0x200, REGS + 0xc    /* a reset of the watchdog's doing */
	jz first_life
	PASS
first_life:
	UNLOCK
	movl $TICKS, REGS
	UNLOCK
	movl $TICKS, REGS + 4
	movl $0x1ff, LAPIC + 0xf0   /* the local APIC is on, and its LINT1 an NMI */
	movl $0x400, LAPIC + 0x360
	movl $forgotten, resume
	CONFIG 0x60, 7, outw, ax    /* no interrupt, 1 MHz */
	CONFIG 0x68, 2, outb, al
2:	hlt
	jmp 2b
forgotten:
	cmpl $2, seen_vec
	CHECK e, 2
	PASS
