/*
 * monitor.c - the prompt: input, parsing a line by the command table, output.
 *
 * Main thread; see monitor.h for locks.
 */
#include "monitor/monitor.h"

#include <string.h>

#include "chardev/set.h"
#include "core/lock.h"
#include "core/suggest.h"
#include "core/trace.h"
#include "core/version.h"
#include "monitor/private.h"

#define PROMPT "(qemu) " /* scripts wait for it */
#define BANNER "Vivarium " VIV_VERSION " monitor - type 'help' for more information\r\n"
#define INPUT_MAX 4096
#define OUTPUT_MAX 65536 /* of what the peer does not take; one command may go beyond */

/* ---- output ---- */

static void flush(Monitor *mon)
{
	while (mon->c && mon->output->len) {
		size_t n = chardev_write(mon->c, mon->output->data, mon->output->len);
		if (!n)
			break;
		g_byte_array_remove_range(mon->output, 0, (guint)n);
	}
}

/* Terminal text as it is. Takes the machine lock. */
static void send_raw(Monitor *mon, const char *text, size_t len)
{
	machine_lock();
	g_byte_array_append(mon->output, (const uint8_t *)text, (guint)len);
	flush(mon);
	machine_unlock();
}

/* What commands say: \n becomes \r\n. */
static void send_text(Monitor *mon, const GString *text)
{
	GString *s = g_string_sized_new(text->len + 64);
	for (size_t i = 0; i < text->len; i++) {
		if (text->str[i] == '\n')
			g_string_append_c(s, '\r');
		g_string_append_c(s, text->str[i]);
	}
	send_raw(mon, s->str, s->len);
	g_string_free(s, TRUE);
}

static void prompt(Monitor *mon)
{
	GString *s = g_string_new(NULL);
	readline_show(mon->line, s);
	send_raw(mon, s->str, s->len);
	g_string_free(s, TRUE);
}

/* ---- a line ---- */

const Command *command_find(const Command *table, const char *name)
{
	for (const Command *c = table; c->name || c->qmp; c++)
		if (c->name && (!strcmp(c->name, name) || !g_strcmp0(c->alias, name)))
			return c;
	return NULL;
}

static void unknown(const char *what, const char *prefix, const Command *table, GString *out)
{
	GPtrArray *names = g_ptr_array_new();
	for (const Command *c = table; c->name || c->qmp; c++)
		if (c->name)
			g_ptr_array_add(names, (gpointer)c->name);
	g_ptr_array_add(names, NULL);
	const char *nearest = suggest_nearest(what, (const char *const *)names->pdata);
	g_string_append_printf(out, "unknown command: '%s%s'\n", prefix, what);
	if (nearest)
		g_string_append_printf(out, "Did you mean '%s%s'?\n", prefix, nearest);
	g_ptr_array_free(names, TRUE);
}

void monitor_execute(Monitor *mon, const char *line, GString *out)
{
	const Command *table = monitor_commands;
	const char *prefix = "";
	trace_handle_hmp_command(mon, line);
	for (;;) {
		while (*line == ' ')
			line++;
		size_t n = strcspn(line, " /\t");
		if (!*line || *line == '#')
			break;
		char *name = g_strndup(line, n);
		const Command *c = command_find(table, name);
		line += n;
		if (!c)
			unknown(name, prefix, table, out);
		else if (table == monitor_commands && !strcmp(c->name, "info") &&
			line[strspn(line, " ")]) {
			table = monitor_info_commands;
			prefix = "info ";
			g_free(name);
			continue;
		} else
			command_run_line(mon, c, prefix, name, line, out);
		g_free(name);
		return;
	}
}

/* ---- completion ---- */

static GPtrArray *complete(const char *line, void *opaque)
{
	GPtrArray *words = g_ptr_array_new();
	bool info = g_str_has_prefix(line, "info ");
	bool help = g_str_has_prefix(line, "help ");
	const char *word = line + (info || help ? 5 : 0);
	if (strchr(word, ' '))
		return words;
	for (const Command *c = info ? monitor_info_commands : monitor_commands; c->name || c->qmp; c++)
		if (c->name && g_str_has_prefix(c->name, word))
			g_ptr_array_add(words, (gpointer)c->name);
	return words;
}

/* ---- the device ---- */

