/*
 * pc.c - the PC of 1996: i440FX, PIIX3, and what hangs on them, wired in visible calls.
 *
 * Intel 82441FX (290549) and 82371FB/SB (290550) data sheets for the board's shape; QEMU's
 * "pc" machine for ports, interrupts and the memory split that its guests expect.
 * Leaves out SMM and hot-plug. Main thread, machine lock
 * held; route_gsi and route_msi from any thread that holds it.
 */
#include <inttypes.h>
#include <string.h>

#include "accel/accels.h"
#include "core/error.h"
#include "core/lock.h"
#include "cpu/models.h"
#include "display/screen.h"
#include "hw/acpi/pcihp.h"
#include "hw/classes.h"
#include "hw/intc/intc.h"
#include "hw/pci/pci.h"
#include "machine/private.h"

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)
#define CPU_DEFAULT "qemu64"
#define ARENA_EXTRA GIB /* firmware, option ROMs, video memory */

/* ---- helpers ---- */

bool pc_apply_globals(Machine *m, Device *dev, GError **error)
{
	const GPtrArray *list = m->config->globals;
	for (unsigned i = 0; i < list->len; i++) {
		const DeviceConfig *g = g_ptr_array_index(list, i);
		const KeyValue *kv = &g_array_index(g->props, KeyValue, 0);
		if (!strcmp(g->driver, dev->cls->name) && !device_set(dev, kv->key, kv->value, error)) {
			g_prefix_error(error, "-global %s.%s=%s: ", g->driver, kv->key, kv->value);
			return false;
		}
	}
	return true;
}

/* A board device with -global's properties; NULL with *error. */
static Device *make(Machine *m, const DeviceClass *cls, GError **error)
{
	Device *dev = device_new(&m->board, cls, NULL);
	if (pc_apply_globals(m, dev, error))
		return dev;
	device_free(dev);
	return NULL;
}

static bool add_plain(Machine *m, const DeviceClass *cls, GError **error)
{
	Device *dev = make(m, cls, error);
	return dev && device_realize(dev, error);
}

/* ---- interrupts ---- */

/* ISA interrupt n reaches both controllers; the PIT's is wired to pin 2 of the I/O APIC. */
static void route_gsi(void *opaque, int n, int level)
{
	Machine *m = opaque;
	if (m->accel->cls->irqchip) {
		m->accel->cls->set_gsi(m->accel, n, level);
		return;
	}
	if (n < 16 && n != 2) {
		Irq pic = device_input(m->pic, "irq", n);
		irq_set(&pic, level);
	}
	Irq apic = device_input(m->ioapic, "irq", n == 0 ? 2 : n);
	irq_set(&apic, level);
}

static void route_msi(Board *board, uint64_t addr, uint32_t data)
{
	Machine *m = (Machine *)board;
	if (m->accel->cls->irqchip)
		m->accel->cls->msi(m->accel, addr, data);
	else
		apic_deliver_msi(board, addr, data);
}

static bool route_ioeventfd(Board *board, int fd, uint64_t addr, unsigned size, bool port, int match,
	bool assign)
{
	Machine *m = (Machine *)board;
	return m->accel->cls->ioeventfd(m->accel, fd, addr, size, port, match, assign);
}

static bool add_interrupt_controllers(Machine *m, GError **error)
{
	Board *b = &m->board;
	if (m->accel->cls->ioeventfd)
		b->ioeventfd = route_ioeventfd;
	for (int i = 0; i < BOARD_GSI_COUNT; i++)
		b->gsi[i] = (Irq){ route_gsi, m, i };
	b->msi = route_msi;
	if (m->accel->cls->irqchip)
		return true;
	if (!(m->pic = make(m, &i8259_class, error)))
		return false;
	if (!device_realize(m->pic, error) || !(m->ioapic = make(m, &ioapic_class, error)) ||
	    !device_realize(m->ioapic, error))
		return false;
	for (unsigned i = 0; i < b->cpu_count; i++) {
		Device *apic = make(m, &apic_class, error);
		if (!apic)
			return false;
		device_set_ptr(apic, "cpu", b->cpus[i]);
		device_set_ptr(apic, "pic", m->pic);
		device_set_ptr(apic, "ioapic", m->ioapic);
		if (!device_realize(apic, error))
			return false;
		if (i == 0)
			device_connect(m->pic, "int", 0, device_input(apic, "extint", 0));
	}
	return true;
}

