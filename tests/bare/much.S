/* much.S - more code than a small cache of translations holds, again and again, now and then changed. */
#include "bare.inc"
#include "pm32.inc"
#define CODE 0x200000
#define PIECES 8192             /* of 16 bytes: add to EAX, jump to the next one */
#define PASSES 30
start:
	ENTER_PM main
	.code32
main:
	movl $CODE, %edi
	movl $1, %eax
1:	movb $0x05, (%edi)              /* add $number, %eax */
	movl %eax, 1(%edi)
	movb $0xe9, 5(%edi)             /* jmp */
	movl $6, 6(%edi)
	addl $16, %edi
	incl %eax
	cmpl $PIECES + 1, %eax
	jne 1b
	movb $0xc3, (%edi)
	movl $PASSES, %ebp
	movl $PIECES * (PIECES + 1) / 2, %esi
2:	xorl %eax, %eax
	movl $CODE, %ecx
	call *%ecx
	cmpl %esi, %eax
	CHECK e, 1
	imull $37 * 16, %ebp, %edx      /* another piece each time; the others of its page are made anew */
	incl CODE + 1(%edx)
	incl %esi
	decl %ebp
	jnz 2b
	PASS
