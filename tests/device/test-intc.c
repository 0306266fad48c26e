/* test-intc.c - 8259 pair, I/O APIC and local APICs through their registers. */
#include "core/lock.h"
#include "cpu/cpu.h"
#include "cpu/features.h"
#include "harness.h"
#include "hw/classes.h"
#include "hw/intc/intc.h"

static void set(Device *dev, const char *line, unsigned n, int level)
{
	Irq irq = device_input(dev, line, n);
	machine_lock();
	irq_set(&irq, level);
	machine_unlock();
}

static void pic_init(Harness *h)
{
	outb(h, 0x20, 0x11);
	outb(h, 0x21, 0x30);
	outb(h, 0x21, 0x04);
	outb(h, 0x21, 0x01);
	outb(h, 0xa0, 0x11);
	outb(h, 0xa1, 0x38);
	outb(h, 0xa1, 0x02);
	outb(h, 0xa1, 0x01);
}

static Device *new_pic(Harness *h)
{
	Device *pic = harness_make(h, &i8259_class);
	device_connect(pic, "int", 0, h->board.gsi[0]); /* any line that can be watched */
	harness_realize(pic);
	pic_init(h);
	return pic;
}

static void test_pic_priority(void)
{
	Harness *h = harness_new();
	Device *pic = new_pic(h);

	set(pic, "irq", 4, 1);
	g_assert_true(h->level[0]);
	set(pic, "irq", 1, 1);
	g_assert_cmpint(i8259_ack(pic), ==, 0x31);
	g_assert_false(h->level[0]); /* 4 waits for 1 */
	outb(h, 0x20, 0x0b);
	g_assert_cmphex(inb(h, 0x20), ==, 0x02);
	outb(h, 0x20, 0x20);
	g_assert_true(h->level[0]);
	g_assert_cmpint(i8259_ack(pic), ==, 0x34);
	outb(h, 0x20, 0x64); /* specific EOI */
	g_assert_cmphex(inb(h, 0x20), ==, 0);
	/* no new edge, no interrupt; masked ones wait */
	g_assert_false(h->level[0]);
	outb(h, 0x21, 0x10);
	set(pic, "irq", 4, 0);
	set(pic, "irq", 4, 1);
	g_assert_false(h->level[0]);
	outb(h, 0x21, 0x00);
	g_assert_true(h->level[0]);
	harness_free(h);
}

static void test_pic_slave(void)
{
	Harness *h = harness_new();
	Device *pic = new_pic(h);

	set(pic, "irq", 12, 1);
	g_assert_cmpint(i8259_ack(pic), ==, 0x3c);
	outb(h, 0xa0, 0x20);
	outb(h, 0x20, 0x20);
	/* spurious: nothing is pending */
	g_assert_cmpint(i8259_ack(pic), ==, 0x37);
	/* level triggered: comes again while the line is up */
	outb(h, 0x4d1, 0x08);
	set(pic, "irq", 11, 1);
	g_assert_cmpint(i8259_ack(pic), ==, 0x3b);
	outb(h, 0xa0, 0x20);
	outb(h, 0x20, 0x20);
	g_assert_true(h->level[0]);
	set(pic, "irq", 11, 0);
	g_assert_false(h->level[0]);
	outb(h, 0x4d0, 0xff);
	g_assert_cmphex(inb(h, 0x4d0), ==, 0xf8);
	harness_free(h);
}

static void test_pic_modes(void)
{
	Harness *h = harness_new();
	Device *pic = new_pic(h);

	/* rotation: after serving 3 with rotate, 4 is first and 3 last */
	set(pic, "irq", 3, 1);
	i8259_ack(pic);
	outb(h, 0x20, 0xa0);
	set(pic, "irq", 3, 0);
	set(pic, "irq", 3, 1);
	set(pic, "irq", 5, 1);
	g_assert_cmpint(i8259_ack(pic), ==, 0x35);
	outb(h, 0x20, 0x20);
	/* poll */
	outb(h, 0x20, 0x0c);
	g_assert_cmphex(inb(h, 0x20), ==, 0x83);
	outb(h, 0x20, 0x20);
	outb(h, 0x20, 0x0c);
	g_assert_cmphex(inb(h, 0x20), ==, 0);
	/* special mask: the one in service no longer holds lower ones back */
	outb(h, 0x20, 0xc7);
	set(pic, "irq", 1, 1);
	i8259_ack(pic);
	set(pic, "irq", 6, 1);
	g_assert_false(h->level[0]);
	outb(h, 0x21, 0x02);
	outb(h, 0x20, 0x68);
	g_assert_true(h->level[0]);
	harness_free(h);
}

