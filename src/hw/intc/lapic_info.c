/*
 * lapic_info.c - a local APIC's registers for people, in the form that QEMU's users know. Machine lock held.
 */
#include "hw/intc/lapic.h"

#define LVT_LOW_ACTIVE (1u << 13)
#define LVT_LEVEL (1u << 15)
#define LVT_PENDING (1u << 12)
#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)

static void show_lvt(const Lapic *s, const char *name, unsigned entry, GString *out)
{
	static const char *const modes[] = { "Fixed", "...", "SMI", "...", "NMI", "INIT", "...", "ExtINT" };
	static const char *const timer_modes[] = { "one-shot", "periodic", "tsc-deadline", "" };
	uint32_t v = s->lvt[entry];
	unsigned mode = LVT_MODE(v);

	g_string_append_printf(out, "%s\t 0x%08x %s %-5s %-6s %-7s %-12s %-6s", name, v,
		v & LVT_LOW_ACTIVE ? "active-lo" : "active-hi", v & LVT_LEVEL ? "level" : "edge",
		v & LVT_MASKED ? "masked" : "", v & LVT_PENDING ? "pending" : "",
		entry == LVT_TIMER ? timer_modes[TIMER_MODE(v)] : "", modes[mode]);
	if (mode == MODE_NMI)
		g_string_append_c(out, '\n');
	else
		g_string_append_printf(out, " (vec %u)\n", v & 0xff);
}

/* Vectors whose bit is set; those that came by level are marked. */
static void show_vectors(const char *name, const uint32_t *map, const uint32_t *level, GString *out)
{
	bool any = false;

	g_string_append_printf(out, "%s\t ", name);
	for (unsigned v = 0; v < 256; v++)
		if (map[v / 32] >> v % 32 & 1) {
			g_string_append_printf(out, "%u%s ", v,
				level[v / 32] >> v % 32 & 1 ? "(level)" : "");
			any = true;
		}
	g_string_append(out, any ? "\n" : "(none)\n");
}

static void show_icr(const Lapic *s, GString *out)
{
	static const char *const shorthands[] = { "no-shorthand", "self", "all-self", "all" };
	uint32_t low = s->icr[0];
	uint32_t dest = lapic_x2(s) ? s->icr[1] : s->icr[1] >> 24;

	g_string_append_printf(out, "ICR\t 0x%08x %s %s %s %s\n", low,
		low & ICR_LOGICAL ? "logical" : "physical", low & ICR_LEVEL ? "level" : "edge",
		low & ICR_ASSERT ? "assert" : "de-assert", shorthands[low >> 18 & 3]);
	g_string_append_printf(out, "ICR2\t 0x%08x", s->icr[1]);
	if (!(low >> 18 & 3) && !(low & ICR_LOGICAL))
		g_string_append_printf(out, " cpu %u (APIC ID)", dest);
	g_string_append_c(out, '\n');
}

void lapic_info(Device *dev, GString *out)
{
	const Lapic *s = (const Lapic *)dev;

	g_string_append_printf(out, "dumping local APIC state for CPU %u \n\n", s->cpu->index);
	show_lvt(s, "LVT0", LVT_LINT0, out);
	show_lvt(s, "LVT1", LVT_LINT1, out);
	show_lvt(s, "LVTPC", LVT_PERF, out);
	show_lvt(s, "LVTERR", LVT_ERROR, out);
	show_lvt(s, "LVTTHMR", LVT_THERMAL, out);
	show_lvt(s, "LVTT", LVT_TIMER, out);
	g_string_append_printf(out, "Timer\t DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n",
		s->divide, lapic_timer_divisor(s), s->initial_count, lapic_timer_count(s));
	g_string_append_printf(out, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", s->svr,
		s->svr & SVR_ENABLED ? "enabled" : "disabled", s->svr & 0x200 ? "on" : "off", s->svr & 0xff);
	show_icr(s, out);
	g_string_append_printf(out, "ESR\t 0x%08x\n", s->esr);
	show_vectors("ISR", s->isr, s->tmr, out);
	show_vectors("IRR", s->irr, s->tmr, out);
	g_string_append_printf(out, "\nAPR 0x00 TPR 0x%02x DFR 0x%02x LDR 0x%02x PPR 0x%02x\n", s->tpr,
		s->dfr >> 28, s->ldr >> 24, lapic_ppr(s));
}
