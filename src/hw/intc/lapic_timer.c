/*
 * lapic_timer.c - the local APIC's timer.
 *
 * SDM vol. 3A, 11.5.4. The bus clock is 1 GHz, so that a count is nanoseconds times
 * the divisor. The TSC deadline follows the vcpu's TSC. Machine lock held.
 */
#include "hw/intc/lapic.h"

#include "core/board.h"

/* A periodic timer that would fire more often than this only starves the host. */
#define PERIOD_MIN_NS 20000
/* Deadlines further away are looked at again then: the product stays in range. */
#define DEADLINE_MAX_NS (3600 * NS_PER_SEC)

/* Divide configuration (11.5.4, figure 11-10): 1011 is 1, the others powers of two from 2. */
unsigned lapic_timer_divisor(const Lapic *s)
{
	unsigned code = (s->divide & 3) | (s->divide >> 1 & 4);
	return 1u << ((code + 1) & 7);
}

static int64_t period_ns(const Lapic *s)
{
	return (int64_t)((uint64_t)s->initial_count * lapic_timer_divisor(s));
}

uint64_t lapic_tsc(const Lapic *s)
{
	const Cpu *cpu = s->cpu;
	uint64_t tsc = cpu->world && cpu->world->tsc ? cpu->world->tsc(cpu->world_opaque) : 0;
	return tsc + cpu->tsc_adjust;
}

uint32_t lapic_timer_count(const Lapic *s)
{
	unsigned mode = TIMER_MODE(s->lvt[LVT_TIMER]);
	if (mode == TIMER_TSC_DEADLINE || s->initial_count == 0)
		return 0;
	uint64_t passed = (uint64_t)(clock_now(s->dev.board->clock) - s->count_start) / lapic_timer_divisor(s);
	if (mode == TIMER_PERIODIC)
		passed %= s->initial_count;
	return passed >= s->initial_count ? 0 : s->initial_count - (uint32_t)passed;
}

static void fire_deadline(Lapic *s)
{
	s->tsc_deadline = 0;
	lapic_local(s, LVT_TIMER);
}

static void arm_deadline(Lapic *s)
{
	uint64_t now = lapic_tsc(s), khz = s->cpu->tsc_khz ? s->cpu->tsc_khz : 1000000;
	if (s->tsc_deadline <= now) {
		fire_deadline(s);
		return;
	}
	unsigned __int128 ns = (unsigned __int128)(s->tsc_deadline - now) * 1000000 / khz + 1;
	int64_t wait = ns > DEADLINE_MAX_NS ? DEADLINE_MAX_NS : (int64_t)ns;
	timer_arm(&s->timer, clock_now(s->dev.board->clock) + wait);
}

void lapic_timer_restart(Lapic *s)
{
	timer_cancel(&s->timer);
	if (TIMER_MODE(s->lvt[LVT_TIMER]) == TIMER_TSC_DEADLINE) {
		if (s->tsc_deadline)
			arm_deadline(s);
		return;
	}
	if (s->initial_count)
		timer_arm(&s->timer, s->count_start + period_ns(s));
}

void lapic_timer_fired(void *opaque)
{
	Lapic *s = opaque;
	unsigned mode = TIMER_MODE(s->lvt[LVT_TIMER]);

	if (mode == TIMER_TSC_DEADLINE) {
		if (s->tsc_deadline)
			arm_deadline(s); /* fires, unless the wait was cut short */
		return;
	}
	lapic_local(s, LVT_TIMER);
	if (mode != TIMER_PERIODIC || s->initial_count == 0)
		return;
	/* Periods that were missed are lost, as they are when the request is still pending. */
	int64_t period = period_ns(s), now = clock_now(s->dev.board->clock);
	s->count_start += (now - s->count_start) / period * period;
	timer_arm(&s->timer, MAX(s->count_start + period, now + PERIOD_MIN_NS));
}
