/*
 * config.c - the life of a MachineConfig: empty, filled, completed, freed.
 *
 * Follows no standard; the defaulting rules (topology, NUMA shares) are those that
 * qemu-kvm's users know from the manual of version 7.2. Leaves out reading options:
 * that is src/cli/. One thread at a time.
 */
#include "machine/config.h"

#include <inttypes.h>
#include <string.h>

#include "block/drive.h"
#include "core/error.h"
#include "hw/classes.h"

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)
#define BOOT_DEVICES_MAX 3   /* places in the CMOS memory */
#define BOOT_LETTERS "abcdn" /* floppies, hard disk, CD-ROM, network */

const char *const reboot_actions[] = { "reset", "shutdown", NULL };
const char *const shutdown_actions[] = { "poweroff", "pause", NULL };
const char *const panic_actions[] = { "shutdown", "pause", "exit-failure", "none", NULL };
const char *const watchdog_actions[] = { "reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi", NULL };

const MachineType machine_types[] = {
	{ "pc-i440fx-7.2", "pc", "Standard PC (i440FX + PIIX, 1996)", true },
	{ "pc-i440fx-7.1", NULL, "Standard PC (i440FX + PIIX, 1996)", false },
	{ "pc-i440fx-7.0", NULL, "Standard PC (i440FX + PIIX, 1996)", false },
	{ "pc-i440fx-6.2", NULL, "Standard PC (i440FX + PIIX, 1996)", false },
	{ NULL, NULL, NULL, false },
};

const MachineType *machine_type_find(const char *name)
{
	for (const MachineType *t = machine_types; t->name; t++)
		if (!strcmp(name, t->name) || !g_strcmp0(name, t->alias))
			return t;
	return NULL;
}

static void key_values_free(GArray *list)
{
	for (unsigned i = 0; list && i < list->len; i++) {
		KeyValue *kv = &g_array_index(list, KeyValue, i);
		g_free(kv->key);
		g_free(kv->value);
	}
	if (list)
		g_array_free(list, TRUE);
}

static GArray *key_values_new(void)
{
	return g_array_new(FALSE, TRUE, sizeof(KeyValue));
}

static void key_values_add(GArray *list, const char *key, const char *value)
{
	KeyValue kv = { g_strdup(key), g_strdup(value) };
	g_array_append_val(list, kv);
}

void device_config_free(void *p)
{
	DeviceConfig *d = p;
	g_free(d->driver);
	g_free(d->id);
	key_values_free(d->props);
	g_free(d);
}

static void node_free(void *p)
{
	NumaNode *n = p;
	g_free(n->memdev);
	g_array_free(n->cpus, TRUE);
	g_free(n);
}

static void smbios_config_free(void *p)
{
	SmbiosConfig *s = p;
	g_free(s->file);
	key_values_free(s->fields);
	g_free(s);
}

static void fw_cfg_config_free(void *p)
{
	FwCfgConfig *f = p;
	g_free(f->name);
	g_free(f->file);
	g_free(f->string);
	g_free(f);
}

static void rom_config_free(void *p)
{
	RomConfig *r = p;
	g_free(r->file);
	g_free(r);
}

void machine_config_init(MachineConfig *c)
{
	memset(c, 0, sizeof(*c));
	c->numa = g_ptr_array_new_with_free_func(node_free);
	c->data_dirs = g_ptr_array_new_with_free_func(g_free);
	c->option_roms = g_ptr_array_new_with_free_func(rom_config_free);
	c->smbios = g_ptr_array_new_with_free_func(smbios_config_free);
	c->fw_cfg = g_ptr_array_new_with_free_func(fw_cfg_config_free);
	c->devices = g_ptr_array_new_with_free_func(device_config_free);
	c->blockdevs = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
	c->drives = g_ptr_array_new_with_free_func((GDestroyNotify)drive_spec_free);
	c->globals = g_ptr_array_new_with_free_func(device_config_free);
	c->objects = g_ptr_array_new_with_free_func(device_config_free);
	c->boot.splash_time = -1;
	c->boot.reboot_timeout = -1;
}

