/*
 * lsi_scripts.c - the SCRIPTS processor: a program in guest memory drives the bus.
 *
 * LSI chapter 5 (instruction set). As initiator only; addresses of instructions and tables have 32
 * bits, those of block moves up to 64. A program gets the machine for SLICE instructions at a time
 * and goes on after a pause, as programs may wait for memory to change. Left out: prefetch, target
 * mode, selecting 64-bit table and jump addresses. Main loop and vcpu threads, machine lock held.
 */
#include <string.h>

#include "hw/scsi/lsi.h"

#define SLICE 2000u
#define PAUSE_NS 50000
#define COPY 4096u            /* bytes of a memory move at a time */

static bool fetch32(Lsi *s, uint64_t addr, uint32_t *out)
{
	uint8_t bytes[4];
	if (!lsi_read(s, addr, bytes, 4)) {
		lsi_dma_interrupt(s, DSTAT_BF);
		return false;
	}
	*out = pci_get32(bytes);
	return true;
}

/* The dword at DSP, which moves on. */
static bool next(Lsi *s, uint32_t *out)
{
	uint32_t dsp = lsi_get(s, DSP);
	if (!fetch32(s, dsp, out))
		return false;
	lsi_set(s, DSP, dsp + 4);
	return true;
}

static uint32_t signed24(uint32_t v)
{
	return v & 0x800000 ? v | 0xff000000 : v & 0xffffff;
}

static void illegal(Lsi *s)
{
	lsi_dma_interrupt(s, DSTAT_IID);
}

/* ---- waiting ---- */

static void wait(Lsi *s, LsiState why)
{
	s->state = (uint8_t)why;
}

/* The instruction is executed again when the bus has changed. */
static void wait_again(Lsi *s, LsiState why, uint32_t length)
{
	lsi_set(s, DSP, lsi_get(s, DSP) - length);
	wait(s, why);
}

void lsi_bus_changed(Lsi *s)
{
	bool go = (s->state == LSI_WAIT_PHASE && (s->req || !s->connected)) ||
		(s->state == LSI_WAIT_FREE && !s->connected);
	if (s->state == LSI_WAIT_RESELECT && !s->connected && lsi_reselect(s)) {
		go = true;
		if (s->reg[SCID] & SCID_RRE && s->reg[SIEN0] & SIST0_RSL) {
			lsi_scsi_interrupt(s, SIST0_RSL, 0);
			return;
		}
	}
	if (!go)
		return;
	s->state = LSI_RUNNING;
	lsi_run(s);
}

/* Without a connection there is no phase: the selection failed before, or the target left. */
static bool on_bus(Lsi *s)
{
	if (s->connected)
		return true;
	lsi_scsi_interrupt(s, s->dead_selection ? 0 : SIST0_UDC, s->dead_selection ? SIST1_STO : 0);
	s->dead_selection = false;
	lsi_stop(s);
	return false;
}

/* ---- block moves (LSI 5.3) ---- */

static bool outward(LsiPhase phase)
{
	return !(phase & 1);
}

static void store_move(Lsi *s)
{
	const LsiMove *m = &s->move;
	s->reg[DBC] = (uint8_t)m->count;
	s->reg[DBC + 1] = (uint8_t)(m->count >> 8);
	s->reg[DBC + 2] = (uint8_t)(m->count >> 16);
	lsi_set(s, DNAD, (uint32_t)m->addr);
	lsi_set(s, UA, (uint32_t)m->addr);
	lsi_set(s, RBC, m->count | (uint32_t)m->upper << 24);
}

/* The target has another phase than the instruction: a jump, or an interrupt. */
static void mismatch(Lsi *s)
{
	bool out = outward(s->move.phase);
	bool second = s->reg[CCNTL0] & CCNTL0_PMJCTL ? !out : s->reg[SCNTL2] & SCNTL2_WSR;
	s->move.on = false;
	if (s->reg[CCNTL0] & CCNTL0_ENPMJ)
		lsi_set(s, DSP, lsi_get(s, second ? PMJAD2 : PMJAD1));
	else
		lsi_scsi_interrupt(s, SIST0_MA, 0);
}

