/*
 * slow.c - register-preserving doors from handlers to mem.c's slow paths.
 *
 * In: RAX linear address, RDI cpu, EDX size, RCX value to write. Out: RAX value read. All other
 * general registers are kept; handlers declare the vector ones clobbered (interp.h).
 */
#include "cpu/interp/interp.h"

uint64_t interp_slow_read_c(Cpu *cpu, uint64_t linear, unsigned size);
void interp_slow_write_c(Cpu *cpu, uint64_t linear, unsigned size, uint64_t value);

uint64_t interp_slow_read_c(Cpu *cpu, uint64_t linear, unsigned size)
{
	return cpu_lin_read(cpu, linear, size, cpu_data_access(cpu));
}

void interp_slow_write_c(Cpu *cpu, uint64_t linear, unsigned size, uint64_t value)
{
	cpu_lin_write(cpu, linear, value, size, cpu_data_access(cpu));
}

#define DOOR(name, target) \
	asm(".text\n.globl " #name "\n.hidden " #name "\n.type " #name ", @function\n" #name ":\n" \
	    "	push %rbp\n	mov %rsp, %rbp\n" \
	    "	push %rcx\n	push %rdx\n	push %rsi\n	push %rdi\n" \
	    "	push %r8\n	push %r9\n	push %r10\n	push %r11\n" \
	    "	and $-16, %rsp\n	mov %rax, %rsi\n	call " #target "\n" \
	    "	mov -8(%rbp), %rcx\n	mov -16(%rbp), %rdx\n	mov -24(%rbp), %rsi\n	mov -32(%rbp), %rdi\n" \
	    "	mov -40(%rbp), %r8\n	mov -48(%rbp), %r9\n	mov -56(%rbp), %r10\n	mov -64(%rbp), %r11\n" \
	    "	mov %rbp, %rsp\n	pop %rbp\n	ret\n.size " #name ", . - " #name "\n")
DOOR(interp_slow_read, interp_slow_read_c);
DOOR(interp_slow_write, interp_slow_write_c);