static void ioapic_write(Harness *h, unsigned reg, uint32_t value)
{
	writel(h, 0xfec00000, reg);
	writel(h, 0xfec00010, value);
}

static uint32_t ioapic_read(Harness *h, unsigned reg)
{
	writel(h, 0xfec00000, reg);
	return readl(h, 0xfec00010);
}

static void test_ioapic(void)
{
	Harness *h = harness_new();
	Device *io = harness_add(h, &ioapic_class);

	g_assert_cmphex(ioapic_read(h, 1), ==, 0x00170020);
	set(io, "irq", 4, 1); /* masked: lost */
	set(io, "irq", 4, 0);
	ioapic_write(h, 0x11 + 8, 0x03000000);
	ioapic_write(h, 0x10 + 8, 0x41);
	g_assert_cmpuint(h->msi_count, ==, 0);
	set(io, "irq", 4, 1);
	g_assert_cmpuint(h->msi_count, ==, 1);
	g_assert_cmphex(h->msi_addr, ==, 0xfee03000);
	g_assert_cmphex(h->msi_data, ==, 0x41);
	/* level: remote IRR until the EOI, then again while the line is up */
	ioapic_write(h, 0x10 + 18, 0x8052);
	set(io, "irq", 9, 1);
	g_assert_cmpuint(h->msi_count, ==, 2);
	g_assert_cmphex(h->msi_data & 0xc0ff, ==, 0xc052);
	g_assert_cmphex(ioapic_read(h, 0x10 + 18), ==, 0xc052);
	set(io, "irq", 9, 1);
	g_assert_cmpuint(h->msi_count, ==, 2);
	writel(h, 0xfec00040, 0x52);
	g_assert_cmpuint(h->msi_count, ==, 3);
	set(io, "irq", 9, 0);
	ioapic_eoi(io, 0x52);
	g_assert_cmpuint(h->msi_count, ==, 3);
	g_assert_cmphex(ioapic_read(h, 0x10 + 18), ==, 0x8052);
	harness_free(h);
}

/* ---- local APIC ---- */

static uint64_t world_tsc(void *opaque)
{
	return (uint64_t)clock_now(((Harness *)opaque)->board.clock);
}

static const CpuWorld world = { .tsc = world_tsc };

static void add_cpus(Harness *h, unsigned count)
{
	h->board.cpus = g_new0(Cpu *, count);
	h->board.cpu_count = h->board.cpu_max = count;
	for (unsigned i = 0; i < count; i++) {
		Cpu *cpu = h->board.cpus[i] = cpu_new(i, &world, h, NULL);
		cpu->tsc_khz = 1000000;
		cpu->features[FEAT_X2APIC >> 5] |= 1u << (FEAT_X2APIC & 31);
	}
	for (unsigned i = 0; i < count; i++) {
		Device *apic = harness_make(h, &apic_class);
		device_set_ptr(apic, "cpu", h->board.cpus[i]);
		harness_realize(apic);
		h->board.cpus[i]->apic_ops->mmio_write(apic, 0xf0, 0x1ff);
	}
	h->board.msi = apic_deliver_msi;
}

static void drop_cpus(Harness *h)
{
	unsigned count = h->board.cpu_count;
	Cpu *cpu[8];
	for (unsigned i = 0; i < count; i++)
		cpu[i] = h->board.cpus[i];
	harness_free(h);
	for (unsigned i = 0; i < count; i++)
		cpu_free(cpu[i]);
}

static uint32_t apic_read(Harness *h, unsigned i, uint32_t offset)
{
	Cpu *cpu = h->board.cpus[i];
	return cpu->apic_ops->mmio_read(cpu->apic, offset);
}

static void apic_write(Harness *h, unsigned i, uint32_t offset, uint32_t value)
{
	Cpu *cpu = h->board.cpus[i];
	cpu->apic_ops->mmio_write(cpu->apic, offset, value);
}

static int ack(Harness *h, unsigned i)
{
	Cpu *cpu = h->board.cpus[i];
	return cpu->apic_ops->ack(cpu->apic);
}

static bool intr(Harness *h, unsigned i)
{
	return atomic_load(&h->board.cpus[i]->events) & CPU_EV_INTR;
}

