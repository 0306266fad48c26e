/*
 * pc_firmware.c - what the PC's firmware finds: its own image, CMOS, configuration table.
 *
 * SeaBIOS's documented expectations of QEMU's platform (CMOS cells, fw_cfg files,
 * docs/specs/fw_cfg). Main thread, machine lock held.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "hw/block/floppy.h"
#include "hw/block/ide_geometry.h"
#include "hw/classes.h"
#include "hw/pci/pci.h"
#include "hw/timer/rtc.h"
#include "machine/acpi/acpi.h"
#include "machine/private.h"
#include "machine/smbios.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define BIOS_DEFAULT "bios-256k.bin"
#define BIOS_SHOWN (128 * KIB) /* at E0000h */
#define PFLASH_UNITS 2
#define FLASH_MAX (8 * MIB) /* of both */
#define HPET_BASE 0xfed00000u

static const char *const system_dirs[] = { "/usr/share/vivarium", "/usr/share/seabios", "/usr/share/qemu",
	"/usr/share/ovmf", NULL };

char *board_find_file(Board *board, const char *name) { return machine_find_file(((Machine *)board)->config, name); }

char *machine_find_file(const MachineConfig *c, const char *name)
{
	if (!access(name, R_OK))
		return g_strdup(name);
	if (strchr(name, '/'))
		return NULL;
	for (unsigned i = 0; i < c->data_dirs->len; i++) {
		char *path = g_build_filename(g_ptr_array_index(c->data_dirs, i), name, NULL);
		if (!access(path, R_OK))
			return path;
		g_free(path);
	}
	for (unsigned i = 0; system_dirs[i]; i++) {
		char *path = g_build_filename(system_dirs[i], name, NULL);
		if (!access(path, R_OK))
			return path;
		g_free(path);
	}
	return NULL;
}

/* ---- flash ---- */

/* The end of the first chip shows below 1 MiB, as it is now. */
static bool shadow_flash(Machine *m, struct Blk *code, GError **error)
{
	uint64_t length = blk_length(code), size = MIN(length, BIOS_SHOWN);
	uint8_t *copy = ram_arena_alloc(&m->board.arena, BIOS_SHOWN, error);
	if (!copy)
		return false;
	memset(copy, 0xff, BIOS_SHOWN);
	int err = blk_read_now(code, length - size, copy + BIOS_SHOWN - size, size);
	m->bios = copy;
	return err >= 0 || fail(error, VIV_ERROR_FAILED, "pflash: cannot be read: %s", g_strerror(-err));
}

/* -drive if=pflash: unit 0 ends at 4 GiB, unit 1 below it. */
static bool load_flash(Machine *m, GError **error)
{
	uint64_t end = 4 * GIB;
	for (int unit = 0; unit < PFLASH_UNITS; unit++) {
		struct Blk *blk = drives_pflash(m, unit);
		if (!blk)
			break;
		if (blk_length(blk) > FLASH_MAX - (4 * GIB - end))
			return fail(error, VIV_ERROR_INVALID, "combined size of system firmware exceeds 8388608 bytes");
		end -= blk_length(blk);
		Device *dev = device_new(&m->board, &pflash_cfi01_class, NULL);
		char *base = g_strdup_printf("%" PRIu64, end);
		bool ok = pc_apply_globals(m, dev, error) && device_set(dev, "base", base, error);
		g_free(base);
		if (!ok) {
			device_free(dev);
			return false;
		}
		device_set_ptr(dev, "drive", blk);
		if (!device_realize(dev, error))
			return false;
	}
	return shadow_flash(m, drives_pflash(m, 0), error);
}

