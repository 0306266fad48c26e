/*
 * run.c - vcpu threads, pause and resume.
 *
 * Follows no standard. A vcpu thread alternates between the accelerator and being
 * parked; the main thread parks all of them before it touches a Cpu. Vcpu threads enter
 * vcpu_main, kick() comes from any thread, all else from the main thread.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "block/blk.h"
#include "core/error.h"
#include "core/event.h"
#include "core/lock.h"
#include "core/notifier.h"
#include "core/thread.h"
#include "core/trace.h"
#include "cpu/debugger.h"
#include "machine/private.h"

typedef struct Listener {
	MachineEventFn fn;
	void *opaque;
} Listener;

/* ---- vcpu threads ---- */

/*
 * Cpu.ops_kick of every vcpu. The counter says that something came up; a halted
 * vcpu compares it with what it was before it ran, so that no kick is lost.
 */
static void kick(Cpu *cpu)
{
	Vcpu *v = cpu->world_opaque;
	atomic_fetch_add(&v->kicks, 1);
	if (v->accel_kick)
		v->accel_kick(cpu);
	if (atomic_load(&v->waiting)) {
		pthread_mutex_lock(&v->m->run_lock);
		pthread_cond_signal(&v->wake);
		pthread_mutex_unlock(&v->m->run_lock);
	}
}

void vcpu_attach_kick(Vcpu *v)
{
	v->accel_kick = v->cpu->ops_kick;
	v->cpu->ops_kick = kick;
}

/* Waits until there is a reason to go on; run_lock is not held. */
static void wait_for_kick(Vcpu *v, uint32_t seen)
{
	pthread_mutex_lock(&v->m->run_lock);
	atomic_store(&v->waiting, true);
	while (atomic_load(&v->kicks) == seen)
		pthread_cond_wait(&v->wake, &v->m->run_lock);
	atomic_store(&v->waiting, false);
	pthread_mutex_unlock(&v->m->run_lock);
}

/* Stands still while the machine is paused. False: the thread is to end. */
static bool may_run(Vcpu *v)
{
	Machine *m = v->m;
	pthread_mutex_lock(&m->run_lock);
	while ((!m->run_wanted || v->frozen) && !m->quitting) {
		/* Said each time: a resume may have been taken back before this thread saw it. */
		v->parked = true;
		pthread_cond_broadcast(&m->parked_cond);
		pthread_cond_wait(&v->wake, &m->run_lock);
	}
	v->parked = m->quitting;
	bool go = !m->quitting;
	pthread_mutex_unlock(&m->run_lock);
	return go;
}

static void *vcpu_main(void *opaque)
{
	Vcpu *v = opaque;
	Accel *accel = v->m->accel;
	atomic_store(&v->thread_id, gettid());
	for (;;) {
		/* Cleared before the look at run_wanted: a kick that comes later ends vcpu_run. */
		uint32_t seen = atomic_load(&v->kicks);
		cpu_clear(v->cpu, CPU_EV_KICK);
		if (!may_run(v))
			return NULL;
		switch (accel->cls->vcpu_run(accel, v->cpu)) {
		case RUN_AGAIN:
			break;
		case RUN_TRAP:
			board_request(&v->m->board, RUN_DEBUG, 0);
			break;
		case RUN_HALTED:
		case RUN_STOP:
			wait_for_kick(v, seen);
			break;
		}
	}
}

static void kick_all(Machine *m)
{
	for (unsigned i = 0; i < m->board.cpu_count; i++)
		cpu_post(m->vcpus[i].cpu, CPU_EV_KICK);
}

/* All vcpus soon leave guest code, the calling one at the end of its instruction. Any thread. */
static void begin_park(Machine *m)
{
	pthread_mutex_lock(&m->run_lock);
	m->run_wanted = false;
	pthread_mutex_unlock(&m->run_lock);
	kick_all(m);
}

/* All vcpus leave guest code; on return none touches its Cpu. Machine lock not held. */
static void park_all(Machine *m)
{
	begin_park(m);
	pthread_mutex_lock(&m->run_lock);
	for (unsigned i = 0; i < m->board.cpu_count; i++)
		while (m->vcpus[i].started && !m->vcpus[i].parked)
			pthread_cond_wait(&m->parked_cond, &m->run_lock);
	pthread_mutex_unlock(&m->run_lock);
}

