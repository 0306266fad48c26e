/*
 * interp.c - the accelerators of the software CPU, with and without its JIT: one host thread for each vcpu.
 *
 * Exclusive sections (split locks, pages that turn into code) stop the other vcpus at an
 * instruction boundary: each runs guest code inside running/idle brackets, and whoever
 * wants to be alone raises CPU_EV_EXCLUSIVE and waits until the others are idle.
 *
 * Threads: vcpu threads; `gate` protects every field below it. The machine lock may be taken
 * before `gate`, never after it.
 */
#include "accel/interp/interp.h"

#include "accel/accels.h"

#include <pthread.h>

#include "cpu/debugger.h"

typedef struct InterpAccel {
	Accel base;
	AccelOptions options;
	pthread_mutex_t gate;
	pthread_cond_t changed;
	unsigned running;      /* vcpus inside interp_run, the exclusive one not counted */
	bool exclusive;        /* somebody runs alone, or waits to */
} InterpAccel;

/* A vcpu's own mark: does it count as running? */
typedef struct InterpVcpu {
	bool running;
	uint64_t exclusives;
} InterpVcpu;

static InterpAccel *interp_of(Accel *accel) { return (InterpAccel *)accel; }
static InterpVcpu *vcpu_of(Cpu *cpu) { return cpu->accel_data; }

static int probe(const char **why)
{
	*why = "it is slower than the translator (-accel jit), which it is there to be compared with";
	return 1;
}

static int probe_jit(const char **why)
{
	*why = NULL;
	return 2;
}

/* RamArena.code_changed: translated code that jumps about in one page looks at the page only on its way in. */
static void code_changed(void *opaque)
{
	Board *board = opaque;

	for (unsigned i = 0; i < board->cpu_count; i++)
		if (board->cpus[i])
			atomic_fetch_or(&board->cpus[i]->events, CPU_EV_CODE);
}

/* RamArena.watch_taken */
static void watch_taken(void *opaque)
{
	Board *board = opaque;

	for (unsigned i = 0; i < board->cpu_count; i++)
		if (board->cpus[i])
			cpu_post(board->cpus[i], CPU_EV_WRITES);
}

static Accel *create_as(const AccelClass *cls, Board *board, const AccelOptions *options)
{
	InterpAccel *a = g_new0(InterpAccel, 1);

	a->base = (Accel){ cls, board };
	a->options = *options;
	pthread_mutex_init(&a->gate, NULL);
	pthread_cond_init(&a->changed, NULL);
	return &a->base;
}

static Accel *create(Board *board, const AccelOptions *options, GError **error)
{
	return create_as(&accel_interp, board, options);
}

static Accel *create_jit(Board *board, const AccelOptions *options, GError **error)
{
	if (options->perfmap && !jit_perfmap_open(error))
		return NULL;
	return create_as(&accel_jit, board, options);
}

static void destroy(Accel *accel)
{
	InterpAccel *a = interp_of(accel);

	accel->board->arena.code_changed = NULL;
	accel->board->arena.watch_taken = NULL;
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->gate);
	if (a->options.perfmap)
		jit_perfmap_close();
	g_free(a);
}

static bool vcpu_create(Accel *accel, Cpu *cpu, GError **error)
{
	cpu->accel_data = g_new0(InterpVcpu, 1);
	accel->board->arena.watch_opaque = accel->board;
	accel->board->arena.watch_taken = watch_taken;
	if (!interp_init(cpu, error))
		return false;
	if (interp_of(accel)->options.one_insn)
		interp_one_insn_blocks(cpu);
	return true;
}

static bool vcpu_create_jit(Accel *accel, Cpu *cpu, GError **error)
{
	accel->board->arena.code_opaque = accel->board;
	accel->board->arena.code_changed = code_changed;
	return vcpu_create(accel, cpu, error) && jit_init(cpu, (size_t)interp_of(accel)->options.tb_size << 20, error);
}

static void vcpu_destroy(Accel *accel, Cpu *cpu)
{
	interp_free(cpu);
	g_free(cpu->accel_data);
	cpu->accel_data = NULL;
}

static void enter(InterpAccel *a, Cpu *cpu)
{
	pthread_mutex_lock(&a->gate);
	while (a->exclusive)
		pthread_cond_wait(&a->changed, &a->gate);
	cpu_clear(cpu, CPU_EV_EXCLUSIVE);
	vcpu_of(cpu)->running = true;
	a->running++;
	pthread_mutex_unlock(&a->gate);
}

