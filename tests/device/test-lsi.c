/*
 * test-lsi.c - the LSI 53C895A: small SCRIPTS programs, phases, disconnection and reselection, queues,
 * aborts, and programs that make no sense.
 */
#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "hw/classes.h"
#include "hw/scsi/lsi.h"
#include "scsi-rig.h"

#define SLOT 2
#define REGS 0xe0000000u
#define RAM 0xe0010000u
#define PROGRAM 0x10000u
#define OUT 0x20000u        /* message to the target */
#define IN 0x20100u         /* messages from it */
#define CDB 0x20200u
#define STATUS 0x20300u
#define DATA 0x30000u
#define DONE 0x600du

static void store(ScsiRig *r, unsigned reg, uint32_t value, unsigned size)
{
	as_store(r->h->board.mem, REGS + reg, value, size);
}

static uint32_t load(ScsiRig *r, unsigned reg, unsigned size)
{
	return (uint32_t)as_load(r->h->board.mem, REGS + reg, size);
}

static void boot(ScsiRig *r)
{
	rig_new(r, &lsi53c895a_class, "", "", NULL);
	pci_out(r->h, SLOT, 0, 0x10, 0xc000, 4);
	pci_out(r->h, SLOT, 0, 0x14, REGS, 4);
	pci_out(r->h, SLOT, 0, 0x18, RAM, 4);
	pci_out(r->h, SLOT, 0, 0x04, 7, 2);
	store(r, DIEN, 0x7d, 1);
	store(r, SIEN0, 0x8f, 1);
	store(r, SIEN1, 0x06, 1);
}

/* ---- programs ---- */

static uint32_t code[256];
static unsigned at;

static void emit(uint32_t insn, uint32_t arg)
{
	code[at++] = insn;
	code[at++] = arg;
}

static void begin_code(void) { at = 0; }

/* Runs what was emitted; until an interrupt comes. DSTAT << 16 | SIST. */
static uint32_t wait_irq(ScsiRig *r)
{
	for (unsigned i = 0; i < 5000; i++) {
		uint8_t istat = (uint8_t)load(r, ISTAT0, 1);
		if (istat & (ISTAT0_DIP | ISTAT0_SIP)) {
			uint32_t sist = load(r, SIST0, 2);
			return (load(r, DSTAT, 1) & ~(uint32_t)DSTAT_DFE) << 16 | sist;
		}
		harness_run(r->h, 200000);
	}
	return 0;
}

static void start_at(ScsiRig *r, uint32_t where)
{
	for (unsigned i = 0; i < at; i++)
		as_store(r->h->board.mem, where + 4 * i, code[i], 4);
	store(r, DSP, where, 4);
}

static uint32_t run(ScsiRig *r)
{
	start_at(r, PROGRAM);
	return wait_irq(r);
}

/* SELECT with ATN, `n` bytes of message, a CDB of `len`. */
static void emit_command(ScsiRig *r, unsigned target, const uint8_t *msg, unsigned n, const uint8_t *cdb,
	unsigned len)
{
	uint8_t *ram = r->h->board.ram;
	memcpy(ram + OUT, msg, n);
	memcpy(ram + CDB, cdb, len);
	emit(0x41000000 | target << 16, PROGRAM + 0x300);
	emit(0x06000000 | n, OUT);
	emit(0x02000000 | len, CDB);
}

static void emit_end(void)
{
	emit(0x03000001, STATUS);
	emit(0x07000001, IN);
	emit(0x60000040, 0); /* CLEAR ACK */
	emit(0x48000000, 0); /* WAIT DISCONNECT */
	emit(0x98080000, DONE);
}

/* A command without the right to disconnect, in one connection. Its status; data of `bytes`. */
static uint8_t one(ScsiRig *r, unsigned target, const uint8_t *cdb, unsigned len, bool in, uint32_t bytes)
{
	uint8_t identify = 0x80;
	begin_code();
	emit_command(r, target, &identify, 1, cdb, len);
	if (bytes)
		emit((in ? 0x01000000 : 0) | bytes, DATA);
	emit_end();
	r->h->board.ram[STATUS] = 0xee;
	g_assert_cmphex(run(r), ==, DSTAT_SIR << 16);
	g_assert_cmphex(load(r, DSPS, 4), ==, DONE);
	g_assert_cmphex(r->h->board.ram[IN], ==, 0);
	return r->h->board.ram[STATUS];
}

