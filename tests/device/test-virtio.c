/*
 * test-virtio.c - transports, both rings, notifications, malformed rings, threads, the entropy
 * device.
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "core/lock.h"
#include "hw/classes.h"
#include "virtio-driver.h"

#define OUT 0x100000u
#define IN 0x180000u
#define TABLE_AT 0x80000u
#define W VIRTQ_DESC_WRITE
#define RING_FEATURES (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

static const char *const kind_names[] = { "legacy", "modern", "packed" };
static const char *const kind_props[] = { "", "", "packed=on" };

static void fill(Harness *h, uint64_t at, unsigned len, unsigned seed)
{
	for (unsigned i = 0; i < len; i++)
		h->board.ram[at + i] = (uint8_t)(seed + i * 7);
}

static void check(Harness *h, uint64_t at, unsigned len, unsigned seed)
{
	for (unsigned i = 0; i < len; i++)
		g_assert_cmphex(h->board.ram[at + i], ==, (uint8_t)(seed + i * 7 + 1));
}

static unsigned take(Harness *h)
{
	unsigned n = h->msi_count;
	h->msi_count = 0;
	return n;
}

/* One buffer of 8 bytes there and back; works only if the device is well. */
static void works(VirtDriver *d)
{
	uint32_t id, len;
	fill(d->h, OUT, 8, 3);
	uint16_t head = driver_add(d, (Part[]){ { OUT, 8, 0 }, { IN, 8, W } }, 2);
	driver_kick(d);
	g_assert_true(driver_used(d, &id, &len));
	g_assert_cmpuint(id, ==, head);
	g_assert_cmpuint(len, ==, 8);
	check(d->h, IN, 8, 3);
}

/* ---- configuration space and registers ---- */

static unsigned find_cap(Harness *h, unsigned type)
{
	for (unsigned at = pci_in(h, SLOT, 0, 0x34, 1); at; at = pci_in(h, SLOT, 0, at + 1, 1))
		if (pci_in(h, SLOT, 0, at, 1) == 9 && pci_in(h, SLOT, 0, at + 3, 1) == type)
			return at;
	return 0;
}

static void test_identity(void)
{
	static const struct {
		const char *props;
		uint32_t id, revision, subsystem;
		bool io, mem, msix;
	} kinds[] = {
		{ "", 0x10101af4, 0, 0x003c1af4, true, true, true },
		{ "disable-legacy=auto", 0x10101af4, 0, 0x003c1af4, true, true, true },
		{ "disable-legacy=on", 0x107c1af4, 1, 0x11001af4, false, true, true },
		{ "disable-modern=on", 0x10101af4, 0, 0x003c1af4, true, false, true },
		{ "vectors=0", 0x10101af4, 0, 0x003c1af4, true, true, false },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		Echo *dev;
		Harness *h = echo_machine(kinds[i].props, &dev);
		g_assert_cmphex(pci_in(h, SLOT, 0, 0, 4), ==, kinds[i].id);
		g_assert_cmphex(pci_in(h, SLOT, 0, 8, 1), ==, kinds[i].revision);
		g_assert_cmphex(pci_in(h, SLOT, 0, 0x2c, 4), ==, kinds[i].subsystem);
		g_assert_cmphex(pci_in(h, SLOT, 0, 0x3d, 1), ==, 1);
		pci_out(h, SLOT, 0, 0x10, UINT32_MAX, 4);
		g_assert_cmphex(pci_in(h, SLOT, 0, 0x10, 4), ==,
			!kinds[i].io ? 0 : kinds[i].msix ? 0xffffffc1 : 0xffffffe1);
		g_assert_cmphex(pci_in(h, SLOT, 0, 0x14, 4), ==, kinds[i].msix ? TABLE : 0);
		g_assert_cmphex(pci_in(h, SLOT, 0, 0x20, 4), ==, kinds[i].mem ? MODERN | 0xc : 0);
		for (unsigned type = 1; type <= 5; type++)
			g_assert_cmpint(find_cap(h, type) != 0, ==, kinds[i].mem);
		harness_free(h);
	}
}

static void test_refused_properties(void)
{
	static const char *const bad[][4] = {
		{ "disable-legacy", "on", "disable-modern", "on" },
		{ "iommu_platform", "on", NULL, NULL },
		{ "vectors", "2049", NULL, NULL }, { "addr", "40", NULL, NULL },
	};
	Harness *h = harness_new();
	harness_add(h, &i440fx_pcihost_class);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		GError *error = NULL;
		Device *dev = harness_make(h, &virtio_rng_pci_class);
		for (unsigned k = 0; k < 4 && bad[i][k]; k += 2)
			g_assert_true(device_set(dev, bad[i][k], bad[i][k + 1], &error));
		machine_lock();
		g_assert_false(device_realize(dev, &error));
		machine_unlock();
		g_assert_nonnull(error);
		g_clear_error(&error);
	}
	harness_add(h, &virtio_rng_pci_class); /* and nothing is left behind */
	harness_free(h);
}

/* Names that say which registers there are. */
static void test_named_kinds(void)
{
	static const struct {
		const DeviceClass *cls;
		uint32_t id, subsystem;
		bool io;
	} named[] = {
		{ &virtio_rng_pci_transitional_class, 0x10051af4, 0x00041af4, true },
		{ &virtio_rng_pci_non_transitional_class, 0x10441af4, 0x11001af4, false },
		{ &virtio_scsi_pci_transitional_class, 0x10041af4, 0x00081af4, true },
		{ &virtio_scsi_pci_non_transitional_class, 0x10481af4, 0x11001af4, false },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(named); i++) {
		GError *error = NULL;
		Harness *h = harness_new();
		harness_add(h, &i440fx_pcihost_class);
		Device *dev = harness_make(h, named[i].cls);
		g_assert_false(device_set(dev, "disable-legacy", "off", &error));
		g_clear_error(&error);
		g_assert_false(device_set(dev, "disable-modern", "off", &error));
		g_clear_error(&error);
		harness_realize(dev);
		g_assert_cmphex(pci_in(h, SLOT, 0, 0x00, 4), ==, named[i].id);
		g_assert_cmphex(pci_in(h, SLOT, 0, 0x2c, 4), ==, named[i].subsystem);
		g_assert_cmphex(pci_in(h, SLOT, 0, 0x10, 4), ==, named[i].io);
		g_assert_cmpint(find_cap(h, VIRTIO_PCI_CAP_COMMON) != 0, ==, true);
		harness_free(h);
	}
}

