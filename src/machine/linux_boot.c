/*
 * linux_boot.c - loads a Linux bzImage or zImage and finishes the boot ROM.
 *
 * The Linux/x86 Boot Protocol (kernel documentation, x86/boot), versions 2.00 to
 * 2.15, 16-bit entry. Leaves out setup_data, kexec's 64-bit entry and kernels from before
 * version 2.00. ELF and multiboot kernels: elf_boot.c. Main thread, before the guest runs.
 */
#include "machine/linux_boot.h"

#include <inttypes.h>
#include <string.h>

#include "core/error.h"

#define MIB (1024ull * 1024)
#define REAL_MODE_END 0x9f000u /* the extended BIOS data area begins above */

/* Offsets in the setup header ("The Real-Mode Kernel Header") */
enum {
	H_SETUP_SECTS = 0x1f1, H_VID_MODE = 0x1fa, H_MAGIC = 0x202, H_VERSION = 0x206, H_LOADER = 0x210, H_LOADFLAGS = 0x211,
	H_RAMDISK = 0x218, H_RAMDISK_SIZE = 0x21c, H_HEAP_END = 0x224, H_CMDLINE = 0x228,
	H_INITRD_MAX = 0x22c, H_CMDLINE_MAX = 0x238, H_INIT_SIZE = 0x260, H_END = 0x268,
	LOADED_HIGH = 1, CAN_USE_HEAP = 0x80,
};

extern const uint8_t linuxboot_rom[], linuxboot_rom_end[], linuxboot_rom_script[];

/* What roms/linuxboot.S reads; little endian as the host. */
typedef struct __attribute__((packed)) RomScript {
	uint8_t mode, loads, map_offset, map_scale;
	uint16_t map_segment, count_segment;
	uint32_t entry, eax, ebx;
	struct __attribute__((packed)) { uint16_t key, zero; uint32_t addr, length; } load[6];
} RomScript;
G_STATIC_ASSERT(sizeof(RomScript) == 92);

static uint32_t get_le(const uint8_t *p, unsigned n)
{
	uint32_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v |= (uint32_t)p[i] << (8 * i);
	return v;
}

static void set_le(uint8_t *p, uint32_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = v >> (8 * i);
}

static void blob_set(Blob *b, const void *data, uint64_t size, uint32_t addr)
{
	b->data = size ? g_memdup2(data, size) : NULL;
	b->size = size;
	b->addr = addr;
}

void linux_boot_free(LinuxBoot *b)
{
	g_free(b->kernel.data);
	g_free(b->initrd.data);
	g_free(b->cmdline.data);
	g_free(b->setup.data);
	g_free(b->rom);
	memset(b, 0, sizeof(*b));
}

bool linux_boot_read(const char *what, const char *name, uint8_t **data, uint64_t *size, GError **error)
{
	char *contents;
	gsize len;
	GError *why = NULL;
	if (!g_file_get_contents(name, &contents, &len, &why)) {
		fail(error, VIV_ERROR_FAILED, "could not load %s '%s': %s", what, name, why->message);
		g_error_free(why);
		return false;
	}
	if (len > UINT32_MAX) {
		g_free(contents);
		return fail(error, VIV_ERROR_INVALID, "%s '%s' is larger than 4 GiB.", what, name);
	}
	*data = (uint8_t *)contents;
	*size = len;
	return true;
}

bool linux_boot_place(const char *what, uint64_t size, uint64_t floor, uint64_t limit, uint32_t *addr,
	GError **error)
{
	floor = (floor + 4095) & ~4095ull;
	if (size > limit || ((limit - size) & ~4095ull) < floor)
		return fail(error, VIV_ERROR_INVALID,
			"%s is too large (%" PRIu64 " bytes): it must lie between 0x%" PRIx64 " and 0x%" PRIx64
			" of guest memory. Give the guest more memory (-m).", what, size, floor, limit);
	*addr = (uint32_t)((limit - size) & ~4095ull);
	return true;
}

static void rom_load(RomScript *s, uint16_t key, const Blob *b)
{
	if (!b->size)
		return;
	s->load[s->loads].key = key;
	s->load[s->loads].addr = b->addr;
	s->load[s->loads++].length = b->size;
}

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;
	while (len--)
		sum += *p++;
	return -sum;
}

