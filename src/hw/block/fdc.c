/*
 * fdc.c - the floppy disk controller of a PC: two drives, ports 3F0h-3F5h and 3F7h.
 *
 * Intel 82078 data sheet (290468), PS/2 registers. Sectors have 512 bytes. Left out: the scan
 * commands (answered as invalid), FORMAT AND WRITE, timing, tape, deleted marks (a deleted read
 * finds an ordinary sector and says so), the end of a transfer without DMA by terminal count (it
 * ends with the track, as a success). Drives are floppy.c's.
 *
 * Vcpu threads and the main loop, under the machine lock.
 */
#include <string.h>

#include "core/board.h"
#include "core/error.h"
#include "core/trace.h"
#include "hw/block/floppy.h"
#include "hw/classes.h"
#include "hw/isa/i8257.h"

#define PORT 0x3f0
#define DMA_CHANNEL 2
#define CYLINDER_MAX 83
#define FIFO 20
#define FORMAT_ID 4               /* bytes of a sector's address, as FORMAT TRACK gets them */
enum { REG_SRA, REG_SRB, REG_DOR, REG_TDR, REG_MSR, REG_FIFO };
#define DOR_NORESET 0x04u
#define DOR_GATE 0x08u
#define DSR_RESET 0x80u
#define MSR_BUSY 0x10u
#define MSR_NONDMA 0x20u
#define MSR_DIO 0x40u
#define MSR_RQM 0x80u
#define ST0_ABNORMAL 0x40u
#define ST0_INVALID 0x80u
#define ST0_POLL 0xc0u
#define ST0_SEEK 0x20u
#define ST0_EQUIPMENT 0x10u
#define ST1_MARK 0x01u            /* no address mark */
#define ST1_PROTECTED 0x02u
#define ST1_NO_DATA 0x04u
#define ST1_DATA 0x20u
#define ST1_END 0x80u
#define ST2_CYLINDER 0x10u
#define ST2_CONTROL 0x40u
#define CONFIG_SEEK 0x40u         /* implied seeks */
#define CONFIG_POLL_OFF 0x10u

enum { PHASE_COMMAND, PHASE_DISK, PHASE_DATA, PHASE_RESULT };
enum { OP_READ, OP_WRITE, OP_FORMAT, OP_VERIFY };

typedef struct Fdc {
	Device dev;
	Device *dma;
	uint8_t dor, tdr, rate, precomp, config, perpendicular, srt, hlt, power;
	bool locked, pending;      /* LOCK; the interrupt is up */
	uint8_t phase, sense_left, seek_st0, seeking;
	bool seek_done;
	uint8_t fifo[FIFO];        /* a command, or its result */
	uint8_t len, pos;
	/* the transfer */
	uint8_t op, unit, c, h, r, n, eot, filler, left, st2, id_sector;
	bool multi, tc, implied, direct; /* direct: no DMA */
	uint8_t buf[FLOPPY_SECTOR];
	uint32_t chunk, at;        /* bytes wanted of buf, and there */
	/* not state */
	struct iovec iov;
	bool on_disk, stale;
	Floppy *floppy[4];
	Bus *bus;
	Irq irq;
	Region low, high;
} Fdc;

static void next_sector(Fdc *s);

static void set_irq(Fdc *s, bool level)
{
	s->pending = level;
	irq_set(&s->irq, level && (s->dor & DOR_GATE));
}

/* ---- results ---- */

static void result(Fdc *s, unsigned len)
{
	s->phase = len ? PHASE_RESULT : PHASE_COMMAND;
	s->len = (uint8_t)len;
	s->pos = 0;
}

static void result1(Fdc *s, uint8_t value)
{
	s->fifo[0] = value;
	result(s, 1);
}

