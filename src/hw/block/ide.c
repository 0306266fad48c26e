/*
 * ide.c - an IDE channel's registers, its resets and its interrupt.
 *
 * ATA/ATAPI-7 volume 1, chapter 5 (registers) and 9 (protocols). A drive that is absent answers as
 * QEMU's: zeroes when the channel is empty, status 0 for a missing second drive. Writes to the task
 * file reach both drives. Left out: overlapped and queued commands. Vcpu threads and the main loop,
 * under the machine lock.
 */
#include "core/trace.h"
#include "hw/block/ide.h"

#include <string.h>

enum { REG_DATA, REG_ERROR, REG_COUNT, REG_LBA_LOW, REG_LBA_MID, REG_LBA_HIGH, REG_DEVICE, REG_STATUS };

static IdeDrive *selected(IdeChannel *ch)
{
	return &ch->drive[ch->selected];
}

static bool empty(const IdeChannel *ch)
{
	return !ch->drive[0].blk && !ch->drive[1].blk;
}

/* ---- interrupt ---- */

static void update_line(IdeChannel *ch)
{
	bool level = ch->intrq && !(ch->control & CTRL_NIEN);
	if (level == ch->line)
		return;
	ch->line = level;
	if (level)
		ide_dma_mark_irq(ch);
	irq_set(&ch->irq, level);
}

void ide_interrupt(IdeDrive *d)
{
	d->channel->intrq = true;
	update_line(d->channel);
}

static void acknowledge(IdeChannel *ch)
{
	ch->intrq = false;
	update_line(ch);
}

/* ---- ends of commands ---- */

void ide_finish(IdeDrive *d)
{
	d->phase = PHASE_NONE;
	d->status = ST_DRDY | ST_DSC;
	d->error = 0;
	ide_interrupt(d);
}

void ide_fail(IdeDrive *d, uint8_t error)
{
	d->phase = PHASE_NONE;
	d->status = ST_DRDY | ST_DSC | ST_ERR;
	d->error = error;
	ide_interrupt(d);
}

void ide_offer(IdeDrive *d, IdePhase phase, uint32_t len)
{
	d->phase = (uint8_t)phase;
	d->pos = 0;
	d->end = len;
	d->status = ST_DRDY | ST_DSC | ST_DRQ;
}

void ide_reply(IdeDrive *d, uint32_t len)
{
	d->error = 0;
	ide_offer(d, PHASE_REPLY, len);
	ide_interrupt(d);
}

bool ide_io_ended(IdeDrive *d)
{
	d->io = false;
	return !d->cancelling;
}

void ide_cancel(IdeDrive *d)
{
	d->cancelling = true;
	if (d->blk && d->io)
		blk_drain(d->blk);
	ide_packet_cancel(d);
	d->cancelling = false;
	d->io = false;
	d->dma = false;
	if (d->channel->bm.drive == d)
		ide_dma_stop(d);
	d->phase = PHASE_NONE;
	d->pos = d->end = 0;
	d->left = 0;
}

/* ---- resets ---- */

/* ATA7 9.12: by these four registers a host tells disks from packet devices. */
void ide_signature(IdeDrive *d)
{
	d->device &= DEV_UNIT | DEV_OBSOLETE;
	d->count[0] = d->lba_low[0] = 1;
	d->lba_mid[0] = d->cd ? 0x14 : 0;
	d->lba_high[0] = d->cd ? 0xeb : 0;
	if (!d->blk)
		d->lba_mid[0] = d->lba_high[0] = 0xff;
}

void ide_reset_drive(IdeDrive *d)
{
	trace_ide_reset(d);
	ide_cancel(d);
	d->error = 1; /* diagnostic code: no error */
	d->device = (uint8_t)(DEV_OBSOLETE | (d->unit ? DEV_UNIT : 0));
	memset(d->feature, 0, sizeof(d->feature));
	ide_signature(d);
	d->status = d->cd || !d->blk ? 0 : ST_DRDY | ST_DSC;
	d->multiple = IDE_MULTIPLE_MAX;
}

