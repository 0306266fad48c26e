/*
 * echo.S - answers on the first serial line: says "ready", then sends back what comes.
 * ^F: sends letters for ever. ^P and a byte: prints the byte on the first parallel port.
 * ^Q: ends. A break is answered by "[break]".
 */
#include "bare.inc"
#define COM 0x3f8
#define LPT 0x378

.macro OUTP port, value
	movw $\port, %dx
	movb $\value, %al
	outb %al, %dx
.endm

start:
	xorb %bl, %bl
	OUTP COM+3, 0x80               /* 115200 8N1 */
	OUTP COM, 1
	OUTP COM+1, 0
	OUTP COM+3, 0x03
	OUTP COM+2, 0x07               /* FIFOs */
	OUTP COM+4, 0x03
	movw $O(ready), %si
	call print
again:
	call receive
	cmpb $0x06, %al
	je flood
	cmpb $0x10, %al
	je parallel
	cmpb $0x11, %al
	je done
	call send
	jmp again
done:
	PASS

flood:
	movb $'A', %al
1:	call send
	incb %al
	cmpb $'Z', %al
	jbe 1b
	jmp flood

parallel:
	call receive
	movw $LPT, %dx
	outb %al, %dx
	incw %dx
1:	inb %dx, %al                   /* until it is not busy */
	testb $0x80, %al
	jz 1b
	OUTP LPT+2, 0x0d               /* strobe */
	OUTP LPT+2, 0x0c
	jmp again

/* AL = the next byte; a break is answered here. BL: errors seen by `send`, which reading clears. */
receive:
	movw $COM+5, %dx
	inb %dx, %al
	orb %al, %bl
	testb $0x10, %bl
	jnz 2f
	testb $0x01, %al
	jz receive
	movw $COM, %dx
	inb %dx, %al
	ret
2:	xorb %bl, %bl
	movw $COM, %dx                 /* the zero that came with it */
	inb %dx, %al
	movw $O(broken), %si
	call print
	jmp receive

/* Sends AL. */
send:
	pushw %ax
	movw $COM+5, %dx
1:	inb %dx, %al
	orb %al, %bl
	testb $0x20, %al
	jz 1b
	popw %ax
	movw $COM, %dx
	outb %al, %dx
	ret

/* Sends the text at DS:SI. */
print:
	lodsb
	testb %al, %al
	jz 1f
	call send
	jmp print
1:	ret

ready:
	.asciz "ready\r\n"
broken:
	.asciz "[break]"