/* One window of the target's. False: the memory is not there. */
static bool transfer(Lsi *s)
{
	LsiMove *m = &s->move;
	uint32_t n;
	uint8_t *bytes = lsi_window(s, &n);
	n = MIN(n, m->count);
	s->moving = true;
	bool there = outward(m->phase) ? lsi_read(s, m->addr, bytes, n) : lsi_write(s, m->addr, bytes, n);
	s->moving = false;
	if (!there) {
		m->on = false;
		lsi_dma_interrupt(s, DSTAT_BF);
		return false;
	}
	if (!outward(m->phase)) {
		s->reg[SFBR] = m->first ? bytes[0] : s->reg[SFBR];
		s->reg[SIDL] = bytes[n - 1]; /* stays latched: drivers read tags from it */
	}
	m->first = false;
	m->addr += n;
	m->count -= n;
	if (m->phase < PHASE_COMMAND)
		lsi_set(s, CSBC, lsi_get(s, CSBC) + n);
	lsi_set(s, SBC, (lsi_get(s, SBC) + n) & 0xffffff);
	store_move(s);
	lsi_moved(s, n, !m->count);
	return true;
}

static void go_on_moving(Lsi *s)
{
	LsiMove *m = &s->move;
	while (m->on && m->count) {
		if (!on_bus(s)) {
			m->on = false;
		} else if (!s->req) {
			wait(s, LSI_WAIT_PHASE);
			return;
		} else if (s->phase != m->phase && !lsi_yields(s, m->phase)) {
			mismatch(s);
		} else if (!transfer(s)) {
			return;
		}
	}
	m->on = false;
}

/* The upper half of an address in a table of 64-bit moves: a register, or the byte itself. */
static uint64_t upper_half(Lsi *s, uint8_t selector)
{
	static const uint8_t others[] = { 0xa0, 0xa4, 0xa8, 0xac, 0xb0, 0xb4 }; /* MMRS..DBMS */
	uint8_t mode = s->reg[CCNTL1];
	if (!(mode & CCNTL1_EN64TIBMV))
		return 0;
	if (mode & CCNTL1_64TIMOD)
		return (uint64_t)selector << 32;
	selector &= 0x1f;
	if (selector < 0x10)
		return (uint64_t)lsi_get(s, SCRATCHC + 4u * selector) << 32;
	return selector < 0x16 ? (uint64_t)lsi_get(s, others[selector - 0x10]) << 32 : 0;
}

static bool table_entry(Lsi *s, uint32_t offset)
{
	uint32_t entry = lsi_get(s, DSA) + signed24(offset), count, addr;
	if (!fetch32(s, entry, &count) || !fetch32(s, entry + 4, &addr))
		return false;
	s->move.upper = (uint8_t)(count >> 24);
	s->move.count = count & 0xffffff;
	s->move.addr = upper_half(s, s->move.upper) | addr;
	lsi_set(s, ESA, entry);
	return true;
}

static void block_move(Lsi *s, uint32_t insn, uint32_t addr)
{
	uint32_t high = 0;
	if (!insn) /* SeaBIOS has this where a command moves no data */
		return;
	s->move = (LsiMove){ .phase = (LsiPhase)(insn >> 24 & 7),
		.addr = addr,
		.count = insn & 0xffffff,
		.upper = (uint8_t)(insn >> 24),
		.first = true };
	lsi_set(s, IA, lsi_get(s, DSP) - 8);
	lsi_set(s, SBC, 0);
	if (insn & 1u << 28) {
		if (!table_entry(s, addr))
			return;
	} else if (insn & 1u << 29) {
		if (!fetch32(s, addr, &addr))
			return;
		s->move.addr = addr;
	} else if (s->reg[CCNTL1] & CCNTL1_EN64DBMV) {
		if (!next(s, &high))
			return;
		lsi_set(s, DBMS, high);
		s->move.addr |= (uint64_t)high << 32;
	}
	store_move(s);
	if (!s->move.count) {
		illegal(s);
		return;
	}
	s->move.on = true;
	go_on_moving(s);
}

/* ---- I/O instructions (LSI 5.4) ---- */