static void bus_reset(IdeChannel *ch)
{
	for (unsigned i = 0; i < 2; i++)
		ide_reset_drive(&ch->drive[i]);
	ch->selected = 0;
	acknowledge(ch);
}

void ide_channel_reset(IdeChannel *ch)
{
	bus_reset(ch);
	ch->control = 0;
	update_line(ch);
	ide_bm_reset(ch);
	for (unsigned i = 0; i < 2; i++) {
		IdeDrive *d = &ch->drive[i];
		d->cur_heads = d->heads;
		d->cur_sectors = d->sectors_per_track;
		d->dma_mode = 0xff;
		d->udma_mode = 5;
		d->smart = d->smart_autosave = true;
		if (d->cd)
			scsi_unit_reset(&d->scsi);
	}
}

/* The drives are busy while the bit is set; they come back when it falls (ATA7 9.2). */
static void write_control(IdeChannel *ch, uint8_t value)
{
	uint8_t before = ch->control;
	ch->control = value;
	if (value & CTRL_SRST && !(before & CTRL_SRST)) {
		bus_reset(ch);
		for (unsigned i = 0; i < 2; i++)
			ch->drive[i].status = ST_BSY | ST_DSC;
	} else if (!(value & CTRL_SRST) && before & CTRL_SRST) {
		bus_reset(ch);
	}
	update_line(ch);
}

/* ---- the data port ---- */

static bool outward(const IdeDrive *d)
{
	return d->phase == PHASE_REPLY || d->phase == PHASE_READ || d->phase == PHASE_PACKET_IN;
}

static void block_done(IdeDrive *d)
{
	if (d->phase == PHASE_PACKET || d->phase == PHASE_PACKET_IN || d->phase == PHASE_PACKET_OUT)
		ide_packet_block_done(d);
	else
		ide_ata_block_done(d);
}

static uint32_t data_read(IdeDrive *d, unsigned size)
{
	uint32_t value = 0;
	if (!(d->status & ST_DRQ) || !outward(d) || d->pos >= d->end)
		return 0;
	unsigned n = MIN(size, d->end - d->pos);
	memcpy(&value, d->buf + d->pos, n);
	d->pos += n;
	if (d->pos == d->end)
		block_done(d);
	return value;
}

static void data_write(IdeDrive *d, uint32_t value, unsigned size)
{
	if (!(d->status & ST_DRQ) || outward(d) || d->pos >= d->end)
		return;
	unsigned n = MIN(size, d->end - d->pos);
	memcpy(d->buf + d->pos, &value, n);
	d->pos += n;
	if (d->pos == d->end)
		block_done(d);
}

/* ---- the task file ---- */

static uint8_t status_of(IdeChannel *ch)
{
	const IdeDrive *d = selected(ch);
	return empty(ch) || (ch->selected && !d->blk) ? 0 : d->status;
}

static uint8_t task_read(IdeChannel *ch, unsigned reg)
{
	const IdeDrive *d = selected(ch);
	unsigned hob = ch->control & CTRL_HOB ? 1 : 0;
	if (reg == REG_STATUS) {
		uint8_t status = status_of(ch);
		acknowledge(ch);
		return status;
	}
	if (empty(ch))
		return 0;
	switch (reg) {
	case REG_ERROR: return hob || (ch->selected && !d->blk) ? 0 : d->error;
	case REG_COUNT: return d->count[hob];
	case REG_LBA_LOW: return d->lba_low[hob];
	case REG_LBA_MID: return d->lba_mid[hob];
	case REG_LBA_HIGH: return d->lba_high[hob];
	case REG_DEVICE: return d->device;
	default: return 0xff; /* the data port is never a byte wide */
	}
}

static void push(uint8_t reg[2], uint8_t value)
{
	reg[1] = reg[0];
	reg[0] = value;
}

static bool busy(const IdeDrive *d)
{
	return d->blk && d->status & (ST_BSY | ST_DRQ);
}

