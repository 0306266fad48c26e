/*
 * monitor.c - the prompt: input, parsing a line by the command table, output.
 *
 * Main thread; see monitor.h for locks.
 */
#include "monitor/monitor.h"

#include <string.h>

#include "chardev/open.h"
#include "core/lock.h"
#include "core/suggest.h"
#include "core/version.h"
#include "monitor/private.h"

#define PROMPT "(qemu) " /* scripts wait for it */
#define BANNER "Vivarium " VIV_VERSION " monitor - type 'help' for more information\r\n"
#define INPUT_MAX 4096

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
	for (const Command *c = table; c->name; c++)
		if (!strcmp(c->name, name) || !g_strcmp0(c->alias, name))
			return c;
	return NULL;
}

static bool parse_format(const char **p, Format *f, const char **why)
{
	const char *s = *p + 1;
	bool sized = false;
	f->count = 0;
	for (; g_ascii_isdigit(*s); s++)
		f->count = MIN(f->count * 10 + (unsigned)(*s - '0'), 1000000u);
	if (!g_ascii_isdigit((*p)[1]))
		f->count = 1;
	for (; *s && *s != ' '; s++) {
		static const char sizes[] = "bhwg";
		const char *size = strchr(sizes, *s);
		if (size) {
			f->size = (char)(1 << (size - sizes));
			sized = true;
		} else if (strchr("xduocis", *s)) {
			f->format = *s;
		} else {
			*why = "invalid char in format; formats are x d u o c i s, sizes b h w g";
			return false;
		}
	}
	if (!sized)
		f->size = 4;
	*p = s;
	return true;
}

typedef struct Line {
	const char *p;
	GPtrArray *words; /* owned texts, for the command's duration */
	const char *why;
} Line;

static char *take_word(Line *l)
{
	bool quoted = *l->p == '"';
	const char *start = l->p + quoted;
	size_t n = quoted ? strcspn(start, "\"") : strcspn(start, " \t");
	l->p = start + n + (quoted && start[n]);
	char *word = g_strndup(start, n);
	g_ptr_array_add(l->words, word);
	return word;
}

static bool parse_arg(Line *l, const ArgDef *def, unsigned i, const Cpu *cpu, Args *args)
{
	switch (def->type) {
	case ARG_FORMAT:
		args->format = (Format){ 1, 'x', 4 };
		args->given[i] = *l->p == '/';
		return !args->given[i] || parse_format(&l->p, &args->format, &l->why);
	case ARG_FLAG:
		if (strncmp(l->p, def->name, strlen(def->name)) ||
			(l->p[strlen(def->name)] && l->p[strlen(def->name)] != ' '))
			return true;
		l->p += strlen(def->name);
		args->given[i] = true;
		return true;
	case ARG_EXPR:
		args->given[i] = *l->p != 0;
		return args->given[i] && expr_parse(&l->p, cpu, &args->number[i], &l->why);
	case ARG_WORD:
		args->given[i] = *l->p != 0;
		args->text[i] = take_word(l);
		return args->given[i];
	case ARG_REST:
		args->given[i] = *l->p != 0;
		args->text[i] = l->p;
		l->p += strlen(l->p);
		return args->given[i];
	}
	return false;
}

static bool parse_args(Line *l, const Command *c, const Cpu *cpu, Args *args)
{
	for (unsigned i = 0; c->args[i].name; i++) {
		const ArgDef *def = &c->args[i];
		while (*l->p == ' ')
			l->p++;
		if (!*l->p && def->optional)
			continue;
		if (!parse_arg(l, def, i, cpu, args)) {
			if (!l->why)
				l->why = "an argument is missing";
			return false;
		}
	}
	while (*l->p == ' ')
		l->p++;
	if (*l->p)
		l->why = "extraneous characters at the end of line";
	return !*l->p;
}

static void unknown(const char *what, const char *prefix, const Command *table, GString *out)
{
	GPtrArray *names = g_ptr_array_new();
	for (const Command *c = table; c->name; c++)
		g_ptr_array_add(names, (gpointer)c->name);
	g_ptr_array_add(names, NULL);
	const char *nearest = suggest_nearest(what, (const char *const *)names->pdata);
	g_string_append_printf(out, "unknown command: '%s%s'\n", prefix, what);
	if (nearest)
		g_string_append_printf(out, "Did you mean '%s%s'?\n", prefix, nearest);
	g_ptr_array_free(names, TRUE);
}

/* Only expressions look at registers: other commands must not stop the vcpus. */
static bool wants_registers(const Command *c, const char *line)
{
	for (unsigned i = 0; c->args[i].name; i++)
		if (c->args[i].type == ARG_EXPR)
			return strchr(line, '$');
	return false;
}

static void run_command(Monitor *mon, const Command *c, const char *prefix, const char *rest,
	GString *out)
{
	Line l = { rest, g_ptr_array_new_with_free_func(g_free), NULL };
	Args args = { { false }, { 0 }, { NULL }, { 1, 'x', 4 } };
	bool hold = wants_registers(c, rest);
	const Cpu *cpu = hold ? monitor_hold(mon) : NULL;
	bool ok = parse_args(&l, c, cpu, &args);
	if (hold)
		monitor_release(mon);
	if (ok)
		c->run(mon, &args, out);
	else
		g_string_append_printf(out, "%s\nTry \"help %s%s\" for more information\n", l.why,
		prefix, c->name);
	g_ptr_array_free(l.words, TRUE);
}

void monitor_execute(Monitor *mon, const char *line, GString *out)
{
	const Command *table = monitor_commands;
	const char *prefix = "";
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
			run_command(mon, c, prefix, line, out);
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
	for (const Command *c = info ? monitor_info_commands : monitor_commands; c->name; c++)
		if (g_str_has_prefix(c->name, word))
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
	return INPUT_MAX - ((Monitor *)opaque)->input->len;
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
	if (event == CHARDEV_MUX_IN) {
		send_raw(mon, "\r\n", 2);
		greet(mon);
	} else if (event == CHARDEV_MUX_OUT) {
		send_raw(mon, "\r\n", 2);
	}
}

static void on_writable(void *opaque)
{
	flush(opaque);
}

static const ChardevHandlers handlers = { can_read, on_read, on_event, on_writable };

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
	bool ok = chardev_attach(c, &handlers, mon, error);
	machine_unlock();
	if (!ok) {
		monitor_free(mon);
		return NULL;
	}
	mon->c = c;
	if (!chardev_is_mux_port(c)) /* on a mux it speaks when it gets the input */
		greet(mon);
	return mon;
}

void monitor_free(Monitor *mon)
{
	if (mon->idle)
		g_source_remove(mon->idle);
	if (mon->c) {
		machine_lock();
		flush(mon);
		chardev_attach(mon->c, NULL, NULL, NULL);
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