static void finish(Fdc *s, uint8_t st0, uint8_t st1, uint8_t st2)
{
	s->fifo[0] = (uint8_t)(st0 | (s->implied ? ST0_SEEK : 0) | (s->h & 1) << 2 | s->unit);
	s->fifo[1] = st1;
	s->fifo[2] = (uint8_t)(st2 | s->st2);
	s->fifo[3] = s->c;
	s->fifo[4] = s->h;
	s->fifo[5] = s->r;
	s->fifo[6] = s->n;
	result(s, 7);
	set_irq(s, true);
}

/* ---- transfers ---- */

/* To the sector behind this one; false: that was the last of the command. */
static bool advance(Fdc *s)
{
	if (s->op == OP_FORMAT)
		return --s->left;
	if (s->r++ < s->eot)
		return true;
	s->r = 1;
	if (s->multi && !s->h) {
		s->h = 1;
		return true;
	}
	if (s->multi)
		s->h = 0;
	s->c++;
	return false;
}

static void after_sector(Fdc *s)
{
	bool more = advance(s);

	if (s->tc || (!more && (s->direct || s->op == OP_VERIFY || s->op == OP_FORMAT)))
		finish(s, 0, 0, 0);
	else if (!more)
		finish(s, ST0_ABNORMAL, ST1_END, 0);
	else
		next_sector(s);
}

static void disk_done(void *opaque, int err);

/* Where the sector is; false: it ends the command. */
static bool find_sector(Fdc *s, uint64_t *offset)
{
	const Floppy *f = s->floppy[s->unit];

	if (!f || !f->format.sectors || f->format.rate != s->rate) {
		finish(s, ST0_ABNORMAL, ST1_MARK, 0);
		return false;
	}
	if (s->c != f->cylinder) {
		finish(s, ST0_ABNORMAL, ST1_NO_DATA, ST2_CYLINDER);
		return false;
	}
	if (s->n != 2 || s->c >= f->format.cylinders || s->h >= f->format.heads || !s->r ||
	    s->r > f->format.sectors) {
		finish(s, ST0_ABNORMAL, ST1_NO_DATA, 0);
		return false;
	}
	*offset = (((uint64_t)s->c * f->format.heads + s->h) * f->format.sectors + s->r - 1) *
		FLOPPY_SECTOR;
	return true;
}

static void disk(Fdc *s)
{
	uint64_t offset;

	if (!find_sector(s, &offset))
		return;
	Blk *blk = s->floppy[s->unit]->blk;
	s->phase = PHASE_DISK;
	s->on_disk = true;
	s->iov = (struct iovec){ s->buf, FLOPPY_SECTOR };
	if (s->op == OP_READ || s->op == OP_VERIFY)
		blk_read(blk, offset, &s->iov, 1, disk_done, s);
	else
		blk_write(blk, offset, &s->iov, 1, 0, disk_done, s);
}

/* All of a chunk is there, or gone. */
static void chunk_done(Fdc *s)
{
	if (s->op == OP_READ) {
		after_sector(s);
		return;
	}
	if (s->op == OP_FORMAT) {
		if (s->at < s->chunk) {
			finish(s, 0, 0, 0);
			return;
		}
		s->c = s->buf[0];
		s->h = s->buf[1];
		s->r = s->buf[2];
		s->n = s->buf[3];
		memset(s->buf, s->filler, FLOPPY_SECTOR);
	} else {
		memset(s->buf + s->at, 0, FLOPPY_SECTOR - s->at);
	}
	disk(s);
}

/* Bytes to and from memory, as far as the DMA channel goes now. */
static void pump(Fdc *s)
{
	bool tc = false;

	if (s->phase != PHASE_DATA || s->direct)
		return;
	s->at += (uint32_t)i8257_transfer(s->dma, DMA_CHANNEL, s->buf + s->at, s->chunk - s->at,
		s->op == OP_READ, &tc);
	s->tc |= tc;
	if (s->at == s->chunk || tc)
		chunk_done(s);
}

static void unmasked(void *opaque)
{
	pump(opaque);
}

static void data_phase(Fdc *s)
{
	s->phase = PHASE_DATA;
	s->at = 0;
	s->chunk = s->op == OP_FORMAT ? FORMAT_ID : FLOPPY_SECTOR;
	if (s->direct)
		set_irq(s, true);
	else
		pump(s);
}

