/*
 * test-acpi.c - the ACPI tables: checksums after firmware's linking, and what iasl makes of them.
 *
 * Runs the table-loader script as firmware does, at made-up addresses. Where the
 * ACPICA compiler is installed, every table is disassembled and its words are read
 * for complaints.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "machine/acpi/acpi.h"
#include "machine/acpi/aml.h"

#define TABLES_AT 0x7ffe0000u
#define RSDP_AT 0xf5000u

static uint64_t get_le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;
	while (len--)
		s += *p++;
	return s;
}

/* Executes the script on the files in place. */
static void link_tables(AcpiFiles *f)
{
	g_assert_cmpuint(f->loader->len % 128, ==, 0);
	for (unsigned at = 0; at < f->loader->len; at += 128) {
		const uint8_t *e = f->loader->data + at;
		GByteArray *file = strstr((const char *)e + 4, "rsdp") ? f->rsdp : f->tables;
		switch (get_le(e, 4)) {
		case 1:
			break;
		case 2: {
			uint32_t offset = get_le(e + 116, 4), size = e[120];
			g_assert_cmpuint(offset + size, <=, file->len);
			uint64_t v = get_le(file->data + offset, size) + TABLES_AT;
			for (unsigned i = 0; i < size; i++)
				file->data[offset + i] = v >> (8 * i);
			break;
		}
		case 3: {
			uint32_t offset = get_le(e + 60, 4), start = get_le(e + 64, 4), len = get_le(e + 68, 4);
			g_assert_cmpuint(offset, <, file->len);
			g_assert_cmpuint(start + len, <=, file->len);
			file->data[offset] = 0;
			file->data[offset] = -sum(file->data + start, len);
			break;
		}
		default:
			g_assert_not_reached();
		}
	}
}

