/*
 * test-ide.c - the PIIX3's IDE channels through their ports: data port, bus master, packets, errors.
 */
#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "ide-rig.h"

#define BSY 0x80u
#define DRQ 0x08u
#define ERR 0x01u
#define DATA 0x20000u

static uint8_t settle(IdeRig *r, uint16_t base)
{
	for (int i = 0; i < 2000 && inb(r->h, (uint16_t)(base + 0x206)) & BSY; i++)
		harness_run(r->h, 100000);
	return (uint8_t)inb(r->h, (uint16_t)(base + 7));
}

static void task(IdeRig *r, uint16_t base, unsigned count, uint32_t lba, uint8_t command)
{
	Harness *h = r->h;
	outb(h, base + 2, count);
	outb(h, base + 3, lba & 0xff);
	outb(h, base + 4, lba >> 8 & 0xff);
	outb(h, base + 5, lba >> 16 & 0xff);
	outb(h, base + 6, 0xe0 | (lba >> 24 & 15));
	outb(h, base + 7, command);
}

static void task48(IdeRig *r, unsigned count, uint64_t lba, uint8_t command)
{
	Harness *h = r->h;
	outb(h, 0x1f2, count >> 8);
	outb(h, 0x1f3, lba >> 24 & 0xff);
	outb(h, 0x1f4, lba >> 32 & 0xff);
	outb(h, 0x1f5, lba >> 40 & 0xff);
	task(r, RIG_DISK, count & 0xff, lba & 0xffffff, command);
}

static void take(IdeRig *r, uint16_t base, void *buf, unsigned len)
{
	uint8_t *p = buf;
	for (unsigned i = 0; i < len; i += 2) {
		uint32_t w = inw(r->h, base);
		p[i] = (uint8_t)w;
		if (i + 1 < len)
			p[i + 1] = (uint8_t)(w >> 8);
	}
}

static void give(IdeRig *r, uint16_t base, const void *buf, unsigned len)
{
	const uint8_t *p = buf;
	for (unsigned i = 0; i < len; i += 2)
		outw(r->h, base, p[i] | (unsigned)(i + 1 < len ? p[i + 1] << 8 : 0));
}

static char *string(const uint8_t *id, unsigned word, unsigned count)
{
	char text[48] = { 0 };
	for (unsigned i = 0; i < 2 * count; i++)
		text[i] = (char)id[2 * word + (i ^ 1)];
	return g_strdup(g_strchomp(text));
}

static void expect_string(const uint8_t *id, unsigned word, unsigned count, const char *wanted)
{
	char *s = string(id, word, count);
	g_assert_cmpstr(s, ==, wanted);
	g_free(s);
}

static void test_identify(void)
{
	IdeRig r;
	uint8_t id[512];
	rig_new(&r, true);
	g_assert_cmphex(inb(r.h, 0x1f7), ==, 0x50);
	g_assert_cmphex(inb(r.h, 0x1f4) | inb(r.h, 0x1f5) << 8, ==, 0);
	task(&r, RIG_DISK, 0, 0, 0xec);
	g_assert_cmpint(r.h->level[14], ==, 1);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x58);
	g_assert_cmpint(r.h->level[14], ==, 0);
	take(&r, RIG_DISK, id, 512);
	g_assert_cmphex(inb(r.h, 0x1f7), ==, 0x50);
	expect_string(id, 27, 20, "QEMU HARDDISK");
	expect_string(id, 10, 10, "QM00001");
	g_assert_cmpuint(id[200] | id[201] << 8 | id[202] << 16, ==, RIG_BYTES / 512);
	/* The second drive is not there; its status is 0 and it takes no command. */
	outb(r.h, 0x1f6, 0xb0);
	g_assert_cmphex(inb(r.h, 0x1f7), ==, 0);
	outb(r.h, 0x1f7, 0xec);
	g_assert_cmphex(inb(r.h, 0x1f7), ==, 0);
	/* A packet device aborts IDENTIFY DEVICE and shows its signature. */
	task(&r, RIG_CD, 0, 0, 0xec);
	g_assert_cmphex(settle(&r, RIG_CD) & ERR, ==, ERR);
	g_assert_cmphex(inb(r.h, 0x174) | inb(r.h, 0x175) << 8, ==, 0xeb14);
	task(&r, RIG_CD, 0, 0, 0xa1);
	g_assert_cmphex(settle(&r, RIG_CD) & DRQ, ==, DRQ);
	take(&r, RIG_CD, id, 512);
	expect_string(id, 27, 20, "QEMU DVD-ROM");
	expect_string(id, 10, 10, "QM00003");
	rig_free(&r);
}

