/* test-noise.c - a whole board under random accesses: nothing may abort, hang or leave its memory. */
#include <string.h>

#include "chardev/set.h"
#include "core/fw_cfg.h"
#include "core/lock.h"
#include "cpu/cpu.h"
#include "cpu/features.h"
#include "harness.h"
#include "hw/classes.h"
#include "hw/intc/intc.h"

#define ROUNDS 200000

static uint64_t world_tsc(void *opaque)
{
	return (uint64_t)clock_now(((Harness *)opaque)->board.clock);
}

static const CpuWorld world = { .tsc = world_tsc };

static void connect_all(Harness *h, Device *dev)
{
	for (const LineOut *l = dev->cls->outputs; l && l->name; l++)
		for (unsigned i = 0; i < l->count; i++)
			device_connect(dev, l->name, i, h->board.gsi[i % BOARD_GSI_COUNT]);
}

/* Devices that are nothing without somebody behind them. */
static void add_chardev(ChardevSet *set, Device *dev)
{
	if (dev->cls != &serial_isa_class && dev->cls != &debugcon_class && dev->cls != &parallel_class)
		return;
	char *words = g_strdup_printf("ringbuf,size=64,id=%s", dev->cls->name);
	device_set_ptr(dev, "chardev", chardev_set_open(set, chardev_options_parse(words, NULL), NULL));
	g_free(words);
}

static void add_board(Harness *h, FwCfgTable *table, ChardevSet *set)
{
	Device *pit = NULL, *dma = NULL;
	h->board.cpus = g_new0(Cpu *, 2);
	h->board.cpu_count = h->board.cpu_max = 2;
	for (unsigned i = 0; i < 2; i++) {
		h->board.cpus[i] = cpu_new(i, &world, h, NULL);
		h->board.cpus[i]->features[FEAT_X2APIC >> 5] |= 1u << (FEAT_X2APIC & 31);
	}
	for (const DeviceClass *const *c = device_classes; *c; c++) {
		/* Of the rest of the list, what needs nothing this board lacks. */
		if (strcmp((*c)->bus, "isa") && strcmp((*c)->bus, "system") && *c != &i440fx_class &&
		    *c != &piix3_class && *c != &piix4pm_class)
			continue;
		if (*c == &pflash_cfi01_class)
			continue; /* needs an image */
		for (unsigned i = 0; i < (*c == &apic_class ? 2u : 1u); i++) {
			Device *dev = harness_make(h, *c);
			if (*c == &apic_class)
				device_set_ptr(dev, "cpu", h->board.cpus[i]);
			if (*c == &i8254_class)
				pit = dev;
			if (*c == &i8257_class)
				dma = dev;
			if (*c == &isa_fdc_class)
				device_set_ptr(dev, "dma", dma);
			if (*c == &port61_class)
				device_set_ptr(dev, "pit", pit);
			if (*c == &fw_cfg_class)
				device_set_ptr(dev, "table", table);
			add_chardev(set, dev);
			connect_all(h, dev);
			harness_realize(dev);
		}
	}
	h->board.msi = apic_deliver_msi;
}

static const uint16_t ports[] = {
	0x20, 0xa0, 0x40, 0x60, 0x61, 0x64, 0x70, 0x92, 0xb2, 0xe9, 0x378, 0x3f8, 0x4d0, 0x501, 0x505, 0x510, 0x514,
	0x600, 0x700, 0xcf8, 0xcfc, 0xafe0, 0x00, 0x08, 0x81, 0xc0, 0x3f0, 0x3f4,
};
static const uint64_t windows[] = { 0xfec00000, 0xfed00000, 0xc0000, 0xf0000, 0xa0000, 0x0 };

static void one_access(Harness *h, GRand *r)
{
	unsigned size = 1u << g_rand_int_range(r, 0, 3);
	uint64_t value = g_rand_boolean(r) ? g_rand_int(r) : (uint64_t)g_rand_int_range(r, 0, 256);
	Cpu *cpu = h->board.cpus[g_rand_int_range(r, 0, 2)];

	switch (g_rand_int_range(r, 0, 8)) {
	case 0:
		as_load(h->board.io, ports[g_rand_int_range(r, 0, G_N_ELEMENTS(ports))] +
			(uint64_t)g_rand_int_range(r, 0, 16), size);
		break;
	case 1:
	case 2:
		as_store(h->board.io, ports[g_rand_int_range(r, 0, G_N_ELEMENTS(ports))] +
			(uint64_t)g_rand_int_range(r, 0, 16), value, size);
		break;
	case 3: /* a configuration address that hits something */
		outl(h, 0xcf8, 0x80000000u | (uint32_t)g_rand_int_range(r, 0, 3) << 11 |
			(g_rand_int(r) & 0x3fc));
		outl(h, 0xcfc, (uint32_t)value);
		break;
	case 4:
		size = 1u << g_rand_int_range(r, 0, 4);
		as_load(h->board.mem, windows[g_rand_int_range(r, 0, G_N_ELEMENTS(windows))] +
			(g_rand_int(r) & 0x3ff), size);
		break;
	case 5:
		size = 1u << g_rand_int_range(r, 0, 4);
		as_store(h->board.mem, windows[g_rand_int_range(r, 0, G_N_ELEMENTS(windows))] +
			(g_rand_int(r) & 0x3ff), value, size);
		break;
	case 6:
		cpu->apic_ops->mmio_write(cpu->apic, g_rand_int(r) & 0xff0, (uint32_t)value);
		cpu->apic_ops->mmio_read(cpu->apic, g_rand_int(r) & 0xfff);
		cpu->apic_ops->ack(cpu->apic);
		break;
	default:
		cpu->apic_ops->msr_write(cpu->apic, 0x800 + (g_rand_int(r) & 0xff), value);
		if (g_rand_int_range(r, 0, 100) == 0)
			cpu->apic_ops->msr_write(cpu->apic, 0x1b, 0xfee00000 | (value & 0xd00));
		cpu->apic_ops->msr_write(cpu->apic, 0x6e0, value);
		break;
	}
}

static void test_noise(void)
{
	Harness *h = harness_new();
	FwCfgTable *table = g_new0(FwCfgTable, 1);
	uint8_t file[64] = "noise";
	GRand *r = g_rand_new_with_seed((guint32)g_test_rand_int());
	table->generic[0] = (FwCfgEntry){ file, 4, false };
	table->generic[0x20] = (FwCfgEntry){ file, sizeof(file), true };
	ChardevSet *set = chardev_set_new();
	add_board(h, table, set);

	for (int i = 0; i < ROUNDS; i++) {
		one_access(h, r);
		if (i % 64 == 0)
			g_main_context_iteration(NULL, FALSE);
		if (i % 20000 == 0) {
			machine_lock();
			for (guint d = 0; d < h->board.devices->len; d++)
				device_reset(h->board.devices->pdata[d]);
			machine_unlock();
		}
	}
	g_rand_free(r);
	Cpu *cpus[] = { h->board.cpus[0], h->board.cpus[1] };
	harness_free(h);
	chardev_set_free(set);
	cpu_free(cpus[0]);
	cpu_free(cpus[1]);
	g_free(table);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/noise", test_noise);
	return g_test_run();
}
