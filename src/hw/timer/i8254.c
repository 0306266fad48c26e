/*
 * i8254.c - the 8254 interval timer: three channels at 1.193182 MHz.
 *
 * Intel 8254 data sheet (231164-005). Counts are computed from the time at which they
 * were loaded; channel 0's output makes one edge per period by a timer. Left out: the
 * null-count flag (loads take effect at once) and lost ticks, which stay lost.
 * Entered by vcpu and main threads under the machine lock.
 */
#include "hw/timer/i8254.h"

#include "core/board.h"
#include "hw/classes.h"

#define HZ 1193182u
#define CHANNELS 3
#define EDGE_MIN_NS 10000 /* a faster channel 0 only starves the host */

/* Access (control word, RW1 RW0) */
enum { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };

typedef struct I8254 {
	Device dev;
	/* One element a channel. */
	uint32_t count[3];       /* 1..65536, in ticks */
	uint16_t latch[3];       /* latched or half-read count, as the guest reads it */
	uint8_t latched[3];      /* bytes of latch still to be read */
	uint8_t status[3];
	bool status_latched[3];
	uint8_t rw[3], mode[3];
	bool bcd[3];
	bool read_high[3], write_high[3]; /* RW_BOTH: the second byte is next */
	uint8_t low[3];          /* first byte written */
	bool gate[3];
	bool loaded[3];          /* a count was written since the control word */
	int64_t start[3];        /* clock ns at which counting began */
	uint64_t held[3];        /* ticks counted when the gate stopped it */
	Timer timer;             /* channel 0's next rising edge */
	Irq irq;
	Region region;
} I8254;

static bool gate_pauses(unsigned mode)
{
	return mode != 1 && mode != 5;
}

/* Ticks since the count was loaded or the channel triggered. */
static uint64_t ticks(const I8254 *s, unsigned n)
{
	if (!s->gate[n] && gate_pauses(s->mode[n]))
		return s->held[n];
	int64_t ns = clock_now(s->dev.board->clock) - s->start[n];
	return ns <= 0 ? 0 : muldiv64((uint64_t)ns, HZ, NS_PER_SEC);
}

static int64_t ticks_to_ns(uint64_t t)
{
	return (int64_t)(muldiv64(t, NS_PER_SEC, HZ) + 1);
}