/* ---- memory ---- */

static bool add_memory(Machine *m, GError **error)
{
	Board *b = &m->board;
	uint64_t size = m->config->ram_size, limit = 0xe0000000;
	if (size >= limit)
		limit = 0xc0000000;
	if (m->config->props.max_ram_below_4g)
		limit = MIN(limit, MAX(m->config->props.max_ram_below_4g & ~(MIB - 1), MIB));
	b->ram_size = size;
	b->ram_below_4g = MIN(size, limit);
	b->ram_above_4g = size - b->ram_below_4g;
	if (!ram_arena_init(&b->arena, size + ARENA_EXTRA, error))
		return false;
	b->ram = ram_arena_alloc(&b->arena, size, error);
	if (!b->ram)
		return false;
	b->mem = as_new("memory", 0, &b->arena);
	b->io = as_new("I/O", 0x10000, &b->arena);
	region_init_ram(&m->ram_low, "ram-below-4g", b->ram, b->ram_below_4g, false);
	as_map(b->mem, &m->ram_low, 0, 0);
	if (b->ram_above_4g) {
		region_init_ram(&m->ram_high, "ram-above-4g", b->ram + b->ram_below_4g, b->ram_above_4g, false);
		as_map(b->mem, &m->ram_high, 4 * GIB, 0);
	}
	return true;
}

/* Translations of every vcpu are stale once the map changed. */
static void flush_vcpus(Board *b)
{
	for (unsigned i = 0; i < b->cpu_count; i++)
		if (b->cpus && b->cpus[i])
			cpu_post(b->cpus[i], CPU_EV_FLUSH);
}

static void map_changed(void *opaque, const FlatRange *ranges, size_t count)
{
	flush_vcpus(opaque);
}

static void set_a20(Board *b, bool enabled)
{
	if (b->a20 == enabled)
		return;
	b->a20 = enabled;
	flush_vcpus(b);
}

/* ---- processors ---- */

static bool assign_apic_ids(Machine *m, const CpuTopology *topology, GError **error)
{
	const SmpConfig *s = &m->config->smp;
	m->apic_ids = g_new0(uint32_t, s->maxcpus);
	for (unsigned i = 0; i < s->maxcpus; i++) {
		m->apic_ids[i] = cpu_topology_apic_id(topology, i);
		if (m->apic_ids[i] >= 255)
			return fail(error, VIV_ERROR_UNSUPPORTED, "-smp: this topology leads to APIC id %u; ids "
				"end at 254. Use powers of two, or fewer sockets.", m->apic_ids[i]);
	}
	return true;
}

/* All vcpus are alike: what was dropped from the first was dropped from each. */
static bool apply_model(Machine *m, Cpu *cpu, const CpuTopology *topology, GError **error)
{
	const char *spec = m->config->cpu_model ? m->config->cpu_model : CPU_DEFAULT;
	GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
	bool ok = cpu_model_apply(cpu, spec, topology, !strcmp(m->accel->cls->name, "kvm"), warnings, error);
	for (unsigned i = 0; ok && !cpu->index && i < warnings->len; i++)
		g_printerr("warning: %s\n", (const char *)g_ptr_array_index(warnings, i));
	g_ptr_array_free(warnings, TRUE);
	return ok;
}