static void test_page_per_vq(void)
{
	Echo *dev;
	VirtDriver d;
	Harness *h = echo_machine("page-per-vq=on", &dev);
	pci_out(h, SLOT, 0, 0x14, 0xe1000000, 4); /* out of the way of a modern BAR of 8 MiB */
	pci_out(h, SLOT, 0, 0x20, 0xffffffff, 4);
	g_assert_cmphex(pci_in(h, SLOT, 0, 0x20, 4), ==, 0xff80000c);
	pci_out(h, SLOT, 0, 0x20, MODERN, 4);
	unsigned cap = find_cap(h, VIRTIO_PCI_CAP_NOTIFY);
	g_assert_cmphex(pci_in(h, SLOT, 0, cap + 8, 4), ==, 0x3000);
	g_assert_cmphex(pci_in(h, SLOT, 0, cap + 12, 4), ==, 0x400000);
	g_assert_cmphex(pci_in(h, SLOT, 0, cap + 16, 4), ==, 0x1000);
	for (unsigned q = 0; q < ECHO_QUEUES; q++) {
		uint32_t id, len;
		driver_start(&d, h, dev, KIND_MODERN, q, 0);
		g_assert_cmpuint(get16(h, COMMON(queue_notify_off)), ==, q);
		driver_add(&d, (Part[]){ { OUT, 8, 0 }, { IN, 8, W } }, 2);
		unsigned before = dev->notified;
		put16(h, MODERN + 0x3000 + 4096 * (1 - q), (uint16_t)q); /* the address says which */
		put16(h, MODERN + 0x3000 + 4096 * 1023, (uint16_t)q);
		put16(h, MODERN + 0x3000 + 4096 * 1024, (uint16_t)q);
		put16(h, MODERN + 0x7ffffe, (uint16_t)q);
		g_assert_cmpuint(dev->notified, ==, before);
		driver_kick(&d);
		g_assert_true(driver_used(&d, &id, &len));
		g_assert_cmpuint(len, ==, 8);
	}
	harness_free(h);
}

static void test_common(void)
{
	Echo *dev;
	Harness *h = echo_machine("", &dev);
	VirtDriver d;

	put32(h, COMMON(device_feature_select), 0);
	g_assert_cmphex(readl(h, COMMON(device_feature)), ==, 0x30000003);
	put32(h, COMMON(device_feature_select), 1);
	g_assert_cmphex(readl(h, COMMON(device_feature)), ==, 0x101);
	put32(h, COMMON(device_feature_select), 2);
	g_assert_cmphex(readl(h, COMMON(device_feature)), ==, 0);
	g_assert_cmpuint(get16(h, COMMON(num_queues)), ==, ECHO_QUEUES);
	g_assert_cmpuint(get16(h, COMMON(queue_size)), ==, ECHO_SIZE);
	g_assert_cmphex(get16(h, COMMON(config_msix_vector)), ==, 0xffff);
	put16(h, COMMON(config_msix_vector), 2);
	g_assert_cmphex(get16(h, COMMON(config_msix_vector)), ==, 2);
	put16(h, COMMON(config_msix_vector), 3); /* there are three: 0..2 */
	g_assert_cmphex(get16(h, COMMON(config_msix_vector)), ==, 0xffff);
	put16(h, COMMON(queue_select), ECHO_QUEUES);
	g_assert_cmpuint(get16(h, COMMON(queue_size)), ==, 0);
	put16(h, COMMON(queue_enable), 1); /* nothing there */
	put16(h, COMMON(queue_select), 1);
	g_assert_cmpuint(get16(h, COMMON(queue_notify_off)), ==, 1);
	put64(h, COMMON(queue_driver_lo), 0x123456789abcdef0);
	g_assert_cmphex(readl(h, COMMON(queue_driver_lo)), ==, 0x9abcdef0);
	g_assert_cmphex(readl(h, COMMON(queue_driver_hi)), ==, 0x12345678);
	g_assert_cmphex(as_load(h->board.mem, COMMON(queue_driver_lo) + 1, 1), ==, 0xde);
	put16(h, COMMON(queue_driver_lo), 1); /* not the field's width */
	g_assert_cmphex(readl(h, COMMON(queue_driver_lo)), ==, 0x9abcdef0);
	g_assert_cmphex(readl(h, MODERN + 0xffc), ==, 0);
	for (unsigned i = 0; i < 0x4000; i++) /* every offset, every width */
		for (unsigned size = 1; size <= 8; size *= 2)
			as_load(h->board.mem, MODERN + i, size);
	driver_start(&d, h, dev, KIND_MODERN, 1, 0);
	g_assert_cmphex(readl(h, COMMON(queue_driver_lo)), ==, d.avail);
	put64(h, COMMON(queue_driver_lo), 0); /* enabled: settled */
	g_assert_cmphex(readl(h, COMMON(queue_driver_lo)), ==, d.avail);
	harness_free(h);
}

static void test_features(void)
{
	static const uint64_t bad[] = {
		0, VIRTIO_F_EVENT_IDX, VIRTIO_F_VERSION_1 | ECHO_F_REFUSED,
		VIRTIO_F_VERSION_1 | VIRTIO_BIT(5),
		VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1 | VIRTIO_BIT(63),
		VIRTIO_F_VERSION_1 | VIRTIO_F_NOTIFY_ON_EMPTY,
	};
	Echo *dev;
	Harness *h = echo_machine("", &dev);
	VirtDriver d;

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		as_store(h->board.mem, COMMON(device_status), 0, 1);
		as_store(h->board.mem, COMMON(device_status), 3, 1);
		for (unsigned k = 0; k < 2; k++) {
			put32(h, COMMON(driver_feature_select), k);
			put32(h, COMMON(driver_feature), (uint32_t)(bad[i] >> 32 * k));
			g_assert_cmphex(readl(h, COMMON(driver_feature)), ==,
				(uint32_t)(bad[i] >> 32 * k));
		}
		as_store(h->board.mem, COMMON(device_status), 11, 1);
		g_assert_cmphex(as_load(h->board.mem, COMMON(device_status), 1), ==, 3);
	}
	driver_start(&d, h, dev, KIND_MODERN, 0, ECHO_F_ONE);
	put32(h, COMMON(driver_feature), 0); /* settled */
	g_assert_cmphex(dev->vp.vdev.driver_features, ==, VIRTIO_F_VERSION_1 | ECHO_F_ONE);
	g_assert_cmpuint(dev->started, ==, 1);
	/* legacy: what was not offered is not taken; the probe bit takes all away */
	g_assert_cmphex(inl(h, PORTS), ==, 0x79000003);
	driver_start(&d, h, dev, KIND_LEGACY, 0, 0xffffffff & ~VIRTIO_F_LEGACY_PROBE);
	g_assert_cmphex(dev->vp.vdev.driver_features, ==, 0x39000003);
	driver_start(&d, h, dev, KIND_LEGACY, 0, 0xffffffff);
	g_assert_cmphex(dev->vp.vdev.driver_features, ==, 0);
	harness_free(h);
}

