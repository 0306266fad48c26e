/*
 * scsi.h - a SCSI logical unit over a drive: it executes command blocks for any host adapter.
 *
 * SPC-4 (INCITS 513), SBC-3 (514), MMC-6 (468). The adapter makes a request of a CDB, learns
 * direction and length, hands in memory piece by piece with scsi_go() and gets status and sense at
 * the end. The unit knows neither adapter nor bus. All functions: the lock of the drive's loop held
 * (main loop: the machine lock); `ready` is called with that loop entered.
 *
 *	r = scsi_request_new(unit, cdb, sizeof(cdb), opaque);
 *	while (!r->ended) scsi_go(r, iov, count) - or one call with all memory there is
 *	... r->status, r->sense, r->moved; scsi_request_free(r)
 */
#ifndef VIV_HW_SCSI_SCSI_H
#define VIV_HW_SCSI_SCSI_H

#include "block/blk.h"
#include "core/device.h"

#define SCSI_SENSE_LEN 18u
#define SCSI_CDB_MAX 16u

enum { SCSI_GOOD = 0x00, SCSI_CHECK_CONDITION = 0x02 };

/* Sense key, additional sense code and its qualifier, as 0xKKAAQQ. */
typedef enum ScsiSense {
	SENSE_NONE = 0,
	SENSE_NO_MEDIUM = 0x023a00,
	SENSE_TRAY_OPEN = 0x023a02,
	SENSE_READ_ERROR = 0x031100,
	SENSE_WRITE_ERROR = 0x030c00,
	SENSE_TARGET_FAILURE = 0x044400,
	SENSE_BAD_OPCODE = 0x052000,
	SENSE_BAD_LBA = 0x052100,
	SENSE_BAD_FIELD = 0x052400,
	SENSE_BAD_LIST_LENGTH = 0x051a00,
	SENSE_BAD_LIST = 0x052600,
	SENSE_WRONG_MODE = 0x056400,
	SENSE_LOCKED = 0x055302,
	SENSE_BAD_LUN = 0x052500,
	SENSE_MEDIUM_CHANGED = 0x062800,
	SENSE_POWER_ON = 0x062900,
	SENSE_CAPACITY_CHANGED = 0x062a09,
	SENSE_SPACE = 0x072707,
	SENSE_READ_ONLY = 0x072700,
} ScsiSense;

typedef enum ScsiDir { SCSI_DIR_NONE, SCSI_DIR_IN, SCSI_DIR_OUT } ScsiDir; /* in: from the unit */

typedef struct ScsiUnit ScsiUnit;
typedef struct ScsiRequest ScsiRequest;
struct ScsiBus;

/* What an adapter tells a unit once. */
typedef struct ScsiHost {
	/* What scsi_go() began is over: look at r->ended. Not from inside scsi_go(). */
	void (*ready)(ScsiRequest *r);
	/* The medium was changed or removal is asked for; may be NULL. */
	void (*event)(ScsiUnit *unit);
	bool autosense; /* r->sense reaches the guest: REQUEST SENSE will not ask for it again */
	bool atapi;           /* INQUIRY as a packet device gives it */
	bool power_on_attention; /* a reset unit says so with UNIT ATTENTION 29h */
} ScsiHost;

typedef enum ScsiMediaEvent {
	MEDIA_NO_CHANGE,
	MEDIA_EJECT_REQUEST,
	MEDIA_NEW,
	MEDIA_REMOVED
} ScsiMediaEvent;

struct ScsiUnit {
	const ScsiHost *host;
	void *opaque;         /* the adapter's */
	struct ScsiBus *bus;  /* what it shares with other units; NULL: an ATAPI drive's own */
	Blk *blk;             /* NULL: no unit */
	bool cd;
	bool absent;          /* stands for units that a target does not have */
	uint32_t block_size;  /* 2048 for a CD */
	uint8_t physical_exp; /* physical block: block_size << this */
	bool removable, dpofua;
	uint16_t rotation;
	uint32_t min_io, opt_io;        /* bytes; 0: not said */
	uint64_t max_io, max_unmap;     /* bytes of one command */
	uint64_t discard_granularity;   /* bytes; 0: discards are of no use */
	uint16_t channel, id, lun;
	char vendor[9], product[17], version[5], serial[37], device_id[128]; /* unpadded */
	uint64_t wwn;
	/* state */
	bool tray_open, locked;
	uint8_t changed;      /* 2: the next command finds no medium; 1: and then a new one */
	uint8_t media_event;  /* ScsiMediaEvent */
	uint32_t sense, attention; /* ScsiSense; 0: none */
};
extern const StateField scsi_unit_state[];

