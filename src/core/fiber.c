/*
 * fiber.c - stacks and the switch between them.
 *
 * System V AMD64 ABI 1.0, 3.2.1: a call keeps rbx, rbp, r12-r15, the x87 control word and
 * MXCSR's control bits; the switch saves these and nothing else. Stacks are mapped with a
 * guard page and kept for reuse, by any thread: a guest's request often begins on a
 * vcpu's and ends on the loop's.
 */
#include "core/fiber.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include <glib.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
/* Frames are several times larger there. */
#define STACK_SIZE (1024u << 10)
#else
#define STACK_SIZE (192u << 10)
#endif
#define GUARD_SIZE 4096u
#define SPARE_MAX 128 /* stacks that are kept */

/* One side of a switch: where its stack stands. */
typedef struct Context {
	void *sp;
	void *stack_low;   /* for the sanitizer */
	size_t stack_size;
	void *fake;
} Context;

struct Fiber {
	Context own, caller;
	Fiber *resumed_by;  /* the fiber that waits for us to suspend; NULL: a thread */
	FiberFn *fn;
	void *opaque;
	uint8_t *stack;
	bool done;
	Fiber *next_spare;
};

typedef struct ThreadFibers {
	Fiber *current;
} ThreadFibers;

/* Stacks that wait for their next fiber; the lock is a leaf. */
static struct { pthread_mutex_t lock; Fiber *head; unsigned count; } spare = {
	.lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local ThreadFibers thread_fibers;

/* A call, so that its address is computed anew after each switch: the thread may be another. */
static __attribute__((noinline)) ThreadFibers *here(void)
{
	ThreadFibers *t = &thread_fibers;
	__asm__ volatile("" : "+r"(t));
	return t;
}

/* void fiber_switch(void **save_sp, void *sp) */
__asm__(
	".text\n"
	".p2align 4\n"
	".type fiber_switch, @function\n"
	"fiber_switch:\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	sub $8, %rsp\n"
	"	stmxcsr (%rsp)\n"
	"	fnstcw 4(%rsp)\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	ldmxcsr (%rsp)\n"
	"	fldcw 4(%rsp)\n"
	"	add $8, %rsp\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".size fiber_switch, . - fiber_switch\n");
void fiber_switch(void **save_sp, void *sp);

static void switch_to(Context *from, Context *to, bool for_good)
{
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(for_good ? NULL : &from->fake, to->stack_low,
				       to->stack_size);
#else
	(void)for_good;
#endif
	fiber_switch(&from->sp, to->sp);
}

/* The first thing on the side that was switched to; `other` is the one left. */
static void arrived(Context *own, Context *other)
{
#ifdef __SANITIZE_ADDRESS__
	const void *low;
	size_t size;
	__sanitizer_finish_switch_fiber(own->fake, &low, &size);
	if (other && !other->stack_low) {
		other->stack_low = (void *)low;
		other->stack_size = size;
	}
#else
	(void)own;
	(void)other;
#endif
}

static void run(void)
{
	Fiber *f = here()->current;
	arrived(&f->own, &f->caller);
	f->fn(f->opaque);
	f->done = true;
	here()->current = f->resumed_by;
	switch_to(&f->own, &f->caller, true);
	__builtin_unreachable();
}

static Fiber *take_spare(void)
{
	pthread_mutex_lock(&spare.lock);
	Fiber *f = spare.head;
	if (f) {
		spare.head = f->next_spare;
		spare.count--;
	}
	pthread_mutex_unlock(&spare.lock);
	return f;
}

/* False: there are enough. */
static bool keep_spare(Fiber *f)
{
	pthread_mutex_lock(&spare.lock);
	bool keep = spare.count < SPARE_MAX;
	if (keep) {
		f->next_spare = spare.head;
		spare.head = f;
		spare.count++;
	}
	pthread_mutex_unlock(&spare.lock);
	return keep;
}

static Fiber *fiber_take(void)
{
	Fiber *f = take_spare();
	if (f)
		return f;
	f = g_new0(Fiber, 1);
	f->stack = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (f->stack == MAP_FAILED || mprotect(f->stack, GUARD_SIZE, PROT_NONE) < 0)
		g_error("no memory for the stack of a fiber");
	f->own.stack_low = f->stack + GUARD_SIZE;
	f->own.stack_size = STACK_SIZE;
	return f;
}

static void fiber_put(Fiber *f)
{
#ifdef __SANITIZE_ADDRESS__
	/* run() never returned: its frames are still marked. */
	ASAN_UNPOISON_MEMORY_REGION(f->own.stack_low, f->own.stack_size);
#endif
	if (keep_spare(f))
		return;
	munmap(f->stack, GUARD_SIZE + STACK_SIZE);
	g_free(f);
}

/* A frame as fiber_switch leaves it, that returns into run(). */
static void *first_frame(Fiber *f)
{
	uint64_t *top = (uint64_t *)(f->stack + GUARD_SIZE + STACK_SIZE);
	uint32_t mxcsr;
	uint16_t fcw;
	*--top = 0;             /* run()'s return address; keeps the stack aligned at its entry */
	*--top = (uintptr_t)run;
	for (int i = 0; i < 6; i++)
		*--top = 0;
	__asm__("stmxcsr %0" : "=m"(mxcsr));
	__asm__("fnstcw %0" : "=m"(fcw));
	*--top = (uint64_t)fcw << 32 | mxcsr;
	return top;
}

void fiber_resume(Fiber *f)
{
	ThreadFibers *t = here();
	f->resumed_by = t->current;
	t->current = f;
	if (f->resumed_by) {
		f->caller.stack_low = f->resumed_by->own.stack_low;
		f->caller.stack_size = f->resumed_by->own.stack_size;
	} else {
		f->caller.stack_low = NULL; /* the sanitizer tells at the other side */
	}
	switch_to(&f->caller, &f->own, false);
	arrived(&f->caller, NULL);
	if (f->done)
		fiber_put(f);
}

void fiber_start(FiberFn *fn, void *opaque)
{
	Fiber *f = fiber_take();
	f->fn = fn;
	f->opaque = opaque;
	f->done = false;
	f->own.fake = NULL;
	f->own.sp = first_frame(f);
	fiber_resume(f);
}

Fiber *fiber_self(void)
{
	return here()->current;
}

void fiber_suspend(void)
{
	Fiber *f = here()->current;
	here()->current = f->resumed_by;
	switch_to(&f->own, &f->caller, false);
	arrived(&f->own, &f->caller);
}

/* ---- Waiting for each other ---- */

typedef struct FiberWaiter Waiter;
struct FiberWaiter {
	Fiber *fiber;
	Waiter *next;
	bool writer;
};

static void wait_in(FiberQueue *q, bool writer)
{
	Waiter w = { .fiber = fiber_self(), .writer = writer };
	if (!q->head)
		q->tail = &q->head;
	*q->tail = &w;
	q->tail = &w.next;
	fiber_suspend();
}

static Fiber *take_first(FiberQueue *q)
{
	Waiter *w = q->head;
	if (!w)
		return NULL;
	q->head = w->next;
	if (!q->head)
		q->tail = &q->head;
	return w->fiber;
}

void fiber_queue_wait(FiberQueue *queue)
{
	wait_in(queue, false);
}

bool fiber_queue_wake(FiberQueue *queue)
{
	Fiber *f = take_first(queue);
	if (f)
		fiber_resume(f);
	return f;
}

void fiber_queue_wake_all(FiberQueue *queue)
{
	/* Those who come back to wait must not be woken again: detach the list. */
	FiberQueue now = *queue;
	queue->head = NULL;
	if (!now.head)
		return;
	while (fiber_queue_wake(&now))
		;
}

void fiber_lock(FiberMutex *m)
{
	if (!m->locked)
		m->locked = true;
	else
		wait_in(&m->waiters, false); /* unlock hands it over locked */
}

void fiber_unlock(FiberMutex *m)
{
	Fiber *next = take_first(&m->waiters);
	if (next)
		fiber_resume(next);
	else
		m->locked = false;
}

void fiber_rdlock(FiberRwLock *l)
{
	if (!l->writer && !l->writers_waiting)
		l->readers++;
	else
		wait_in(&l->waiters, false);
}

void fiber_wrlock(FiberRwLock *l)
{
	if (!l->writer && !l->readers) {
		l->writer = true;
		return;
	}
	l->writers_waiting++;
	wait_in(&l->waiters, true);
}

/* Gives the free lock to those at the head of the queue: one writer, or the readers up to the next
 * one. */
static void hand_over(FiberRwLock *l)
{
	while (l->waiters.head && !l->writer) {
		bool writer = l->waiters.head->writer;
		if (writer && l->readers)
			return;
		Fiber *f = take_first(&l->waiters);
		if (writer) {
			l->writers_waiting--;
			l->writer = true;
		} else {
			l->readers++;
		}
		fiber_resume(f);
	}
}

void fiber_rdunlock(FiberRwLock *l)
{
	if (--l->readers == 0)
		hand_over(l);
}

void fiber_wrunlock(FiberRwLock *l)
{
	l->writer = false;
	hand_over(l);
}
