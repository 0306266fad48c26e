/*
 * test-pflash.c - NOR flash through its window: what it holds, commands, status, what the drive
 * gets of it.
 */
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "block/blk.h"
#include "core/lock.h"
#include "harness.h"
#include "hw/classes.h"

enum { SIZE = 256 << 10, BLOCK = 4096, BUFFER = 2048, READY = 0x80, ERASE_FAILED = 0x20,
	PROGRAM_FAILED = 0x10 };
#define BASE 0xff000000ull

typedef struct Rig { Harness *h; Blk *blk; char *path; uint8_t *image; } Rig;

static uint8_t first_byte(unsigned at)
{
	return (uint8_t)(at * 7 + at / 256);
}

static void rig_new(Rig *r, bool read_only)
{
	GError *error = NULL;
	r->path = g_strdup_printf("%s/viv-pflash-%d", g_get_tmp_dir(), getpid());
	r->image = g_malloc(SIZE);
	for (unsigned i = 0; i < SIZE; i++)
		r->image[i] = first_byte(i);
	g_assert_true(g_file_set_contents(r->path, (char *)r->image, SIZE, NULL));
	r->h = harness_new();
	Node *node = node_open(loop_main(), r->path, json_pack("{s:s}", "driver", "raw"),
		read_only ? 0 : NODE_WRITE, &error);
	g_assert_no_error(error);
	r->blk = blk_new("flash");
	blk_set_read_only(r->blk, read_only);
	blk_insert(r->blk, node);
	Device *dev = harness_make(r->h, &pflash_cfi01_class);
	device_set_ptr(dev, "drive", r->blk);
	g_assert_true(device_set(dev, "base", "4278190080", &error));
	harness_realize(dev);
}

/* What the drive holds at the end must be `image`. */
static void rig_free(Rig *r)
{
	char *data;
	gsize len;
	harness_free(r->h);
	machine_lock();
	blk_free(r->blk);
	machine_unlock();
	g_assert_true(g_file_get_contents(r->path, &data, &len, NULL));
	g_assert_cmpmem(data, len, r->image, SIZE);
	g_free(data);
	g_unlink(r->path);
	g_free(r->path);
	g_free(r->image);
}

static uint8_t get(Rig *r, uint64_t at)
{
	return (uint8_t)as_load(r->h->board.mem, BASE + at, 1);
}

static void put(Rig *r, uint64_t at, uint8_t value)
{
	as_store(r->h->board.mem, BASE + at, value, 1);
}

static void expect_array(Rig *r)
{
	put(r, 0, 0xff);
	for (unsigned i = 0; i < SIZE; i += 61)
		g_assert_cmphex(get(r, i), ==, r->image[i]);
	g_assert_cmphex(readl(r->h, BASE + 0x1004), ==, GUINT32_FROM_LE(*(uint32_t *)(r->image + 0x1004)));
}

/* ---- what it says of itself ---- */

static void test_query(void)
{
	Rig r;
	rig_new(&r, false);
	expect_array(&r);
	put(&r, 0x55, 0x98);
	g_assert_cmphex(get(&r, 0x10), ==, 'Q');
	g_assert_cmphex(get(&r, 0x11), ==, 'R');
	g_assert_cmphex(get(&r, 0x12), ==, 'Y');
	g_assert_cmphex(get(&r, 0x13), ==, 1); /* Intel's commands */
	g_assert_cmpuint(1u << get(&r, 0x27), ==, SIZE);
	g_assert_cmpuint(1u << get(&r, 0x2a), ==, BUFFER);
	unsigned blocks = get(&r, 0x2d) + get(&r, 0x2e) * 256 + 1;
	unsigned bytes = (get(&r, 0x2f) + get(&r, 0x30) * 256) * 256;
	g_assert_cmpuint(blocks, ==, SIZE / BLOCK);
	g_assert_cmpuint(bytes, ==, BLOCK);
	put(&r, 0, 0x90);
	g_assert_cmphex(get(&r, 0), ==, 0x89);
	put(&r, 0, 0x70);
	g_assert_cmphex(get(&r, 1234), ==, READY);
	expect_array(&r);
	rig_free(&r);
}

/* ---- programming ---- */

static void test_program(void)
{
	Rig r;
	rig_new(&r, false);
	put(&r, 100, 0x40);
	put(&r, 100, 0xab);
	g_assert_cmphex(get(&r, 0), ==, READY);
	r.image[100] = 0xab;
	put(&r, SIZE - 1, 0x10);
	put(&r, SIZE - 1, 0xcd);
	r.image[SIZE - 1] = 0xcd;
	g_assert_cmphex(get(&r, 0), ==, READY);
	/* Four bytes at once, as a wide bus would. */
	put(&r, 0x1004, 0x40);
	writel(r.h, BASE + 0x1004, 0x44332211);
	memcpy(r.image + 0x1004, "\x11\x22\x33\x44", 4);
	expect_array(&r);
	rig_free(&r);
}