static void select_target(Lsi *s, uint32_t insn, uint32_t other)
{
	uint32_t entry = insn;
	if (insn & 1u << 25) {
		if (!fetch32(s, lsi_get(s, DSA) + signed24(insn), &entry))
			return;
		s->reg[SCNTL3] = (uint8_t)(entry >> 24);
		s->reg[SXFER] = (uint8_t)(entry >> 8);
	}
	if (s->connected) { /* a target was faster */
		lsi_set(s, DSP, other);
		return;
	}
	s->reg[SDID] = entry >> 16 & (LSI_TARGETS - 1);
	s->dead_selection = !lsi_select(s, s->reg[SDID], insn & 1u << 24);
	s->reg[SOCL] = insn & 1u << 24 && s->connected ? 0x08 : 0; /* ATN */
}

static void wait_reselect(Lsi *s, uint32_t other)
{
	lsi_set(s, DNAD, other);
	if (s->reg[ISTAT0] & ISTAT0_SIGP) {
		lsi_set(s, DSP, other);
	} else if (!s->connected) {
		wait(s, LSI_WAIT_RESELECT);
		lsi_bus_changed(s);
	}
}

static void set_or_clear(Lsi *s, uint32_t insn, bool on)
{
	if (insn & 1u << 3) { /* ATN */
		s->reg[SOCL] = on ? s->reg[SOCL] | 0x08 : s->reg[SOCL] & ~0x08;
		lsi_attention(s, on);
	}
	if (insn & 1u << 10)
		s->carry = on;
}

static void io(Lsi *s, uint32_t insn, uint32_t addr)
{
	uint32_t other = insn & 1u << 26 ? lsi_get(s, DSP) + signed24(addr) : addr;
	switch (insn >> 27 & 7) {
	case 0: select_target(s, insn, other); break;
	case 1:
		if (s->connected)
			wait_again(s, LSI_WAIT_FREE, 8);
		break;
	case 2: wait_reselect(s, other); break;
	default: set_or_clear(s, insn, (insn >> 27 & 7) == 3);
	}
}

/* ---- registers (LSI 5.5) ---- */

static uint8_t operate(Lsi *s, unsigned operator, uint8_t a, uint8_t b)
{
	unsigned sum;
	switch (operator) {
	case 0: return b;
	case 1:
		sum = (unsigned)a << 1 | s->carry;
		s->carry = sum > 0xff;
		return (uint8_t)sum;
	case 2: return a | b;
	case 3: return a ^ b;
	case 4: return a & b;
	case 5:
		sum = a >> 1 | (unsigned)s->carry << 7;
		s->carry = a & 1;
		return (uint8_t)sum;
	default:
		sum = (unsigned)a + b + (operator == 7 && s->carry);
		s->carry = sum > 0xff;
		return (uint8_t)sum;
	}
}

static void read_write(Lsi *s, uint32_t insn)
{
	unsigned opcode = insn >> 27 & 7, operator = insn >> 24 & 7;
	unsigned reg = (insn >> 16 & 0x7f) | (insn & 0x80);
	uint8_t data = insn & 1u << 23 ? s->reg[SFBR] : (uint8_t)(insn >> 8);
	uint8_t a = opcode == 5 ? s->reg[SFBR] : operator ? lsi_load(s, reg) : 0;
	uint8_t result = operate(s, operator, a, data);
	if (opcode == 6)
		s->reg[SFBR] = result;
	else
		lsi_store(s, reg, result);
}

/* ---- transfer control (LSI 5.6) ---- */

static bool condition(const Lsi *s, uint32_t insn)
{
	bool wanted = insn & 1u << 19;
	uint8_t mask = (uint8_t)~(insn >> 8);
	if (insn & 1u << 21 && s->carry != wanted)
		return false;
	if (insn & 1u << 17 && ((s->phase == (insn >> 24 & 7)) != wanted))
		return false;
	if (insn & 1u << 18 && (((s->reg[SFBR] & mask) == (insn & mask & 0xff)) != wanted))
		return false;
	/* Nothing to compare: "if false" never holds. */
	return wanted || insn & (1u << 21 | 1u << 17 | 1u << 18);
}

static void interrupt(Lsi *s, uint32_t insn, uint32_t addr)
{
	lsi_set(s, DSPS, addr);
	if (insn & 1u << 20) {
		s->reg[ISTAT0] |= ISTAT0_INTF;
		lsi_update_irq(s);
	} else {
		lsi_dma_interrupt(s, DSTAT_SIR);
	}
}