/* The image ends at 4 GiB, where the processor starts, and its end shows below 1 MiB. */
bool pc_load_bios(Machine *m, GError **error)
{
	if (drives_pflash(m, 0))
		return load_flash(m, error);
	if (drives_pflash(m, 1))
		return fail(error, VIV_ERROR_INVALID, "pflash1 requires pflash0: give -drive if=pflash,unit=0 as well.");
	const char *name = m->config->bios ? m->config->bios : BIOS_DEFAULT;
	char *path = machine_find_file(m->config, name);
	if (!path)
		return fail(error, VIV_ERROR_FAILED, "could not load PC BIOS '%s': it is not there. Install the "
			"package \"seabios\", or name its directory with -L.", name);
	uint8_t *data;
	uint64_t size;
	bool ok = linux_boot_read("PC BIOS", path, &data, &size, error);
	g_free(path);
	if (!ok)
		return false;
	if (!size || size % (64 * KIB) || size > 16 * MIB) {
		g_free(data);
		return fail(error, VIV_ERROR_INVALID, "could not load PC BIOS '%s': its size is %" PRIu64
			" bytes; it must be a multiple of 64 KiB, 16 MiB at most.", name, size);
	}
	uint64_t room = MAX(size, BIOS_SHOWN);
	uint8_t *rom = ram_arena_alloc(&m->board.arena, room, error);
	if (rom) {
		memset(rom, 0xff, room - size);
		memcpy(rom + room - size, data, size);
		region_init_ram(&m->bios_rom, "pc.bios", rom, room, true);
		as_map(m->board.mem, &m->bios_rom, 4 * GIB - room, 0);
		m->bios = rom + room - BIOS_SHOWN;
	}
	g_free(data);
	return rom;
}

/* ---- CMOS ---- */

/* Boot device letters as SeaBIOS numbers them; 0: not bootable. */
static unsigned boot_code(char letter)
{
	switch (letter) {
	case 'a': case 'b': return 1;
	case 'c': return 2;
	case 'd': return 3;
	case 'n': return 4;
	default: return 0;
	}
}

static void cmos16(Machine *m, unsigned index, uint64_t value)
{
	rtc_set_cmos(m->rtc, index, value);
	rtc_set_cmos(m->rtc, index + 1, value >> 8);
}

/* Types of the floppy drives; and the equipment: FPU, PS/2 mouse, how many of them. */
static void fill_floppy_cmos(Machine *m)
{
	static const uint8_t codes[] = { [FLOPPY_120] = 2, [FLOPPY_144] = 4, [FLOPPY_288] = 5,
		[FLOPPY_AUTO] = 0, [FLOPPY_NONE] = 0 };
	unsigned a = codes[floppy_type(floppy_of_board(&m->board, 0))];
	unsigned b = codes[floppy_type(floppy_of_board(&m->board, 1))];
	unsigned count = (a != 0) + (b != 0);
	rtc_set_cmos(m->rtc, 0x10, a << 4 | b);
	rtc_set_cmos(m->rtc, 0x14, 0x06 | (count ? 1 : 0) | (count == 2 ? 0x40 : 0));
}

/* Type 47 with its geometry for the disks of the first channel, translations for all four. */
static void fill_disk_cmos(Machine *m)
{
	uint8_t types = 0, translations = 0;
	for (unsigned i = 0; i < 4; i++) {
		IdeGeometry g;
		if (!ide_disk_geometry(&m->board, i / 2, i % 2, &g))
			continue;
		translations |= (uint8_t)(g.translation << 2 * i);
		if (i > 1)
			continue;
		unsigned at = i ? 0x24 : 0x1b;
		types |= i ? 0x0f : 0xf0;
		rtc_set_cmos(m->rtc, 0x19 + i, 47);
		cmos16(m, at, g.cylinders);
		rtc_set_cmos(m->rtc, at + 2, (uint8_t)g.heads);
		cmos16(m, at + 3, 0xffff); /* no write precompensation */
		rtc_set_cmos(m->rtc, at + 5, 0xc0 | (g.heads > 8 ? 8 : 0));
		cmos16(m, at + 6, g.cylinders);
		rtc_set_cmos(m->rtc, at + 8, (uint8_t)g.sectors);
	}
	rtc_set_cmos(m->rtc, 0x12, types);
	rtc_set_cmos(m->rtc, 0x39, translations);
}

