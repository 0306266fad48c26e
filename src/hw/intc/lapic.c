/*
 * lapic.c - the local APIC of one processor: registers, priorities, local vectors.
 *
 * SDM vol. 3A, chapter 11: xAPIC and x2APIC. Left out: CMCI, extended LVTs, directed
 * EOI, bus arbitration. Writes of the xAPIC id are ignored, as on recent parts.
 * Vcpu threads enter through CpuApicOps without the machine lock, which is taken
 * here; the rest (lines, messages, timer) holds it.
 */
#include "hw/intc/lapic.h"

#include <string.h>

#include "core/board.h"
#include "core/lock.h"
#include "core/trace.h"
#include "cpu/features.h"
#include "hw/classes.h"
#include "hw/intc/intc.h"

#define VERSION (0x14u | (LVT_COUNT - 1) << 16)
#define MSR_APIC_BASE 0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define DEFAULT_BASE 0xfee00000u

/* Register numbers: xAPIC offset >> 4, x2APIC MSR - 800h (table 11-6). */
enum {
	REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a, REG_EOI = 0x0b,
	REG_RRD = 0x0c, REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f, REG_ISR = 0x10, REG_TMR = 0x18,
	REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR = 0x30, REG_ICR_HIGH = 0x31, REG_LVT = 0x32,
	REG_INITIAL = 0x38, REG_CURRENT = 0x39, REG_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f,
};

