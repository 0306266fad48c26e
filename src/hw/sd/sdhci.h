/*
 * sdhci.h - an SD host controller: its registers, and the transfer that is under way.
 *
 * SD Specifications Part A2, SD Host Controller Simplified Specification 3.00 ("SDHC"). Main loop
 * and vcpu threads, machine lock held.
 */
#ifndef VIV_HW_SD_SDHCI_H
#define VIV_HW_SD_SDHCI_H

#include "hw/pci/pci.h"
#include "hw/sd/sd.h"

#define SDHCI_REGS 256u

/* Registers (SDHC 2.1.2) */
enum {
	SDHC_SYSTEM_ADDRESS = 0x00,
	SDHC_BLOCK_SIZE = 0x04,
	SDHC_BLOCK_COUNT = 0x06,
	SDHC_ARGUMENT = 0x08,
	SDHC_TRANSFER_MODE = 0x0c,
	SDHC_COMMAND = 0x0e,
	SDHC_RESPONSE = 0x10,
	SDHC_DATA_PORT = 0x20,
	SDHC_PRESENT_STATE = 0x24,
	SDHC_HOST_CONTROL = 0x28,
	SDHC_POWER_CONTROL = 0x29,
	SDHC_BLOCK_GAP = 0x2a,
	SDHC_CLOCK_CONTROL = 0x2c,
	SDHC_SOFTWARE_RESET = 0x2f,
	SDHC_STATUS = 0x30,
	SDHC_ERROR_STATUS = 0x32,
	SDHC_STATUS_ENABLE = 0x34,
	SDHC_ERROR_ENABLE = 0x36,
	SDHC_SIGNAL_ENABLE = 0x38,
	SDHC_ERROR_SIGNAL = 0x3a,
	SDHC_AUTO_ERROR = 0x3c,
	SDHC_CAPABILITIES = 0x40,
	SDHC_MAX_CURRENT = 0x48,
	SDHC_FORCE_AUTO_ERROR = 0x50,
	SDHC_FORCE_ERROR = 0x52,
	SDHC_ADMA_ERROR = 0x54,
	SDHC_ADMA_ADDRESS = 0x58,
	SDHC_SLOT_STATUS = 0xfc,
	SDHC_VERSION = 0xfe,
};

/* Their bits */
enum {
	MODE_DMA = 0x01,
	MODE_COUNT = 0x02,
	MODE_AUTO12 = 0x04,
	MODE_AUTO23 = 0x08,
	MODE_READ = 0x10,
	MODE_MULTIPLE = 0x20,
	COMMAND_RESPONSE = 0x03,
	RESPONSE_NONE = 0,
	RESPONSE_136 = 1,
	RESPONSE_48 = 2,
	RESPONSE_BUSY = 3,
	COMMAND_INDEX_CHECK = 0x10,
	COMMAND_DATA = 0x20,
	COMMAND_TYPE = 0xc0,
	COMMAND_ABORT = 0xc0,
	STATE_COMMAND_INHIBIT = 1 << 0,
	STATE_DATA_INHIBIT = 1 << 1,
	STATE_DAT_ACTIVE = 1 << 2,
	STATE_WRITE = 1 << 8,
	STATE_READ = 1 << 9,
	STATE_CAN_WRITE = 1 << 10,
	STATE_CAN_READ = 1 << 11,
	STATE_INSERTED = 1 << 16,
	STATE_STABLE = 1 << 17,
	STATE_DETECT = 1 << 18,
	STATE_WRITABLE = 1 << 19,
	STATE_DAT0 = 1 << 20,
	STATE_DAT321 = 7 << 21,
	STATE_CMD = 1 << 24,
	HOST_DMA = 0x18,
	DMA_SDMA = 0x00,
	DMA_ADMA1 = 0x08,
	DMA_ADMA2 = 0x10,
	DMA_ADMA2_64 = 0x18,
	POWER_ON = 0x01,
	GAP_STOP = 0x01,
	GAP_CONTINUE = 0x02,
	CLOCK_INTERNAL = 0x01,
	CLOCK_STABLE = 0x02,
	CLOCK_CARD = 0x04,
	RESET_ALL = 0x01,
	RESET_COMMAND = 0x02,
	RESET_DATA = 0x04,
};

