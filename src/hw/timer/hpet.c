/*
 * hpet.c - high precision event timer: a 100 MHz counter and three comparators.
 *
 * IA-PC HPET specification 1.0a, 2.3. The PIT's and the RTC's lines pass through, so
 * that legacy replacement (2.3.5) can take their place. Left out: more than one block.
 * Entered by vcpu and main threads under the machine lock.
 */
#include "core/board.h"
#include "hw/classes.h"

#define HPET_BASE 0xfed00000u
#define TIMERS 3
#define TICK_NS 10
#define CAPABILITIES (1u | (TIMERS - 1) << 8 | 1u << 13 | 1u << 15 | 0x8086u << 16)
#define PERIOD_FS 10000000ull
#define PERIOD_MIN_NS 20000 /* faster ones only starve the host */
#define SLEEP_MAX_NS (3600 * NS_PER_SEC)

#define CFG_ENABLE 1u
#define CFG_LEGACY 2u

/* Timer configuration (2.3.8) */
#define T_LEVEL 0x02u
#define T_ENABLE 0x04u
#define T_PERIODIC 0x08u
#define T_CAP_PERIODIC 0x10u
#define T_CAP_64 0x20u
#define T_SET_VALUE 0x40u
#define T_32 0x100u
#define T_ROUTE(c) ((unsigned)((c) >> 9 & 31))
#define T_FSB 0x4000u
#define T_CAP_FSB 0x8000u
#define T_WRITABLE 0x7f4eu

typedef struct Hpet Hpet;
typedef struct HpetRef { Hpet *hpet; unsigned n; } HpetRef;

struct Hpet {
	Device dev;
	uint32_t routes;            /* property: bit n: a timer may use gsi n */
	uint64_t config, status;
	uint64_t counter;           /* while stopped */
	int64_t start;              /* clock ns at which the counter was 0, while it runs */
	uint64_t tn_config[TIMERS], comparator[TIMERS], period[TIMERS], fsb[TIMERS];
	bool rtc_level, pit_level;
	Timer timer[TIMERS];
	HpetRef ref[TIMERS];
	Irq gsi[BOARD_GSI_COUNT];
	Region region;
};

static uint64_t now_ticks(const Hpet *s)
{
	if (!(s->config & CFG_ENABLE))
		return s->counter;
	return s->counter + (uint64_t)(clock_now(s->dev.board->clock) - s->start) / TICK_NS;
}

static bool legacy(const Hpet *s)
{
	return s->config & CFG_LEGACY;
}

static const Irq *line(const Hpet *s, unsigned n)
{
	unsigned route = T_ROUTE(s->tn_config[n]);
	if (legacy(s) && n < 2)
		route = n == 0 ? 0 : 8;
	return route < BOARD_GSI_COUNT ? &s->gsi[route] : NULL;
}

static void lower(Hpet *s, unsigned n)
{
	const Irq *irq = line(s, n);
	if (irq)
		irq_lower(irq);
}

static void interrupt(Hpet *s, unsigned n)
{
	uint64_t config = s->tn_config[n];
	const Irq *irq = line(s, n);

	if (config & T_LEVEL)
		s->status |= 1ull << n;
	if (!(config & T_ENABLE))
		return;
	if (config & T_FSB) {
		if (s->dev.board->msi)
			s->dev.board->msi(s->dev.board, s->fsb[n] >> 32, (uint32_t)s->fsb[n]);
	} else if (!irq) {
		return;
	} else if (config & T_LEVEL) {
		irq_raise(irq);
	} else {
		irq_pulse(irq);
	}
}

static uint64_t mask(const Hpet *s, unsigned n)
{
	return s->tn_config[n] & T_32 ? UINT32_MAX : UINT64_MAX;
}

/* Arms timer n for its comparator. A one-shot whose value has passed waits for the counter to wrap. */
static void schedule(Hpet *s, unsigned n)
{
	timer_cancel(&s->timer[n]);
	if (!(s->config & CFG_ENABLE) || !(s->tn_config[n] & (T_ENABLE | T_LEVEL)))
		return;
	uint64_t wait = (s->comparator[n] - now_ticks(s)) & mask(s, n);
	/*
	 * Guests write "now plus a little" and may be late by the time it takes to get here;
	 * a distance of nearly a whole turn means that.
	 */
	if (wait > mask(s, n) / 2 && mask(s, n) == UINT64_MAX)
		wait = 0;
	int64_t ns = wait > SLEEP_MAX_NS / TICK_NS ? SLEEP_MAX_NS : (int64_t)wait * TICK_NS;
	timer_arm(&s->timer[n], clock_now(s->dev.board->clock) + MAX(ns, 1));
}