static void unpark_all(Machine *m)
{
	pthread_mutex_lock(&m->run_lock);
	m->run_wanted = true;
	for (unsigned i = 0; i < m->board.cpu_count; i++) {
		/* Here and not by the thread: a pause right after must wait for it. */
		m->vcpus[i].parked = false;
		pthread_cond_signal(&m->vcpus[i].wake);
	}
	pthread_mutex_unlock(&m->run_lock);
}

/* ---- run states ---- */

void run_tell(Machine *m, MachineEvent event, const char *detail)
{
	for (unsigned i = 0; i < m->listeners->len; i++) {
		Listener *l = &g_array_index(m->listeners, Listener, i);
		l->fn(l->opaque, event, detail);
	}
}

static bool has_vcpu_threads(const Machine *m)
{
	return m->board.cpu_count && m->vcpus[0].started;
}

void run_set_state(Machine *m, RunState state)
{
	RunState before = atomic_exchange(&m->state, state);
	trace_runstate_set(before, machine_state_name(before), state, machine_state_name(state));
}

bool run_stand(Machine *m, RunState why)
{
	if (atomic_load(&m->state) != STATE_RUNNING)
		return false;
	run_set_state(m, why);
	if (has_vcpu_threads(m))
		park_all(m);
	machine_lock();
	clock_stop(m->board.clock);
	world_stop(m);
	/* What the guest was told is on disk is, and what comes next may be a copy of the files. */
	int err = blk_flush_all();
	machine_unlock();
	if (err < 0)
		g_printerr("flushing the disks failed: %s\n", g_strerror(-err));
	return true;
}

bool machine_stop(Machine *m, RunState why)
{
	bool stopped = run_stand(m, why);
	if (stopped)
		run_tell(m, MACHINE_EVENT_STOP, NULL);
	return stopped;
}

void machine_hold_vcpus(Machine *m)
{
	if (atomic_load(&m->state) == STATE_RUNNING && has_vcpu_threads(m))
		park_all(m);
}

void machine_release_vcpus(Machine *m)
{
	if (atomic_load(&m->state) == STATE_RUNNING)
		unpark_all(m);
}

static bool start(Machine *m, bool clocks, GError **error)
{
	int state = atomic_load(&m->state);
	if (state == STATE_RUNNING)
		return true;
	if (state == STATE_SHUTDOWN || state == STATE_PANICKED || state == STATE_INTERNAL_ERROR)
		return fail(error, VIV_ERROR_INVALID, "Resetting the Virtual Machine is required");
	for (unsigned i = 0; i < m->board.cpu_count; i++)
		m->vcpus[i].cpu->debug.stop = CPU_STOP_NONE;
	machine_lock();
	if (clocks) {
		clock_start(m->board.clock);
		world_start(m);
	}
	machine_unlock();
	run_set_state(m, STATE_RUNNING);
	machine_lock();
	blk_retry_all();
	machine_unlock();
	run_tell(m, MACHINE_EVENT_RESUME, NULL);
	unpark_all(m);
	return true;
}

bool machine_start(Machine *m, GError **error) { return start(m, true, error); }

bool machine_start_timeless(Machine *m, GError **error) { return start(m, false, error); }

/* ---- a debugger ---- */

bool machine_set_debugger(Machine *m, const CpuDebugger *d, GError **error)
{
	if (!m->accel->cls->debug)
		return !d || fail(error, VIV_ERROR_UNSUPPORTED, "-accel %s: there is no debugging", m->accel->cls->name);
	return m->accel->cls->debug(m->accel, d, error);
}

void machine_freeze_vcpu(Machine *m, unsigned index, bool freeze)
{
	pthread_mutex_lock(&m->run_lock);
	m->vcpus[index].frozen = freeze;
	pthread_mutex_unlock(&m->run_lock);
}

static gboolean on_event(gint fd, GIOCondition condition, gpointer opaque)
{
	Machine *m = opaque;

	notifier_clear(fd);
	run_handle_request(m, atomic_exchange(&m->board.request, RUN_NONE));
	/* Whatever came of it, the guest does not stay where on_request stopped it. */
	if (machine_running(m))
		unpark_all(m);
	return G_SOURCE_CONTINUE;
}

/*
 * Board.request_fn; any thread. The guest runs no further than the instruction that asked:
 * what comes behind an OUT that resets or ends the machine is not meant to be executed.
 */
static void on_request(Board *board, RunRequest why)
{
	Machine *m = (Machine *)board;
	if (has_vcpu_threads(m))
		begin_park(m);
	notifier_set(m->event_fd);
}

