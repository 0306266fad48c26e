/*
 * tables.c - the ACPI tables around the DSDT, and the linker script for firmware.
 *
 * ACPI Specification 6.4, chapter 5.2 (FADT in its revision 3 form, MADT, SRAT, SLIT);
 * IA-PC HPET 1.0a, 3.2.4; Windows ACPI Emulated Devices Table 1.0; the table-loader
 * commands as QEMU publishes them (docs/specs, bios-linker-loader). Leaves out MCFG
 * (no PCI Express on this board). One thread.
 */
#include "machine/acpi/acpi.h"

#include <string.h>

#define GIB (1024ull * 1024 * 1024)
#define FILE_TABLES "etc/acpi/tables"
#define FILE_RSDP "etc/acpi/rsdp"

enum { LOAD_ALLOCATE = 1, LOAD_POINTER = 2, LOAD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

typedef struct Build {
	const AcpiInput *in;
	GByteArray *tables, *rsdp, *loader;
	GArray *roots;       /* offsets that RSDT and XSDT list */
} Build;

static void put_le(GByteArray *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		uint8_t b = value >> (8 * i);
		g_byte_array_append(out, &b, 1);
	}
}

static void set_le(GByteArray *out, unsigned at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		out->data[at + i] = value >> (8 * i);
}

static void put_zero(GByteArray *out, unsigned bytes)
{
	put_le(out, 0, bytes);
}

static void put_name(GByteArray *out, const char *name, unsigned width)
{
	char padded[64] = { 0 };
	g_strlcpy(padded, name, sizeof(padded));
	g_byte_array_append(out, (const uint8_t *)padded, width);
}

/* A script entry is 128 bytes whatever the command. */
static void loader_begin(Build *b, uint32_t command)
{
	put_le(b->loader, command, 4);
}

static void loader_end(Build *b)
{
	while (b->loader->len % 128)
		put_zero(b->loader, 1);
}

static void loader_allocate(Build *b, const char *file, uint32_t align, uint8_t zone)
{
	loader_begin(b, LOAD_ALLOCATE);
	put_name(b->loader, file, 56);
	put_le(b->loader, align, 4);
	put_le(b->loader, zone, 1);
	loader_end(b);
}

/* The pointer of `size` bytes at `at` in `file` holds an offset into FILE_TABLES; firmware adds its address. */
static void loader_pointer(Build *b, const char *file, uint32_t at, uint8_t size)
{
	loader_begin(b, LOAD_POINTER);
	put_name(b->loader, file, 56);
	put_name(b->loader, FILE_TABLES, 56);
	put_le(b->loader, at, 4);
	put_le(b->loader, size, 1);
	loader_end(b);
}

static void loader_checksum(Build *b, const char *file, uint32_t at, uint32_t start, uint32_t length)
{
	loader_begin(b, LOAD_CHECKSUM);
	put_name(b->loader, file, 56);
	put_le(b->loader, at, 4);
	put_le(b->loader, start, 4);
	put_le(b->loader, length, 4);
	loader_end(b);
}

/* 5.2.6: header of a table that begins here; table_end fills the length in. */
static unsigned table_begin(Build *b, const char *signature, uint8_t revision)
{
	const MachineProps *p = &b->in->config->props;
	char oem[7], oem_table[9];
	g_snprintf(oem, sizeof(oem), "%-6.6s", p->oem_id ? p->oem_id : "VIVARI");
	g_snprintf(oem_table, sizeof(oem_table), "%-8.8s", p->oem_table_id ? p->oem_table_id : "VIVPC");
	while (b->tables->len % 8)
		put_zero(b->tables, 1);
	unsigned at = b->tables->len;
	put_name(b->tables, signature, 4);
	put_le(b->tables, 0, 4);
	put_le(b->tables, revision, 1);
	put_le(b->tables, 0, 1);
	g_byte_array_append(b->tables, (const uint8_t *)oem, 6);
	g_byte_array_append(b->tables, (const uint8_t *)oem_table, 8);
	put_le(b->tables, 1, 4);
	put_name(b->tables, "VIV ", 4);
	put_le(b->tables, 1, 4);
	return at;
}

static void table_end(Build *b, unsigned at)
{
	set_le(b->tables, at + 4, b->tables->len - at, 4);
	loader_checksum(b, FILE_TABLES, at + 9, at, b->tables->len - at);
}

static void table_root(Build *b, unsigned at)
{
	g_array_append_val(b->roots, at);
}

/* 5.2.3.2 generic address structure */
static void put_gas(GByteArray *out, uint8_t space, uint8_t bits, uint64_t address)
{
	put_le(out, space, 1);
	put_le(out, bits, 1);
	put_le(out, 0, 1);
	put_le(out, address && bits <= 32 ? (bits == 8 ? 1 : bits == 16 ? 2 : 3) : 0, 1);
	put_le(out, address, 8);
}