static void msi(Harness *h, uint64_t addr, uint32_t data)
{
	machine_lock();
	h->board.msi(&h->board, addr, data);
	machine_unlock();
}

static void test_lapic_priority(void)
{
	Harness *h = harness_new();
	add_cpus(h, 2);

	g_assert_cmphex(apic_read(h, 1, 0x20), ==, 0x01000000);
	msi(h, 0xfee00000, 0x45);
	g_assert_true(intr(h, 0));
	g_assert_false(intr(h, 1));
	apic_write(h, 0, 0x80, 0x40); /* the same class is held back */
	g_assert_false(intr(h, 0));
	h->board.cpus[0]->apic_ops->set_tpr(h->board.cpus[0]->apic, 3);
	g_assert_cmphex(apic_read(h, 0, 0x80), ==, 0x30);
	g_assert_cmpint(ack(h, 0), ==, 0x45);
	g_assert_cmphex(apic_read(h, 0, 0xa0), ==, 0x40);
	msi(h, 0xfee00000, 0x46);
	g_assert_false(intr(h, 0));
	msi(h, 0xfee00000, 0x61);
	g_assert_cmpint(ack(h, 0), ==, 0x61);
	g_assert_cmpint(ack(h, 0), ==, -1);
	apic_write(h, 0, 0xb0, 0);
	g_assert_false(intr(h, 0));
	apic_write(h, 0, 0xb0, 0);
	g_assert_cmpint(ack(h, 0), ==, 0x46);
	drop_cpus(h);
}

static void test_lapic_ipi(void)
{
	Harness *h = harness_new();
	add_cpus(h, 4);

	apic_write(h, 0, 0x310, 0x02000000);
	apic_write(h, 0, 0x300, 0x50);
	g_assert_true(intr(h, 2));
	g_assert_cmpint(ack(h, 2), ==, 0x50);
	apic_write(h, 2, 0xb0, 0);
	apic_write(h, 0, 0x300, 0xc0051); /* all but self */
	g_assert_false(intr(h, 0));
	g_assert_true(intr(h, 1) && intr(h, 2) && intr(h, 3));
	apic_write(h, 0, 0x300, 0x40052);
	g_assert_cmpint(ack(h, 0), ==, 0x52);
	/* INIT and SIPI */
	apic_write(h, 0, 0x310, 0x03000000);
	apic_write(h, 0, 0x300, 0x4500);
	apic_write(h, 0, 0x300, 0x4609);
	uint32_t events = atomic_load(&h->board.cpus[3]->events);
	g_assert_cmphex(events & (CPU_EV_INIT | CPU_EV_SIPI), ==, CPU_EV_INIT | CPU_EV_SIPI);
	g_assert_cmphex(h->board.cpus[3]->sipi_vector, ==, 9);
	/* logical flat */
	apic_write(h, 1, 0xd0, 0x02000000);
	apic_write(h, 2, 0xd0, 0x04000000);
	ack(h, 1);
	apic_write(h, 1, 0xb0, 0);
	apic_write(h, 0, 0x310, 0x02000000);
	apic_write(h, 0, 0x300, 0x853);
	g_assert_cmpint(ack(h, 1), ==, 0x53);
	/* an illegal vector is an error, and no interrupt */
	apic_write(h, 0, 0x300, 0x4000f);
	apic_write(h, 0, 0x280, 0);
	g_assert_cmphex(apic_read(h, 0, 0x280), ==, 0x20);
	drop_cpus(h);
}

static bool wrmsr(Harness *h, unsigned i, uint32_t msr, uint64_t value)
{
	Cpu *cpu = h->board.cpus[i];
	return cpu->apic_ops->msr_write(cpu->apic, msr, value);
}

static void test_lapic_x2apic(void)
{
	Harness *h = harness_new();
	uint64_t value;
	add_cpus(h, 2);
	Cpu *cpu = h->board.cpus[0];

	g_assert_false(wrmsr(h, 0, 0x80b, 0));
	g_assert_true(wrmsr(h, 0, 0x1b, 0xfee00d00));
	g_assert_true(wrmsr(h, 1, 0x1b, 0xfee00c00));
	g_assert_false(wrmsr(h, 1, 0x1b, 0xfee00800)); /* not back to xAPIC */
	g_assert_true(cpu->apic_ops->msr_read(cpu->apic, 0x80d, &value));
	g_assert_cmphex(value, ==, 1);
	g_assert_true(wrmsr(h, 0, 0x830, 1ull << 32 | 0x71));
	g_assert_cmpint(ack(h, 1), ==, 0x71);
	g_assert_true(wrmsr(h, 0, 0x83f, 0x72));
	g_assert_cmpint(ack(h, 0), ==, 0x72);
	g_assert_false(wrmsr(h, 0, 0x80b, 1));
	g_assert_false(wrmsr(h, 0, 0x80e, 0)); /* no DFR */
	g_assert_true(wrmsr(h, 0, 0x830, 2ull << 32 | 0x873)); /* logical: bit 1 of cluster 0 */
	g_assert_cmphex(apic_read(h, 0, 0x20), ==, UINT32_MAX);
	wrmsr(h, 1, 0x80b, 0);
	g_assert_cmpint(ack(h, 1), ==, 0x73);
	drop_cpus(h);
}