/* Copies the ROM, writes the script into it and makes both checksums right. */
static void finish_rom(LinuxBoot *b)
{
	RomScript s = { .mode = b->kind != KERNEL_LINUX, .map_offset = b->map_offset,
		.map_scale = b->map_scale, .map_segment = b->map_segment, .count_segment = b->count_segment,
		.entry = b->entry, .eax = b->eax, .ebx = b->ebx };
	rom_load(&s, 0x18, &b->setup);
	rom_load(&s, 0x15, &b->cmdline);
	rom_load(&s, 0x11, &b->kernel);
	rom_load(&s, 0x12, &b->initrd);
	b->rom_size = linuxboot_rom_end - linuxboot_rom;
	b->rom = g_memdup2(linuxboot_rom, b->rom_size);
	memcpy(b->rom + (linuxboot_rom_script - linuxboot_rom), &s, sizeof(s));
	b->rom[0x29] = 0;
	b->rom[0x29] = checksum(b->rom + 0x20, 32);
	b->rom[b->rom_size - 1] = 0;
	b->rom[b->rom_size - 1] = checksum(b->rom, b->rom_size);
}

typedef struct Layout {
	uint32_t real, cmdline, kernel;
	uint32_t setup_size, version;
} Layout;

static bool check_header(const LinuxBootInput *in, Layout *l, GError **error)
{
	const uint8_t *k = in->kernel;
	l->version = get_le(k + H_VERSION, 2);
	if (l->version < 0x200)
		return fail(error, VIV_ERROR_UNSUPPORTED, "kernel '%s' speaks boot protocol %u.%02u; "
			"2.00 or later is needed (Linux 1.3.73 or later).", in->kernel_name,
			l->version >> 8, l->version & 0xff);
	unsigned sects = k[H_SETUP_SECTS] ? k[H_SETUP_SECTS] : 4;
	l->setup_size = (sects + 1) * 512;
	if (in->kernel_size <= l->setup_size || in->kernel_size < H_END)
		return fail(error, VIV_ERROR_INVALID, "kernel '%s' is truncated: its setup code alone is "
			"%u bytes long, the file %" PRIu64 ".", in->kernel_name, l->setup_size, in->kernel_size);
	return true;
}

static bool place_linux(const LinuxBootInput *in, Layout *l, uint32_t cmdline_size, GError **error)
{
	const uint8_t *k = in->kernel;
	uint32_t max = l->version >= 0x206 ? get_le(k + H_CMDLINE_MAX, 4) : 255;
	if (max && cmdline_size - 1 > max)
		return fail(error, VIV_ERROR_INVALID, "-append: %u characters are more than the %u that "
			"kernel '%s' takes.", cmdline_size - 1, max, in->kernel_name);
	bool high = k[H_LOADFLAGS] & LOADED_HIGH;
	l->real = high ? 0x10000 : 0x90000;
	l->kernel = high ? 0x100000 : 0x10000;
	l->cmdline = high ? 0x20000 : (0x9a000 - cmdline_size) & ~15u;
	/* The setup code keeps its heap and stack up to the command line, 64 KiB at most. */
	if (l->setup_size > 0x8000)
		return fail(error, VIV_ERROR_INVALID, "kernel '%s' has %u bytes of setup code; "
			"32 KiB at most are possible.", in->kernel_name, l->setup_size);
	if (l->cmdline < l->real + 0x9000 || l->cmdline + cmdline_size > REAL_MODE_END)
		return fail(error, VIV_ERROR_INVALID, "-append is too long (%u characters).", cmdline_size - 1);
	uint64_t end = l->kernel + in->kernel_size - l->setup_size;
	if (!high && end > l->real)
		return fail(error, VIV_ERROR_INVALID, "kernel '%s' does not fit into low memory, and its "
			"header says that it must be loaded there.", in->kernel_name);
	if (high && end > in->ram_below_4g)
		return fail(error, VIV_ERROR_INVALID, "kernel '%s' (%" PRIu64 " bytes) does not fit into "
			"guest memory. Give the guest more memory (-m).", in->kernel_name, in->kernel_size);
	return true;
}

static bool place_initrd(const LinuxBootInput *in, const Layout *l, LinuxBoot *out, GError **error)
{
	const uint8_t *k = in->kernel;
	if (!in->initrd)
		return true;
	uint64_t limit = l->version >= 0x203 ? get_le(k + H_INITRD_MAX, 4) : 0x37ffffff;
	uint64_t top = in->ram_below_4g - MIN(in->ram_below_4g, FIRMWARE_TOP_RESERVE);
	limit = MIN(limit + 1, top);
	/* The kernel unpacks itself over init_size bytes; an initrd may not lie in that way. */
	uint64_t need = in->kernel_size - l->setup_size;
	if (l->version >= 0x20a)
		need = MAX(need, get_le(k + H_INIT_SIZE, 4));
	uint32_t addr;
	if (!linux_boot_place("initrd", in->initrd_size, 0x100000 + need, limit, &addr, error))
		return false;
	blob_set(&out->initrd, in->initrd, in->initrd_size, addr);
	return true;
}

