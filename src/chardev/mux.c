/*
 * mux.c - several front ends on one character device, switched by keys after C-a.
 *
 * The keys are those of qemu's terminal. Input for a front end that has no room waits
 * here, so that C-a is seen even while a guest does not read. Main loop and vcpu
 * threads, machine lock held.
 */
#include <string.h>

#include "chardev/backend.h"
#include "core/clock.h"

#define ESCAPE 1 /* C-a */
#define INPUT_MAX 65536

typedef struct Port {
	Chardev base;       /* its front end is the port's */
	ChardevMux *mux;
	GByteArray *input;  /* not yet taken by the front end */
} Port;

struct ChardevMux {
	Chardev *backend;
	Port *ports[CHARDEV_MUX_PORTS];
	unsigned count, focus;
	bool escaped;        /* C-a was the last key */
	bool stamps, line_start;
	int64_t start;       /* host ns when stamps were switched on */
	GByteArray *pending; /* made here, not yet taken by the backend */
	void (*quit)(void *opaque);
	void *quit_opaque;
};

/* True: nothing is left. */
static bool flush(ChardevMux *m)
{
	while (m->pending->len) {
		size_t n = chardev_write(m->backend, m->pending->data, m->pending->len);
		if (!n)
			return false;
		g_byte_array_remove_range(m->pending, 0, (guint)n);
	}
	return true;
}

static void say(ChardevMux *m, const char *text)
{
	g_byte_array_append(m->pending, (const uint8_t *)text, (guint)strlen(text));
	flush(m);
}

static void stamp(ChardevMux *m, GString *out)
{
	int64_t ms = (host_now() - m->start) / 1000000;
	g_string_append_printf(out, "[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000),
		(int)(ms / 60000 % 60),
		(int)(ms / 1000 % 60), (int)(ms % 1000));
}

static size_t port_write(Chardev *c, const uint8_t *buf, size_t len)
{
	ChardevMux *m = ((Port *)c)->mux;
	if (!flush(m))
		return 0;
	if (!m->stamps) {
		size_t n = chardev_write(m->backend, buf, len);
		if (n)
			m->line_start = buf[n - 1] == '\n';
		return n;
	}
	GString *out = g_string_new(NULL);
	for (size_t i = 0; i < len; i++) {
		if (m->line_start)
			stamp(m, out);
		g_string_append_c(out, (char)buf[i]);
		m->line_start = buf[i] == '\n';
	}
	g_byte_array_append(m->pending, (const uint8_t *)out->str, (guint)out->len);
	g_string_free(out, TRUE);
	flush(m);
	return len;
}

static void deliver(Port *p)
{
	while (p->input->len) {
		size_t n = MIN(chardev_room(&p->base), p->input->len);
		uint8_t chunk[256];
		if (!n)
			break;
		n = MIN(n, sizeof(chunk));
		/* Taken out first: the front end may come back here. */
		memcpy(chunk, p->input->data, n);
		g_byte_array_remove_range(p->input, 0, (guint)n);
		chardev_push(&p->base, chunk, n);
	}
}

static void port_accept_input(Chardev *c)
{
	Port *p = (Port *)c;
	deliver(p);
	chardev_accept_input(p->mux->backend);
}

static void port_free(Chardev *c)
{
	g_byte_array_free(((Port *)c)->input, TRUE);
}

static const ChardevClass port_class = {
	.name = "mux", .write = port_write, .accept_input = port_accept_input, .free = port_free,
};

bool chardev_is_mux_port(const Chardev *c)
{
	return c->cls == &port_class;
}

static void switch_focus(ChardevMux *m)
{
	if (m->count < 2)
		return;
	chardev_event(&m->ports[m->focus]->base, CHARDEV_MUX_OUT);
	m->focus = (m->focus + 1) % m->count;
	chardev_event(&m->ports[m->focus]->base, CHARDEV_MUX_IN);
}