static void test_config(void)
{
	Echo *dev;
	Harness *h = echo_machine("", &dev);
	VirtDriver d;

	for (unsigned i = 0; i < ECHO_CONFIG; i++)
		dev->config[i] = (uint8_t)(0x10 + i);
	g_assert_cmphex(readl(h, MODERN + 0x2000), ==, 0x13121110);
	g_assert_cmphex(get16(h, MODERN + 0x2000 + ECHO_CONFIG - 1), ==, 0xff1b);
	g_assert_cmphex(readl(h, MODERN + 0x2ffc), ==, UINT32_MAX);
	writel(h, MODERN + 0x2004, 0x55aa55aa);
	g_assert_cmphex(readl(h, MODERN + 0x2004), ==, 0x55aa55aa);
	writel(h, MODERN + 0x2000 + ECHO_CONFIG - 2, 0); /* over the end */
	g_assert_cmphex(dev->config[ECHO_CONFIG - 2], ==, 0x1a);
	g_assert_cmphex(inl(h, PORTS + 20), ==, 0x13121110);
	driver_start(&d, h, dev, KIND_MODERN, 0, 0);
	driver_msix(&d); /* legacy configuration moves to make room for the vectors */
	g_assert_cmphex(inl(h, PORTS + 24), ==, 0x13121110);
	g_assert_cmphex(inw(h, PORTS + 20), ==, 0);
	unsigned generation = (unsigned)as_load(h->board.mem, COMMON(config_generation), 1);
	machine_lock();
	virtio_config_changed(&dev->vp.vdev);
	machine_unlock();
	g_assert_cmpuint(as_load(h->board.mem, COMMON(config_generation), 1), ==, generation + 1);
	g_assert_cmpuint(take(h), ==, 1);
	g_assert_cmphex(h->msi_data, ==, 0x40);
	harness_free(h);
}

/* Registers through configuration space alone (4.1.4.9). */
static void test_window(void)
{
	Echo *dev;
	Harness *h = echo_machine("", &dev);
	unsigned cap = find_cap(h, VIRTIO_PCI_CAP_PCI);

	pci_out(h, SLOT, 0, cap + 4, 4, 1);
	pci_out(h, SLOT, 0, cap + 8, offsetof(VirtioPciCommon, num_queues), 4);
	pci_out(h, SLOT, 0, cap + 12, 2, 4);
	g_assert_cmphex(pci_in(h, SLOT, 0, cap + 16, 2), ==, ECHO_QUEUES);
	pci_out(h, SLOT, 0, cap + 8, offsetof(VirtioPciCommon, device_status), 4);
	pci_out(h, SLOT, 0, cap + 12, 1, 4);
	pci_out(h, SLOT, 0, cap + 16, 3, 1);
	g_assert_cmphex(as_load(h->board.mem, COMMON(device_status), 1), ==, 3);
	/* what points nowhere does nothing */
	static const struct { uint32_t bar, offset, len; } bad[] = {
		{ 0, 0, 4 }, { 1, 0, 4 }, { 4, 0x4000, 4 }, { 4, 0xfffffffc, 4 }, { 4, 2, 4 },
		{ 4, 0, 3 }, { 4, 0, 0 },
		{ 255, 0, 4 }, { 4, 0, UINT32_MAX },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		pci_out(h, SLOT, 0, cap + 4, bad[i].bar, 1);
		pci_out(h, SLOT, 0, cap + 8, bad[i].offset, 4);
		pci_out(h, SLOT, 0, cap + 12, bad[i].len, 4);
		pci_out(h, SLOT, 0, cap + 16, 0, 4);
		pci_in(h, SLOT, 0, cap + 16, 4);
	}
	g_assert_cmphex(as_load(h->board.mem, COMMON(device_status), 1), ==, 3);
	harness_free(h);
}

/* ---- rings that are right ---- */

/* Buffers of 1 to 6 parts, direct and indirect, several at once, many times round the ring. */
static void echo_rounds(VirtDriver *d, bool indirect)
{
	Harness *h = d->h;
	uint32_t id, len;

	for (unsigned round = 0; round < 200; round++) {
		unsigned together = 1 + round % 3;
		uint16_t head[3];
		for (unsigned k = 0; k < together; k++) {
			unsigned parts = 1 + (round + k) % 2, n = 0;
			Part part[6];
			fill(h, OUT + 0x1000 * k, 64 * parts, round + k);
			for (unsigned i = 0; i < parts; i++)
				part[n++] = (Part){ OUT + 0x1000 * k + 64 * i, 64, 0 };
			for (unsigned i = 0; i < parts; i++)
				part[n++] = (Part){ IN + 0x1000 * k + 64 * i, 64, W };
			head[k] = indirect && (round & 1) ?
				driver_add_indirect(d, TABLE_AT + 0x1000 * k + round % 16, part,
					n) :
				driver_add(d, part, n);
		}
		driver_kick(d);
		for (unsigned k = 0; k < together; k++) {
			unsigned bytes = 64 * (1 + (round + k) % 2);
			g_assert_true(driver_used(d, &id, &len));
			g_assert_cmpuint(id, ==, head[k]);
			g_assert_cmpuint(len, ==, bytes);
			check(h, IN + 0x1000 * k, bytes, round + k);
		}
		g_assert_false(driver_used(d, &id, &len));
	}
	g_assert_cmphex(driver_status(d) & 0xc0, ==, 0);
}

static void test_echo(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);
	static const uint64_t sets[] = { 0, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC,
		RING_FEATURES };

	for (unsigned i = 0; i < G_N_ELEMENTS(sets); i++) {
		for (unsigned q = 0; q < ECHO_QUEUES; q++) {
			VirtDriver d;
			driver_start(&d, h, dev, k, q, sets[i]);
			echo_rounds(&d, sets[i] & VIRTIO_F_INDIRECT_DESC);
		}
	}
	g_assert_null(dev->vp.vdev.error);
	harness_free(h);
}