/* "vga=" is the loader's to read ("Special Command Line Options"). False: it is not there, or makes no sense. */
static bool video_mode(const char *cmdline, uint16_t *mode)
{
	static const struct { const char *name; uint16_t mode; } names[] = {
		{ "normal", 0xffff }, { "ext", 0xfffe }, { "ask", 0xfffd },
	};
	const char *at = strstr(cmdline ? cmdline : "", "vga=");
	if (!at || (at > cmdline && at[-1] != ' '))
		return false;
	at += strlen("vga=");
	size_t len = strcspn(at, " ");
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (strlen(names[i].name) == len && !strncmp(at, names[i].name, len)) {
			*mode = names[i].mode;
			return true;
		}
	char *end;
	guint64 n = g_ascii_strtoull(at, &end, 0);
	*mode = (uint16_t)n;
	return end == at + len && len && n <= 0xffff;
}

static bool linux_parse(const LinuxBootInput *in, LinuxBoot *out, GError **error)
{
	Layout l = { 0 };
	const char *append = in->append ? in->append : "";
	if (strlen(append) >= 0x80000)
		return fail(error, VIV_ERROR_INVALID, "-append is too long (%zu characters).", strlen(append));
	uint32_t cmdline_size = strlen(append) + 1;
	if (!check_header(in, &l, error) || !place_linux(in, &l, cmdline_size, error) ||
	    !place_initrd(in, &l, out, error))
		return false;
	blob_set(&out->cmdline, append, cmdline_size, l.cmdline);
	blob_set(&out->setup, in->kernel, l.setup_size, l.real);
	blob_set(&out->kernel, in->kernel + l.setup_size, in->kernel_size - l.setup_size, l.kernel);

	uint8_t *h = out->setup.data;
	uint16_t mode;
	if (video_mode(append, &mode))
		set_le(h + H_VID_MODE, mode, 2);
	h[H_LOADER] = 0xff; /* a loader without a number */
	uint32_t heap_end = MIN(l.cmdline - l.real, 0x10000u) - 16;
	if (l.version >= 0x201) {
		h[H_LOADFLAGS] |= CAN_USE_HEAP;
		set_le(h + H_HEAP_END, heap_end - 0x200, 2);
	}
	if (l.version >= 0x202) {
		set_le(h + H_CMDLINE, l.cmdline, 4);
	} else {
		set_le(h + 0x20, 0xa33f, 2);
		set_le(h + 0x22, l.cmdline - l.real, 2);
	}
	set_le(h + H_RAMDISK, out->initrd.addr, 4);
	set_le(h + H_RAMDISK_SIZE, out->initrd.size, 4);
	out->kind = KERNEL_LINUX;
	out->entry = (l.real >> 4) + 0x20;
	out->eax = heap_end & ~3u;
	out->ebx = l.real >> 4;
	return true;
}

bool linux_boot_parse(const LinuxBootInput *in, LinuxBoot *out, GError **error)
{
	memset(out, 0, sizeof(*out));
	bool ok;
	if (in->kernel_size >= H_LOADER && !memcmp(in->kernel + H_MAGIC, "HdrS", 4))
		ok = linux_parse(in, out, error);
	else if (multiboot_probe(in))
		ok = multiboot_parse(in, out, error);
	else if (elf_probe(in))
		ok = pvh_parse(in, out, error);
	else
		ok = fail(error, VIV_ERROR_INVALID, "'%s' is no kernel that can be booted: it is not a Linux "
			"bzImage, not an ELF file with a PVH entry and not a multiboot kernel.", in->kernel_name);
	if (ok)
		finish_rom(out);
	else
		linux_boot_free(out);
	return ok;
}

bool linux_boot_load(const char *kernel, const char *initrd, const char *append, uint64_t ram_below_4g,
	LinuxBoot *out, GError **error)
{
	uint8_t *k = NULL, *i = NULL;
	LinuxBootInput in = { .kernel_name = kernel, .append = append, .initrd_arg = initrd,
		.ram_below_4g = ram_below_4g };
	memset(out, 0, sizeof(*out));
	if (!linux_boot_read("kernel", kernel, &k, &in.kernel_size, error))
		return false;
	in.kernel = k;
	/* Multiboot reads its modules itself: -initrd is a list then. */
	bool modules = in.kernel_size < H_LOADER || memcmp(k + H_MAGIC, "HdrS", 4);
	modules = modules && multiboot_probe(&in);
	bool ok = !initrd || modules || linux_boot_read("initrd", initrd, &i, &in.initrd_size, error);
	in.initrd = i;
	ok = ok && linux_boot_parse(&in, out, error);
	g_free(k);
	g_free(i);
	return ok;
}