static void disassemble(const char *dir, const uint8_t *table, uint32_t len)
{
	char *iasl = g_find_program_in_path("iasl");
	if (!iasl)
		return;
	char *name = g_strdup_printf("%s/%.4s.aml", dir, (const char *)table);
	char *dsl = g_strdup_printf("%s/%.4s.dsl", dir, (const char *)table);
	g_assert_true(g_file_set_contents(name, (const char *)table, len, NULL));
	char *argv[] = { iasl, (char *)"-d", name, NULL }, *out = NULL, *err = NULL, *text = NULL;
	int status = 0;
	g_assert_true(g_spawn_sync(dir, argv, NULL, 0, NULL, NULL, &out, &err, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	g_assert_true(g_file_get_contents(dsl, &text, NULL, NULL));
	if (strstr(err, "rror") || strstr(err, "nvalid") || strstr(text, "nvalid") || strstr(text, "/* Incorrect"))
		g_error("iasl on %.4s: %s\n%s", (const char *)table, err, text);
	g_free(out), g_free(err), g_free(text);
	if (!memcmp(table, "DSDT", 4)) {
		/* What was taken apart must compile again. */
		char *again[] = { iasl, (char *)"-ve", dsl, NULL };
		g_assert_true(g_spawn_sync(dir, again, NULL, 0, NULL, NULL, &out, &err, &status, NULL));
		if (status)
			g_error("iasl refuses the DSDT: %s", err);
		g_free(out), g_free(err);
	}
	g_unlink(name), g_unlink(dsl);
	g_free(name), g_free(dsl), g_free(iasl);
}

static void check_root(const char *dir, AcpiFiles *f, uint64_t root_at, unsigned width, const char *expect)
{
	const uint8_t *t = f->tables->data;
	uint32_t root = root_at - TABLES_AT, len = get_le(t + root + 4, 4);
	g_assert_cmpuint(sum(t + root, len), ==, 0);
	GString *seen = g_string_new("");
	for (unsigned at = 36; at < len; at += width) {
		uint32_t table = get_le(t + root + at, width) - TABLES_AT;
		g_assert_cmpuint(table + 36, <=, f->tables->len);
		uint32_t size = get_le(t + table + 4, 4);
		g_assert_cmpuint(sum(t + table, size), ==, 0);
		g_string_append_printf(seen, "%.4s ", t + table);
		disassemble(dir, t + table, size);
		if (!memcmp(t + table, "FACP", 4)) {
			uint32_t facs = get_le(t + table + 36, 4), dsdt = get_le(t + table + 40, 4) - TABLES_AT;
			g_assert_cmpuint(facs % 64, ==, 0);
			g_assert_cmpuint(get_le(t + table + 140, 8), ==, dsdt + TABLES_AT);
			disassemble(dir, t + dsdt, get_le(t + dsdt + 4, 4));
		}
	}
	g_assert_cmpstr(seen->str, ==, expect);
	g_string_free(seen, TRUE);
}

static void check(MachineConfig *c, AcpiInput *in, const char *expect)
{
	AcpiFiles f;
	acpi_build(in, &f);
	link_tables(&f);
	char *dir = g_dir_make_tmp("viv-acpi-XXXXXX", NULL);
	g_assert_nonnull(dir);
	g_assert_cmpuint(f.rsdp->len, ==, 36);
	g_assert_cmpuint(sum(f.rsdp->data, 20), ==, 0);
	g_assert_cmpuint(sum(f.rsdp->data, 36), ==, 0);
	check_root(dir, &f, get_le(f.rsdp->data + 16, 4), 4, expect);
	check_root(dir, &f, get_le(f.rsdp->data + 24, 8), 8, expect);
	g_rmdir(dir);
	g_free(dir);
	acpi_files_free(&f);
}

static void fill(AcpiInput *in, const MachineConfig *c, uint32_t *ids, unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++)
		ids[i] = i;
	*in = (AcpiInput){ .config = c, .ram_below_4g = 128u << 20, .reserved_end = 4ull << 30, .phys_bits = 40, .pm_base = 0x600,
		.apic_ids = ids, .cpu_count = cpus, .cpu_max = cpus, .hpet = true, .serials = 1 };
}

static void test_small(void)
{
	MachineConfig c;
	AcpiInput in;
	uint32_t ids[1];
	machine_config_init(&c);
	g_assert_true(machine_config_complete(&c, NULL));
	fill(&in, &c, ids, 1);
	check(&c, &in, "FACP APIC HPET WAET ");
	in.hpet = false;
	check(&c, &in, "FACP APIC WAET ");
	machine_config_free(&c);
}

static void test_numa(void)
{
	MachineConfig c;
	AcpiInput in;
	uint32_t ids[255];
	machine_config_init(&c);
	c.ram_size = 8ull << 30;
	c.smp.cpus = 255;
	for (unsigned i = 0; i < 3; i++) {
		NumaNode *n = machine_config_add_node(&c);
		NumaRange r = { i * 85, i * 85 + 84 };
		g_array_append_val(n->cpus, r);
		n->distance[(i + 1) % 3] = 30;
	}
	g_assert_true(machine_config_complete(&c, NULL));
	fill(&in, &c, ids, 255);
	ids[254] = 300; /* an x2APIC id */
	in.ram_below_4g = 3ull << 30;
	in.ram_above_4g = 5ull << 30;
	in.reserved_end = 9ull << 30;
	in.serials = 15;
	in.parallels = 7;
	in.pvpanic_port = 0x505;
	check(&c, &in, "FACP APIC HPET SRAT SLIT WAET ");
	machine_config_free(&c);
}

static void test_aml(void)
{
	Aml a;
	aml_init(&a);
	aml_int(&a, 1), aml_int(&a, 0x80), aml_int(&a, 0x1234), aml_int(&a, 0x12345678);
	static const uint8_t ints[] = { 1, 0x0a, 0x80, 0x0b, 0x34, 0x12, 0x0c, 0x78, 0x56, 0x34, 0x12 };
	GByteArray *out = aml_finish(&a);
	g_assert_cmpmem(out->data, out->len, ints, sizeof(ints));
	g_byte_array_free(out, TRUE);
	/* Package lengths at the edges of one, two and three bytes. */
	static const struct { unsigned contents, head; } edges[] = {
		{ 62, 1 }, { 63, 2 }, { 4093, 2 }, { 4094, 3 }, { 1048572, 3 }, { 1048573, 4 } };
	for (unsigned i = 0; i < G_N_ELEMENTS(edges); i++) {
		aml_init(&a);
		aml_begin_if(&a);
		for (unsigned k = 0; k < edges[i].contents; k++)
			aml_op(&a, 0);
		aml_end(&a);
		out = aml_finish(&a);
		g_assert_cmpuint(out->len, ==, 1 + edges[i].head + edges[i].contents);
		uint8_t lead = out->data[1];
		unsigned total = edges[i].head == 1 ? lead : lead & 15;
		for (unsigned k = 1; k < edges[i].head; k++)
			total |= (unsigned)out->data[1 + k] << (8 * k - 4);
		g_assert_cmpuint(lead >> 6, ==, edges[i].head - 1);
		g_assert_cmpuint(total, ==, edges[i].head + edges[i].contents);
		g_byte_array_free(out, TRUE);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/acpi/aml", test_aml);
	g_test_add_func("/acpi/small", test_small);
	g_test_add_func("/acpi/numa", test_numa);
	return g_test_run();
}
