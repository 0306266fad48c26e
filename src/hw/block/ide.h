/*
 * ide.h - one IDE channel: two drives, their task files, and the bus master that serves them.
 *
 * ATA/ATAPI-7 (INCITS 397, "ATA7"), ACS-3 (INCITS 522), SFF-8038i for the bus master. Private to
 * the IDE files. Machine lock held in all functions; the drive's loop is the main loop's.
 */
#ifndef VIV_HW_BLOCK_IDE_H
#define VIV_HW_BLOCK_IDE_H

#include "block/blk.h"
#include "core/board.h"
#include "core/device.h"
#include "hw/pci/pci.h"
#include "hw/scsi/scsi.h"

#define IDE_SECTOR 512u
#define IDE_BUFFER 65536u
#define IDE_MULTIPLE_MAX 16u
#define IDE_IOV_MAX 256u
#define IDE_DMA_STEP (1u << 20) /* bytes of one request to the drive */

/* Status (ATA7 5.15) and error (5.9) registers */
enum { ST_ERR = 0x01, ST_DRQ = 0x08, ST_DSC = 0x10, ST_DF = 0x20, ST_DRDY = 0x40, ST_BSY = 0x80 };
enum { ER_ABRT = 0x04, ER_IDNF = 0x10, ER_UNC = 0x40 };
enum { CTRL_NIEN = 0x02, CTRL_SRST = 0x04, CTRL_HOB = 0x80 };
enum { DEV_UNIT = 0x10, DEV_LBA = 0x40, DEV_OBSOLETE = 0xa0 };
/* Interrupt reason: the sector count of a packet device */
enum { REASON_CD = 1, REASON_IO = 2 };
/* Bus master (SFF-8038i 2) */
enum { BM_START = 0x01, BM_READ = 0x08 };
enum { BMS_ACTIVE = 0x01, BMS_ERROR = 0x02, BMS_IRQ = 0x04, BMS_DRIVES = 0x60 };

/* What the data port is for. */
typedef enum IdePhase {
	PHASE_NONE, PHASE_REPLY, PHASE_READ, PHASE_WRITE, PHASE_PACKET, PHASE_PACKET_IN,
	PHASE_PACKET_OUT, PHASE_SINK,
} IdePhase;

typedef struct IdeChannel IdeChannel;

/* Registers that are two deep have [0], written last, and [1], the one before ("HOB"). */
typedef struct IdeDrive {
	IdeChannel *channel;
	unsigned unit;
	/* what is plugged in; blk NULL: nothing */
	Device *dev;
	Blk *blk;
	bool cd;
	char serial[21], model[41], version[9];
	uint64_t wwn;
	uint64_t sectors;
	uint16_t cylinders, heads, sectors_per_track; /* as IDENTIFY says by default */
	uint8_t physical_exp;      /* physical sector: 512 << this */
	uint64_t granularity;      /* of discards, in sectors; 0: TRIM is not offered */
	uint16_t rotation;
	ScsiUnit scsi;             /* of a CD */
	/* registers */
	uint8_t feature[2], count[2], lba_low[2], lba_mid[2], lba_high[2];
	uint8_t device, status, error;
	/* settings */
	uint16_t cur_heads, cur_sectors;
	uint8_t multiple, dma_mode, udma_mode;
	bool smart, smart_autosave, smart_offline;
	uint8_t smart_selftest, smart_log_at, smart_log_count;
	uint8_t smart_log[21];     /* (number, status) of ten self-tests */
	/* a command that is being executed */
	uint8_t phase;
	uint32_t pos, end;         /* of the data port in buf */
	uint8_t buf[IDE_BUFFER];
	bool ext, fua;
	uint64_t lba;
	uint32_t left, chunk, block; /* sectors to do, in the present block, in a full one */
	bool io, cancelling;       /* a request is with the drive; its end is not awaited any more */
	struct iovec vec;
	bool dma, dma_in;          /* waits for or uses the bus master; towards memory */
	uint64_t dma_left, dma_len; /* bytes to do, and in the present request */
	bool trim;                 /* the data are ranges to discard; how far in buf */
	uint32_t trim_at;
	bool packet_dma;
	uint16_t packet_limit;
	ScsiRequest *req;
} IdeDrive;

