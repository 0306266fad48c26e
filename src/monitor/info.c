/*
 * info.c - `info ...`: what the machine is and how it stands.
 *
 * Devices are asked through their class: its info function, or its state table. Main
 * thread, machine lock not held.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/lock.h"
#include "hw/classes.h"
#include "monitor/private.h"

void info_registers(Monitor *mon, const Args *args, GString *out)
{
	Board *b = machine_board(mon->m);
	if (args->given[1] && (args->number[1] < 0 || args->number[1] >= b->cpu_count)) {
		g_string_append(out, "CPU not available\n");
		return;
	}
	monitor_hold(mon);
	for (unsigned i = 0; i < b->cpu_count; i++) {
		bool wanted = args->given[0] || i == (args->given[1] ? (unsigned)args->number[1]
			: mon->cpu);
		if (!wanted)
			continue;
		machine_sync_get(mon->m, b->cpus[i]);
		g_string_append_printf(out, "\nCPU#%u\n", i);
		cpu_append_registers(b->cpus[i], REGISTERS_FPU, out);
	}
	monitor_release(mon);
}

void info_accel(Monitor *mon, const Args *args, GString *out)
{
	Accel *a = machine_accel(mon->m);
	if (a->cls->info)
		a->cls->info(a, out);
	else
		g_string_append_printf(out, "%s: %s\n", a->cls->name, a->cls->desc);
}

void info_jit(Monitor *mon, const Args *args, GString *out)
{
	Accel *a = machine_accel(mon->m);
	if (!a->cls->info_jit) {
		g_string_append(out, "JIT information is only available with accel=jit\n");
		return;
	}
	machine_hold_vcpus(mon->m);
	a->cls->info_jit(a, out);
	machine_release_vcpus(mon->m);
}

/* ---- devices ---- */

/* What devices of these classes say of themselves. */
static void append_controllers(Monitor *mon, const char *const *names, GString *out)
{
	const Board *b = machine_board(mon->m);
	bool any = false;

	machine_lock();
	for (unsigned n = 0; names[n]; n++)
		for (unsigned i = 0; i < b->devices->len; i++) {
			Device *d = g_ptr_array_index(b->devices, i);
			if (strcmp(d->cls->name, names[n]))
				continue;
			any = true;
			d->cls->info(d, out);
		}
	machine_unlock();
	if (!any)
		g_string_append(out, "The accelerator has the interrupt controllers.\n");
}

void info_pic(Monitor *mon, const Args *args, GString *out)
{
	static const char *const names[] = { "ioapic", "isa-i8259", NULL };
	append_controllers(mon, names, out);
}

void info_lapic(Monitor *mon, const Args *args, GString *out)
{
	const Board *b = machine_board(mon->m);
	unsigned cpu = args->given[0] ? (unsigned)args->number[0] : mon->cpu, seen = 0;
	bool any = false;

	machine_lock();
	for (unsigned i = 0; i < b->devices->len; i++) {
		Device *d = g_ptr_array_index(b->devices, i);
		if (!strcmp(d->cls->name, "apic") && seen++ == cpu) {
			any = true;
			d->cls->info(d, out);
		}
	}
	machine_unlock();
	if (!any)
		g_string_append(out, seen ? "No such APIC\n" : "The accelerator has the interrupt controllers.\n");
}

void info_irq(Monitor *mon, const Args *args, GString *out)
{
	const Board *b = machine_board(mon->m);

	machine_lock();
	for (unsigned i = b->devices->len; i-- > 0;) {
		const Device *d = g_ptr_array_index(b->devices, i);
		unsigned count = 0;
		const uint64_t *risen = d->cls->irq_counts ? d->cls->irq_counts(d, &count) : NULL;
		if (!risen)
			continue;
		g_string_append_printf(out, "IRQ statistics for %s:\n", d->cls->name);
		for (unsigned n = 0; n < count; n++)
			if (risen[n])
				g_string_append_printf(out, "%2u: %" PRIu64 "\n", n, risen[n]);
	}
	machine_unlock();
}

/* ---- memory map ---- */

static const char *region_kind(const Region *r)
{
	return r->host_write ? "ram" : r->host_read ? "rom" : "i/o";
}

static void append_ranges(AddressSpace *as, const char *title, GString *out)
{
	size_t count;
	const FlatRange *ranges = as_ranges(as, &count);
	g_string_append_printf(out, "address-space: %s\n", title);
	for (size_t i = 0; i < count; i++) {
		const FlatRange *f = &ranges[i];
		g_string_append_printf(out, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s): %s",
			f->start, f->end,
			f->region->priority, region_kind(f->region), f->region->name);
		if (f->offset)
			g_string_append_printf(out, " @%016" PRIx64, f->offset);
		g_string_append_c(out, '\n');
	}
	g_string_append_c(out, '\n');
}

/* The flat view is what there is, with -f and without. */
void info_mtree(Monitor *mon, const Args *args, GString *out)
{
	Board *b = machine_board(mon->m);
	machine_lock();
	append_ranges(b->mem, "memory", out);
	append_ranges(b->io, "I/O", out);
	machine_unlock();
}

void info_qdm(Monitor *mon, const Args *args, GString *out) { device_classes_list(true, out); }

void info_roms(Monitor *mon, const Args *args, GString *out)
{
	const MachineConfig *c = machine_config(mon->m);
	size_t count;
	machine_lock();
	const FlatRange *ranges = as_ranges(machine_board(mon->m)->mem, &count);
	for (size_t i = 0; i < count; i++) {
		const Region *r = ranges[i].region;
		/* A region's first visible piece stands for it. */
		bool again = false;
		for (size_t k = 0; k < i; k++)
			again |= ranges[k].region == r;
		if (!again && r->host_read && !r->host_write)
			g_string_append_printf(out,
				"addr=%016" PRIx64 " size=0x%06" PRIx64 " mem=rom name=\"%s\"\n",
				r->base, r->size,
				r->name);
	}
	machine_unlock();
	for (unsigned i = 0; i < c->option_roms->len; i++) {
		const RomConfig *rom = g_ptr_array_index(c->option_roms, i);
		char *base = g_path_get_basename(rom->file);
		g_string_append_printf(out, "fw=genroms/%s name=\"%s\"\n", base, rom->file);
		g_free(base);
	}
}

/* ---- names ---- */

void info_history(Monitor *mon, const Args *args, GString *out)
{
	const char *line;
	for (unsigned i = 0; (line = readline_history(mon->line, i)); i++)
		g_string_append_printf(out, "%u: '%s'\n", i, line);
}

void info_numa(Monitor *mon, const Args *args, GString *out)
{
	const MachineConfig *c = machine_config(mon->m);
	g_string_append_printf(out, "%u nodes\n", c->numa->len);
	for (unsigned i = 0; i < c->numa->len; i++) {
		const NumaNode *n = g_ptr_array_index(c->numa, i);
		g_string_append_printf(out, "node %u cpus:", i);
		for (unsigned r = 0; r < n->cpus->len; r++) {
			NumaRange range = g_array_index(n->cpus, NumaRange, r);
			for (unsigned cpu = range.first; cpu <= range.last; cpu++)
				g_string_append_printf(out, " %u", cpu);
		}
		g_string_append_printf(out, "\nnode %u size: %" PRIu64 " MB\n", i, n->mem >> 20);
	}
}
