/* paging.S - 32-bit and PAE paging: faults and their codes, A and D, WP, large pages, INVLPG, NX. */
#include "bare.inc"
#include "pm32.inc"
#define PD 0x20000
#define PT 0x21000
#define PDPT 0x22000
#define PD_PAE 0x23000
#define PT_PAE 0x24000
#define MSR_EFER 0xc0000080
start:
	ENTER_PM main
	.code32
main:
	/* 32-bit: the first 4 MiB through a table, identity; 400000h a large page on 0 */
	movl $PD, %edi
	xorl %eax, %eax
	movl $0x2800, %ecx
	rep stosl
	movl $PT + 7, PD
	movl $0x87, PD + 4
	movl $PT, %edi
	movl $7, %eax
	movl $1024, %ecx
1:	stosl
	addl $0x1000, %eax
	loop 1b
	movl $0x30001, PT + 0x30*4             /* read-only, supervisor */
	movl $0x31003, PT + 0x31*4             /* supervisor */
	movl $0, PT + 0x32*4                   /* absent */
	movl %cr4, %eax
	orl $0x10, %eax                        /* PSE */
	movl %eax, %cr4
	movl $PD, %eax
	movl %eax, %cr3
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0

	EXPECT 1, 14, 0, movl 0x32004, %eax
	cmpl $0x32004, seen_cr2
	CHECK e, 1
	EXPECT 2, 14, 2, movl %eax, 0x32008
	movl $0x11223344, 0x30000              /* WP is off: allowed */
	movl %cr0, %eax
	orl $0x10000, %eax
	movl %eax, %cr0
	EXPECT 3, 14, 3, movl %eax, 0x30000
	/* an access that crosses into the absent page names the second page */
	EXPECT 4, 14, 0, movl 0x31ffe, %eax
	cmpl $0x32000, seen_cr2
	CHECK e, 4
	/* accessed and dirty */
	testl $0x60, PT + 0x33*4
	CHECK z, 5
	movl 0x33000, %eax
	movl PT + 0x33*4, %eax
	andl $0x60, %eax
	cmpl $0x20, %eax
	CHECK e, 6
	movl %eax, 0x33000
	testl $0x40, PT + 0x33*4
	CHECK nz, 7
	/* the large page */
	movl $0xcafe, 0x34000
	cmpl $0xcafe, 0x434000
	CHECK e, 8
	testl $0x40, PD + 4
	CHECK z, 9
	movl $0xbabe, 0x434000
	cmpl $0xbabe, 0x34000
	CHECK e, 10
	testl $0x40, PD + 4
	CHECK nz, 11
	/* a changed entry counts after INVLPG */
	movl $0x1234, 0x36000
	movl 0x35000, %eax
	movl $0x36007, PT + 0x35*4
	invlpg 0x35000
	cmpl $0x1234, 0x35000
	CHECK e, 12
	/* executing from there, and from the absent page: an instruction fetch without NX says nothing of it */
	movb $0xc3, 0x36010
	movl $0x35010, %eax
	call *%eax
	movl $-1, seen_vec
	movl $1f, resume
	movl $0x32000, %eax
	jmp *%eax
1:	cmpl $14, seen_vec
	CHECK e, 13
	cmpl $0, seen_err
	CHECK e, 13
	cmpl $0x32000, seen_eip
	CHECK e, 13

	/* ring 3 */
	pushl $0x2b
	pushl $0x1b000
	pushl $0x3002                          /* IOPL 3: FAIL must work */
	pushl $0x23
	pushl $ring3
	movw $0x8e00 | 0x6000, idt + 0x41*8 + 4
	movw $0x08, idt + 0x41*8 + 2
	movw $O(ring0), idt + 0x41*8
	movw $1, idt + 0x41*8 + 6
	iretl
ring3:	movw $0x2b, %ax
	mov %ax, %ds
	mov %ax, %es
	EXPECT 14, 14, 5, movl 0x31000, %eax
	EXPECT 15, 14, 7, movl %eax, 0x31000
	EXPECT 16, 14, 4, movl 0x32000, %eax
	int $0x41
ring0:
	movl $0x1e000, %esp
	movw $0x10, %ax
	mov %ax, %ds
	mov %ax, %es

	/* PAE with NX: the first 2 MiB through a table, 2 MiB a large page on 0 */
	movl %cr0, %eax
	andl $0x7fffffff, %eax
	movl %eax, %cr0
	movl $PD_PAE + 1, PDPT
	movl $PT_PAE + 7, PD_PAE
	movl $0x87, PD_PAE + 8
	movl $0x80000000, PD_PAE + 12
	movl $PT_PAE, %edi
	movl $7, %eax
	movl $512, %ecx
1:	movl %eax, (%edi)
	movl $0, 4(%edi)
	addl $8, %edi
	addl $0x1000, %eax
	loop 1b
	movl $0, PT_PAE + 0x32*8
	movl %cr4, %eax
	orl $0x20, %eax
	movl %eax, %cr4
	movl $MSR_EFER, %ecx
	rdmsr
	orl $0x800, %eax
	wrmsr
	movl $PDPT, %eax
	movl %eax, %cr3
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	movl $0x5678, 0x34000
	cmpl $0x5678, 0x234000
	CHECK e, 17
	EXPECT 18, 14, 0, movl 0x32000, %eax
	movl $-1, seen_vec
	movl $1f, resume
	movb $0xc3, 0x34000
	movl $0x234000, %eax
	call *%eax
1:	cmpl $14, seen_vec
	CHECK e, 19
	cmpl $0x11, seen_err                   /* instruction fetch, present */
	CHECK e, 19
	cmpl $0x234000, seen_cr2
	CHECK e, 19
	movl $0x40000000, PT_PAE + 0x35*8 + 4  /* reserved bit 62 */
	EXPECT 20, 14, 9, movl 0x35000, %eax
	/* a PDPTE with a reserved bit is refused when CR3 is loaded */
	movl $0x1e7, PDPT + 8
	movl $PDPT, %ebx
	EXPECT 21, 13, 0, movl %ebx, %cr3
	PASS
