/*
 * debugger.c - see debugger.h.
 */
#include "cpu/debugger.h"

#include <string.h>

#include "cpu/interp/interp.h"

CpuDebugger *cpu_debugger_new(void)
{
	CpuDebugger *d = g_new0(CpuDebugger, 1);

	d->breaks = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	d->watches = g_array_new(FALSE, FALSE, sizeof(CpuWatchpoint));
	return d;
}

void cpu_debugger_free(CpuDebugger *d)
{
	if (!d)
		return;
	g_array_free(d->breaks, TRUE);
	g_array_free(d->watches, TRUE);
	g_free(d);
}

static void note_offsets(CpuDebugger *d)
{
	memset(d->offsets, 0, sizeof(d->offsets));
	for (guint i = 0; i < d->breaks->len; i++) {
		uint64_t at = g_array_index(d->breaks, uint64_t, i);
		d->offsets[at >> 6 & 63] |= 1ull << (at & 63);
	}
}

static int find_break(const CpuDebugger *d, uint64_t linear)
{
	for (guint i = 0; i < d->breaks->len; i++)
		if (g_array_index(d->breaks, uint64_t, i) == linear)
			return (int)i;
	return -1;
}

bool cpu_debugger_add_break(CpuDebugger *d, uint64_t linear)
{
	if (find_break(d, linear) >= 0)
		return false;
	g_array_append_val(d->breaks, linear);
	note_offsets(d);
	return true;
}

bool cpu_debugger_remove_break(CpuDebugger *d, uint64_t linear)
{
	int i = find_break(d, linear);

	if (i < 0)
		return false;
	g_array_remove_index_fast(d->breaks, (guint)i);
	note_offsets(d);
	return true;
}

static int find_watch(const CpuDebugger *d, CpuWatchpoint w)
{
	for (guint i = 0; i < d->watches->len; i++) {
		const CpuWatchpoint *o = &g_array_index(d->watches, CpuWatchpoint, i);
		if (o->address == w.address && o->length == w.length && o->kinds == w.kinds)
			return (int)i;
	}
	return -1;
}

bool cpu_debugger_add_watch(CpuDebugger *d, CpuWatchpoint w)
{
	if (find_watch(d, w) >= 0)
		return false;
	g_array_append_val(d->watches, w);
	return true;
}

bool cpu_debugger_remove_watch(CpuDebugger *d, CpuWatchpoint w)
{
	int i = find_watch(d, w);

	if (i >= 0)
		g_array_remove_index_fast(d->watches, (guint)i);
	return i >= 0;
}

void cpu_debugger_clear(CpuDebugger *d)
{
	g_array_set_size(d->breaks, 0);
	g_array_set_size(d->watches, 0);
	note_offsets(d);
}

void cpu_debugger_set(Cpu *cpu, const CpuDebugger *d)
{
	cpu->debug.set = d;
	cpu_update_mode(cpu);
}

/* Debuggers take all breakpoints out at each stop and put them in again: only what is there at the end counts. */
void cpu_debugger_settle(Cpu *cpu)
{
	static const uint64_t none[G_N_ELEMENTS(cpu->debug.made)];
	const uint64_t *want = cpu->debug.set ? cpu->debug.set->offsets : none;

	if (!cpu->debug.set && !cpu->debug.armed)
		return;
	if (memcmp(cpu->debug.made, want, sizeof(cpu->debug.made))) {
		memcpy(cpu->debug.made, want, sizeof(cpu->debug.made));
		cpu->debug.armed = memcmp(want, none, sizeof(none));
		icache_forget_all(cpu);
	}
}

bool cpu_break_here(Cpu *cpu, uint64_t linear)
{
	if (!cpu_break_near(cpu, linear) || cpu->debug.step || find_break(cpu->debug.set, linear) < 0)
		return false;
	cpu->debug.stop = CPU_STOP_BREAK;
	cpu->debug.address = linear;
	/* Noticed between two instructions, which this is. */
	atomic_fetch_or(&cpu->events, CPU_EV_KICK);
	return true;
}

void cpu_watch_access(Cpu *cpu, uint64_t linear, unsigned size, bool write)
{
	const CpuDebugger *d = cpu->debug.set;

	for (guint i = 0; d && i < d->watches->len; i++) {
		const CpuWatchpoint *w = &g_array_index(d->watches, CpuWatchpoint, i);
		if (!(w->kinds & (write ? CPU_WATCH_WRITE : CPU_WATCH_READ)) ||
		    (linear - w->address >= w->length && w->address - linear >= size))
			continue;
		cpu->debug.stop = CPU_STOP_WATCH;
		cpu->debug.address = w->address;
		atomic_fetch_or(&cpu->events, CPU_EV_KICK); /* the instruction comes to its end */
	}
}