static void test_erase(void)
{
	Rig r;
	rig_new(&r, false);
	put(&r, 2 * BLOCK + 77, 0x20);
	put(&r, 2 * BLOCK + 77, 0xd0);
	g_assert_cmphex(get(&r, 0), ==, READY);
	memset(r.image + 2 * BLOCK, 0xff, BLOCK);
	expect_array(&r);
	/* Not confirmed: both error bits, the command sequence error; cleared by CLEAR STATUS. */
	put(&r, 0, 0x20);
	put(&r, 0, 0x00);
	put(&r, 0, 0x70);
	g_assert_cmphex(get(&r, 0), ==, READY | ERASE_FAILED | PROGRAM_FAILED);
	put(&r, 0, 0x50);
	put(&r, 0, 0x70);
	g_assert_cmphex(get(&r, 0) & (ERASE_FAILED | PROGRAM_FAILED), ==, 0);
	expect_array(&r);
	rig_free(&r);
}

static void fill_buffer(Rig *r, uint64_t at, unsigned count, uint8_t value, uint8_t confirm)
{
	put(r, at, 0xe8);
	g_assert_cmphex(get(r, at) & READY, ==, READY);
	put(r, at, (uint8_t)(count - 1));
	for (unsigned i = 0; i < count; i++)
		put(r, at + i, (uint8_t)(value + i));
	put(r, at, confirm);
}

static void test_buffered(void)
{
	Rig r;
	rig_new(&r, false);
	fill_buffer(&r, 3 * BLOCK + 32, 64, 5, 0xd0);
	g_assert_cmphex(get(&r, 0), ==, READY);
	for (unsigned i = 0; i < 64; i++)
		r.image[3 * BLOCK + 32 + i] = (uint8_t)(5 + i);
	expect_array(&r);
	/* Another word than CONFIRM: nothing is written. */
	fill_buffer(&r, 4 * BLOCK, 16, 9, 0x00);
	put(&r, 0, 0x70);
	g_assert_cmphex(get(&r, 0) & PROGRAM_FAILED, ==, PROGRAM_FAILED);
	put(&r, 0, 0x50);
	expect_array(&r);
	/* Past the buffer's window: refused, and what follows works. */
	fill_buffer(&r, 5 * BLOCK + BUFFER - 8, 16, 1, 0xd0);
	put(&r, 0, 0x70);
	g_assert_cmphex(get(&r, 0) & PROGRAM_FAILED, ==, PROGRAM_FAILED);
	put(&r, 0, 0x50);
	expect_array(&r);
	rig_free(&r);
}

static void test_read_only(void)
{
	Rig r;
	rig_new(&r, true);
	put(&r, 100, 0x40);
	put(&r, 100, 0xab);
	g_assert_cmphex(get(&r, 0) & PROGRAM_FAILED, ==, PROGRAM_FAILED);
	put(&r, 0, 0x50);
	put(&r, 0, 0x20);
	put(&r, 0, 0xd0);
	put(&r, 0, 0x70);
	g_assert_cmphex(get(&r, 0) & ERASE_FAILED, ==, ERASE_FAILED);
	put(&r, 0, 0x50);
	fill_buffer(&r, 0, 8, 1, 0xd0);
	put(&r, 0, 0x70);
	g_assert_cmphex(get(&r, 0) & PROGRAM_FAILED, ==, PROGRAM_FAILED);
	expect_array(&r);
	rig_free(&r);
}

/* Whatever is written where, by any width: no crash, and the drive holds what the window shows. */
static void test_noise(void)
{
	static const uint8_t codes[] = { 0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0x90, 0x98, 0xe8, 0xd0,
		0xff };
	Rig r;
	GRand *rng = g_rand_new_with_seed(g_test_rand_int());
	rig_new(&r, false);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned size = 1u << g_rand_int_range(rng, 0, 4);
		uint64_t at = (uint64_t)g_rand_int_range(rng, 0, SIZE) & ~(uint64_t)(size - 1);
		uint64_t value = g_rand_boolean(rng) ? codes[g_rand_int_range(rng, 0, sizeof(codes))]
			: g_rand_int(rng);
		if (g_rand_int_range(rng, 0, 4))
			as_store(r.h->board.mem, BASE + at, value, size);
		else
			as_load(r.h->board.mem, BASE + at, size);
	}
	/* Out of a buffer that may be filling, then back to the array. */
	for (unsigned i = 0; i < 2 * BUFFER + 4; i++)
		put(&r, 0, 0xff);
	put(&r, 0, 0xff);
	for (unsigned i = 0; i < SIZE; i++)
		r.image[i] = get(&r, i);
	g_rand_free(rng);
	rig_free(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pflash/query", test_query);
	g_test_add_func("/pflash/program", test_program);
	g_test_add_func("/pflash/erase", test_erase);
	g_test_add_func("/pflash/buffered", test_buffered);
	g_test_add_func("/pflash/read-only", test_read_only);
	g_test_add_func("/pflash/noise", test_noise);
	return g_test_run();
}