/* On the thread of the drive's loop. */
static void on_block_error(void *opaque, Blk *blk, bool write, int err, const char *action)
{
	Machine *m = opaque;
	const Node *node = blk_node(blk);
	json_t *data = json_pack("{ss ss ss ss sb}", "device", *blk_id(blk) == '#' ? "" : blk_id(blk), "operation",
				 write ? "write" : "read", "action", action, "reason", g_strerror(err < 0 ? -err : err), "nospace",
				 err == ENOSPC || err == -ENOSPC);
	if (node)
		json_object_set_new(data, "node-name", json_string(node->name));
	event_emit("BLOCK_IO_ERROR", data);
	if (!strcmp(action, "stop"))
		board_request(&m->board, RUN_IO_ERROR, 0);
}

/* ---- life ---- */

void run_init(Machine *m)
{
	pthread_mutex_init(&m->run_lock, NULL);
	pthread_cond_init(&m->parked_cond, NULL);
	m->listeners = g_array_new(FALSE, FALSE, sizeof(Listener));
	m->loop = g_main_loop_new(NULL, FALSE);
	m->event_fd = notifier_new(NULL);
	m->board.request_fn = on_request;
	m->board.watchdog = actions_watchdog;
	blk_set_error_fn(on_block_error, m);
	m->event_source = g_unix_fd_add(m->event_fd, G_IO_IN, on_event, m);
}

void run_free(Machine *m)
{
	machine_stop(m, STATE_SHUTDOWN);
	pthread_mutex_lock(&m->run_lock);
	m->quitting = true;
	for (unsigned i = 0; i < m->board.cpu_count; i++)
		pthread_cond_signal(&m->vcpus[i].wake);
	pthread_mutex_unlock(&m->run_lock);
	for (unsigned i = 0; i < m->board.cpu_count; i++)
		if (m->vcpus[i].started)
			thread_join(m->vcpus[i].thread);
	m->board.request_fn = NULL;
	blk_set_error_fn(NULL, NULL);
	g_source_remove(m->event_source);
	close(m->event_fd);
	g_main_loop_unref(m->loop);
	g_array_free(m->listeners, TRUE);
	pthread_cond_destroy(&m->parked_cond);
	pthread_mutex_destroy(&m->run_lock);
}

/* Whoever asks for their ids from now on gets them. */
static void wait_for_threads(Machine *m)
{
	pthread_mutex_lock(&m->run_lock);
	for (unsigned i = 0; i < m->board.cpu_count; i++)
		while (!atomic_load(&m->vcpus[i].thread_id))
			pthread_cond_wait(&m->parked_cond, &m->run_lock);
	pthread_mutex_unlock(&m->run_lock);
}

int machine_vcpu_thread(Machine *m, unsigned index) { return atomic_load(&m->vcpus[index].thread_id); }

int machine_run(Machine *m)
{
	GError *error = NULL;
	for (unsigned i = 0; i < m->board.cpu_count; i++) {
		Vcpu *v = &m->vcpus[i];
		if (!thread_start(THREAD_VCPU, i, vcpu_main, v, &v->thread, &error)) {
			g_printerr("%s\n", error->message);
			g_error_free(error);
			return 1;
		}
		v->started = true;
	}
	wait_for_threads(m);
	if (!m->config->start_paused)
		machine_start(m, NULL);
	/* A request may have come before the loop: its eventfd is readable then. */
	g_main_loop_run(m->loop);
	return m->exit_status;
}

RunState machine_state(Machine *m)
{
	return atomic_load(&m->state);
}

const char *machine_state_name(RunState state)
{
	static const char *const names[] = {
		[STATE_PRELAUNCH] = "prelaunch", [STATE_RUNNING] = "running", [STATE_PAUSED] = "paused",
		[STATE_SHUTDOWN] = "shutdown", [STATE_PANICKED] = "guest-panicked",
		[STATE_INTERNAL_ERROR] = "internal-error", [STATE_IO_ERROR] = "io-error",
		[STATE_WATCHDOG] = "watchdog", [STATE_DEBUG] = "debug",
	};
	return names[state];
}

void machine_add_listener(Machine *m, MachineEventFn fn, void *opaque)
{
	Listener l = { fn, opaque };
	g_array_append_val(m->listeners, l);
}

void machine_remove_listener(Machine *m, void *opaque)
{
	for (unsigned i = m->listeners->len; i-- > 0;)
		if (g_array_index(m->listeners, Listener, i).opaque == opaque)
			g_array_remove_index(m->listeners, i);
}
