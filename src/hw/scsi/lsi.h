/*
 * lsi.h - between the three parts of the LSI 53C895A: registers, SCRIPTS processor, targets.
 *
 * LSI53C895A PCI to Ultra2 SCSI Controller Technical Manual, version 2.2 ("LSI"). Names of
 * registers and bits are the manual's. Machine lock held in all functions; drives are served by the
 * main loop.
 */
#ifndef VIV_HW_SCSI_LSI_H
#define VIV_HW_SCSI_LSI_H

#include "hw/scsi/scsi_bus.h"

#define LSI_REGS 256u
#define LSI_RAM 8192u
#define LSI_TARGETS 16u
#define LSI_CHUNK (128u << 10)   /* bytes a target buffers */
#define LSI_COMMANDS 64u         /* that targets hold at once */
#define LSI_MESSAGE 32u

/* Registers (LSI 4.2) */
enum {
	SCNTL0 = 0x00,
	SCNTL1 = 0x01,
	SCNTL2 = 0x02,
	SCNTL3 = 0x03,
	SCID = 0x04,
	SXFER = 0x05,
	SDID = 0x06,
	GPREG = 0x07,
	SFBR = 0x08,
	SOCL = 0x09,
	SSID = 0x0a,
	SBCL = 0x0b,
	DSTAT = 0x0c,
	SSTAT0 = 0x0d,
	SSTAT1 = 0x0e,
	SSTAT2 = 0x0f,
	DSA = 0x10,
	ISTAT0 = 0x14,
	ISTAT1 = 0x15,
	CTEST1 = 0x19,
	CTEST2 = 0x1a,
	TEMP = 0x1c,
	DFIFO = 0x20,
	DBC = 0x24,
	DCMD = 0x27,
	DNAD = 0x28,
	DSP = 0x2c,
	DSPS = 0x30,
	SCRATCHA = 0x34,
	DMODE = 0x38,
	DIEN = 0x39,
	DCNTL = 0x3b,
	ADDER = 0x3c,
	SIEN0 = 0x40,
	SIEN1 = 0x41,
	SIST0 = 0x42,
	SIST1 = 0x43,
	MACNTL = 0x46,
	GPCNTL = 0x47,
	STIME0 = 0x48,
	STIME1 = 0x49,
	RESPID0 = 0x4a,
	STEST0 = 0x4c,
	STEST1 = 0x4d,
	STEST2 = 0x4e,
	STEST3 = 0x4f,
	SIDL = 0x50,
	STEST4 = 0x52,
	CCNTL0 = 0x56,
	CCNTL1 = 0x57,
	SBDL = 0x58,
	SCRATCHB = 0x5c,
	SCRATCHC = 0x60,
	MMRS = 0xa0,
	DBMS = 0xb4,
	PMJAD1 = 0xc0,
	PMJAD2 = 0xc4,
	RBC = 0xc8,
	UA = 0xcc,
	ESA = 0xd0,
	IA = 0xd4,
	SBC = 0xd8,
	CSBC = 0xdc,
};

/* Their bits */
enum {
	SCNTL1_CON = 0x10, SCNTL1_RST = 0x08, SCNTL2_WSR = 0x01,
	SCID_RRE = 0x40, SSTAT0_RST = 0x02,
	DSTAT_DFE = 0x80, DSTAT_BF = 0x20, DSTAT_ABRT = 0x10, DSTAT_SSI = 0x08, DSTAT_SIR = 0x04,
	DSTAT_IID = 0x01,
	ISTAT0_ABRT = 0x80, ISTAT0_SRST = 0x40, ISTAT0_SIGP = 0x20, ISTAT0_SEM = 0x10,
	ISTAT0_CON = 0x08, ISTAT0_INTF = 0x04, ISTAT0_SIP = 0x02, ISTAT0_DIP = 0x01,
	CTEST2_SIGP = 0x40, DMODE_MAN = 0x01,
	DCNTL_SSM = 0x10, DCNTL_STD = 0x04, DCNTL_COM = 0x01,
	SIST0_MA = 0x80, SIST0_CMP = 0x40, SIST0_SEL = 0x20, SIST0_RSL = 0x10, SIST0_UDC = 0x04,
	SIST0_RST = 0x02, SIST1_STO = 0x04, SIST1_GEN = 0x02, SIST1_HTH = 0x01,
	CCNTL0_ENPMJ = 0x80, CCNTL0_PMJCTL = 0x40,
	CCNTL1_64TIMOD = 0x04, CCNTL1_EN64TIBMV = 0x02, CCNTL1_EN64DBMV = 0x01,
};

/* Phases of the bus: MSG, C/D, I/O (SPI-4 clause 10) */
typedef enum LsiPhase {
	PHASE_DATA_OUT = 0, PHASE_DATA_IN = 1, PHASE_COMMAND = 2, PHASE_STATUS = 3,
	PHASE_MESSAGE_OUT = 6, PHASE_MESSAGE_IN = 7,
} LsiPhase;

