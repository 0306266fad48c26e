/*
 * run.c - the interpreter's loop: events, blocks, exceptions, single steps.
 *
 * SDM vol. 3A, 6.9 (priority among events), 17.3 (debug exceptions). One call runs one vcpu on its own
 * thread until it is kicked or halts.
 */
#include "cpu/interp/interp.h"

#include <setjmp.h>

#include "core/log.h"
#include "cpu/debugger.h"

#define DR6_BS (1u << 14)

const Insn *x_ud(Cpu *cpu, const Insn *i)
{
	sync_rip(cpu, i);
	cpu_exception(cpu, EXC_UD);
}

const Insn *x_gp(Cpu *cpu, const Insn *i)
{
	sync_rip(cpu, i);
	cpu_gp0(cpu);
}

const Insn *x_fallthrough(Cpu *cpu, const Insn *i)
{
	cpu->rip = next_rip(cpu, i);
	if ((cpu->mode & MODE_CODE_MASK) != MODE_CODE64)
		cpu->rip = (uint32_t)cpu->rip;
	return NULL;
}

uint64_t interp_seg_linear(Cpu *cpu, unsigned seg, uint64_t ea, unsigned size, bool write)
{
	const Segment *s = &cpu->seg[seg];
	uint64_t last = ea + size - 1;
	bool ok;

	if (cpu->mode & MODE_PROT) {
		bool writable = (s->attr & (SEG_CODE | SEG_W)) == SEG_W;
		bool readable = !(s->attr & SEG_CODE) || s->attr & SEG_W;
		if (s->attr & SEG_NULL || !(s->attr & SEG_P) || (write ? !writable : !readable))
			cpu_exception_err(cpu, seg == SS ? EXC_SS : EXC_GP, 0);
	}
	if ((s->attr & (SEG_CODE | SEG_E)) == SEG_E) {
		uint64_t top = s->attr & SEG_DB ? UINT32_MAX : UINT16_MAX;
		ok = ea > s->limit && last <= top && last >= ea;
	} else {
		ok = last <= s->limit && last >= ea;
	}
	if (!ok)
		cpu_exception_err(cpu, seg == SS ? EXC_SS : EXC_GP, 0);
	return (uint32_t)(s->base + ea);
}

void interp_retry_alone(Cpu *cpu)
{
	cpu->icache->retry_alone = true;
	longjmp(cpu->unwind, 2);
}

static void serve_flush(Cpu *cpu, uint32_t events)
{
	cpu_clear(cpu, events & (CPU_EV_FLUSH | CPU_EV_WRITES));
	if (events & CPU_EV_FLUSH) {
		cpu->region.size = 0;
		cpu_tlb_flush(cpu, true);
	} else {
		cpu_tlb_drop_writes(cpu, NULL);
	}
}

void interp_alone_begin(Cpu *cpu)
{
	if (cpu->world->exclusive_begin)
		cpu->world->exclusive_begin(cpu->world_opaque, cpu);
	cpu->icache->alone = true;
	/* Waiting was like standing between instructions: what was asked for meanwhile counts. */
	uint32_t events = atomic_load(&cpu->events);
	if (events & (CPU_EV_FLUSH | CPU_EV_WRITES))
		serve_flush(cpu, events);
}

void interp_alone_end(Cpu *cpu)
{
	cpu->icache->alone = false;
	if (cpu->world->exclusive_end)
		cpu->world->exclusive_end(cpu->world_opaque, cpu);
}

/* No SMM: the firmware in use works without. */
static void ignore_smi(Cpu *cpu)
{
	cpu_clear(cpu, CPU_EV_SMI);
	if (log_on(LOG_UNIMP))
		log_printf("SMI of CPU %u: there is no system management mode\n", cpu->index);
}

/* What is no interrupt: changes of code and translations, INIT, SIPI. */
static void serve_requests(Cpu *cpu, uint32_t ev)
{
	if (ev & CPU_EV_CODE) /* looked at by whoever finds the next block */
		cpu_clear(cpu, CPU_EV_CODE);
	if (ev & (CPU_EV_FLUSH | CPU_EV_WRITES))
		serve_flush(cpu, ev);
	if (ev & CPU_EV_INIT) {
		cpu_clear(cpu, CPU_EV_INIT | CPU_EV_NMI);
		cpu_init_ipi(cpu);
	}
	if (ev & CPU_EV_SIPI) {
		cpu_clear(cpu, CPU_EV_SIPI);
		if (cpu->wait_sipi)
			cpu_sipi(cpu, cpu->sipi_vector);
	}
}

static void serve_interrupts(Cpu *cpu, uint32_t ev)
{
	if (cpu->wait_sipi || cpu->inhibit)
		return;
	if (ev & CPU_EV_SMI)
		ignore_smi(cpu);
	if (ev & CPU_EV_NMI && !cpu->nmi_blocked) {
		cpu_clear(cpu, CPU_EV_NMI);
		cpu->halted = false;
		cpu->nmi_blocked = true;
		cpu_deliver(cpu, EXC_NMI, INT_HARDWARE, false, 0);
	} else if (ev & CPU_EV_INTR && cpu->rflags & FLAG_IF) {
		int vector = cpu->apic_ops ? cpu->apic_ops->ack(cpu->apic) : -1;
		if (vector >= 0) {
			cpu->halted = false;
			if (log_on(LOG_INT))
				log_printf("Servicing hardware INT=0x%02x\n", vector);
			cpu_deliver(cpu, vector, INT_HARDWARE, false, 0);
		}
	}
}