typedef struct IdeBusMaster {
	uint8_t command, status;
	uint32_t table;            /* register */
	uint32_t next;             /* offset of the next descriptor from it */
	uint32_t addr, left;       /* of the present descriptor */
	bool last;
	IdeDrive *drive;           /* the one with a command for it */
	struct iovec iov[IDE_IOV_MAX];
	unsigned count;
} IdeBusMaster;

struct IdeChannel {
	Board *board;
	PciDevice *pci;
	unsigned number;
	IdeDrive drive[2];
	uint8_t selected, control;
	bool intrq;                /* what the drives ask for; nIEN holds it back */
	bool line;
	Irq irq;
	IdeBusMaster bm;
	Region command_block, control_block;
	Bus *bus;
};

extern const StateField ide_channel_state[];

/* ---- the channel (ide.c) ---- */
void ide_channel_init(IdeChannel *ch, PciDevice *pci, unsigned number);
void ide_channel_reset(IdeChannel *ch);
/* Ends what the drive does, waits for its request. Not from inside a request's end. */
void ide_cancel(IdeDrive *d);
/* Registers as after a reset; settings that survive one stay (ATA7 9.2). */
void ide_signature(IdeDrive *d);
void ide_reset_drive(IdeDrive *d);
void ide_interrupt(IdeDrive *d);
/* The command ends well, or with an error register; interrupt included. */
void ide_finish(IdeDrive *d);
void ide_fail(IdeDrive *d, uint8_t error);
static inline void ide_abort(IdeDrive *d) { ide_fail(d, ER_ABRT); }
/* len bytes of buf go through the data port next. */
void ide_offer(IdeDrive *d, IdePhase phase, uint32_t len);
/* buf[0..len) is the answer of a command. */
void ide_reply(IdeDrive *d, uint32_t len);
/* For the end of every request: false if nobody waits for it any more. */
bool ide_io_ended(IdeDrive *d);
static inline void ide_io_begin(IdeDrive *d) { d->io = true; }

/* ---- bus master (ide_bmdma.c) ---- */
/* The present command moves bytes by the bus master, now or when it is started. */
void ide_dma_begin(IdeDrive *d, bool in, uint64_t bytes);
/* The bytes of ide_dma_moves() are done; result 0 or an error register. */
void ide_dma_moved(IdeDrive *d, uint8_t error);
void ide_dma_stop(IdeDrive *d);
void ide_dma_mark_irq(IdeChannel *ch);
uint64_t ide_bm_read(IdeChannel *ch, uint64_t offset, unsigned size);
void ide_bm_write(IdeChannel *ch, uint64_t offset, uint64_t value, unsigned size);
void ide_bm_reset(IdeChannel *ch);

/* ---- commands (ide_ata.c, ide_identify.c, ide_smart.c, ide_atapi.c) ---- */
void ide_command(IdeDrive *d, uint8_t command);
/* The data port's block is through. */
void ide_ata_block_done(IdeDrive *d);
/* Begins the request for the bytes in the bus master's iovecs. */
void ide_ata_dma(IdeDrive *d, const struct iovec *iov, unsigned count);
void ide_identify(IdeDrive *d);
void ide_identify_packet(IdeDrive *d);
void ide_smart(IdeDrive *d);
void ide_packet(IdeDrive *d);
void ide_packet_start(IdeDrive *d);
void ide_packet_block_done(IdeDrive *d);
void ide_packet_dma(IdeDrive *d, const struct iovec *iov, unsigned count);
void ide_packet_cancel(IdeDrive *d);
extern const ScsiHost ide_scsi_host;

#endif
