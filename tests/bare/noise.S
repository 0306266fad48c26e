/* noise.S - random reads and writes at ports and at memory that is nobody's or a device's. */
#include "bare.inc"
#include "pm32.inc"
#define ROUNDS 30000
start:
	ENTER_PM main
	.code32
main:
	fninit                         /* out of reset all x87 exceptions are unmasked */
	movl $ROUNDS, %ebp
	movl $0x2545f491, %ebx
again:
	call random
	movl %ebx, %edx
	shrl $9, %edx
	andl $0xffff, %edx
	/* ports that end the run are left alone: 64h, 92h, CF8h..CFFh, 500h..51fh and power management's */
	cmpl $0x64, %edx
	je port_done
	cmpl $0x92, %edx
	je port_done
	movl %edx, %eax
	andl $0xfff8, %eax
	cmpl $0xcf8, %eax
	je port_done
	cmpl $0x500, %eax
	je port_done
	cmpl $0x510, %eax              /* fw_cfg: its DMA writes anywhere */
	je port_done
	cmpl $0x518, %eax
	je port_done
	andl $0xff00, %eax
	cmpl $0xb000, %eax
	je port_done
	cmpl $0x600, %eax
	je port_done
	movl %ebx, %eax
	testl $1, %ebx
	jnz 1f
	inb %dx, %al
	inw %dx, %ax
	inl %dx, %eax
	jmp port_done
1:	outb %al, %dx
	outl %eax, %dx
port_done:
	call random
	movl %ebx, %esi
	orl $0xe0000000, %esi
	testl $0x100, %ebx
	jz 1f
	andl $0x3ffff, %esi            /* the text and graphics window and option ROMs */
	orl $0xa0000, %esi
1:	movl %esi, %eax
	testl $2, %ebx
	jz 2f
	movb (%esi), %al
	movw 1(%esi), %ax
	movl 3(%esi), %eax
	fildll (%esi)
	fstp %st(0)
	jmp 3f
2:	movl %esi, %eax
	andl $0xfff00000, %eax
	cmpl $0xfee00000, %eax         /* its own local APIC would send INIT to it */
	je 3f
	movb %al, (%esi)
	movl %eax, 5(%esi)
3:	decl %ebp
	jnz again
	PASS
random:
	imull $1664525, %ebx
	addl $1013904223, %ebx
	ret