static void read_pio(IdeRig *r, unsigned count, uint32_t lba, uint8_t command, unsigned block)
{
	uint8_t *buf = g_malloc(count * 512);
	unsigned before = r->h->rises[14];
	task(r, RIG_DISK, count, lba, command);
	for (unsigned at = 0; at < count; at += block) {
		g_assert_cmphex(settle(r, RIG_DISK), ==, 0x58);
		take(r, RIG_DISK, buf + at * 512, MIN(block, count - at) * 512);
	}
	g_assert_cmphex(settle(r, RIG_DISK), ==, 0x50);
	g_assert_cmpuint(r->h->rises[14] - before, ==, (count + block - 1) / block);
	g_assert_cmpmem(buf, count * 512, r->m->data + lba * 512, count * 512);
	g_free(buf);
}

static void test_pio(void)
{
	IdeRig r;
	uint8_t buf[4 * 512];
	rig_new(&r, true);
	read_pio(&r, 3, 5, 0x20, 1);
	read_pio(&r, 20, 7, 0xc4, 16);
	task(&r, RIG_DISK, 8, 0, 0xc6);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x50);
	read_pio(&r, 20, 7, 0xc4, 8);
	memset(buf, 0xa5, sizeof(buf));
	task(&r, RIG_DISK, 4, 100, 0x30);
	for (unsigned i = 0; i < 4; i++) {
		g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x58);
		give(&r, RIG_DISK, buf + 512 * i, 512);
	}
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x50);
	g_assert_cmpmem(r.m->data + 100 * 512, sizeof(buf), buf, sizeof(buf));
	/* CHS: cylinder 0, head 1, sector 1 is sector 63. */
	outb(r.h, 0x1f2, 1);
	outb(r.h, 0x1f3, 1);
	outb(r.h, 0x1f4, 0);
	outb(r.h, 0x1f5, 0);
	outb(r.h, 0x1f6, 0xa1);
	outb(r.h, 0x1f7, 0x20);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x58);
	take(&r, RIG_DISK, buf, 512);
	g_assert_cmpmem(buf, 512, r.m->data + 63 * 512, 512);
	rig_free(&r);
}

static void prd(IdeRig *r, unsigned n, uint32_t addr, uint32_t len, bool last)
{
	uint32_t words[2] = { addr, (len & 0xffff) | (last ? 0x80000000u : 0) };
	memcpy(r->h->board.ram + RIG_TABLE + 8 * n, words, 8);
}

static uint8_t run_bm(IdeRig *r, unsigned channel, bool in)
{
	uint16_t bm = (uint16_t)(RIG_BM + 8 * channel), base = channel ? RIG_CD : RIG_DISK;
	outl(r->h, (uint16_t)(bm + 4), RIG_TABLE);
	outb(r->h, (uint16_t)(bm + 2), 6);
	outb(r->h, bm, in ? 9 : 1);
	for (int i = 0; i < 2000 && inb(r->h, (uint16_t)(base + 0x206)) & BSY; i++)
		harness_run(r->h, 100000);
	uint8_t status = (uint8_t)inb(r->h, (uint16_t)(bm + 2));
	outb(r->h, bm, 0);
	return status;
}