void machine_config_free(MachineConfig *c)
{
	g_free(c->name);
	g_free(c->type);
	g_free(c->props.memory_backend);
	g_free(c->props.firmware);
	g_free(c->props.oem_id);
	g_free(c->props.oem_table_id);
	for (unsigned i = 0; i < G_N_ELEMENTS(c->accels); i++)
		g_free(c->accels[i]);
	g_free(c->cpu_model);
	g_free(c->kernel);
	g_free(c->initrd);
	g_free(c->append);
	g_free(c->dtb);
	g_free(c->bios);
	g_free(c->vga);
	g_free(c->boot.order);
	g_free(c->boot.once);
	g_free(c->boot.splash);
	g_free(c->debugcon);
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		g_free(c->serial[i]);
	for (unsigned i = 0; i < MACHINE_PARALLELS; i++)
		g_free(c->parallel[i]);
	GPtrArray *lists[] = { c->numa, c->data_dirs, c->option_roms, c->smbios, c->fw_cfg, c->devices,
	                       c->globals, c->objects, c->blockdevs, c->drives };
	for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++)
		if (lists[i])
			g_ptr_array_free(lists[i], TRUE);
	memset(c, 0, sizeof(*c));
}

DeviceConfig *device_config_new(const char *driver, const char *id)
{
	DeviceConfig *d = g_new0(DeviceConfig, 1);
	d->driver = g_strdup(driver);
	d->id = g_strdup(id);
	d->props = key_values_new();
	return d;
}

DeviceConfig *machine_config_add_device(MachineConfig *c, const char *driver, const char *id)
{
	DeviceConfig *d = device_config_new(driver, id);
	g_ptr_array_add(c->devices, d);
	return d;
}

void device_config_set(DeviceConfig *d, const char *key, const char *value)
{
	key_values_add(d->props, key, value);
}

void machine_config_add_global(MachineConfig *c, const char *driver, const char *prop, const char *value)
{
	DeviceConfig *d = device_config_new(driver, NULL);
	device_config_set(d, prop, value);
	g_ptr_array_add(c->globals, d);
}

NumaNode *machine_config_add_node(MachineConfig *c)
{
	NumaNode *n = g_new0(NumaNode, 1);
	n->cpus = g_array_new(FALSE, TRUE, sizeof(NumaRange));
	g_ptr_array_add(c->numa, n);
	return n;
}

SmbiosConfig *machine_config_add_smbios(MachineConfig *c, int type)
{
	SmbiosConfig *s = g_new0(SmbiosConfig, 1);
	s->type = type;
	s->fields = key_values_new();
	g_ptr_array_add(c->smbios, s);
	return s;
}

void smbios_config_set(SmbiosConfig *s, const char *key, const char *value)
{
	key_values_add(s->fields, key, value);
}

const char *smbios_config_get(const SmbiosConfig *s, const char *key)
{
	const char *found = NULL;
	for (unsigned i = 0; i < s->fields->len; i++) {
		const KeyValue *kv = &g_array_index(s->fields, KeyValue, i);
		if (!strcmp(kv->key, key))
			found = kv->value;
	}
	return found;
}

void machine_config_add_fw_cfg(MachineConfig *c, const char *name, const char *file, const char *string)
{
	FwCfgConfig *f = g_new0(FwCfgConfig, 1);
	f->name = g_strdup(name);
	f->file = g_strdup(file);
	f->string = g_strdup(string);
	g_ptr_array_add(c->fw_cfg, f);
}

void machine_config_add_rom(MachineConfig *c, const char *file, int bootindex)
{
	RomConfig *r = g_new0(RomConfig, 1);
	r->file = g_strdup(file);
	r->bootindex = bootindex;
	g_ptr_array_add(c->option_roms, r);
}

