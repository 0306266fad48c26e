/*
 * fuzz-scsi.c - random SCRIPTS programs and registers against the LSI 53C895A, random requests and
 * task management against virtio-scsi; random CDBs by both.
 *
 * Whatever a guest does, the adapter comes back to life after a reset and writes to RAM only.
 */
#include <string.h>

#include "core/lock.h"
#include "fuzz.h"
#include "hw/classes.h"
#include "hw/scsi/lsi.h"
#include "scsi-rig.h"
#include "std/virtio_scsi.h"
#include "virtio-driver.h"

#define STEPS 1500u
#define REGS 0xe0000000u
#define CODE 0x20000u
#define REQUESTS 0x100000u

static void random_cdb(GRand *g, uint8_t *cdb)
{
	static const uint8_t known[] = { 0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25,
		0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x55, 0x5a, 0x88, 0x8a,
		0x93, 0x9e, 0xa0, 0xa8, 0xaa, 0xad, 0xbd, 0xbe };
	for (unsigned i = 0; i < 16; i++)
		cdb[i] = (uint8_t)(below(g, 3) ? below(g, 4) : g_rand_int(g));
	if (below(g, 8))
		cdb[0] = known[below(g, sizeof(known))];
}

static void medium(ScsiRig *r, GRand *g)
{
	Medium *m = r->m[below(g, RIG_UNITS)];
	m->hold = below(g, 4) == 0;
	m->error = below(g, 6) ? 0 : -5;
	if (below(g, 50) == 0)
		blk_insert(r->blk[2], blk_inserted(r->blk[2]) ? NULL : medium_node(r->m[2], "again"));
}

/* ---- LSI ---- */

static uint32_t any_address(GRand *g)
{
	switch (below(g, 6)) {
	case 0: return REGS + below(g, LSI_REGS);
	case 1: return 0xe0010000u + below(g, LSI_RAM);
	case 2: return g_rand_int(g);
	case 3: return CODE + 4 * below(g, 64);
	default: return below(g, HARNESS_RAM);
	}
}

/* A program that begins as one should, with anything behind it. */
static void program(ScsiRig *r, GRand *g)
{
	uint32_t *code = (uint32_t *)(void *)(r->h->board.ram + CODE);
	uint8_t *ram = r->h->board.ram;
	unsigned n = 0;
	for (unsigned i = 0; i < 8; i++)
		ram[0x30000 + i] = (uint8_t)g_rand_int(g);
	ram[0x30000] = below(g, 2) ? 0x80 : 0xc0;
	if (below(g, 2))
		ram[0x30001] = 0x20;
	random_cdb(g, ram + 0x30100);
	code[n++] = (below(g, 8) ? 0x41000000 : 0x40000000) | below(g, 4) << 16;
	code[n++] = CODE;
	code[n++] = 0x06000001 + below(g, 4);
	code[n++] = 0x30000;
	code[n++] = 0x02000006 + below(g, 11);
	code[n++] = 0x30100;
	while (n < 64) {
		static const uint32_t likely[] = { 0x01000200, 0x00000200, 0x03000001, 0x07000001,
			0x07000002, 0x48000000, 0x50000000, 0x60000008, 0x58000008, 0x800b0000 };
		code[n++] = below(g, 3) ? likely[below(g, G_N_ELEMENTS(likely))] : g_rand_int(g);
		code[n++] = any_address(g);
	}
}

static void lsi_step(ScsiRig *r, GRand *g)
{
	AddressSpace *mem = r->h->board.mem;
	unsigned size = 1u << below(g, 3);
	switch (below(g, 12)) {
	case 0: case 1: program(r, g); break;
	case 2: case 3: case 4: as_store(mem, REGS + DSP, CODE + 8 * below(g, 4), 4); break;
	case 5: as_store(mem, REGS + below(g, 0x400), g_rand_int(g), size); break;
	case 6: as_load(mem, REGS + below(g, 0x400), size); break;
	case 7: as_store(mem, REGS + ISTAT0, 1u << (4 + below(g, 4)), 1); break;
	case 8: medium(r, g); break;
	case 9: if (!below(g, 8)) pci_out(r->h, SLOT, 0, 4, below(g, 8), 2); break;
	case 10: pci_out(r->h, SLOT, 0, 4, 7, 2); break;
	default: loop_poll(loop_main(), false);
	}
}

/* ---- virtio ---- */