void pc_fill_cmos(Machine *m)
{
	const Board *b = &m->board;
	uint64_t low = b->ram_below_4g;
	uint64_t ext = low > MIB ? MIN((low - MIB) / KIB, 65535) : 0;
	uint64_t above16 = low > 16 * MIB ? MIN((low - 16 * MIB) / (64 * KIB), 65535) : 0;
	uint64_t high = MIN(b->ram_above_4g / (64 * KIB), 0xffffff);
	cmos16(m, 0x15, MIN(low / KIB, 640));
	cmos16(m, 0x17, ext);
	cmos16(m, 0x30, ext);
	cmos16(m, 0x34, above16);
	cmos16(m, 0x5b, high);
	rtc_set_cmos(m->rtc, 0x5d, high >> 16);
	rtc_set_cmos(m->rtc, 0x5f, MIN(b->cpu_count - 1, 255));
	fill_floppy_cmos(m);
	fill_disk_cmos(m);
	pc_fill_boot_cmos(m);
}

void pc_fill_boot_cmos(Machine *m)
{
	const MachineConfig *c = m->config;
	const char *order = c->boot.once && !m->once_done ? c->boot.once : c->boot.order ? c->boot.order : "cad";
	unsigned codes[3] = { 0 };
	for (unsigned i = 0, n = 0; order[i] && n < 3; i++)
		if (boot_code(order[i]))
			codes[n++] = boot_code(order[i]);
	rtc_set_cmos(m->rtc, 0x3d, codes[1] << 4 | codes[0]);
	rtc_set_cmos(m->rtc, 0x38, codes[2] << 4 | (c->no_fd_bootchk ? 1 : 0));
}

/* ---- fw_cfg ---- */

static void put_le(GByteArray *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		uint8_t b = value >> (8 * i);
		g_byte_array_append(out, &b, 1);
	}
}

static bool add_array(Machine *m, const char *name, GByteArray *bytes, GError **error)
{
	bool ok = fw_cfg_add_file(m->fw_cfg, name, bytes->data, bytes->len, error);
	g_byte_array_free(bytes, TRUE);
	return ok;
}

static bool add_int_file(Machine *m, const char *name, uint64_t value, unsigned size, GError **error)
{
	uint8_t le[8];
	for (unsigned i = 0; i < 8; i++)
		le[i] = value >> (8 * i);
	return fw_cfg_add_file(m->fw_cfg, name, le, size, error);
}

/* First address above everything that is or may become RAM. */
static uint64_t reserved_end(const Machine *m)
{
	uint64_t end = 4 * GIB + m->board.ram_above_4g;
	if (m->config->ram_max > m->config->ram_size)
		end = ((end + GIB - 1) & ~(GIB - 1)) + m->config->ram_max - m->config->ram_size;
	return end;
}

static bool fill_memory_map(Machine *m, GError **error)
{
	const Board *b = &m->board;
	GByteArray *map = g_byte_array_new();
	put_le(map, 0, 8), put_le(map, b->ram_below_4g, 8), put_le(map, 1, 4);
	if (b->ram_above_4g)
		put_le(map, 4 * GIB, 8), put_le(map, b->ram_above_4g, 8), put_le(map, 1, 4);
	if (m->config->ram_max > m->config->ram_size &&
	    !add_int_file(m, "etc/reserved-memory-end", reserved_end(m), 8, error)) {
		g_byte_array_free(map, TRUE);
		return false;
	}
	fw_cfg_set_int(m->fw_cfg, FW_CFG_RAM_SIZE, b->ram_size, 8);
	return add_array(m, "etc/e820", map, error);
}

static void fill_numa(Machine *m)
{
	const MachineConfig *c = m->config;
	GByteArray *out = g_byte_array_new();
	put_le(out, c->numa->len, 8);
	for (unsigned cpu = 0; cpu < m->board.cpu_max; cpu++) {
		unsigned found = 0;
		for (unsigned n = 0; n < c->numa->len; n++) {
			const NumaNode *node = g_ptr_array_index(c->numa, n);
			for (unsigned r = 0; r < node->cpus->len; r++) {
				NumaRange range = g_array_index(node->cpus, NumaRange, r);
				if (cpu >= range.first && cpu <= range.last)
					found = n;
			}
		}
		put_le(out, found, 8);
	}
	for (unsigned n = 0; n < c->numa->len; n++)
		put_le(out, ((const NumaNode *)g_ptr_array_index(c->numa, n))->mem, 8);
	fw_cfg_set(m->fw_cfg, FW_CFG_NUMA, out->data, out->len);
	g_byte_array_free(out, TRUE);
}