/* Fills in what is absent; cores are preferred to sockets, as machine types since 6.2 do. */
static bool complete_smp(SmpConfig *s, GError **error)
{
	const uint64_t limit = 65536;
	if (s->cpus > limit || s->sockets > limit || s->dies > limit || s->cores > limit ||
	    s->threads > limit || s->maxcpus > limit)
		return fail(error, VIV_ERROR_INVALID, "-smp: a count is above %" PRIu64 ".", limit);
	unsigned max = s->maxcpus ? s->maxcpus : s->cpus;
	if (!s->dies)
		s->dies = 1;
	if (!max) {
		s->sockets = MAX(s->sockets, 1);
		s->cores = MAX(s->cores, 1);
		s->threads = MAX(s->threads, 1);
	} else if (!s->cores) {
		s->sockets = MAX(s->sockets, 1);
		s->threads = MAX(s->threads, 1);
		s->cores = max / ((uint64_t)s->sockets * s->dies * s->threads);
	} else if (!s->sockets) {
		s->threads = MAX(s->threads, 1);
		s->sockets = max / ((uint64_t)s->dies * s->cores * s->threads);
	} else if (!s->threads) {
		s->threads = max / ((uint64_t)s->sockets * s->dies * s->cores);
	}
	unsigned __int128 wide = (unsigned __int128)s->sockets * s->dies * s->cores * s->threads;
	uint64_t product = wide > UINT32_MAX ? UINT32_MAX : (uint64_t)wide;
	if (!max)
		max = (unsigned)product;
	if (!s->cpus)
		s->cpus = max;
	s->maxcpus = max;
	if (product != max)
		return fail(error, VIV_ERROR_INVALID,
			"Invalid CPU topology: product of the hierarchy must match maxcpus: "
			"sockets (%u) * dies (%u) * cores (%u) * threads (%u) != maxcpus (%u)",
			s->sockets, s->dies, s->cores, s->threads, max);
	if (s->cpus > max)
		return fail(error, VIV_ERROR_INVALID,
			"Invalid CPU topology: maxcpus must be equal to or greater than smp: "
			"%u CPUs are started but maxcpus is %u.", s->cpus, max);
	if (max > MACHINE_CPUS_MAX)
		return fail(error, VIV_ERROR_INVALID,
			"Invalid SMP CPUs %u. The max CPUs supported by this machine is %u.",
			max, MACHINE_CPUS_MAX);
	return true;
}

static bool check_node_cpus(const MachineConfig *c, GError **error)
{
	bool taken[MACHINE_CPUS_MAX] = { false };
	for (unsigned i = 0; i < c->numa->len; i++) {
		const NumaNode *n = g_ptr_array_index(c->numa, i);
		for (unsigned r = 0; r < n->cpus->len; r++) {
			NumaRange range = g_array_index(n->cpus, NumaRange, r);
			if (range.first > range.last || range.last >= c->smp.maxcpus)
				return fail(error, VIV_ERROR_INVALID,
					"-numa: node %u names cpus %u-%u, but the cpus are 0-%u.",
					i, range.first, range.last, c->smp.maxcpus - 1);
			for (unsigned cpu = range.first; cpu <= range.last; cpu++) {
				if (taken[cpu])
					return fail(error, VIV_ERROR_INVALID,
						"-numa: cpu %u is given to two nodes.", cpu);
				taken[cpu] = true;
			}
		}
	}
	return true;
}