/* Without MSI-X: ISR and the pin. */
static void test_pin(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);
	VirtDriver d;

	driver_start(&d, h, dev, k, 0, 0);
	works(&d);
	g_assert_true(dev->vp.pci.intx);
	g_assert_cmphex(k == KIND_LEGACY ? inb(h, PORTS + VIRTIO_LEGACY_ISR) :
		(uint32_t)as_load(h->board.mem, MODERN + 0x1000, 1), ==, VIRTIO_ISR_QUEUE);
	g_assert_false(dev->vp.pci.intx);
	g_assert_cmphex(as_load(h->board.mem, MODERN + 0x1000, 1), ==, 0);
	machine_lock();
	virtio_config_changed(&dev->vp.vdev);
	machine_unlock();
	g_assert_true(dev->vp.pci.intx);
	driver_reset(&d);
	g_assert_false(dev->vp.pci.intx);
	g_assert_cmphex(as_load(h->board.mem, MODERN + 0x1000, 1), ==, 0);
	harness_free(h);
}

static void test_wishes(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);
	VirtDriver d;

	driver_start(&d, h, dev, k, 1, 0);
	driver_msix(&d);
	works(&d);
	g_assert_cmpuint(take(h), ==, 1);
	g_assert_cmphex(h->msi_data, ==, 0x42);
	driver_wish_flag(&d, false);
	works(&d);
	g_assert_cmpuint(take(h), ==, 0);
	driver_wish_flag(&d, true);
	works(&d);
	g_assert_cmpuint(take(h), ==, 1);

	driver_start(&d, h, dev, k, 1, VIRTIO_F_EVENT_IDX);
	driver_msix(&d);
	for (unsigned round = 0; round < 40; round++) { /* more than once round the ring */
		unsigned ahead = round % 4;
		driver_wish_event(&d, ahead * (k == KIND_PACKED ? 2 : 1));
		for (unsigned i = 0; i < 4; i++) {
			works(&d);
			g_assert_cmpuint(take(h), ==, i == ahead);
		}
	}
	harness_free(h);
}

static void test_notify_on_empty(void)
{
	Echo *dev;
	Harness *h = echo_machine("", &dev);
	VirtDriver d;

	driver_start(&d, h, dev, KIND_LEGACY, 0, VIRTIO_F_NOTIFY_ON_EMPTY);
	driver_msix(&d);
	driver_wish_flag(&d, false);
	works(&d);
	g_assert_cmpuint(take(h), ==, 1);
	harness_free(h);
}

/* The device's own wishes: doorbells off while it polls. */
static void test_kicks(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);
	VirtDriver d;
	VirtQueue *q = &dev->vp.vdev.queue[0];

	driver_start(&d, h, dev, k, 0, 0);
	machine_lock();
	g_assert_true(virtq_empty(q));
	g_assert_false(virtq_set_kicks(q, false));
	g_assert_cmphex(get16(h, k == KIND_PACKED ? d.used + 2 : d.used), ==, 1);
	g_assert_false(virtq_set_kicks(q, true));
	g_assert_cmphex(get16(h, k == KIND_PACKED ? d.used + 2 : d.used), ==, 0);
	machine_unlock();
	driver_start(&d, h, dev, k, 0, VIRTIO_F_EVENT_IDX);
	works(&d);
	works(&d);
	/* popped until empty: the event index asks for the next buffer */
	if (k == KIND_PACKED) {
		g_assert_cmphex(get16(h, d.used), ==, 0x8004);
		g_assert_cmphex(get16(h, d.used + 2), ==, VIRTQ_EVENT_DESC);
	} else {
		g_assert_cmphex(get16(h, d.used + 4 + 8 * d.num), ==, 2);
	}
	machine_lock();
	virtq_set_kicks(q, false);
	driver_add(&d, &(Part){ OUT, 8, 0 }, 1);
	g_assert_false(virtq_empty(q));
	g_assert_true(virtq_set_kicks(q, true)); /* one came in between */
	machine_unlock();
	harness_free(h);
}

/* ---- rings that are wrong ---- */

typedef struct Wrong {
	const char *name;
	unsigned kinds;          /* mask */
	void (*make)(VirtDriver *d);
} Wrong;

