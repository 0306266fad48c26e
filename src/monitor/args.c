/*
 * args.c - what stands behind a command's name: parsed by its table for a person, turned into QMP's arguments.
 *
 * Main thread.
 */
#include <string.h>

#include "core/error.h"
#include "core/units.h"
#include "monitor/private.h"

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
			*why = "invalid char in format: '%c'";
			*p = s;
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
	case ARG_SIZE:
		args->given[i] = *l->p != 0;
		if (args->given[i] && !parse_size(take_word(l), 1 << 20, (uint64_t *)&args->number[i]))
			l->why = "invalid size";
		return args->given[i] && !l->why;
	case ARG_QMP:
		return true;
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

static const char extraneous[] = "extraneous characters at the end of line";

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
		l->why = extraneous;
	return !*l->p;
}

/* ---- the same for programs ---- */

static const char *qmp_name(const ArgDef *def) { return def->qmp ? def->qmp : def->name + (def->type == ARG_FLAG); }

static const char *qmp_type(const ArgDef *def)
{
	static const char *const usual[] = {
		[ARG_FORMAT] = "str", [ARG_EXPR] = "int", [ARG_WORD] = "str", [ARG_REST] = "str", [ARG_FLAG] = "bool",
		[ARG_SIZE] = "int", [ARG_QMP] = "str",
	};
	return def->qtype ? def->qtype : usual[def->type];
}

SchemaMember *command_members(const Command *c)
{
	SchemaMember *members = g_new0(SchemaMember, ARGS_MAX + 1);
	unsigned n = 0;

	for (const ArgDef *a = c->args; a->name; a++)
		if (*qmp_name(a))
			members[n++] = (SchemaMember){ qmp_name(a), qmp_type(a), a->optional || a->qoptional };
	return members;
}

static json_t *to_json(const ArgDef *def, const Args *args, unsigned i)
{
	switch (def->type) {
	case ARG_EXPR:
	case ARG_SIZE: return json_integer(args->number[i]);
	case ARG_FLAG: return json_true();
	case ARG_WORD:
	case ARG_REST: return json_string(args->text[i]);
	case ARG_FORMAT:
	case ARG_QMP: break;
	}
	return NULL;
}

void monitor_say_error(GError *error, GString *out)
{
	if (error)
		g_string_append_printf(out, "Error: %s\n", error->message);
	g_clear_error(&error);
}

void monitor_serve(Monitor *mon, ServeFn *serve, json_t *args, GString *out)
{
	GError *error = NULL;

	json_decref(serve(mon, args, &error));
	monitor_say_error(error, out);
	json_decref(args);
}

/* A person's arguments, as a program would have given them. */
static void serve_line(Monitor *mon, const Command *c, const Args *args, GString *out)
{
	GError *error = NULL;
	json_t *object = json_object(), *reply = NULL;
	SchemaMember *members = command_members(c);

	for (unsigned i = 0; c->args[i].name; i++)
		if (args->given[i] && *qmp_name(&c->args[i]))
			json_object_set_new(object, qmp_name(&c->args[i]), to_json(&c->args[i], args, i));
	if (schema_check_members(members, c->flags & COMMAND_OPEN, object, &error))
		reply = c->serve(mon, object, &error);
	if (reply && c->show)
		c->show(mon, reply, out);
	monitor_say_error(error, out);
	json_decref(reply);
	json_decref(object);
	g_free(members);
}

/* Only expressions look at registers: other commands must not stop the vcpus. */
static bool wants_registers(const Command *c, const char *line)
{
	for (unsigned i = 0; c->args[i].name; i++)
		if (c->args[i].type == ARG_EXPR)
			return strchr(line, '$');
	return false;
}

/* In QEMU's words. `typed`: the name as it was written. */
static void say_why(const Line *l, const Command *c, const char *prefix, const char *typed,
	GString *out)
{
	const char *hole = strstr(l->why, "%c");

	if (l->why == extraneous)
		g_string_append_printf(out, "%s%s%s: ", c->name, c->alias ? "|" : "",
			c->alias ? c->alias : "");
	if (hole)
		g_string_append_printf(out, "%.*s%c%s", (int)(hole - l->why), l->why, *l->p, hole + 2);
	else
		g_string_append(out, l->why);
	g_string_append_printf(out, "\nTry \"help %s%s\" for more information\n", prefix, typed);
}

void command_run_line(Monitor *mon, const Command *c, const char *prefix, const char *typed,
	const char *rest, GString *out)
{
	Line l = { rest, g_ptr_array_new_with_free_func(g_free), NULL };
	Args args = { { false }, { 0 }, { NULL }, { 1, 'x', 4 } };
	bool hold = wants_registers(c, rest);
	const Cpu *cpu = hold ? monitor_hold(mon) : NULL;
	bool ok = parse_args(&l, c, cpu, &args);
	if (hold)
		monitor_release(mon);
	if (ok && c->run)
		c->run(mon, &args, out);
	else if (ok)
		serve_line(mon, c, &args, out);
	else
		say_why(&l, c, prefix, typed, out);
	g_ptr_array_free(l.words, TRUE);
}

