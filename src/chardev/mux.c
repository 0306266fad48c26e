/*
 * mux.c - several front ends on one character device, switched by keys after C-a.
 *
 * The keys are those of qemu's terminal. Input for a front end that has no room waits
 * here, so that C-a is seen even while a guest does not read. Main loop and vcpu
 * threads, machine lock held.
 */
#include "chardev/mux.h"

#include <string.h>

#include "chardev/backend.h"
#include "chardev/set.h"
#include "core/clock.h"
#include "core/error.h"

#define ESCAPE 1 /* C-a */
#define INPUT_MAX 65536
#define PENDING_MAX 4096

/* A place for a front end. */
typedef struct Port {
	const ChardevHandlers *handlers; /* NULL: empty */
	void *opaque;
	GByteArray *input;  /* not yet taken by the front end */
} Port;

typedef struct Mux {
	Chardev base;
	Chardev *backend;
	Port ports[MUX_PLACES];
	unsigned focus;      /* who gets the input; MUX_PLACES: nobody came yet */
	bool escaped;        /* C-a was the last key */
	bool stamps, line_start;
	int64_t start;       /* host ns when stamps were switched on */
	GByteArray *pending; /* made here, not yet taken by the backend */
	void (*quit)(void *opaque);
	void *quit_opaque;
} Mux;

/* True: nothing is left. */
static bool flush(Mux *m)
{
	while (m->pending->len) {
		size_t n = chardev_write(m->backend, m->pending->data, m->pending->len);
		if (!n)
			return false;
		g_byte_array_remove_range(m->pending, 0, (guint)n);
	}
	return true;
}

/* Nothing more while the backend takes nothing: keys cost memory otherwise. */
static void say(Mux *m, const char *text)
{
	if (m->pending->len >= PENDING_MAX)
		return;
	g_byte_array_append(m->pending, (const uint8_t *)text, (guint)strlen(text));
	flush(m);
}

static void stamp(Mux *m, GString *out)
{
	int64_t ms = (host_now() - m->start) / 1000000;
	g_string_append_printf(out, "[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000),
		(int)(ms / 60000 % 60),
		(int)(ms / 1000 % 60), (int)(ms % 1000));
}

static void append_stamped(Mux *m, const uint8_t *buf, size_t len)
{
	GString *out = g_string_new(NULL);
	for (size_t i = 0; i < len; i++) {
		if (m->line_start)
			stamp(m, out);
		g_string_append_c(out, (char)buf[i]);
		m->line_start = buf[i] == '\n';
	}
	g_byte_array_append(m->pending, (const uint8_t *)out->str, (guint)out->len);
	g_string_free(out, TRUE);
}

static size_t mux_write(Chardev *c, const uint8_t *buf, size_t len)
{
	Mux *m = (Mux *)c;
	if (!flush(m))
		return 0;
	if (m->stamps) { /* `pending` is empty, and grows by this piece only */
		append_stamped(m, buf, len);
		flush(m);
		return len;
	}
	size_t n = chardev_write(m->backend, buf, len);
	if (n)
		m->line_start = buf[n - 1] == '\n';
	return n;
}

static void deliver(Port *p)
{
	while (p->handlers && p->input->len) {
		size_t room = p->handlers->can_read ? p->handlers->can_read(p->opaque) : 0;
		size_t n = MIN(room, p->input->len);
		uint8_t chunk[256];
		if (!n)
			break;
		n = MIN(n, sizeof(chunk));
		/* Taken out first: the front end may come back here. */
		memcpy(chunk, p->input->data, n);
		g_byte_array_remove_range(p->input, 0, (guint)n);
		p->handlers->read(p->opaque, chunk, n);
	}
}

static void tell(Port *p, ChardevEvent event)
{
	if (p->handlers && p->handlers->event)
		p->handlers->event(p->opaque, event);
}

static void mux_accept_input(Chardev *c)
{
	Mux *m = (Mux *)c;
	for (unsigned i = 0; i < MUX_PLACES; i++)
		deliver(&m->ports[i]);
	chardev_accept_input(m->backend);
}

/* ---- front ends ---- */

static void tell_focused(Mux *m, ChardevEvent event)
{
	if (m->focus < MUX_PLACES)
		tell(&m->ports[m->focus], event);
}

static void set_focus(Mux *m, unsigned to)
{
	if (to == m->focus)
		return;
	tell_focused(m, CHARDEV_MUX_OUT);
	m->focus = to;
	tell_focused(m, CHARDEV_MUX_IN);
}

/* The next place that is taken, round and round. */
static void switch_focus(Mux *m)
{
	for (unsigned i = 1; i < MUX_PLACES; i++) {
		unsigned next = (m->focus + i) % MUX_PLACES;
		if (m->ports[next].handlers) {
			set_focus(m, next);
			return;
		}
	}
}

static bool mux_attach(Chardev *c, const ChardevHandlers *h, void *opaque, GError **error)
{
	Mux *m = (Mux *)c;
	unsigned place = 0;
	while (place < MUX_PLACES && m->ports[place].handlers)
		place++;
	if (place == MUX_PLACES)
		return fail(error, VIV_ERROR_INVALID, "too many uses of multiplexed chardev '%s' "
			"(maximum is %u)", chardev_id(c), MUX_PLACES);
	m->ports[place].handlers = h;
	m->ports[place].opaque = opaque;
	if (c->open)
		tell(&m->ports[place], CHARDEV_OPENED);
	if (!h->background || m->focus == MUX_PLACES)
		set_focus(m, place);
	mux_accept_input(c);
	return true;
}

