/*
 * info.c - `info ...`: what the machine is and how it stands.
 *
 * Devices are asked through their class: its info function, or its state table. Main
 * thread, machine lock not held.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/version.h"
#include "core/clock.h"
#include "core/lock.h"
#include "hw/pci/pci.h"
#include "monitor/private.h"

static void info_status(Monitor *mon, const Args *args, GString *out)
{
	RunState state = machine_state(mon->m);
	bool running = state == STATE_RUNNING;
	g_string_append_printf(out, "VM status: %s", running ? "running" : "paused");
	if (!running && state != STATE_PAUSED)
		g_string_append_printf(out, " (%s)", machine_state_name(state));
	g_string_append_c(out, '\n');
}

static void info_version(Monitor *mon, const Args *args, GString *out)
{
	g_string_append(out, VIV_VERSION " (Vivarium)\n");
}

/* The host's id of a vcpu's thread, found by its name; 0: none. */
static int thread_id(unsigned index)
{
	char want[32];
	int found = 0;
	GDir *dir = g_dir_open("/proc/self/task", 0, NULL);
	g_snprintf(want, sizeof(want), "viv-cpu%u\n", index);
	for (const char *name; dir && !found && (name = g_dir_read_name(dir));) {
		char *path = g_strdup_printf("/proc/self/task/%s/comm", name), *comm = NULL;
		if (g_file_get_contents(path, &comm, NULL, NULL) && !strcmp(comm, want))
			found = atoi(name);
		g_free(comm);
		g_free(path);
	}
	if (dir)
		g_dir_close(dir);
	return found;
}

static void info_cpus(Monitor *mon, const Args *args, GString *out)
{
	const Board *b = machine_board(mon->m);
	for (unsigned i = 0; i < b->cpu_count; i++)
		g_string_append_printf(out, "%c CPU #%u: thread_id=%d\n", i == mon->cpu ? '*' : ' ',
			i, thread_id(i));
}

static void info_registers(Monitor *mon, const Args *args, GString *out)
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

static void info_accel(Monitor *mon, const Args *args, GString *out)
{
	Accel *a = machine_accel(mon->m);
	if (a->cls->info)
		a->cls->info(a, out);
	else
		g_string_append_printf(out, "%s: %s\n", a->cls->name, a->cls->desc);
}

static void info_jit(Monitor *mon, const Args *args, GString *out)
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

static void info_kvm(Monitor *mon, const Args *args, GString *out)
{
	bool kvm = !strcmp(machine_accel(mon->m)->cls->name, "kvm");
	g_string_append_printf(out, "kvm support: %s\n", kvm ? "enabled" : "disabled");
}

/* ---- devices ---- */

static void append_field(const StateField *f, const uint8_t *at, GString *out)
{
	switch (f->type) {
	case FIELD_BOOL: g_string_append(out, *(const bool *)at ? "1" : "0"); break;
	case FIELD_U8: g_string_append_printf(out, "%02x", *at); break;
	case FIELD_U16: g_string_append_printf(out, "%04x", *(const uint16_t *)at); break;
	case FIELD_U32: g_string_append_printf(out, "%08x", *(const uint32_t *)at); break;
	case FIELD_U64: g_string_append_printf(out, "%016" PRIx64, *(const uint64_t *)at); break;
	case FIELD_I64: g_string_append_printf(out, "%" PRId64, *(const int64_t *)at); break;
	case FIELD_STRUCT:
	case FIELD_GROUP: break; /* devices that have one tell of it themselves */
	case FIELD_TIMER: {
		const Timer *t = (const Timer *)(const void *)at;
		if (timer_armed(t))
			g_string_append_printf(out, "%" PRId64 "ns", t->deadline);
		else
			g_string_append(out, "idle");
		break;
	}
	}
}

/* name=value of the state table; arrays with blanks between their elements. */
static void append_state(const Device *dev, GString *out)
{
	static const uint8_t width[] = {
		[FIELD_BOOL] = sizeof(bool), [FIELD_U8] = 1, [FIELD_U16] = 2, [FIELD_U32] = 4,
			[FIELD_U64] = 8,
		[FIELD_I64] = 8, [FIELD_TIMER] = sizeof(Timer), [FIELD_STRUCT] = 0, [FIELD_GROUP] = 0,
	};
	size_t line = out->len;
	for (const StateField *f = dev->cls->state; f && f->name; f++) {
		const uint8_t *at = (const uint8_t *)dev + f->offset;
		if (out->len - line > 80) {
			g_string_append(out, "\n   ");
			line = out->len;
		}
		g_string_append_printf(out, " %s=", f->name);
		for (unsigned i = 0; i < f->count && i < 64; i++, at += width[f->type]) {
			if (i)
				g_string_append_c(out, ' ');
			append_field(f, at, out);
		}
	}
	g_string_append_c(out, '\n');
}

