/*
 * thread.c - starts threads, names them, keeps signals out of them.
 *
 * POSIX threads (IEEE 1003.1-2017). Any thread enters.
 */
#include "core/thread.h"

#include <signal.h>
#include <string.h>

#include "core/error.h"

typedef struct Start {
	ThreadKind kind;
	unsigned index;
	void *(*fn)(void *);
	void *opaque;
} Start;

static _Thread_local ThreadKind this_kind = THREAD_MAIN;
static _Thread_local unsigned this_index;

static const char *const kind_names[THREAD_KINDS] = {
	[THREAD_MAIN] = "main", [THREAD_VCPU] = "cpu", [THREAD_IO] = "io", [THREAD_WORKER] = "worker",
	[THREAD_VIEWER] = "vnc", [THREAD_WEB] = "web",
};

static void *thread_entry(void *opaque)
{
	Start start = *(Start *)opaque;
	g_free(opaque);
	this_kind = start.kind;
	this_index = start.index;
	char name[16]; /* the kernel's limit */
	g_snprintf(name, sizeof(name), "viv-%s%u", kind_names[start.kind], start.index);
	pthread_setname_np(pthread_self(), name);
	return start.fn(start.opaque);
}

bool thread_start(ThreadKind kind, unsigned index, void *(*fn)(void *), void *opaque,
	pthread_t *out, GError **error)
{
	Start *start = g_new(Start, 1);
	*start = (Start){ kind, index, fn, opaque };
	/* Blocked before the thread exists, so that no signal can slip in. */
	sigset_t all, old;
	sigfillset(&all);
	/* Faults of the thread itself must still end the program with a core. */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(out, NULL, thread_entry, start);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		return true;
	g_free(start);
	return fail(error, VIV_ERROR_FAILED, "Starting a %s thread failed: %s. "
		"The limit on processes (ulimit -u, cgroup pids.max) may be reached.",
		kind_names[kind], g_strerror(err));
}

void thread_join(pthread_t thread)
{
	pthread_join(thread, NULL);
}

int thread_vcpu(void) { return this_kind == THREAD_VCPU ? (int)this_index : -1; }

ThreadKind thread_kind(void)
{
	return this_kind;
}