struct ScsiRequest {
	ScsiUnit *unit;
	void *opaque;         /* the adapter's */
	uint8_t cdb[SCSI_CDB_MAX];
	ScsiDir dir;
	uint64_t length;      /* bytes the command moves at most */
	uint64_t moved;       /* so far */
	bool ended;           /* status and sense are valid; nothing more happens */
	uint8_t status;       /* SCSI_GOOD or SCSI_CHECK_CONDITION */
	uint8_t sense[SCSI_SENSE_LEN]; /* fixed format */
	unsigned sense_len;   /* 0 if GOOD */
	/* the unit's own */
	uint8_t *data;        /* a reply, or parameters to come */
	const struct iovec *iov; /* the adapter's, while a gather is under way */
	unsigned count;
	struct iovec *cut;    /* the adapter's, without what is too much */
	struct iovec *gather; /* READ CD: where in `data` the medium's blocks go, first of all */
	unsigned gather_count;
	uint64_t offset, step;/* on the drive; bytes under way */
	uint64_t at;          /* in a list of ranges, or in one */
	struct iovec vec;     /* WRITE SAME's pattern */
	uint64_t end;
	bool busy, medium, fua, orphan;
	void (*finish)(
		ScsiRequest *r); /* once all data is there; may begin a request to the drive */
};

/* Fills in what does not depend on the adapter; names, serial and sizes are the caller's to set
 * after it. */
void scsi_unit_init(ScsiUnit *u, bool cd, Blk *blk, const ScsiHost *host, void *opaque);
void scsi_unit_reset(ScsiUnit *u);
/* BlkDevice's changed, locked and eject_request pass these on. */
void scsi_unit_medium(ScsiUnit *u, bool inserted);
void scsi_unit_resized(ScsiUnit *u);
void scsi_unit_eject_request(ScsiUnit *u, bool force);
/* By the user's hand. */
void scsi_unit_move_tray(ScsiUnit *u, bool open);

/*
 * Parses and, where no medium and no data to come are needed, executes. Never NULL. If it fails,
 * or moves nothing and is done, `ended` is set already; otherwise scsi_go() must be called.
 */
ScsiRequest *scsi_request_new(ScsiUnit *u, const uint8_t *cdb, unsigned len, void *opaque);
/*
 * Moves the next bytes, as many as the iovecs hold and the command has (iov and memory stay until
 * done). With count 0, or when all bytes have moved, the command comes to its end. True: done
 * within the call; false: host->ready() will be called.
 */
bool scsi_go(ScsiRequest *r, const struct iovec *iov, unsigned count);
/*
 * One with a request under way is freed at its end, and ready() is not called any more; its iovecs
 * and memory must stay until then: whoever cannot wait drains the drive first.
 */
void scsi_request_free(ScsiRequest *r);
/* How long the CDB of an opcode is (SPC-4 4.2.5.1); 0: it does not say. */
unsigned scsi_cdb_length(uint8_t opcode);

/* ---- for the unit's own files (scsi.c, scsi_inquiry.c, scsi_bus.c, scsi_cd.c, scsi_disk.c) ----
 */
void scsi_end(ScsiRequest *r, ScsiSense sense);
/* Fixed format, SCSI_SENSE_LEN bytes. */
void scsi_put_sense(uint8_t *p, uint32_t sense);
/* A zeroed reply of which at most `limit` bytes go out. */
uint8_t *scsi_reply(ScsiRequest *r, unsigned len, unsigned limit);
/* Parameters come first; then finish(r) reads r->data[0..moved). */
void scsi_expect(ScsiRequest *r, unsigned len, void (*finish)(ScsiRequest *r));
/* Blocks of the medium, read or written. */
void scsi_medium_io(ScsiRequest *r, ScsiDir dir, uint64_t lba, uint64_t blocks);
uint64_t scsi_blocks(const ScsiUnit *u);
/* Is there a readable medium? Ends the request if not. */
bool scsi_medium_ready(ScsiRequest *r);
/* The end of a request to the drive that a `finish` began (r->busy set); it ends the command. */
void scsi_finish_done(void *opaque, int result);
/* First in the end of every request to the drive. False: the adapter gave it up, and r is gone. */
bool scsi_still_wanted(ScsiRequest *r);
ScsiSense scsi_sense_of(int err, bool write);
void scsi_inquiry(ScsiRequest *r);
void scsi_report_luns(ScsiRequest *r);
void scsi_start_stop(ScsiRequest *r);
void scsi_prevent(ScsiRequest *r);
void scsi_absent_command(ScsiRequest *r);
void scsi_cd_command(ScsiRequest *r);
void scsi_disk_command(ScsiRequest *r);
/* Writes one mode page (changeable: the mask of what MODE SELECT may change); its length, 0:
 * unknown. */
typedef unsigned ScsiModePage(ScsiUnit *u, unsigned code, bool changeable, uint8_t *out);
void scsi_mode_sense(ScsiRequest *r, ScsiModePage *page, uint8_t medium_type, uint8_t device_param);

static inline uint16_t scsi_get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t scsi_get24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | scsi_get16(p + 1);
}
static inline uint32_t scsi_get32(const uint8_t *p)
{
	return (uint32_t)scsi_get16(p) << 16 | scsi_get16(p + 2);
}
static inline uint64_t scsi_get64(const uint8_t *p)
{
	return (uint64_t)scsi_get32(p) << 32 | scsi_get32(p + 4);
}
static inline void scsi_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void scsi_put24(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 16);
	scsi_put16(p + 1, v);
}
static inline void scsi_put32(uint8_t *p, uint32_t v)
{
	scsi_put16(p, v >> 16);
	scsi_put16(p + 2, v);
}
static inline void scsi_put64(uint8_t *p, uint64_t v)
{
	scsi_put32(p, (uint32_t)(v >> 32));
	scsi_put32(p + 4, (uint32_t)v);
}

#endif