static void next_sector(Fdc *s)
{
	if (s->op == OP_READ || s->op == OP_VERIFY)
		disk(s);
	else
		data_phase(s);
}

static void disk_done(void *opaque, int err)
{
	Fdc *s = opaque;

	s->on_disk = false;
	if (s->stale)
		return;
	if (err < 0)
		finish(s, ST0_ABNORMAL, ST1_DATA, ST1_DATA);
	else if (s->op == OP_READ)
		data_phase(s);
	else
		after_sector(s);
}

/* Gives up what goes on: nothing of it is left. Not from within disk_done. */
static void abandon(Fdc *s)
{
	if (s->on_disk && s->floppy[s->unit]) {
		s->stale = true;
		blk_drain(s->floppy[s->unit]->blk);
		s->stale = false;
	}
	s->phase = PHASE_COMMAND;
	s->len = s->pos = 0;
}

/* ---- commands ---- */

static void select_drive(Fdc *s, uint8_t byte)
{
	s->unit = byte & 3;
	s->dor = (uint8_t)((s->dor & ~3u) | s->unit);
}

static void move(Fdc *s, unsigned cylinder)
{
	Floppy *f = s->floppy[s->unit];

	if (!f)
		return;
	/* Step pulses clear the change line if there is something in. */
	if (f->cylinder != cylinder && f->format.sectors)
		f->changed = false;
	f->cylinder = (uint8_t)cylinder;
}

static void seek(Fdc *s, unsigned cylinder, uint8_t head)
{
	Floppy *f = s->floppy[s->unit];

	move(s, MIN(cylinder, CYLINDER_MAX));
	s->seek_st0 = (uint8_t)(ST0_SEEK | head << 2 | s->unit);
	if (!f && !cylinder) /* no track 0 to be found */
		s->seek_st0 |= ST0_ABNORMAL | ST0_EQUIPMENT;
	s->seeking |= (uint8_t)(1u << s->unit);
	s->seek_done = true;
	result(s, 0);
	set_irq(s, true);
}

static void start_transfer(Fdc *s, uint8_t op)
{
	const Floppy *f;

	select_drive(s, s->fifo[1]);
	f = s->floppy[s->unit];
	s->op = op;
	s->c = s->fifo[2];
	s->h = s->fifo[3];
	s->r = s->fifo[4];
	s->n = s->fifo[5];
	s->eot = s->fifo[6];
	s->multi = s->fifo[0] & 0x80;
	s->tc = s->implied = false;
	s->direct = s->hlt & 1;
	s->st2 = 0;
	if (f && (s->config & CONFIG_SEEK) && f->cylinder != s->c && s->c <= CYLINDER_MAX) {
		move(s, s->c);
		s->implied = true;
	}
	if (s->h != (s->fifo[1] >> 2 & 1))
		finish(s, ST0_ABNORMAL, ST1_NO_DATA, 0);
	else if (op == OP_WRITE && f && f->format.sectors && blk_read_only(f->blk))
		finish(s, ST0_ABNORMAL, ST1_PROTECTED, 0);
	else
		next_sector(s);
}

static void cmd_read(Fdc *s) { start_transfer(s, OP_READ); }
static void cmd_write(Fdc *s) { start_transfer(s, OP_WRITE); }
static void cmd_verify(Fdc *s) { start_transfer(s, OP_VERIFY); }

static void cmd_read_deleted(Fdc *s)
{
	start_transfer(s, OP_READ);
	s->st2 = ST2_CONTROL;
}

static void cmd_read_track(Fdc *s)
{
	s->fifo[4] = 1;
	start_transfer(s, OP_READ);
}