/* Shares out memory that no node claimed, in steps of 8 MiB, the rest to the last node. */
static bool complete_numa(MachineConfig *c, GError **error)
{
	if (!c->numa->len)
		return true;
	if (c->numa->len > MACHINE_NODES_MAX)
		return fail(error, VIV_ERROR_INVALID, "-numa: more than %u nodes.", MACHINE_NODES_MAX);
	uint64_t total = 0;
	bool any = false;
	for (unsigned i = 0; i < c->numa->len; i++) {
		NumaNode *n = g_ptr_array_index(c->numa, i);
		if (n->memdev)
			return fail(error, VIV_ERROR_UNSUPPORTED,
				"-numa node,memdev=%s: memory back ends are not built. Use mem=SIZE.", n->memdev);
		any |= n->mem_set;
		if (n->mem > UINT64_MAX - total)
			return fail(error, VIV_ERROR_INVALID, "-numa: node sizes add up to too much.");
		total += n->mem;
	}
	if (!any) {
		uint64_t share = c->ram_size / c->numa->len & ~(8 * MIB - 1);
		for (unsigned i = 0; i < c->numa->len; i++) {
			NumaNode *n = g_ptr_array_index(c->numa, i);
			n->mem = i + 1 < c->numa->len ? share : c->ram_size - share * (c->numa->len - 1);
			n->mem_set = true;
		}
		total = c->ram_size;
	}
	if (total != c->ram_size)
		return fail(error, VIV_ERROR_INVALID,
			"total memory for NUMA nodes (0x%" PRIx64 ") should equal RAM size (0x%" PRIx64 ")",
			total, c->ram_size);
	return check_node_cpus(c, error);
}

bool machine_check_boot_order(const char *order, GError **error)
{
	uint32_t seen = 0;

	for (const char *p = order; *p; p++) {
		if (*p < 'a' || *p > 'p')
			return fail(error, VIV_ERROR_INVALID, "Invalid boot device '%c'", *p);
		if (seen & 1u << (*p - 'a'))
			return fail(error, VIV_ERROR_INVALID, "Boot device '%c' was given twice", *p);
		seen |= 1u << (*p - 'a');
	}
	if (strlen(order) > BOOT_DEVICES_MAX)
		return fail(error, VIV_ERROR_INVALID, "Too many boot devices for PC");
	if (order[strspn(order, BOOT_LETTERS)])
		return fail(error, VIV_ERROR_INVALID, "Invalid boot device for PC: '%c'", order[strspn(order, BOOT_LETTERS)]);
	return true;
}

static bool check_boot_letters(const char *what, const char *order, GError **error)
{
	if (!order || machine_check_boot_order(order, error))
		return true;
	g_prefix_error(error, "-boot %s=%s: ", what, order);
	return false;
}

static bool check_memory(MachineConfig *c, GError **error)
{
	if (!c->ram_size)
		c->ram_size = 128 * MIB;
	if (c->ram_size < MIB)
		return fail(error, VIV_ERROR_INVALID,
			"-m: %" PRIu64 " bytes are less than the 1 MiB that a PC needs.", c->ram_size);
	if (c->ram_size > 64 * 1024 * GIB)
		return fail(error, VIV_ERROR_INVALID, "-m: more than 64 TiB.");
	c->ram_size = (c->ram_size + 8191) & ~8191ull;
	if (c->ram_max && c->ram_max < c->ram_size)
		return fail(error, VIV_ERROR_INVALID, "invalid value of maxmem: maximum memory size (0x%" PRIx64
			") must be at least the initial memory size (0x%" PRIx64 ")", c->ram_max, c->ram_size);
	if (c->ram_max > c->ram_size && !c->ram_slots)
		return fail(error, VIV_ERROR_INVALID,
			"-m maxmem= needs slots= as well, the number of modules that may be plugged.");
	if (c->ram_slots && c->ram_max <= c->ram_size)
		return fail(error, VIV_ERROR_INVALID,
			"-m slots= needs a maxmem= above the initial memory size.");
	if (c->props.memory_backend)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"memory-backend=%s: memory back ends are not built. Use -m SIZE.",
			c->props.memory_backend);
	return true;
}

/* ---- drives ---- */

static bool names_one(const GPtrArray *configs, const char *const *names)
{
	for (unsigned i = 0; i < configs->len; i++) {
		const DeviceConfig *d = g_ptr_array_index(configs, i);
		if (g_strv_contains(names, d->driver))
			return true;
	}
	return false;
}

