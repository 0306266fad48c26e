/*
 * run.c - breakpoints, watchpoints, steps; going on and stopping.
 *
 * "Debugging with GDB", E.2 (c, s, vCont, z, Z) and E.3 (stop replies). Software and hardware breakpoints are the same here:
 * neither is in the guest's memory or registers.
 */
#include <string.h>

#include "gdb/private.h"

#define POINTS_MAX 1000u /* of each kind */

enum { POINT_SOFTWARE, POINT_HARDWARE, POINT_WRITE, POINT_READ, POINT_ACCESS };

static Board *board_of(const Gdb *g) { return machine_board(g->m); }

/* Signals by GDB's numbers (include/gdb/signals.def). */
enum { SIGNAL_INT = 2, SIGNAL_QUIT = 3, SIGNAL_TRAP = 5, SIGNAL_ABRT = 6, SIGNAL_ALRM = 14, SIGNAL_STOP = 17, SIGNAL_UNKNOWN = 143 };

static unsigned signal_of(RunState state)
{
	switch (state) {
	case STATE_DEBUG: return SIGNAL_TRAP;
	case STATE_PRELAUNCH: return SIGNAL_TRAP;
	case STATE_PAUSED: return SIGNAL_INT;
	case STATE_SHUTDOWN: return SIGNAL_QUIT;
	case STATE_IO_ERROR: return SIGNAL_STOP;
	case STATE_WATCHDOG: return SIGNAL_ALRM;
	case STATE_INTERNAL_ERROR: return SIGNAL_ABRT;
	case STATE_PANICKED:
	case STATE_RUNNING: break;
	}
	return SIGNAL_UNKNOWN;
}

/* ---- points ---- */

static bool set_points(Gdb *g, GError **error) { return machine_set_debugger(g->m, g->debugger, error); }

void gdb_forget_points(Gdb *g)
{
	cpu_debugger_clear(g->debugger);
	machine_set_debugger(g->m, NULL, NULL);
}

static bool change_break(Gdb *g, uint64_t address, bool insert)
{
	if (!insert)
		return cpu_debugger_remove_break(g->debugger, address);
	if (g->debugger->breaks->len >= POINTS_MAX)
		return false;
	cpu_debugger_add_break(g->debugger, address); /* what is there already stays, and that is no error */
	return true;
}

static bool change_watch(Gdb *g, unsigned type, uint64_t address, uint64_t length, bool insert)
{
	static const uint8_t kinds[] = { [POINT_WRITE] = CPU_WATCH_WRITE, [POINT_READ] = CPU_WATCH_READ,
					 [POINT_ACCESS] = CPU_WATCH_WRITE | CPU_WATCH_READ };
	CpuWatchpoint w = { address, length, kinds[type] };

	if (!insert)
		return cpu_debugger_remove_watch(g->debugger, w);
	if (!length || g->debugger->watches->len >= POINTS_MAX)
		return false;
	cpu_debugger_add_watch(g->debugger, w);
	return true;
}

void gdb_handle_point(Gdb *g, const char *p, bool insert)
{
	uint64_t type, address, length;
	GError *error = NULL;

	if (!gdb_take_number(&p, &type) || !gdb_take_char(&p, ',') || !gdb_take_number(&p, &address) || !gdb_take_char(&p, ',') ||
	    !gdb_take_number(&p, &length)) {
		gdb_error(g, GDB_EINVAL);
		return;
	}
	if (type > POINT_ACCESS) {
		gdb_say(g, "%s", ""); /* not known */
		return;
	}
	bool ok = type < POINT_WRITE ? change_break(g, address, insert) : change_watch(g, (unsigned)type, address, length, insert);
	if (ok && set_points(g, &error))
		gdb_ok(g);
	else
		gdb_error(g, GDB_EINVAL);
	if (error)
		g_printerr("gdb: %s\n", error->message);
	g_clear_error(&error);
}

/* ---- going on ---- */

typedef enum Action { ACTION_NONE, ACTION_CONTINUE, ACTION_STEP } Action;

/* As each vcpu is to; there is at least one action. */
static void go(Gdb *g, const uint8_t *actions)
{
	bool step = false;

	for (unsigned i = 0; i < board_of(g)->cpu_count; i++) {
		board_of(g)->cpus[i]->debug.step = actions[i] == ACTION_STEP ? g->step_flags : 0;
		step |= actions[i] == ACTION_STEP;
		machine_freeze_vcpu(g->m, i, actions[i] == ACTION_NONE);
	}
	g->running = true;
	bool ok = step && g->step_flags & CPU_STEP_NO_TIMERS ? machine_start_timeless(g->m, NULL) : machine_start(g->m, NULL);
	if (!ok) { /* a reset is needed first; nothing runs */
		g->running = false;
		gdb_say_stop(g);
	}
}

