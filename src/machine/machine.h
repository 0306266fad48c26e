/*
 * machine.h - one running machine: made from a MachineConfig, driven by the monitor.
 *
 * Unless a comment says otherwise, functions are called on the main thread with
 * the machine lock NOT held (they take it). machine_request_*() may be called by
 * any thread, lock held or not.
 */
#ifndef VIV_MACHINE_MACHINE_H
#define VIV_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "accel/accel.h"
#include "core/board.h"
#include "core/device.h"
#include "machine/config.h"

typedef struct Machine Machine;

typedef enum RunState {
	STATE_PRELAUNCH,      /* -S, never started */
	STATE_RUNNING,
	STATE_PAUSED,         /* by the user */
	STATE_SHUTDOWN,       /* the guest powered off and -no-shutdown is on */
	STATE_PANICKED,       /* pvpanic said so */
	STATE_INTERNAL_ERROR, /* the accelerator gave up */
	STATE_IO_ERROR,       /* a disk with werror=stop */
	STATE_DEBUG,          /* a debugger's breakpoint, watchpoint or step */
	STATE_WATCHDOG,       /* a watchdog expired, and -action watchdog=pause */
} RunState;

/* What happened to the machine, told to listeners (QMP events) on the main thread. */
typedef enum MachineEvent {
	MACHINE_EVENT_RESUME, MACHINE_EVENT_STOP, MACHINE_EVENT_RESET, MACHINE_EVENT_SHUTDOWN,
	MACHINE_EVENT_POWERDOWN, MACHINE_EVENT_PANICKED, MACHINE_EVENT_CRASHLOADED,
} MachineEvent;
/*
 * `detail`: of RESET and SHUTDOWN QMP's ShutdownCause ("guest-reset"), of PANICKED and CRASHLOADED QMP's
 * GuestPanicAction ("pause"), of others NULL.
 */
typedef void (*MachineEventFn)(void *opaque, MachineEvent event, const char *detail);

/*
 * Builds the whole machine, devices reset, vcpus made and not yet running. `config`
 * must outlive it and is completed (machine_config_complete). NULL with *error.
 */
Machine *machine_new(MachineConfig *config, GError **error);
/* Stops and joins the vcpus, frees every device and all memory. NULL is fine. */
void machine_free(Machine *m);

/*
 * Starts the vcpu threads, and the guest unless start_paused; runs the GMainLoop
 * until a quit; returns the exit status of the program.
 */
int machine_run(Machine *m);

/* Pause and resume. False: it was so already (stop), or a reset is needed first (start). */
bool machine_stop(Machine *m, RunState why);
bool machine_start(Machine *m, GError **error);

/* Ask; the main loop acts soon. */
void machine_request_reset(Machine *m);     /* with -action reboot=shutdown it ends, as for the guest */
void machine_request_quit(Machine *m, int exit_status);
void machine_request_shutdown(Machine *m);  /* as if the guest had powered off */
void machine_request_powerdown(Machine *m); /* presses the power button */
/* As -boot order=, for this and later boots; -boot once= is used up. False with *error: no such order. */
bool machine_set_boot_order(Machine *m, const char *order, GError **error);
/* NMI on every vcpu (`nmi`). */
void machine_inject_nmi(Machine *m);
/* The host's id of a vcpu's thread; 0 before machine_run. */
int machine_vcpu_thread(Machine *m, unsigned index);

RunState machine_state(Machine *m);
/* QMP's RunState names: "running", "paused", "prelaunch", "shutdown", "guest-panicked", "internal-error", "io-error", "debug", "watchdog". */
const char *machine_state_name(RunState state);
static inline bool machine_running(Machine *m) { return machine_state(m) == STATE_RUNNING; }

/* ---- a debugger outside; the machine is paused ---- */

struct CpuDebugger;
/*
 * What the vcpus stop for, from now on (the caller's; NULL: nothing); also after each change of it. They stop in
 * STATE_DEBUG, and Cpu.debug of one or more says why. False with *error: the accelerator cannot.
 */
bool machine_set_debugger(Machine *m, const struct CpuDebugger *d, GError **error);
/* Whether a vcpu stands while the others run. */
void machine_freeze_vcpu(Machine *m, unsigned index, bool freeze);
/* As machine_start, with the clocks standing: for a step that is to take no time. */
bool machine_start_timeless(Machine *m, GError **error);

void machine_add_listener(Machine *m, MachineEventFn fn, void *opaque);
void machine_remove_listener(Machine *m, void *opaque); /* those added with this opaque */

/*
 * A device that comes while the machine exists: realized, and the guest told of it. False with *error: its bus cannot.
 * machine_unplug asks the guest to let the device go; DEVICE_DELETED says when it has. Before the guest ever ran, and
 * while it is paused by nobody's fault, the request waits for the guest.
 */
bool machine_plug(Machine *m, const DeviceConfig *d, GError **error);
bool machine_unplug(Machine *m, const char *id, GError **error);

/* A drive made later than the machine, which owns it from now on; one that no device has can be taken away again. Machine
 * lock held. */
void machine_own_drive(Machine *m, struct Blk *blk);
void machine_drop_drive(Machine *m, struct Blk *blk);

/* object-add takes `o` over, on failure too; object-del refuses what a device uses. */
bool machine_add_object(Machine *m, DeviceConfig *o, GError **error);
bool machine_remove_object(Machine *m, const char *id, GError **error);

Board *machine_board(Machine *m);
Accel *machine_accel(Machine *m);
const MachineConfig *machine_config(Machine *m);
/* What the guest's resets, panics and so on lead to from now on; the caller may change it. Main thread. */
MachineActions *machine_actions(Machine *m);
/* A realized device by id, NULL if none. Machine lock held. */
Device *machine_find_device(Machine *m, const char *id);

/*
 * Vcpus stand still for a look at their registers: no state change, no event, clocks go on.
 * Not nested; a paused machine stays paused.
 */
void machine_hold_vcpus(Machine *m);
void machine_release_vcpus(Machine *m);
/* Registers of a stopped vcpu, current in struct Cpu; put writes them back. The machine must be paused. */
void machine_sync_get(Machine *m, struct Cpu *cpu);
void machine_sync_put(Machine *m, struct Cpu *cpu);

#endif
