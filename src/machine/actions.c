/*
 * actions.c - what becomes of resets, power-offs, panics and watchdogs, as -action and set-action
 * say.
 *
 * The words, their meaning and the order of events are QEMU 7.2's. Main thread, but for
 * actions_watchdog.
 */
#include "core/event.h"
#include "core/lock.h"
#include "core/trace.h"
#include "machine/private.h"

static void leave(Machine *m, int status)
{
	m->exit_status = status;
	run_stand(m, STATE_SHUTDOWN); /* the end was told; no STOP before it */
	g_main_loop_quit(m->loop);
}

/* `cause` is QMP's ShutdownCause; so are all below. */
static void do_shutdown(Machine *m, const char *cause, int status)
{
	run_tell(m, MACHINE_EVENT_SHUTDOWN, cause);
	if (m->config->actions.shutdown == SHUTDOWN_PAUSE)
		machine_stop(m, STATE_SHUTDOWN);
	else
		leave(m, status);
}

/* A reset leaves the machine running, or paused if it was paused; dead states end in "paused". */
static void do_reset(Machine *m, const char *cause)
{
	bool was_running = machine_running(m);

	if (m->config->actions.reboot == REBOOT_SHUTDOWN) {
		do_shutdown(m, cause, 0);
		return;
	}
	machine_hold_vcpus(m);
	machine_lock();
	m->once_done = true;
	pc_reset(m);
	machine_unlock();
	run_tell(m, MACHINE_EVENT_RESET, cause);
	machine_release_vcpus(m);
	if (!was_running && machine_state(m) != STATE_PRELAUNCH)
		run_set_state(m, STATE_PAUSED);
}

static void do_panic(Machine *m)
{
	const MachineActions *a = &m->config->actions;

	if (a->panic == PANIC_NONE) {
		run_tell(m, MACHINE_EVENT_PANICKED, "run");
		return;
	}
	bool pause = a->panic == PANIC_PAUSE ||
		(a->panic == PANIC_SHUTDOWN && a->shutdown == SHUTDOWN_PAUSE);
	run_tell(m, MACHINE_EVENT_PANICKED, pause ? "pause" : "poweroff");
	machine_stop(m, STATE_PANICKED);
	if (!pause)
		do_shutdown(m, "guest-panic", a->panic == PANIC_EXIT_FAILURE);
}

void run_handle_request(Machine *m, RunRequest request)
{
	switch (request) {
	case RUN_NONE:
		break;
	case RUN_CRASHLOADED:
		run_tell(m, MACHINE_EVENT_CRASHLOADED, "run");
		break;
	case RUN_DEBUG:
		machine_stop(m, STATE_DEBUG);
		break;
	case RUN_IO_ERROR:
		machine_stop(m, STATE_IO_ERROR);
		break;
	case RUN_RESET:
	case RUN_TRIPLE_FAULT:
		do_reset(m, "guest-reset");
		break;
	case RUN_SHUTDOWN:
		do_shutdown(m, "guest-shutdown", 0);
		break;
	case RUN_QUIT:
		run_tell(m, MACHINE_EVENT_SHUTDOWN, "host-qmp-quit");
		leave(m, atomic_load(&m->board.exit_status));
		break;
	case RUN_PANICKED:
		do_panic(m);
		break;
	case RUN_INTERNAL_ERROR:
		machine_stop(m, STATE_INTERNAL_ERROR);
		break;
	}
}

/* ---- what the user asks for ---- */

static gboolean user_reset(gpointer opaque)
{
	do_reset(opaque, "host-qmp-system-reset");
	return G_SOURCE_REMOVE;
}

void machine_request_reset(Machine *m)
{
	g_idle_add_full(G_PRIORITY_HIGH, user_reset, m, NULL);
}

void machine_request_quit(Machine *m, int exit_status)
{
	board_request(&m->board, RUN_QUIT, exit_status);
}

void machine_request_shutdown(Machine *m)
{
	board_request(&m->board, RUN_SHUTDOWN, 0);
}

static gboolean user_powerdown(gpointer opaque)
{
	Machine *m = opaque;
	machine_lock();
	irq_pulse(&m->board.powerdown);
	machine_unlock();
	run_tell(m, MACHINE_EVENT_POWERDOWN, NULL);
	return G_SOURCE_REMOVE;
}

void machine_request_powerdown(Machine *m)
{
	g_idle_add_full(G_PRIORITY_HIGH, user_powerdown, m, NULL);
}

/* ---- watchdogs ---- */

static gboolean leave_quietly(gpointer opaque)
{
	leave(opaque, 0);
	return G_SOURCE_REMOVE;
}

static gboolean on_watchdog(gpointer opaque)
{
	Machine *m = opaque;
	int action = m->config->actions.watchdog;

	trace_watchdog_perform_action((unsigned)action);
	event_emit("WATCHDOG", json_pack("{ss}", "action", watchdog_actions[action]));
	switch ((WatchdogAction)action) {
	case WATCHDOG_RESET:
		do_reset(m, "guest-reset");
		break;
	case WATCHDOG_SHUTDOWN:
		user_powerdown(m);
		break;
	case WATCHDOG_POWEROFF:
		/* the event is told first */
		g_idle_add_full(G_PRIORITY_LOW, leave_quietly, m, NULL);
		break;
	case WATCHDOG_PAUSE:
		machine_stop(m, STATE_WATCHDOG);
		break;
	case WATCHDOG_DEBUG:
		g_printerr("watchdog: timer fired\n");
		break;
	case WATCHDOG_NONE:
		break;
	case WATCHDOG_INJECT_NMI:
		machine_inject_nmi(m);
		break;
	}
	return G_SOURCE_REMOVE;
}

/*
 * Board.watchdog. Not done here: a timer's callback cannot wait for vcpus, as they may want its
 * lock.
 */
void actions_watchdog(Board *board)
{
	g_idle_add_full(G_PRIORITY_HIGH, on_watchdog, board, NULL);
}