static void one(VirtDriver *d, uint64_t addr, uint32_t len, uint16_t flags)
{
	driver_add(d, &(Part){ addr, len, flags }, 1);
}
static void wrong_zero(VirtDriver *d) { one(d, OUT, 0, 0); }
static void wrong_zero_in(VirtDriver *d) { one(d, OUT, 0, W); }
static void wrong_zero_second(VirtDriver *d)
{
	driver_add(d, (Part[]){ { OUT, 4, 0 }, { IN, 0, W } }, 2);
}
static void wrong_hole(VirtDriver *d) { one(d, 0x40000000, 8, 0); }
static void wrong_edge(VirtDriver *d) { one(d, HARNESS_RAM - 4, 8, W); }
static void wrong_top(VirtDriver *d) { one(d, UINT64_MAX - 3, 8, W); }
static void wrong_overflow(VirtDriver *d) { one(d, UINT64_MAX - 3, UINT32_MAX, 0); }
static void wrong_device(VirtDriver *d) { one(d, MODERN, 8, W); }
static void wrong_order(VirtDriver *d) { driver_add(d, (Part[]){ { IN, 4, W }, { OUT, 4, 0 } }, 2); }
static void wrong_huge(VirtDriver *d)
{
	driver_add(d, (Part[]){ { 0, UINT32_MAX, 0 }, { 0, UINT32_MAX, 0 } }, 2);
}
static void wrong_no_indirect(VirtDriver *d)
{
	d->dev->vp.vdev.driver_features &= ~VIRTIO_F_INDIRECT_DESC;
	driver_add_indirect(d, TABLE_AT, (Part[]){ { OUT, 4, 0 } }, 1);
}
static void wrong_indirect_empty(VirtDriver *d) { one(d, TABLE_AT, 0, VIRTQ_DESC_INDIRECT); }
static void wrong_indirect_odd(VirtDriver *d) { one(d, TABLE_AT, 24, VIRTQ_DESC_INDIRECT); }
static void wrong_indirect_hole(VirtDriver *d) { one(d, HARNESS_RAM - 8, 16, VIRTQ_DESC_INDIRECT); }
static void wrong_indirect_vast(VirtDriver *d) { one(d, 0, 16 << 20, VIRTQ_DESC_INDIRECT); }
static void wrong_indirect_next(VirtDriver *d)
{
	driver_add(d, (Part[]){ { TABLE_AT, 16, VIRTQ_DESC_INDIRECT }, { IN, 4, W } }, 2);
}
static void wrong_nested(VirtDriver *d)
{
	driver_add_indirect(d, TABLE_AT,
		(Part[]){ { OUT, 4, 0 }, { TABLE_AT, 16, VIRTQ_DESC_INDIRECT } }, 2);
}
static void wrong_indirect_pieces(VirtDriver *d)
{
	static Part many[VIRTQ_IOV_MAX + 1];
	for (unsigned i = 0; i <= VIRTQ_IOV_MAX; i++)
		many[i] = (Part){ OUT, 1, 0 };
	driver_add_indirect(d, TABLE_AT, many, VIRTQ_IOV_MAX + 1);
}
static void wrong_loop(VirtDriver *d)
{
	uint16_t head = driver_add(d, (Part[]){ { OUT, 4, 0 }, { OUT, 4, 0 } }, 2);
	put16(d->h, d->desc + 16 * (head + 1u) + 12, VIRTQ_DESC_NEXT);
	put16(d->h, d->desc + 16 * (head + 1u) + 14, head);
}
static void wrong_next(VirtDriver *d)
{
	uint16_t head = driver_add(d, (Part[]){ { OUT, 4, 0 }, { OUT, 4, 0 } }, 2);
	put16(d->h, d->desc + 16u * head + 14, ECHO_SIZE);
}
static void wrong_indirect_loop(VirtDriver *d)
{
	driver_add_indirect(d, TABLE_AT, (Part[]){ { OUT, 4, 0 }, { OUT, 4, 0 } }, 2);
	put16(d->h, TABLE_AT + 16 + 12, VIRTQ_DESC_NEXT);
	put16(d->h, TABLE_AT + 16 + 14, 0);
}
static void wrong_head(VirtDriver *d)
{
	one(d, OUT, 4, 0);
	put16(d->h, d->avail + 4, 0xffff);
}
static void wrong_index(VirtDriver *d)
{
	one(d, OUT, 4, 0);
	put16(d->h, d->avail + 2, ECHO_SIZE + 1);
}
static void wrong_index_back(VirtDriver *d)
{
	works(d);
	put16(d->h, d->avail + 2, 0xfff0);
}
static void wrong_endless(VirtDriver *d)
{
	for (unsigned i = 0; i < ECHO_SIZE; i++) {
		put64(d->h, d->desc + 16u * i, OUT);
		put32(d->h, d->desc + 16u * i + 8, 4);
		put16(d->h, d->desc + 16u * i + 14, VIRTQ_DESC_NEXT | VIRTQ_DESC_AVAIL);
	}
}
static void wrong_twice(VirtDriver *d)
{
	d->dev->hold = true;
	for (unsigned i = 0; i < ECHO_SIZE; i++)
		one(d, OUT, 4, 0);
	driver_kick(d);
	g_assert_cmpuint(d->dev->held->len, ==, ECHO_SIZE);
	g_assert_cmphex(driver_status(d) & 0x40, ==, 0);
	one(d, OUT, 4, 0);
	if (d->kind == KIND_PACKED) /* one(...) has made the flags those of the second round */
		g_assert_false(d->next_wrap);
}

#define SPLIT (1 << KIND_LEGACY | 1 << KIND_MODERN)
#define PACKED (1 << KIND_PACKED)
static const Wrong wrongs[] = {
	{ "empty readable buffer", SPLIT | PACKED, wrong_zero },
	{ "empty writable buffer", SPLIT | PACKED, wrong_zero_in },
	{ "empty second part", SPLIT | PACKED, wrong_zero_second },
	{ "no memory there", SPLIT | PACKED, wrong_hole },
	{ "over the end of RAM", SPLIT | PACKED, wrong_edge },
	{ "at the end of the address space", SPLIT | PACKED, wrong_top },
	{ "address and length overflow", SPLIT | PACKED, wrong_overflow },
	{ "a device's registers", SPLIT | PACKED, wrong_device },
	{ "writable before readable", SPLIT | PACKED, wrong_order },
	{ "more than 4 GiB", SPLIT | PACKED, wrong_huge },
	{ "indirect not negotiated", SPLIT | PACKED, wrong_no_indirect },
	{ "empty indirect table", SPLIT | PACKED, wrong_indirect_empty },
	{ "odd indirect table", SPLIT | PACKED, wrong_indirect_odd },
	{ "indirect table over the end of RAM", SPLIT | PACKED, wrong_indirect_hole },
	{ "vast indirect table", SPLIT | PACKED, wrong_indirect_vast },
	{ "indirect with next", SPLIT | PACKED, wrong_indirect_next },
	{ "indirect in indirect", SPLIT | PACKED, wrong_nested },
	{ "too many pieces", SPLIT | PACKED, wrong_indirect_pieces },
	{ "loop", SPLIT, wrong_loop },
	{ "next beyond the table", SPLIT, wrong_next },
	{ "loop in an indirect table", SPLIT, wrong_indirect_loop },
	{ "head beyond the table", SPLIT, wrong_head },
	{ "index jumps ahead", SPLIT, wrong_index },
	{ "index goes back", SPLIT, wrong_index_back },
	{ "chain without end", PACKED, wrong_endless },
	{ "offered twice", SPLIT | PACKED, wrong_twice },
};

static void one_wrong(Harness *h, Echo *dev, Kind k, const Wrong *w)
{
	VirtDriver d;
	uint32_t id, len;

	g_test_message("%s, %s", kind_names[k], w->name);
	dev->hold = false;
	driver_start(&d, h, dev, k, 0, RING_FEATURES);
	driver_msix(&d);
	w->make(&d);
	take(h);
	unsigned popped = dev->popped;
	driver_kick(&d);
	g_assert_true(atomic_load(&dev->vp.vdev.broken));
	g_assert_cmpuint(dev->popped, ==, popped);
	dev->hold = false;
	if (k == KIND_LEGACY) {
		g_assert_cmphex(driver_status(&d), ==, 7);
	} else {
		g_assert_cmphex(driver_status(&d), ==, 0x4f);
		g_assert_cmpuint(take(h), ==, 1);
		g_assert_cmphex(h->msi_data, ==, 0x40); /* the configuration's vector */
	}
	/* It stays so, silently. */
	unsigned notified = dev->notified;
	for (int i = 0; i < 3; i++)
		driver_kick(&d);
	g_assert_cmpuint(dev->notified, ==, notified);
	g_assert_cmpuint(h->msi_count, ==, 0);
	g_assert_false(driver_used(&d, &id, &len) && w->make != wrong_index_back);
	driver_start(&d, h, dev, k, 0, RING_FEATURES);
	works(&d);
}