/* 5.2.10 */
static unsigned build_facs(Build *b)
{
	while (b->tables->len % 64)
		put_zero(b->tables, 1);
	unsigned at = b->tables->len;
	put_name(b->tables, "FACS", 4);
	put_le(b->tables, 64, 4);
	for (unsigned i = 8; i < 64; i++)
		put_zero(b->tables, 1);
	return at;
}

static unsigned build_dsdt(Build *b)
{
	/* Revision 1: integers are 32 bits wide for guests as old as the board. */
	unsigned at = table_begin(b, "DSDT", 1);
	GByteArray *aml = acpi_dsdt(b->in);
	g_byte_array_append(b->tables, aml->data, aml->len);
	g_byte_array_free(aml, TRUE);
	table_end(b, at);
	return at;
}

/* 5.2.9, revision 3: 244 bytes */
static void build_fadt(Build *b, unsigned facs, unsigned dsdt)
{
	GByteArray *t = b->tables;
	unsigned at = table_begin(b, "FACP", 3);
	t = b->tables;
	put_le(t, facs, 4);               /* 36 FIRMWARE_CTRL */
	put_le(t, dsdt, 4);               /* 40 DSDT */
	put_le(t, 1, 1);                  /* 44 interrupt model of ACPI 1.0: APIC */
	put_le(t, 0, 1);                  /* 45 profile: unspecified */
	put_le(t, ACPI_SCI_IRQ, 2);       /* 46 */
	put_le(t, 0xb2, 4);               /* 48 SMI_CMD */
	put_le(t, 0xf1, 1);               /* 52 ACPI_ENABLE */
	put_le(t, 0xf0, 1);               /* 53 ACPI_DISABLE */
	put_zero(t, 2);                   /* 54 S4BIOS_REQ, PSTATE_CNT */
	put_le(t, b->in->pm_base, 4);       /* 56 PM1a_EVT_BLK */
	put_zero(t, 4);
	put_le(t, b->in->pm_base + 4, 4);   /* 64 PM1a_CNT_BLK */
	put_zero(t, 8);
	put_le(t, b->in->pm_base + 8, 4);   /* 76 PM_TMR_BLK */
	put_le(t, ACPI_GPE0_BASE, 4);     /* 80 GPE0_BLK */
	put_zero(t, 4);
	put_le(t, 0x04000204, 4);         /* 88 lengths: PM1_EVT 4, PM1_CNT 2, PM2_CNT 0, PM_TMR 4 */
	put_le(t, 4, 1);                  /* 92 GPE0_BLK_LEN */
	put_zero(t, 3);
	put_le(t, 0xfff, 2);              /* 96 no C2 */
	put_le(t, 0xfff, 2);              /* 98 no C3 */
	put_zero(t, 8);                   /* 100 flush, duty, DAY_ALRM, MON_ALRM */
	put_le(t, 0x32, 1);               /* 108 CENTURY */
	put_le(t, 0x0003, 2);             /* 109 legacy devices, 8042 */
	put_zero(t, 1);
	/* WBINVD, PROC_C1, no fixed sleep button, RTC can wake, RESET_REG, platform clock */
	put_le(t, 1u << 0 | 1u << 2 | 1u << 5 | 1u << 7 | 1u << 10 | 1u << 15 |
		(b->in->cpu_max > 8 ? 1u << 18 : 0), 4); /* ... logical clustered APIC addressing */
	put_gas(t, 1, 8, 0xcf9);          /* 116 RESET_REG */
	put_le(t, 0x0f, 1);               /* 128 RESET_VALUE */
	put_zero(t, 3);
	put_zero(t, 8);                   /* 132 X_FIRMWARE_CTRL: the 32-bit one counts */
	put_le(t, dsdt, 8);               /* 140 X_DSDT */
	put_gas(t, 1, 32, b->in->pm_base);
	put_gas(t, 0, 0, 0);
	put_gas(t, 1, 16, b->in->pm_base + 4);
	put_gas(t, 0, 0, 0);
	put_gas(t, 0, 0, 0);
	put_gas(t, 1, 32, b->in->pm_base + 8);
	put_gas(t, 1, 32, ACPI_GPE0_BASE);
	put_gas(t, 0, 0, 0);
	g_assert(t->len - at == 244);
	loader_pointer(b, FILE_TABLES, at + 36, 4);
	loader_pointer(b, FILE_TABLES, at + 40, 4);
	loader_pointer(b, FILE_TABLES, at + 140, 8);
	table_end(b, at);
	table_root(b, at);
}

