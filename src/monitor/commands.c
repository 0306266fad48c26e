/*
 * commands.c - the table of commands, and those that need no file of their own.
 *
 * Main thread, machine lock not held.
 */
#include <inttypes.h>
#include <string.h>

#include "core/lock.h"
#include "core/log.h"
#include "monitor/private.h"

static void append_args(const Command *c, GString *out)
{
	for (unsigned i = 0; c->args[i].name; i++) {
		const ArgDef *a = &c->args[i];
		bool bracket = a->optional && a->type != ARG_FORMAT;
		g_string_append_printf(out, " %s%s%s", bracket ? "[" : "", a->name, bracket ? "]"
			: "");
	}
}

void command_help_line(const Command *c, const char *prefix, GString *out)
{
	g_string_append_printf(out, "%s%s%s%s", prefix, c->name, c->alias ? "|" : "", c->alias
		? c->alias : "");
	append_args(c, out);
	g_string_append_printf(out, " -- %s\n", c->help);
}

static void help_table(const Command *table, const char *prefix, GString *out)
{
	for (const Command *c = table; c->name; c++)
		command_help_line(c, prefix, out);
}

static void run_help(Monitor *mon, const Args *args, GString *out)
{
	if (!args->given[0]) {
		help_table(monitor_commands, "", out);
		return;
	}
	bool info = !strncmp(args->text[0], "info ", 5);
	const char *name = args->text[0] + (info ? 5 : 0);
	if (!strcmp(name, "info")) {
		help_table(monitor_info_commands, "info ", out);
		return;
	}
	if (!strcmp(name, "log")) {
		g_string_append(out, "none            nothing is logged\n");
		log_list_items(out);
		return;
	}
	const Command *c = command_find(info ? monitor_info_commands : monitor_commands, name);
	if (c)
		command_help_line(c, info ? "info " : "", out);
	else
		g_string_append_printf(out, "unknown command: '%s'\n", args->text[0]);
}

static void run_info(Monitor *mon, const Args *args, GString *out)
{
	help_table(monitor_info_commands, "info ", out);
}

static void run_quit(Monitor *mon, const Args *args, GString *out)
{
	machine_request_quit(mon->m, 0);
}

static void run_stop(Monitor *mon, const Args *args, GString *out)
{
	machine_stop(mon->m, STATE_PAUSED);
}

static void run_cont(Monitor *mon, const Args *args, GString *out)
{
	GError *error = NULL;
	if (machine_start(mon->m, &error))
		return;
	g_string_append_printf(out, "Error: %s\n", error->message);
	g_error_free(error);
}

static void run_reset(Monitor *mon, const Args *args, GString *out)
{
	machine_request_reset(mon->m);
}

static void run_powerdown(Monitor *mon, const Args *args, GString *out)
{
	machine_request_powerdown(mon->m);
}

static void run_nmi(Monitor *mon, const Args *args, GString *out)
{
	machine_inject_nmi(mon->m);
}

static void run_cpu(Monitor *mon, const Args *args, GString *out)
{
	if (args->number[0] < 0 || args->number[0] >= machine_board(mon->m)->cpu_count)
		g_string_append_printf(out,
			"Error: there is no vcpu %" PRId64 "; they are 0 to %u\n", args->number[0],
			machine_board(mon->m)->cpu_count - 1);
	else
		mon->cpu = (unsigned)args->number[0];
}

static unsigned port_size(const Args *args)
{
	return args->format.size > 4 ? 4 : (unsigned)args->format.size;
}

static void run_in(Monitor *mon, const Args *args, GString *out)
{
	unsigned size = args->given[0] ? port_size(args) : 1;
	uint64_t port = (uint64_t)args->number[1] & 0xffff;
	uint64_t value = as_load(machine_board(mon->m)->io, port, size);
	g_string_append_printf(out, "port%c[0x%04" PRIx64 "] = 0x%0*" PRIx64 "\n", size == 1 ? 'b'
		: size == 2 ? 'w' : 'l',
		port, (int)size * 2, value);
}

static void run_out(Monitor *mon, const Args *args, GString *out)
{
	unsigned size = args->given[0] ? port_size(args) : 1;
	as_store(machine_board(mon->m)->io, (uint64_t)args->number[1] & 0xffff,
		(uint64_t)args->number[2], size);
}