static void cmd_format(Fdc *s)
{
	Floppy *f;

	select_drive(s, s->fifo[1]);
	f = s->floppy[s->unit];
	s->op = OP_FORMAT;
	s->h = s->fifo[1] >> 2 & 1;
	s->c = f ? f->cylinder : 0;
	s->r = 1;
	s->n = s->fifo[2];
	s->left = s->fifo[3];
	s->filler = s->fifo[5];
	s->tc = s->implied = s->multi = false;
	s->st2 = 0;
	s->direct = s->hlt & 1;
	if (!f || !f->format.sectors)
		finish(s, ST0_ABNORMAL, ST1_MARK, 0);
	else if (blk_read_only(f->blk))
		finish(s, ST0_ABNORMAL, ST1_PROTECTED, 0);
	else if (!s->left)
		finish(s, 0, 0, 0);
	else
		data_phase(s);
}

static void cmd_read_id(Fdc *s)
{
	uint64_t offset;

	select_drive(s, s->fifo[1]);
	const Floppy *f = s->floppy[s->unit];
	s->h = s->fifo[1] >> 2 & 1;
	s->c = f ? f->cylinder : 0;
	s->id_sector = (uint8_t)(f && s->id_sector < f->format.sectors ? s->id_sector + 1 : 1);
	s->r = s->id_sector;
	s->n = 2;
	s->implied = false;
	s->st2 = 0;
	if (find_sector(s, &offset))
		finish(s, 0, 0, 0);
}

static void cmd_specify(Fdc *s)
{
	s->srt = s->fifo[1];
	s->hlt = s->fifo[2];
	result(s, 0);
}

static void cmd_sense_drive(Fdc *s)
{
	select_drive(s, s->fifo[1]);
	const Floppy *f = s->floppy[s->unit];
	bool protect = f && blk_read_only(f->blk);
	result1(s, (uint8_t)(0x28 | (protect ? 0x40 : 0) | (f && !f->cylinder ? 0x10 : 0) |
		(s->fifo[1] & 4) | s->unit));
}

static void cmd_recalibrate(Fdc *s)
{
	select_drive(s, s->fifo[1]);
	seek(s, 0, 0);
}

static void cmd_seek(Fdc *s)
{
	select_drive(s, s->fifo[1]);
	seek(s, s->fifo[2], s->fifo[1] >> 2 & 1);
}

static void cmd_seek_relative(Fdc *s)
{
	select_drive(s, s->fifo[1]);
	const Floppy *f = s->floppy[s->unit];
	unsigned now = f ? f->cylinder : 0, by = s->fifo[2];
	seek(s, s->fifo[0] & 0x40 ? now + by : now > by ? now - by : 0, s->fifo[1] >> 2 & 1);
}

static void cmd_sense_interrupt(Fdc *s)
{
	unsigned unit;

	if (s->sense_left) {
		unit = 4u - s->sense_left--;
		s->fifo[0] = (uint8_t)(ST0_POLL | unit);
	} else if (s->seek_done) {
		s->seek_done = false;
		s->fifo[0] = s->seek_st0;
		unit = s->seek_st0 & 3;
		s->seeking = 0;
	} else {
		result1(s, ST0_INVALID);
		return;
	}
	s->fifo[1] = s->floppy[unit] ? s->floppy[unit]->cylinder : 0;
	result(s, 2);
	set_irq(s, false);
}

static void cmd_configure(Fdc *s)
{
	s->config = s->fifo[2];
	s->precomp = s->fifo[3];
	result(s, 0);
}

static void cmd_perpendicular(Fdc *s)
{
	if (s->fifo[1] & 0x80)
		s->perpendicular = s->fifo[1] & 0x7f;
	else
		s->perpendicular = (uint8_t)((s->perpendicular & 0x7c) | (s->fifo[1] & 3));
	result(s, 0);
}

static void cmd_lock(Fdc *s)
{
	s->locked = s->fifo[0] & 0x80;
	result1(s, s->locked ? 0x10 : 0);
}