static void test_dma(void)
{
	IdeRig r;
	rig_new(&r, true);
	uint8_t *ram = r.h->board.ram;
	prd(&r, 0, DATA, 512, false);
	prd(&r, 1, DATA + 0x10000, 0, true); /* 64 KiB */
	task48(&r, 129, 9, 0x25);
	g_assert_cmphex(run_bm(&r, 0, true), ==, 4);
	g_assert_cmphex(inb(r.h, 0x1f7), ==, 0x50);
	g_assert_cmpmem(ram + DATA, 512, r.m->data + 9 * 512, 512);
	g_assert_cmpmem(ram + DATA + 0x10000, 65536, r.m->data + 10 * 512, 65536);
	memset(ram + DATA, 0x3c, 1024);
	prd(&r, 0, DATA, 1024, true);
	task(&r, RIG_DISK, 2, 40, 0xca);
	g_assert_cmphex(run_bm(&r, 0, false), ==, 4);
	g_assert_cmpmem(ram + DATA, 1024, r.m->data + 40 * 512, 1024);
	/* More memory than data leaves the engine active. */
	prd(&r, 0, DATA, 2048, true);
	task(&r, RIG_DISK, 2, 40, 0xc8);
	g_assert_cmphex(run_bm(&r, 0, true), ==, 5);
	/* TRIM of sectors 64 to 71. */
	static const uint8_t range[8] = { 64, 0, 0, 0, 0, 0, 8, 0 };
	memset(ram + DATA, 0, 512);
	memcpy(ram + DATA, range, 8);
	prd(&r, 0, DATA, 512, true);
	outb(r.h, 0x1f1, 1);
	task48(&r, 1, 0, 0x06);
	g_assert_cmphex(run_bm(&r, 0, false) & 6, ==, 4);
	g_assert_cmpuint(r.m->discards, ==, 1);
	g_assert_cmphex(r.m->data[64 * 512], ==, 0xdd);
	g_assert_cmphex(r.m->data[72 * 512 - 1], ==, 0xdd);
	rig_free(&r);
}

static void test_hostile_prds(void)
{
	IdeRig r;
	rig_new(&r, true);
	/* Outside RAM: the error state, and an aborted command. */
	prd(&r, 0, 0xf0000000, 512, true);
	task(&r, RIG_DISK, 1, 0, 0xc8);
	g_assert_cmphex(run_bm(&r, 0, true), ==, 6);
	g_assert_cmphex(inb(r.h, 0x1f7) & (ERR | BSY | DRQ), ==, ERR);
	/* Too short: no interrupt, not active. */
	prd(&r, 0, DATA, 512, true);
	task(&r, RIG_DISK, 2, 0, 0xc8);
	g_assert_cmphex(run_bm(&r, 0, true), ==, 0);
	g_assert_cmphex(inb(r.h, 0x1f7) & (BSY | DRQ), ==, 0);
	/* Two bytes each, and no end: the table's 64 KiB hold 16 KiB of data. */
	for (unsigned i = 0; i < 8192; i++)
		prd(&r, i, DATA + 2 * i, 2, false);
	task(&r, RIG_DISK, 0, 0, 0xc8);
	g_assert_cmphex(run_bm(&r, 0, true) & 5, ==, 0);
	g_assert_cmpmem(r.h->board.ram + DATA, 16384, r.m->data, 16384);
	/* A table that is nowhere, and a function that may not master the bus. */
	task(&r, RIG_DISK, 1, 0, 0xc8);
	outl(r.h, RIG_BM + 4, 0xfffffff8);
	outb(r.h, RIG_BM, 9);
	g_assert_cmphex(inb(r.h, RIG_BM + 2) & 3, ==, 2);
	outb(r.h, RIG_BM, 0);
	inb(r.h, 0x1f7);
	pci_out(r.h, 1, 1, 4, 1, 2);
	prd(&r, 0, DATA, 512, true);
	task(&r, RIG_DISK, 1, 0, 0xc8);
	g_assert_cmphex(run_bm(&r, 0, true) & 3, ==, 2);
	rig_free(&r);
}

static void test_errors(void)
{
	IdeRig r;
	rig_new(&r, true);
	task(&r, RIG_DISK, 2, RIG_BYTES / 512 - 1, 0x20);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x51);
	g_assert_cmphex(inb(r.h, 0x1f1), ==, 0x10);
	task48(&r, 1, 0xffffffffffffull, 0x25);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x51);
	task(&r, RIG_DISK, 1, 0, 0x5f);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x51);
	g_assert_cmphex(inb(r.h, 0x1f1), ==, 4);
	r.m->error = -EIO;
	task(&r, RIG_DISK, 1, 77, 0x20);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x51);
	g_assert_cmphex(inb(r.h, 0x1f1), ==, 0x40);
	g_assert_cmphex(inb(r.h, 0x1f3), ==, 77);
	task(&r, RIG_DISK, 0, 0, 0xe7);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x51);
	r.m->error = 0;
	task(&r, RIG_DISK, 0, 0, 0xe7);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x50);
	rig_free(&r);
}

