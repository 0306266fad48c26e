/*
 * typed.S - a boot sector that tells of its keyboard, serial line and mouse: what is typed on
 * either of the former appears on the screen and on the line, and mouse buttons do as "<n>".
 * By the BIOS: INT 10h, 14h, 15h (C2xxh), 16h.
 */
	.code16
	.globl _start
_start:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7000, %sp
	movw $0x00e3, %ax	/* 9600 8N1 */
	xorw %dx, %dx
	int $0x14
	movw $0xc205, %ax	/* mouse: packets of three bytes, this handler, on */
	movb $3, %bh
	int $0x15
	movw $0xc207, %ax
	movw $on_mouse, %bx
	int $0x15
	movw $0xc200, %ax
	movb $1, %bh
	int $0x15
	movw $ready, %si
1:	lodsb
	testb %al, %al
	jz loop
	call emit
	jmp 1b

loop:
	movb $1, %ah
	int $0x16
	jz 1f
	movb $0, %ah
	int $0x16
	call emit
	jmp loop
1:	movb $3, %ah
	xorw %dx, %dx
	int $0x14
	testb $1, %ah
	jz 2f
	movb $2, %ah
	xorw %dx, %dx
	int $0x14
	call emit
	jmp loop
2:	movw taken, %bx
	cmpw put, %bx
	jne 3f
	hlt
	jmp loop
3:	movb $'<', %al
	call emit
	movw taken, %bx
	incw taken
	andw $15, %bx
	movb states(%bx), %al
	addb $'0', %al
	call emit
	movb $'>', %al
	call emit
	jmp loop

/* The character in al, and a line feed behind a carriage return. */
emit:
	pushw %ax
	movw $0x0007, %bx
	movb $0x0e, %ah
	int $0x10
	popw %ax
	pushw %ax
	movb $1, %ah
	xorw %dx, %dx
	int $0x14
	popw %ax
	cmpb $13, %al
	jne 1f
	movb $10, %al
	jmp emit
1:	ret

/* Far-called with 0, y, x, status above the return address. */
on_mouse:
	pushw %bp
	pushw %ax
	pushw %bx
	pushw %ds
	movw %sp, %bp
	xorw %ax, %ax
	movw %ax, %ds
	movb 18(%bp), %al
	andb $7, %al
	cmpb %al, buttons
	je 1f
	movb %al, buttons
	movw put, %bx
	andw $15, %bx
	movb %al, states(%bx)
	incw put
1:	popw %ds
	popw %bx
	popw %ax
	popw %bp
	lret

ready:	.asciz "ready\r"
buttons: .byte 0		/* that are down */
states:	.fill 16, 1, 0		/* that they were in, not told yet: from taken to put */
put:	.word 0
taken:	.word 0
	.org 510
	.word 0xaa55