static void madt_cpus(Build *b)
{
	GByteArray *t = b->tables;
	for (unsigned i = 0; i < b->in->cpu_max; i++) {
		uint32_t id = b->in->apic_ids[i], enabled = i < b->in->cpu_count;
		if (id < 255) {
			put_le(t, 0x0800, 2);  /* local APIC */
			put_le(t, i, 1);
			put_le(t, id, 1);
			put_le(t, enabled, 4);
		} else {
			put_le(t, 0x1009, 2);  /* local x2APIC */
			put_zero(t, 2);
			put_le(t, id, 4);
			put_le(t, enabled, 4);
			put_le(t, i, 4);
		}
	}
}

/* 5.2.12 */
static void build_madt(Build *b)
{
	static const struct { uint8_t irq, gsi; uint16_t flags; } overrides[] = {
		{ 0, 2, 0 },  /* the PIT is on pin 2 */
		{ 5, 5, 0x0d }, { 9, 9, 0x0d }, { 10, 10, 0x0d }, { 11, 11, 0x0d }, /* active high, level */
	};
	GByteArray *t = b->tables;
	unsigned at = table_begin(b, "APIC", 1);
	put_le(t, 0xfee00000, 4);
	put_le(t, 1, 4); /* 8259s are present */
	madt_cpus(b);
	put_le(t, 0x0c01, 2); /* I/O APIC 0 */
	put_le(t, 0, 1);
	put_zero(t, 1);
	put_le(t, 0xfec00000, 4);
	put_le(t, 0, 4);
	for (unsigned i = 0; i < G_N_ELEMENTS(overrides); i++) {
		put_le(t, 0x0a02, 2);
		put_le(t, 0, 1);
		put_le(t, overrides[i].irq, 1);
		put_le(t, overrides[i].gsi, 4);
		put_le(t, overrides[i].flags, 2);
	}
	put_le(t, 0x0604, 2); /* NMI: LINT1 of all processors */
	put_le(t, 0xff, 1);
	put_le(t, 0, 2);
	put_le(t, 1, 1);
	table_end(b, at);
	table_root(b, at);
}

static void build_hpet(Build *b)
{
	unsigned at = table_begin(b, "HPET", 1);
	put_le(b->tables, 0x8086a201, 4);
	put_le(b->tables, 0, 4); /* GAS: system memory */
	put_le(b->tables, 0xfed00000, 8);
	put_le(b->tables, 0, 1);
	put_le(b->tables, 100, 2); /* smallest period in periodic mode, clock ticks */
	put_le(b->tables, 0, 1);
	table_end(b, at);
	table_root(b, at);
}

/* The ACPI PM timer needs to be read once only. */
static void build_waet(Build *b)
{
	unsigned at = table_begin(b, "WAET", 1);
	put_le(b->tables, 1u << 1, 4);
	table_end(b, at);
	table_root(b, at);
}

static unsigned node_of_cpu(const MachineConfig *c, unsigned cpu)
{
	for (unsigned n = 0; n < c->numa->len; n++) {
		const NumaNode *node = g_ptr_array_index(c->numa, n);
		for (unsigned r = 0; r < node->cpus->len; r++) {
			NumaRange range = g_array_index(node->cpus, NumaRange, r);
			if (cpu >= range.first && cpu <= range.last)
				return n;
		}
	}
	return cpu % c->numa->len;
}

/* 5.2.16.2 */
static void srat_memory(GByteArray *t, uint32_t node, uint64_t base, uint64_t length)
{
	if (!length)
		return;
	put_le(t, 0x2801, 2);
	put_le(t, node, 4);
	put_zero(t, 2);
	put_le(t, base, 8);
	put_le(t, length, 8);
	put_zero(t, 4);
	put_le(t, 1, 4); /* enabled */
	put_zero(t, 8);
}

static void srat_cpu(GByteArray *t, uint32_t node, uint32_t apic_id, unsigned uid)
{
	(void)uid;
	if (apic_id < 255) {
		put_le(t, 0x1000, 2);
		put_le(t, node, 1);
		put_le(t, apic_id, 1);
		put_le(t, 1, 4);
		put_le(t, 0, 1);
		put_le(t, node >> 8, 3);
		put_le(t, 0, 4);
	} else {
		put_le(t, 0x1802, 2);
		put_zero(t, 2);
		put_le(t, node, 4);
		put_le(t, apic_id, 4);
		put_le(t, 1, 4);
		put_zero(t, 8);
	}
}