static void leave(InterpAccel *a, Cpu *cpu)
{
	pthread_mutex_lock(&a->gate);
	vcpu_of(cpu)->running = false;
	if (--a->running == 0)
		pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->gate);
}

/* True: halted, as interp_run says it. */
static bool step(Cpu *cpu)
{
	bool done = interp_debug_step(cpu);

	if (done && !cpu->debug.stop)
		cpu->debug.stop = CPU_STOP_STEP;
	return !done;
}

static RunResult vcpu_run(Accel *accel, Cpu *cpu)
{
	InterpAccel *a = interp_of(accel);

	enter(a, cpu);
	cpu_debugger_settle(cpu);
	bool halted = cpu->debug.step ? step(cpu) : interp_run(cpu);
	leave(a, cpu);
	return cpu->debug.stop ? RUN_TRAP : halted ? RUN_HALTED : RUN_AGAIN;
}

static bool debug(Accel *accel, const CpuDebugger *set, GError **error)
{
	for (unsigned i = 0; i < accel->board->cpu_count; i++)
		cpu_debugger_set(accel->board->cpus[i], set);
	return true;
}

void interp_exclusive_begin(Accel *accel, Cpu *cpu)
{
	InterpAccel *a = interp_of(accel);
	InterpVcpu *v = vcpu_of(cpu);

	pthread_mutex_lock(&a->gate);
	/* Wait as an idle vcpu, so that two that want to be alone do not wait for each other. */
	if (v->running && --a->running == 0)
		pthread_cond_broadcast(&a->changed);
	while (a->exclusive)
		pthread_cond_wait(&a->changed, &a->gate);
	a->exclusive = true;
	for (unsigned i = 0; i < accel->board->cpu_count; i++)
		if (accel->board->cpus[i] && accel->board->cpus[i] != cpu)
			atomic_fetch_or(&accel->board->cpus[i]->events, CPU_EV_EXCLUSIVE);
	while (a->running)
		pthread_cond_wait(&a->changed, &a->gate);
	v->exclusives++;
	pthread_mutex_unlock(&a->gate);
}

void interp_exclusive_end(Accel *accel, Cpu *cpu)
{
	InterpAccel *a = interp_of(accel);

	pthread_mutex_lock(&a->gate);
	a->exclusive = false;
	if (vcpu_of(cpu)->running)
		a->running++;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->gate);
}

void interp_flush_others(Accel *accel, Cpu *cpu)
{
	if (accel->board->cpu_count < 2)
		return;
	interp_exclusive_begin(accel, cpu);
	for (unsigned i = 0; i < accel->board->cpu_count; i++)
		if (accel->board->cpus[i] && accel->board->cpus[i] != cpu)
			atomic_fetch_or(&accel->board->cpus[i]->events, CPU_EV_WRITES);
	interp_exclusive_end(accel, cpu);
}

static void info(Accel *accel, GString *out)
{
	g_string_append_printf(out, "%s: %s\n", accel->cls->name,
		accel->cls == &accel_jit ? "what is run often is translated" : "every instruction is interpreted");
	for (unsigned i = 0; i < accel->board->cpu_count; i++) {
		Cpu *cpu = accel->board->cpus[i];
		g_string_append_printf(out, "  CPU %u: %" G_GUINT64_FORMAT " instructions%s, %" G_GUINT64_FORMAT
			" exclusive sections\n", i, cpu->insn_count, cpu->jit ? " interpreted" : "", vcpu_of(cpu)->exclusives);
	}
}

static void info_jit(Accel *accel, GString *out)
{
	g_string_append_printf(out, "Accelerator settings:\none-insn-per-tb: %s\n",
		interp_of(accel)->options.one_insn ? "on" : "off");
	jit_info(accel->board->cpus, accel->board->cpu_count, out);
}

const AccelClass accel_interp = {
	.name = "interp",
	.desc = "the software CPU's interpreter",
	.probe = probe,
	.create = create,
	.destroy = destroy,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.vcpu_run = vcpu_run,
	.debug = debug,
	.info = info,
};

static const char *const jit_aliases[] = { "tcg", NULL };

const AccelClass accel_jit = {
	.name = "jit",
	.aliases = jit_aliases,
	.desc = "the software CPU with a translator",
	.probe = probe_jit,
	.create = create_jit,
	.destroy = destroy,
	.vcpu_create = vcpu_create_jit,
	.vcpu_destroy = vcpu_destroy,
	.vcpu_run = vcpu_run,
	.debug = debug,
	.info = info,
	.info_jit = info_jit,
};
