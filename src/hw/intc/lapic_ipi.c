/*
 * lapic_ipi.c - who gets an interrupt message: destinations, shorthands, arbitration.
 *
 * SDM vol. 3A, 11.6 (IPIs), 11.11 (MSI), 11.12.10 (x2APIC destinations). Left out:
 * bus arbitration priority; equals take turns by vector. Machine lock held.
 */
#include "hw/intc/intc.h"
#include "hw/intc/lapic.h"

#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)
#define ICR_SHORTHAND(v) ((v) >> 18 & 3)

static Lapic *lapic_of(Board *board, unsigned i)
{
	Cpu *cpu = board->cpus ? board->cpus[i] : NULL;
	return cpu ? cpu->apic : NULL;
}

static bool match_logical(const Lapic *s, uint32_t dest)
{
	if (lapic_x2(s)) /* cluster in the high half, one bit each in the low (11.12.10.2) */
		return dest >> 16 == s->cpu->apic_id >> 4 &&
		       (dest & 1u << (s->cpu->apic_id & 15));
	uint32_t ldr = s->ldr >> 24;
	if (s->dfr >> 28 == 0xf) /* flat model (11.6.2.2) */
		return dest & ldr & 0xff;
	return (dest >> 4 & 0xf) == ldr >> 4 && (dest & ldr & 0xf);
}

static bool matches(const Lapic *s, const ApicMessage *m)
{
	if (!lapic_on(s))
		return false;
	if (m->broadcast)
		return true;
	return m->logical ? match_logical(s, m->dest) : s->cpu->apic_id == m->dest;
}

static void route_lowest(Board *board, const ApicMessage *m)
{
	Lapic *best = NULL;
	/* Starting at a place that differs by vector spreads sources over idle processors. */
	for (unsigned i = 0; i < board->cpu_count; i++) {
		Lapic *s = lapic_of(board, (i + m->vector) % board->cpu_count);
		if (!s || !matches(s, m) || !(s->svr & SVR_ENABLED))
			continue;
		if (!best || lapic_ppr(s) < lapic_ppr(best))
			best = s;
	}
	if (best)
		lapic_accept(best, MODE_FIXED, m->vector, m->level);
}

void lapic_route(Board *board, const ApicMessage *m)
{
	if (m->mode == MODE_LOWEST) {
		route_lowest(board, m);
		return;
	}
	for (unsigned i = 0; i < board->cpu_count; i++) {
		Lapic *s = lapic_of(board, i);
		if (s && matches(s, m))
			lapic_accept(s, m->mode, m->vector, m->level);
	}
}

void apic_deliver_msi(Board *board, uint64_t addr, uint32_t data)
{
	ApicMessage m = {
		.dest = addr >> 12 & 0xff,
		.logical = addr & 4,
		.level = data & ICR_LEVEL,
		.mode = data >> 8 & 7,
		.vector = (uint8_t)data,
	};
	m.broadcast = m.dest == 0xff;
	/* The redirection hint makes any message go to one of the processors named (11.11.1). */
	if ((addr & 8) && m.logical && m.mode == MODE_FIXED)
		m.mode = MODE_LOWEST;
	lapic_route(board, &m);
}

static void send_to_others(Lapic *from, const ApicMessage *m, bool self)
{
	Board *board = from->dev.board;
	for (unsigned i = 0; i < board->cpu_count; i++) {
		Lapic *s = lapic_of(board, i);
		if (s && (s != from || self) && lapic_on(s))
			lapic_accept(s, m->mode, m->vector, m->level);
	}
}

void lapic_send_ipi(Lapic *s, uint32_t command, uint32_t dest)
{
	ApicMessage m = {
		.dest = dest,
		.logical = command & ICR_LOGICAL,
		.level = command & ICR_LEVEL,
		.broadcast = dest == (lapic_x2(s) ? UINT32_MAX : 0xff),
		.mode = command >> 8 & 7,
		.vector = (uint8_t)command,
	};

	/* INIT level de-assert: obsolete, only synchronised arbitration ids (11.6.1). */
	if (m.mode == MODE_INIT && m.level && !(command & ICR_ASSERT))
		return;
	if ((m.mode == MODE_FIXED || m.mode == MODE_LOWEST) && m.vector < 16) {
		lapic_error(s, ESR_SEND_VECTOR);
		return;
	}
	m.level = false; /* IPIs are edges whatever the bit says (11.6.1) */
	switch (ICR_SHORTHAND(command)) {
	case 0:
		lapic_route(s->dev.board, &m);
		break;
	case 1: /* self: only a fixed interrupt is valid */
		if (m.mode == MODE_FIXED)
			lapic_accept(s, m.mode, m.vector, false);
		break;
	case 2:
		send_to_others(s, &m, true);
		break;
	default:
		send_to_others(s, &m, false);
		break;
	}
}