static bool add_cpus(Machine *m, GError **error)
{
	Board *b = &m->board;
	const SmpConfig *s = &m->config->smp;
	/* A die is told to guests as part of its socket. */
	CpuTopology topology = { .sockets = s->sockets, .cores = s->cores * s->dies, .threads = s->threads };
	if (!assign_apic_ids(m, &topology, error))
		return false;
	b->cpu_max = s->maxcpus;
	b->cpus = g_new0(Cpu *, s->maxcpus);
	m->vcpus = g_new0(Vcpu, s->maxcpus);
	for (unsigned i = 0; i < s->cpus; i++) {
		Vcpu *v = &m->vcpus[i];
		v->m = m;
		pthread_cond_init(&v->wake, NULL);
		v->cpu = cpu_new(i, &machine_world, v, &b->arena);
		v->cpu->tsc_khz = m->tsc_khz;
		b->cpus[i] = v->cpu;
		b->cpu_count = i + 1;
		if (!apply_model(m, v->cpu, &topology, error))
			return false;
		cpu_reset(v->cpu);
	}
	return true;
}

static bool start_accel_vcpus(Machine *m, GError **error)
{
	for (unsigned i = 0; i < m->board.cpu_count; i++) {
		Vcpu *v = &m->vcpus[i];
		if (!m->accel->cls->vcpu_create(m->accel, v->cpu, error))
			return false;
		v->created = true;
		vcpu_attach_kick(v);
	}
	return true;
}

/* ---- the accelerator ---- */

static bool accel_named(const AccelClass *cls, const char *name)
{
	if (!strcmp(cls->name, name))
		return true;
	for (const char *const *a = cls->aliases; a && *a; a++)
		if (!strcmp(*a, name))
			return true;
	return false;
}

static bool choose_accel(Machine *m, GError **error)
{
	GString *tried = g_string_new("");
	const AccelClass *best = NULL;
	int best_score = 0;
	bool named = m->config->accels[0];
	for (unsigned i = 0; !best && (named ? m->config->accels[i] != NULL : i < 1); i++) {
		bool known = !named;
		for (const AccelClass *const *c = accel_classes; *c; c++) {
			const char *why = NULL;
			if (named && !accel_named(*c, m->config->accels[i]))
				continue;
			known = true;
			int score = (*c)->probe(&why);
			if (score > best_score) {
				best = *c;
				best_score = score;
			}
			if (!score)
				g_string_append_printf(tried, " %s: %s.", (*c)->name, why ? why : "not available");
		}
		if (!known)
			g_string_append_printf(tried, " %s: no such accelerator.", m->config->accels[i]);
	}
	bool ok = best && (m->accel = best->create(&m->board, &m->config->accel_options, error));
	if (!best)
		fail(error, VIV_ERROR_UNSUPPORTED, "No accelerator can run here.%s", tried->str);
	g_string_free(tried, TRUE);
	return ok;
}

/* ---- chipset and ISA devices ---- */

static bool add_hotplug(Machine *m, GError **error)
{
	if (!(m->hotplug = make(m, &pcihp_class, error)))
		return false;
	device_connect(m->hotplug, "gpe", 0, device_input(m->pm, "gpe", 1));
	pcihp_on_eject(m->hotplug, hotplug_eject, m);
	return device_realize(m->hotplug, error);
}

static bool add_vga(Machine *m, GError **error)
{
	const MachineConfig *c = m->config;
	char width[16], height[16];

	if (g_strcmp0(c->vga, "std"))
		return true;
	Device *dev = make(m, &vga_class, error);
	if (!dev)
		return false;
	g_snprintf(width, sizeof(width), "%u", c->screen_width);
	g_snprintf(height, sizeof(height), "%u", c->screen_height);
	bool ok = !c->screen_width || (device_set(dev, "xres", width, error) && device_set(dev, "yres", height, error));
	if (ok)
		return device_realize(dev, error);
	device_free(dev);
	return false;
}