/* Count, then id, address, least period, page protection of each block. */
static void fill_hpet(Machine *m)
{
	GByteArray *out = g_byte_array_new();
	put_le(out, m->hpet ? 1 : 0, 1);
	for (unsigned i = 0; i < 8; i++) {
		bool there = i == 0 && m->hpet;
		put_le(out, there ? 0x8086a201 : 0, 4);
		put_le(out, there ? HPET_BASE : 0, 8);
		put_le(out, there ? 100 : 0, 2);
		put_le(out, 0, 1);
	}
	fw_cfg_set(m->fw_cfg, FW_CFG_HPET, out->data, out->len);
	g_byte_array_free(out, TRUE);
}

static void fill_basics(Machine *m)
{
	const MachineConfig *c = m->config;
	FwCfgTable *t = m->fw_cfg;
	uint32_t id_limit = 0;
	for (unsigned i = 0; i < m->board.cpu_max; i++)
		id_limit = MAX(id_limit, m->apic_ids[i] + 1);
	fw_cfg_set(t, FW_CFG_UUID, c->uuid, 16);
	fw_cfg_set_int(t, FW_CFG_NOGRAPHIC, c->nographic, 2);
	fw_cfg_set_int(t, FW_CFG_NB_CPUS, m->board.cpu_count, 2);
	fw_cfg_set_int(t, FW_CFG_MAX_CPUS, id_limit, 2);
	fw_cfg_set_int(t, FW_CFG_BOOT_MENU, tri_on(c->boot.menu, false), 2);
	fw_cfg_set_int(t, FW_CFG_IRQ0_OVERRIDE, 1, 4);
	fill_numa(m);
	fill_hpet(m);
}

static gint devices_by_bootindex(gconstpointer a, gconstpointer b)
{
	const Device *x = *(Device *const *)a, *y = *(Device *const *)b;
	return x->bootindex < y->bootindex ? -1 : x->bootindex > y->bootindex;
}

/* Devices with a bootindex, as the firmware's paths to them. */
static void list_boot_devices(Machine *m, GString *order)
{
	GPtrArray *list = g_ptr_array_new();
	for (unsigned i = 0; i < m->board.devices->len; i++) {
		Device *dev = g_ptr_array_index(m->board.devices, i);
		if (dev->bootindex >= 0 && dev->cls->boot_path)
			g_ptr_array_add(list, dev);
	}
	g_ptr_array_sort(list, devices_by_bootindex);
	for (unsigned i = 0; i < list->len; i++) {
		Device *dev = g_ptr_array_index(list, i);
		char *path = dev->cls->boot_path(dev);
		if (path)
			g_string_append_printf(order, "%s\n", path);
		g_free(path);
	}
	g_ptr_array_free(list, TRUE);
}

static bool fill_boot(Machine *m, GString *order, GError **error)
{
	const BootConfig *b = &m->config->boot;
	if (!add_int_file(m, "etc/boot-fail-wait", (uint64_t)b->reboot_timeout, 4, error))
		return false;
	if (b->splash_time >= 0 && !add_int_file(m, "etc/boot-menu-wait", MIN(b->splash_time, 0xffff), 2, error))
		return false;
	if (b->splash) {
		char *path = machine_find_file(m->config, b->splash);
		uint8_t *data;
		uint64_t size;
		if (!path)
			return fail(error, VIV_ERROR_FAILED, "-boot splash=%s: there is no such file.", b->splash);
		bool ok = linux_boot_read("splash picture", path, &data, &size, error);
		g_free(path);
		if (!ok)
			return false;
		bool jpeg = size > 2 && data[0] == 0xff && data[1] == 0xd8;
		bool bmp = size > 2 && data[0] == 'B' && data[1] == 'M';
		ok = jpeg || bmp ? fw_cfg_add_file(m->fw_cfg, jpeg ? "bootsplash.jpg" : "bootsplash.bmp", data,
				size, error) :
			fail(error, VIV_ERROR_INVALID, "-boot splash=%s: JPEG or BMP is needed.", b->splash);
		g_free(data);
		if (!ok)
			return false;
	}
	list_boot_devices(m, order);
	if (b->strict == TRI_ON)
		g_string_append(order, "HALT\n");
	/* S3 and S4 are not offered; 80h marks the states that are. */
	static const uint8_t states[6] = { 0x80, 0, 0, 0x01, 0x02, 0x80 };
	if (!fw_cfg_add_file(m->fw_cfg, "etc/system-states", states, sizeof(states), error))
		return false;
	if (m->config->nographic && !add_int_file(m, "etc/sercon-port", 0x3f8, 2, error))
		return false;
	return !order->len || fw_cfg_add_file(m->fw_cfg, "bootorder", order->str, order->len + 1, error);
}