static void expired(void *opaque)
{
	HpetRef *ref = opaque;
	Hpet *s = ref->hpet;
	unsigned n = ref->n;
	uint64_t now = now_ticks(s), m = mask(s, n);
	uint64_t late = (now - s->comparator[n]) & m;

	if (late > m / 2) { /* a sleep that was cut short */
		schedule(s, n);
		return;
	}
	interrupt(s, n);
	if (!(s->tn_config[n] & T_PERIODIC)) {
		/* A 32-bit one-shot matches again at each wrap of the counter. */
		if (m != UINT64_MAX)
			timer_arm(&s->timer[n], clock_now(s->dev.board->clock) +
				(int64_t)((m + 1 - late) * TICK_NS));
		return;
	}
	uint64_t period = s->period[n] & m;
	if (period == 0)
		return;
	/* Periods that were missed are lost. */
	s->comparator[n] = (s->comparator[n] + (late / period + 1) * period) & m;
	uint64_t wait = (s->comparator[n] - now) & m;
	int64_t ns = (int64_t)MIN(wait, (uint64_t)SLEEP_MAX_NS / TICK_NS) * TICK_NS;
	timer_arm(&s->timer[n], clock_now(s->dev.board->clock) + MAX(ns, PERIOD_MIN_NS));
}

/* ---- lines that pass through ---- */

static void input_pit(void *opaque, int n, int level)
{
	Hpet *s = opaque;
	s->pit_level = level;
	if (!legacy(s))
		irq_set(&s->gsi[0], level);
}

static void input_rtc(void *opaque, int n, int level)
{
	Hpet *s = opaque;
	s->rtc_level = level;
	if (!legacy(s))
		irq_set(&s->gsi[8], level);
}

/* ---- registers ---- */

static uint64_t read_timer(const Hpet *s, unsigned n, unsigned reg)
{
	switch (reg) {
	case 0x00:
		return (uint64_t)s->routes << 32 | s->tn_config[n] | T_CAP_PERIODIC | T_CAP_64 | T_CAP_FSB;
	case 0x08: return s->comparator[n];
	case 0x10: return s->fsb[n];
	default: return 0;
	}
}

static uint64_t read64(const Hpet *s, uint64_t offset)
{
	if (offset >= 0x100 && offset < 0x100 + 0x20 * TIMERS)
		return read_timer(s, (unsigned)(offset - 0x100) / 0x20, offset & 0x1f);
	switch (offset) {
	case 0x00: return PERIOD_FS << 32 | CAPABILITIES;
	case 0x10: return s->config;
	case 0x20: return s->status;
	case 0xf0: return now_ticks(s);
	default: return 0;
	}
}

static void write_config(Hpet *s, uint64_t value)
{
	uint64_t old = s->config, now = now_ticks(s);

	value &= CFG_ENABLE | CFG_LEGACY;
	if ((old ^ value) & CFG_ENABLE) {
		s->counter = now;
		s->start = clock_now(s->dev.board->clock);
	}
	if ((old ^ value) & CFG_LEGACY) {
		/* Neither owner finds the other's level on the line. */
		irq_lower(&s->gsi[0]);
		irq_lower(&s->gsi[8]);
	}
	s->config = value;
	if ((old & CFG_LEGACY) && !legacy(s)) {
		irq_set(&s->gsi[0], s->pit_level);
		irq_set(&s->gsi[8], s->rtc_level);
	}
	if ((old ^ value) & CFG_ENABLE)
		for (unsigned n = 0; n < TIMERS; n++)
			schedule(s, n);
}

static void write_status(Hpet *s, uint64_t value)
{
	for (unsigned n = 0; n < TIMERS; n++)
		if ((value & s->status) >> n & 1)
			lower(s, n);
	s->status &= ~value;
}

static void write_timer_config(Hpet *s, unsigned n, uint64_t value, uint64_t written)
{
	uint64_t old = s->tn_config[n];
	uint64_t next = (old & ~(T_WRITABLE & written)) | (value & T_WRITABLE & written);
	unsigned route = T_ROUTE(next);

	if (route >= 32 || !(s->routes >> route & 1)) /* a route it cannot have reads back as before */
		next = (next & ~(31ull << 9)) | (old & 31ull << 9);
	if ((s->status >> n & 1) && (!(next & T_ENABLE) || !(next & T_LEVEL))) {
		lower(s, n);
		s->status &= ~(1ull << n);
	}
	s->tn_config[n] = next;
	if (next & T_32) {
		s->comparator[n] &= UINT32_MAX;
		s->period[n] &= UINT32_MAX;
	}
	schedule(s, n);
}