static void request(ScsiRig *r, VirtDriver *d, GRand *g)
{
	uint8_t *ram = r->h->board.ram;
	uint32_t where = REQUESTS + 0x1000 * below(g, 8),
		 bytes = below(g, 3) ? 512 * below(g, 9) : below(g, 9000);
	bool out = below(g, 2);
	VirtioScsiCmd cmd = { .lun = { 1, (uint8_t)below(g, 4), 0, below(g, 8) ? 0 : 1 },
		.id = below(g, 8) };
	random_cdb(g, cmd.cdb);
	memcpy(ram + where, &cmd, sizeof(cmd));
	Part parts[3] = { { where, below(g, 20) ? sizeof(cmd) : below(g, 60), 0 } };
	unsigned n = 1;
	if (out && bytes)
		parts[n++] = (Part){ 0x200000 + below(g, 0x100000), bytes, 0 };
	parts[n++] = (Part){ where + 0x200,
		below(g, 20) ? sizeof(VirtioScsiCmdAnswer) : 1 + below(g, 200), VIRTQ_DESC_WRITE };
	if (!out && bytes)
		parts[n++] = (Part){ 0x200000 + below(g, 0x100000), bytes, VIRTQ_DESC_WRITE };
	driver_add(d, parts, n);
	driver_kick(d);
}

static void task_management(ScsiRig *r, VirtDriver *d, GRand *g)
{
	VirtioScsiTmf f = { below(g, 4), below(g, 9), { 1, (uint8_t)below(g, 4) }, below(g, 8) };
	memcpy(r->h->board.ram + REQUESTS - 64, &f, sizeof(f));
	driver_add(d, (Part[]){ { REQUESTS - 64, below(g, 9) ? sizeof(f) : below(g, 30) + 1, 0 },
		{ REQUESTS - 16, 1 + below(g, 6), VIRTQ_DESC_WRITE } }, 2);
	driver_kick(d);
}

static void virtio_start(ScsiRig *r, VirtDriver *d)
{
	driver_start(&d[2], r->h, (Echo *)r->adapter, KIND_MODERN, 2, VIRTIO_SCSI_F_CHANGE);
	for (unsigned q = 0; q < 2; q++) {
		d[q] = d[2];
		d[q].q = q;
		driver_queue(&d[q]);
	}
}

static void virtio_step(ScsiRig *r, VirtDriver *d, GRand *g)
{
	void *opaque;
	switch (below(g, 16)) {
	case 0: if (!below(g, 8)) virtio_start(r, d); break;
	case 1: medium(r, g); break;
	case 2: task_management(r, &d[0], g); break;
	case 3:
		driver_add(&d[1], &(Part){ REQUESTS - 128, 16, VIRTQ_DESC_WRITE }, 1);
		driver_kick(&d[1]);
		break;
	case 4: blk_device(r->blk[0], &opaque)->resized(opaque); break;
	case 5: loop_poll(loop_main(), false); break;
	default: request(r, &d[2], g);
	}
	if (driver_status(&d[2]) & VIRTIO_STATUS_NEEDS_RESET)
		virtio_start(r, d);
}

/* ---- both ---- */

static void bars(ScsiRig *r, bool lsi)
{
	pci_out(r->h, SLOT, 0, 0x10, PORTS, 4);
	pci_out(r->h, SLOT, 0, 0x14, lsi ? REGS : TABLE, 4);
	pci_out(r->h, SLOT, 0, lsi ? 0x18 : 0x20, lsi ? 0xe0010000u : MODERN, 4);
	pci_out(r->h, SLOT, 0, 0x04, 7, 2);
}

static bool alive(ScsiRig *r, bool lsi)
{
	for (unsigned i = 0; i < RIG_UNITS; i++)
		r->m[i]->hold = false;
	device_reset(r->adapter);
	bars(r, lsi);
	if (lsi)
		return as_load(r->h->board.mem, REGS + SCNTL0, 1) == 0xc0;
	return ((VirtioPci *)r->adapter)->vdev.queue[2].in_use == 0;
}

static bool run(GRand *g, uint32_t seed)
{
	bool lsi = seed & 1;
	VirtDriver d[3];
	ScsiRig r;
	rig_new(&r, lsi ? &lsi53c895a_class : &virtio_scsi_pci_class,
		lsi ? "" : "virtqueue_size=16", "", NULL);
	for (unsigned i = 0; i < RIG_UNITS; i++)
		r.m[i]->patience = 2;
	machine_lock();
	bars(&r, lsi);
	if (!lsi)
		virtio_start(&r, d);
	for (unsigned i = 0; i < STEPS; i++) {
		if (lsi)
			lsi_step(&r, g);
		else
			virtio_step(&r, d, g);
	}
	bool ok = alive(&r, lsi) && fuzz_ram_only(r.h);
	machine_unlock();
	rig_free(&r);
	return ok;
}

int main(int argc, char **argv)
{
	static const Fuzzer fuzzer = { .what = "both adapters at random", .steps = STEPS, .run = run };
	return fuzz_main(argc, argv, &fuzzer);
}