static void add_blob(Machine *m, uint16_t data, uint16_t size, uint16_t addr, const Blob *b)
{
	fw_cfg_set(m->fw_cfg, data, b->data, b->size);
	fw_cfg_set_int(m->fw_cfg, size, b->size, 4);
	fw_cfg_set_int(m->fw_cfg, addr, b->addr, 4);
}

static bool fill_kernel(Machine *m, GString *order, GError **error)
{
	const MachineConfig *c = m->config;
	LinuxBoot *l = &m->linux_boot;
	if (!c->kernel)
		return true;
	if (!linux_boot_load(c->kernel, c->initrd, c->append, m->board.ram_below_4g, l, error))
		return false;
	add_blob(m, FW_CFG_KERNEL_DATA, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_ADDR, &l->kernel);
	add_blob(m, FW_CFG_INITRD_DATA, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_ADDR, &l->initrd);
	add_blob(m, FW_CFG_CMDLINE_DATA, FW_CFG_CMDLINE_SIZE, FW_CFG_CMDLINE_ADDR, &l->cmdline);
	add_blob(m, FW_CFG_SETUP_DATA, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_ADDR, &l->setup);
	fw_cfg_set_int(m->fw_cfg, FW_CFG_KERNEL_ENTRY, l->entry, 4);
	g_string_append(order, "/rom@genroms/linuxboot.bin\n");
	return fw_cfg_add_file(m->fw_cfg, "genroms/linuxboot.bin", l->rom, l->rom_size, error);
}

static gint by_bootindex(gconstpointer a, gconstpointer b)
{
	const RomConfig *x = *(RomConfig *const *)a, *y = *(RomConfig *const *)b;
	return x->bootindex < y->bootindex ? -1 : x->bootindex > y->bootindex;
}

static bool fill_option_roms(Machine *m, GString *order, GError **error)
{
	GPtrArray *roms = g_ptr_array_new();
	bool ok = true;
	for (unsigned i = 0; i < m->config->option_roms->len; i++)
		g_ptr_array_add(roms, g_ptr_array_index(m->config->option_roms, i));
	g_ptr_array_sort(roms, by_bootindex);
	for (unsigned i = 0; ok && i < roms->len; i++) {
		const RomConfig *r = g_ptr_array_index(roms, i);
		char *path = machine_find_file(m->config, r->file), *base = g_path_get_basename(r->file);
		char *name = g_strdup_printf("genroms/%s", base);
		uint8_t *data = NULL;
		uint64_t size;
		ok = path ? linux_boot_read("option rom", path, &data, &size, error) :
			fail(error, VIV_ERROR_FAILED, "Could not load option rom '%s'", r->file);
		ok = ok && fw_cfg_add_file(m->fw_cfg, name, data, size, error);
		if (r->bootindex >= 0)
			g_string_append_printf(order, "/rom@%s\n", name);
		g_free(data), g_free(name), g_free(base), g_free(path);
	}
	g_ptr_array_free(roms, TRUE);
	return ok;
}

/* Where the firmware has put the PM block (PIIX4, 7.1 and 7.2); before it has: SeaBIOS's choice. */
static uint16_t pm_base(const Machine *m)
{
	const PciDevice *pm = (const PciDevice *)m->pm;
	uint16_t base = pci_get16(pm->config + 0x40) & 0xffc0;
	return pm->config[0x80] & 1 && base ? base : 0x600;
}

