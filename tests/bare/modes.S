/*
 * modes.S - a boot sector that sets a video mode and fills the screen; tests/guest/screen.py patches which.
 *
 * At 1F0h: the mode (INT 10h, AX; with bit 14 or above 100h a VBE mode), at 1F2h what to draw. When it is done it writes 'D'
 * to port E9h and stands still.
 */
	.code16
	.globl _start
_start:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %ss
	movw $0x7c00, %sp
	cld
	movw mode, %ax
	testb %ah, %ah
	jz 1f
	movw %ax, %bx
	movw $0x4f02, %ax
1:	int $0x10
	movw $0x0103, %ax       /* no cursor */
	movb $1, %ah
	movw $0x2000, %cx
	int $0x10
	movw $0xa000, %ax
	movw %ax, %es
	xorw %di, %di
	movw draw, %bx
	shlw $1, %bx
	call *table(%bx)
	movb $'D', %al
	outb %al, $0xe9
2:	hlt
	jmp 2b

table:	.word text, text50, linear, mode_x, planar, cga, write_modes

/* Every character in every attribute, in turn. */
text:	movw $0xb800, %ax
	movw %ax, %es
	xorw %ax, %ax
	movw $2000, %cx
1:	stosw
	addw $0x0701, %ax
	loop 1b
	ret

/* The 8x8 font: fifty lines. */
text50:	movw $0x1112, %ax
	xorb %bl, %bl
	int $0x10
	movw $0xb800, %ax
	movw %ax, %es
	xorw %ax, %ax
	movw $4000, %cx
	jmp 1b

linear:	xorw %cx, %cx
1:	movw %di, %ax
	addb %ah, %al
	stosb
	loop 1b
	ret

/* 320x240-like: chain 4 off, a plane at a time, a split screen at line 100. */
mode_x:	movw $0x3c4, %dx
	movw $0x0604, %ax
	outw %ax, %dx
	movw $0x3d4, %dx
	movw $0x0014, %ax
	outw %ax, %dx
	movw $0xe317, %ax
	outw %ax, %dx
	movw $0x6418, %ax       /* line compare 64h, its upper bits 0 */
	outw %ax, %dx
	movb $0x11, %al
	outb %al, %dx
	incw %dx
	inb %dx, %al
	andb $0x7f, %al
	outb %al, %dx
	decw %dx
	movw $0x0f07, %ax
	outw %ax, %dx
	movw $0x0109, %ax
	outw %ax, %dx
	movw $0x100c, %ax       /* starts at 1000h */
	outw %ax, %dx
	movb $1, %bl
1:	movw $0x3c4, %dx
	movb $2, %al
	movb %bl, %ah
	outw %ax, %dx
	xorw %di, %di
	xorw %cx, %cx
2:	movw %di, %ax
	xorb %ah, %al
	addb %bl, %al
	stosb
	loop 2b
	shlb $1, %bl
	cmpb $16, %bl
	jne 1b
	ret

/* Sixteen colours: each plane another pattern. */
planar:	movb $1, %bl
1:	movw $0x3c4, %dx
	movb $2, %al
	movb %bl, %ah
	outw %ax, %dx
	xorw %di, %di
	movw $38400, %cx
2:	movw %di, %ax
	shrw %cl, %ax
	mulb %bl
	stosb
	loop 2b
	shlb $1, %bl
	cmpb $16, %bl
	jne 1b
	ret

cga:	movw $0xb800, %ax
	movw %ax, %es
	movw $0x4000, %cx
	jmp linear + 2

/* Set/reset, rotation, logic, bit mask, and write modes 1, 2 and 3 in bands of the screen. */
write_modes:
	movw $0x3ce, %dx
	movw $band, %si
	movb $10, %bl
1:	lodsw
	testw %ax, %ax
	js 3f
	outw %ax, %dx
	jmp 1b
3:	movw $3000, %cx
2:	movb %es:(%di), %al     /* latches */
	movw %di, %ax
	movb %al, %es:(%di)
	incw %di
	loop 2b
	decb %bl
	jnz 1b
	ret

band:	.word 0x0005, 0x0500, 0x0f01, -1
	.word 0x0301, 0x0303, -1
	.word 0x0001, 0x1003, 0x5a08, -1
	.word 0x1803, 0x0205, -1
	.word 0x0003, 0xff08, -1
	.word 0x0a00, 0x0305, 0x0203, -1
	.word 0x0105, -1
	.word 0x0205, 0x3c08, -1
	.word 0x0803, 0x0005, 0x0c01, -1
	.word 0x0000, 0x0001, 0xff08, 0x0003, -1

	.org 0x1f0
mode:	.word 3
draw:	.word 0
	.org 0x1fe
	.word 0xaa55