static void test_reset_busy(void)
{
	IdeRig r;
	rig_new(&r, true);
	prd(&r, 0, DATA, 512, true);
	for (unsigned way = 0; way < 3; way++) {
		r.m->hold = true;
		task(&r, RIG_DISK, 1, 3, way ? 0x20 : 0xc8);
		if (!way) {
			outl(r.h, RIG_BM + 4, RIG_TABLE);
			outb(r.h, RIG_BM, 9);
		}
		g_assert_cmphex(inb(r.h, 0x3f6) & BSY, ==, BSY);
		g_assert_cmphex(r.m->waiting, ==, 1);
		outb(r.h, 0x1f7, 0xec); /* not taken */
		r.m->hold = false;
		if (way == 2) {
			rig_reset(&r);
		} else {
			outb(r.h, 0x3f6, 4);
			g_assert_cmphex(inb(r.h, 0x3f6), ==, 0x90);
			outb(r.h, 0x3f6, 0);
		}
		g_assert_cmphex(inb(r.h, 0x3f6), ==, 0x50);
		g_assert_cmphex(inb(r.h, 0x1f2) | inb(r.h, 0x1f3) << 8, ==, 0x101);
		outb(r.h, RIG_BM, 0);
		harness_run(r.h, 3000000);
		g_assert_cmphex(inb(r.h, 0x3f6), ==, 0x50);
		read_pio(&r, 2, 3, 0x20, 1);
	}
	rig_free(&r);
}

/* A packet's data by the data port; how many bytes came, in *status the last one. */
static unsigned packet(IdeRig *r, const uint8_t *cdb, void *out, unsigned max, unsigned limit, uint8_t *status)
{
	unsigned n = 0;
	outb(r->h, 0x171, 0);
	outb(r->h, 0x174, limit & 0xff);
	outb(r->h, 0x175, limit >> 8);
	outb(r->h, 0x176, 0xa0);
	outb(r->h, 0x177, 0xa0);
	g_assert_cmphex(settle(r, RIG_CD) & (BSY | DRQ | ERR), ==, DRQ);
	g_assert_cmphex(inb(r->h, 0x172) & 7, ==, 1);
	give(r, RIG_CD, cdb, 12);
	while ((*status = settle(r, RIG_CD)) & DRQ) {
		unsigned len = inb(r->h, 0x174) | inb(r->h, 0x175) << 8;
		g_assert_cmphex(inb(r->h, 0x172) & 7, ==, 2);
		g_assert_cmpuint(len, <=, limit);
		g_assert_cmpuint(n + len, <=, max);
		take(r, RIG_CD, (uint8_t *)out + n, len);
		n += len;
	}
	g_assert_cmphex(inb(r->h, 0x172) & 7, ==, 3);
	return n;
}

static void sense_is(IdeRig *r, uint8_t key, uint8_t asc)
{
	static const uint8_t cdb[12] = { 0x03, 0, 0, 0, 18 };
	uint8_t buf[64], status;
	g_assert_cmpuint(packet(r, cdb, buf, sizeof(buf), 0xfffe, &status), ==, 18);
	g_assert_cmphex(status & ERR, ==, 0);
	g_assert_cmphex(buf[2], ==, key);
	g_assert_cmphex(buf[12], ==, asc);
}

static const uint8_t unit_ready[12] = { 0 };