static void input_byte(Monitor *mon, uint8_t byte)
{
	GString *echo = g_string_new(NULL);
	char *line = readline_byte(mon->line, byte, echo);
	send_raw(mon, echo->str, echo->len);
	g_string_free(echo, TRUE);
	if (!line)
		return;
	GString *out = g_string_new(NULL);
	monitor_execute(mon, line, out);
	send_text(mon, out);
	g_string_free(out, TRUE);
	g_free(line);
	prompt(mon);
}

/* Looks at one piece of input, machine lock not held. */
static gboolean on_idle(gpointer opaque)
{
	Monitor *mon = opaque;
	machine_lock();
	GByteArray *input = mon->input;
	mon->input = g_byte_array_new();
	machine_unlock();
	for (guint i = 0; i < input->len; i++)
		input_byte(mon, input->data[i]);
	g_byte_array_free(input, TRUE);
	machine_lock();
	bool more = mon->input->len;
	if (!more)
		mon->idle = 0;
	if (mon->c)
		chardev_accept_input(mon->c);
	machine_unlock();
	return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static size_t can_read(void *opaque)
{
	Monitor *mon = opaque;
	/* Who does not read the answers is not asked for more. */
	return mon->output->len < OUTPUT_MAX ? INPUT_MAX - mon->input->len : 0;
}

static void on_read(void *opaque, const uint8_t *buf, size_t len)
{
	Monitor *mon = opaque;
	g_byte_array_append(mon->input, buf, (guint)len);
	if (!mon->idle)
		mon->idle = g_idle_add_full(G_PRIORITY_DEFAULT, on_idle, mon, NULL);
}

static void greet(Monitor *mon)
{
	if (!mon->greeted)
		send_raw(mon, BANNER, strlen(BANNER));
	mon->greeted = true;
	prompt(mon);
}

static void on_event(void *opaque, ChardevEvent event)
{
	Monitor *mon = opaque;
	switch (event) {
	case CHARDEV_OPENED: /* on a mux it speaks when it gets the input */
		if (!chardev_is_mux(mon->c))
			greet(mon);
		break;
	case CHARDEV_CLOSED: /* the next peer is greeted, and gets nothing of this one's */
		mon->greeted = false;
		g_byte_array_set_size(mon->input, 0);
		g_byte_array_set_size(mon->output, 0);
		break;
	case CHARDEV_MUX_IN:
		send_raw(mon, "\r\n", 2);
		greet(mon);
		break;
	case CHARDEV_MUX_OUT:
		send_raw(mon, "\r\n", 2);
		break;
	case CHARDEV_BREAK:
		break;
	}
}

static void on_writable(void *opaque)
{
	Monitor *mon = opaque;
	flush(mon);
	chardev_accept_input(mon->c);
}

static const ChardevHandlers handlers = {
	can_read, on_read, on_event, on_writable, .background = true,
};

Monitor *monitor_new_detached(Machine *m)
{
	Monitor *mon = g_new0(Monitor, 1);
	mon->m = m;
	mon->line = readline_new(PROMPT, complete, mon);
	mon->input = g_byte_array_new();
	mon->output = g_byte_array_new();
	return mon;
}

Monitor *monitor_new(Machine *m, Chardev *c, GError **error)
{
	Monitor *mon = monitor_new_detached(m);
	machine_lock();
	mon->c = c;
	bool ok = chardev_attach(c, &handlers, mon, error);
	machine_unlock();
	if (ok)
		return mon;
	mon->c = NULL;
	monitor_free(mon);
	return NULL;
}

void monitor_free(Monitor *mon)
{
	if (mon->idle)
		g_source_remove(mon->idle);
	if (mon->c) {
		machine_lock();
		flush(mon);
		chardev_detach(mon->c, mon);
		machine_unlock();
	}
	readline_free(mon->line);
	g_byte_array_free(mon->input, TRUE);
	g_byte_array_free(mon->output, TRUE);
	g_free(mon);
}

Cpu *monitor_hold(Monitor *mon)
{
	Board *b = machine_board(mon->m);
	Cpu *cpu = b->cpus[MIN(mon->cpu, b->cpu_count - 1)];
	machine_hold_vcpus(mon->m);
	machine_sync_get(mon->m, cpu);
	return cpu;
}

void monitor_release(Monitor *mon)
{
	machine_release_vcpus(mon->m);
}
