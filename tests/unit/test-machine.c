/*
 * test-machine.c - the configuration's defaults and refusals, SMBIOS, the fw_cfg directory.
 */
#include <string.h>

#include "machine/config.h"
#include "machine/fw_cfg.h"
#include "machine/smbios.h"

#define GIB (1024ull * 1024 * 1024)

static void refuse(MachineConfig *c, const char *word)
{
	GError *error = NULL;
	g_assert_false(machine_config_complete(c, &error));
	if (!strstr(error->message, word))
		g_error("\"%s\" does not name %s", error->message, word);
	g_clear_error(&error);
	machine_config_free(c);
}

static void test_topology(void)
{
	static const struct { SmpConfig in, out; } cases[] = {
		{ { 0 }, { 1, 1, 1, 1, 1, 1 } },
		{ { .cpus = 4 }, { 4, 1, 1, 4, 1, 4 } },
		{ { .cpus = 4, .sockets = 2 }, { 4, 2, 1, 2, 1, 4 } },
		{ { .cpus = 2, .maxcpus = 8, .threads = 2 }, { 2, 1, 1, 4, 2, 8 } },
		{ { .cores = 3, .threads = 2 }, { 6, 1, 1, 3, 2, 6 } },
		{ { .cpus = 8, .cores = 2, .threads = 2 }, { 8, 2, 1, 2, 2, 8 } },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		MachineConfig c;
		machine_config_init(&c);
		c.smp = cases[i].in;
		g_assert_true(machine_config_complete(&c, NULL));
		g_assert_true(machine_config_complete(&c, NULL));
		g_assert_cmpmem(&c.smp, sizeof(c.smp), &cases[i].out, sizeof(c.smp));
		machine_config_free(&c);
	}
	MachineConfig c;
	machine_config_init(&c);
	c.smp = (SmpConfig){ .cpus = 3, .sockets = 2, .cores = 2, .threads = 1 };
	refuse(&c, "product");
	machine_config_init(&c);
	c.smp = (SmpConfig){ .cpus = 9, .maxcpus = 8 };
	refuse(&c, "maxcpus");
	machine_config_init(&c);
	c.smp = (SmpConfig){ .sockets = 65536, .dies = 65536, .cores = 65536, .threads = 65536 };
	refuse(&c, "max CPUs");
	machine_config_init(&c);
	c.smp = (SmpConfig){ .cpus = 1, .cores = 300 };
	refuse(&c, "product");
	machine_config_init(&c);
	c.smp = (SmpConfig){ .cpus = 256 };
	refuse(&c, "255");
}

static void test_refusals(void)
{
	MachineConfig c;
	machine_config_init(&c);
	c.type = g_strdup("pc-q35-7.2");
	refuse(&c, "-machine help");
	machine_config_init(&c);
	c.initrd = g_strdup("x");
	refuse(&c, "-kernel");
	machine_config_init(&c);
	c.boot.order = g_strdup("cc");
	refuse(&c, "twice");
	machine_config_init(&c);
	c.boot.once = g_strdup("z");
	refuse(&c, "'z'");
	machine_config_init(&c);
	c.ram_size = 2 * GIB, c.ram_max = GIB;
	refuse(&c, "maxmem");
	machine_config_init(&c);
	machine_config_add_node(&c)->memdev = g_strdup("m");
	refuse(&c, "memdev");
	machine_config_init(&c);
	NumaNode *n = machine_config_add_node(&c);
	n->mem = 1, n->mem_set = true;
	refuse(&c, "equal");
	machine_config_init(&c);
	n = machine_config_add_node(&c);
	NumaRange r = { 0, 400 };
	g_array_append_val(n->cpus, r);
	refuse(&c, "0-400");
}

static void test_numa_shares(void)
{
	MachineConfig c;
	machine_config_init(&c);
	c.ram_size = GIB + 4096 * 2;
	for (unsigned i = 0; i < 3; i++)
		machine_config_add_node(&c);
	g_assert_true(machine_config_complete(&c, NULL));
	uint64_t total = 0;
	for (unsigned i = 0; i < 3; i++)
		total += ((NumaNode *)g_ptr_array_index(c.numa, i))->mem;
	g_assert_cmpuint(total, ==, c.ram_size);
	machine_config_free(&c);
}

static uint8_t sum(const uint8_t *p, unsigned len)
{
	uint8_t s = 0;
	while (len--)
		s += *p++;
	return s;
}

