/*
 * log.c - what the log shows of translated blocks: both sides' instructions, and entrances.
 */
#include "cpu/jit/translate.h"

#include <inttypes.h>

#include "cpu/log.h"

#define HOST_MODE (MODE_CODE64 | MODE_PROT)

/* Stands in front of the block's first instruction. */
static const Insn *entered(Cpu *cpu, const Insn *i)
{
	log_entered(cpu, ((const JitInsn *)i)->block->code);
	return i + 1;
}

void trans_log_entered(Trans *t)
{
	if (log_wants_block(t->cpu, LOG_EXEC | LOG_CPU))
		emit_helper(t, entered, &t->jit->logged);
}

static void append_host(GString *out, const uint8_t *from, const uint8_t *to)
{
	uintptr_t at = (uintptr_t)from;

	log_append_code(out, &(LogCode){ from, (unsigned)(to - from), HOST_MODE, NULL, at, at });
}

/* What all blocks share, once. */
static void append_prologue(GString *out, Jit *j)
{
	if (j->prologue_logged)
		return;
	j->prologue_logged = true;
	g_string_append_printf(out, "PROLOGUE: [size=%zu]\n", j->stubs);
	append_host(out, j->run, j->run + j->stubs);
	g_string_append_c(out, '\n');
}

static void log_out_asm(Trans *t)
{
	const uint8_t *code = t->b->code, *end = emit_here(&t->e);
	uint64_t pc = cpu_pc(t->cpu, t->b->rip);
	GString *out = g_string_new(NULL);

	append_prologue(out, t->jit);
	g_string_append_printf(out, "OUT: [size=%td]\n  -- guest addr 0x%016" PRIx64 " + tb prologue\n", end - code, pc);
	append_host(out, code, code + t->host_at[0]);
	for (unsigned k = 0; k < t->count; k++) {
		g_string_append_printf(out, "  -- guest addr 0x%016" PRIx64 "\n", pc + (k ? t->end[k - 1] : 0u));
		append_host(out, code + t->host_at[k], code + t->host_at[k + 1]);
	}
	g_string_append(out, "  -- tb slow paths + alignment\n");
	append_host(out, code + t->host_at[t->count], end);
	g_string_append_c(out, '\n');
	log_write(out->str);
	g_string_free(out, TRUE);
}

void trans_log_code(Trans *t)
{
	log_in_asm(t->cpu, t->b->base.host, t->b->base.bytes);
	if (log_wants_block(t->cpu, LOG_OUT_ASM))
		log_out_asm(t);
}
