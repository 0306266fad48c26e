/*
 * accel.h - an accelerator: a constant table of how vcpus run.
 *
 * The machine picks one (accel/accels.h lists them), and from then on only calls
 * through this table. `run` is the body of a vcpu thread's loop: it returns when
 * the vcpu has been kicked, when it halted, or when it needs the machine.
 */
#ifndef VIV_ACCEL_ACCEL_H
#define VIV_ACCEL_ACCEL_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "core/board.h"
#include "cpu/cpu.h"

typedef struct Accel Accel;

/* What -accel says beyond the name; KVM knows none of it. */
typedef struct AccelOptions {
	unsigned tb_size;  /* MiB of translated code for each vcpu; 0: the accelerator's choice */
	bool one_insn;     /* one instruction a block */
	bool perfmap;      /* /tmp/perf-PID.map tells perf(1) what translated code is */
} AccelOptions;

typedef enum RunResult {
	RUN_AGAIN,  /* call run again (it was kicked; check for pause first) */
	RUN_HALTED, /* nothing to do until an interrupt: wait on the vcpu's condition */
	RUN_TRAP,   /* a debugger's stop: Cpu.debug says why */
	RUN_STOP,   /* the accelerator asked the board (board_request) to stop; wait */
} RunResult;

typedef struct AccelClass {
	const char *name;  /* "kvm", "interp", "jit" */
	const char *const *aliases; /* NULL-terminated: other words of -accel, e.g. "tcg" */
	const char *desc;
	bool irqchip;      /* PIC, I/O APIC, local APICs and PIT live in the accelerator */
	/* Can it run here, and well? Returns a score: 0 no (*why says so and the cure), 1 works but not
	 * chosen by default (*why says the reason), 2 good. *why is static text or NULL. */
	int (*probe)(const char **why);
	/* options: copied. NULL with *error. */
	Accel *(*create)(Board *board, const AccelOptions *options, GError **error);
	void (*destroy)(Accel *accel);
	bool (*vcpu_create)(Accel *accel, Cpu *cpu, GError **error); /* sets cpu->accel_data, cpu->ops_kick */
	void (*vcpu_destroy)(Accel *accel, Cpu *cpu);
	RunResult (*vcpu_run)(Accel *accel, Cpu *cpu); /* on the vcpu's own thread, machine lock not held */
	/* Moves registers between the accelerator and struct Cpu, vcpu stopped. May be NULL (interp). */
	void (*vcpu_get)(Accel *accel, Cpu *cpu);
	void (*vcpu_put)(Accel *accel, Cpu *cpu);
	/* What guests may have, by feature words. NULL: what the software CPU has (cpu_software_features). */
	void (*cpu_features)(Accel *accel, uint32_t *words);
	/* A debugger's set for all vcpus, which stand (NULL: none; a set that changed is given again). False with *error: it cannot. */
	bool (*debug)(Accel *accel, const struct CpuDebugger *set, GError **error);
	void (*info)(Accel *accel, GString *out); /* `info accel` */
	void (*info_jit)(Accel *accel, GString *out); /* `info jit`, vcpus held; NULL: it translates nothing */
	/* With irqchip: the chip's line, message and register access (for gsi, msi, reset). */
	void (*set_gsi)(Accel *accel, int gsi, int level);
	void (*msi)(Accel *accel, uint64_t addr, uint32_t data);
	void (*reset_irqchip)(Accel *accel);
	/*
	 * An eventfd that raises a gsi; one that a guest's write of `size` bytes at addr signals (of the
	 * value `match` only, unless that is negative). NULL: none.
	 */
	bool (*irqfd)(Accel *accel, int fd, int gsi, bool assign);
	bool (*ioeventfd)(Accel *accel, int fd, uint64_t addr, unsigned size, bool port, int match, bool assign);
} AccelClass;

struct Accel {
	const AccelClass *cls;
	Board *board;
};

#endif