/* DUMPREG, and with an empty head SAVE: what RESTORE takes back. */
static void registers(Fdc *s, unsigned from)
{
	uint8_t eot = s->eot;

	memset(s->fifo, 0, sizeof(s->fifo));
	for (unsigned i = 0; i < 4; i++)
		s->fifo[from + i] = s->floppy[i] ? s->floppy[i]->cylinder : 0;
	s->fifo[from + 4] = s->srt;
	s->fifo[from + 5] = s->hlt;
	s->fifo[from + 6] = eot;
	s->fifo[from + 7] = (uint8_t)((s->locked ? 0x80 : 0) | (s->perpendicular & 0x7f));
	s->fifo[from + 8] = s->config;
	s->fifo[from + 9] = s->precomp;
	result(s, from + 10);
}

static void cmd_dumpreg(Fdc *s) { registers(s, 0); }

static void cmd_save(Fdc *s)
{
	registers(s, 2);
	s->fifo[12] = s->power;
	result(s, 16);
}

static void cmd_restore(Fdc *s)
{
	const uint8_t *from = s->fifo + 1 + 2;

	s->srt = from[4];
	s->hlt = from[5];
	s->eot = from[6];
	s->locked = from[7] & 0x80;
	s->perpendicular = from[7] & 0x7f;
	s->config = from[8];
	s->precomp = from[9];
	s->power = from[10];
	result(s, 0);
}

static void cmd_power(Fdc *s)
{
	s->power = s->fifo[1];
	result1(s, s->power);
}

static void cmd_version(Fdc *s) { result1(s, 0x90); }
static void cmd_partid(Fdc *s) { result1(s, 0x41); }
static void cmd_option(Fdc *s) { result1(s, s->fifo[1]); }
static void cmd_nothing(Fdc *s) { result(s, 0); }
static void cmd_invalid(Fdc *s) { result1(s, ST0_INVALID); }

typedef struct Command { uint8_t mask, code, params; void (*run)(Fdc *s); } Command;

static const Command commands[] = {
	{ 0x1f, 0x06, 8, cmd_read }, { 0x3f, 0x05, 8, cmd_write },
	{ 0x1f, 0x0c, 8, cmd_read_deleted }, { 0x3f, 0x09, 8, cmd_write },
	{ 0x9f, 0x02, 8, cmd_read_track }, { 0x1f, 0x16, 8, cmd_verify },
	{ 0xbf, 0x0d, 5, cmd_format }, { 0xbf, 0x0a, 1, cmd_read_id },
	{ 0xff, 0x03, 2, cmd_specify }, { 0xff, 0x04, 1, cmd_sense_drive },
	{ 0xff, 0x07, 1, cmd_recalibrate }, { 0xff, 0x08, 0, cmd_sense_interrupt },
	{ 0xff, 0x0f, 2, cmd_seek }, { 0xbf, 0x8f, 2, cmd_seek_relative },
	{ 0xff, 0x13, 3, cmd_configure }, { 0xff, 0x12, 1, cmd_perpendicular },
	{ 0x7f, 0x14, 0, cmd_lock }, { 0xff, 0x10, 0, cmd_version },
	{ 0xff, 0x0e, 0, cmd_dumpreg }, { 0xff, 0x18, 0, cmd_partid },
	{ 0xff, 0x17, 1, cmd_power }, { 0xff, 0x33, 1, cmd_option },
	{ 0xff, 0x2e, 0, cmd_save }, { 0xff, 0x4e, 16, cmd_restore },
	{ 0xff, 0x8e, 5, cmd_nothing }, { 0xff, 0x34, 0, cmd_nothing },
	{ 0xff, 0x35, 0, cmd_nothing }, { 0x00, 0x00, 0, cmd_invalid },
};

/* ---- registers ---- */

static const Command *command_of(uint8_t code)
{
	const Command *c = commands;
	while ((code & c->mask) != c->code)
		c++;
	return c;
}

static void fifo_write(Fdc *s, uint8_t value)
{
	if (s->phase == PHASE_DATA && s->direct && s->op != OP_READ) {
		set_irq(s, false);
		s->buf[s->at++] = value;
		if (s->at == s->chunk)
			chunk_done(s);
		return;
	}
	if (s->phase != PHASE_COMMAND)
		return;
	s->fifo[s->pos++] = value;
	const Command *c = command_of(s->fifo[0]);
	if (s->pos <= c->params)
		return;
	s->pos = 0;
	c->run(s);
}

