/*
 * viv_log.c - see viv_log.h.
 *
 * Each vcpu's table of the world is replaced by a copy that traces, so that a machine
 * without -d pays nothing. Vcpu threads enter trace(); stdio locks the stream.
 */
#include "tools/viv_log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "cpu/cpu.h"

/* The vcpu's world points to the first member. Lives until exit. */
typedef struct TracedWorld {
	CpuWorld world;
	FILE *out;
	unsigned items;
} TracedWorld;

/* Lines of interrupts begin with "v="; the others are resets. */
static void trace(void *opaque, Cpu *cpu, const char *text)
{
	const TracedWorld *t = (const TracedWorld *)cpu->world;
	unsigned item = g_str_has_prefix(text, "v=") ? LOG_INT : LOG_CPU_RESET;
	if (t->items & item)
		fputs(text, t->out);
}

bool viv_log_start(const Cli *cli, Board *board, GError **error)
{
	const char *path = cli->host.log_file;
	if (!cli->host.log_items)
		return true;
	FILE *out = path ? fopen(path, "we") : stderr;
	if (!out)
		return fail(error, VIV_ERROR_FAILED, "-D %s: %s", path, g_strerror(errno));
	setvbuf(out, NULL, _IOLBF, 0);
	for (unsigned i = 0; i < board->cpu_count; i++) {
		TracedWorld *t = g_new0(TracedWorld, 1);
		t->world = *board->cpus[i]->world;
		t->world.trace = trace;
		t->out = out;
		t->items = cli->host.log_items;
		board->cpus[i]->world = &t->world;
	}
	return true;
}
