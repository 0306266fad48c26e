/*
 * elf_boot.c - ELF kernels with a PVH entry, and multiboot kernels.
 *
 * System V ABI (ELF-32, ELF-64: headers, program headers, notes); Xen's x86/HVM direct
 * boot ABI (PVH: XEN_ELFNOTE_PHYS32_ENTRY, hvm_start_info version 1); Multiboot
 * Specification 0.6.96 (ELF and the address fields of its header). Leaves out
 * multiboot video modes and symbol tables. Main thread, before the guest runs.
 */
#include "machine/linux_boot.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "core/error.h"

#define INFO_AT 0x20000u   /* start_info or multiboot information, and its strings */
#define INFO_MAX 0x10000u
#define MAP_AT 0x30000u    /* memory map, filled in by the ROM */
#define XEN_PHYS32_ENTRY 18
#define HVM_START_MAGIC 0x336ec578u
#define MULTIBOOT_MAGIC 0x1badb002u
#define MULTIBOOT_BOOTED 0x2badb002u
#define MULTIBOOT_SEARCH 8192u
#define IMAGE_MAX (1ull << 30)

static uint64_t get_le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static void set_le(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = v >> (8 * i);
}

/* A program header of either class. */
typedef struct Phdr {
	uint32_t type;
	uint64_t offset, paddr, filesz, memsz, align;
} Phdr;

typedef struct Elf {
	const uint8_t *data;
	uint64_t size, entry, phoff;
	unsigned phnum, phentsize;
	bool wide;
	const char *name;
} Elf;

bool elf_probe(const LinuxBootInput *in)
{
	return in->kernel_size >= EI_NIDENT && !memcmp(in->kernel, ELFMAG, SELFMAG);
}

