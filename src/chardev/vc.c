/*
 * vc.c - a text console: keeps what was printed last, for those who show it (console.h).
 *
 * Who shows it interprets the bytes; nothing is drawn here, and sizes in pixels mean nothing.
 * Where no display shows consoles (any but -display web) its output is kept unseen and input never
 * comes, as in qemu without a window. Device: main loop and vcpu threads, machine lock held. Console: any thread.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "chardev/backend.h"
#include "chardev/console.h"
#include "core/error.h"
#include "core/lock.h"

#define SIZE_MAX_PIXELS 16384
#define COLUMNS_DEFAULT 80u
#define ROWS_DEFAULT 24u
#define TYPED_MAX 4096u

struct Console {
	atomic_uint references;
	char *id;
	unsigned columns, rows;
	Chardev *device;         /* machine lock; NULL: gone */

	pthread_mutex_t lock;    /* a leaf; all below */
	uint8_t *output;         /* ring of CONSOLE_SCROLLBACK bytes; NULL: nothing was printed */
	uint64_t end;            /* bytes printed so far */
	GByteArray *typed;       /* for the front end, in order */
	bool delivery;           /* the main loop was asked to hand `typed` over */
	bool refused;            /* somebody waits to type more */
	bool told;               /* the watcher knows of output that is not read yet */
	bool closed;
	void (*changed)(void *opaque);
	void *opaque;
};

typedef struct Vc {
	Chardev base;
	Console *console;
} Vc;

/* ---- consoles ---- */