/* 5.2.16: nodes lie one after the other in RAM; a node that meets the PCI hole continues above 4 GiB. */
static void build_srat(Build *b)
{
	const MachineConfig *c = b->in->config;
	unsigned at = table_begin(b, "SRAT", 1);
	put_le(b->tables, 1, 4);
	put_zero(b->tables, 8);
	for (unsigned i = 0; i < b->in->cpu_max; i++)
		srat_cpu(b->tables, node_of_cpu(c, i), b->in->apic_ids[i], i);
	uint64_t done = 0, low = b->in->ram_below_4g;
	for (unsigned n = 0; n < c->numa->len; n++) {
		const NumaNode *node = g_ptr_array_index(c->numa, n);
		uint64_t begin = done, end = done + node->mem;
		if (begin < low) {
			uint64_t top = MIN(end, low);
			if (begin < 0xa0000) {
				srat_memory(b->tables, n, begin, MIN(top, 0xa0000) - begin);
				if (top > 0x100000)
					srat_memory(b->tables, n, 0x100000, top - 0x100000);
			} else {
				srat_memory(b->tables, n, begin, top - begin);
			}
			begin = top;
		}
		if (end > low)
			srat_memory(b->tables, n, 4 * GIB + begin - low, end - begin);
		done = end;
	}
	table_end(b, at);
	table_root(b, at);
}

/* 5.2.17 */
static void build_slit(Build *b)
{
	const MachineConfig *c = b->in->config;
	unsigned at = table_begin(b, "SLIT", 1);
	put_le(b->tables, c->numa->len, 8);
	for (unsigned i = 0; i < c->numa->len; i++) {
		const NumaNode *from = g_ptr_array_index(c->numa, i);
		for (unsigned k = 0; k < c->numa->len; k++) {
			const NumaNode *to = g_ptr_array_index(c->numa, k);
			/* One direction given counts for both. */
			uint8_t d = from->distance[k] ? from->distance[k] : to->distance[i];
			put_le(b->tables, i == k ? 10 : d ? d : 20, 1);
		}
	}
	table_end(b, at);
	table_root(b, at);
}

static bool has_distances(const MachineConfig *c)
{
	for (unsigned i = 0; i < c->numa->len; i++) {
		const NumaNode *n = g_ptr_array_index(c->numa, i);
		for (unsigned k = 0; k < c->numa->len; k++)
			if (n->distance[k])
				return true;
	}
	return false;
}

/* 5.2.7, 5.2.8 */
static unsigned build_root(Build *b, const char *signature, uint8_t width)
{
	unsigned at = table_begin(b, signature, 1);
	for (unsigned i = 0; i < b->roots->len; i++) {
		loader_pointer(b, FILE_TABLES, b->tables->len, width);
		put_le(b->tables, g_array_index(b->roots, unsigned, i), width);
	}
	table_end(b, at);
	return at;
}

/* 5.2.5.3, revision 2 */
static void build_rsdp(Build *b, unsigned rsdt, unsigned xsdt)
{
	char oem[7];
	const char *id = b->in->config->props.oem_id;
	g_snprintf(oem, sizeof(oem), "%-6.6s", id ? id : "VIVARI");
	put_name(b->rsdp, "RSD PTR ", 8);
	put_le(b->rsdp, 0, 1);
	put_name(b->rsdp, oem, 6);
	put_le(b->rsdp, 2, 1);
	put_le(b->rsdp, rsdt, 4);
	put_le(b->rsdp, 36, 4);
	put_le(b->rsdp, xsdt, 8);
	put_zero(b->rsdp, 4);
	loader_pointer(b, FILE_RSDP, 16, 4);
	loader_pointer(b, FILE_RSDP, 24, 8);
	loader_checksum(b, FILE_RSDP, 8, 0, 20);
	loader_checksum(b, FILE_RSDP, 32, 0, 36);
}

void acpi_build(const AcpiInput *in, AcpiFiles *out)
{
	Build b = { in, g_byte_array_new(), g_byte_array_new(), g_byte_array_new(),
	            g_array_new(FALSE, FALSE, sizeof(unsigned)) };
	loader_allocate(&b, FILE_TABLES, 64, ZONE_HIGH);
	loader_allocate(&b, FILE_RSDP, 16, ZONE_FSEG);
	unsigned facs = build_facs(&b);
	unsigned dsdt = build_dsdt(&b);
	build_fadt(&b, facs, dsdt);
	build_madt(&b);
	if (in->hpet)
		build_hpet(&b);
	if (in->config->numa->len) {
		build_srat(&b);
		if (has_distances(in->config))
			build_slit(&b);
	}
	build_waet(&b);
	unsigned rsdt = build_root(&b, "RSDT", 4);
	unsigned xsdt = build_root(&b, "XSDT", 8);
	build_rsdp(&b, rsdt, xsdt);
	g_array_free(b.roots, TRUE);
	out->tables = b.tables;
	out->rsdp = b.rsdp;
	out->loader = b.loader;
}

void acpi_files_free(AcpiFiles *f)
{
	g_byte_array_free(f->tables, TRUE);
	g_byte_array_free(f->rsdp, TRUE);
	g_byte_array_free(f->loader, TRUE);
}
