/*
 * linuxboot.S - option ROM that boots what -kernel names.
 *
 * A bootable Plug and Play option ROM (BIOS Boot Specification 1.01, 3.3; PnP BIOS 1.0A,
 * 3.2). Its boot entry copies blobs out of the firmware configuration device by DMA as a
 * script says that linux_boot.c writes into it, asks INT 15h E820h for the memory map if
 * told to, and jumps: in real mode to a Linux setup sector, or in flat 32-bit mode to an
 * ELF or multiboot entry. Kept in the program's read-only data; all addresses
 * are differences of labels, so that nothing is left to relocate.
 */
	.section .rodata
	.globl linuxboot_rom, linuxboot_rom_end, linuxboot_rom_script
	.balign 16
#define AT(label) ((label) - linuxboot_rom)

	.code16
linuxboot_rom:
	.byte 0x55, 0xaa
	.byte (linuxboot_rom_end - linuxboot_rom) / 512
	lretw                       /* initialization: nothing to do */
	.org linuxboot_rom + 0x18
	.word 0                     /* no PCI data structure */
	.word AT(pnp)
	.org linuxboot_rom + 0x20
pnp:
	.ascii "$PnP"
	.byte 1, 2                  /* revision, length in 16 bytes */
	.word 0                     /* no further header */
	.byte 0, 0                  /* reserved; checksum, by linux_boot.c */
	.long 0                     /* device */
	.word AT(maker), AT(product)
	.byte 0, 0x80, 0            /* type: not a disk, a boot device */
	.byte 0xe4                  /* DDIM, shadowable, initial program load */
	.word 0, 0                  /* no boot connection, no disconnect */
	.word AT(boot)              /* bootstrap entry */
	.word 0, 0
maker:
	.asciz "Vivarium"
product:
	.asciz "Linux loader"

	.balign 4
/* struct RomScript of linux_boot.c */
linuxboot_rom_script:
s_mode:       .byte 0           /* 0: real mode, 1: flat 32-bit mode */
s_loads:      .byte 0           /* entries in s_load */
s_map_offset: .byte 0           /* where in a map entry of 24 bytes E820's 20 go */
s_map_scale:  .byte 0           /* the count is multiplied by this */
s_map_seg:    .word 0           /* segment that takes the map; 0: none wanted */
s_count_seg:  .word 0           /* segment whose first dword takes the count */
s_entry:      .long 0           /* real mode: code segment; flat: address */
s_eax:        .long 0           /* real mode: SP; flat: EAX */
s_ebx:        .long 0           /* real mode: data and stack segment; flat: EBX */
s_load:       .fill 6 * 12, 1, 0 /* key, zero, address, length: 2, 2, 4, 4 */

	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff    /* 08h: flat code */
	.quad 0x00cf93000000ffff    /* 10h: flat data */
gdt_end:

/* Entry from INT 19h. CS is where firmware put this ROM; it is read only by now. */
boot:
	cli
	cld
	xorw %ax, %ax
	movw %ax, %ss
	movl $0x7c00, %esp
	movw %cs, %ax
	movw %ax, %ds
	movzbw AT(s_loads), %cx
	movw $AT(s_load), %si
1:	jcxz 2f
	call load
	addw $12, %si
	decw %cx
	jmp 1b
2:	cmpw $0, AT(s_map_seg)
	je 3f
	call map
3:	cmpb $0, AT(s_mode)
	jne flat

	movl AT(s_eax), %esp
	movw AT(s_ebx), %ax
	movw %ax, %ss
	movw AT(s_entry), %bx
	pushw %bx
	pushw $0
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	lretw

/* One DMA transfer, described at DS:SI; the request is built on the stack, big endian. */
load:
	pushl $0
	pushl $0
	pushl $0
	pushl $0
	movw %sp, %bp
	movl 4(%si), %eax
	bswapl %eax
	movl %eax, 12(%bp)          /* low half of the address */
	movl 8(%si), %eax
	bswapl %eax
	movl %eax, 4(%bp)
	movzwl (%si), %eax
	shll $16, %eax
	orl $0x0a, %eax             /* select, read */
	bswapl %eax
	movl %eax, (%bp)
	xorl %eax, %eax
	movw $0x514, %dx
	outl %eax, %dx
	movzwl %bp, %eax            /* SS is 0 */
	bswapl %eax
	movw $0x518, %dx
	outl %eax, %dx
4:	movl (%bp), %eax
	bswapl %eax
	testl $1, %eax              /* refused: no sense in going on */
	jnz fail
	testl %eax, %eax
	jnz 4b
	addw $16, %sp
	ret

fail:
	movw $AT(message), %si
	xorw %bx, %bx
5:	lodsb
	testb %al, %al
	jz 6f
	movb $0x0e, %ah
	pushw %si
	int $0x10
	popw %si
	jmp 5b
6:	hlt
	jmp 6b
message:
	.asciz "Vivarium: the kernel could not be read from the machine.\r\n"

/* The firmware's memory map, 24 bytes an entry; never more than 128 of them. */
map:
	movw AT(s_map_seg), %es
	xorl %ebx, %ebx
	xorw %di, %di
	xorl %esi, %esi
7:	movl $20, %es:(%di)         /* multiboot's size field; else written over */
	movl $0, %es:20(%di)
	movzbw AT(s_map_offset), %ax
	pushw %di
	addw %ax, %di
	movl $0xe820, %eax
	movl $20, %ecx
	movl $0x534d4150, %edx      /* "SMAP" */
	pushl %esi
	int $0x15
	popl %esi
	popw %di
	jc 8f
	cmpl $0x534d4150, %eax
	jne 8f
	addw $24, %di
	incl %esi
	cmpl $128, %esi
	jae 8f
	testl %ebx, %ebx
	jnz 7b
8:	movzbl AT(s_map_scale), %eax
	imull %esi, %eax
	movw AT(s_count_seg), %es
	movl %eax, %es:0
	cli
	ret

/* Flat mode: A20 on, GDT in this ROM, whose linear address is known only now. */
flat:
	inb $0x92, %al
	orb $2, %al
	andb $0xfe, %al
	outb %al, $0x92
	movl AT(s_entry), %esi
	movl AT(s_ebx), %ebx
	movl AT(s_eax), %ecx
	xorl %eax, %eax
	movw %cs, %ax
	shll $4, %eax
	movl %eax, %edi
	addl $AT(gdt), %eax
	pushl %eax
	pushw $(gdt_end - gdt - 1)
	movw %sp, %bp
	lgdtl (%bp)
	addl $AT(flat32), %edi
	pushl $0x08
	pushl %edi
	movw %sp, %bp
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl *(%bp)

	.code32
flat32:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	movl %ecx, %eax
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %edi, %edi
	xorl %ebp, %ebp
	jmp *%esi

	.org linuxboot_rom + 1024
linuxboot_rom_end:
	.section .note.GNU-stack, "", @progbits