static void write_command(IdeChannel *ch, uint8_t command)
{
	IdeDrive *d = selected(ch), *other = &ch->drive[!ch->selected];
	trace_ide_exec_cmd(ch, d, command);
	acknowledge(ch);
	if (!d->blk)
		return;
	if (d->cd && command == 0x08 && !(ch->control & CTRL_SRST)) { /* DEVICE RESET works in any state */
		uint8_t device = d->device;
		ide_reset_drive(d);
		d->device = device & (DEV_UNIT | DEV_OBSOLETE);
		return;
	}
	if (busy(d) || other->io || other->dma)
		return;
	ide_command(d, command);
}

static void task_write(IdeChannel *ch, unsigned reg, uint8_t value)
{
	if (reg == REG_STATUS) {
		write_command(ch, value);
		return;
	}
	ch->control &= (uint8_t)~CTRL_HOB;
	if (reg == REG_DEVICE)
		ch->selected = !!(value & DEV_UNIT);
	for (unsigned i = 0; i < 2; i++) {
		IdeDrive *d = &ch->drive[i];
		/* A drive takes nothing while it works; the selection has a latch of its own. */
		if (busy(d) && reg != REG_DEVICE)
			continue;
		switch (reg) {
		case REG_ERROR: push(d->feature, value); break;
		case REG_COUNT: push(d->count, value); break;
		case REG_LBA_LOW: push(d->lba_low, value); break;
		case REG_LBA_MID: push(d->lba_mid, value); break;
		case REG_LBA_HIGH: push(d->lba_high, value); break;
		case REG_DEVICE: d->device = value | DEV_OBSOLETE; break;
		default: break;
		}
	}
}

/* ATA/ATAPI-7, 5.4: what stands at a port, read and written. */
static const char *const register_names[2][8] = {
	{ "Data", "Error", "Sector Count", "Sector Number", "Cylinder Low", "Cylinder High", "Device/Head", "Status" },
	{ "Data", "Features", "Sector Count", "Sector Number", "Cylinder Low", "Cylinder High", "Device/Head", "Command" },
};

static unsigned port_of(const IdeChannel *ch, unsigned reg) { return (unsigned)ch->command_block.base + reg; }

static uint8_t traced_read(IdeChannel *ch, unsigned reg)
{
	uint8_t value = task_read(ch, reg);
	trace_ide_ioport_read(port_of(ch, reg), register_names[0][reg & 7], value, ch, selected(ch));
	return value;
}

static void traced_write(IdeChannel *ch, unsigned reg, uint8_t value)
{
	trace_ide_ioport_write(port_of(ch, reg), register_names[1][reg & 7], value, ch, selected(ch));
	task_write(ch, reg, value);
}

static uint64_t command_read(void *opaque, uint64_t offset, unsigned size)
{
	IdeChannel *ch = opaque;
	uint64_t value = 0;
	if (offset == REG_DATA && size > 1)
		return empty(ch) ? 0 : data_read(selected(ch), size);
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)traced_read(ch, (unsigned)offset + i) << 8 * i;
	return value;
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	IdeChannel *ch = opaque;
	if (offset == REG_DATA && size > 1) {
		data_write(selected(ch), (uint32_t)value, size);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		traced_write(ch, (unsigned)offset + i, (uint8_t)(value >> 8 * i));
}

static uint64_t control_read(void *opaque, uint64_t offset, unsigned size)
{
	return status_of(opaque);
}

static void control_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	write_control(opaque, (uint8_t)value);
}

static const RegionOps command_ops = { command_read, command_write, 1, 4 };
static const RegionOps control_ops = { control_read, control_write, 1, 1 };

void ide_channel_init(IdeChannel *ch, PciDevice *pci, unsigned number)
{
	ch->board = pci->dev.board;
	ch->pci = pci;
	ch->number = number;
	for (unsigned i = 0; i < 2; i++) {
		ch->drive[i].channel = ch;
		ch->drive[i].unit = i;
	}
	region_init_io(&ch->command_block, "ide-command", &command_ops, ch, 8);
	region_init_io(&ch->control_block, "ide-control", &control_ops, ch, 1);
}