static void write_comparator(Hpet *s, unsigned n, uint64_t value, uint64_t written)
{
	uint64_t m = mask(s, n);
	bool periodic = s->tn_config[n] & T_PERIODIC;

	/* Periodic (2.3.9.2.2): the period, and with "set value" the accumulator too. */
	if (!periodic || (s->tn_config[n] & T_SET_VALUE))
		s->comparator[n] = ((s->comparator[n] & ~written) | value) & m;
	if (periodic)
		s->period[n] = ((s->period[n] & ~written) | value) & m;
	/* The flag falls once the value is whole: after its high half, or all of it at once. */
	if ((written >> 32) || m != UINT64_MAX)
		s->tn_config[n] &= ~(uint64_t)T_SET_VALUE;
	schedule(s, n);
}

/* `written` has ones where `value` holds new bits. */
static void write64(Hpet *s, uint64_t offset, uint64_t value, uint64_t written)
{
	if (offset >= 0x100 && offset < 0x100 + 0x20 * TIMERS) {
		unsigned n = (unsigned)(offset - 0x100) / 0x20;
		switch (offset & 0x1f) {
		case 0x00: write_timer_config(s, n, value, written); break;
		case 0x08: write_comparator(s, n, value, written); break;
		case 0x10: s->fsb[n] = (s->fsb[n] & ~written) | value; break;
		default: break;
		}
		return;
	}
	switch (offset) {
	case 0x10:
		write_config(s, (s->config & ~written) | value);
		break;
	case 0x20:
		write_status(s, value);
		break;
	case 0xf0: /* to be written while stopped */
		if (!(s->config & CFG_ENABLE))
			s->counter = (s->counter & ~written) | value;
		break;
	default:
		break;
	}
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	return read64(opaque, offset & ~7ull) >> (8 * (offset & 4));
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	unsigned shift = 8 * (offset & 4);
	uint64_t ones = size == 8 ? UINT64_MAX : (uint64_t)UINT32_MAX << shift;
	write64(opaque, offset & ~7ull, value << shift & ones, ones);
}

static const RegionOps ops = { region_read, region_write, 4, 8 };

static bool realize(Device *dev, GError **error)
{
	Hpet *s = (Hpet *)dev;
	for (unsigned n = 0; n < TIMERS; n++) {
		s->ref[n] = (HpetRef){ s, n };
		timer_init(&s->timer[n], dev->board->clock, expired, &s->ref[n]);
	}
	region_init_io(&s->region, "hpet", &ops, s, 0x400);
	as_map(dev->board->mem, &s->region, HPET_BASE, 1);
	return true;
}

static void reset(Device *dev)
{
	Hpet *s = (Hpet *)dev;
	/* A timer that was routed elsewhere may have left its line up. */
	for (unsigned i = 0; i < BOARD_GSI_COUNT; i++)
		if (i == 0 || i == 8 || (s->routes >> i & 1))
			irq_lower(&s->gsi[i]);
}

static void unrealize(Device *dev)
{
	Hpet *s = (Hpet *)dev;
	for (unsigned n = 0; n < TIMERS; n++)
		timer_cancel(&s->timer[n]);
	as_unmap(&s->region);
}

static const Property props[] = {
	{ "hpet-intcap", PROP_U32, offsetof(Hpet, routes), "4", "interrupts that timers may use, one bit each" },
	{ 0 }
};

static const StateField state[] = {
	STATE(FIELD_U64, Hpet, config, 0),
	STATE(FIELD_U64, Hpet, status, 0),
	STATE(FIELD_U64, Hpet, counter, 0),
	STATE(FIELD_I64, Hpet, start, 0),
	STATE_ARRAY(FIELD_U64, Hpet, tn_config, TIMERS, 0),
	STATE_ARRAY(FIELD_U64, Hpet, comparator, TIMERS, UINT64_MAX),
	STATE_ARRAY(FIELD_U64, Hpet, period, TIMERS, 0),
	STATE_ARRAY(FIELD_U64, Hpet, fsb, TIMERS, 0),
	{ "rtc_level", FIELD_BOOL, offsetof(Hpet, rtc_level), 1, 1, 0, .keep = true },
	{ "pit_level", FIELD_BOOL, offsetof(Hpet, pit_level), 1, 1, 0, .keep = true },
	STATE_ARRAY(FIELD_TIMER, Hpet, timer, TIMERS, 0),
	{ 0 }
};

static const LineOut outputs[] = { { "gsi", offsetof(Hpet, gsi), BOARD_GSI_COUNT }, { 0 } };
static const LineIn inputs[] = { { "pit", input_pit, 1 }, { "rtc", input_rtc, 1 }, { 0 } };

const DeviceClass hpet_class = {
	.name = "hpet", .desc = "high precision event timer", .bus = "system", .size = sizeof(Hpet),
	.version = 1, .props = props, .state = state, .outputs = outputs, .inputs = inputs,
	.realize = realize, .reset = reset, .unrealize = unrealize,
};
