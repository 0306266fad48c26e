/*
 * loops.S - half of the uppermost page table's entries lead back to itself: a monitor that walks it
 * must come to an end.
 */
#include "bare.inc"
#include "pm32.inc"
#define PML4 0x20000
start:
	ENTER_PM main
	.code32
main:
	movl $PML4, %edi
	xorl %eax, %eax
	movl $0xc00, %ecx
	rep stosl
	movl $PML4 + 0x1007, PML4
	movl $PML4 + 0x2007, PML4 + 0x1000
	movl $0x87, PML4 + 0x2000
	movl $PML4 + 0x800, %edi
1:	movl $PML4 + 7, (%edi)
	addl $8, %edi
	cmpl $PML4 + 0x1000, %edi
	jne 1b
	movl %cr4, %eax
	orl $0x20, %eax
	movl %eax, %cr4
	movl $PML4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	movl $0x100, %eax
	xorl %edx, %edx
	wrmsr
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	PASS
