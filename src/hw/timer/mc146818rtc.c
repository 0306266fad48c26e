/*
 * mc146818rtc.c - real-time clock and CMOS memory.
 *
 * Motorola MC146818A data sheet (ADI1129R1); century byte at 32h and index/data ports
 * 70h/71h as on the PC/AT. The time is a reference clock plus an offset that the guest
 * changes by setting the clock. Left out: daylight saving, square wave, NMI mask.
 * Entered by vcpu and main threads under the machine lock.
 */
#include "hw/timer/rtc.h"

#include <string.h>
#include <time.h>

#include "core/board.h"
#include "core/error.h"
#include "hw/classes.h"

enum {
	SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, DAY, MONTH, YEAR,
	REG_A, REG_B, REG_C, REG_D, CENTURY = 0x32, CMOS_SIZE = 128,
};
#define A_UIP 0x80u
#define A_DIVIDER 0x70u
#define A_DIVIDER_RUN 0x20u
#define B_SET 0x80u
#define B_PIE 0x40u
#define B_AIE 0x20u
#define B_UIE 0x10u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define C_IRQF 0x80u
#define C_PF 0x40u
#define C_AF 0x20u
#define C_UF 0x10u
#define D_VALID 0x80u

#define UIP_NS 244000 /* the update is announced that long before (table 5) */
#define DAY_SECONDS 86400
#define PERIODIC_HZ 32768
#define SECONDS_MIN (-2208988800LL) /* 1900 */
#define SECONDS_MAX 7258118400LL    /* 2200 */
#define BACKLOG_MAX 1000 /* ticks owed to the guest with driftfix=slew */

enum { CLOCK_HOST, CLOCK_RT, CLOCK_VM };
static const char *const clock_names[] = { "host", "rt", "vm", NULL };
static const char *const driftfix_names[] = { "none", "slew", NULL };

typedef struct Rtc {
	Device dev;
	char *base_text;
	int source, driftfix;
	uint8_t index;
	uint8_t cmos[CMOS_SIZE];
	int64_t offset;          /* guest time (ns since 1970, as a UTC calendar) - reference clock */
	int64_t last_second;     /* up to which update and alarm flags were set */
	uint64_t last_tick;      /* up to which the periodic flag was set */
	uint32_t backlog;        /* periodic interrupts that found the last one unread */
	Timer second, periodic;
	Irq irq;
	Region region;
} Rtc;

/* ---- time ---- */

static int64_t reference(const Rtc *s)
{
	switch (s->source) {
	case CLOCK_HOST: return g_get_real_time() * 1000;
	case CLOCK_RT: return host_now();
	default: return clock_now(s->dev.board->clock);
	}
}