static const uint8_t test_ready[6] = { 0 };
static const uint8_t read4[10] = { 0x28, 0, 0, 0, 0, 3, 0, 0, 4, 0 };
static const uint8_t write4[10] = { 0x2a, 0, 0, 0, 0, 9, 0, 0, 4, 0 };
static const uint8_t sense[6] = { 3, 0, 0, 0, 18 };

static void awake(ScsiRig *r)
{
	for (unsigned t = 0; t < RIG_UNITS; t++) {
		g_assert_cmphex(one(r, t, test_ready, 6, true, 0), ==, 2);
		g_assert_cmphex(one(r, t, sense, 6, true, 18), ==, 0);
		g_assert_cmphex(r->h->board.ram[DATA + 2], ==, 6);
		g_assert_cmphex(r->h->board.ram[DATA + 12], ==, 0x29);
		g_assert_cmphex(one(r, t, test_ready, 6, true, 0), ==, 0);
	}
}

static void test_commands(void)
{
	ScsiRig r;
	boot(&r);
	awake(&r);
	uint8_t *ram = r.h->board.ram;
	g_assert_cmphex(pci_in(r.h, SLOT, 0, 0, 4), ==, 0x00121000);
	g_assert_cmphex(one(&r, 0, read4, 10, true, 2048), ==, 0);
	g_assert_cmpmem(ram + DATA, 2048, r.m[0]->data + 3 * 512, 2048);
	memset(ram + DATA, 0x5a, 2048);
	g_assert_cmphex(one(&r, 1, write4, 10, false, 2048), ==, 0);
	for (unsigned i = 0; i < 2048; i++)
		g_assert_cmphex(r.m[1]->data[9 * 512 + i], ==, 0x5a);
	/* More than a target buffers. */
	static const uint8_t all[10] = { 0x28, 0, 0, 0, 0, 0, 0, 2, 0, 0 };
	g_assert_cmphex(one(&r, 0, all, 10, true, RIG_BYTES), ==, 0);
	g_assert_cmpmem(ram + DATA, RIG_BYTES, r.m[0]->data, RIG_BYTES);
	/* Nobody there: the processor goes on to what needs the bus, and stops behind it. */
	begin_code();
	emit_command(&r, 5, (const uint8_t[]){ 0x80 }, 1, test_ready, 6);
	g_assert_cmphex(run(&r), ==, SIST1_STO << 8);
	g_assert_cmphex(load(&r, DSP, 4), ==, PROGRAM + 16);
	g_assert_cmphex(one(&r, 0, test_ready, 6, true, 0), ==, 0);
	rig_free(&r);
}

/* The target has less data than the program wants: an interrupt, or a jump. */
static void test_mismatch(void)
{
	static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 255 };
	uint8_t identify = 0x80;
	ScsiRig r;
	boot(&r);
	for (unsigned jump = 0; jump < 2; jump++) {
		begin_code();
		emit_command(&r, 0, &identify, 1, inquiry, 6);
		emit(0x01000000 | 255, DATA);
		emit(0x98080000, 0xbad);
		while (at < 0x7e)
			emit(0x98080000, 0xbad);
		emit(0x98080000, 0x1e9); /* at PROGRAM + 1f8h */
		emit_end(); /* at PROGRAM + 200h */
		if (jump) {
			store(&r, CCNTL0, CCNTL0_ENPMJ | CCNTL0_PMJCTL, 1);
			store(&r, PMJAD1, PROGRAM, 4);
			store(&r, PMJAD2, PROGRAM + 0x1f8, 4);
		}
		uint32_t irq = run(&r);
		g_assert_cmphex(load(&r, RBC, 4), ==, 0x01000000 | (255 - 36));
		g_assert_cmphex(load(&r, UA, 4), ==, DATA + 36);
		g_assert_cmphex(load(&r, IA, 4), ==, PROGRAM + 24);
		if (jump) {
			g_assert_cmphex(irq, ==, DSTAT_SIR << 16);
			g_assert_cmphex(load(&r, DSPS, 4), ==, 0x1e9);
		} else {
			g_assert_cmphex(irq, ==, SIST0_MA);
			g_assert_cmphex(load(&r, SSTAT1, 1) & 7, ==, PHASE_STATUS);
		}
		store(&r, DSP, PROGRAM + 0x200, 4);
		g_assert_cmphex(wait_irq(&r), ==, DSTAT_SIR << 16);
		g_assert_cmphex(load(&r, DSPS, 4), ==, DONE);
		g_assert_cmpmem(r.h->board.ram + DATA + 8, 8, "QEMU    ", 8);
	}
	rig_free(&r);
}