static void run_sum(Monitor *mon, const Args *args, GString *out)
{
	uint64_t addr = (uint64_t)args->number[0], size = (uint64_t)args->number[1];
	uint16_t sum = 0;
	for (uint64_t i = 0; i < size; i++) {
		uint8_t byte;
		if (!guest_read(machine_board(mon->m)->mem, addr + i, &byte, 1)) {
			g_string_append(out, "Cannot access memory\n");
			return;
		}
		/* The algorithm of BSD sum(1). */
		sum = (uint16_t)((sum >> 1 | sum << 15) + byte);
	}
	g_string_append_printf(out, "%05d\n", sum);
}

static void run_gva2gpa(Monitor *mon, const Args *args, GString *out)
{
	uint64_t gpa;
	Cpu *cpu = monitor_hold(mon);
	machine_lock();
	if (cpu_walk_debug(cpu, (uint64_t)args->number[0], &gpa))
		g_string_append_printf(out, "gpa: 0x%" PRIx64 "\n", gpa);
	else
		g_string_append(out, "Unmapped\n");
	machine_unlock();
	monitor_release(mon);
}

#define FMT { "/fmt", ARG_FORMAT, true }
#define ADDR { "addr", ARG_EXPR, false }

const Command monitor_commands[] = {
	{ "help", "?", { { "cmd", ARG_REST, true } }, "show the commands, or one of them",
	  run_help },
	{ "cont", "c", { { NULL } }, "let the guest run", run_cont },
	{ "cpu", NULL, { { "index", ARG_EXPR, false } },
	  "choose the vcpu that x and info registers speak of", run_cpu },
	{ "gva2gpa", NULL, { ADDR }, "physical address of a virtual one", run_gva2gpa },
	{ "i", NULL, { FMT, ADDR }, "read an I/O port", run_in },
	{ "info", NULL, { { "subcommand", ARG_WORD, true } }, "show something about the machine",
	  run_info },
	{ "log", NULL, { { "item1[,...]", ARG_WORD, false } }, "log these items from now on; none: nothing, "
	  "help: lists them", command_log },
	{ "logfile", NULL, { { "filename", ARG_WORD, false } }, "write the log to a file from now on",
	  command_logfile },
	{ "memsave", NULL, { ADDR, { "size", ARG_EXPR, false }, { "file", ARG_WORD, false } },
	  "write virtual memory to a file", command_memsave },
	{ "mouse_button", NULL, { { "state", ARG_EXPR, false } }, "press these mouse buttons and release the others (1=L, 2=M, 4=R)",
	  command_mouse_button },
	{ "mouse_move", NULL, { { "dx", ARG_EXPR, false }, { "dy", ARG_EXPR, false }, { "dz", ARG_EXPR, true } },
	  "move the mouse, and its wheel", command_mouse_move },
	{ "mouse_set", NULL, { { "index", ARG_EXPR, false } }, "choose the pointer that is used (see info mice)",
	  command_mouse_set },
	{ "nmi", NULL, { { NULL } }, "inject an NMI into each vcpu", run_nmi },
	{ "o", NULL, { FMT, ADDR, { "value", ARG_EXPR, false } }, "write an I/O port", run_out },
	{ "pmemsave", NULL, { ADDR, { "size", ARG_EXPR, false }, { "file", ARG_WORD, false } },
	  "write physical memory to a file", command_pmemsave },
	{ "print", "p", { FMT, { "expr", ARG_EXPR, false } },
	  "print the value of an expression ($reg for registers)",
	  command_print },
	{ "quit", "q", { { NULL } }, "end viv", run_quit },
	{ "sendkey", NULL, { { "keys", ARG_WORD, false }, { "hold_ms", ARG_EXPR, true } },
	  "type keys together, e.g. ctrl-alt-delete, and hold them for 100 ms or as said", command_sendkey },
	{ "stop", "s", { { NULL } }, "pause the guest", run_stop },
	{ "sum", NULL, { ADDR, { "size", ARG_EXPR, false } }, "16-bit checksum of physical memory",
	  run_sum },
	{ "system_powerdown", NULL, { { NULL } }, "press the power button", run_powerdown },
	{ "system_reset", NULL, { { NULL } }, "reset the machine", run_reset },
	{ "x", NULL, { FMT, ADDR }, "dump virtual memory from addr; fmt: count, x d u o c i s, b "
	  "h w g", command_x },
	{ "xp", NULL, { FMT, ADDR }, "dump physical memory from addr", command_xp },
	{ NULL },
};
