/*
 * log.h - what the log shows of code: guest instructions, host instructions, blocks entered.
 *
 * The layout is QEMU's. The vcpu's own thread.
 */
#ifndef VIV_CPU_LOG_H
#define VIV_CPU_LOG_H

#include "core/log.h"
#include "cpu/cpu.h"

/* Where the instruction at RIP `rip` lies: linear, what QEMU calls pc. */
static inline uint64_t cpu_pc(const Cpu *cpu, uint64_t rip)
{
	return cpu_code64(cpu) ? rip : (uint32_t)(cpu->seg[CS].base + rip);
}

typedef struct LogCode {
	const uint8_t *code;
	unsigned bytes, mode;     /* CpuMode */
	const uint32_t *features; /* as decode()'s */
	uint64_t pc, rip;         /* of the first byte: the address that is shown, what branches are relative to */
} LogCode;
/* A line for each instruction: address, bytes, text. */
void log_append_code(GString *out, const LogCode *c);
/* Is anything of the kind logged of the block at RIP? */
bool log_wants_block(const Cpu *cpu, unsigned items);
/* `-d in_asm`: the block at RIP, whose bytes are code[0..bytes). */
void log_in_asm(const Cpu *cpu, const uint8_t *code, unsigned bytes);
/* `-d exec,cpu`: the block at RIP is entered; `code` is what runs it. */
void log_entered(const Cpu *cpu, const void *code);

#endif