/* Normal interrupts: bits of the lower half of the status; errors: of the upper */
#define INT_COMMAND	    (1u << 0)
#define INT_TRANSFER	    (1u << 1)
#define INT_BLOCK_GAP	    (1u << 2)
#define INT_DMA		    (1u << 3)
#define INT_CAN_WRITE	    (1u << 4)
#define INT_CAN_READ	    (1u << 5)
#define INT_INSERTED	    (1u << 6)
#define INT_REMOVED	    (1u << 7)
#define INT_ERROR	    (1u << 15)
#define ERR_COMMAND_TIMEOUT (1u << 16)
#define ERR_COMMAND_END	    (1u << 18)
#define ERR_DATA_TIMEOUT    (1u << 20)
#define ERR_DATA_CRC	    (1u << 21)
#define ERR_AUTO	    (1u << 24)
#define ERR_ADMA	    (1u << 25)

/* Auto CMD Error Status (SDHC 2.2.23) */
#define AUTO_NOT_EXECUTED 0x01
#define AUTO_TIMEOUT	  0x02

/* ADMA Error Status (SDHC 2.2.31): the state it stopped in, and why */
#define ADMA_FETCH    0x01
#define ADMA_TRANSFER 0x03
#define ADMA_LENGTH   0x04

/* What a transfer waits for. */
typedef enum SdhciStep {
	STEP_NONE,  /* no transfer */
	STEP_BLOCK, /* the next blocks, from guest or card */
	STEP_CARD,  /* the card has the buffer */
	STEP_PORT,  /* the guest, at the data port */
	STEP_DMA,   /* guest memory: at a boundary, or in the middle of descriptors */
	STEP_GAP,   /* stopped between two blocks */
} SdhciStep;

typedef struct Sdhci {
	PciDevice pci; /* first */
	SdSlot slot;
	Bus *bus;
	Region mmio;
	Timer slice;		 /* descriptors go on */
	uint8_t sd_spec_version; /* property */
	uint64_t max_current;	 /* property */
	uint8_t reg[SDHCI_REGS];
	/* transfer */
	uint8_t step; /* SdhciStep */
	bool read, dma;
	bool endless;	   /* no block count */
	bool boundary;	   /* SDMA waits for a new address */
	bool card_waits;   /* for the end of the card's busy signal (R1b) */
	uint16_t block;	   /* bytes */
	uint32_t left;	   /* blocks not yet done, if not endless */
	uint32_t count;	   /* blocks in the buffer */
	uint32_t at, have; /* bytes of the buffer that moved, of how many */
	/* the ADMA descriptor at work */
	bool piece, last, interrupt; /* it has bytes left; it is the last one; its end is told */
	uint64_t piece_addr;
	uint32_t piece_left;
	uint32_t adma1_length;
} Sdhci;

static inline uint16_t sdhci_get16(const Sdhci *s, unsigned reg)
{
	return pci_get16(s->reg + reg);
}
static inline uint32_t sdhci_get32(const Sdhci *s, unsigned reg)
{
	return pci_get32(s->reg + reg);
}
static inline void sdhci_put16(Sdhci *s, unsigned reg, uint16_t v)
{
	pci_put16(s->reg + reg, v);
}
static inline void sdhci_put32(Sdhci *s, unsigned reg, uint32_t v)
{
	pci_put32(s->reg + reg, v);
}

/* ---- registers (sdhci.c) ---- */
/* INT_* and ERR_* bits, as far as they are enabled. */
void sdhci_raise(Sdhci *s, uint32_t bits);

/* ---- commands (sdhci_command.c) ---- */
/* The command register was written. */
void sdhci_command(Sdhci *s);
/* CMD12 by itself, at the end of a transfer. */
void sdhci_auto_stop(Sdhci *s);

/* ---- data (sdhci_transfer.c) ---- */
void sdhci_transfer_start(Sdhci *s);
/* Goes on as far as it can. */
void sdhci_transfer_run(Sdhci *s);
/* Gives it up. */
void sdhci_transfer_stop(Sdhci *s);
/* Ends it with an error. */
void sdhci_transfer_fail(Sdhci *s, uint32_t errors);
uint32_t sdhci_port_read(Sdhci *s, unsigned size);
void sdhci_port_write(Sdhci *s, uint32_t value, unsigned size);

/* ---- guest memory (sdhci_dma.c) ---- */
typedef enum SdhciDma {
	DMA_DONE,   /* the buffer has moved */
	DMA_WAITS,  /* STEP_DMA: for the guest, or for the next slice of time */
	DMA_ENDED,  /* the descriptors end before the buffer */
	DMA_FAILED, /* sdhci_transfer_fail() was called */
} SdhciDma;
void sdhci_dma_start(Sdhci *s);
/* Moves the rest of the buffer, at..have. DMA_ENDED: none of it, and there is no block count. */
SdhciDma sdhci_dma_move(Sdhci *s);
/* The last descriptor is done. */
bool sdhci_dma_ended(const Sdhci *s);

#endif
