/* test-core-memory.c - arena, address spaces, access splitting, checked guest access. */
#include <string.h>

#include "core/lock.h"
#include "core/memory.h"

typedef struct Log {
	unsigned count;
	uint64_t offset[16], value[16];
	unsigned size[16];
} Log;

static uint64_t log_read(void *opaque, uint64_t offset, unsigned size)
{
	Log *l = opaque;
	l->offset[l->count % 16] = offset;
	l->size[l->count++ % 16] = size;
	return 0x8877665544332211ull >> (8 * (offset & 7));
}

static void log_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Log *l = opaque;
	l->offset[l->count % 16] = offset;
	l->value[l->count % 16] = value;
	l->size[l->count++ % 16] = size;
}

typedef struct Space {
	RamArena arena;
	AddressSpace *as;
	uint8_t *ram;
	Region region;
} Space;

static void space_init(Space *s)
{
	GError *error = NULL;
	g_assert_true(ram_arena_init(&s->arena, 1 << 20, &error));
	s->as = as_new("test", 0, &s->arena);
	s->ram = ram_arena_alloc(&s->arena, 0x10000, &error);
	region_init_ram(&s->region, "ram", s->ram, 0x10000, false);
	as_map(s->as, &s->region, 0, 0);
}

static void space_free(Space *s)
{
	as_free(s->as);
	ram_arena_free(&s->arena);
}

static void test_arena(void)
{
	RamArena a;
	GError *error = NULL;
	g_assert_true(ram_arena_init(&a, 3 * 4096, &error));
	uint8_t *p = ram_arena_alloc(&a, 5000, &error);
	g_assert_nonnull(p);
	g_assert_cmpuint(a.used, ==, 8192);
	g_assert_null(ram_arena_alloc(&a, 5000, &error));
	g_assert_nonnull(error);
	g_clear_error(&error);
	g_assert_null(ram_arena_alloc(&a, UINT64_MAX, &error));
	g_clear_error(&error);
	g_assert_true(ram_arena_owns(&a, p + 8191));
	g_assert_false(ram_arena_owns(&a, p + 8192));
	ram_arena_free(&a);
}

static void test_written(void)
{
	Space s;
	space_init(&s);
	_Atomic uint32_t *first = ram_page_state(&s.arena, s.ram), *second = first + 1;
	atomic_store(first, PAGE_CODE);
	atomic_store(second, PAGE_CODE);
	as_store(s.as, 0x10, 1, 4);
	g_assert_cmpuint(atomic_load(first), ==, PAGE_GENERATION);
	g_assert_cmpuint(atomic_load(second), ==, PAGE_CODE);
	as_store(s.as, 0x10, 1, 4); /* holds no code any more: nothing to tell */
	g_assert_cmpuint(atomic_load(first), ==, PAGE_GENERATION);
	guest_write(s.as, 0xffe, "abcd", 4);
	g_assert_cmpuint(atomic_load(second), ==, PAGE_GENERATION);
	space_free(&s);
}

static void test_priority(void)
{
	Space s;
	Log low = { 0 }, high = { 0 };
	static const RegionOps ops = { log_read, log_write };
	Region a, b;
	size_t count;
	space_init(&s);
	region_init_io(&a, "a", &ops, &low, 0x2000);
	region_init_io(&b, "b", &ops, &high, 0x100);
	as_map(s.as, &a, 0x4000, 1);
	as_map(s.as, &b, 0x4800, 2);
	const FlatRange *r = as_ranges(s.as, &count);
	g_assert_cmpuint(count, ==, 5);
	g_assert_cmphex(r[3].start, ==, 0x4900);
	g_assert_cmphex(r[3].offset, ==, 0x900);
	g_assert_cmphex(r[4].end, ==, 0xffff);
	as_load(s.as, 0x4804, 1);
	g_assert_cmpuint(high.count, ==, 1);
	g_assert_cmphex(high.offset[0], ==, 4);
	as_unmap(&b);
	as_load(s.as, 0x4804, 1);
	g_assert_cmphex(low.offset[0], ==, 0x804);
	/* equal priority: the later one is on top; a move is one step */
	as_map(s.as, &b, 0x4000, 1);
	as_load(s.as, 0x4000, 1);
	g_assert_cmpuint(high.count, ==, 2);
	as_map(s.as, &b, UINT64_MAX - 0xff, 1);
	as_load(s.as, UINT64_MAX, 1);
	g_assert_cmphex(high.offset[2], ==, 0xff);
	space_free(&s);
}