static void transfer_control(Lsi *s, uint32_t insn, uint32_t addr)
{
	if (insn & 1u << 16 || (insn & 1u << 17 && s->dead_selection)) {
		if (!on_bus(s))
			return;
		if (!s->req) {
			wait_again(s, LSI_WAIT_PHASE, 8);
			return;
		}
	}
	if (!condition(s, insn))
		return;
	uint32_t dsp = lsi_get(s, DSP), to = insn & 1u << 23 ? dsp + signed24(addr) : addr;
	switch (insn >> 27 & 7) {
	case 0: lsi_set(s, DSP, to); break;
	case 1:
		lsi_set(s, TEMP, dsp);
		lsi_set(s, DSP, to);
		break;
	case 2: lsi_set(s, DSP, lsi_get(s, TEMP)); break;
	case 3: interrupt(s, insn, addr); break;
	default: illegal(s);
	}
}

/* ---- memory (LSI 5.7, 5.8) ---- */

static void memory_move(Lsi *s, uint32_t insn, uint32_t from)
{
	uint8_t copy[COPY];
	uint32_t to, left = insn & 0xffffff;
	if (!next(s, &to))
		return;
	while (left) {
		uint32_t n = MIN(left, COPY);
		if (!lsi_read(s, from, copy, n) || !lsi_write(s, to, copy, n)) {
			lsi_dma_interrupt(s, DSTAT_BF);
			return;
		}
		from += n;
		to += n;
		left -= n;
	}
}

static void load_or_store(Lsi *s, uint32_t insn, uint32_t addr)
{
	uint8_t bytes[4];
	unsigned n = insn & 7, reg = insn >> 16 & 0xff;
	bool load = insn & 1u << 24, ok;
	if (!n || n > 4 || reg + n > LSI_REGS) {
		illegal(s);
		return;
	}
	if (insn & 1u << 28)
		addr = lsi_get(s, DSA) + signed24(addr);
	for (unsigned i = 0; !load && i < n; i++)
		bytes[i] = lsi_load(s, reg + i);
	ok = load ? lsi_read(s, addr, bytes, n) : lsi_write(s, addr, bytes, n);
	for (unsigned i = 0; load && ok && i < n; i++)
		lsi_store(s, reg + i, bytes[i]);
	if (!ok)
		lsi_dma_interrupt(s, DSTAT_BF);
}

/* ---- the processor ---- */

static void execute(Lsi *s)
{
	uint32_t insn, addr;
	if (!next(s, &insn) || !next(s, &addr))
		return;
	s->reg[DBC] = (uint8_t)insn;
	s->reg[DBC + 1] = (uint8_t)(insn >> 8);
	s->reg[DBC + 2] = (uint8_t)(insn >> 16);
	s->reg[DCMD] = (uint8_t)(insn >> 24);
	lsi_set(s, DSPS, addr);
	switch (insn >> 30) {
	case 0: block_move(s, insn, addr); break;
	case 1:
		if ((insn >> 27 & 7) < 5)
			io(s, insn, addr);
		else
			read_write(s, insn);
		break;
	case 2: transfer_control(s, insn, addr); break;
	default:
		if (insn & 1u << 29)
			load_or_store(s, insn, addr);
		else
			memory_move(s, insn, addr);
	}
	if (s->reg[DCNTL] & DCNTL_SSM && s->state == LSI_RUNNING && !s->move.on)
		lsi_dma_interrupt(s, DSTAT_SSI);
}

void lsi_stop(Lsi *s)
{
	s->state = LSI_STOPPED;
	s->move.on = false;
	timer_cancel(&s->slice);
}

void lsi_run(Lsi *s)
{
	if (s->running) /* further out on this stack */
		return;
	s->running = true;
	for (unsigned left = SLICE; left && s->state == LSI_RUNNING; left--) {
		if (s->move.on)
			go_on_moving(s);
		else
			execute(s);
	}
	s->running = false;
	if (s->state == LSI_RUNNING)
		timer_arm(&s->slice, clock_now(s->pci.dev.board->clock) + PAUSE_NS);
}