/* A tagged command with the right to disconnect: the program ends when the target has left. */
static void queue(ScsiRig *r, unsigned target, uint8_t tag, const uint8_t *cdb, unsigned len)
{
	uint8_t msg[3] = { 0xc0, 0x20, tag };
	begin_code();
	emit_command(r, target, msg, 3, cdb, len);
	emit(0x07000002, IN); /* SAVE POINTERS, DISCONNECT */
	emit(0x48000000, 0);
	emit(0x98080000, DONE);
	g_assert_cmphex(run(r), ==, DSTAT_SIR << 16);
	g_assert_cmphex(load(r, DSPS, 4), ==, DONE);
	g_assert_cmpmem(r->h->board.ram + IN, 2, "\2\4", 2);
}

/* Waits for one of them to come back and end; its tag. */
static uint8_t take_back(ScsiRig *r, uint32_t bytes)
{
	begin_code();
	emit(0x50000000, PROGRAM + 0x300);
	emit(0x07000003, IN);
	if (bytes)
		emit(0x01000000 | bytes, DATA);
	emit(0x03000001, STATUS);
	emit(0x07000001, IN + 8);
	emit(0x98080000, DONE);
	g_assert_cmphex(run(r), ==, DSTAT_SIR << 16);
	g_assert_cmphex(load(r, DSPS, 4), ==, DONE);
	g_assert_cmphex(r->h->board.ram[IN], ==, 0x80);
	g_assert_cmphex(r->h->board.ram[IN + 1], ==, 0x20);
	g_assert_cmphex(r->h->board.ram[STATUS], ==, 0);
	return r->h->board.ram[IN + 2];
}

/* The tag of a message stays in SIDL, where Linux takes it from. */
static void test_latch(void)
{
	ScsiRig r;
	boot(&r);
	awake(&r);
	queue(&r, 0, 77, read4, 10);
	begin_code();
	emit(0x50000000, PROGRAM + 0x300);
	emit(0x07000001, IN);
	emit(0x07000002, IN + 1);
	emit(0x98080000, DONE);
	g_assert_cmphex(run(&r), ==, DSTAT_SIR << 16);
	g_assert_cmpuint(load(&r, SIDL, 1), ==, 77);
	rig_free(&r);
}

static void test_reselect(void)
{
	ScsiRig r;
	boot(&r);
	awake(&r);
	r.m[0]->hold = r.m[1]->hold = true;
	queue(&r, 0, 11, read4, 10);
	queue(&r, 1, 22, read4, 10);
	queue(&r, 0, 33, read4, 10);
	g_assert_cmpuint(((Lsi *)r.adapter)->commands.length, ==, 3);
	r.m[1]->hold = false;
	g_assert_cmpuint(take_back(&r, 2048), ==, 22);
	g_assert_cmphex(load(&r, SSID, 1), ==, 0x81);
	g_assert_cmphex(load(&r, SIDL, 1), ==, 0); /* COMMAND COMPLETE came last */
	g_assert_cmpmem(r.h->board.ram + DATA, 2048, r.m[1]->data + 3 * 512, 2048);
	/* SIGP wakes a program that waits. */
	begin_code();
	emit(0x50000000, PROGRAM + 0x40);
	start_at(&r, PROGRAM);
	begin_code();
	emit(0x98080000, 0x516);
	for (unsigned i = 0; i < at; i++)
		as_store(r.h->board.mem, PROGRAM + 0x40 + 4 * i, code[i], 4);
	store(&r, ISTAT0, ISTAT0_SIGP, 1);
	g_assert_cmphex(wait_irq(&r), ==, DSTAT_SIR << 16);
	g_assert_cmphex(load(&r, DSPS, 4), ==, 0x516);
	g_assert_cmphex(load(&r, CTEST2, 1) & CTEST2_SIGP, ==, CTEST2_SIGP);
	g_assert_cmphex(load(&r, CTEST2, 1) & CTEST2_SIGP, ==, 0);
	/* One of the two is aborted by its tag, while its drive works. */
	begin_code();
	memcpy(r.h->board.ram + OUT, "\x80\x20\x0b\x0d", 4);
	emit(0x41000000, PROGRAM + 0x300);
	emit(0x06000004, OUT);
	emit(0x48000000, 0);
	emit(0x98080000, DONE);
	g_assert_cmphex(run(&r), ==, DSTAT_SIR << 16);
	g_assert_cmpuint(((Lsi *)r.adapter)->commands.length, ==, 1);
	r.m[0]->hold = false;
	g_assert_cmpuint(take_back(&r, 2048), ==, 33);
	/* Reset of the bus with commands under way: attention is all that is left. */
	r.m[0]->hold = true;
	queue(&r, 0, 44, read4, 10);
	store(&r, SCNTL1, SCNTL1_RST, 1);
	g_assert_cmphex(load(&r, SSTAT0, 1) & SSTAT0_RST, ==, SSTAT0_RST);
	store(&r, SCNTL1, 0, 1);
	g_assert_cmphex(wait_irq(&r), ==, SIST0_RST);
	g_assert_cmpuint(((Lsi *)r.adapter)->commands.length, ==, 0);
	r.m[0]->hold = false;
	awake(&r);
	rig_free(&r);
}