static uint32_t to_bcd(uint32_t v)
{
	return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static uint32_t from_bcd(uint32_t v)
{
	return (v & 15) + 10 * (v >> 4 & 15) + 100 * (v >> 8 & 15) + 1000 * (v >> 12 & 15);
}

static uint32_t current_count(const I8254 *s, unsigned n)
{
	uint64_t t = ticks(s, n);
	uint32_t wrap = s->bcd[n] ? 10000 : 0x10000, value;

	if (!s->loaded[n])
		t = 0;
	switch (s->mode[n]) {
	case 2:
		value = s->count[n] - (uint32_t)(t % s->count[n]);
		break;
	case 3: /* counts by two, twice a period */
		value = (s->count[n] & ~1u) - (uint32_t)(2 * t % MAX(s->count[n] & ~1u, 1u));
		break;
	default:
		value = (uint32_t)((s->count[n] + (uint64_t)wrap - t % wrap) % wrap);
		break;
	}
	return (s->bcd[n] ? to_bcd(value % wrap) : value) & 0xffff;
}

static bool output(const I8254 *s, unsigned n)
{
	uint64_t t = ticks(s, n);
	if (!s->loaded[n])
		return s->mode[n] != 0;
	switch (s->mode[n]) {
	case 0:
		return t >= s->count[n];
	case 1:
		return t >= s->count[n];
	case 2:
		return !s->gate[n] || t % s->count[n] != s->count[n] - 1;
	case 3:
		return !s->gate[n] || t % s->count[n] < (s->count[n] + 1) / 2;
	default: /* 4, 5: low for one tick */
		return t != s->count[n];
	}
}

/* Arms the timer for channel 0's next rising edge; its gate is tied high. */
static void schedule(I8254 *s)
{
	uint64_t t = ticks(s, 0), next;

	timer_cancel(&s->timer);
	if (!s->loaded[0])
		return;
	switch (s->mode[0]) {
	case 0:
		next = s->count[0];
		break;
	case 4:
		next = s->count[0] + 1;
		break;
	case 2:
	case 3:
		next = (t / s->count[0] + 1) * s->count[0];
		break;
	default: /* need a gate edge that never comes */
		return;
	}
	if (next > t)
		timer_arm(&s->timer, MAX(s->start[0] + ticks_to_ns(next),
			clock_now(s->dev.board->clock) + EDGE_MIN_NS));
}

static void edge(void *opaque)
{
	I8254 *s = opaque;
	irq_lower(&s->irq);
	irq_raise(&s->irq);
	schedule(s);
}

static void load(I8254 *s, unsigned n, uint32_t value)
{
	if (s->bcd[n])
		value = from_bcd(value);
	s->count[n] = value ? value : s->bcd[n] ? 10000 : 0x10000;
	/* Modes 1 and 5 wait for the gate. */
	if (gate_pauses(s->mode[n])) {
		s->start[n] = clock_now(s->dev.board->clock);
		s->held[n] = 0;
	}
	s->loaded[n] = true;
	if (n == 0) {
		if (s->mode[0] == 0)
			irq_lower(&s->irq);
		schedule(s);
	}
}

static void latch_count(I8254 *s, unsigned n)
{
	if (s->latched[n])
		return;
	s->latch[n] = (uint16_t)current_count(s, n);
	s->latched[n] = s->rw[n] == RW_BOTH ? 2 : 1;
}

static void latch_status(I8254 *s, unsigned n)
{
	if (s->status_latched[n])
		return;
	s->status[n] = (uint8_t)(output(s, n) << 7 | s->rw[n] << 4 | s->mode[n] << 1 | s->bcd[n]);
	s->status_latched[n] = true;
}

static void write_control(I8254 *s, uint8_t value)
{
	unsigned n = value >> 6;

	if (n == 3) { /* read-back command */
		for (unsigned i = 0; i < CHANNELS; i++) {
			if (!(value & 2 << i))
				continue;
			if (!(value & 0x20))
				latch_count(s, i);
			if (!(value & 0x10))
				latch_status(s, i);
		}
		return;
	}
	unsigned rw = value >> 4 & 3;
	if (rw == RW_LATCH) {
		latch_count(s, n);
		return;
	}
	unsigned mode = value >> 1 & 7;
	s->rw[n] = (uint8_t)rw;
	s->mode[n] = (uint8_t)(mode > 5 ? mode - 4 : mode);
	s->bcd[n] = value & 1;
	s->read_high[n] = s->write_high[n] = s->loaded[n] = false;
	s->latched[n] = 0;
	s->status_latched[n] = false;
	if (n == 0) {
		timer_cancel(&s->timer);
		if (s->mode[0] == 0)
			irq_lower(&s->irq);
	}
}

static void write_count(I8254 *s, unsigned n, uint8_t value)
{
	switch (s->rw[n]) {
	case RW_LOW:
		load(s, n, value);
		break;
	case RW_HIGH:
		load(s, n, (uint32_t)value << 8);
		break;
	default:
		if (s->write_high[n])
			load(s, n, s->low[n] | (uint32_t)value << 8);
		else
			s->low[n] = value;
		s->write_high[n] = !s->write_high[n];
		break;
	}
}

static uint8_t read_count(I8254 *s, unsigned n)
{
	if (s->status_latched[n]) {
		s->status_latched[n] = false;
		return s->status[n];
	}
	uint16_t value = s->latched[n] ? s->latch[n] : (uint16_t)current_count(s, n);
	bool high = s->rw[n] == RW_HIGH || (s->rw[n] == RW_BOTH && s->read_high[n]);
	if (s->latched[n])
		s->latched[n]--;
	if (s->rw[n] == RW_BOTH)
		s->read_high[n] = !s->read_high[n];
	return (uint8_t)(high ? value >> 8 : value);
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	return offset == 3 ? 0xff : read_count(opaque, (unsigned)offset);
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	if (offset == 3)
		write_control(opaque, (uint8_t)value);
	else
		write_count(opaque, (unsigned)offset, (uint8_t)value);
}

void i8254_set_gate(Device *pit, bool gate)
{
	I8254 *s = (I8254 *)pit;
	unsigned n = 2, mode = s->mode[n];
	bool rising = gate && !s->gate[n];
	int64_t now = clock_now(pit->board->clock);

	if (!gate && s->gate[n] && gate_pauses(mode))
		s->held[n] = ticks(s, n);
	s->gate[n] = gate;
	if (!rising)
		return;
	if (mode == 0 || mode == 4) /* goes on where it stood */
		s->start[n] = now - ticks_to_ns(s->held[n]);
	else /* a trigger: begins anew */
		s->start[n] = now;
}

bool i8254_gate(Device *pit)
{
	return ((I8254 *)pit)->gate[2];
}

bool i8254_output(Device *pit)
{
	return output((I8254 *)pit, 2);
}

static const RegionOps ops = { region_read, region_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	I8254 *s = (I8254 *)dev;
	timer_init(&s->timer, dev->board->clock, edge, s);
	region_init_io(&s->region, "pit", &ops, s, 4);
	as_map(dev->board->io, &s->region, 0x40, 0);
	return true;
}

static void reset(Device *dev)
{
	I8254 *s = (I8254 *)dev;
	s->gate[2] = false;
	irq_lower(&s->irq);
}

static void unrealize(Device *dev)
{
	I8254 *s = (I8254 *)dev;
	timer_cancel(&s->timer);
	as_unmap(&s->region);
}

static const StateField state[] = {
	STATE_ARRAY(FIELD_U32, I8254, count, 3, 0x10000),
	STATE_ARRAY(FIELD_U16, I8254, latch, 3, 0),
	STATE_ARRAY(FIELD_U8, I8254, latched, 3, 0),
	STATE_ARRAY(FIELD_U8, I8254, status, 3, 0),
	STATE_ARRAY(FIELD_BOOL, I8254, status_latched, 3, 0),
	STATE_ARRAY(FIELD_U8, I8254, rw, 3, RW_BOTH),
	STATE_ARRAY(FIELD_U8, I8254, mode, 3, 3),
	STATE_ARRAY(FIELD_BOOL, I8254, bcd, 3, 0),
	STATE_ARRAY(FIELD_BOOL, I8254, read_high, 3, 0),
	STATE_ARRAY(FIELD_BOOL, I8254, write_high, 3, 0),
	STATE_ARRAY(FIELD_U8, I8254, low, 3, 0),
	STATE_ARRAY(FIELD_BOOL, I8254, gate, 3, 1),
	STATE_ARRAY(FIELD_BOOL, I8254, loaded, 3, 0),
	STATE_ARRAY(FIELD_I64, I8254, start, 3, 0),
	STATE_ARRAY(FIELD_U64, I8254, held, 3, 0),
	STATE(FIELD_TIMER, I8254, timer, 0),
	{ 0 }
};

static const LineOut outputs[] = { { "irq", offsetof(I8254, irq), 1 }, { 0 } };

const DeviceClass i8254_class = {
	.name = "isa-pit", .desc = "8254 interval timer", .bus = "isa", .size = sizeof(I8254),
	.version = 1, .state = state, .outputs = outputs,
	.realize = realize, .reset = reset, .unrealize = unrealize,
};