/* False: leave the loop. */
static bool serve_events(Cpu *cpu)
{
	uint32_t ev = atomic_load(&cpu->events);

	serve_requests(cpu, ev);
	/* An endless row of MOV SS holds off interrupts, but not whoever wants the thread. */
	if (ev & (CPU_EV_KICK | CPU_EV_EXCLUSIVE)) {
		cpu_clear(cpu, CPU_EV_KICK);
		return false;
	}
	serve_interrupts(cpu, ev);
	return true;
}

/* The present RIP's block from the jump cache, looked up without a call. */
static inline const Block *next_block(Cpu *cpu)
{
	ICache *c = cpu->icache;
	uint64_t rip = cpu->rip;
	unsigned slot = (unsigned)((rip ^ rip >> 12) & (G_N_ELEMENTS(c->jump) - 1));
	const Block *b = c->jump[slot].block;

	if (likely(c->jump[slot].rip == rip && c->jump[slot].key == jump_key(cpu) &&
		   atomic_load_explicit(b->page, memory_order_acquire) == b->page_state))
		return b;
	return icache_block(cpu, false);
}

static inline void run_block(Cpu *cpu, const Block *b)
{
	ICache *c = cpu->icache;

	c->running = b;
	cpu->insn_count += b->count;
	const Insn *i = b->insns;
	do
		i = i->fn(cpu, i);
	while (i);
	cpu->cur = NULL;
}

/* Debug exceptions due after an instruction: single step and data breakpoints. */
static void after_step(Cpu *cpu, bool stepping)
{
	if (stepping)
		cpu->db_pending |= DR6_BS;
	if (cpu->db_pending) {
		cpu->dr[6] |= cpu->db_pending;
		cpu->db_pending = 0;
		cpu_deliver(cpu, EXC_DB, INT_EXCEPTION, false, 0);
	}
}

/* One instruction with everything looked at: TF, breakpoints, interrupt shadow. */
static void step(Cpu *cpu)
{
	bool tf = cpu->rflags & FLAG_TF, shadow = cpu->inhibit;

	if (cpu->debug.set && cpu_break_here(cpu, code_linear(cpu)))
		return;
	cpu->inhibit = 0;
	if (cpu->mode & MODE_STEP && !(cpu->rflags & FLAG_RF) && !shadow &&
	    cpu_insn_breakpoint(cpu, cpu_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[CS].base + cpu->rip)))
		cpu_exception(cpu, EXC_DB);
	const Block *b = icache_block(cpu, true);
	cpu->rflags &= ~FLAG_RF;
	cpu->icache->no_trap = false;
	run_block(cpu, b);
	after_step(cpu, tf && !cpu->inhibit && !cpu->icache->no_trap);
}

/* An exception was raised: RIP is made exact, then it is delivered. */
static void landed(Cpu *cpu, int how)
{
	const Insn *i = cpu->cur;

	if (cpu->jit)
		jit_note_exception(cpu);
	if (cpu->icache->alone)
		interp_alone_end(cpu);
	if (i) {
		if (cpu->icache->running)
			icache_left_early(cpu, i);
		cpu->rip += i->end - i->len;
		if (!cpu_code64(cpu))
			cpu->rip = (uint32_t)cpu->rip;
		cpu->cur = NULL;
	}
	cpu->icache->running = NULL;
	if (how == 2)
		return;
	cpu->db_pending = 0;
	cpu_deliver(cpu, cpu->exc_vector, INT_EXCEPTION, cpu->exc_has_error, cpu->exc_error);
}

bool interp_run(Cpu *cpu)
{
	ICache *c = cpu->icache;
	int how = setjmp(cpu->unwind);

	if (how)
		landed(cpu, how);
	for (;;) {
		if (unlikely(c->retry_alone)) {
			c->retry_alone = false;
			step(cpu);
		}
		if (unlikely(atomic_load_explicit(&cpu->events, memory_order_relaxed)))
			if (!serve_events(cpu))
				return false;
		if (unlikely(cpu->halted))
			return true;
		if (unlikely(!interp_settle(cpu))) {
			step(cpu);
			continue;
		}
		if (!cpu->jit || !jit_run_here(cpu))
			run_block(cpu, next_block(cpu));
		if (unlikely(cpu->db_pending))
			after_step(cpu, false);
	}
}

void interp_step(Cpu *cpu)
{
	int how = setjmp(cpu->unwind);

	if (how == 1) {
		landed(cpu, how);
		return;
	}
	if (how == 2)
		landed(cpu, how);
	cpu->icache->retry_alone = false;
	step(cpu);
}

bool interp_debug_step(Cpu *cpu)
{
	int how = setjmp(cpu->unwind);
	bool interrupts = !(cpu->debug.step & CPU_STEP_NO_INTERRUPTS);
	uint32_t ev = atomic_load(&cpu->events);

	if (how)
		landed(cpu, how);
	if (how == 1)
		return true;
	serve_requests(cpu, ev);
	if (interrupts)
		serve_interrupts(cpu, ev);
	else if (ev & CPU_EV_NMI || (ev & CPU_EV_INTR && cpu->rflags & FLAG_IF))
		cpu->halted &= cpu->wait_sipi; /* it would wake up; that is delivered later */
	if (cpu->halted)
		return false;
	cpu->icache->retry_alone = false;
	step(cpu);
	return true;
}