/* Walks the table as a guest does: lengths, string sets, end marker. */
static void check_smbios(MachineConfig *c, const char *expect)
{
	SmbiosInput in = { .config = c, .ram_below_4g = MIN(c->ram_size, 3 * GIB),
		.ram_above_4g = c->ram_size - MIN(c->ram_size, 3 * GIB) };
	GByteArray *anchor, *t;
	g_assert_true(smbios_build(&in, &anchor, &t, NULL));
	g_assert_cmpuint(anchor->len, ==, 31);
	g_assert_cmpuint(sum(anchor->data, 31), ==, 0);
	g_assert_cmpuint(sum(anchor->data + 16, 15), ==, 0);
	g_assert_cmpuint(anchor->data[22] | anchor->data[23] << 8, ==, t->len);
	GString *seen = g_string_new("");
	unsigned count = 0, at = 0;
	while (at < t->len) {
		g_string_append_printf(seen, "%u ", t->data[at]);
		g_assert_cmpuint(t->data[at + 1], >=, 4);
		unsigned end = at + t->data[at + 1];
		while (end + 1 < t->len && (t->data[end] || t->data[end + 1]))
			end++;
		at = end + 2;
		count++;
	}
	g_assert_cmpuint(at, ==, t->len);
	g_assert_cmpuint(anchor->data[28] | anchor->data[29] << 8, ==, count);
	g_assert_cmpstr(seen->str, ==, expect);
	g_string_free(seen, TRUE);
	g_byte_array_free(anchor, TRUE), g_byte_array_free(t, TRUE);
}

static void test_smbios(void)
{
	MachineConfig c;
	machine_config_init(&c);
	g_assert_true(machine_config_complete(&c, NULL));
	check_smbios(&c, "1 3 4 16 17 19 32 127 ");
	machine_config_free(&c);

	machine_config_init(&c);
	c.ram_size = 33 * GIB;
	c.smp = (SmpConfig){ .cpus = 4, .sockets = 2 };
	SmbiosConfig *s = machine_config_add_smbios(&c, 0);
	smbios_config_set(s, "vendor", "V"), smbios_config_set(s, "release", "1.2");
	smbios_config_set(machine_config_add_smbios(&c, 2), "serial", "42");
	s = machine_config_add_smbios(&c, 11);
	smbios_config_set(s, "value", "one"), smbios_config_set(s, "value", "two");
	g_assert_true(machine_config_complete(&c, NULL));
	check_smbios(&c, "0 1 2 3 4 4 11 16 17 17 17 19 19 32 127 ");
	GByteArray *a, *t;
	SmbiosInput in = { .config = &c };
	GError *error = NULL;
	smbios_config_set(machine_config_add_smbios(&c, 1), "uuid", "not-a-uuid");
	g_assert_false(smbios_build(&in, &a, &t, &error));
	g_assert_nonnull(strstr(error->message, "UUID"));
	g_clear_error(&error);
	smbios_config_set(machine_config_add_smbios(&c, 1), "uuid", "00112233-4455-6677-8899-aabbccddeeff");
	smbios_config_set(machine_config_add_smbios(&c, 4), "max-speed", "99999");
	g_assert_false(smbios_build(&in, &a, &t, &error));
	g_assert_nonnull(strstr(error->message, "max-speed"));
	g_clear_error(&error);
	machine_config_free(&c);
}

static void test_fw_cfg(void)
{
	FwCfgTable *t = fw_cfg_table_new();
	g_assert_cmpmem(fw_cfg_lookup(t, 0)->data, fw_cfg_lookup(t, 0)->size, "QEMU", 4);
	g_assert_null(fw_cfg_lookup(t, 0x3000));
	g_assert_null(fw_cfg_lookup(t, 0xffff));
	for (unsigned i = 0; i < FW_CFG_FILE_SLOTS; i++) {
		char name[20];
		g_snprintf(name, sizeof(name), "opt/%u", i);
		g_assert_true(fw_cfg_add_file(t, name, name, strlen(name), NULL));
	}
	g_assert_true(fw_cfg_add_file(t, "opt/3", "new", 3, NULL)); /* replaced, not added */
	g_assert_false(fw_cfg_add_file(t, "opt/64", "", 0, NULL));
	g_assert_false(fw_cfg_add_file(t, "", "", 0, NULL));
	const FwCfgEntry *dir = fw_cfg_lookup(t, FW_CFG_FILE_DIR);
	g_assert_cmpuint(dir->size, ==, 4 + 64 * FW_CFG_FILE_SLOTS);
	const uint8_t *e = dir->data + 4 + 3 * 64;
	g_assert_cmpuint(e[3], ==, 3);
	g_assert_cmpuint(e[5], ==, 0x23);
	g_assert_cmpstr((const char *)e + 8, ==, "opt/3");
	g_assert_cmpmem(fw_cfg_lookup(t, 0x23)->data, 3, "new", 3);
	fw_cfg_table_free(t);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/machine/topology", test_topology);
	g_test_add_func("/machine/refusals", test_refusals);
	g_test_add_func("/machine/numa", test_numa_shares);
	g_test_add_func("/machine/smbios", test_smbios);
	g_test_add_func("/machine/fw_cfg", test_fw_cfg);
	return g_test_run();
}