static void go_all(Gdb *g, bool step)
{
	g_autofree uint8_t *actions = g_malloc(board_of(g)->cpu_count);

	memset(actions, ACTION_CONTINUE, board_of(g)->cpu_count);
	if (step)
		actions[g->cpu_c] = ACTION_STEP;
	go(g, actions);
}

void gdb_continue(Gdb *g)
{
	go_all(g, false);
	g->running = false; /* nobody waits for its stop */
}

void gdb_handle_resume(Gdb *g, const char *p, bool step)
{
	uint64_t address;

	if (*p && gdb_take_number(&p, &address)) {
		Cpu *cpu = board_of(g)->cpus[g->cpu_c];
		machine_sync_get(g->m, cpu);
		cpu->rip = address;
		machine_sync_put(g->m, cpu);
	}
	go_all(g, step);
}

/* "c", "C05", "s", "S05" behind a ';'. */
static bool take_action(const char **p, Action *action)
{
	uint64_t signal;
	char c = **p;

	if (!c || !strchr("cCsS", c))
		return false;
	(*p)++;
	*action = c == 's' || c == 'S' ? ACTION_STEP : ACTION_CONTINUE;
	return g_ascii_islower(c) || gdb_take_number(p, &signal); /* signals mean nothing to a machine */
}

/* The first action that names a thread is its; false: nonsense. */
static bool take_actions(Gdb *g, const char *p, uint8_t *actions)
{
	unsigned count = board_of(g)->cpu_count;
	bool any = false;

	while (gdb_take_char(&p, ';')) {
		Action action;
		int index = -1;
		if (!take_action(&p, &action) || (gdb_take_char(&p, ':') && !gdb_take_thread(g, &p, &index)))
			return false;
		for (unsigned i = 0; i < count; i++)
			if (actions[i] == ACTION_NONE && (index < 0 || i == (unsigned)index))
				actions[i] = (uint8_t)action;
		any = true;
	}
	return any && !*p;
}

void gdb_handle_vcont(Gdb *g, const char *p)
{
	g_autofree uint8_t *actions = g_malloc0(board_of(g)->cpu_count);

	if (*p == '?')
		gdb_say(g, "vCont;c;C;s;S");
	else if (!take_actions(g, p, actions))
		gdb_error(g, GDB_EINVAL);
	else
		go(g, actions);
}

/* ---- stopping ---- */

/* The vcpu that has something to tell, or the one that was chosen. */
static Cpu *stopped_cpu(Gdb *g)
{
	for (unsigned i = 0; i < board_of(g)->cpu_count; i++)
		if (board_of(g)->cpus[i]->debug.stop)
			return board_of(g)->cpus[i];
	return board_of(g)->cpus[g->cpu_c];
}

static const char *watch_word(const Gdb *g, uint64_t address)
{
	for (guint i = 0; i < g->debugger->watches->len; i++) {
		const CpuWatchpoint *w = &g_array_index(g->debugger->watches, CpuWatchpoint, i);
		if (w->address == address)
			return w->kinds == CPU_WATCH_READ ? "rwatch" : w->kinds == CPU_WATCH_WRITE ? "watch" : "awatch";
	}
	return "watch";
}

void gdb_say_stop(Gdb *g)
{
	Cpu *cpu = stopped_cpu(g);
	g_autoptr(GString) text = g_string_new(NULL);

	g->cpu_g = g->cpu_c = cpu->index;
	g_string_append_printf(text, "T%02xthread:", signal_of(machine_state(g->m)));
	gdb_append_thread(g, cpu->index, text);
	g_string_append_c(text, ';');
	if (cpu->debug.stop == CPU_STOP_WATCH)
		g_string_append_printf(text, "%s:%" G_GINT64_MODIFIER "x;", watch_word(g, cpu->debug.address), cpu->debug.address);
	gdb_send(g, text->str, text->len);
}

void gdb_on_stop(Gdb *g)
{
	for (unsigned i = 0; i < board_of(g)->cpu_count; i++) {
		board_of(g)->cpus[i]->debug.step = 0;
		machine_freeze_vcpu(g->m, i, false);
	}
	if (!g->running)
		return;
	g->running = false;
	gdb_say_stop(g);
}
