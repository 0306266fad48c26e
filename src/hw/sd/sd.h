/*
 * sd.h - an SD memory card, and the slot that it is in.
 *
 * SD Specifications Part 1, Physical Layer Simplified Specification 3.01 ("SD"). The card takes
 * commands and answers at once; blocks move through its buffer, and come and go later, as the drive
 * behind it works. Main loop and vcpu threads, machine lock held in all functions.
 */
#ifndef VIV_HW_SD_SD_H
#define VIV_HW_SD_SD_H

#include "block/blk.h"
#include "core/device.h"
#include "hw/block/policy.h"

#define SD_BLOCK	512u	     /* what cards above 2 GiB move, and all cards write */
#define SD_BUFFER	(64u << 10)  /* bytes of one request to the drive */
#define SD_SDSC_MAX	(2ull << 30) /* byte addresses up to here, blocks above */
#define SD_SDXC_MAX	(2ull << 40)
#define SD_SDSC_MIN	2048u /* the least that a CSD can say */
#define SD_STATUS_BYTES 64u

typedef struct SdCard SdCard;

/* Bus.opaque of an "sd-bus": what the card tells its controller. */
typedef struct SdSlot {
	SdCard *card;			      /* NULL: nobody plugged one in */
	void (*ready)(struct SdSlot *slot);   /* the card is not busy any more */
	void (*changed)(struct SdSlot *slot); /* a card came or went */
} SdSlot;

/* States (SD table 4-1); what R1 says in CURRENT_STATE. */
typedef enum SdState {
	SD_IDLE,
	SD_READY,
	SD_IDENT,
	SD_STBY,
	SD_TRAN,
	SD_DATA,
	SD_RCV,
	SD_PRG,
	SD_DIS,
	SD_INACTIVE,
} SdState;

/* Card status (SD 4.10.1) */
enum {
	SD_OUT_OF_RANGE = 1u << 31,
	SD_ADDRESS_ERROR = 1 << 30,
	SD_BLOCK_LEN_ERROR = 1 << 29,
	SD_ERASE_SEQ_ERROR = 1 << 28,
	SD_ERASE_PARAM = 1 << 27,
	SD_WP_VIOLATION = 1 << 26,
	SD_ILLEGAL_COMMAND = 1 << 22,
	SD_CARD_ECC_FAILED = 1 << 21,
	SD_ERROR = 1 << 19,
	SD_WP_ERASE_SKIP = 1 << 15,
	SD_ERASE_RESET = 1 << 13,
	SD_READY_FOR_DATA = 1 << 8,
	SD_APP_CMD = 1 << 5,
};

/* Operation Conditions Register (SD 5.1) */
#define SD_OCR_VOLTAGES 0x00ff8000u /* 2.7 to 3.6 V */
#define SD_OCR_CCS	0x40000000u /* block addresses; in ACMD41: the host knows them */
#define SD_OCR_POWERED	0x80000000u

/* How a card that is read or written takes the blocks of its data phase. */
typedef enum SdMove {
	SD_MOVE_NONE,  /* it has or wants no data: nothing happens on the DAT lines */
	SD_MOVE_DONE,  /* at once */
	SD_MOVE_LATER, /* SdSlot.ready will be called; sd_card_failed() then says how it went */
} SdMove;

/* What a data phase moves. */
typedef enum SdSource { SD_FROM_NOTHING, SD_FROM_MEDIUM, SD_FROM_REGISTER } SdSource;