static void test_atapi(void)
{
	static const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 96 }, capacity[12] = { 0x25 };
	static const uint8_t read10[12] = { 0x28, 0, 0, 0, 0, 3, 0, 0, 5 }, beyond[12] = { 0x28, 0, 1 };
	static const uint8_t toc[12] = { 0x43, 0, 0, 0, 0, 0, 0, 0, 64 };
	static const uint8_t raw[12] = { 0xbe, 0, 0, 0, 0, 2, 0, 0, 2, 0xf8 };
	IdeRig r;
	uint8_t buf[5 * 2048], status;
	rig_new(&r, true);
	g_assert_cmpuint(packet(&r, inquiry, buf, 96, 0xfffe, &status), ==, 36);
	g_assert_cmpmem(buf + 8, 24, "QEMU    QEMU DVD-ROM    ", 24);
	packet(&r, unit_ready, buf, 0, 0, &status);
	g_assert_cmphex(status, ==, 0x50);
	g_assert_cmpuint(packet(&r, capacity, buf, 8, 8, &status), ==, 8);
	g_assert_cmpuint(buf[3] | buf[2] << 8, ==, RIG_BYTES / 2048 - 1);
	g_assert_cmpuint(packet(&r, read10, buf, sizeof(buf), 2048, &status), ==, sizeof(buf));
	g_assert_cmpmem(buf, sizeof(buf), r.c->data + 3 * 2048, sizeof(buf));
	g_assert_cmpuint(packet(&r, read10, buf, sizeof(buf), 3000, &status), ==, sizeof(buf));
	g_assert_cmpmem(buf, sizeof(buf), r.c->data + 3 * 2048, sizeof(buf));
	g_assert_cmpuint(packet(&r, toc, buf, 64, 64, &status), ==, 20);
	g_assert_cmpuint(packet(&r, raw, buf, 4704, 0xfffe, &status), ==, 4704);
	g_assert_cmpmem(buf + 16, 2048, r.c->data + 2 * 2048, 2048);
	g_assert_cmpmem(buf + 2352 + 16, 2048, r.c->data + 3 * 2048, 2048);
	g_assert_cmphex(buf[14], ==, 2); /* 00:02:02 */
	packet(&r, beyond, buf, 0, 2048, &status);
	g_assert_cmphex(status, ==, 0x51);
	g_assert_cmphex(inb(r.h, 0x171) >> 4, ==, 5);
	sense_is(&r, 5, 0x21);
	sense_is(&r, 0, 0);
	r.c->error = -EIO;
	packet(&r, read10, buf, sizeof(buf), 2048, &status);
	g_assert_cmphex(status, ==, 0x51);
	sense_is(&r, 3, 0x11);
	rig_free(&r);
}

static void test_atapi_dma(void)
{
	static const uint8_t read10[12] = { 0x28, 0, 0, 0, 0, 3, 0, 0, 5 }, inquiry[12] = { 0x12, 0, 0, 0, 96 };
	IdeRig r;
	rig_new(&r, true);
	for (unsigned way = 0; way < 2; way++) {
		prd(&r, 0, DATA, 100, false);
		prd(&r, 1, DATA + 100, way ? 0 : 5 * 2048 - 100, true);
		outb(r.h, 0x171, 1);
		outb(r.h, 0x176, 0xa0);
		outb(r.h, 0x177, 0xa0);
		give(&r, RIG_CD, way ? inquiry : read10, 12);
		g_assert_cmphex(run_bm(&r, 1, true) & 6, ==, 4);
		g_assert_cmphex(inb(r.h, 0x177), ==, 0x50);
		if (way)
			g_assert_cmpmem(r.h->board.ram + DATA + 8, 4, "QEMU", 4);
		else
			g_assert_cmpmem(r.h->board.ram + DATA, 5 * 2048, r.c->data + 3 * 2048, 5 * 2048);
	}
	/* Memory that ends before the data: the command is given up, the next one works. */
	prd(&r, 0, DATA, 100, true);
	outb(r.h, 0x171, 1);
	outb(r.h, 0x177, 0xa0);
	give(&r, RIG_CD, read10, 12);
	run_bm(&r, 1, true);
	outb(r.h, 0x177, 8);
	uint8_t status;
	packet(&r, unit_ready, NULL, 0, 0, &status);
	g_assert_cmphex(status, ==, 0x50);
	rig_free(&r);
}

