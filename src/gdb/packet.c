/*
 * packet.c - frames: "$TEXT#SUM", acknowledgements, escapes.
 *
 * "Debugging with GDB", E.1. A frame that is too long or whose sum is wrong is asked for again; what is between frames is
 * dropped.
 */
#include <string.h>

#include "core/lock.h"
#include "gdb/private.h"

#define ESCAPE '}'
#define ESCAPE_XOR 0x20

/* ---- out ---- */

static void flush(Gdb *g)
{
	size_t taken = chardev_write(g->c, (const uint8_t *)g->output->str, g->output->len);
	g_string_erase(g->output, 0, (gssize)taken);
}

static void put(Gdb *g, const char *bytes, size_t count)
{
	machine_lock();
	g_string_append_len(g->output, bytes, (gssize)count);
	flush(g);
	machine_unlock();
}

void gdb_send(Gdb *g, const char *text, size_t len)
{
	uint8_t sum = 0;

	g_string_assign(g->last, "$");
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		bool escaped = c == '$' || c == '#' || c == ESCAPE || c == '*';
		if (escaped) {
			g_string_append_c(g->last, ESCAPE);
			c ^= ESCAPE_XOR;
		}
		g_string_append_c(g->last, c);
		sum = (uint8_t)(sum + (escaped ? ESCAPE : 0) + (uint8_t)c);
	}
	g_string_append_printf(g->last, "#%02x", sum);
	put(g, g->last->str, g->last->len);
}

void gdb_say(Gdb *g, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	gdb_send(g, text, strlen(text));
}

void gdb_error(Gdb *g, unsigned number) { gdb_say(g, "E%02x", number); }

/* ---- in ---- */

void gdb_reset_frames(Gdb *g)
{
	g->frame = FRAME_IDLE;
	g->no_ack = false;
	g_string_truncate(g->packet, 0);
	g_string_truncate(g->last, 0);
}

static uint8_t sum_of(const GString *text)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < text->len; i++)
		sum = (uint8_t)(sum + (uint8_t)text->str[i]);
	return sum;
}

/* In place; what is escaped in the end stays. */
static void unescape(GString *text)
{
	size_t to = 0;

	for (size_t i = 0; i < text->len; i++) {
		bool escaped = text->str[i] == ESCAPE && i + 1 < text->len;
		text->str[to++] = escaped ? text->str[++i] ^ ESCAPE_XOR : text->str[i];
	}
	g_string_truncate(text, to);
}

static void end_frame(Gdb *g)
{
	const char *p = g->sum_text;
	uint8_t sum;
	bool good = gdb_take_hex(&p, &sum, 1) && sum == sum_of(g->packet) && !g->overrun;

	g->frame = FRAME_IDLE;
	if (!g->no_ack)
		put(g, good ? "+" : "-", 1);
	if (!good)
		return;
	unescape(g->packet);
	gdb_handle(g);
}

static void idle_byte(Gdb *g, uint8_t byte)
{
	if (byte == '$') {
		g->frame = FRAME_BODY;
		g->overrun = false;
		g_string_truncate(g->packet, 0);
	} else if (byte == '-' && !g->no_ack && g->last->len) {
		put(g, g->last->str, g->last->len);
	}
	/* An interrupt has stopped the machine by having come. */
}

static void body_byte(Gdb *g, uint8_t byte)
{
	if (byte == '#')
		g->frame = FRAME_SUM1;
	else if (byte == '$')
		idle_byte(g, byte); /* the former one was cut off */
	else if (g->packet->len < PACKET_MAX)
		g_string_append_c(g->packet, (char)byte);
	else
		g->overrun = true;
}

static void take_byte(Gdb *g, uint8_t byte)
{
	/* Nothing can be done while vcpus run, but to stop them. */
	if (byte != '+' && byte != '-' && machine_running(g->m))
		machine_stop(g->m, STATE_PAUSED);
	switch (g->frame) {
	case FRAME_IDLE:
		idle_byte(g, byte);
		break;
	case FRAME_BODY:
		body_byte(g, byte);
		break;
	case FRAME_SUM1:
		g->sum_text[0] = (char)byte;
		g->frame = FRAME_SUM2;
		break;
	case FRAME_SUM2:
		g->sum_text[1] = (char)byte;
		end_frame(g);
		break;
	}
}

void gdb_take_bytes(Gdb *g, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count && g->c; i++)
		take_byte(g, bytes[i]);
}