static bool elf_open(const LinuxBootInput *in, Elf *e, GError **error)
{
	const uint8_t *d = in->kernel;
	*e = (Elf){ .data = d, .size = in->kernel_size, .name = in->kernel_name };
	e->wide = d[EI_CLASS] == ELFCLASS64;
	if ((d[EI_CLASS] != ELFCLASS32 && !e->wide) || d[EI_DATA] != ELFDATA2LSB ||
	    e->size < (e->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
		return fail(error, VIV_ERROR_INVALID, "kernel '%s' is a damaged or big-endian ELF file.", e->name);
	unsigned machine = get_le(d + 18, 2);
	if (machine != EM_386 && machine != EM_X86_64)
		return fail(error, VIV_ERROR_INVALID, "kernel '%s' is an ELF file for another processor "
			"(machine %u).", e->name, machine);
	e->entry = get_le(d + 24, e->wide ? 8 : 4);
	e->phoff = get_le(d + (e->wide ? 32 : 28), e->wide ? 8 : 4);
	e->phentsize = get_le(d + (e->wide ? 54 : 42), 2);
	e->phnum = get_le(d + (e->wide ? 56 : 44), 2);
	if (e->phentsize < (e->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || e->phoff > e->size ||
	    (uint64_t)e->phnum * e->phentsize > e->size - e->phoff)
		return fail(error, VIV_ERROR_INVALID, "kernel '%s' is a truncated ELF file: its program "
			"headers lie outside of it.", e->name);
	return true;
}

/* False: the segment's bytes lie outside the file. */
static bool elf_phdr(const Elf *e, unsigned n, Phdr *out)
{
	const uint8_t *p = e->data + e->phoff + (uint64_t)n * e->phentsize;
	out->type = get_le(p, 4);
	if (e->wide) {
		out->offset = get_le(p + 8, 8);
		out->paddr = get_le(p + 24, 8);
		out->filesz = get_le(p + 32, 8);
		out->memsz = get_le(p + 40, 8);
		out->align = get_le(p + 48, 8);
	} else {
		out->offset = get_le(p + 4, 4);
		out->paddr = get_le(p + 12, 4);
		out->filesz = get_le(p + 16, 4);
		out->memsz = get_le(p + 20, 4);
		out->align = get_le(p + 28, 4);
	}
	return out->offset <= e->size && out->filesz <= e->size - out->offset;
}

/*
 * Where a segment's bytes begin to count. Linkers put the ELF header in front of
 * code at 1 MiB; what would fall into the firmware's area is not loaded.
 */
static uint64_t trimmed(const Phdr *p)
{
	return p->paddr >= 0xa0000 ? MAX(p->paddr, 0x100000) : p->paddr;
}

/* Lays all loadable segments into one image, bss included, since RAM may be dirty after a reset. */
static bool elf_flatten(const Elf *e, uint64_t ram, Blob *out, GError **error)
{
	uint64_t low = UINT64_MAX, high = 0;
	Phdr p;
	for (unsigned i = 0; i < e->phnum; i++) {
		bool inside = elf_phdr(e, i, &p);
		if (p.type != PT_LOAD || !p.memsz)
			continue;
		if (!inside || p.filesz > p.memsz)
			return fail(error, VIV_ERROR_INVALID, "kernel '%s' is a truncated ELF file: segment %u "
				"lies outside of it.", e->name, i);
		if (p.paddr > ram || p.memsz > ram - p.paddr)
			return fail(error, VIV_ERROR_INVALID, "kernel '%s' wants its segment %u at 0x%" PRIx64
				" to 0x%" PRIx64 ", outside guest memory. Give the guest more memory (-m).",
				e->name, i, p.paddr, p.paddr + p.memsz);
		low = MIN(low, trimmed(&p));
		high = MAX(high, p.paddr + p.memsz);
	}
	if (low >= high)
		return fail(error, VIV_ERROR_INVALID, "kernel '%s' is an ELF file with nothing to load.", e->name);
	if (low < 0x100000 || high - low > IMAGE_MAX)
		return fail(error, VIV_ERROR_UNSUPPORTED, "kernel '%s' loads at 0x%" PRIx64 " to 0x%" PRIx64
			"; possible are 1 GiB at 0x100000 or above.", e->name, low, high);
	out->addr = low;
	out->size = high - low;
	out->data = g_try_malloc0(out->size);
	if (!out->data)
		return fail(error, VIV_ERROR_FAILED, "kernel '%s': out of memory.", e->name);
	for (unsigned i = 0; i < e->phnum; i++) {
		if (!elf_phdr(e, i, &p) || p.type != PT_LOAD || !p.memsz)
			continue;
		uint64_t skip = trimmed(&p) - p.paddr;
		if (skip < p.filesz)
			memcpy(out->data + (p.paddr + skip - low), e->data + p.offset + skip, p.filesz - skip);
	}
	return true;
}

/* Looks through one PT_NOTE segment for Xen's entry note. */
static bool find_pvh_note(const uint8_t *p, uint64_t size, uint64_t align, uint32_t *entry)
{
	uint64_t mask = align == 8 ? 7 : 3;
	for (uint64_t at = 0; size - at >= 12;) {
		uint64_t namesz = get_le(p + at, 4), descsz = get_le(p + at + 4, 4);
		uint32_t type = get_le(p + at + 8, 4);
		uint64_t name = at + 12, desc = (name + namesz + mask) & ~mask;
		if (desc > size || descsz > size - desc)
			return false;
		if (type == XEN_PHYS32_ENTRY && namesz == 4 && !memcmp(p + name, "Xen", 4) && descsz >= 4) {
			*entry = get_le(p + desc, 4);
			return true;
		}
		at = (desc + descsz + mask) & ~mask;
		if (at > size)
			return false;
	}
	return false;
}

bool pvh_parse(const LinuxBootInput *in, LinuxBoot *out, GError **error)
{
	Elf e;
	Phdr p;
	bool found = false;
	if (!elf_open(in, &e, error))
		return false;
	for (unsigned i = 0; i < e.phnum && !found; i++)
		if (elf_phdr(&e, i, &p) && p.type == PT_NOTE)
			found = find_pvh_note(e.data + p.offset, p.filesz, p.align, &out->entry);
	if (!found)
		return fail(error, VIV_ERROR_INVALID, "Error loading uncompressed kernel without PVH ELF Note: "
			"'%s'. Use its bzImage, or build it with CONFIG_PVH=y.", in->kernel_name);
	if (!elf_flatten(&e, in->ram_below_4g, &out->kernel, error))
		return false;
	const char *append = in->append ? in->append : "";
	if (strlen(append) + 256 > INFO_MAX)
		return fail(error, VIV_ERROR_INVALID, "-append is too long (%zu characters).", strlen(append));
	if (in->initrd) {
		uint64_t top = in->ram_below_4g - MIN(in->ram_below_4g, FIRMWARE_TOP_RESERVE);
		if (!linux_boot_place("initrd", in->initrd_size, out->kernel.addr + out->kernel.size, top,
				&out->initrd.addr, error))
			return false;
		out->initrd.size = in->initrd_size;
		out->initrd.data = g_memdup2(in->initrd, in->initrd_size);
	}
	/* hvm_start_info, then one hvm_modlist_entry, then the command line */
	uint32_t size = 128 + strlen(append) + 1;
	uint8_t *s = g_malloc0(size);
	set_le(s, HVM_START_MAGIC, 4);
	set_le(s + 4, 1, 4);
	set_le(s + 12, out->initrd.size ? 1 : 0, 4);
	set_le(s + 16, out->initrd.size ? INFO_AT + 64 : 0, 8);
	set_le(s + 24, INFO_AT + 128, 8);
	set_le(s + 40, MAP_AT, 8);
	set_le(s + 64, out->initrd.addr, 8);
	set_le(s + 72, out->initrd.size, 8);
	memcpy(s + 128, append, strlen(append) + 1);
	out->setup = (Blob){ s, size, INFO_AT };
	out->kind = KERNEL_PVH;
	out->ebx = INFO_AT;
	out->map_offset = 0;
	out->map_scale = 1;
	out->map_segment = MAP_AT >> 4;
	out->count_segment = (INFO_AT + 48) >> 4; /* memmap_entries */
	return true;
}

/* The header may stand anywhere in the first 8 KiB, on a multiple of 4 (3.1). */
static bool multiboot_find(const LinuxBootInput *in, uint32_t *at)
{
	uint64_t end = MIN(in->kernel_size, MULTIBOOT_SEARCH);
	for (uint32_t i = 0; (uint64_t)i + 12 <= end; i += 4) {
		uint32_t magic = get_le(in->kernel + i, 4), flags = get_le(in->kernel + i + 4, 4);
		if (magic == MULTIBOOT_MAGIC && !(uint32_t)(magic + flags + get_le(in->kernel + i + 8, 4))) {
			*at = i;
			return true;
		}
	}
	return false;
}

bool multiboot_probe(const LinuxBootInput *in)
{
	uint32_t at;
	return multiboot_find(in, &at);
}

/* Flag 16: the header says where to load (3.1.3). */
static bool multiboot_flat(const LinuxBootInput *in, uint32_t at, LinuxBoot *out, GError **error)
{
	if (in->kernel_size < (uint64_t)at + 32)
		return fail(error, VIV_ERROR_INVALID, "multiboot kernel '%s' is truncated.", in->kernel_name);
	const uint8_t *h = in->kernel + at;
	uint32_t header = get_le(h + 12, 4), load = get_le(h + 16, 4), load_end = get_le(h + 20, 4);
	uint32_t bss_end = get_le(h + 24, 4);
	out->entry = get_le(h + 28, 4);
	if (header < load || header - load > at)
		return fail(error, VIV_ERROR_INVALID, "multiboot kernel '%s' has an invalid header address.",
			in->kernel_name);
	uint64_t offset = at - (header - load);
	uint64_t bytes = load_end ? (uint64_t)load_end - load : in->kernel_size - offset;
	if ((load_end && load_end < load) || bytes > in->kernel_size - offset)
		return fail(error, VIV_ERROR_INVALID, "multiboot kernel '%s' is truncated: its header asks for "
			"more than the file holds.", in->kernel_name);
	uint64_t end = MAX((uint64_t)load + bytes, bss_end);
	if (load < 0x100000 || end > in->ram_below_4g || end - load > IMAGE_MAX)
		return fail(error, VIV_ERROR_INVALID, "multiboot kernel '%s' wants to lie at 0x%x to 0x%" PRIx64
			", outside usable guest memory.", in->kernel_name, load, end);
	out->kernel.addr = load;
	out->kernel.size = end - load;
	out->kernel.data = g_try_malloc0(MAX(out->kernel.size, 1));
	if (!out->kernel.data)
		return fail(error, VIV_ERROR_FAILED, "kernel '%s': out of memory.", in->kernel_name);
	memcpy(out->kernel.data, in->kernel + offset, bytes);
	return true;
}

typedef struct Modules {
	GByteArray *bytes;   /* all modules, each page aligned */
	GByteArray *list;    /* 16 bytes a module: start and end (offsets so far), string (offset in strings) */
	GString *strings;
	unsigned count;
} Modules;

/* One "file arguments" of -initrd. */
static bool module_add(Modules *m, const char *spec, GError **error)
{
	char *file = g_strndup(spec, strcspn(spec, " "));
	uint8_t *data;
	uint64_t size;
	bool ok = linux_boot_read("module", file, &data, &size, error);
	g_free(file);
	if (!ok)
		return false;
	static const uint8_t zero[4096];
	g_byte_array_append(m->bytes, zero, -m->bytes->len & 4095);
	uint64_t end = (uint64_t)m->bytes->len + size;
	if (end > IMAGE_MAX || m->count >= 64) {
		g_free(data);
		return fail(error, VIV_ERROR_INVALID, "-initrd: more than 64 modules or 1 GiB.");
	}
	uint8_t entry[16] = { 0 };
	set_le(entry, m->bytes->len, 4);
	set_le(entry + 4, end, 4);
	set_le(entry + 8, m->strings->len, 4);
	g_byte_array_append(m->bytes, data, size);
	g_byte_array_append(m->list, entry, sizeof(entry));
	g_string_append_len(m->strings, spec, strlen(spec) + 1);
	m->count++;
	g_free(data);
	return true;
}

/* Commas part modules; ",," is a comma. */
static bool modules_read(Modules *m, const char *arg, GError **error)
{
	GString *spec = g_string_new("");
	bool ok = true;
	for (const char *p = arg; ok; p++) {
		if (*p == ',' && p[1] == ',') {
			g_string_append_c(spec, *p++);
		} else if (!*p || *p == ',') {
			ok = !spec->len || module_add(m, spec->str, error);
			g_string_truncate(spec, 0);
			if (!*p)
				break;
		} else {
			g_string_append_c(spec, *p);
		}
	}
	g_string_free(spec, TRUE);
	return ok;
}

/* The information structure (3.3) stands at INFO_AT + 4: its mmap_length is on a paragraph then. */
static bool multiboot_info(const LinuxBootInput *in, Modules *m, LinuxBoot *out, GError **error)
{
	enum { BASE = 4, LIST = 128 };
	uint32_t strings = LIST + m->list->len;
	uint32_t cmdline = strings + m->strings->len;
	char *text = g_strdup_printf("%s%s%s", in->kernel_name, in->append ? " " : "",
		in->append ? in->append : "");
	uint64_t size = (uint64_t)cmdline + strlen(text) + 1;
	if (size > INFO_MAX) {
		g_free(text);
		return fail(error, VIV_ERROR_INVALID, "-append and the modules' arguments are too long.");
	}
	uint8_t *s = g_malloc0(size), *i = s + BASE;
	for (unsigned k = 0; k < m->count; k++) {
		uint8_t *e = m->list->data + 16 * k;
		set_le(e, get_le(e, 4) + out->initrd.addr, 4);
		set_le(e + 4, get_le(e + 4, 4) + out->initrd.addr, 4);
		set_le(e + 8, get_le(e + 8, 4) + INFO_AT + strings, 4);
	}
	if (m->count) {
		memcpy(s + LIST, m->list->data, m->list->len);
		memcpy(s + strings, m->strings->str, m->strings->len);
	}
	memcpy(s + cmdline, text, strlen(text) + 1);
	strcpy((char *)s + 104, "vivarium");
	set_le(i, 1u << 0 | 1u << 1 | 1u << 2 | 1u << 3 | 1u << 6 | 1u << 9, 4);
	set_le(i + 4, 639, 4);
	set_le(i + 8, (in->ram_below_4g - 0x100000 - FIRMWARE_TOP_RESERVE) / 1024, 4);
	set_le(i + 12, 0x8000ffff, 4); /* first hard disk, first partition */
	set_le(i + 16, INFO_AT + cmdline, 4);
	set_le(i + 20, m->count, 4);
	set_le(i + 24, INFO_AT + LIST, 4);
	set_le(i + 48, MAP_AT, 4);
	set_le(i + 64, INFO_AT + 104, 4);
	g_free(text);
	out->setup = (Blob){ s, size, INFO_AT };
	out->ebx = INFO_AT + BASE;
	return true;
}

static bool multiboot_image(const LinuxBootInput *in, LinuxBoot *out, GError **error)
{
	uint32_t at = 0;
	multiboot_find(in, &at);
	uint32_t flags = get_le(in->kernel + at + 4, 4);
	if (flags & 0xfff8)
		return fail(error, VIV_ERROR_UNSUPPORTED, "multiboot kernel '%s' demands features that do not "
			"exist (flags 0x%x).", in->kernel_name, flags);
	if (flags & 4)
		return fail(error, VIV_ERROR_UNSUPPORTED, "multiboot kernel '%s' demands a video mode, which is "
			"not built.", in->kernel_name);
	if (flags & 1u << 16)
		return multiboot_flat(in, at, out, error);
	Elf e;
	if (!elf_probe(in))
		return fail(error, VIV_ERROR_INVALID, "multiboot kernel '%s' is no ELF file and its header "
			"gives no addresses.", in->kernel_name);
	if (!elf_open(in, &e, error))
		return false;
	if (e.wide)
		return fail(error, VIV_ERROR_UNSUPPORTED, "Cannot load x86-64 image '%s', give a 32bit one.",
			in->kernel_name);
	out->entry = e.entry;
	return elf_flatten(&e, in->ram_below_4g, &out->kernel, error);
}

bool multiboot_parse(const LinuxBootInput *in, LinuxBoot *out, GError **error)
{
	if (in->ram_below_4g < 0x200000)
		return fail(error, VIV_ERROR_INVALID, "a multiboot kernel needs 2 MiB of memory (-m).");
	if (!multiboot_image(in, out, error))
		return false;
	Modules m = { g_byte_array_new(), g_byte_array_new(), g_string_new(""), 0 };
	bool ok = !in->initrd_arg || modules_read(&m, in->initrd_arg, error);
	if (ok && m.bytes->len) {
		uint64_t top = in->ram_below_4g - FIRMWARE_TOP_RESERVE;
		uint64_t floor = ((uint64_t)out->kernel.addr + out->kernel.size + 4095) & ~4095ull;
		uint32_t unused;
		ok = linux_boot_place("modules", m.bytes->len, floor, top, &unused, error);
		if (ok) {
			/* Directly behind the kernel, where multiboot kernels expect them. */
			out->initrd.addr = floor;
			out->initrd.size = m.bytes->len;
			out->initrd.data = g_memdup2(m.bytes->data, m.bytes->len);
		}
	}
	ok = ok && multiboot_info(in, &m, out, error);
	g_byte_array_free(m.bytes, TRUE);
	g_byte_array_free(m.list, TRUE);
	g_string_free(m.strings, TRUE);
	out->kind = KERNEL_MULTIBOOT;
	out->eax = MULTIBOOT_BOOTED;
	out->map_offset = 4;
	out->map_scale = 24;
	out->map_segment = MAP_AT >> 4;
	out->count_segment = (INFO_AT + 4 + 44) >> 4;
	return ok;
}