static uint8_t fifo_read(Fdc *s)
{
	uint8_t value = 0;

	if (s->phase == PHASE_DATA && s->direct && s->op == OP_READ) {
		set_irq(s, false);
		value = s->buf[s->at++];
		if (s->at == s->chunk)
			chunk_done(s);
	} else if (s->phase == PHASE_RESULT) {
		if (s->len == 7 && s->pos == 0)
			set_irq(s, false);
		value = s->fifo[s->pos++];
		if (s->pos == s->len)
			result(s, 0);
	}
	return value;
}

static uint8_t status(const Fdc *s)
{
	if (!(s->dor & DOR_NORESET))
		return 0;
	switch (s->phase) {
	case PHASE_COMMAND: return (uint8_t)(MSR_RQM | (s->pos ? MSR_BUSY : 0) | s->seeking);
	case PHASE_RESULT: return (uint8_t)(MSR_RQM | MSR_DIO | MSR_BUSY | s->seeking);
	case PHASE_DATA:
		if (s->direct)
			return (uint8_t)(MSR_RQM | MSR_NONDMA | MSR_BUSY |
				(s->op == OP_READ ? MSR_DIO : 0));
		return MSR_BUSY;
	default: return (uint8_t)(MSR_BUSY | (s->direct ? MSR_NONDMA : 0));
	}
}

/* By the reset bits of DOR and DSR. */
static void soft_reset(Fdc *s)
{
	abandon(s);
	if (!s->locked) {
		s->config = 0;
		s->precomp = 0;
	}
	s->perpendicular &= 0x7c;
	s->seek_done = false;
	s->seeking = 0;
	s->sense_left = 0;
	set_irq(s, false);
}

static void came_out_of_reset(Fdc *s)
{
	if (s->config & CONFIG_POLL_OFF)
		return;
	s->sense_left = 4;
	set_irq(s, true);
}

static void write_dor(Fdc *s, uint8_t value)
{
	uint8_t before = s->dor;

	s->dor = value;
	if (before & ~value & DOR_NORESET)
		soft_reset(s);
	if (value & ~before & DOR_NORESET)
		came_out_of_reset(s);
	irq_set(&s->irq, s->pending && (s->dor & DOR_GATE));
}

static uint8_t read_register(Fdc *s, uint64_t offset)
{
	switch (offset) {
	case REG_SRA: return s->pending ? 0x80 : 0;
	case REG_SRB: return 0xc0u | (s->dor >> 4 & 3);
	case REG_DOR: return s->dor;
	case REG_TDR: return s->tdr;
	case REG_MSR: return status(s);
	default: return s->dor & DOR_NORESET ? fifo_read(s) : 0;
	}
}

static uint64_t low_read(void *opaque, uint64_t offset, unsigned size)
{
	uint8_t value = read_register(opaque, offset);
	trace_fdc_ioport_read((unsigned)offset, value);
	return value;
}

static void low_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Fdc *s = opaque;

	trace_fdc_ioport_write((unsigned)offset, (unsigned)value);
	switch (offset) {
	case REG_DOR: write_dor(s, (uint8_t)value); break;
	case REG_TDR: s->tdr = value & 3; break;
	case REG_MSR: /* DSR */
		s->rate = value & 3;
		if (value & DSR_RESET && s->dor & DOR_NORESET) {
			soft_reset(s);
			came_out_of_reset(s);
		}
		break;
	case REG_FIFO:
		if (s->dor & DOR_NORESET)
			fifo_write(s, (uint8_t)value);
		break;
	default: break;
	}
}

/* DIR: the change line of the chosen drive. */
static uint64_t high_read(void *opaque, uint64_t offset, unsigned size)
{
	const Fdc *s = opaque;
	const Floppy *f = s->floppy[s->dor & 3];
	return f && (f->changed || !f->format.sectors) ? 0x80 : 0;
}