struct SdCard {
	Device dev; /* first */
	SdSlot *slot;
	Blk *blk;	      /* NULL: an empty slot */
	uint8_t spec_version; /* property: 1 (1.10), 2 (2.00), 3 (3.01) */
	DiskPolicy policy;    /* properties */
	uint64_t size;	      /* bytes that the card shows; 0: there is none */
	/* state machine */
	uint8_t state;	  /* SdState, without what busy adds */
	bool app_command; /* CMD55 came before */
	uint16_t rca;
	uint32_t status;    /* errors for the next R1 */
	uint16_t block_len; /* CMD16; of cards above 2 GiB for registers only */
	uint8_t bus_width;  /* as ACMD6 codes it */
	bool high_speed;    /* CMD6 */
	/* data phase */
	uint8_t source;		/* SdSource */
	bool multiple, counted; /* counted: by CMD23, `blocks` are left */
	uint32_t blocks, written;
	uint64_t address;    /* bytes */
	uint32_t set_blocks; /* CMD23, for the next command */
	uint8_t reg[SD_STATUS_BYTES];
	uint8_t reg_bytes;
	/* erase */
	uint8_t erase_have;		 /* 1: start, 3: start and end */
	bool erase_waits;		 /* for the drive */
	uint64_t erase_start, erase_end; /* bytes, the end's block included */
	/* the request to the drive */
	bool busy, stale; /* stale: nobody waits for what it brings */
	bool programming; /* it writes or erases */
	bool failed;
	struct iovec vec;
	uint32_t moving; /* bytes of it */
	uint8_t buf[SD_BUFFER];
};

/* ---- the device (sd_card.c) ---- */
bool sd_card_present(const SdCard *c);	/* NULL: no */
bool sd_card_writable(const SdCard *c); /* the lock switch is off */
/* Power was away: everything but the medium is as new. What the drive does goes on, unseen. */
void sd_card_power_cycle(SdCard *c);

/* ---- commands (sd_command.c) ---- */
/*
 * Takes CMD`index`. Bytes of the answer: 0 (none came), 4 (R1, R3, R6, R7) or 15 (R2 without its
 * CRC), the first one sent first.
 */
unsigned sd_card_command(SdCard *c, uint8_t index, uint32_t arg, uint8_t answer[16]);
static inline bool sd_is_sdhc(const SdCard *c)
{
	return c->size > SD_SDSC_MAX;
}

/* ---- data (sd_data.c) ---- */
/* With the drive: neither the buffer may be touched nor another block moved before SdSlot.ready. */
static inline bool sd_card_busy(const SdCard *c)
{
	return c->busy;
}
/* Busy with what was written or erased: DAT0 is low. */
static inline bool sd_card_programming(const SdCard *c)
{
	return c->busy && (c->programming || c->erase_waits);
}
/* The last move ended in an error, or lacked data. */
static inline bool sd_card_failed(const SdCard *c)
{
	return c->failed;
}
/*
 * Moves `count` blocks of `len` bytes from the card to c->buf, or from there to the card; count *
 * len is SD_BUFFER at most. Not while the card is busy.
 */
/* How many blocks of `len` bytes it would move at once. */
uint32_t sd_card_room(const SdCard *c, bool write, uint32_t len);
SdMove sd_card_read(SdCard *c, uint32_t len, uint32_t count);
SdMove sd_card_write(SdCard *c, uint32_t len, uint32_t count);
/* Begins a data phase: state and source are set. */
void sd_begin_medium(SdCard *c, bool write, bool multiple, uint64_t address);
void sd_begin_register(SdCard *c, const uint8_t *bytes, unsigned len);
/* Ends it; a request under way ends unseen. */
void sd_end_data(SdCard *c);
void sd_erase(SdCard *c);

/* ---- registers (sd_register.c), most significant byte first ---- */
void sd_get_cid(const SdCard *c, uint8_t out[16]);
void sd_get_csd(const SdCard *c, uint8_t out[16]);
void sd_get_scr(const SdCard *c, uint8_t out[8]);
void sd_get_ssr(const SdCard *c, uint8_t out[SD_STATUS_BYTES]);
/* CMD6 (SD 4.3.10): what it answers; with bit 31 of `arg` it acts. */
void sd_switch_function(SdCard *c, uint32_t arg, uint8_t out[SD_STATUS_BYTES]);

extern const StateField sd_card_state[];

#endif