static void test_wrong(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);

	for (unsigned i = 0; i < G_N_ELEMENTS(wrongs); i++)
		if (wrongs[i].kinds & 1u << k)
			one_wrong(h, dev, k, &wrongs[i]);
	g_assert_nonnull(dev->vp.vdev.error);
	harness_free(h);
}

/* Rings in the wrong place, of the wrong size. */
static void test_wrong_queue(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	static const struct {
		uint16_t size;
		uint64_t desc, driver, device;
		bool split_only;
	} bad[] = {
		{ 0, 0x10000, 0x11000, 0x12000, false },
		{ 17, 0x10000, 0x11000, 0x12000, false },
		{ 0xffff, 0x10000, 0x11000, 0x12000, false },
		{ 12, 0x10000, 0x11000, 0x12000, true },
		{ 16, 0x10008, 0x11000, 0x12000, false },
		{ 16, 0x10000, 0x11001, 0x12000, false },
		{ 16, 0x10000, 0x11000, 0x12002, false },
		{ 16, HARNESS_RAM - 16, 0x11000, 0x12000, false },
		{ 16, 0x10000, HARNESS_RAM - 2, 0x12000, false },
		{ 16, 0x10000, 0x11000, MODERN, false },
		{ 16, UINT64_MAX & ~15ull, 0x11000, 0x12000, false },
		{ 16, 0x10000, 0x11000, 0x80000000, false },
	};
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		VirtDriver d;
		if (bad[i].split_only && k == KIND_PACKED)
			continue;
		driver_start(&d, h, dev, k, 0, 0);
		put16(h, COMMON(queue_select), 1);
		put16(h, COMMON(queue_size), bad[i].size);
		put64(h, COMMON(queue_desc_lo), bad[i].desc);
		put64(h, COMMON(queue_driver_lo), bad[i].driver);
		put64(h, COMMON(queue_device_lo), bad[i].device);
		put16(h, COMMON(queue_enable), 1);
		d.q = 1;
		driver_kick(&d);
		g_assert_cmphex(driver_status(&d), ==, 0x4f);
		driver_start(&d, h, dev, k, 0, 0);
		works(&d);
	}
	harness_free(h);
}

/* A legacy queue whose page leads out of RAM, or nowhere. */
static void test_legacy_pages(void)
{
	static const uint32_t pages[] = { 1, HARNESS_RAM / 4096 - 1, HARNESS_RAM / 4096,
		UINT32_MAX, 0xfee00, MODERN >> 12 };
	Echo *dev;
	Harness *h = echo_machine("", &dev);

	for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
		VirtDriver d;
		driver_start(&d, h, dev, KIND_LEGACY, 0, 0);
		outl(h, PORTS + VIRTIO_LEGACY_QUEUE_PFN, pages[i]);
		g_assert_cmphex(inl(h, PORTS + VIRTIO_LEGACY_QUEUE_PFN), ==, pages[i]);
		driver_kick(&d);
		outl(h, PORTS + VIRTIO_LEGACY_QUEUE_PFN, 0);
		g_assert_cmphex(inl(h, PORTS + VIRTIO_LEGACY_QUEUE_PFN), ==, 0);
		driver_kick(&d);
	}
	harness_free(h);
}

/* ---- life ---- */

static void test_queue_reset(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);
	VirtDriver d;

	driver_start(&d, h, dev, k, 0, VIRTIO_F_RING_RESET);
	dev->hold = true;
	driver_add(&d, (Part[]){ { OUT, 8, 0 }, { IN, 8, W } }, 2);
	driver_kick(&d);
	g_assert_cmpuint(dev->held->len, ==, 1);
	put16(h, COMMON(queue_reset), 1);
	g_assert_cmpuint(get16(h, COMMON(queue_reset)), ==, 0);
	g_assert_cmpuint(get16(h, COMMON(queue_enable)), ==, 0);
	g_assert_cmpuint(dev->held->len, ==, 0);
	unsigned notified = dev->notified;
	driver_kick(&d); /* disabled */
	g_assert_cmpuint(dev->notified, ==, notified);
	dev->hold = false;
	driver_queue(&d);
	works(&d);
	driver_start(&d, h, dev, k, 0, 0); /* not negotiated: nothing happens */
	put16(h, COMMON(queue_reset), 1);
	works(&d);
	harness_free(h);
}

static void test_reset(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);
	VirtQueue *q = &dev->vp.vdev.queue[0];
	VirtDriver d;

	driver_start(&d, h, dev, k, 0, RING_FEATURES);
	dev->hold = true;
	driver_add(&d, (Part[]){ { OUT, 8, 0 }, { IN, 8, W } }, 2);
	driver_kick(&d);
	machine_lock();
	VirtElement *late = dev->held->pdata[0];
	g_ptr_array_set_size(dev->held, 0); /* a device that forgets one in quiesce */
	unsigned quiesced = dev->quiesced;
	device_reset(&dev->vp.pci.dev);
	g_assert_cmpuint(dev->quiesced, ==, quiesced + 1);
	g_assert_false(q->enabled);
	g_assert_cmpuint(q->num, ==, ECHO_SIZE);
	g_assert_cmpuint(q->in_use, ==, 0);
	virtq_push(q, late, 8); /* too late, and harmless */
	virtq_notify(q);
	g_assert_cmpuint(q->in_use, ==, 0);
	g_assert_null(dev->vp.modern.as);
	machine_unlock();
	g_assert_cmpuint(h->msi_count, ==, 0);
	dev->hold = false;
	driver_map(h);
	driver_start(&d, h, dev, k, 0, RING_FEATURES);
	works(&d);
	/* Without bus mastering nothing is read or written. */
	pci_out(h, SLOT, 0, 0x04, 3, 2);
	driver_add(&d, (Part[]){ { OUT, 8, 0 }, { IN, 8, W } }, 2);
	unsigned popped = dev->popped;
	driver_kick(&d);
	g_assert_cmpuint(dev->popped, ==, popped);
	pci_out(h, SLOT, 0, 0x04, 7, 2);
	driver_kick(&d);
	g_assert_cmpuint(dev->popped, ==, popped + 1);
	harness_free(h);
}

