/*
 * telnet.h - a character stream inside the telnet protocol.
 *
 * Machine lock held.
 */
#ifndef VIV_CHARDEV_TELNET_H
#define VIV_CHARDEV_TELNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

typedef enum TelnetState {
	TELNET_TEXT, TELNET_IAC, TELNET_OPTION, TELNET_SUB, TELNET_SUB_IAC,
} TelnetState;

typedef struct Telnet {
	TelnetState state;
	bool after_cr;   /* text that is not binary: CR NUL stands for CR */
	bool binary;     /* the peer sends 8-bit data */
	uint8_t verb;    /* WILL, WONT, DO, DONT of the option that comes */
} Telnet;

/* What is said first: this end echoes and is character at a time, both speak binary. */
extern const uint8_t telnet_greeting[12];

/*
 * Takes the protocol out of `len` bytes in place, up to a break or the end: *used are done,
 * the return value is how many bytes of text they became, and *broken says that a break
 * follows these.
 */
size_t telnet_decode(Telnet *t, uint8_t *buf, size_t len, size_t *used, bool *broken);
/* Appends `buf` with each IAC doubled. */
void telnet_encode(GByteArray *out, const uint8_t *buf, size_t len);

#endif