static void test_full(void)
{
	ScsiRig r;
	boot(&r);
	awake(&r);
	r.m[0]->hold = true;
	for (unsigned i = 0; i < LSI_COMMANDS; i++)
		queue(&r, 0, (uint8_t)i, read4, 10);
	g_assert_cmphex(one(&r, 1, test_ready, 6, true, 0), ==, 0x28);
	r.m[0]->hold = false;
	for (unsigned i = 0; i < LSI_COMMANDS; i++)
		take_back(&r, 2048);
	g_assert_cmphex(one(&r, 1, test_ready, 6, true, 0), ==, 0);
	rig_free(&r);
}

/* Arithmetic, jumps, memory, the chip's own RAM and registers. */
static void test_processor(void)
{
	ScsiRig r;
	boot(&r);
	uint8_t *ram = r.h->board.ram;
	store(&r, SCRATCHA, 0x11223344, 4);
	store(&r, DSA, 0x40000, 4);
	begin_code();
	emit(0x78340000 | 0x99 << 8, 0);             /* SCRATCHA0 = 99h */
	emit(0x7e350000 | 0xcd << 8, 0);             /* SCRATCHA1 += CDh: 00h, carry */
	emit(0x7f360000 | 0x01 << 8, 0);             /* SCRATCHA2 += 1 + carry: 24h */
	emit(0x74340000 | 0x0f << 8, 0);             /* SFBR = SCRATCHA0 & 0Fh: 9 */
	emit(0x6a370000, 0);                         /* SCRATCHA3 = SFBR | 0 */
	emit(0x800c0009, PROGRAM + 0x48);            /* JUMP if SFBR == 9 */
	emit(0x98080000, 0xbad);
	emit(0x98080000, 0xbad);
	emit(0x98080000, 0xbad);
	emit(0x88880000, 8);                         /* CALL, relative: over the next */
	emit(0x98080000, DONE);
	emit(0xe2340004, 0x50000);                   /* STORE SCRATCHA */
	emit(0xf2340004, 16);                        /* ..., by DSA */
	emit(0xc0000004, 0x50000);
	code[at++] = RAM + 0x100;                    /* memory to the chip's RAM */
	emit(0xc0000004, RAM + 0x100);
	code[at++] = REGS + SCRATCHB;                /* ... and to a register */
	emit(0xe11c0002, 0x50002);                   /* LOAD */
	code[at - 2] = 0xe15e0002;                   /* into SCRATCHB2 */
	emit(0x98180000, 0xf1f);                     /* on the fly */
	emit(0x90080000, 0);                         /* RETURN */
	g_assert_cmphex(run(&r), ==, DSTAT_SIR << 16);
	g_assert_cmphex(load(&r, DSPS, 4), ==, DONE);
	g_assert_cmphex(load(&r, SCRATCHA, 4), ==, 0x09240099);
	g_assert_cmpmem(ram + 0x50000, 4, "\x99\x00\x24\x09", 4);
	g_assert_cmpmem(ram + 0x40010, 4, "\x99\x00\x24\x09", 4);
	g_assert_cmphex(as_load(r.h->board.mem, RAM + 0x100, 4), ==, 0x09240099);
	g_assert_cmphex(load(&r, SCRATCHB, 4), ==, 0x09240099);
	g_assert_cmphex(load(&r, ISTAT0, 1) & ISTAT0_INTF, ==, ISTAT0_INTF);
	store(&r, ISTAT0, ISTAT0_INTF, 1);
	g_assert_cmphex(load(&r, ISTAT0, 1) & ISTAT0_INTF, ==, 0);
	/* In the chip's RAM; a program that never ends can be stopped. */
	begin_code();
	emit(0x80880000, 0xfffff8);
	start_at(&r, RAM);
	harness_run(r.h, 3000000);
	g_assert_cmphex(load(&r, ISTAT0, 1) & 3, ==, 0);
	store(&r, ISTAT0, ISTAT0_ABRT, 1);
	g_assert_cmphex(wait_irq(&r), ==, DSTAT_ABRT << 16);
	store(&r, ISTAT0, 0, 1);
	/* The general purpose timer. */
	store(&r, STIME1, 3, 1);
	g_assert_cmphex(wait_irq(&r), ==, SIST1_GEN << 8);
	rig_free(&r);
}