/* What a device writes is announced: decoded code of those pages goes, of others stays. */
static void test_code(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);
	RamArena *arena = &h->board.arena;
	VirtDriver d;

	driver_start(&d, h, dev, k, 0, 0);
	const uint64_t pages[] = { IN, IN + 4096, d.used, d.desc, OUT };
	uint64_t ring = k == KIND_PACKED ? d.desc : d.used;
	for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++)
		atomic_fetch_or(ram_page_state(arena, h->board.ram + pages[i]), PAGE_CODE);
	works(&d);
	g_assert_false(atomic_load(ram_page_state(arena, h->board.ram + IN)) & PAGE_CODE);
	g_assert_true(atomic_load(ram_page_state(arena, h->board.ram + IN + 4096)) & PAGE_CODE);
	g_assert_false(atomic_load(ram_page_state(arena, h->board.ram + ring)) & PAGE_CODE);
	g_assert_true(atomic_load(ram_page_state(arena, h->board.ram + OUT)) & PAGE_CODE);
	harness_free(h);
}

/* Buffers and rings in a map that changes under them. */
static void test_map(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);
	GError *error = NULL;
	Region hole, other;
	VirtDriver d;

	driver_start(&d, h, dev, k, 0, 0);
	works(&d);
	uint8_t *host = ram_arena_alloc(&h->board.arena, 0x1000, &error);
	region_init_ram(&other, "other", host, 0x1000, false);
	machine_lock();
	as_map(h->board.mem, &other, IN, 2); /* other RAM in front */
	machine_unlock();
	h->board.ram[IN] = 0;
	uint32_t id, len;
	fill(h, OUT, 8, 3);
	/* crosses from one to the other */
	driver_add(&d, (Part[]){ { OUT, 8, 0 }, { IN - 4, 8, W } }, 2);
	driver_kick(&d);
	g_assert_true(driver_used(&d, &id, &len));
	g_assert_cmphex(h->board.ram[IN], ==, 0);
	g_assert_cmphex(host[0], ==, (uint8_t)(3 + 4 * 7 + 1));
	region_init_io(&hole, "hole", NULL, NULL, 0x1000);
	machine_lock();
	as_map(h->board.mem, &hole, d.desc, 3); /* the ring itself is gone */
	machine_unlock();
	driver_kick(&d);
	g_assert_cmphex(driver_status(&d) & 0x40, ==, k == KIND_LEGACY ? 0 : 0x40);
	machine_lock();
	as_unmap(&hole);
	as_unmap(&other);
	machine_unlock();
	driver_start(&d, h, dev, k, 0, 0);
	works(&d);
	harness_free(h);
}

/* ---- threads and doorbells ---- */

typedef struct Io { VirtQueue *q; int fd; unsigned served; _Atomic bool pushed; } Io;

/* An I/O thread: no machine lock, the doorbell is an eventfd. */
static void *io_thread(void *opaque)
{
	Io *io = opaque;
	struct pollfd p = { io->fd, POLLIN, 0 };
	uint64_t count, written;
	VirtElement *e;

	while (io->served < 3 && poll(&p, 1, 10000) == 1) {
		g_assert_cmpint(read(io->fd, &count, 8), ==, 8);
		while ((e = virtq_pop(io->q))) {
			uint8_t buf[8];
			virt_read(e, 0, buf, 8);
			written = virt_write(e, 0, buf, 8);
			virtq_push(io->q, e, written);
			io->served++;
		}
		/* the main thread has the machine lock: this must not wait for it */
		virtq_notify(io->q);
	}
	atomic_store(&io->pushed, true);
	return NULL;
}

static void test_io_thread(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	Echo *dev;
	Harness *h = echo_machine(kind_props[k], &dev);
	VirtDriver d;
	pthread_t thread;

	driver_start(&d, h, dev, k, 0, 0);
	driver_msix(&d);
	machine_lock();
	Io io = { .q = &dev->vp.vdev.queue[0] };
	io.fd = virtq_kick_fd(io.q);
	g_assert_cmpint(io.fd, >=, 0);
	g_assert_cmpint(virtq_kick_fd(io.q), ==, io.fd);
	g_assert_cmpint(pthread_create(&thread, NULL, io_thread, &io), ==, 0);
	for (int i = 0; i < 3; i++)
		driver_add(&d, (Part[]){ { OUT, 8, 0 }, { IN, 8, W } }, 2);
	driver_kick(&d);
	while (!atomic_load(&io.pushed))
		g_usleep(1000);
	pthread_join(thread, NULL);
	g_assert_cmpuint(dev->notified, ==, 1); /* at DRIVER_OK, not since */
	g_assert_cmpuint(h->msi_count, ==, 0); /* it could not be delivered, and is due */
	machine_unlock();
	harness_wait(h, &h->msi_count);
	g_assert_cmpuint(take(h), ==, 1);
	g_assert_cmphex(h->msi_data, ==, 0x41);
	/* A reset forgets the doorbell; without the descriptor notify is called again. */
	machine_lock();
	driver_kick(&d);
	driver_reset(&d);
	struct pollfd p = { io.fd, POLLIN, 0 };
	g_assert_cmpint(poll(&p, 1, 0), ==, 0);
	virtq_close_kick_fd(io.q);
	machine_unlock();
	driver_start(&d, h, dev, k, 0, 0);
	works(&d);
	harness_free(h);
}

/* The accelerator's side of doorbells: who is told what. */
static GString *told;

static bool fake_ioeventfd(Board *board, int fd, uint64_t addr, unsigned size, bool port,
	int match, bool assign)
{
	g_string_append_printf(told, "%c%s%" G_GINT64_MODIFIER "x/%u=%d ", assign ? '+' : '-',
		port ? "io" : "", addr, size,
		match);
	return true;
}

