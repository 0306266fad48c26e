/*
 * telnet.c - see telnet.h.
 *
 * RFC 854 (protocol), 855 (options), 856 (binary), 857 (echo), 858 (suppress go ahead). What
 * this end wants is said once; the peer's answers and wishes are taken out and not argued
 * with, so that no exchange can go on for ever. Subnegotiations are skipped.
 */
#include "chardev/telnet.h"

enum {
	SE = 240, BRK = 243, IP = 244, SB = 250, WILL = 251, WONT = 252, DO = 253, DONT = 254,
	IAC = 255,
};
enum { OPT_BINARY = 0, OPT_ECHO = 1, OPT_SGA = 3 };

const uint8_t telnet_greeting[12] = {
	IAC, WILL, OPT_ECHO, IAC, WILL, OPT_SGA, IAC, WILL, OPT_BINARY, IAC, DO, OPT_BINARY,
};

/* True: it is a break. */
static bool command(Telnet *t, uint8_t byte)
{
	t->state = TELNET_TEXT;
	if (byte >= WILL && byte != IAC) {
		t->verb = byte;
		t->state = TELNET_OPTION;
	} else if (byte == SB) {
		t->state = TELNET_SUB;
	}
	return byte == BRK || byte == IP;
}

static void option(Telnet *t, uint8_t byte)
{
	t->state = TELNET_TEXT;
	if (byte == OPT_BINARY && (t->verb == WILL || t->verb == WONT))
		t->binary = t->verb == WILL;
}

/* A byte of text. False: it belongs to the line's end and is no text. */
static bool text(Telnet *t, uint8_t byte)
{
	bool nul = t->after_cr && !t->binary && byte == 0;
	t->after_cr = byte == '\r';
	return !nul;
}

/* True: the byte is text. */
static bool decode(Telnet *t, uint8_t byte, bool *broken)
{
	switch (t->state) {
	case TELNET_TEXT:
		if (byte != IAC)
			return text(t, byte);
		t->state = TELNET_IAC;
		break;
	case TELNET_IAC:
		if (byte == IAC) {
			t->state = TELNET_TEXT;
			return text(t, byte);
		}
		*broken = command(t, byte);
		break;
	case TELNET_OPTION:
		option(t, byte);
		break;
	case TELNET_SUB:
		if (byte == IAC)
			t->state = TELNET_SUB_IAC;
		break;
	case TELNET_SUB_IAC:
		t->state = byte == SE ? TELNET_TEXT : TELNET_SUB;
		break;
	}
	return false;
}

size_t telnet_decode(Telnet *t, uint8_t *buf, size_t len, size_t *used, bool *broken)
{
	size_t n = 0, i = 0;
	*broken = false;
	while (i < len && !*broken) {
		uint8_t byte = buf[i++];
		if (decode(t, byte, broken))
			buf[n++] = byte;
	}
	*used = i;
	return n;
}

void telnet_encode(GByteArray *out, const uint8_t *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		g_byte_array_append(out, &buf[i], 1);
		if (buf[i] == IAC)
			g_byte_array_append(out, &buf[i], 1);
	}
}
