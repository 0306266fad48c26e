/*
 * vnc_extension.c - what QEMU's viewers know and LibVNCServer does not: extended key events, the
 * keyboard's lights, whether the pointer is absolute.
 *
 * The RFB Protocol (community edition): 7.5.10 QEMU Client Message, 7.8.3 QEMU Pointer Motion
 * Change Pseudo-encoding, 7.8.4 QEMU Extended Key Event Pseudo-encoding, QEMU LED State
 * Pseudo-encoding. Left out: sound. The viewer's thread.
 */
#include <string.h>

#include "display/keys.h"
#include "display/vnc_private.h"

enum { ENCODING_POINTER_TYPE = -257, ENCODING_EXTENDED_KEY = -258, ENCODING_LEDS = -261 };
#define MESSAGE_QEMU 255
#define MESSAGE_QEMU_KEY 0

static int encodings[] = { ENCODING_POINTER_TYPE, ENCODING_EXTENDED_KEY, ENCODING_LEDS, 0 };

static rfbBool enable(rfbClientPtr rfb, void **data, int encoding)
{
	VncFeatures *f = &((VncClient *)rfb->clientData)->features;

	f->pointer_type |= encoding == ENCODING_POINTER_TYPE;
	f->extended_keys |= encoding == ENCODING_EXTENDED_KEY;
	f->leds |= encoding == ENCODING_LEDS;
	return encoding == ENCODING_POINTER_TYPE || encoding == ENCODING_EXTENDED_KEY ||
	       encoding == ENCODING_LEDS;
}

static uint32_t u32_at(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return GUINT32_FROM_BE(value);
}

/* u8 kind, u16 down, u32 keysym, u32 key: scan code of set 1. */
static rfbBool handle(rfbClientPtr rfb, void *data, const rfbClientToServerMsg *message)
{
	uint8_t rest[11];

	if (message->type != MESSAGE_QEMU)
		return FALSE;
	if (rfbReadExact(rfb, (char *)rest, sizeof(rest)) <= 0 || rest[0] != MESSAGE_QEMU_KEY) {
		rfbCloseClient(rfb);
		return TRUE;
	}
	vnc_key(rfb->clientData, u32_at(rest + 3), key_by_set1(u32_at(rest + 7)),
		rest[1] | rest[2]);
	return TRUE;
}

/* The library links it into a list of its own; only that makes it variable. */
static rfbProtocolExtension extension = {
	.pseudoEncodings = encodings, .enablePseudoEncoding = enable, .handleMessage = handle,
};

void vnc_extension_register(void) { rfbRegisterProtocolExtension(&extension); }

/* ---- to the viewer ---- */

static void put_u16(uint8_t *at, int value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* An update of one rectangle, which is none. */
static void send_pseudo(VncClient *c, int x, int width, int height, int encoding,
			const uint8_t *more, size_t count)
{
	uint8_t update[20] = { 0, 0, 0, 1 };

	put_u16(update + 4, x);
	put_u16(update + 8, width);
	put_u16(update + 10, height);
	put_u16(update + 12, encoding >> 16);
	put_u16(update + 14, encoding);
	if (count)
		memcpy(update + 16, more, count);
	vnc_client_send(c, update, 16 + count);
}

void vnc_extension_tell(VncClient *c)
{
	VncServer *s = c->server;

	pthread_mutex_lock(&s->lock);
	uint8_t leds = s->leds;
	bool absolute = s->absolute;
	pthread_mutex_unlock(&s->lock);
	if (c->features.extended_keys && !c->extended_keys_told) {
		c->extended_keys_told = true;
		send_pseudo(c, 0, c->screen->width, c->screen->height, ENCODING_EXTENDED_KEY, NULL,
			    0);
	}
	if (c->features.pointer_type && c->absolute_told != absolute) {
		c->absolute_told = absolute;
		send_pseudo(c, absolute, c->screen->width, c->screen->height, ENCODING_POINTER_TYPE,
			    NULL, 0);
	}
	if (c->features.leds && c->leds_told != leds) {
		c->leds_told = leds;
		send_pseudo(c, 0, 1, 1, ENCODING_LEDS, &leds, 1);
	}
}
