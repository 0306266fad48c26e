/*
 * server.c - the character device that a debugger comes by.
 *
 * Input arrives with the machine lock held; it is looked at from the main loop without it, as commands stop and start the
 * machine. As in QEMU the machine pauses when a peer comes, and stays as it is when the peer goes without a word.
 */
#include <string.h>

#include "core/error.h"
#include "core/lock.h"
#include "gdb/private.h"

#define INPUT_MAX 8192u
#define OUTPUT_MAX 65536u  /* a peer that takes no answers is not asked for more */

static gboolean look(gpointer opaque)
{
	Gdb *g = opaque;

	machine_lock();
	g->idle = 0;
	bool came = g->came, gone = g->gone;
	g->came = g->gone = false;
	g_autoptr(GByteArray) input = g->input;
	g->input = g_byte_array_new();
	machine_unlock();
	if (gone)
		gdb_end_session(g);
	if (came)
		gdb_begin_session(g);
	gdb_take_bytes(g, input->data, input->len);
	machine_lock();
	if (g->c)
		chardev_accept_input(g->c);
	machine_unlock();
	return G_SOURCE_REMOVE;
}

static void wake(Gdb *g)
{
	if (!g->idle)
		g->idle = g_idle_add_full(G_PRIORITY_DEFAULT, look, g, NULL);
}

static size_t can_read(void *opaque)
{
	const Gdb *g = opaque;

	return g->output->len > OUTPUT_MAX ? 0 : INPUT_MAX - MIN(g->input->len, INPUT_MAX);
}

static void take_input(void *opaque, const uint8_t *buf, size_t len)
{
	Gdb *g = opaque;

	g_byte_array_append(g->input, buf, (guint)len);
	wake(g);
}

static void on_event(void *opaque, ChardevEvent event)
{
	Gdb *g = opaque;

	if (event == CHARDEV_OPENED)
		g->came = true;
	else if (event == CHARDEV_CLOSED)
		g->gone = true;
	else
		return;
	g_byte_array_set_size(g->input, 0);
	g_string_truncate(g->output, 0);
	wake(g);
}

static void writable(void *opaque)
{
	Gdb *g = opaque;
	size_t taken = chardev_write(g->c, (const uint8_t *)g->output->str, g->output->len);

	g_string_erase(g->output, 0, (gssize)taken);
	if (g->output->len <= OUTPUT_MAX)
		chardev_accept_input(g->c);
}

static const ChardevHandlers handlers = { .can_read = can_read, .read = take_input, .event = on_event, .writable = writable };

static void on_machine_event(void *opaque, MachineEvent event, const char *detail)
{
	Gdb *g = opaque;

	if (event == MACHINE_EVENT_STOP && g->c)
		gdb_on_stop(g);
}

Gdb *gdb_new(Machine *m, ChardevSet *set, GdbExecute *execute, void *opaque)
{
	Gdb *g = g_new0(Gdb, 1);

	*g = (Gdb){ .m = m, .set = set, .execute = execute, .execute_opaque = opaque, .input = g_byte_array_new(),
		    .output = g_string_new(NULL), .packet = g_string_new(NULL), .last = g_string_new(NULL),
		    .debugger = cpu_debugger_new() };
	machine_add_listener(m, on_machine_event, g);
	return g;
}

/* Serves nobody from now on. */
static void leave(Gdb *g)
{
	if (!g->c)
		return;
	gdb_end_session(g);
	machine_lock();
	g_autofree char *id = g_strdup(chardev_id(g->c));
	chardev_detach(g->c, g);
	g->c = NULL;
	g->came = g->gone = false;
	if (g->own_chardev)
		chardev_set_remove(g->set, id, NULL);
	machine_unlock();
}

/* The device of these words; machine lock held. NULL with *error. */
static Chardev *device_of(Gdb *g, const char *words, GError **error)
{
	static const char prefix[] = "chardev:";

	g->own_chardev = !g_str_has_prefix(words, prefix);
	if (!g->own_chardev) {
		Chardev *c = chardev_set_find(g->set, words + strlen(prefix));
		if (!c)
			fail(error, VIV_ERROR_INVALID, "Chardev '%s' not found", words + strlen(prefix));
		return c;
	}
	/* Debuggers come when they like. */
	g_autofree char *text = g_str_has_prefix(words, "tcp:") ? g_strconcat(words, ",wait=off,nodelay=on,server=on", NULL)
								 : g_strdup(words);
	ChardevOptions *o = chardev_options_from_words(text, "gdb", error);
	return o ? chardev_set_open(g->set, o, error) : NULL;
}

bool gdb_serve(Gdb *g, const char *words, GError **error)
{
	leave(g);
	if (!strcmp(words, "none"))
		return true;
	machine_lock();
	Chardev *c = device_of(g, words, error);
	bool ok = c && chardev_attach(c, &handlers, g, error);
	if (c && !ok && g->own_chardev)
		chardev_set_remove(g->set, chardev_id(c), NULL);
	if (ok)
		g->c = c;
	machine_unlock();
	return ok;
}

void gdb_free(Gdb *g)
{
	if (!g)
		return;
	leave(g);
	machine_remove_listener(g->m, g); /* its end is told later */
	if (g->idle)
		g_source_remove(g->idle);
	cpu_debugger_free(g->debugger);
	g_byte_array_free(g->input, TRUE);
	g_string_free(g->output, TRUE);
	g_string_free(g->packet, TRUE);
	g_string_free(g->last, TRUE);
	g_free(g);
}