static void test_lapic_timer(void)
{
	Harness *h = harness_new();
	add_cpus(h, 1);

	apic_write(h, 0, 0x3e0, 0xb);
	apic_write(h, 0, 0x320, 0x40);
	apic_write(h, 0, 0x380, 2000000);
	g_assert_cmpuint(apic_read(h, 0, 0x390), >, 0);
	harness_run(h, 5000000);
	g_assert_cmpint(ack(h, 0), ==, 0x40);
	apic_write(h, 0, 0xb0, 0);
	g_assert_cmpuint(apic_read(h, 0, 0x390), ==, 0);
	harness_run(h, 3000000);
	g_assert_false(intr(h, 0));
	/* periodic */
	apic_write(h, 0, 0x320, 0x20041);
	apic_write(h, 0, 0x380, 1000000);
	for (int i = 0; i < 3; i++) {
		harness_run(h, 2000000);
		g_assert_cmpint(ack(h, 0), ==, 0x41);
		apic_write(h, 0, 0xb0, 0);
	}
	/* TSC deadline */
	apic_write(h, 0, 0x320, 0x40042);
	g_assert_false(intr(h, 0));
	wrmsr(h, 0, 0x6e0, world_tsc(h) + 2000000);
	g_assert_false(intr(h, 0));
	harness_run(h, 5000000);
	g_assert_cmpint(ack(h, 0), ==, 0x42);
	apic_write(h, 0, 0xb0, 0);
	wrmsr(h, 0, 0x6e0, 1); /* the past */
	g_assert_cmpint(ack(h, 0), ==, 0x42);
	drop_cpus(h);
}

static void test_lapic_lines(void)
{
	Harness *h = harness_new();
	add_cpus(h, 1);
	Device *pic = harness_make(h, &i8259_class), *apic = h->board.cpus[0]->apic;
	device_set_ptr(apic, "pic", pic);
	device_connect(pic, "int", 0, device_input(apic, "extint", 0));
	harness_realize(pic);
	pic_init(h);

	apic_write(h, 0, 0x350, 0x700);
	set(pic, "irq", 3, 1);
	g_assert_true(intr(h, 0));
	g_assert_cmpint(ack(h, 0), ==, 0x33);
	g_assert_false(intr(h, 0));
	outb(h, 0x20, 0x20);
	apic_write(h, 0, 0x350, 0x10700);
	set(pic, "irq", 5, 1);
	g_assert_false(intr(h, 0));
	wrmsr(h, 0, 0x1b, 0xfee00100); /* APIC off: the 8259 is the processor's */
	g_assert_cmpint(ack(h, 0), ==, 0x35);
	wrmsr(h, 0, 0x1b, 0xfee00900);
	apic_write(h, 0, 0xf0, 0x1ff);
	apic_write(h, 0, 0x360, 0x400);
	machine_lock();
	apic_local_nmi(apic);
	machine_unlock();
	g_assert_true(atomic_load(&h->board.cpus[0]->events) & CPU_EV_NMI);
	drop_cpus(h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/intc/pic/priority", test_pic_priority);
	g_test_add_func("/intc/pic/slave", test_pic_slave);
	g_test_add_func("/intc/pic/modes", test_pic_modes);
	g_test_add_func("/intc/ioapic", test_ioapic);
	g_test_add_func("/intc/lapic/priority", test_lapic_priority);
	g_test_add_func("/intc/lapic/ipi", test_lapic_ipi);
	g_test_add_func("/intc/lapic/x2apic", test_lapic_x2apic);
	g_test_add_func("/intc/lapic/timer", test_lapic_timer);
	g_test_add_func("/intc/lapic/lines", test_lapic_lines);
	return g_test_run();
}
