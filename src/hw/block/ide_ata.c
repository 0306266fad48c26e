/*
 * ide_ata.c - ATA commands: transfers by data port and bus master, settings, power.
 *
 * ATA/ATAPI-7 volume 1 chapter 6, ACS-3 for DATA SET MANAGEMENT. Left out: security, host protected
 * area (READ NATIVE MAX ADDRESS answers, SET MAX is aborted), queued and streaming commands, CFA.
 * Vcpu threads and the main loop, under the machine lock.
 */
#include "hw/block/ide.h"

#include <errno.h>
#include <string.h>

#define LBA28_LIMIT 0x10000000ull
#define TRIM_ENTRY 8u

/* ---- addresses ---- */

static uint32_t task_count(const IdeDrive *d)
{
	if (d->ext)
		return d->count[0] | d->count[1] << 8 ? (uint32_t)(d->count[0] | d->count[1] << 8) : 0x10000;
	return d->count[0] ? d->count[0] : 256;
}

/* UINT64_MAX: an address that cannot be (sector 0 of a track). */
static uint64_t task_lba(const IdeDrive *d)
{
	uint64_t low = d->lba_low[0] | (uint64_t)d->lba_mid[0] << 8 | (uint64_t)d->lba_high[0] << 16;
	if (d->ext)
		return low | (uint64_t)d->lba_low[1] << 24 | (uint64_t)d->lba_mid[1] << 32 |
			(uint64_t)d->lba_high[1] << 40;
	if (d->device & DEV_LBA)
		return low | (uint64_t)(d->device & 15) << 24;
	uint64_t cylinder = low >> 8, head = d->device & 15;
	if (!d->lba_low[0] || !d->cur_sectors)
		return UINT64_MAX;
	return (cylinder * d->cur_heads + head) * d->cur_sectors + d->lba_low[0] - 1;
}

/* The task file names the sector where the command stands or failed. */
static void store_lba(IdeDrive *d, uint64_t lba)
{
	uint8_t low = (uint8_t)lba;
	uint64_t rest = lba >> 8;
	if (d->ext) {
		d->lba_low[1] = (uint8_t)(lba >> 24);
		d->lba_mid[1] = (uint8_t)(lba >> 32);
		d->lba_high[1] = (uint8_t)(lba >> 40);
	} else if (d->device & DEV_LBA) {
		d->device = (uint8_t)((d->device & 0xf0) | (lba >> 24 & 15));
	} else {
		uint64_t track = lba / d->cur_sectors;
		low = (uint8_t)(lba % d->cur_sectors + 1);
		rest = track / d->cur_heads;
		d->device = (uint8_t)((d->device & 0xf0) | (track % d->cur_heads & 15));
	}
	d->lba_low[0] = low;
	d->lba_mid[0] = (uint8_t)rest;
	d->lba_high[0] = (uint8_t)(rest >> 8);
}

static bool take_range(IdeDrive *d, bool ext)
{
	d->ext = ext;
	d->lba = task_lba(d);
	d->left = task_count(d);
	if (d->lba < d->sectors && d->left <= d->sectors - d->lba)
		return true;
	ide_fail(d, ER_IDNF);
	return false;
}

static void advance(IdeDrive *d, uint32_t sectors)
{
	d->lba += sectors;
	d->left -= sectors;
	store_lba(d, d->left ? d->lba : d->lba - 1);
	d->count[0] = (uint8_t)d->left;
	if (d->ext)
		d->count[1] = (uint8_t)(d->left >> 8);
}

static void io_error(IdeDrive *d, bool write)
{
	store_lba(d, d->lba);
	ide_fail(d, write ? ER_ABRT : ER_UNC);
}

/* ---- by the data port ---- */

static void busy(IdeDrive *d)
{
	d->status = ST_BSY | ST_DRDY | ST_DSC;
	ide_io_begin(d);
}

static void read_done(void *opaque, int result)
{
	IdeDrive *d = opaque;
	if (!ide_io_ended(d))
		return;
	if (result < 0) {
		io_error(d, false);
		return;
	}
	advance(d, d->chunk);
	ide_offer(d, PHASE_READ, d->chunk * IDE_SECTOR);
	ide_interrupt(d);
}