static void high_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	((Fdc *)opaque)->rate = value & 3; /* CCR */
}

static const RegionOps low_ops = { low_read, low_write, 1, 1 };
static const RegionOps high_ops = { high_read, high_write, 1, 1 };

/* ---- life ---- */

static bool realize(Device *dev, GError **error)
{
	Fdc *s = (Fdc *)dev;

	if (!s->dma)
		return fail(error, VIV_ERROR_INVALID, "Device 'isa-fdc': there is no DMA controller.");
	s->bus = bus_new(dev->board, "floppy", "floppy-bus.0", dev, s->floppy, FLOPPY_UNITS);
	i8257_on_unmask(s->dma, DMA_CHANNEL, unmasked, s);
	region_init_io(&s->low, "fdc", &low_ops, s, 6);
	region_init_io(&s->high, "fdc-dir", &high_ops, s, 1);
	as_map(dev->board->io, &s->low, PORT, 0);
	as_map(dev->board->io, &s->high, PORT + 7, 0);
	return true;
}

static void quiesce(Device *dev)
{
	abandon((Fdc *)dev);
}

static void reset(Device *dev)
{
	set_irq((Fdc *)dev, false);
}

static void unrealize(Device *dev)
{
	Fdc *s = (Fdc *)dev;

	abandon(s);
	i8257_on_unmask(s->dma, DMA_CHANNEL, NULL, NULL);
	as_unmap(&s->low);
	as_unmap(&s->high);
	bus_free(s->bus);
}

static const Property props[] = { { "dma", PROP_PTR, offsetof(Fdc, dma) }, { 0 } };
#define BYTE(member, value) STATE(FIELD_U8, Fdc, member, value)
static const StateField state[] = {
	BYTE(dor, DOR_NORESET | DOR_GATE), BYTE(tdr, 0), BYTE(rate, RATE_250K), BYTE(precomp, 0),
	BYTE(config, 0), BYTE(perpendicular, 0), BYTE(srt, 0), BYTE(hlt, 0), BYTE(power, 0),
	STATE(FIELD_BOOL, Fdc, locked, 0), STATE(FIELD_BOOL, Fdc, pending, 0),
	BYTE(phase, PHASE_COMMAND), BYTE(sense_left, 0), BYTE(seek_st0, 0), BYTE(seeking, 0),
	STATE(FIELD_BOOL, Fdc, seek_done, 0), STATE_ARRAY(FIELD_U8, Fdc, fifo, FIFO, 0),
	BYTE(len, 0), BYTE(pos, 0), BYTE(op, 0), BYTE(unit, 0), BYTE(c, 0), BYTE(h, 0), BYTE(r, 0),
	BYTE(n, 0), BYTE(eot, 0), BYTE(filler, 0), BYTE(left, 0), BYTE(st2, 0), BYTE(id_sector, 0),
	STATE(FIELD_BOOL, Fdc, multi, 0), STATE(FIELD_BOOL, Fdc, tc, 0),
	STATE(FIELD_BOOL, Fdc, implied, 0), STATE(FIELD_BOOL, Fdc, direct, 0),
	STATE_ARRAY(FIELD_U8, Fdc, buf, FLOPPY_SECTOR, 0), STATE(FIELD_U32, Fdc, chunk, 0),
	STATE(FIELD_U32, Fdc, at, 0),
	{ 0 }
};
static const LineOut outputs[] = { { "irq", offsetof(Fdc, irq), 1 }, { 0 } };

const DeviceClass isa_fdc_class = {
	.name = "isa-fdc", .desc = "floppy disk controller", .bus = "isa", .category = DEVICE_STORAGE,
	.size = sizeof(Fdc),
	.version = 1, .props = props, .state = state, .outputs = outputs, .realize = realize,
	.quiesce = quiesce, .reset = reset, .unrealize = unrealize,
};