static void mux_detach(Chardev *c, void *opaque)
{
	Mux *m = (Mux *)c;
	for (unsigned i = 0; i < MUX_PLACES; i++) {
		Port *p = &m->ports[i];
		if (!p->handlers || p->opaque != opaque)
			continue;
		p->handlers = NULL;
		p->opaque = NULL;
		if (m->focus == i)
			switch_focus(m);
	}
}

void mux_break(Chardev *mux)
{
	tell_focused((Mux *)mux, CHARDEV_BREAK);
}

/* ---- keys ---- */

static void toggle_stamps(Mux *m)
{
	m->stamps = !m->stamps;
	m->start = host_now();
	m->line_start = false;
}

static void help(Mux *m)
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
static bool command(Mux *m, uint8_t key)
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
		tell_focused(m, CHARDEV_BREAK);
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

static size_t backend_can_read(void *opaque)
{
	Mux *m = opaque;
	return m->focus < MUX_PLACES ? INPUT_MAX - m->ports[m->focus].input->len : 0;
}

static void backend_read(void *opaque, const uint8_t *buf, size_t len)
{
	Mux *m = opaque;
	for (size_t i = 0; i < len; i++) {
		bool input = buf[i] != ESCAPE;
		if (m->escaped) {
			m->escaped = false;
			input = command(m, buf[i]);
		} else if (!input) {
			m->escaped = true;
		}
		GByteArray *to = m->ports[m->focus].input;
		if (input && to->len < INPUT_MAX) /* the focus may have gone to a full one */
			g_byte_array_append(to, &buf[i], 1);
	}
	for (unsigned i = 0; i < MUX_PLACES; i++)
		deliver(&m->ports[i]);
}

static void backend_event(void *opaque, ChardevEvent event)
{
	Mux *m = opaque;
	if (event == CHARDEV_BREAK) {
		mux_break(&m->base);
		return;
	}
	if (event == CHARDEV_OPENED || event == CHARDEV_CLOSED)
		m->base.open = event == CHARDEV_OPENED;
	for (unsigned i = 0; i < MUX_PLACES; i++)
		tell(&m->ports[i], event);
}

static void backend_writable(void *opaque)
{
	Mux *m = opaque;
	if (!flush(m))
		return;
	for (unsigned i = 0; i < MUX_PLACES; i++)
		if (m->ports[i].handlers && m->ports[i].handlers->writable)
			m->ports[i].handlers->writable(m->ports[i].opaque);
}

static const ChardevHandlers backend_handlers = {
	backend_can_read, backend_read, backend_event, backend_writable,
};

/* ---- lines of the port behind it ---- */

static void mux_set_params(Chardev *c, const LineParams *params)
{
	chardev_set_params(((Mux *)c)->backend, params);
}

static void mux_set_break(Chardev *c, bool on)
{
	chardev_set_break(((Mux *)c)->backend, on);
}

static void mux_set_modem(Chardev *c, uint8_t mcr)
{
	chardev_set_modem(((Mux *)c)->backend, mcr);
}

static bool mux_get_modem(Chardev *c, uint8_t *msr)
{
	return chardev_get_modem(((Mux *)c)->backend, msr);
}

/* ---- life ---- */

static void mux_close(Chardev *c)
{
	Mux *m = (Mux *)c;
	flush(m);
	chardev_detach(m->backend, m);
	for (unsigned i = 0; i < MUX_PLACES; i++)
		g_byte_array_free(m->ports[i].input, TRUE);
	g_byte_array_free(m->pending, TRUE);
}

static const ChardevClass mux_class = {
	.name = "mux", .desc = "several front ends", .closed = true, .close = mux_close,
	.write = mux_write, .accept_input = mux_accept_input, .attach = mux_attach,
	.detach = mux_detach, .set_params = mux_set_params, .set_break = mux_set_break,
	.set_modem = mux_set_modem, .get_modem = mux_get_modem,
};

const ChardevType chardev_type_mux = { &mux_class, sizeof(Mux) };

bool chardev_is_mux(const Chardev *c)
{
	return c->cls == &mux_class;
}

Chardev *mux_new(const char *id, Chardev *base, GError **error)
{
	ChardevOptions *o = g_new0(ChardevOptions, 1);
	o->id = g_strdup(id);
	o->backend = g_strdup(mux_class.name);
	Mux *m = (Mux *)chardev_new(&chardev_type_mux, o, error); /* opens no log: cannot fail */
	m->backend = base;
	m->focus = MUX_PLACES;
	m->pending = g_byte_array_new();
	for (unsigned i = 0; i < MUX_PLACES; i++)
		m->ports[i].input = g_byte_array_new();
	if (chardev_attach(base, &backend_handlers, m, error))
		return &m->base;
	m->backend = NULL;
	chardev_free(&m->base);
	return NULL;
}

void mux_on_quit(Chardev *mux, void (*quit)(void *opaque), void *opaque)
{
	Mux *m = (Mux *)mux;
	m->quit = quit;
	m->quit_opaque = opaque;
}