static void test_ioeventfd(void)
{
	Echo *dev;
	Harness *h = echo_machine("", &dev);

	told = g_string_new("");
	h->board.ioeventfd = fake_ioeventfd;
	machine_lock();
	virtq_kick_fd(&dev->vp.vdev.queue[1]);
	g_assert_cmpstr(told->str, ==, "+e0003004/2=-1 +ioc010/2=1 ");
	g_string_truncate(told, 0);
	pci_out(h, SLOT, 0, 0x20, 0xe4000000, 4); /* the BAR moves */
	g_assert_cmpstr(told->str, ==, "-e0003004/2=-1 -ioc010/2=1 +e4003004/2=-1 +ioc010/2=1 ");
	g_string_truncate(told, 0);
	pci_out(h, SLOT, 0, 0x04, 4, 2); /* neither I/O nor memory */
	g_assert_cmpstr(told->str, ==, "-e4003004/2=-1 -ioc010/2=1 ");
	pci_out(h, SLOT, 0, 0x04, 7, 2);
	g_string_truncate(told, 0);
	virtq_close_kick_fd(&dev->vp.vdev.queue[1]);
	g_assert_cmpstr(told->str, ==, "-e4003004/2=-1 -ioc010/2=1 ");
	machine_unlock();
	harness_free(h);
	g_string_free(told, TRUE);
}

static void test_copying(void)
{
	uint8_t a[3], b[5], buf[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	struct iovec iov[] = { { a, 3 }, { b, 5 } }, to[2];
	VirtElement e = { .out = iov, .out_count = 2, .out_bytes = 8, .in = iov, .in_count = 2,
		.in_bytes = 8 };

	g_assert_cmpuint(virt_write(&e, 0, buf, 8), ==, 8);
	memset(buf, 0, 8);
	g_assert_cmpuint(virt_read(&e, 2, buf, 8), ==, 6);
	g_assert_cmphex(buf[0], ==, 3);
	g_assert_cmphex(buf[5], ==, 8);
	g_assert_cmpuint(virt_read(&e, 8, buf, 1), ==, 0);
	g_assert_cmpuint(virt_read(&e, UINT64_MAX, buf, 8), ==, 0);
	g_assert_cmpuint(virt_write(&e, 7, buf, 4), ==, 1);
	g_assert_cmpuint(virt_slice(iov, 2, 1, 4, to), ==, 2);
	g_assert_true(to[0].iov_base == a + 1 && to[0].iov_len == 2 && to[1].iov_base == b &&
		to[1].iov_len == 2);
	g_assert_cmpuint(virt_slice(iov, 2, 3, 100, to), ==, 1);
	g_assert_cmpuint(to[0].iov_len, ==, 5);
	g_assert_cmpuint(virt_slice(iov, 2, 8, 1, to), ==, 0);
}

/* ---- the entropy device ---- */

static void test_rng(gconstpointer kind)
{
	Kind k = (Kind)GPOINTER_TO_INT(kind);
	GError *error = NULL;
	Harness *h = harness_new();
	harness_add(h, &i440fx_pcihost_class);
	Device *dev = harness_make(h, &virtio_rng_pci_class);
	g_assert_true(device_set(dev, "max-bytes", "100", &error));
	g_assert_true(device_set(dev, "period", "20", &error));
	g_assert_true(device_set(dev, "packed", k == KIND_PACKED ? "on" : "off", &error));
	harness_realize(dev);
	pci_out(h, SLOT, 0, 0x10, PORTS, 4);
	pci_out(h, SLOT, 0, 0x20, MODERN, 4);
	pci_out(h, SLOT, 0, 0x04, 7, 2);

	/* The driver's queues are of the echo device's size; this one has half of it. */
	VirtioPci *p = (VirtioPci *)dev;
	p->vdev.queue[0].max = ECHO_SIZE;
	VirtDriver d;
	uint32_t id, len, first;
	driver_start(&d, h, (Echo *)dev, k, 0, 0);
	driver_add(&d, (Part[]){ { IN, 40, W }, { IN + 64, 40, W } }, 2);
	driver_add(&d, (Part[]){ { IN + 128, 40, W } }, 1);
	driver_add(&d, (Part[]){ { IN + 256, 40, W } }, 1);
	driver_kick(&d);
	g_assert_true(driver_used(&d, &id, &len));
	g_assert_cmpuint(len, ==, 80);
	g_assert_true(driver_used(&d, &id, &len));
	g_assert_cmpuint(len, ==, 20); /* what is left of 100 */
	g_assert_false(driver_used(&d, &id, &len));
	first = readl(h, IN);
	g_assert_true(first != 0 || readl(h, IN + 4) != 0);
	g_assert_cmphex(readl(h, IN + 40), ==, 0);
	g_assert_cmphex(readl(h, IN + 128 + 20), ==, 0);
	harness_run(h, 60000000);
	g_assert_true(driver_used(&d, &id, &len));
	g_assert_cmpuint(len, ==, 40);
	/* A readable buffer has nothing to fill. */
	driver_add(&d, (Part[]){ { OUT, 40, 0 } }, 1);
	driver_kick(&d);
	harness_run(h, 60000000);
	g_assert_true(driver_used(&d, &id, &len));
	g_assert_cmpuint(len, ==, 0);
	harness_free(h);
}

static void add_kinds(const char *name, void (*fn)(gconstpointer), bool legacy)
{
	for (int k = legacy ? KIND_LEGACY : KIND_MODERN; k < KINDS; k++) {
		char *path = g_strdup_printf("/virtio/%s/%s", name, kind_names[k]);
		g_test_add_data_func(path, GINT_TO_POINTER(k), fn);
		g_free(path);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/virtio/identity", test_identity);
	g_test_add_func("/virtio/refused-properties", test_refused_properties);
	g_test_add_func("/virtio/named-kinds", test_named_kinds);
	g_test_add_func("/virtio/page-per-vq", test_page_per_vq);
	g_test_add_func("/virtio/common", test_common);
	g_test_add_func("/virtio/features", test_features);
	g_test_add_func("/virtio/config", test_config);
	g_test_add_func("/virtio/window", test_window);
	add_kinds("echo", test_echo, true);
	add_kinds("pin", test_pin, true);
	add_kinds("wishes", test_wishes, true);
	g_test_add_func("/virtio/notify-on-empty", test_notify_on_empty);
	add_kinds("kicks", test_kicks, true);
	add_kinds("wrong", test_wrong, true);
	add_kinds("wrong-queue", test_wrong_queue, false);
	g_test_add_func("/virtio/legacy-pages", test_legacy_pages);
	add_kinds("queue-reset", test_queue_reset, false);
	add_kinds("reset", test_reset, true);
	add_kinds("code", test_code, true);
	add_kinds("map", test_map, true);
	add_kinds("io-thread", test_io_thread, true);
	g_test_add_func("/virtio/ioeventfd", test_ioeventfd);
	g_test_add_func("/virtio/copying", test_copying);
	add_kinds("rng", test_rng, true);
	return g_test_run();
}