static void read_block(IdeDrive *d)
{
	d->chunk = MIN(d->left, d->block);
	d->vec = (struct iovec){ d->buf, d->chunk * IDE_SECTOR };
	busy(d);
	blk_read(d->blk, d->lba * IDE_SECTOR, &d->vec, 1, read_done, d);
}

static void ask_block(IdeDrive *d)
{
	d->chunk = MIN(d->left, d->block);
	ide_offer(d, PHASE_WRITE, d->chunk * IDE_SECTOR);
}

static void write_done(void *opaque, int result)
{
	IdeDrive *d = opaque;
	if (!ide_io_ended(d))
		return;
	if (result < 0) {
		io_error(d, true);
		return;
	}
	advance(d, d->chunk);
	if (!d->left) {
		ide_finish(d);
		return;
	}
	ask_block(d);
	ide_interrupt(d);
}

static void write_block(IdeDrive *d)
{
	d->vec = (struct iovec){ d->buf, d->chunk * IDE_SECTOR };
	busy(d);
	blk_write(d->blk, d->lba * IDE_SECTOR, &d->vec, 1, d->fua ? REQ_FUA : 0, write_done, d);
}

static void pio(IdeDrive *d, bool write, bool ext, bool multiple)
{
	if (multiple && !d->multiple) {
		ide_abort(d);
		return;
	}
	if (!take_range(d, ext))
		return;
	d->error = 0;
	d->block = multiple ? d->multiple : 1;
	if (write)
		ask_block(d);
	else
		read_block(d);
}

/* ---- by the bus master ---- */

static void dma_done(void *opaque, int result)
{
	IdeDrive *d = opaque;
	if (!ide_io_ended(d))
		return;
	if (result < 0) {
		store_lba(d, d->lba);
		ide_dma_moved(d, d->dma_in ? ER_UNC : ER_ABRT);
		return;
	}
	if (d->dma_left <= d->dma_len) { /* the last piece */
		d->lba += d->left;
		store_lba(d, d->lba - 1);
		d->left = 0;
		d->count[0] = d->count[1] = 0;
	}
	ide_dma_moved(d, 0);
}

static void dma(IdeDrive *d, bool write, bool ext)
{
	if (take_range(d, ext))
		ide_dma_begin(d, !write, (uint64_t)d->left * IDE_SECTOR);
}

/* ---- flush, verify, trim ---- */

static void plain_done(void *opaque, int result)
{
	IdeDrive *d = opaque;
	if (!ide_io_ended(d))
		return;
	if (result < 0)
		ide_abort(d);
	else
		ide_finish(d);
}

static void flush(IdeDrive *d)
{
	if (!blk_inserted(d->blk)) {
		ide_abort(d);
		return;
	}
	busy(d);
	blk_flush(d->blk, plain_done, d);
}

static void verify(IdeDrive *d, bool ext)
{
	if (!take_range(d, ext))
		return;
	advance(d, d->left);
	ide_finish(d);
}

/* The entries of the block, one discard at a time; nothing more is read than is in buf. */
static void trim_next(IdeDrive *d);

static void trim_done(void *opaque, int result)
{
	IdeDrive *d = opaque;
	if (!ide_io_ended(d))
		return;
	if (result < 0 && result != -ENOTSUP)
		ide_abort(d);
	else
		trim_next(d);
}

static void trim_next(IdeDrive *d)
{
	for (; d->trim_at < d->end; d->trim_at += TRIM_ENTRY) {
		const uint8_t *p = d->buf + d->trim_at;
		uint64_t lba = pci_get32(p) | (uint64_t)pci_get16(p + 4) << 32;
		uint64_t n = pci_get16(p + 6);
		if (!n)
			continue;
		if (lba >= d->sectors || n > d->sectors - lba) {
			ide_fail(d, ER_IDNF | ER_ABRT);
			return;
		}
		/* Less than the host's unit would not be given back: only whole ones are passed on. */
		uint64_t start = (lba + d->granularity - 1) / d->granularity * d->granularity;
		uint64_t end = (lba + n) / d->granularity * d->granularity;
		if (start >= end)
			continue;
		d->trim_at += TRIM_ENTRY;
		busy(d);
		blk_discard(d->blk, start * IDE_SECTOR, (end - start) * IDE_SECTOR, trim_done, d);
		return;
	}
	ide_finish(d);
}