static void append_controllers(Monitor *mon, const char *const *names, GString *out)
{
	const Board *b = machine_board(mon->m);
	bool any = false;
	machine_lock();
	for (unsigned n = 0; names[n]; n++) {
		for (unsigned i = 0; i < b->devices->len; i++) {
			Device *d = g_ptr_array_index(b->devices, i);
			if (strcmp(d->cls->name, names[n]))
				continue;
			any = true;
			g_string_append_printf(out, "%s:", d->cls->name);
			if (d->cls->info) {
				g_string_append_c(out, '\n');
				d->cls->info(d, out);
			} else {
				append_state(d, out);
			}
		}
	}
	machine_unlock();
	if (!any)
		g_string_append(out, "The accelerator has the interrupt controllers.\n");
}

static void info_pic(Monitor *mon, const Args *args, GString *out)
{
	static const char *const names[] = { "ioapic", "isa-i8259", NULL };
	append_controllers(mon, names, out);
}

static void info_lapic(Monitor *mon, const Args *args, GString *out)
{
	static const char *const names[] = { "apic", NULL };
	append_controllers(mon, names, out);
}

static void info_irq(Monitor *mon, const Args *args, GString *out)
{
	static const char *const names[] = { "isa-i8259", "ioapic", "apic", NULL };
	g_string_append(out, "Interrupts are not counted in this version; the controllers' "
		"state:\n");
	append_controllers(mon, names, out);
}

static void info_qtree(Monitor *mon, const Args *args, GString *out)
{
	const Board *b = machine_board(mon->m);
	machine_lock();
	for (unsigned i = 0; i < b->devices->len; i++) {
		Device *d = g_ptr_array_index(b->devices, i);
		g_string_append_printf(out, "dev: %s, id \"%s\", bus %s\n", d->cls->name, d->id
			? d->id : "", d->cls->bus);
		for (const Property *p = d->cls->props; p && p->name; p++) {
			if (p->type == PROP_PTR)
				continue;
			char *text = device_get(d, p);
			g_string_append_printf(out, "  %s = %s\n", p->name, text);
			g_free(text);
		}
	}
	machine_unlock();
}

/* ---- PCI ---- */

