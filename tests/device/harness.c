/* harness.c - see harness.h. */
#include "harness.h"

#include "core/lock.h"
#include "display/screen.h"

static void gsi(void *opaque, int n, int level)
{
	Harness *h = opaque;
	if (level && !h->level[n])
		h->rises[n]++;
	h->level[n] = level;
}

static void msi(Board *board, uint64_t addr, uint32_t data)
{
	Harness *h = (Harness *)board;
	h->msi_count++;
	h->msi_addr = addr;
	h->msi_data = data;
}

static void request(Board *board, RunRequest why)
{
	Harness *h = (Harness *)board;
	h->requested = why;
	h->requests++;
	atomic_store(&board->request, RUN_NONE);
}

static void set_a20(Board *board, bool enabled)
{
	board->a20 = enabled;
}

Harness *harness_new(void)
{
	Harness *h = g_new0(Harness, 1);
	Board *b = &h->board;
	GError *error = NULL;

	ram_arena_init(&b->arena, 2 * HARNESS_RAM, &error);
	g_assert_no_error(error);
	b->mem = as_new("memory", 0, &b->arena);
	b->io = as_new("I/O", 0x10000, &b->arena);
	b->clock = clock_new();
	b->display = display_new();
	b->ram_size = b->ram_below_4g = HARNESS_RAM;
	b->ram = ram_arena_alloc(&b->arena, HARNESS_RAM, &error);
	region_init_ram(&h->ram, "ram", b->ram, HARNESS_RAM, false);
	as_map(b->mem, &h->ram, 0, 0);
	for (int i = 0; i < BOARD_GSI_COUNT; i++)
		b->gsi[i] = (Irq){ gsi, h, i };
	b->msi = msi;
	b->devices = g_ptr_array_new();
	b->chardevs = g_hash_table_new(g_str_hash, g_str_equal);
	b->request_fn = request;
	b->set_a20 = set_a20;
	machine_lock();
	clock_start(b->clock);
	machine_unlock();
	return h;
}

void harness_free(Harness *h)
{
	Board *b = &h->board;
	machine_lock();
	while (b->devices->len)
		device_free(b->devices->pdata[b->devices->len - 1]);
	while (b->buses && b->buses->len)
		bus_free(b->buses->pdata[0]);
	if (b->buses)
		g_ptr_array_free(b->buses, TRUE);
	as_unmap(&h->ram);
	clock_stop(b->clock);
	machine_unlock();
	as_free(b->mem);
	as_free(b->io);
	clock_free(b->clock);
	display_free(b->display);
	g_ptr_array_free(b->devices, TRUE);
	g_hash_table_destroy(b->chardevs);
	if (b->iothreads)
		g_hash_table_destroy(b->iothreads);
	g_free(b->cpus);
	ram_arena_free(&b->arena);
	g_free(h);
}

Device *harness_make(Harness *h, const DeviceClass *cls)
{
	return device_new(&h->board, cls, NULL);
}

void harness_realize(Device *dev)
{
	GError *error = NULL;
	machine_lock();
	device_realize(dev, &error);
	machine_unlock();
	g_assert_no_error(error);
}

Device *harness_add(Harness *h, const DeviceClass *cls)
{
	Device *dev = harness_make(h, cls);
	harness_realize(dev);
	return dev;
}

void harness_set(Device *dev, const char *key, const char *value)
{
	GError *error = NULL;
	device_set(dev, key, value, &error);
	g_assert_no_error(error);
}

void harness_set_all(Device *dev, const char *properties)
{
	char **words = g_strsplit(properties, ",", 0);
	for (unsigned i = 0; words[i] && *words[i]; i++) {
		char **kv = g_strsplit(words[i], "=", 2);
		harness_set(dev, kv[0], kv[1]);
		g_strfreev(kv);
	}
	g_strfreev(words);
}

void harness_add_loop(Harness *h, Loop *loop)
{
	h->board.iothreads = g_hash_table_new(g_str_hash, g_str_equal);
	g_hash_table_insert(h->board.iothreads, (gpointer)"io0", loop);
}

void harness_reset(Harness *h)
{
	machine_lock();
	for (unsigned i = 0; i < h->board.devices->len; i++)
		device_reset(h->board.devices->pdata[i]);
	machine_unlock();
}

static gboolean alarm_rings(gpointer opaque)
{
	*(bool *)opaque = true;
	return G_SOURCE_REMOVE;
}

void harness_freeze(Harness *h)
{
	machine_lock();
	clock_stop(h->board.clock);
	machine_unlock();
	h->frozen = true;
}

void harness_run(Harness *h, int64_t ns)
{
	if (h->frozen) {
		machine_lock();
		clock_advance(h->board.clock, ns);
		machine_unlock();
		return;
	}
	int64_t end = clock_now(h->board.clock) + ns;
	while (clock_now(h->board.clock) < end) {
		bool rang = false;
		int64_t left = end - clock_now(h->board.clock);
		guint id = g_timeout_add((guint)MAX(left / 1000000, 0), alarm_rings, &rang);
		g_main_context_iteration(NULL, TRUE);
		if (!rang)
			g_source_remove(id);
	}
	/* What is due by now is served. */
	for (int i = 0; i < 3; i++)
		g_main_context_iteration(NULL, FALSE);
}

void harness_wait(Harness *h, const unsigned *value)
{
	for (int i = 0; i < 1000 && !*value; i++)
		harness_run(h, 1000000);
	g_assert_cmpuint(*value, !=, 0);
}

uint32_t inb(Harness *h, uint16_t port) { return (uint32_t)as_load(h->board.io, port, 1); }
uint32_t inw(Harness *h, uint16_t port) { return (uint32_t)as_load(h->board.io, port, 2); }
uint32_t inl(Harness *h, uint16_t port) { return (uint32_t)as_load(h->board.io, port, 4); }
void outb(Harness *h, uint16_t port, uint32_t value) { as_store(h->board.io, port, value, 1); }
void outw(Harness *h, uint16_t port, uint32_t value) { as_store(h->board.io, port, value, 2); }
void outl(Harness *h, uint16_t port, uint32_t value) { as_store(h->board.io, port, value, 4); }
uint32_t readl(Harness *h, uint64_t addr) { return (uint32_t)as_load(h->board.mem, addr, 4); }
void writel(Harness *h, uint64_t addr, uint32_t value) { as_store(h->board.mem, addr, value, 4); }

static uint16_t pci_select(Harness *h, unsigned slot, unsigned fn, unsigned reg)
{
	outl(h, 0xcf8, 0x80000000u | slot << 11 | fn << 8 | (reg & 0xfc));
	return (uint16_t)(0xcfc + (reg & 3));
}

uint32_t pci_in(Harness *h, unsigned slot, unsigned fn, unsigned reg, unsigned size)
{
	return (uint32_t)as_load(h->board.io, pci_select(h, slot, fn, reg), size);
}

void pci_out(Harness *h, unsigned slot, unsigned fn, unsigned reg, uint32_t value, unsigned size)
{
	as_store(h->board.io, pci_select(h, slot, fn, reg), value, size);
}