/* DATA SET MANAGEMENT is a DMA command whose data stays here. */
static void trim(IdeDrive *d)
{
	d->ext = true;
	if (!d->granularity || !(d->feature[0] & 1) || task_count(d) * IDE_SECTOR > IDE_BUFFER) {
		ide_abort(d);
		return;
	}
	d->end = task_count(d) * IDE_SECTOR;
	d->pos = d->trim_at = 0;
	d->trim = true;
	ide_dma_begin(d, false, d->end);
}

static void trim_fetched(IdeDrive *d, const struct iovec *iov, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		size_t n = MIN(iov[i].iov_len, d->end - d->pos);
		memcpy(d->buf + d->pos, iov[i].iov_base, n);
		d->pos += (uint32_t)n;
	}
	bool last = d->dma_left <= d->dma_len;
	ide_dma_moved(d, 0);
	if (last)
		trim_next(d);
}

void ide_ata_dma(IdeDrive *d, const struct iovec *iov, unsigned count)
{
	if (d->trim) {
		trim_fetched(d, iov, count);
		return;
	}
	uint64_t total = (uint64_t)d->left * IDE_SECTOR;
	uint64_t at = d->lba * IDE_SECTOR + (total - d->dma_left);
	ide_io_begin(d);
	if (d->dma_in)
		blk_read(d->blk, at, iov, count, dma_done, d);
	else
		blk_write(d->blk, at, iov, count, d->fua ? REQ_FUA : 0, dma_done, d);
}

/* ---- settings ---- */

static void initialize_parameters(IdeDrive *d)
{
	uint16_t heads = (uint16_t)((d->device & 15) + 1);
	if (!d->count[0]) {
		ide_abort(d);
		return;
	}
	d->cur_heads = heads;
	d->cur_sectors = d->count[0];
	ide_finish(d);
}

static void set_multiple(IdeDrive *d)
{
	uint8_t n = d->count[0];
	if (n > IDE_MULTIPLE_MAX || n & (n - 1)) {
		ide_abort(d);
		return;
	}
	d->multiple = n;
	ide_finish(d);
}

/* Subcommand 03h: PIO modes change nothing, the DMA modes are shown by IDENTIFY (ATA7 6.49.4). */
static bool set_transfer_mode(IdeDrive *d)
{
	uint8_t kind = d->count[0] >> 3, mode = d->count[0] & 7;
	switch (kind) {
	case 0:
	case 1:
		d->dma_mode = d->udma_mode = 0xff;
		return true;
	case 2: /* single-word DMA, of long ago */
		return mode <= 2;
	case 4:
		d->dma_mode = mode;
		d->udma_mode = 0xff;
		return mode <= 2;
	case 8:
		d->dma_mode = 0xff;
		d->udma_mode = mode;
		return mode <= 5;
	default:
		return false;
	}
}

static void set_features(IdeDrive *d)
{
	switch (d->feature[0]) {
	case 0x02:
	case 0x82:
		if (d->cd)
			break;
		blk_set_write_cache(d->blk, d->feature[0] == 0x02);
		if (d->feature[0] == 0x02)
			ide_finish(d);
		else
			flush(d);
		return;
	case 0x03:
		if (!set_transfer_mode(d))
			break;
		ide_finish(d);
		return;
	case 0x05: case 0x85: /* power management */
	case 0x42: case 0xc2: /* acoustics */
	case 0x55: case 0xaa: /* look-ahead */
	case 0x66: case 0xcc: /* settings over a reset */
	case 0x67: case 0x69: case 0x96: case 0x9a:
		ide_finish(d);
		return;
	default:
		break;
	}
	ide_abort(d);
}