static void test_nonsense(void)
{
	static const struct { uint32_t insn, arg, irq; } bad[] = {
		{ 0x01000000, DATA, DSTAT_IID << 16 },       /* nothing to move */
		{ 0xe1340005, DATA, DSTAT_IID << 16 },       /* five bytes */
		{ 0xe1ff0004, DATA, DSTAT_IID << 16 },       /* behind the last register */
		{ 0xb8080000, 0, DSTAT_IID << 16 },
		{ 0x80080000, 0xfffff000, DSTAT_BF << 16 },  /* no memory there */
		{ 0xe1340004, 0xd0000000, DSTAT_BF << 16 },
		{ 0x01000010, DATA, SIST0_UDC },             /* no connection */
		{ 0x870b0000, 0, SIST0_UDC },
	};
	ScsiRig r;
	boot(&r);
	awake(&r);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		begin_code();
		emit(bad[i].insn, bad[i].arg);
		g_assert_cmphex(run(&r), ==, bad[i].irq);
	}
	/* A message that no target knows is rejected, and so is a negotiation; then the command runs. */
	begin_code();
	emit_command(&r, 0, (const uint8_t[]){ 0x80, 1, 3, 1, 25, 8, 0x13 }, 7, test_ready, 6);
	code[4] = 0x07000002;
	code[5] = IN;
	at = 6;
	emit(0x02000006, CDB);
	emit(0x03000001, STATUS);
	emit(0x07000001, IN + 8);
	emit(0x98080000, DONE);
	g_assert_cmphex(run(&r), ==, DSTAT_SIR << 16);
	g_assert_cmpmem(r.h->board.ram + IN, 2, "\7\7", 2);
	g_assert_cmphex(r.h->board.ram[STATUS], ==, 0);
	/* Without bus mastering nothing is fetched; a reset in the middle of a command. */
	begin_code();
	emit_command(&r, 0, (const uint8_t[]){ 0x80 }, 1, read4, 10);
	emit(0x98080000, DONE);
	pci_out(r.h, SLOT, 0, 4, 3, 2);
	g_assert_cmphex(run(&r), ==, DSTAT_BF << 16);
	pci_out(r.h, SLOT, 0, 4, 7, 2);
	g_assert_cmphex(run(&r), ==, DSTAT_SIR << 16);
	store(&r, ISTAT0, ISTAT0_SRST, 1);
	store(&r, ISTAT0, 0, 1);
	g_assert_cmphex(load(&r, SCNTL1, 1) & SCNTL1_CON, ==, 0);
	store(&r, DIEN, 0x7d, 1);
	awake(&r);
	rig_free(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_attach_main();
	g_test_add_func("/lsi/commands", test_commands);
	g_test_add_func("/lsi/mismatch", test_mismatch);
	g_test_add_func("/lsi/reselect", test_reselect);
	g_test_add_func("/lsi/latch", test_latch);
	g_test_add_func("/lsi/full", test_full);
	g_test_add_func("/lsi/processor", test_processor);
	g_test_add_func("/lsi/nonsense", test_nonsense);
	return g_test_run();
}