static Console *console_new(Chardev *device)
{
	const ChardevOptions *o = device->options;
	Console *c = g_new0(Console, 1);

	c->references = 1;
	c->id = g_strdup(o->id);
	c->columns = o->cols ? (unsigned)o->cols : COLUMNS_DEFAULT;
	c->rows = o->rows ? (unsigned)o->rows : ROWS_DEFAULT;
	c->device = device;
	c->typed = g_byte_array_new();
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

Console *console_ref(Console *c)
{
	atomic_fetch_add(&c->references, 1);
	return c;
}

void console_unref(Console *c)
{
	if (!c || atomic_fetch_sub(&c->references, 1) != 1)
		return;
	pthread_mutex_destroy(&c->lock);
	g_byte_array_free(c->typed, TRUE);
	g_free(c->output);
	g_free(c->id);
	g_free(c);
}

const char *console_id(const Console *c) { return c->id; }

void console_size(const Console *c, unsigned *columns, unsigned *rows)
{
	*columns = c->columns;
	*rows = c->rows;
}

bool console_closed(Console *c)
{
	pthread_mutex_lock(&c->lock);
	bool closed = c->closed;
	pthread_mutex_unlock(&c->lock);
	return closed;
}

void console_watch(Console *c, void (*changed)(void *opaque), void *opaque)
{
	pthread_mutex_lock(&c->lock);
	c->changed = changed;
	c->opaque = opaque;
	c->told = false;
	pthread_mutex_unlock(&c->lock);
}

/* Lock held. */
static void tell(Console *c)
{
	if (c->changed)
		c->changed(c->opaque);
}

/* ---- output ---- */

static void copy_in(Console *c, const uint8_t *buf, size_t len)
{
	size_t at = c->end % CONSOLE_SCROLLBACK, first = MIN(len, CONSOLE_SCROLLBACK - at);

	memcpy(c->output + at, buf, first);
	memcpy(c->output, buf + first, len - first);
	c->end += len;
}

static size_t vc_write(Chardev *device, const uint8_t *buf, size_t len)
{
	Console *c = ((Vc *)device)->console;

	pthread_mutex_lock(&c->lock);
	if (!c->output)
		c->output = g_malloc(CONSOLE_SCROLLBACK);
	for (size_t done = 0; done < len;) {
		size_t n = MIN(len - done, CONSOLE_SCROLLBACK);
		copy_in(c, buf + done, n);
		done += n;
	}
	if (!c->told) {
		c->told = true;
		tell(c);
	}
	pthread_mutex_unlock(&c->lock);
	return len;
}

size_t console_read(Console *c, uint64_t *position, uint8_t *buf, size_t max)
{
	pthread_mutex_lock(&c->lock);
	uint64_t oldest = c->end > CONSOLE_SCROLLBACK ? c->end - CONSOLE_SCROLLBACK : 0;
	*position = CLAMP(*position, oldest, c->end);
	size_t n = (size_t)MIN(max, c->end - *position);
	size_t at = *position % CONSOLE_SCROLLBACK, first = MIN(n, CONSOLE_SCROLLBACK - at);
	if (n) {
		memcpy(buf, c->output + at, first);
		memcpy(buf + first, c->output, n - first);
	}
	*position += n;
	c->told = false;
	pthread_mutex_unlock(&c->lock);
	return n;
}

bool console_has(Console *c, uint64_t position)
{
	pthread_mutex_lock(&c->lock);
	bool has = c->end > position;
	pthread_mutex_unlock(&c->lock);
	return has;
}

/* ---- input ---- */

/* At most `max` bytes, the oldest; there is room for others then. */
static unsigned take_typed(Console *c, uint8_t *piece, size_t max)
{
	pthread_mutex_lock(&c->lock);
	unsigned n = (unsigned)MIN(max, c->typed->len);
	if (n) {
		memcpy(piece, c->typed->data, n);
		g_byte_array_remove_range(c->typed, 0, n);
	}
	if (n && c->refused) {
		c->refused = false;
		tell(c);
	}
	pthread_mutex_unlock(&c->lock);
	return n;
}

/* Machine lock held: the front end may be called, and may print, so the console's lock is not. */
static void push_typed(Console *c)
{
	uint8_t piece[256];

	for (size_t room; c->device && (room = chardev_room(c->device)) > 0;) {
		unsigned n = take_typed(c, piece, MIN(room, sizeof(piece)));
		if (!n)
			break;
		chardev_push(c->device, piece, n);
	}
}

static gboolean on_delivery(gpointer opaque)
{
	Console *c = opaque;

	pthread_mutex_lock(&c->lock);
	c->delivery = false;
	pthread_mutex_unlock(&c->lock);
	machine_lock();
	push_typed(c);
	machine_unlock();
	return G_SOURCE_REMOVE;
}

static void unref(gpointer c) { console_unref(c); }

size_t console_type(Console *c, const uint8_t *buf, size_t len)
{
	pthread_mutex_lock(&c->lock);
	size_t n = c->closed ? len : MIN(len, TYPED_MAX - c->typed->len);
	if (!c->closed)
		g_byte_array_append(c->typed, buf, (guint)n);
	c->refused |= n < len;
	bool ask = !c->delivery && c->typed->len;
	c->delivery |= ask;
	pthread_mutex_unlock(&c->lock);
	if (ask)
		g_idle_add_full(G_PRIORITY_DEFAULT, on_delivery, console_ref(c), unref);
	return n;
}

/* ---- the device ---- */

static bool vc_open(Chardev *device, GError **error)
{
	const ChardevOptions *o = device->options;
	const uint64_t sizes[] = { o->width, o->height, o->cols, o->rows };
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
		if (sizes[i] > SIZE_MAX_PIXELS)
			return fail(error, VIV_ERROR_INVALID,
				"vc: a console is at most %u wide and high.",
				SIZE_MAX_PIXELS);
	((Vc *)device)->console = console_new(device);
	return true;
}

static void vc_close(Chardev *device)
{
	Console *c = ((Vc *)device)->console;

	c->device = NULL;
	pthread_mutex_lock(&c->lock);
	c->closed = true;
	tell(c);
	pthread_mutex_unlock(&c->lock);
	console_unref(c);
}

static void vc_accept_input(Chardev *device) { push_typed(((Vc *)device)->console); }

static const ChardevKey keys[] = {
	{ "width", CHARDEV_NUMBER, offsetof(ChardevOptions, width), "in pixels" },
	{ "height", CHARDEV_NUMBER, offsetof(ChardevOptions, height), "in pixels" },
	{ "cols", CHARDEV_NUMBER, offsetof(ChardevOptions, cols), "width in characters" },
	{ "rows", CHARDEV_NUMBER, offsetof(ChardevOptions, rows), "height in characters" },
	{ NULL },
};

static const ChardevClass vc_class = {
	.name = "vc", .desc = "text console, shown by -display web", .keys = keys,
	.open = vc_open, .close = vc_close, .write = vc_write, .accept_input = vc_accept_input,
};

const ChardevType chardev_type_vc = { &vc_class, sizeof(Vc) };

Console *chardev_console(Chardev *device)
{
	return device->cls == &vc_class ? console_ref(((Vc *)device)->console) : NULL;
}