bool machine_config_names_device(const MachineConfig *c, const char *const *names)
{
	return names_one(c->devices, names) || names_one(c->globals, names);
}

static bool has_drive(const MachineConfig *c, bool cdrom, DriveIf interface, int bus, int unit)
{
	for (unsigned i = 0; i < c->drives->len; i++) {
		const DriveSpec *s = g_ptr_array_index(c->drives, i);
		if ((cdrom && s->cdrom) || (s->interface == interface && s->bus == bus && s->unit == unit))
			return true;
	}
	return false;
}

static bool add_drive(MachineConfig *c, const char *interface, const char *index, bool cdrom, GError **error)
{
	DriveSpec *s = drive_spec_new(DRIVE_IDE);
	g_ptr_array_add(c->drives, s);
	return drive_spec_set(s, "if", interface, error) && drive_spec_set(s, "index", index, error) &&
		(!cdrom || drive_spec_set(s, "media", "cdrom", error)) && drive_place(s, c->drives, error);
}

/* Every drive gets its place; then the CD and floppy drives that a PC has even when they are empty. */
static bool complete_drives(MachineConfig *c, GError **error)
{
	static const char *const disks[] = { "ide-cd", "ide-hd", "scsi-cd", "scsi-hd", NULL };
	static const char *const floppies[] = { "floppy", "isa-fdc", NULL };
	for (unsigned i = 0; i < c->drives->len; i++) {
		DriveSpec *s = g_ptr_array_index(c->drives, i);
		if (s->placed || drive_place(s, c->drives, error))
			continue;
		g_prefix_error(error, "-drive %s%s: ", s->file ? "file=" : "", s->file ? s->file : "");
		return false;
	}
	if (c->no_defaults)
		return true;
	if (device_class_find("ide-cd") && !has_drive(c, true, DRIVE_IDE, 1, 0) &&
	    !machine_config_names_device(c, disks) && !add_drive(c, "ide", "2", true, error))
		return false;
	if (!device_class_find("floppy"))
		return true;
	return has_drive(c, false, DRIVE_FLOPPY, 0, 0) ||
		machine_config_names_device(c, floppies) ||
		add_drive(c, "floppy", "0", false, error);
}

bool machine_config_complete(MachineConfig *c, GError **error)
{
	if (!c->type)
		c->type = g_strdup("pc");
	if (!machine_type_find(c->type))
		return fail(error, VIV_ERROR_INVALID, "unsupported machine type: '%s'. "
			"Use -machine help to list supported machines", c->type);
	static const char *const adapters[] = { "VGA", "bochs-display", "cirrus-vga", "ramfb", NULL };
	if (!c->vga)
		c->vga = g_strdup(c->no_defaults || machine_config_names_device(c, adapters) ? "none" : "std");
	if (c->props.firmware && !c->bios)
		c->bios = g_strdup(c->props.firmware);
	if (c->props.acpi == TRI_OFF)
		c->no_acpi = true;
	if (c->props.hpet == TRI_OFF)
		c->no_hpet = true;
	if (c->dtb)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"-dtb: a PC is described by ACPI and takes no device tree.");
	if (!c->kernel && (c->initrd || c->append))
		return fail(error, VIV_ERROR_INVALID, "-%s only allowed with -kernel option",
			c->initrd ? "initrd" : "append");
	if (c->boot.reboot_timeout > 0xffff)
		return fail(error, VIV_ERROR_INVALID,
			"-boot reboot-timeout=%" PRId64 ": it lies between -1 and 65535 ms.",
			c->boot.reboot_timeout);
	return complete_drives(c, error) && check_memory(c, error) && complete_smp(&c->smp, error) && complete_numa(c, error) &&
	       check_boot_letters("order", c->boot.order, error) &&
	       check_boot_letters("once", c->boot.once, error);
}