/* What the SCRIPTS processor does. */
typedef enum LsiState {
	LSI_STOPPED,
	LSI_RUNNING,
	LSI_WAIT_RESELECT,
	LSI_WAIT_PHASE,       /* for a target that asks for nothing at the moment */
	LSI_WAIT_FREE,        /* for the end of the connection */
} LsiState;

typedef struct Lsi Lsi;

/* A command that a target has. */
typedef struct LsiCommand {
	Lsi *lsi;
	ScsiRequest *r;       /* NULL: refused, the target is full */
	uint8_t target, lun, tag;
	bool tagged, may_disconnect;
	bool busy;            /* with the drive */
	bool dead;            /* given up; its memory goes when the drive is done */
	bool disconnected, ready; /* ready: wants to reselect */
	uint8_t *buf;         /* LSI_CHUNK bytes */
	uint32_t at, have;    /* towards the initiator: what of buf is taken, what is there */
	uint32_t fill;        /* from it: what is there */
	uint64_t before;      /* moved when the present step began */
	struct iovec vec;
	GList link;
} LsiCommand;

/* A block move that is under way. */
typedef struct LsiMove {
	bool on;
	LsiPhase phase;
	uint64_t addr;
	uint32_t count;
	uint8_t upper;        /* for RBC: what stood above the count */
	bool first;           /* no byte has moved yet */
} LsiMove;

struct Lsi {
	PciDevice pci;        /* first */
	ScsiBus bus;
	Region io, mmio, ram_region;
	Timer slice, general; /* the processor goes on; general purpose timer */
	uint8_t reg[LSI_REGS];
	uint8_t ram[LSI_RAM];
	/* processor */
	uint8_t state;        /* LsiState */
	bool running, carry;
	bool dead_selection;  /* nobody answered; told when an instruction needs the bus */
	LsiMove move;
	bool moving;          /* bytes of `move` are on their way: the registers are not to be reached by them */
	/* bus */
	bool connected, req;  /* req: the target asks for bytes of `phase` */
	uint8_t phase;
	uint8_t target, lun, tag;
	bool tagged, may_disconnect;
	bool free_after;      /* message in: the target leaves the bus after it */
	uint8_t msg_in[LSI_MESSAGE], msg_out[LSI_MESSAGE], cdb[SCSI_CDB_MAX], status;
	uint8_t msg_at, msg_have, cdb_have;
	LsiCommand *current;
	GQueue commands;      /* LsiCommand by `link`; `dead` ones are not among them */
};

/* ---- registers (lsi53c895a.c) ---- */
uint8_t lsi_load(Lsi *s, unsigned reg);
void lsi_store(Lsi *s, unsigned reg, uint8_t value);
static inline uint32_t lsi_get(const Lsi *s, unsigned reg) { return pci_get32(s->reg + reg); }
static inline void lsi_set(Lsi *s, unsigned reg, uint32_t v) { pci_put32(s->reg + reg, v); }
/* Bits of DSTAT, or of SIST0 and SIST1; the processor stops if they are of that kind. */
void lsi_dma_interrupt(Lsi *s, uint8_t dstat);
void lsi_scsi_interrupt(Lsi *s, uint8_t sist0, uint8_t sist1);
void lsi_update_irq(Lsi *s);
/* Guest memory, or the chip's own. False: a bus fault. */
bool lsi_read(Lsi *s, uint64_t addr, void *buf, uint32_t len);
bool lsi_write(Lsi *s, uint64_t addr, const void *buf, uint32_t len);

/* ---- SCRIPTS (lsi_scripts.c) ---- */
/* Executes until the program waits, stops, or has had its share of time. */
void lsi_run(Lsi *s);
void lsi_stop(Lsi *s);
/* The bus is not as it was: a program that waits for that goes on. */
void lsi_bus_changed(Lsi *s);

/* ---- targets (lsi_target.c) ---- */
extern const ScsiHost lsi_host;
/* False: there is no such target. */
bool lsi_select(Lsi *s, unsigned target, bool attention);
/* A target that waits for that takes the bus. False: none does. */
bool lsi_reselect(Lsi *s);
/* What the target takes or gives in the present phase: where, and up to how many bytes at once. */
uint8_t *lsi_window(Lsi *s, uint32_t *len);
/* Bytes of the window went over the bus. `last`: the initiator has no more of this block move. */
void lsi_moved(Lsi *s, uint32_t len, bool last);
void lsi_attention(Lsi *s, bool on);
/* May the initiator have another phase than the target's? */
bool lsi_yields(Lsi *s, LsiPhase wanted);
/* The reset line: targets forget everything. */
void lsi_bus_reset(Lsi *s);
void lsi_plugged(ScsiBus *b, ScsiUnit *u, bool in); /* ScsiBus.plugged */
/* Waits for the drives, then forgets all commands. */
void lsi_give_up(Lsi *s);

#endif
