/*
 * info.c - what `info jit` tells: of each vcpu, and of all together.
 *
 * Main thread, vcpus held; jit_note_exception is the vcpu's own.
 */
#include "cpu/jit/jit.h"

#include <inttypes.h>

typedef struct Sum {
	JitCounts c;
	TlbCounts tlb;
	uint64_t used, size, blocks, guest_bytes, host_bytes, unit_loads;
	unsigned longest;        /* guest bytes of a block */
	uint64_t *handled, *detours; /* [OPTAB_ROWS] */
} Sum;

void jit_note_exception(Cpu *cpu)
{
	const Block *b = cpu->icache->running;

	if (b && !b->insns) /* as only translated blocks are */
		cpu->jit->counts.exits[EXIT_EXCEPTION]++;
}

/* Structs of nothing but counters. */
static void add_counters(void *sum, const void *more, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(uint64_t); i++)
		((uint64_t *)sum)[i] += ((const uint64_t *)more)[i];
}

static void add_region(Sum *s, const JitRegion *r)
{
	s->used += r->used - r->code;
	s->host_bytes += r->used - r->code;
	s->blocks += r->ordered;
	for (size_t i = 0; i < r->ordered; i++) {
		s->guest_bytes += r->order[i]->base.bytes;
		s->longest = MAX(s->longest, r->order[i]->base.bytes);
	}
}

static void add_vcpu(Sum *s, const Cpu *cpu)
{
	const Jit *j = cpu->jit;

	add_counters(&s->c, &j->counts, sizeof(s->c));
	add_counters(&s->tlb, &cpu->tlb_counts, sizeof(s->tlb));
	add_counters(s->handled, j->handled, optab_row_count * sizeof(uint64_t));
	add_counters(s->detours, j->detours, optab_row_count * sizeof(uint64_t));
	s->used += j->region[0].code; /* the stubs */
	s->size += j->size;
	s->unit_loads += j->unit_loads;
	for (unsigned i = 0; i < j->regions; i++)
		add_region(s, &j->region[i]);
}

static uint64_t total(const uint64_t *counts, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += counts[i];
	return sum;
}

static void append_buffer(const Sum *s, GString *out)
{
	uint64_t n = MAX(s->blocks, 1);

	g_string_append_printf(out, "gen code size       %" PRIu64 "/%" PRIu64 "\n", s->used, s->size);
	g_string_append_printf(out, "TB count            %" PRIu64 "\n", s->blocks);
	g_string_append_printf(out, "TB avg target size  %" PRIu64 " max=%u bytes\n", s->guest_bytes / n, s->longest);
	g_string_append_printf(out, "TB avg host size    %" PRIu64 " bytes (expansion ratio: %.1f)\n", s->host_bytes / n,
		s->guest_bytes ? (double)s->host_bytes / (double)s->guest_bytes : 0.0);
	g_string_append_printf(out, "TB made             %" PRIu64 "\n", s->c.made);
	g_string_append_printf(out, "direct jumps linked %" PRIu64 "\n", s->c.links);
}

static void append_causes(const char *title, const char *const *names, const uint64_t *counts, unsigned n, GString *out)
{
	g_string_append_printf(out, "%-19s %" PRIu64 ":", title, total(counts, n));
	for (unsigned i = 0; i < n; i++)
		g_string_append_printf(out, "%s %s %" PRIu64, i ? "," : "", names[i], counts[i]);
	g_string_append_c(out, '\n');
}

static void append_statistics(const Sum *s, GString *out)
{
	static const char *const exits[JIT_EXITS] = { "event", "page changed", "not linked", "indirect", "handler",
		"exception" };
	static const char *const refusals[JIT_REFUSALS] = { "mode", "unit", "not hot", "not translatable" };

	g_string_append_printf(out, "TB flush count      %" PRIu64 " (and of the oldest part %" PRIu64 ")\n", s->c.drops,
		s->c.evicted);
	g_string_append_printf(out, "TB invalidate count %" PRIu64 "\n", s->c.replaced);
	g_string_append_printf(out, "TLB misses          %" PRIu64 " (%" PRIu64 " found behind)\n", s->tlb.misses,
		s->tlb.recalled);
	g_string_append_printf(out, "TLB full flushes    %" PRIu64 "\n", s->tlb.full);
	g_string_append_printf(out, "TLB partial flushes %" PRIu64 "\n", s->tlb.partial);
	g_string_append_printf(out, "TLB page flushes    %" PRIu64 "\n", s->tlb.pages);
	g_string_append_printf(out, "TLB elided flushes  %" PRIu64 "\n", s->tlb.elided);
	g_string_append_printf(out, "entries             %" PRIu64 "\n", s->c.entries);
	append_causes("exits", exits, s->c.exits, JIT_EXITS, out);
	append_causes("interpreted blocks", refusals, s->c.refused, JIT_REFUSALS, out);
	g_string_append_printf(out, "vector unit loads   %" PRIu64 "\n", s->unit_loads);
}

/* The rows that ran most often, with their counts. */
static void append_most(const uint64_t *runs, const char *title, GString *out)
{
	uint64_t below = UINT64_MAX;

	g_string_append_printf(out, "%-19s %" PRIu64, title, total(runs, optab_row_count));
	for (unsigned n = 0; n < 12; n++) {
		unsigned best = 0;
		uint64_t most = 0;
		for (unsigned i = 0; i < optab_row_count; i++)
			if (runs[i] > most && runs[i] < below) {
				most = runs[i];
				best = i;
			}
		if (!most)
			break;
		g_string_append_printf(out, "%s %s %" PRIu64, n ? "," : ":", optab_rows[best].name, most);
		below = most;
	}
	g_string_append_c(out, '\n');
}

static void append_sum(Cpu *const *cpus, unsigned count, GString *out)
{
	g_autofree uint64_t *rows = g_new0(uint64_t, 2 * optab_row_count);
	Sum s = { .handled = rows, .detours = rows + optab_row_count };

	for (unsigned i = 0; i < count; i++)
		add_vcpu(&s, cpus[i]);
	g_string_append(out, "\nTranslation buffer state:\n");
	append_buffer(&s, out);
	g_string_append(out, "\nStatistics:\n");
	append_statistics(&s, out);
	append_most(s.handled, "run by handlers", out);
	append_most(s.detours, "for their operand", out);
}

void jit_info(Cpu *const *cpus, unsigned count, GString *out)
{
	for (unsigned i = 0; count > 1 && i < count; i++) {
		g_string_append_printf(out, "\nCPU %u:\n", i);
		append_sum(&cpus[i], 1, out);
	}
	if (count > 1)
		g_string_append(out, "\nAll CPUs:\n");
	append_sum(cpus, count, out);
}
