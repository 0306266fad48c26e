/*
 * ide_atapi.c - the PACKET command: how a SCSI command block and its data pass an ATA drive.
 *
 * ATA/ATAPI-7 volume 1, 6.24 and volume 2, chapter 11 (PACKET protocols). The commands are
 * scsi_cd.c's. Left out: overlap, tagged queuing. Vcpu threads and the main loop, under the machine
 * lock.
 */
#include "hw/block/ide.h"

#include <string.h>

#define PACKET_LEN 12u
#define CHUNK_MAX 0xfffeu /* bytes of one block of the data port */

void ide_packet_cancel(IdeDrive *d)
{
	if (d->req)
		scsi_request_free(d->req);
	d->req = NULL;
}

/* Status: I/O and C/D both set, the error register the sense key in its upper half (11.3). */
static void complete(IdeDrive *d)
{
	ScsiRequest *r = d->req;
	uint8_t key = r->sense_len ? r->sense[2] & 15 : 0;
	bool bad = r->status != SCSI_GOOD;
	ide_packet_cancel(d);
	d->count[0] = (uint8_t)((d->count[0] & ~7u) | REASON_IO | REASON_CD);
	if (!bad) {
		ide_finish(d);
		return;
	}
	/* A command that this drive does not know is an aborted one too. */
	ide_fail(d, (uint8_t)(key << 4 | (key == 5 ? ER_ABRT : 0)));
}

static void busy(IdeDrive *d)
{
	d->status = ST_BSY | ST_DRDY | ST_DSC;
}

/* ---- by the data port ---- */

/* A block of `chunk` bytes is announced in the byte count registers. */
static void announce(IdeDrive *d, IdePhase phase)
{
	d->lba_mid[0] = (uint8_t)d->chunk;
	d->lba_high[0] = (uint8_t)(d->chunk >> 8);
	d->count[0] = (uint8_t)((d->count[0] & ~7u) | (phase == PHASE_PACKET_IN ? REASON_IO : 0));
	ide_offer(d, phase, d->chunk);
	ide_interrupt(d);
}

static uint32_t next_chunk(const IdeDrive *d)
{
	uint64_t rest = d->req->length - d->req->moved;
	uint32_t limit = d->packet_limit == 0xffff ? CHUNK_MAX : d->packet_limit;
	/* Only the last block may be odd. */
	if (rest > limit && limit > 1)
		limit &= ~1u;
	return (uint32_t)MIN(rest, limit);
}

static void moved(IdeDrive *d);

static void move(IdeDrive *d)
{
	d->vec = (struct iovec){ d->buf, d->chunk };
	busy(d);
	d->io = true;
	if (scsi_go(d->req, &d->vec, d->chunk ? 1 : 0)) {
		d->io = false;
		moved(d);
	}
}

static void continue_pio(IdeDrive *d)
{
	d->chunk = next_chunk(d);
	if (d->req->dir == SCSI_DIR_OUT && d->chunk)
		announce(d, PHASE_PACKET_OUT);
	else
		move(d);
}

/* scsi_go() is through: what it read is in buf, what it was to write is on its way. */
static void moved(IdeDrive *d)
{
	if (d->req->dir == SCSI_DIR_IN && d->chunk && !(d->req->ended && d->req->status))
		announce(d, PHASE_PACKET_IN);
	else if (d->req->ended)
		complete(d);
	else
		continue_pio(d);
}

void ide_packet_block_done(IdeDrive *d)
{
	if (d->phase == PHASE_PACKET) {
		ide_packet_start(d);
	} else if (d->phase == PHASE_PACKET_OUT) {
		move(d);
	} else if (d->req->ended) {
		complete(d);
	} else {
		continue_pio(d);
	}
}

/* ---- by the bus master ---- */

static void dma_moved(IdeDrive *d)
{
	bool bad = d->req->ended && d->req->status;
	if (bad)
		d->dma_left = d->dma_len; /* no more comes */
	bool last = d->dma_left <= d->dma_len;
	ide_dma_moved(d, 0);
	if (!last)
		return; /* the next piece is under way, or memory ended */
	if (d->req->ended) {
		complete(d);
		return;
	}
	d->chunk = 0;
	move(d);
}

void ide_packet_dma(IdeDrive *d, const struct iovec *iov, unsigned count)
{
	d->io = true;
	if (scsi_go(d->req, iov, count)) {
		d->io = false;
		dma_moved(d);
	}
}

static void ready(ScsiRequest *r)
{
	IdeDrive *d = r->opaque;
	if (!ide_io_ended(d))
		return;
	if (d->dma)
		dma_moved(d);
	else
		moved(d);
}

const ScsiHost ide_scsi_host = { .ready = ready, .atapi = true };

/* ---- the command ---- */

void ide_packet_start(IdeDrive *d)
{
	d->req = scsi_request_new(&d->scsi, d->buf, PACKET_LEN, d);
	d->phase = PHASE_NONE;
	if (d->req->ended) {
		complete(d);
	} else if (d->req->dir == SCSI_DIR_NONE) {
		d->chunk = 0;
		move(d);
	} else if (d->packet_dma) {
		d->count[0] = (uint8_t)((d->count[0] & ~7u) | (d->req->dir == SCSI_DIR_IN ? REASON_IO : 0));
		ide_dma_begin(d, d->req->dir == SCSI_DIR_IN, d->req->length);
	} else {
		continue_pio(d);
	}
}

/* The packet follows through the data port, without an interrupt. */
void ide_packet(IdeDrive *d)
{
	if (d->feature[0] & 2) { /* overlap */
		ide_abort(d);
		return;
	}
	ide_packet_cancel(d);
	d->packet_dma = d->feature[0] & 1;
	d->packet_limit = (uint16_t)(d->lba_mid[0] | d->lba_high[0] << 8);
	if (!d->packet_limit)
		d->packet_limit = 0xfffe;
	d->error = 0;
	d->count[0] = REASON_CD;
	ide_offer(d, PHASE_PACKET, PACKET_LEN);
}