static const uint32_t lvt_valid[LVT_COUNT] = {
	[LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,
};

static void set_bit(uint32_t *map, unsigned n) { map[n / 32] |= 1u << n % 32; }
static void clear_bit(uint32_t *map, unsigned n) { map[n / 32] &= ~(1u << n % 32); }
static bool test_bit(const uint32_t *map, unsigned n) { return map[n / 32] >> n % 32 & 1; }

static int highest(const uint32_t *map)
{
	for (int i = 7; i >= 0; i--)
		if (map[i])
			return 32 * i + 31 - __builtin_clz(map[i]);
	return -1;
}

/* Processor priority (11.8.3.1) */
uint32_t lapic_ppr(const Lapic *s)
{
	int served = highest(s->isr);
	uint32_t class = served < 0 ? 0 : (uint32_t)served & 0xf0;
	return (s->tpr & 0xf0) >= class ? s->tpr & 0xff : class;
}

/* The vector that may be delivered now, or -1. */
static int deliverable(const Lapic *s)
{
	if (!lapic_on(s) || !(s->svr & SVR_ENABLED))
		return -1;
	int vector = highest(s->irr);
	return vector >= 0 && ((uint32_t)vector & 0xf0) > (lapic_ppr(s) & 0xf0) ? vector : -1;
}

/* Does the 8259's line reach the processor? LINT0 as ExtINT, or the APIC is off (11.4.3). */
static bool extint_pending(const Lapic *s)
{
	if (!s->extint)
		return false;
	uint32_t lvt = s->lvt[LVT_LINT0];
	return !lapic_on(s) || (!(lvt & LVT_MASKED) && LVT_MODE(lvt) == MODE_EXTINT);
}

void lapic_update(Lapic *s)
{
	bool want = deliverable(s) >= 0 || extint_pending(s);
	bool have = atomic_load(&s->cpu->events) & CPU_EV_INTR;
	/* Posting kicks the vcpu, so only changes are posted. */
	if (want && !have)
		cpu_post(s->cpu, CPU_EV_INTR);
	else if (!want && have)
		cpu_clear(s->cpu, CPU_EV_INTR);
}

static void accept_fixed(Lapic *s, uint8_t vector, bool level)
{
	if (!(s->svr & SVR_ENABLED))
		return;
	if (vector < 16) {
		lapic_error(s, ESR_RECEIVE_VECTOR);
		return;
	}
	set_bit(s->irr, vector);
	if (level)
		set_bit(s->tmr, vector);
	else
		clear_bit(s->tmr, vector);
	lapic_update(s);
}

void lapic_accept(Lapic *s, unsigned mode, uint8_t vector, bool level)
{
	switch (mode) {
	case MODE_FIXED:
	case MODE_LOWEST:
		accept_fixed(s, vector, level);
		break;
	case MODE_SMI:
		cpu_post(s->cpu, CPU_EV_SMI);
		break;
	case MODE_NMI:
		cpu_post(s->cpu, CPU_EV_NMI);
		break;
	case MODE_INIT:
		cpu_post(s->cpu, CPU_EV_INIT);
		break;
	case MODE_SIPI:
		s->cpu->sipi_vector = vector;
		cpu_post(s->cpu, CPU_EV_SIPI);
		break;
	default: /* ExtINT by message: the 8259 is wired to LINT0 only */
		break;
	}
}

void lapic_local(Lapic *s, unsigned entry)
{
	uint32_t lvt = s->lvt[entry];
	if (lapic_on(s) && !(lvt & LVT_MASKED))
		lapic_accept(s, entry == LVT_TIMER || entry == LVT_ERROR ? MODE_FIXED : LVT_MODE(lvt),
			(uint8_t)lvt, false);
}

void lapic_error(Lapic *s, uint32_t bit)
{
	bool news = !(s->esr_pending & bit);
	s->esr_pending |= bit;
	/* A bad vector in the error entry itself must not report itself for ever. */
	if (news && (s->lvt[LVT_ERROR] & 0xff) >= 16)
		lapic_local(s, LVT_ERROR);
}

static void end_of_interrupt(Lapic *s)
{
	int vector = highest(s->isr);
	if (vector < 0)
		return;
	clear_bit(s->isr, (unsigned)vector);
	if (test_bit(s->tmr, (unsigned)vector) && s->ioapic)
		ioapic_eoi(s->ioapic, vector);
	lapic_update(s);
}

/* ---- registers ---- */

static uint32_t read_id(const Lapic *s)
{
	return lapic_x2(s) ? s->cpu->apic_id : s->cpu->apic_id << 24;
}

static uint32_t read_ldr(const Lapic *s)
{
	uint32_t id = s->cpu->apic_id;
	return lapic_x2(s) ? id >> 4 << 16 | 1u << (id & 15) : s->ldr;
}

/* False: there is no such register. */
static bool reg_read(Lapic *s, unsigned reg, uint32_t *value)
{
	if (reg >= REG_ISR && reg < REG_ESR) {
		const uint32_t *map = reg < REG_TMR ? s->isr : reg < REG_IRR ? s->tmr : s->irr;
		*value = map[reg & 7];
		return true;
	}
	if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
		*value = s->lvt[reg - REG_LVT];
		return true;
	}
	switch (reg) {
	case REG_ID: *value = read_id(s); return true;
	case REG_VERSION: *value = VERSION; return true;
	case REG_TPR: *value = s->tpr; return true;
	case REG_APR: *value = 0; return !lapic_x2(s);
	case REG_PPR: *value = lapic_ppr(s); return true;
	case REG_EOI:
	case REG_RRD: *value = 0; return !lapic_x2(s);
	case REG_LDR: *value = read_ldr(s); return true;
	case REG_DFR: *value = s->dfr; return !lapic_x2(s);
	case REG_SVR: *value = s->svr; return true;
	case REG_ESR: *value = s->esr; return true;
	case REG_ICR: *value = s->icr[0]; return true;
	case REG_ICR_HIGH: *value = s->icr[1]; return !lapic_x2(s);
	case REG_INITIAL: *value = s->initial_count; return true;
	case REG_CURRENT: *value = lapic_timer_count(s); return true;
	case REG_DIVIDE: *value = s->divide; return true;
	default: return false;
	}
}

static void write_lvt(Lapic *s, unsigned entry, uint32_t value)
{
	uint32_t old = s->lvt[entry];
	value &= lvt_valid[entry];
	if (!(s->svr & SVR_ENABLED))
		value |= LVT_MASKED;
	s->lvt[entry] = value;
	if (entry == LVT_TIMER && TIMER_MODE(old) != TIMER_MODE(value)) {
		/* Into or out of deadline mode the timer is disarmed (11.5.4.1). */
		if (TIMER_MODE(old) == TIMER_TSC_DEADLINE || TIMER_MODE(value) == TIMER_TSC_DEADLINE) {
			s->initial_count = 0;
			s->tsc_deadline = 0;
		}
		lapic_timer_restart(s);
	}
	lapic_update(s);
}