static void test_splitting(void)
{
	Space s;
	Log l = { 0 };
	static const RegionOps narrow = { log_read, log_write, 1, 2 }, wide = { log_read, log_write, 4, 8 };
	Region n, w;
	space_init(&s);
	region_init_io(&n, "narrow", &narrow, &l, 0x10);
	region_init_io(&w, "wide", &wide, &l, 0x10);
	as_map(s.as, &n, 0x20000, 0);
	as_map(s.as, &w, 0x30000, 0);
	g_assert_cmphex(as_load(s.as, 0x20000, 8), ==, 0x8877665544332211ull);
	g_assert_cmpuint(l.count, ==, 4);
	l.count = 0;
	g_assert_cmphex(as_load(s.as, 0x30001, 1), ==, 0x22);
	g_assert_cmphex(as_load(s.as, 0x30006, 2), ==, 0x8877);
	g_assert_cmpuint(l.count, ==, 2);
	g_assert_cmpuint(l.size[0], ==, 4);
	g_assert_cmphex(l.offset[1], ==, 4);
	l.count = 0;
	as_store(s.as, 0x20000, 0x44332211, 4);
	g_assert_cmphex(l.value[0], ==, 0x2211);
	g_assert_cmphex(l.value[1], ==, 0x4433);
	/* over the end of RAM, and nowhere */
	s.ram[0xffff] = 0x5a;
	g_assert_cmphex(as_load(s.as, 0xffff, 2), ==, 0xff5a);
	g_assert_cmphex(as_load(s.as, 0x900000, 4), ==, 0xffffffff);
	as_store(s.as, 0x900000, 1, 4);
	space_free(&s);
}

static void test_guest(void)
{
	Space s;
	Region rom;
	GError *error = NULL;
	char buf[8];
	space_init(&s);
	uint8_t *host = ram_arena_alloc(&s.arena, 4096, &error);
	region_init_ram(&rom, "rom", host, 4096, true);
	as_map(s.as, &rom, 0x10000, 0);
	g_assert_true(guest_write(s.as, 0x100, "hello", 5));
	g_assert_false(guest_write(s.as, 0xfffe, "abcd", 4));
	g_assert_cmpmem(s.ram + 0xfffe, 2, "ab", 2);
	g_assert_cmpint(host[0], ==, 0);
	g_assert_true(guest_write_rom(s.as, 0xfffe, "wxyz", 4));
	g_assert_true(guest_read(s.as, 0xfffe, buf, 4));
	g_assert_cmpmem(buf, 4, "wxyz", 4);
	g_assert_false(guest_read(s.as, 0x10ffe, buf, 4));
	g_assert_cmpint((uint8_t)buf[3], ==, 0xff);
	g_assert_true(guest_map(s.as, 0x100, 5, true) == s.ram + 0x100);
	g_assert_null(guest_map(s.as, 0xfffe, 4, false));
	g_assert_null(guest_map(s.as, 0x10000, 4, true));
	g_assert_true(guest_map(s.as, 0x10000, 4, false) == host);
	space_free(&s);
}

static void count_changes(void *opaque, const FlatRange *ranges, size_t count)
{
	++*(unsigned *)opaque;
}

static void test_listener(void)
{
	Space s;
	Region r;
	unsigned changes = 0;
	space_init(&s);
	region_init_io(&r, "r", NULL, NULL, 0x10);
	as_add_listener(s.as, (MapListener){ count_changes, &changes });
	g_assert_cmpuint(changes, ==, 1);
	as_begin(s.as);
	as_map(s.as, &r, 0x100, 1);
	as_map(s.as, &r, 0x200, 1);
	as_set_host(&r, s.ram, NULL);
	g_assert_cmpuint(changes, ==, 1);
	as_commit(s.as);
	g_assert_cmpuint(changes, ==, 2);
	as_map(s.as, &r, 0x200, 1); /* where it is already */
	g_assert_cmpuint(changes, ==, 2);
	space_free(&s);
}

static gpointer reader(gpointer opaque)
{
	Space *s = opaque;
	for (int i = 0; i < 100000; i++) {
		Translation t;
		as_translate(s->as, 0x4000, &t);
		g_assert_true(t.host_read == s->ram + 0x4000 || t.host_read == s->ram);
	}
	return NULL;
}

static void test_threads(void)
{
	Space s;
	Region r;
	space_init(&s);
	region_init_ram(&r, "alias", s.ram, 0x1000, false);
	GThread *thread = g_thread_new("reader", reader, &s);
	for (int i = 0; i < 1000; i++) {
		machine_lock();
		as_map(s.as, &r, 0x4000, 1);
		as_unmap(&r);
		machine_unlock();
	}
	g_thread_join(thread);
	space_free(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/memory/arena", test_arena);
	g_test_add_func("/memory/written", test_written);
	g_test_add_func("/memory/priority", test_priority);
	g_test_add_func("/memory/splitting", test_splitting);
	g_test_add_func("/memory/guest", test_guest);
	g_test_add_func("/memory/listener", test_listener);
	g_test_add_func("/memory/threads", test_threads);
	return g_test_run();
}