static bool add_chipset(Machine *m, GError **error)
{
	Device *host = make(m, &i440fx_pcihost_class, error);
	if (!host || !device_realize(host, error))
		return false;
	Device *nb = make(m, &i440fx_class, error);
	if (!nb)
		return false;
	device_set_ptr(nb, "bios", m->bios);
	if (!device_realize(nb, error))
		return false;
	bus_new(&m->board, "pci", "pci.0", host, NULL, 0);
	Bus *isa_bus = bus_new(&m->board, "isa", "isa.0", NULL, NULL, 0);
	Device *isa = make(m, &piix3_class, error);
	if (!isa)
		return false;
	for (unsigned i = 0; i < 16; i++)
		device_connect(isa, "gsi", i, m->board.gsi[i]);
	isa_bus->owner = isa;
	if (!device_realize(isa, error) || !add_vga(m, error))
		return false;
	Device *ide = make(m, &piix3_ide_class, error);
	if (!ide)
		return false;
	device_connect(ide, "irq", 0, m->board.gsi[14]);
	device_connect(ide, "irq", 1, m->board.gsi[15]);
	if (!device_realize(ide, error))
		return false;
	if (m->config->no_acpi)
		return true;
	if (!(m->pm = make(m, &piix4pm_class, error)))
		return false;
	device_connect(m->pm, "sci", 0, m->board.gsi[9]);
	m->board.powerdown = device_input(m->pm, "powerdown", 0);
	if (!device_realize(m->pm, error))
		return false;
	return !device_is_on(m->pm, "acpi-root-pci-hotplug") || add_hotplug(m, error);
}

/* With an HPET, the PIT and RTC lines pass through it: it can take their place. */
static bool add_timers(Machine *m, GError **error)
{
	Board *b = &m->board;
	Irq pit_irq = b->gsi[0], rtc_irq = b->gsi[8];
	if (!m->config->no_hpet) {
		if (!(m->hpet = make(m, &hpet_class, error)))
			return false;
		for (unsigned i = 0; i < BOARD_GSI_COUNT; i++)
			device_connect(m->hpet, "gsi", i, b->gsi[i]);
		if (!device_realize(m->hpet, error))
			return false;
		pit_irq = device_input(m->hpet, "pit", 0);
		rtc_irq = device_input(m->hpet, "rtc", 0);
	}
	if (!m->accel->cls->irqchip) {
		if (!(m->pit = make(m, &i8254_class, error)))
			return false;
		device_connect(m->pit, "irq", 0, pit_irq);
		if (!device_realize(m->pit, error))
			return false;
		Device *port61 = make(m, &port61_class, error);
		if (!port61)
			return false;
		device_set_ptr(port61, "pit", m->pit);
		if (!device_realize(port61, error))
			return false;
	}
	Device *rtc = make(m, &rtc_class, error);
	if (!rtc)
		return false;
	static const char *const clocks[] = { "host", "rt", "vm" };
	const RtcConfig *r = &m->config->rtc;
	char *base = r->base == RTC_BASE_DATETIME ? NULL :
		g_strdup(r->base == RTC_BASE_LOCALTIME ? "localtime" : "utc");
	if (!base) {
		GDateTime *when = g_date_time_new_from_unix_utc(r->datetime);
		base = when ? g_date_time_format(when, "%Y-%m-%dT%H:%M:%S") : g_strdup("utc");
		if (when)
			g_date_time_unref(when);
	}
	bool ok = device_set(rtc, "base", base, error) && device_set(rtc, "clock", clocks[r->clock], error) &&
	          device_set(rtc, "driftfix", r->driftfix_slew ? "slew" : "none", error);
	g_free(base);
	device_connect(rtc, "irq", 0, rtc_irq);
	m->rtc = rtc;
	if (!ok) {
		device_free(rtc);
		m->rtc = NULL;
	}
	return ok && device_realize(rtc, error);
}