static void read_native_max(IdeDrive *d, bool ext)
{
	uint64_t last = d->sectors - 1;
	d->ext = ext;
	if (!ext)
		last = MIN(last, LBA28_LIMIT - 1);
	if (!ext)
		d->device |= DEV_LBA;
	store_lba(d, last);
	ide_finish(d);
}

static void diagnose(IdeDrive *d)
{
	IdeChannel *ch = d->channel;
	for (unsigned i = 0; i < 2; i++) {
		if (ch->drive[i].blk)
			ide_reset_drive(&ch->drive[i]);
	}
	ch->selected = 0;
	ide_interrupt(d);
}

static void power_mode(IdeDrive *d)
{
	d->count[0] = 0xff; /* active or idle */
	ide_finish(d);
}

/* ---- dispatch ---- */

void ide_ata_block_done(IdeDrive *d)
{
	switch (d->phase) {
	case PHASE_READ:
		if (d->left) {
			read_block(d);
			return;
		}
		break;
	case PHASE_WRITE:
		write_block(d);
		return;
	case PHASE_SINK:
		ide_finish(d);
		return;
	default:
		break;
	}
	d->phase = PHASE_NONE;
	d->status = ST_DRDY | ST_DSC;
}

static bool disk_transfer(IdeDrive *d, uint8_t command)
{
	d->fua = command == 0x3d || command == 0xce;
	switch (command) {
	case 0x20: case 0x21: pio(d, false, false, false); break;
	case 0x24: pio(d, false, true, false); break;
	case 0x30: case 0x31: case 0x3c: pio(d, true, false, false); break;
	case 0x34: pio(d, true, true, false); break;
	case 0xc4: pio(d, false, false, true); break;
	case 0x29: pio(d, false, true, true); break;
	case 0xc5: pio(d, true, false, true); break;
	case 0x39: case 0xce: pio(d, true, true, true); break;
	case 0xc8: case 0xc9: dma(d, false, false); break;
	case 0x25: dma(d, false, true); break;
	case 0xca: case 0xcb: dma(d, true, false); break;
	case 0x35: case 0x3d: dma(d, true, true); break;
	default: return false;
	}
	return true;
}

static void disk_command(IdeDrive *d, uint8_t command)
{
	switch (command) {
	case 0x06: trim(d); break;
	case 0x27: read_native_max(d, true); break;
	case 0xf8: read_native_max(d, false); break;
	case 0x40: case 0x41: verify(d, false); break;
	case 0x42: verify(d, true); break;
	case 0x91: initialize_parameters(d); break;
	case 0xb0: ide_smart(d); break;
	case 0xc6: set_multiple(d); break;
	case 0xec: ide_identify(d); break;
	default:
		if ((command & 0xf0) == 0x10 || (command & 0xf0) == 0x70)
			ide_finish(d); /* RECALIBRATE, SEEK: there are no heads */
		else if (!disk_transfer(d, command))
			ide_abort(d);
	}
}

static void packet_command(IdeDrive *d, uint8_t command)
{
	switch (command) {
	case 0xa0: ide_packet(d); break;
	case 0xa1: ide_identify_packet(d); break;
	case 0x20: case 0xec: /* aborted, and the signature says why (ATA7 6.17.5) */
		ide_signature(d);
		ide_abort(d);
		break;
	default: ide_abort(d);
	}
}

void ide_command(IdeDrive *d, uint8_t command)
{
	d->trim = false;
	switch (command) {
	case 0x90: diagnose(d); break;
	case 0x94: case 0x95: case 0x96: case 0x97: case 0x99: /* power modes, the old numbers */
	case 0xe0: case 0xe1: case 0xe2: case 0xe3: case 0xe6: ide_finish(d); break;
	case 0x98: case 0xe5: power_mode(d); break;
	case 0xe7: case 0xea: flush(d); break;
	case 0xef: set_features(d); break;
	default:
		if (d->cd)
			packet_command(d, command);
		else
			disk_command(d, command);
	}
}
