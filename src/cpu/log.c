/*
 * log.c - see log.h.
 */
#include "cpu/log.h"

#include <inttypes.h>
#include <string.h>

#include "cpu/decode.h"
#include "cpu/interp/interp.h"

#define BYTES_A_LINE 8

static void append_bytes(GString *out, uint64_t address, const uint8_t *bytes, unsigned count)
{
	g_string_append_printf(out, "0x%08" PRIx64 ": ", address);
	for (unsigned i = 0; i < count; i++)
		g_string_append_printf(out, " %02x", bytes[i]);
}

/* The mnemonic with its prefixes is padded, so that operands stand in a column. */
static void append_text(GString *out, const char *text)
{
	static const char *const prefixes[] = { "lock ", "rep ", "repe ", "repne " };
	size_t name = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(prefixes); i++)
		if (g_str_has_prefix(text + name, prefixes[i]))
			name += strlen(prefixes[i]);
	name += strcspn(text + name, " ");
	const char *operands = text + name + (text[name] == ' ');
	if (*operands)
		g_string_append_printf(out, "  %-8.*s %s\n", (int)name, text, operands);
	else
		g_string_append_printf(out, "  %s\n", text);
}

static void append_insn(GString *out, const uint8_t *bytes, unsigned len, uint64_t address, const char *text)
{
	unsigned shown = MIN(len, BYTES_A_LINE);

	append_bytes(out, address, bytes, shown);
	g_string_append_printf(out, "%*s", 3 * (int)(BYTES_A_LINE - shown), "");
	append_text(out, text);
	for (unsigned at = BYTES_A_LINE; at < len; at += BYTES_A_LINE) {
		append_bytes(out, address + at, bytes + at, MIN(len - at, BYTES_A_LINE));
		g_string_append_c(out, '\n');
	}
}

void log_append_code(GString *out, const LogCode *c)
{
	GString *text = g_string_new(NULL);

	for (unsigned at = 0; at < c->bytes; ) {
		Decoded d;
		unsigned len = 1;
		g_string_truncate(text, 0);
		if (decode(c->code + at, c->bytes - at, c->mode, c->features, &d) == DECODE_OK) {
			disassemble(&d, c->rip + at, text);
			len = d.len;
		} else {
			g_string_append_printf(text, ".byte 0x%02x", c->code[at]);
		}
		append_insn(out, c->code + at, len, c->pc + at, text->str);
		at += len;
	}
	g_string_free(text, TRUE);
}

bool log_wants_block(const Cpu *cpu, unsigned items)
{
	return log_on(items) && log_in_range(cpu_pc(cpu, cpu->rip));
}

void log_in_asm(const Cpu *cpu, const uint8_t *code, unsigned bytes)
{
	if (!log_wants_block(cpu, LOG_IN_ASM))
		return;
	GString *out = g_string_new("----------------\nIN: \n");
	log_append_code(out, &(LogCode){ code, bytes, cpu->mode, cpu->features, cpu_pc(cpu, cpu->rip), cpu->rip });
	g_string_append_c(out, '\n');
	log_write(out->str);
	g_string_free(out, TRUE);
}

/* The last two numbers are QEMU's: what the block depends on, and how it was to be made. */
static void append_trace(GString *out, const Cpu *cpu, const void *code)
{
	unsigned wishes = (log_on(LOG_NOCHAIN) ? 0x200u : 0) | (cpu->icache->block_max == 1);

	g_string_append_printf(out, "Trace %u: %p [%016" PRIx64 "/%016" PRIx64 "/%08x/%08x] \n", cpu->index, code,
		cpu_code64(cpu) ? 0 : cpu->seg[CS].base, cpu_pc(cpu, cpu->rip), cpu->mode, wishes);
}

void log_entered(const Cpu *cpu, const void *code)
{
	GString *out = g_string_new(NULL);

	if (log_on(LOG_EXEC))
		append_trace(out, cpu, code);
	if (log_on(LOG_CPU))
		cpu_append_registers(cpu, REGISTERS_CC | (log_on(LOG_FPU) ? REGISTERS_FPU : 0), out);
	log_write(out->str);
	g_string_free(out, TRUE);
}

void cpu_log_cr(const Cpu *cpu, int cr, uint64_t before)
{
	if (!log_on(LOG_MMU))
		return;
	if (cr == 0)
		log_printf("CR0 update: CR0=0x%08x\n", (uint32_t)cpu->cr0);
	else if (cr == 3)
		log_printf("CR3 update: CR3=%016" PRIx64 "\n", cpu->cr3);
	else
		log_printf("CR4 update: %08x -> %08x\n", (uint32_t)before, (uint32_t)cpu->cr4);
}

void interp_log_changed(Cpu *cpu)
{
	if (cpu->icache)
		icache_forget_all(cpu);
}