static void test_medium(void)
{
	static const uint8_t lock[12] = { 0x1e, 0, 0, 0, 1 }, eject[12] = { 0x1b, 0, 0, 0, 2 };
	static const uint8_t unlock[12] = { 0x1e }, load[12] = { 0x1b, 0, 0, 0, 3 };
	static const uint8_t event[12] = { 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 };
	IdeRig r;
	uint8_t buf[8], status;
	rig_new(&r, false);
	packet(&r, unit_ready, NULL, 0, 0, &status);
	g_assert_cmphex(status, ==, 0x51);
	sense_is(&r, 2, 0x3a);
	machine_lock();
	blk_insert(r.disc, medium_node(r.c, "late"));
	machine_unlock();
	packet(&r, event, buf, 8, 8, &status);
	g_assert_cmphex(buf[4], ==, 2);
	packet(&r, unit_ready, NULL, 0, 0, &status);
	sense_is(&r, 2, 0x3a);
	packet(&r, unit_ready, NULL, 0, 0, &status);
	sense_is(&r, 6, 0x28);
	packet(&r, unit_ready, NULL, 0, 0, &status);
	g_assert_cmphex(status, ==, 0x50);
	packet(&r, lock, NULL, 0, 0, &status);
	packet(&r, eject, NULL, 0, 0, &status);
	sense_is(&r, 5, 0x53);
	packet(&r, unlock, NULL, 0, 0, &status);
	packet(&r, eject, NULL, 0, 0, &status);
	g_assert_cmphex(status, ==, 0x50);
	packet(&r, unit_ready, NULL, 0, 0, &status);
	sense_is(&r, 2, 0x3a);
	packet(&r, load, NULL, 0, 0, &status);
	packet(&r, unit_ready, NULL, 0, 0, &status);
	sense_is(&r, 6, 0x28);
	packet(&r, unit_ready, NULL, 0, 0, &status);
	g_assert_cmphex(status, ==, 0x50);
	rig_free(&r);
}

static void test_smart(void)
{
	IdeRig r;
	uint8_t buf[512], sum = 0;
	rig_new(&r, true);
	outb(r.h, 0x1f1, 0xd0);
	task(&r, RIG_DISK, 1, 0xc24f00, 0xb0);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x58);
	take(&r, RIG_DISK, buf, 512);
	for (unsigned i = 0; i < 512; i++)
		sum = (uint8_t)(sum + buf[i]);
	g_assert_cmphex(sum, ==, 0);
	outb(r.h, 0x1f1, 0xd9);
	task(&r, RIG_DISK, 1, 0xc24f00, 0xb0);
	outb(r.h, 0x1f1, 0xd0);
	task(&r, RIG_DISK, 1, 0xc24f00, 0xb0);
	g_assert_cmphex(settle(&r, RIG_DISK), ==, 0x51);
	rig_free(&r);
}

/* nIEN holds the interrupt back, and lets it go. */
static void test_nien(void)
{
	IdeRig r;
	rig_new(&r, true);
	outb(r.h, 0x3f6, 2);
	task(&r, RIG_DISK, 0, 0, 0xe0);
	g_assert_cmpint(r.h->level[14], ==, 0);
	outb(r.h, 0x3f6, 0);
	g_assert_cmpint(r.h->level[14], ==, 1);
	inb(r.h, 0x3f6);
	g_assert_cmpint(r.h->level[14], ==, 1);
	inb(r.h, 0x1f7);
	g_assert_cmpint(r.h->level[14], ==, 0);
	rig_free(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_attach_main();
	g_test_add_func("/ide/identify", test_identify);
	g_test_add_func("/ide/pio", test_pio);
	g_test_add_func("/ide/dma", test_dma);
	g_test_add_func("/ide/hostile-prds", test_hostile_prds);
	g_test_add_func("/ide/errors", test_errors);
	g_test_add_func("/ide/reset-busy", test_reset_busy);
	g_test_add_func("/ide/atapi", test_atapi);
	g_test_add_func("/ide/atapi-dma", test_atapi_dma);
	g_test_add_func("/ide/medium", test_medium);
	g_test_add_func("/ide/smart", test_smart);
	g_test_add_func("/ide/nien", test_nien);
	return g_test_run();
}