static void write_svr(Lapic *s, uint32_t value)
{
	s->svr = value & 0x1ff;
	if (!(s->svr & SVR_ENABLED)) /* 11.4.7.2: all entries become masked */
		for (unsigned i = 0; i < LVT_COUNT; i++)
			s->lvt[i] |= LVT_MASKED;
	lapic_update(s);
}

static void write_count(Lapic *s, uint32_t value)
{
	if (TIMER_MODE(s->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE)
		return;
	s->initial_count = value;
	s->count_start = clock_now(s->dev.board->clock);
	lapic_timer_restart(s);
}

static void write_divide(Lapic *s, uint32_t value)
{
	uint32_t left = lapic_timer_count(s);
	uint64_t gone = s->initial_count - left;

	s->divide = value & 0xb;
	if (left == 0)
		return;
	/* What is left goes on at the new speed. */
	s->count_start = clock_now(s->dev.board->clock) - (int64_t)(gone * lapic_timer_divisor(s));
	lapic_timer_restart(s);
}

static bool reg_write(Lapic *s, unsigned reg, uint32_t value)
{
	bool x2 = lapic_x2(s);

	if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
		if (x2 && (value & ~(lvt_valid[reg - REG_LVT] | 0x5000u)))
			return false;
		write_lvt(s, reg - REG_LVT, value);
		return true;
	}
	switch (reg) {
	case REG_ID: return !x2;
	case REG_TPR:
		if (x2 && value > 0xff)
			return false;
		s->tpr = value & 0xff;
		lapic_update(s);
		return true;
	case REG_EOI:
		if (x2 && value)
			return false;
		end_of_interrupt(s);
		return true;
	case REG_LDR: s->ldr = x2 ? s->ldr : value & 0xff000000u; return !x2;
	case REG_DFR: s->dfr = x2 ? s->dfr : value | 0x0fffffffu; return !x2;
	case REG_SVR: write_svr(s, value); return true;
	case REG_ESR:
		if (x2 && value)
			return false;
		s->esr = s->esr_pending;
		s->esr_pending = 0;
		return true;
	case REG_ICR:
		s->icr[0] = value & 0xcdfff & ~(1u << 12);
		lapic_send_ipi(s, value, x2 ? s->icr[1] : s->icr[1] >> 24);
		return true;
	case REG_ICR_HIGH: s->icr[1] = x2 ? s->icr[1] : value & 0xff000000u; return !x2;
	case REG_INITIAL: write_count(s, value); return true;
	case REG_DIVIDE: write_divide(s, value); return true;
	case REG_SELF_IPI:
		if (!x2 || value > 0xff)
			return false;
		lapic_send_ipi(s, 1u << 18 | value, 0);
		return true;
	default: return false;
	}
}

/* ---- as the processor sees it ---- */

static uint32_t op_mmio_read(void *apic, uint32_t offset)
{
	Lapic *s = apic;
	uint32_t value = 0;

	machine_lock();
	if (!lapic_on(s) || lapic_x2(s))
		value = UINT32_MAX;
	else if ((offset & 0xf) == 0 && !reg_read(s, offset >> 4, &value))
		lapic_error(s, ESR_REGISTER);
	trace_apic_mem_readl(offset, value);
	machine_unlock();
	return value;
}

static void op_mmio_write(void *apic, uint32_t offset, uint32_t value)
{
	Lapic *s = apic;

	machine_lock();
	trace_apic_mem_writel(offset, value);
	if (lapic_on(s) && !lapic_x2(s) && (offset & 0xf) == 0 && !reg_write(s, offset >> 4, value))
		lapic_error(s, ESR_REGISTER);
	machine_unlock();
}

static void common_reset(Lapic *s)
{
	for (unsigned i = 0; i < LVT_COUNT; i++)
		s->lvt[i] = LVT_MASKED;
	/* The MP specification's virtual wire (3.6.2.1): firmware finds the 8259 connected. */
	if (s->base & BASE_BSP)
		s->lvt[LVT_LINT0] = MODE_EXTINT << 8;
	s->tpr = s->ldr = s->esr = s->esr_pending = 0;
	s->dfr = UINT32_MAX;
	s->svr = 0xff;
	memset(s->icr, 0, sizeof(s->icr));
	memset(s->isr, 0, sizeof(s->isr));
	memset(s->tmr, 0, sizeof(s->tmr));
	memset(s->irr, 0, sizeof(s->irr));
	s->initial_count = s->divide = 0;
	s->tsc_deadline = 0;
	timer_cancel(&s->timer);
	lapic_update(s);
}