static int64_t guest_ns(const Rtc *s)
{
	return reference(s) + s->offset;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t guest_second(const Rtc *s)
{
	return floor_div(guest_ns(s), NS_PER_SEC);
}

static uint8_t encode(const Rtc *s, int v)
{
	return (uint8_t)(s->cmos[REG_B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static int decode(const Rtc *s, uint8_t v)
{
	return s->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hour(const Rtc *s, int hour)
{
	if (s->cmos[REG_B] & B_24H)
		return encode(s, hour);
	return (uint8_t)(encode(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0));
}

static int decode_hour(const Rtc *s, uint8_t v)
{
	if (s->cmos[REG_B] & B_24H)
		return decode(s, v);
	return decode(s, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

/* Puts the present time into the registers. */
static void store_time(Rtc *s)
{
	time_t t = guest_second(s);
	struct tm tm;
	if (!gmtime_r(&t, &tm))
		return;
	s->cmos[SECONDS] = encode(s, tm.tm_sec);
	s->cmos[MINUTES] = encode(s, tm.tm_min);
	s->cmos[HOURS] = encode_hour(s, tm.tm_hour);
	s->cmos[WEEKDAY] = encode(s, tm.tm_wday + 1);
	s->cmos[DAY] = encode(s, tm.tm_mday);
	s->cmos[MONTH] = encode(s, tm.tm_mon + 1);
	s->cmos[YEAR] = encode(s, tm.tm_year % 100);
	s->cmos[CENTURY] = encode(s, (tm.tm_year + 1900) / 100 % 100);
}

/* Makes the registers the present time. Nonsense dates are carried over by timegm. */
static void load_time(Rtc *s)
{
	struct tm tm = {
		.tm_sec = decode(s, s->cmos[SECONDS]),
		.tm_min = decode(s, s->cmos[MINUTES]),
		.tm_hour = decode_hour(s, s->cmos[HOURS]),
		.tm_mday = decode(s, s->cmos[DAY]),
		.tm_mon = decode(s, s->cmos[MONTH]) - 1,
		.tm_year = decode(s, s->cmos[CENTURY]) * 100 + decode(s, s->cmos[YEAR]) - 1900,
	};
	/* Nanoseconds reach from 1678 to 2262. */
	int64_t seconds = CLAMP((int64_t)timegm(&tm), SECONDS_MIN, SECONDS_MAX);
	s->offset = seconds * NS_PER_SEC - reference(s);
	s->last_second = guest_second(s);
}

/* ---- interrupts ---- */

static void update_irq(Rtc *s)
{
	uint8_t enabled = s->cmos[REG_B] & (B_PIE | B_AIE | B_UIE);
	if (s->cmos[REG_C] & enabled)
		s->cmos[REG_C] |= C_IRQF;
	else
		s->cmos[REG_C] &= (uint8_t)~C_IRQF;
	irq_set(&s->irq, (s->cmos[REG_C] & C_IRQF) != 0);
}

static bool alarm_field(const Rtc *s, uint8_t alarm, int value, bool hour)
{
	if (alarm >= 0xc0) /* "don't care" */
		return true;
	return (hour ? decode_hour(s, alarm) : decode(s, alarm)) == value;
}

static bool alarm_matches(const Rtc *s, int64_t second)
{
	int t = (int)(second - floor_div(second, DAY_SECONDS) * DAY_SECONDS);
	return alarm_field(s, s->cmos[SECONDS_ALARM], t % 60, false) &&
	       alarm_field(s, s->cmos[MINUTES_ALARM], t / 60 % 60, false) &&
	       alarm_field(s, s->cmos[HOURS_ALARM], t / 3600, true);
}

/* Sets the update and alarm flags for the seconds that have passed. */
static void catch_up(Rtc *s)
{
	int64_t now = guest_second(s);
	if (s->cmos[REG_B] & B_SET || now <= s->last_second) {
		s->last_second = now;
		return;
	}
	s->cmos[REG_C] |= C_UF;
	/* The pattern repeats daily, so a day holds every match. */
	int64_t first = MAX(s->last_second + 1, now - DAY_SECONDS + 1);
	for (int64_t t = first; t <= now && !(s->cmos[REG_C] & C_AF); t++)
		if (alarm_matches(s, t))
			s->cmos[REG_C] |= C_AF;
	s->last_second = now;
}

static void schedule_second(Rtc *s)
{
	timer_cancel(&s->second);
	if ((s->cmos[REG_B] & B_SET) || !(s->cmos[REG_B] & (B_AIE | B_UIE)))
		return;
	int64_t now = guest_ns(s);
	int64_t wait = (floor_div(now, NS_PER_SEC) + 1) * NS_PER_SEC - now;
	timer_arm(&s->second, clock_now(s->dev.board->clock) + wait + 1000);
}

static void second_passed(void *opaque)
{
	Rtc *s = opaque;
	catch_up(s);
	update_irq(s);
	schedule_second(s);
}

/* Period in ticks of 32.768 kHz; 0: off (table 5). */
static unsigned period(const Rtc *s)
{
	unsigned rate = s->cmos[REG_A] & 15;
	if (rate == 0 || (s->cmos[REG_A] & A_DIVIDER) != A_DIVIDER_RUN)
		return 0;
	return 1u << (rate <= 2 ? rate + 6 : rate - 1);
}

static uint64_t ticks(const Rtc *s)
{
	return muldiv64((uint64_t)clock_now(s->dev.board->clock), PERIODIC_HZ, NS_PER_SEC);
}

/* Sets the periodic flag if a period ended; returns how many did. */
static uint64_t catch_up_periodic(Rtc *s)
{
	unsigned p = period(s);
	uint64_t now = ticks(s);
	if (!p)
		return 0;
	uint64_t passed = now / p - s->last_tick / p;
	if (passed)
		s->cmos[REG_C] |= C_PF;
	s->last_tick = now;
	return passed;
}

static void schedule_periodic(Rtc *s)
{
	unsigned p = period(s);
	timer_cancel(&s->periodic);
	if (!p || !(s->cmos[REG_B] & B_PIE))
		return;
	uint64_t next = (ticks(s) / p + 1) * p;
	timer_arm(&s->periodic, (int64_t)muldiv64(next, NS_PER_SEC, PERIODIC_HZ) + 1);
}

static void period_passed(void *opaque)
{
	Rtc *s = opaque;
	bool unread = s->cmos[REG_C] & C_PF;
	uint64_t passed = catch_up_periodic(s);
	if (s->driftfix && passed)
		s->backlog = (uint32_t)MIN(s->backlog + passed - !unread, BACKLOG_MAX);
	update_irq(s);
	schedule_periodic(s);
}

static uint8_t read_c(Rtc *s)
{
	catch_up(s);
	catch_up_periodic(s);
	update_irq(s);
	uint8_t value = s->cmos[REG_C];
	s->cmos[REG_C] = 0;
	update_irq(s);
	if ((value & C_PF) && s->backlog && (s->cmos[REG_B] & B_PIE)) {
		s->backlog--;
		s->cmos[REG_C] |= C_PF;
		update_irq(s);
	}
	return value;
}

/* ---- registers ---- */

static bool is_time(unsigned reg)
{
	return reg == SECONDS || reg == MINUTES || reg == HOURS || (reg >= WEEKDAY && reg <= YEAR) ||
	       reg == CENTURY;
}

static uint8_t read_a(const Rtc *s)
{
	uint8_t value = s->cmos[REG_A] & (uint8_t)~A_UIP;
	int64_t now = guest_ns(s);
	int64_t in_second = now - floor_div(now, NS_PER_SEC) * NS_PER_SEC;
	if (!(s->cmos[REG_B] & B_SET) && in_second >= NS_PER_SEC - UIP_NS)
		value |= A_UIP;
	return value;
}

static uint8_t read_register(Rtc *s, unsigned reg)
{
	switch (reg) {
	case REG_A: return read_a(s);
	case REG_C: return read_c(s);
	case REG_D: return D_VALID;
	default:
		if (is_time(reg) && !(s->cmos[REG_B] & B_SET))
			store_time(s);
		return s->cmos[reg];
	}
}

static void write_b(Rtc *s, uint8_t value)
{
	uint8_t old = s->cmos[REG_B];

	if ((value & B_SET) && !(old & B_SET))
		store_time(s); /* the registers stand still from now on */
	if (!(value & B_SET))
		catch_up(s);
	if (value & B_SET)
		value &= (uint8_t)~B_UIE;
	s->cmos[REG_B] = value;
	if (!(value & B_SET) && (old & B_SET))
		load_time(s);
	if (!(old & B_PIE) && (value & B_PIE))
		s->last_tick = ticks(s);
	update_irq(s);
	schedule_second(s);
	schedule_periodic(s);
}

static void write_register(Rtc *s, unsigned reg, uint8_t value)
{
	switch (reg) {
	case REG_A:
		catch_up_periodic(s);
		s->cmos[REG_A] = value & (uint8_t)~A_UIP;
		s->last_tick = ticks(s);
		schedule_periodic(s);
		return;
	case REG_B:
		write_b(s, value);
		return;
	case REG_C:
	case REG_D:
		return;
	default:
		break;
	}
	bool live = is_time(reg) && !(s->cmos[REG_B] & B_SET);
	if (live) {
		catch_up(s);
		store_time(s);
	}
	s->cmos[reg] = value;
	if (live) {
		load_time(s);
		schedule_second(s);
	}
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	Rtc *s = opaque;
	return offset == 0 ? 0xff : read_register(s, s->index);
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Rtc *s = opaque;
	if (offset == 0)
		s->index = value & 0x7f;
	else
		write_register(s, s->index, (uint8_t)value);
}

void rtc_set_cmos(Device *rtc, unsigned index, uint8_t value)
{
	((Rtc *)rtc)->cmos[index % CMOS_SIZE] = value;
}

uint8_t rtc_get_cmos(Device *rtc, unsigned index)
{
	return ((Rtc *)rtc)->cmos[index % CMOS_SIZE];
}

/* ---- life ---- */

/* Seconds since 1970 that the calendar shows at start. */
static bool parse_base(const char *text, int64_t *seconds, GError **error)
{
	time_t now = time(NULL);
	struct tm tm = { 0 };

	*seconds = now;
	if (!text || !strcmp(text, "utc"))
		return true;
	if (!strcmp(text, "localtime")) {
		localtime_r(&now, &tm);
		*seconds = timegm(&tm);
		return true;
	}
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end) {
		memset(&tm, 0, sizeof(tm));
		end = strptime(text, "%Y-%m-%d", &tm);
	}
	if (!end || *end)
		return fail(error, VIV_ERROR_INVALID, "The clock's base '%s' is neither utc, localtime "
			"nor a date such as 2026-06-16T16:01:21.", text);
	*seconds = CLAMP((int64_t)timegm(&tm), SECONDS_MIN, SECONDS_MAX);
	return true;
}

static const RegionOps ops = { region_read, region_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	Rtc *s = (Rtc *)dev;
	int64_t seconds;

	if (!parse_base(s->base_text, &seconds, error))
		return false;
	s->cmos[REG_A] = A_DIVIDER_RUN | 6;
	s->cmos[REG_B] = B_24H;
	/* The fraction of the host's second is kept, so that utc means utc. */
	s->offset = seconds * NS_PER_SEC + g_get_real_time() % G_USEC_PER_SEC * 1000 - reference(s);
	s->last_second = guest_second(s);
	timer_init(&s->second, dev->board->clock, second_passed, s);
	timer_init(&s->periodic, dev->board->clock, period_passed, s);
	region_init_io(&s->region, "rtc", &ops, s, 2);
	as_map(dev->board->io, &s->region, 0x70, 0);
	return true;
}

static void reset(Device *dev)
{
	Rtc *s = (Rtc *)dev;
	/* The battery keeps the rest; RESET clears the enables and flags. */
	s->cmos[REG_B] &= (uint8_t)~(B_PIE | B_AIE | B_UIE);
	s->cmos[REG_C] = 0;
	update_irq(s);
}

static void unrealize(Device *dev)
{
	Rtc *s = (Rtc *)dev;
	timer_cancel(&s->second);
	timer_cancel(&s->periodic);
	as_unmap(&s->region);
}

static const Property props[] = {
	{ "base", PROP_STRING, offsetof(Rtc, base_text), "utc", "utc, localtime or a date" },
	{ "clock", PROP_ENUM, offsetof(Rtc, source), "host", "what drives it", clock_names },
	{ "driftfix", PROP_ENUM, offsetof(Rtc, driftfix), "none",
	  "slew: periodic interrupts that came too fast are made up for", driftfix_names },
	{ 0 }
};

static const StateField state[] = {
	STATE(FIELD_U8, Rtc, index, 0),
	{ "cmos", FIELD_U8, offsetof(Rtc, cmos), CMOS_SIZE, 1, 0, .keep = true },
	{ "offset", FIELD_I64, offsetof(Rtc, offset), 1, 1, 0, .keep = true },
	{ "last_second", FIELD_I64, offsetof(Rtc, last_second), 1, 1, 0, .keep = true },
	{ "last_tick", FIELD_U64, offsetof(Rtc, last_tick), 1, 1, 0, .keep = true },
	STATE(FIELD_U32, Rtc, backlog, 0),
	STATE(FIELD_TIMER, Rtc, second, 0),
	STATE(FIELD_TIMER, Rtc, periodic, 0),
	{ 0 }
};

static const LineOut outputs[] = { { "irq", offsetof(Rtc, irq), 1 }, { 0 } };

const DeviceClass rtc_class = {
	.name = "mc146818rtc", .desc = "real-time clock and CMOS memory", .bus = "isa", .category = DEVICE_MISC,
	.size = sizeof(Rtc), .version = 1, .props = props, .state = state, .outputs = outputs,
	.realize = realize, .reset = reset, .unrealize = unrealize,
};