static const char *class_name(unsigned class_code)
{
	static const struct { uint16_t code; const char *name; } names[] = {
		{ 0x0100, "SCSI controller" }, { 0x0101, "IDE controller" },
		{ 0x0106, "SATA controller" },
		{ 0x0200, "Ethernet controller" }, { 0x0300, "VGA controller" },
		{ 0x0600, "Host bridge" },
		{ 0x0601, "ISA bridge" }, { 0x0604, "PCI bridge" }, { 0x0680, "Bridge" },
		{ 0x0c03, "USB controller" },
		{ 0x0c05, "SMBus" },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (names[i].code == class_code)
			return names[i].name;
	return NULL;
}

static void append_bar(const PciDevice *d, unsigned n, GString *out)
{
	const PciBar *bar = &d->bar[n];
	unsigned reg = n == PCI_ROM_BAR ? PCI_ROM : PCI_BAR0 + 4 * n;
	uint64_t raw = pci_get32(&d->config[reg]), size = bar->region->size;
	if (bar->type == PCI_BAR_IO) {
		uint64_t at = raw & ~3ull;
		g_string_append_printf(out,
			"      BAR%u: I/O at 0x%04" PRIx64 " [0x%04" PRIx64 "].\n", n, at,
			at + size - 1);
		return;
	}
	bool wide = bar->type == PCI_BAR_MEM64 || bar->type == PCI_BAR_MEM64_PREFETCH;
	bool prefetch = bar->type == PCI_BAR_MEM64_PREFETCH || bar->type == PCI_BAR_MEM32_PREFETCH;
	uint64_t at = raw & (n == PCI_ROM_BAR ? ~0x7ffull : ~0xfull);
	if (wide)
		at |= (uint64_t)pci_get32(&d->config[reg + 4]) << 32;
	g_string_append_printf(out, "      BAR%u: %d bit%s memory at 0x%08" PRIx64 " "
		"[0x%08" PRIx64 "].\n", n, wide ? 64 : 32,
		prefetch ? " prefetchable" : "", at, at + size - 1);
}

static void append_function(PciDevice *d, void *opaque)
{
	GString *out = opaque;
	unsigned class_code = pci_get16(&d->config[PCI_CLASS]);
	const char *name = class_name(class_code);
	g_string_append_printf(out, "  Bus  0, device %3u, function %u:\n    ", d->devfn >> 3,
		d->devfn & 7);
	if (name)
		g_string_append_printf(out, "%s", name);
	else
		g_string_append_printf(out, "Class %04u", class_code);
	g_string_append_printf(out, ": PCI device %04x:%04x\n", pci_get16(&d->config[PCI_VENDOR]),
		pci_get16(&d->config[PCI_DEVICE]));
	if (pci_get16(&d->config[PCI_SUBVENDOR]))
		g_string_append_printf(out, "      PCI subsystem %04x:%04x\n",
			pci_get16(&d->config[PCI_SUBVENDOR]),
			pci_get16(&d->config[PCI_SUBSYSTEM]));
	if (d->config[PCI_INT_PIN])
		g_string_append_printf(out, "      IRQ %u, pin %c\n", d->config[PCI_INT_LINE],
			'A' + d->config[PCI_INT_PIN] - 1);
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (d->bar[n].type != PCI_BAR_NONE && d->bar[n].region)
			append_bar(d, n, out);
	g_string_append_printf(out, "      id \"%s\"\n", d->dev.id ? d->dev.id : "");
}

static void info_pci(Monitor *mon, const Args *args, GString *out)
{
	machine_lock();
	if (machine_board(mon->m)->pci)
		pci_bus_each(machine_board(mon->m)->pci, append_function, out);
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
static void info_mtree(Monitor *mon, const Args *args, GString *out)
{
	Board *b = machine_board(mon->m);
	machine_lock();
	append_ranges(b->mem, "memory", out);
	append_ranges(b->io, "I/O", out);
	machine_unlock();
}

static void info_roms(Monitor *mon, const Args *args, GString *out)
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

static void info_name(Monitor *mon, const Args *args, GString *out)
{
	if (machine_config(mon->m)->name)
		g_string_append_printf(out, "%s\n", machine_config(mon->m)->name);
}

static void info_uuid(Monitor *mon, const Args *args, GString *out)
{
	for (unsigned i = 0; i < 16; i++)
		g_string_append_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-"
			: "",
			machine_config(mon->m)->uuid[i]);
	g_string_append_c(out, '\n');
}

static void info_history(Monitor *mon, const Args *args, GString *out)
{
	const char *line;
	for (unsigned i = 0; (line = readline_history(mon->line, i)); i++)
		g_string_append_printf(out, "%u: '%s'\n", i, line);
}

static void info_numa(Monitor *mon, const Args *args, GString *out)
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

const Command monitor_info_commands[] = {
	{ "accel", NULL, { { NULL } }, "how vcpus run, with counts", info_accel },
	{ "block", NULL, { { "-n", ARG_FLAG, true } }, "drives and what is in them; -n: the nodes of images",
	  info_block },
	{ "blockstats", NULL, { { NULL } }, "what each drive has read and written", info_blockstats },
	{ "cpus", NULL, { { NULL } }, "vcpus and their threads", info_cpus },
	{ "history", NULL, { { NULL } }, "lines typed before", info_history },
	{ "irq", NULL, { { NULL } }, "interrupt controllers and local APICs", info_irq },
	{ "jit", NULL, { { NULL } }, "what the translator did, with counts", info_jit },
	{ "kvm", NULL, { { NULL } }, "is KVM in use?", info_kvm },
	{ "lapic", NULL, { { NULL } }, "local APICs", info_lapic },
	{ "mice", NULL, { { NULL } }, "pointers, and which one is used", info_mice },
	{ "mtree", NULL, { { "-f", ARG_FLAG, true } }, "memory and I/O as the guest sees them",
	  info_mtree },
	{ "name", NULL, { { NULL } }, "the guest's name", info_name },
	{ "numa", NULL, { { NULL } }, "NUMA nodes", info_numa },
	{ "pci", NULL, { { NULL } }, "PCI functions", info_pci },
	{ "pic", NULL, { { NULL } }, "8259s and I/O APIC", info_pic },
	{ "qtree", NULL, { { NULL } }, "devices and their properties", info_qtree },
	{ "registers", NULL, { { "-a", ARG_FLAG, true }, { "vcpu", ARG_EXPR, true } },
	  "registers of the chosen vcpu, of one, or of all (-a)", info_registers },
	{ "roms", NULL, { { NULL } }, "read-only memory", info_roms },
	{ "status", NULL, { { NULL } }, "running or paused", info_status },
	{ "uuid", NULL, { { NULL } }, "the machine's UUID", info_uuid },
	{ "version", NULL, { { NULL } }, "viv's version", info_version },
	{ NULL },
};