static bool write_base(Lapic *s, uint64_t value)
{
	uint64_t reserved = ~((1ull << s->cpu->phys_bits) - 1) | 0x2ff;
	bool has_x2 = s->cpu->features[FEAT_X2APIC >> 5] >> (FEAT_X2APIC & 31) & 1;
	uint64_t now = s->base & (BASE_ENABLED | BASE_X2APIC);
	uint64_t next = value & (BASE_ENABLED | BASE_X2APIC);

	/* Figure 11-27: from x2APIC only to off, from off not straight to x2APIC. */
	if ((value & reserved) || next == BASE_X2APIC || ((next & BASE_X2APIC) && !has_x2))
		return false;
	if ((now & BASE_X2APIC) && next == BASE_ENABLED)
		return false;
	if (!now && (next & BASE_X2APIC))
		return false;
	s->base = value;
	s->cpu->apic_base_shadow = value;
	if (now && !next)
		common_reset(s);
	if ((next & BASE_X2APIC) && !(now & BASE_X2APIC))
		s->icr[1] = 0;
	lapic_update(s);
	return true;
}

static bool x2_read(Lapic *s, unsigned reg, uint64_t *value)
{
	uint32_t low;
	if (!lapic_x2(s) || !reg_read(s, reg, &low))
		return false;
	*value = low;
	if (reg == REG_ICR)
		*value |= (uint64_t)s->icr[1] << 32;
	return true;
}

static bool x2_write(Lapic *s, unsigned reg, uint64_t value)
{
	if (!lapic_x2(s) || (reg != REG_ICR && value >> 32))
		return false;
	if (reg == REG_ICR)
		s->icr[1] = (uint32_t)(value >> 32);
	return reg_write(s, reg, (uint32_t)value);
}

static bool op_msr_read(void *apic, uint32_t msr, uint64_t *value)
{
	Lapic *s = apic;
	bool ok = true;

	machine_lock();
	if (msr == MSR_APIC_BASE)
		*value = s->base;
	else if (msr == MSR_TSC_DEADLINE)
		*value = s->tsc_deadline;
	else
		ok = msr >= 0x800 && msr <= 0x8ff && x2_read(s, msr - 0x800, value);
	machine_unlock();
	return ok;
}