static void toggle_stamps(ChardevMux *m)
{
	m->stamps = !m->stamps;
	m->start = host_now();
	m->line_start = false;
}

static void help(ChardevMux *m)
{
	say(m, "\r\n"
		"C-a h    print this help\r\n"
		"C-a x    leave: end viv\r\n"
		"C-a s    save what is not yet written to disk images\r\n"
		"C-a t    times before each line, on or off\r\n"
		"C-a b    send a break\r\n"
		"C-a c    switch between serial line and monitor\r\n"
		"C-a C-a  send C-a\r\n");
}

/* The key after C-a. True: it is input itself. */
static bool command(ChardevMux *m, uint8_t key)
{
	switch (key) {
	case ESCAPE:
		return true;
	case 'h':
	case '?':
		help(m);
		break;
	case 'x':
		say(m, "\r\nviv: terminated\r\n");
		if (m->quit)
			m->quit(m->quit_opaque);
		break;
	case 's':
		say(m, "\r\nno disk images are open: there is nothing to save\r\n");
		break;
	case 't':
		toggle_stamps(m);
		break;
	case 'b':
		chardev_event(&m->ports[m->focus]->base, CHARDEV_BREAK);
		break;
	case 'c':
		switch_focus(m);
		break;
	default:
		break;
	}
	return false;
}

/* ---- the mux as front end of its backend ---- */

static size_t mux_can_read(void *opaque)
{
	ChardevMux *m = opaque;
	return m->count ? INPUT_MAX - m->ports[m->focus]->input->len : 0;
}

static void mux_read(void *opaque, const uint8_t *buf, size_t len)
{
	ChardevMux *m = opaque;
	for (size_t i = 0; i < len; i++) {
		bool input = buf[i] != ESCAPE;
		if (m->escaped) {
			m->escaped = false;
			input = command(m, buf[i]);
		} else if (!input) {
			m->escaped = true;
		}
		if (input)
			g_byte_array_append(m->ports[m->focus]->input, &buf[i], 1);
	}
	for (unsigned i = 0; i < m->count; i++)
		deliver(m->ports[i]);
}

static void mux_event(void *opaque, ChardevEvent event)
{
	ChardevMux *m = opaque;
	for (unsigned i = 0; i < m->count; i++)
		chardev_event(&m->ports[i]->base, event);
}

static void mux_writable(void *opaque)
{
	ChardevMux *m = opaque;
	if (!flush(m))
		return;
	for (unsigned i = 0; i < m->count; i++)
		chardev_writable(&m->ports[i]->base);
}

static const ChardevHandlers mux_handlers = { mux_can_read, mux_read, mux_event, mux_writable };

ChardevMux *chardev_mux_new(Chardev *backend)
{
	ChardevMux *m = g_new0(ChardevMux, 1);
	m->backend = backend;
	m->pending = g_byte_array_new();
	chardev_attach(backend, &mux_handlers, m, NULL); /* new, so it has no front end */
	return m;
}

Chardev *chardev_mux_port(ChardevMux *m, const char *id)
{
	if (m->count == CHARDEV_MUX_PORTS)
		return NULL;
	Port *p = chardev_alloc(&port_class, sizeof(Port), id);
	p->mux = m;
	p->input = g_byte_array_new();
	m->ports[m->count++] = p;
	chardev_accept_input(m->backend);
	return &p->base;
}

void chardev_mux_set_quit(ChardevMux *m, void (*quit)(void *opaque), void *opaque)
{
	m->quit = quit;
	m->quit_opaque = opaque;
}

void chardev_mux_free(ChardevMux *m)
{
	flush(m);
	chardev_attach(m->backend, NULL, NULL, NULL);
	chardev_free(m->backend);
	for (unsigned i = 0; i < m->count; i++)
		chardev_free(&m->ports[i]->base);
	g_byte_array_free(m->pending, TRUE);
	g_free(m);
}