/* COM or LPT ports, where the user gave them a chardev. */
static bool add_ports(Machine *m, const DeviceClass *cls, char *const *chardevs, unsigned count, GError **error)
{
	for (unsigned i = 0; i < count; i++) {
		char index[2] = { (char)('0' + i), 0 };
		if (!chardevs[i])
			continue;
		Device *dev = make(m, cls, error);
		if (!dev)
			return false;
		if (!device_set(dev, "index", index, error) || !device_set(dev, "chardev", chardevs[i], error)) {
			device_free(dev);
			return false;
		}
		if (!device_realize(dev, error))
			return false;
	}
	return true;
}

/* DMA and the floppy controller on it. */
static bool add_floppy(Machine *m, GError **error)
{
	Device *dma = make(m, &i8257_class, error);
	if (!dma || !device_realize(dma, error))
		return false;
	Device *fdc = make(m, &isa_fdc_class, error);
	if (!fdc)
		return false;
	device_set_ptr(fdc, "dma", dma);
	device_connect(fdc, "irq", 0, m->board.gsi[6]);
	return device_realize(fdc, error);
}

static bool add_isa(Machine *m, GError **error)
{
	Device *kbc = make(m, &i8042_class, error);
	if (!kbc)
		return false;
	device_connect(kbc, "kbd", 0, m->board.gsi[1]);
	device_connect(kbc, "mouse", 0, m->board.gsi[12]);
	if (!device_realize(kbc, error) || !add_plain(m, &port92_class, error))
		return false;
	if (!add_floppy(m, error))
		return false;
	Device *fw = make(m, &fw_cfg_class, error);
	if (!fw)
		return false;
	device_set_ptr(fw, "table", m->fw_cfg);
	if (!device_realize(fw, error) ||
	    !add_ports(m, &serial_isa_class, m->config->serial, MACHINE_SERIALS, error) ||
	    !add_ports(m, &parallel_class, m->config->parallel, MACHINE_PARALLELS, error))
		return false;
	if (m->config->debugcon) {
		Device *dev = make(m, &debugcon_class, error);
		if (!dev)
			return false;
		if (!device_set(dev, "chardev", m->config->debugcon, error)) {
			device_free(dev);
			return false;
		}
		return device_realize(dev, error);
	}
	return true;
}

void pc_name_user_device(Machine *m, Device *dev)
{
	dev->path = dev->id ? g_strdup_printf("/machine/peripheral/%s", dev->id) :
		g_strdup_printf("/machine/peripheral-anon/device[%u]", m->anonymous++);
}

/* What a user may add under that name; NULL with *error. */
static const DeviceClass *user_class(Machine *m, const DeviceConfig *d, GError **error)
{
	const DeviceClass *cls = device_class_find(d->driver);
	if (cls && cls->user_creatable && !(d->id && machine_find_device(m, d->id)))
		return cls;
	if (!cls)
		fail(error, VIV_ERROR_INVALID, "'%s' is not a valid device model name. See -device help.", d->driver);
	else if (!cls->user_creatable)
		fail(error, VIV_ERROR_INVALID, "this device is part of the board and cannot be added.");
	else
		fail(error, VIV_ERROR_INVALID, "Duplicate device ID '%s'", d->id);
	return NULL;
}

Device *pc_new_user_device(Machine *m, const DeviceConfig *d, GError **error)
{
	const DeviceClass *cls = user_class(m, d, error);
	if (!cls)
		return NULL;
	Device *dev = device_new(&m->board, cls, d->id);
	pc_name_user_device(m, dev);
	bool ok = pc_apply_globals(m, dev, error);
	for (unsigned k = 0; ok && k < d->props->len; k++) {
		const KeyValue *kv = &g_array_index(d->props, KeyValue, k);
		ok = device_set(dev, kv->key, kv->value, error);
	}
	if (ok)
		return dev;
	device_free(dev);
	return NULL;
}

/* -device */
static bool add_user_devices(Machine *m, GError **error)
{
	for (unsigned i = 0; i < m->config->devices->len; i++) {
		const DeviceConfig *d = g_ptr_array_index(m->config->devices, i);
		Device *dev = pc_new_user_device(m, d, error);
		if (!dev || !device_realize(dev, error)) {
			g_prefix_error(error, "-device %s%s%s: ", d->driver, d->id ? ",id=" : "", d->id ? d->id : "");
			return false;
		}
	}
	return true;
}

