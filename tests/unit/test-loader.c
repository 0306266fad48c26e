/*
 * test-loader.c - kernels of every kind, whole, truncated and damaged, through the loader.
 *
 * The files are made here, byte by byte. What is damaged must be refused with a
 * message or accepted; it must never read outside its bytes (run under ASan for that).
 */
#include <elf.h>
#include <glib/gstdio.h>
#include <string.h>

#include "machine/linux_boot.h"

#define MIB (1024ull * 1024)

static void set_le(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = v >> (8 * i);
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint8_t *make_bzimage(uint64_t *size)
{
	*size = 5 * 512 + 100000;
	uint8_t *k = g_malloc0(*size);
	k[0x1f1] = 4;
	memcpy(k + 0x202, "HdrS", 4);
	set_le(k + 0x206, 0x20f, 2);
	k[0x211] = 1;
	set_le(k + 0x22c, 0x7fffffff, 4);
	set_le(k + 0x238, 2047, 4);
	set_le(k + 0x260, 16 * MIB, 4);
	memset(k + 5 * 512, 0x5a, 100000);
	return k;
}

static uint8_t *make_pvh(uint64_t *size)
{
	*size = 0x2000;
	uint8_t *k = g_malloc0(*size);
	Elf64_Ehdr *e = (Elf64_Ehdr *)k;
	memcpy(e->e_ident, ELFMAG "\2\1\1", 7);
	e->e_machine = EM_X86_64;
	e->e_phoff = sizeof(*e);
	e->e_phnum = 2;
	e->e_phentsize = sizeof(Elf64_Phdr);
	Elf64_Phdr *p = (Elf64_Phdr *)(e + 1);
	p[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = 0x1000, .p_paddr = 0x200000, .p_filesz = 0x1000,
		.p_memsz = 0x3000 };
	p[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 0x400, .p_filesz = 64, .p_align = 4 };
	uint8_t *n = k + 0x400;
	set_le(n, 4, 4), set_le(n + 4, 8, 4), set_le(n + 8, 3, 4), memcpy(n + 12, "Xen", 4);
	n += 24;
	set_le(n, 4, 4), set_le(n + 4, 4, 4), set_le(n + 8, 18, 4), memcpy(n + 12, "Xen", 4);
	set_le(n + 16, 0x200123, 4);
	memset(k + 0x1000, 0x77, 0x1000);
	return k;
}

static uint8_t *make_multiboot(uint64_t *size)
{
	*size = 0x3000;
	uint8_t *k = g_malloc0(*size);
	uint8_t *h = k + 0x100;
	uint32_t flags = 0x10003;
	set_le(h, 0x1badb002, 4), set_le(h + 4, flags, 4), set_le(h + 8, -(0x1badb002 + flags), 4);
	set_le(h + 12, 0x100100, 4), set_le(h + 16, 0x100000, 4);
	set_le(h + 24, 0x110000, 4), set_le(h + 28, 0x100200, 4);
	return k;
}

static void check_rom(const LinuxBoot *b)
{
	uint8_t sum = 0, pnp = 0;
	for (unsigned i = 0; i < b->rom_size; i++)
		sum += b->rom[i];
	for (unsigned i = 0; i < 32; i++)
		pnp += b->rom[0x20 + i];
	g_assert_cmpuint(sum, ==, 0);
	g_assert_cmpuint(pnp, ==, 0);
	g_assert_cmpuint(b->rom[2] * 512u, ==, b->rom_size);
}

static LinuxBootInput input(const uint8_t *k, uint64_t size)
{
	return (LinuxBootInput){ .kernel_name = "test", .append = "console=ttyS0", .kernel = k,
		.kernel_size = size, .ram_below_4g = 128 * MIB };
}

static void test_linux(void)
{
	uint64_t size;
	uint8_t *k = make_bzimage(&size);
	LinuxBootInput in = input(k, size);
	uint8_t *initrd = g_malloc0(MIB + 1);
	in.initrd = initrd, in.initrd_size = MIB + 1;
	LinuxBoot b;
	g_assert_true(linux_boot_parse(&in, &b, NULL));
	check_rom(&b);
	g_assert_cmpuint(b.setup.addr, ==, 0x10000);
	g_assert_cmpuint(b.kernel.addr, ==, 0x100000);
	g_assert_cmpuint(b.kernel.size, ==, 100000);
	g_assert_cmpuint(get32(b.setup.data + 0x218), ==, b.initrd.addr);
	g_assert_cmpuint(get32(b.setup.data + 0x21c), ==, MIB + 1);
	g_assert_cmpuint(get32(b.setup.data + 0x228), ==, b.cmdline.addr);
	g_assert_cmpuint(b.initrd.addr % 4096, ==, 0);
	g_assert_cmpuint(b.initrd.addr + b.initrd.size, <=, 128 * MIB - FIRMWARE_TOP_RESERVE);
	g_assert_cmpstr((char *)b.cmdline.data, ==, "console=ttyS0");
	linux_boot_free(&b);
	in.ram_below_4g = 17 * MIB; /* 16 MiB to unpack and an initrd of 1 MiB do not fit */
	GError *error = NULL;
	g_assert_false(linux_boot_parse(&in, &b, &error));
	g_assert_nonnull(strstr(error->message, "initrd is too large"));
	g_clear_error(&error);
	char *longline = g_strnfill(2048, 'x');
	in.append = longline;
	g_assert_false(linux_boot_parse(&in, &b, &error));
	g_assert_nonnull(strstr(error->message, "2047"));
	g_clear_error(&error);
	g_free(longline), g_free(initrd), g_free(k);
}

static void test_pvh(void)
{
	uint64_t size;
	uint8_t *k = make_pvh(&size);
	LinuxBootInput in = input(k, size);
	LinuxBoot b;
	g_assert_true(linux_boot_parse(&in, &b, NULL));
	check_rom(&b);
	g_assert_cmpint(b.kind, ==, KERNEL_PVH);
	g_assert_cmpuint(b.entry, ==, 0x200123);
	g_assert_cmpuint(b.kernel.size, ==, 0x3000);
	g_assert_cmpuint(b.kernel.data[0xfff], ==, 0x77);
	g_assert_cmpuint(b.kernel.data[0x1000], ==, 0);
	g_assert_cmpuint(get32(b.setup.data), ==, 0x336ec578);
	linux_boot_free(&b);
	g_free(k);
}

static void test_multiboot(void)
{
	uint64_t size;
	uint8_t *k = make_multiboot(&size);
	LinuxBootInput in = input(k, size);
	char *dir = g_dir_make_tmp("viv-mb-XXXXXX", NULL), *mod = g_build_filename(dir, "m", NULL);
	g_assert_true(g_file_set_contents(mod, "module", 6, NULL));
	char *arg = g_strdup_printf("%s one,%s two", mod, mod);
	in.initrd_arg = arg;
	LinuxBoot b;
	g_assert_true(linux_boot_parse(&in, &b, NULL));
	check_rom(&b);
	g_assert_cmpint(b.kind, ==, KERNEL_MULTIBOOT);
	g_assert_cmpuint(b.kernel.size, ==, 0x10000);
	g_assert_cmpuint(b.initrd.addr, ==, 0x110000);
	g_assert_cmpuint(b.initrd.size, ==, 4096 + 6);
	const uint8_t *info = b.setup.data + 4;
	g_assert_cmpuint(get32(info + 20), ==, 2);
	const uint8_t *second = b.setup.data + get32(info + 24) - b.setup.addr + 16;
	g_assert_cmpuint(get32(second), ==, 0x111000);
	g_assert_cmpuint(get32(second + 4), ==, 0x111006);
	g_assert_true(g_str_has_suffix((char *)b.setup.data + get32(second + 8) - b.setup.addr, " two"));
	linux_boot_free(&b);
	g_unlink(mod), g_rmdir(dir);
	g_free(dir), g_free(mod), g_free(arg), g_free(k);
}

/* Every length, and many single and multiple faults. Bytes are copied to the end of a fresh block. */
static void fuzz(uint8_t *(*make)(uint64_t *))
{
	uint64_t size;
	uint8_t *whole = make(&size);
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t len = i < 3000 ? MIN(i, size) : i % 3 ? size : (uint64_t)g_test_rand_int_range(0, size);
		uint8_t *k = g_memdup2(whole, MAX(len, 1));
		for (int f = i < 3000 ? 0 : g_test_rand_int_range(1, 5); f && len; f--) {
			uint64_t at = g_test_rand_int_range(0, MIN(len, f & 1 ? 0x480 : size));
			static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
			k[at] = values[g_test_rand_int_range(0, 5)];
		}
		LinuxBootInput in = input(k, len);
		LinuxBoot b;
		GError *error = NULL;
		if (linux_boot_parse(&in, &b, &error)) {
			check_rom(&b);
			linux_boot_free(&b);
		} else {
			g_assert_nonnull(error);
			g_clear_error(&error);
		}
		g_free(k);
	}
	g_free(whole);
}

static void test_fuzz(void)
{
	fuzz(make_bzimage);
	fuzz(make_pvh);
	fuzz(make_multiboot);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/loader/linux", test_linux);
	g_test_add_func("/loader/pvh", test_pvh);
	g_test_add_func("/loader/multiboot", test_multiboot);
	g_test_add_func("/loader/damaged", test_fuzz);
	return g_test_run();
}