static bool op_msr_write(void *apic, uint32_t msr, uint64_t value)
{
	Lapic *s = apic;
	bool ok = true;

	machine_lock();
	if (msr == MSR_APIC_BASE) {
		ok = write_base(s, value);
	} else if (msr == MSR_TSC_DEADLINE) {
		if (TIMER_MODE(s->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE) { /* else ignored (11.5.4.1) */
			s->tsc_deadline = value;
			lapic_timer_restart(s);
		}
	} else {
		ok = msr >= 0x800 && msr <= 0x8ff && x2_write(s, msr - 0x800, value);
	}
	machine_unlock();
	return ok;
}

static int op_ack(void *apic)
{
	Lapic *s = apic;

	machine_lock();
	int vector = deliverable(s);
	if (vector >= 0) {
		clear_bit(s->irr, (unsigned)vector);
		set_bit(s->isr, (unsigned)vector);
	} else if (extint_pending(s) && s->pic) {
		vector = i8259_ack(s->pic);
	}
	lapic_update(s);
	machine_unlock();
	return vector;
}

static uint8_t op_get_tpr(void *apic)
{
	Lapic *s = apic;
	return (uint8_t)(s->tpr >> 4); /* only this vcpu's thread writes it */
}

static void op_set_tpr(void *apic, uint8_t cr8)
{
	Lapic *s = apic;

	machine_lock();
	s->tpr = (cr8 & 0xfu) << 4;
	lapic_update(s);
	machine_unlock();
}

static void op_init(void *apic)
{
	machine_lock();
	common_reset(apic);
	machine_unlock();
}

static const CpuApicOps apic_ops = {
	op_mmio_read, op_mmio_write, op_msr_read, op_msr_write, op_ack, op_get_tpr, op_set_tpr, op_init,
};

/* ---- lines, life ---- */

static void input_extint(void *opaque, int n, int level)
{
	Lapic *s = opaque;
	bool rising = level && !s->extint;
	s->extint = level;
	/* LINT0 may also be programmed as a plain vector: then an edge of the 8259 is an interrupt. */
	if (rising && LVT_MODE(s->lvt[LVT_LINT0]) != MODE_EXTINT)
		lapic_local(s, LVT_LINT0);
	lapic_update(s);
}

static void input_lint1(void *opaque, int n, int level)
{
	Lapic *s = opaque;
	bool rising = level && !s->lint1;
	s->lint1 = level;
	if (!rising)
		return;
	if (lapic_on(s))
		lapic_local(s, LVT_LINT1);
	else
		cpu_post(s->cpu, CPU_EV_NMI);
}

void apic_local_nmi(Device *apic)
{
	input_lint1(apic, 0, 1);
	input_lint1(apic, 0, 0);
}

static bool realize(Device *dev, GError **error)
{
	Lapic *s = (Lapic *)dev;
	timer_init(&s->timer, dev->board->clock, lapic_timer_fired, s);
	s->cpu->apic = s;
	s->cpu->apic_ops = &apic_ops;
	return true;
}

static void reset(Device *dev)
{
	Lapic *s = (Lapic *)dev;
	s->base = DEFAULT_BASE | BASE_ENABLED | (s->cpu->index == 0 ? BASE_BSP : 0);
	s->cpu->apic_base_shadow = s->base;
	common_reset(s);
}

static void unrealize(Device *dev)
{
	Lapic *s = (Lapic *)dev;
	timer_cancel(&s->timer);
	s->cpu->apic = NULL;
	s->cpu->apic_ops = NULL;
}

static const Property props[] = {
	{ "cpu", PROP_PTR, offsetof(Lapic, cpu) },
	{ "pic", PROP_PTR, offsetof(Lapic, pic) },
	{ "ioapic", PROP_PTR, offsetof(Lapic, ioapic) },
	{ 0 }
};

static const StateField state[] = {
	STATE(FIELD_U64, Lapic, base, 0),
	STATE(FIELD_U32, Lapic, tpr, 0),
	STATE(FIELD_U32, Lapic, ldr, 0),
	STATE(FIELD_U32, Lapic, dfr, UINT32_MAX),
	STATE(FIELD_U32, Lapic, svr, 0xff),
	STATE(FIELD_U32, Lapic, esr, 0),
	STATE(FIELD_U32, Lapic, esr_pending, 0),
	STATE_ARRAY(FIELD_U32, Lapic, icr, 2, 0),
	STATE_ARRAY(FIELD_U32, Lapic, lvt, LVT_COUNT, LVT_MASKED),
	STATE_ARRAY(FIELD_U32, Lapic, isr, 8, 0),
	STATE_ARRAY(FIELD_U32, Lapic, tmr, 8, 0),
	STATE_ARRAY(FIELD_U32, Lapic, irr, 8, 0),
	STATE(FIELD_U32, Lapic, initial_count, 0),
	STATE(FIELD_U32, Lapic, divide, 0),
	STATE(FIELD_I64, Lapic, count_start, 0),
	STATE(FIELD_U64, Lapic, tsc_deadline, 0),
	{ "extint", FIELD_BOOL, offsetof(Lapic, extint), 1, 1, 0, .keep = true },
	{ "lint1", FIELD_BOOL, offsetof(Lapic, lint1), 1, 1, 0, .keep = true },
	STATE(FIELD_TIMER, Lapic, timer, 0),
	{ 0 }
};

static const LineIn inputs[] = { { "extint", input_extint, 1 }, { "lint1", input_lint1, 1 }, { 0 } };

const DeviceClass apic_class = {
	.name = "apic", .desc = "local APIC", .bus = "system", .size = sizeof(Lapic), .version = 1,
	.props = props, .state = state, .inputs = inputs,
	.realize = realize, .reset = reset, .unrealize = unrealize, .info = lapic_info,
};