bool pc_build(Machine *m, GError **error)
{
	Board *b = &m->board;
	b->a20 = true;
	b->set_a20 = set_a20;
	b->find_file = board_find_file;
	b->devices = g_ptr_array_new();
	b->chardevs = m->config->chardevs ? g_hash_table_ref(m->config->chardevs) :
		g_hash_table_new(g_str_hash, g_str_equal);
	b->clock = clock_new();
	b->display = display_new();
	m->fw_cfg = fw_cfg_table_new();
	if (!drives_open(m, error) || !add_memory(m, error) || !pc_load_bios(m, error) || !choose_accel(m, error) ||
	    !add_cpus(m, error) || !start_accel_vcpus(m, error))
		return false;
	as_add_listener(b->mem, (MapListener){ map_changed, b });
	if (!add_interrupt_controllers(m, error) || !add_chipset(m, error) || !add_timers(m, error) ||
	    !add_isa(m, error) || !add_user_devices(m, error) ||
	    !drives_add_devices(m, error) || !pc_fill_fw_cfg(m, error))
		return false;
	pc_fill_cmos(m);
	return true;
}

void pc_reset(Machine *m)
{
	Board *b = &m->board;
	set_a20(b, true);
	/* Processors first: their local APICs post to them when they are reset. */
	for (unsigned i = 0; i < b->cpu_count; i++) {
		cpu_clear(b->cpus[i], ~0u);
		cpu_reset(b->cpus[i]);
	}
	for (unsigned i = 0; i < b->devices->len; i++)
		device_reset(g_ptr_array_index(b->devices, i));
	if (m->accel->cls->reset_irqchip)
		m->accel->cls->reset_irqchip(m->accel);
	pc_fill_boot_cmos(m);
	for (unsigned i = 0; m->accel->cls->vcpu_put && i < b->cpu_count; i++)
		m->accel->cls->vcpu_put(m->accel, b->cpus[i]);
	flush_vcpus(b);
	world_reset(m);
}

void pc_free(Machine *m)
{
	Board *b = &m->board;
	/* In reverse: later devices may point at earlier ones. */
	while (b->devices && b->devices->len)
		device_free(g_ptr_array_index(b->devices, b->devices->len - 1));
	for (unsigned i = 0; i < b->cpu_count; i++) {
		if (m->vcpus[i].created)
			m->accel->cls->vcpu_destroy(m->accel, b->cpus[i]);
		cpu_free(b->cpus[i]);
		b->cpus[i] = NULL; /* unmapping below flushes those that are left */
		pthread_cond_destroy(&m->vcpus[i].wake);
	}
	if (m->accel)
		m->accel->cls->destroy(m->accel);
	if (b->mem) {
		Region *regions[] = { &m->ram_low, &m->ram_high, &m->bios_rom };
		for (unsigned i = 0; i < G_N_ELEMENTS(regions); i++)
			if (regions[i]->as)
				as_unmap(regions[i]);
		as_free(b->mem);
		as_free(b->io);
	}
	ram_arena_free(&b->arena);
	drives_close(m);
	display_free(b->display);
	if (b->clock)
		clock_free(b->clock);
	while (b->buses && b->buses->len)
		bus_free(g_ptr_array_index(b->buses, 0));
	if (b->buses)
		g_ptr_array_free(b->buses, TRUE);
	if (b->devices)
		g_ptr_array_free(b->devices, TRUE);
	if (b->chardevs)
		g_hash_table_unref(b->chardevs);
	fw_cfg_table_free(m->fw_cfg);
	linux_boot_free(&m->linux_boot);
	g_free(b->cpus);
	g_free(m->vcpus);
	g_free(m->apic_ids);
}
