/*
 * ide_bmdma.c - the bus master of an IDE channel: descriptors in guest memory to iovecs.
 *
 * SFF-8038i 1.0 and the PIIX3 data sheet (290550) 2.7. A table is 64 KiB at most. Descriptors
 * that end before the command's data leave the engine inactive without an interrupt, ones that
 * name other than RAM put it in its error state and abort the command. The direction bit is
 * storage: the command knows. Vcpu threads and the main loop, under the machine lock.
 */
#include "core/trace.h"
#include "hw/block/ide.h"

#define TABLE_MAX 65536u
#define DESCRIPTOR 8u
#define LAST_DESCRIPTOR 0x80000000u

typedef enum Collected { COLLECTED, TOO_SHORT, BAD_MEMORY } Collected;

static void rewind_table(IdeBusMaster *bm)
{
	bm->next = 0;
	bm->left = 0;
	bm->last = false;
}

/* The next descriptor; a count of 0 means 64 KiB. */
static Collected next_descriptor(IdeChannel *ch)
{
	IdeBusMaster *bm = &ch->bm;
	uint8_t raw[DESCRIPTOR];
	if (bm->last || bm->next >= TABLE_MAX)
		return TOO_SHORT;
	if (!guest_read(ch->board->mem, bm->table + bm->next, raw, sizeof(raw)))
		return BAD_MEMORY;
	bm->next += DESCRIPTOR;
	bm->addr = pci_get32(raw) & ~1u;
	bm->left = pci_get32(raw + 4) & 0xfffe;
	bm->left = bm->left ? bm->left : 0x10000;
	bm->last = pci_get32(raw + 4) & LAST_DESCRIPTOR;
	return COLLECTED;
}

/* Guest memory for up to `want` bytes; *got is 0 only with a result other than COLLECTED. */
static Collected collect(IdeChannel *ch, bool in, uint64_t want, uint64_t *got)
{
	IdeBusMaster *bm = &ch->bm;
	*got = 0;
	bm->count = 0;
	while (*got < want && bm->count < IDE_IOV_MAX) {
		Collected c = bm->left ? COLLECTED : next_descriptor(ch);
		if (c != COLLECTED)
			return c == TOO_SHORT && *got ? COLLECTED : c;
		Translation t;
		if (!as_translate(ch->board->mem, bm->addr, &t) || !t.host_read || (in && !t.host_write))
			return BAD_MEMORY;
		uint64_t n = MIN(MIN(t.contiguous, bm->left), want - *got);
		bm->iov[bm->count++] = (struct iovec){ in ? t.host_write : t.host_read, n };
		bm->addr += (uint32_t)n;
		bm->left -= (uint32_t)n;
		*got += n;
	}
	return COLLECTED;
}

static void end(IdeChannel *ch)
{
	ch->bm.drive->dma = false;
	ch->bm.drive = NULL;
}

static void step(IdeChannel *ch)
{
	IdeBusMaster *bm = &ch->bm;
	IdeDrive *d = bm->drive;
	Collected c = BAD_MEMORY;
	if (pci_master(ch->pci))
		c = collect(ch, d->dma_in, MIN(d->dma_left, IDE_DMA_STEP), &d->dma_len);
	if (c == COLLECTED) {
		d->status = ST_BSY | ST_DRDY | ST_DSC | ST_DRQ;
		if (d->cd)
			ide_packet_dma(d, bm->iov, bm->count);
		else
			ide_ata_dma(d, bm->iov, bm->count);
		return;
	}
	bm->status &= (uint8_t)~BMS_ACTIVE;
	end(ch);
	ide_packet_cancel(d);
	if (c == TOO_SHORT) {
		d->status = ST_DRDY | ST_DSC;
		return;
	}
	bm->status |= BMS_ERROR;
	ide_abort(d);
}

void ide_dma_begin(IdeDrive *d, bool in, uint64_t bytes)
{
	IdeChannel *ch = d->channel;
	d->status = ST_DRDY | ST_DSC | ST_DRQ;
	d->phase = PHASE_NONE;
	d->error = 0;
	d->dma = true;
	d->dma_in = in;
	d->dma_left = bytes;
	ch->bm.drive = d;
	if (ch->bm.command & BM_START)
		step(ch);
}

void ide_dma_moved(IdeDrive *d, uint8_t error)
{
	IdeChannel *ch = d->channel;
	IdeBusMaster *bm = &ch->bm;
	for (unsigned i = 0; d->dma_in && i < bm->count; i++)
		ram_written(&ch->board->arena, bm->iov[i].iov_base, bm->iov[i].iov_len);
	if (error) {
		bm->status = (uint8_t)((bm->status & ~BMS_ACTIVE) | BMS_ERROR);
		end(ch);
		ide_fail(d, error);
		return;
	}
	d->dma_left -= MIN(d->dma_len, d->dma_left);
	if (d->dma_left) {
		step(ch);
		return;
	}
	/* Memory that is left over keeps the engine active. */
	if (bm->last && !bm->left)
		bm->status &= (uint8_t)~BMS_ACTIVE;
	end(ch);
	if (!d->cd && !d->trim)
		ide_finish(d);
}

void ide_dma_stop(IdeDrive *d)
{
	d->channel->bm.status &= (uint8_t)~BMS_ACTIVE;
	d->channel->bm.drive = NULL;
}

void ide_dma_mark_irq(IdeChannel *ch)
{
	ch->bm.status |= BMS_IRQ;
}

void ide_bm_reset(IdeChannel *ch)
{
	IdeBusMaster *bm = &ch->bm;
	bm->command = bm->status = 0;
	bm->table = 0;
	rewind_table(bm);
}

/* ---- registers ---- */

static void write_command(IdeChannel *ch, uint8_t value)
{
	IdeBusMaster *bm = &ch->bm;
	bool started = bm->command & BM_START;
	trace_bmdma_cmd_writeb(value);
	bm->command = value & (BM_START | BM_READ);
	if (!started && value & BM_START) {
		rewind_table(bm);
		bm->status |= BMS_ACTIVE;
		if (bm->drive)
			step(ch);
	} else if (started && !(value & BM_START)) {
		/* What is under way comes to its end, the rest is given up. */
		IdeDrive *d = bm->drive;
		bm->status &= (uint8_t)~BMS_ACTIVE;
		if (d && d->io) {
			ide_cancel(d);
			d->status = ST_DRDY | ST_DSC;
		}
	}
}

uint64_t ide_bm_read(IdeChannel *ch, uint64_t offset, unsigned size)
{
	IdeBusMaster *bm = &ch->bm;
	if (offset == 0)
		return bm->command;
	if (offset == 2)
		return bm->status;
	if (offset >= 4)
		return bm->table >> 8 * (offset - 4);
	return 0xff;
}

void ide_bm_write(IdeChannel *ch, uint64_t offset, uint64_t value, unsigned size)
{
	IdeBusMaster *bm = &ch->bm;
	if (offset == 0) {
		write_command(ch, (uint8_t)value);
	} else if (offset == 2) {
		bm->status = (uint8_t)((value & BMS_DRIVES) | (bm->status & BMS_ACTIVE) |
			(bm->status & ~value & (BMS_ERROR | BMS_IRQ)));
	} else if (offset >= 4) {
		unsigned shift = 8 * (unsigned)(offset - 4);
		bm->table = ((bm->table & ~(0xffu << shift)) | (uint32_t)(value & 0xff) << shift) & ~3u;
	}
}
