/* v86.S - virtual 8086 mode: entry by IRET, what faults with IOPL 0, INT through the IDT with IOPL 3. */
#include "bare.inc"
#include "pm32.inc"
.macro ENTER_V86 label, flags
	pushl $0                        /* GS, FS, DS, ES, SS, ESP, EFLAGS, CS, EIP */
	pushl $0
	pushl $0x1000
	pushl $0x1000
	pushl $0x1000
	pushl $0xd000
	pushl $(0x20002 | \flags)
	pushl $0x1000
	pushl $O(\label)
	iretl
.endm
start:
	ENTER_PM main
	.code32
main:
	/* gates: #GP to the monitor, 0x42 to the end of the IOPL 3 part */
	movl $idt + 13*8, %edi
	movl $on_gp, %eax
	call one_gate
	movl $idt + 0x42*8, %edi
	movl $on_42, %eax
	call one_gate
	movb $0xee, idt + 0x42*8 + 5
	ENTER_V86 guest, 0

	.code16
guest:	movw %cs, %ax
	cmpw $0x1000, %ax
	jne 8f
	movw $0x2345, %bx
	movw %bx, O(word)               /* segment times 16, as in real mode */
	cmpw $0x2345, O(word)
	jne 8f
	movw $0x100, %ax
	movw %ax, %es
	movb $0x77, %es:0x20            /* 0x1020 */
g_cli:	cli
g_sti:	sti
g_pushf: pushfw
g_int:	int $0x21
g_iret:	iretw
g_hlt:	hlt
g_in:	inb $0x70, %al
	jmp .
8:	movb $0x3f, %al                 /* a fault that is not expected */
	outb %al, $0x71

	.code32
/* What faulted must be the next of the list; goes on behind it. */
on_gp:	pushl %eax
	pushl %esi
	testl $0x20000, 20(%esp)        /* VM in the saved flags */
	CHECK nz, 1
	cmpw $0, 8(%esp)                /* error code */
	CHECK e, 2
	mov %ds, %ax                    /* data segments are emptied on entry */
	testw %ax, %ax
	CHECK z, 3
	movl $0x10, %eax
	mov %ax, %ds
	mov %ax, %es
	cmpl $0x100, 32(%esp)           /* ES of the guest */
	CHECK e, 4
	movl next, %esi
	movzwl list(%esi), %eax
	testl %eax, %eax
	jz all_seen
	cmpl %eax, 12(%esp)
	CHECK e, 5
	movzwl list + 2(%esi), %eax
	movl %eax, 12(%esp)
	addl $4, next
	popl %esi
	popl %eax
	addl $4, %esp
	iretl
all_seen:
	cmpb $0x77, 0x1020
	CHECK e, 6
	cmpl $24, next
	CHECK e, 7
	movl $0x1e000, %esp
	ENTER_V86 guest3, 0x3000

	.code16
guest3:	cli
	pushfw
	popw %ax
	testw $0x200, %ax
	jnz 8b
	sti
	movw $0x55aa, %ax
	int $0x42
back_from_42:
	jmp .

	.code32
on_42:	cmpw $0x55aa, %ax
	CHECK e, 10
	movl $0x10, %eax
	mov %ax, %ds
	cmpl $O(back_from_42), (%esp)
	CHECK e, 11
	testl $0x20000, 8(%esp)
	CHECK nz, 12
	cmpl $0xd000, 12(%esp)
	CHECK e, 13
	cmpl $0x1cfdc, %esp
	CHECK e, 14
	PASS

	.balign 4
next:	.long 0
list:	.word O(g_cli), O(g_sti), O(g_sti), O(g_pushf), O(g_pushf), O(g_int)
	.word O(g_int), O(g_iret), O(g_iret), O(g_hlt), O(g_hlt), O(g_in)
	.word 0, 0
word:	.word 0