/* ---- state: resets are ide_channel_reset()'s, so that a guest's own do the same ---- */

#define KEEP(type_, member) STATE_KEEP_ARRAY(type_, IdeDrive, member, 1)
static const StateField drive_state[] = {
	STATE_KEEP_ARRAY(FIELD_U8, IdeDrive, feature, 2), STATE_KEEP_ARRAY(FIELD_U8, IdeDrive, count, 2),
	STATE_KEEP_ARRAY(FIELD_U8, IdeDrive, lba_low, 2), STATE_KEEP_ARRAY(FIELD_U8, IdeDrive, lba_mid, 2),
	STATE_KEEP_ARRAY(FIELD_U8, IdeDrive, lba_high, 2), KEEP(FIELD_U8, device), KEEP(FIELD_U8, status),
	KEEP(FIELD_U8, error), KEEP(FIELD_U16, cur_heads), KEEP(FIELD_U16, cur_sectors),
	KEEP(FIELD_U8, multiple), KEEP(FIELD_U8, dma_mode), KEEP(FIELD_U8, udma_mode), KEEP(FIELD_BOOL, smart),
	KEEP(FIELD_BOOL, smart_autosave), KEEP(FIELD_BOOL, smart_offline), KEEP(FIELD_U8, smart_selftest),
	KEEP(FIELD_U8, smart_log_at), KEEP(FIELD_U8, smart_log_count),
	STATE_KEEP_ARRAY(FIELD_U8, IdeDrive, smart_log, 21), KEEP(FIELD_U8, phase), KEEP(FIELD_U32, pos),
	KEEP(FIELD_U32, end), STATE_KEEP_ARRAY(FIELD_U8, IdeDrive, buf, IDE_BUFFER), KEEP(FIELD_BOOL, ext),
	KEEP(FIELD_BOOL, fua), KEEP(FIELD_U64, lba), KEEP(FIELD_U32, left), KEEP(FIELD_U32, chunk),
	KEEP(FIELD_U32, block), KEEP(FIELD_BOOL, trim),
	KEEP(FIELD_BOOL, dma), KEEP(FIELD_BOOL, dma_in), KEEP(FIELD_U64, dma_left), KEEP(FIELD_U32, trim_at),
	KEEP(FIELD_BOOL, packet_dma), KEEP(FIELD_U16, packet_limit),
	STATE_STRUCT(IdeDrive, scsi, scsi_unit_state),
	{ 0 }
};

static const StateField bm_state[] = {
	STATE_KEEP_ARRAY(FIELD_U8, IdeBusMaster, command, 1), STATE_KEEP_ARRAY(FIELD_U8, IdeBusMaster, status, 1),
	STATE_KEEP_ARRAY(FIELD_U32, IdeBusMaster, table, 1), STATE_KEEP_ARRAY(FIELD_U32, IdeBusMaster, next, 1),
	STATE_KEEP_ARRAY(FIELD_U32, IdeBusMaster, addr, 1), STATE_KEEP_ARRAY(FIELD_U32, IdeBusMaster, left, 1),
	STATE_KEEP_ARRAY(FIELD_BOOL, IdeBusMaster, last, 1),
	{ 0 }
};

const StateField ide_channel_state[] = {
	STATE_STRUCT(IdeChannel, drive[0], drive_state),
	STATE_STRUCT(IdeChannel, drive[1], drive_state),
	STATE_STRUCT(IdeChannel, bm, bm_state),
	STATE_KEEP_ARRAY(FIELD_U8, IdeChannel, selected, 1),
	STATE_KEEP_ARRAY(FIELD_U8, IdeChannel, control, 1),
	STATE_KEEP_ARRAY(FIELD_BOOL, IdeChannel, intrq, 1),
	STATE_KEEP_ARRAY(FIELD_BOOL, IdeChannel, line, 1),
	{ 0 }
};