static bool fill_acpi(Machine *m, GError **error)
{
	const MachineConfig *c = m->config;
	if (c->no_acpi)
		return true;
	AcpiInput in = { .config = c, .ram_below_4g = m->board.ram_below_4g,
		.ram_above_4g = m->board.ram_above_4g, .reserved_end = reserved_end(m),
		.phys_bits = m->board.cpus[0]->phys_bits, .apic_ids = m->apic_ids,
		.cpu_count = m->board.cpu_count, .cpu_max = m->board.cpu_max, .hpet = m->hpet,
		.pm_base = pm_base(m), .pci_hotplug = m->hotplug };
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		in.serials |= (c->serial[i] ? 1u : 0) << i;
	for (unsigned i = 0; i < m->board.devices->len; i++) {
		const Device *d = g_ptr_array_index(m->board.devices, i);
		if (!strcmp(d->cls->name, "pvpanic"))
			in.pvpanic_port = 0x505;
	}
	AcpiFiles f;
	acpi_build(&in, &f);
	bool ok = fw_cfg_add_file(m->fw_cfg, "etc/acpi/tables", f.tables->data, f.tables->len, error) &&
	          fw_cfg_add_file(m->fw_cfg, "etc/acpi/rsdp", f.rsdp->data, f.rsdp->len, error) &&
	          fw_cfg_add_file(m->fw_cfg, "etc/table-loader", f.loader->data, f.loader->len, error);
	acpi_files_free(&f);
	return ok;
}

/*
 * The firmware asks for the tables when it has set up PCI: they tell what it did. OVMF puts the PM block elsewhere
 * than SeaBIOS. Sizes and loader stay as they were.
 */
static void table_selected(void *opaque, uint16_t key)
{
	Machine *m = opaque;
	const char *name = fw_cfg_file_name(m->fw_cfg, key);
	if (name && !strcmp(name, "etc/acpi/tables"))
		fill_acpi(m, NULL);
}

static bool fill_smbios(Machine *m, GError **error)
{
	SmbiosInput in = { .config = m->config, .ram_below_4g = m->board.ram_below_4g,
		.ram_above_4g = m->board.ram_above_4g };
	uint32_t leaf1[4];
	cpu_do_cpuid(m->board.cpus[0], 1, 0, leaf1);
	in.cpuid1_eax = leaf1[0];
	in.cpuid1_edx = leaf1[3];
	GByteArray *anchor, *tables;
	if (!smbios_build(&in, &anchor, &tables, error))
		return false;
	bool ok = add_array(m, "etc/smbios/smbios-anchor", anchor, error);
	return add_array(m, "etc/smbios/smbios-tables", tables, ok ? error : NULL) && ok;
}

static bool fill_user(Machine *m, GError **error)
{
	for (unsigned i = 0; i < m->config->fw_cfg->len; i++) {
		const FwCfgConfig *f = g_ptr_array_index(m->config->fw_cfg, i);
		uint8_t *data = NULL;
		uint64_t size;
		if (!f->file == !f->string)
			return fail(error, VIV_ERROR_INVALID, "-fw_cfg name=%s: give either file= or string=.", f->name);
		if (f->file && !linux_boot_read("fw_cfg file", f->file, &data, &size, error))
			return false;
		bool ok = fw_cfg_add_file(m->fw_cfg, f->name, f->file ? data : (const uint8_t *)f->string,
			f->file ? size : strlen(f->string), error);
		g_free(data);
		if (!ok)
			return false;
	}
	return true;
}

bool pc_fill_fw_cfg(Machine *m, GError **error)
{
	GString *order = g_string_new("");
	fill_basics(m);
	bool ok = fill_memory_map(m, error) && fill_kernel(m, order, error) &&
	          fill_option_roms(m, order, error) && fill_boot(m, order, error) && fill_acpi(m, error) &&
	          fill_smbios(m, error) && fill_user(m, error);
	g_string_free(order, TRUE);
	m->fw_cfg->selected = table_selected;
	m->fw_cfg->opaque = m;
	return ok;
}
