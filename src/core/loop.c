/*
 * loop.c - one io_uring a loop, with what worker threads, timers and other threads bring.
 *
 * liburing 2.3; io_uring(7). The main loop is driven by the default GMainContext, another
 * one by its own thread, and both by whoever has entered them and waits (loop_poll).
 */
#include "core/loop.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/error.h"
#include "core/lock.h"
#include "core/notifier.h"
#include "core/thread.h"
#include "core/worker.h"

#define RING_ENTRIES 256
#define SUBMIT_BATCH 32
#define NESTING_MAX 8

typedef struct Post { void (*fn)(void *opaque); void *opaque; } Post;
typedef struct Watch { int fd; void (*fn)(void *opaque); void *opaque; gpointer tag; } Watch;

/* A fiber that sleeps until `deadline` (host ns). */
typedef struct Sleeper Sleeper;
struct Sleeper { Fiber *fiber; int64_t deadline; Sleeper *next; };

struct Loop {
	pthread_mutex_t mutex;   /* recursive; not used by the main loop */
	struct io_uring ring;
	bool uring;
	unsigned unsubmitted;
	int wake_fd;             /* eventfd: something was posted */
	_Atomic bool polling;    /* someone is inside loop_poll: no need to wake */
	pthread_t poller;        /* who */
	Sleeper *sleepers;       /* earliest first */
	FiberQueue yielded;
	GArray *watches;         /* Watch */
	GSource *source;         /* main loop, once attached; its fds: */
	gpointer wake_tag, ring_tag;
	pthread_t thread;
	_Atomic int thread_id;
	sem_t started;           /* of one with a thread: that id is there */
	_Atomic bool stop;
	/* From other threads. */
	pthread_mutex_t post_lock; /* a leaf */
	GArray *posts;           /* Post */
	struct LoopJob *jobs_done, **jobs_tail;
	_Atomic bool woken;      /* wake_fd is written and not yet read */
};

typedef struct LoopJob {
	Job job;
	Loop *loop;
	Fiber *fiber;
	struct LoopJob *next;
} LoopJob;

/* One request in the ring; lives on the fiber's stack. */
typedef struct RingRequest { Fiber *fiber; int result; } RingRequest;

static _Thread_local struct { Loop *loop[NESTING_MAX]; unsigned depth; } entered;

static struct { pthread_once_t once; Loop *loop; } main_loop = { .once = PTHREAD_ONCE_INIT };

static Loop *loop_alloc(void)
{
	Loop *l = g_new0(Loop, 1);
	GError *error = NULL;
	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&l->mutex, &attr);
	pthread_mutex_init(&l->post_lock, NULL);
	l->wake_fd = notifier_new(&error);
	if (error)
		g_error("%s", error->message);
	l->posts = g_array_new(FALSE, FALSE, sizeof(Post));
	l->watches = g_array_new(FALSE, FALSE, sizeof(Watch));
	l->jobs_tail = &l->jobs_done;
	l->uring = !g_getenv("VIV_NO_URING") && io_uring_queue_init(RING_ENTRIES, &l->ring, 0) == 0;
	return l;
}

static void make_main(void)
{
	main_loop.loop = loop_alloc();
}

Loop *loop_main(void)
{
	pthread_once(&main_loop.once, make_main);
	return main_loop.loop;
}

bool loop_has_uring(Loop *loop)
{
	return loop->uring;
}

void loop_set_workers(unsigned count)
{
	worker_limit(count);
}

/* ---- Entering ---- */

static void submit(Loop *l)
{
	if (!l->unsubmitted)
		return;
	l->unsubmitted = 0;
	int n;
	do
		n = io_uring_submit(&l->ring);
	while (n == -EINTR);
	/* -EAGAIN, -EBUSY: what stayed in the queue goes with the next call, after completions. */
	if (n < 0)
		l->unsubmitted = 1;
}

/* Calls, so that the address is computed on the thread that runs now. */
static __attribute__((noinline)) void push_entered(Loop *l)
{
	if (entered.depth == NESTING_MAX)
		g_error("loops entered too deep");
	entered.loop[entered.depth++] = l;
}

static __attribute__((noinline)) bool pop_entered(Loop *l)
{
	entered.depth--;
	for (unsigned i = 0; i < entered.depth; i++)
		if (entered.loop[i] == l)
			return false;
	return true;
}

__attribute__((noinline)) Loop *loop_self(void)
{
	return entered.depth ? entered.loop[entered.depth - 1] : loop_main();
}

void loop_enter(Loop *l)
{
	if (l == main_loop.loop)
		machine_lock();
	else
		pthread_mutex_lock(&l->mutex);
	push_entered(l);
}

void loop_leave(Loop *l)
{
	if (pop_entered(l))
		submit(l);
	if (l == main_loop.loop)
		machine_unlock();
	else
		pthread_mutex_unlock(&l->mutex);
}

/* ---- From other threads ---- */

static void wake(Loop *l)
{
	if (!atomic_exchange(&l->woken, true))
		notifier_set(l->wake_fd);
}

/* Is it this thread that handles the loop's events just now? Then it will look again before it
 * waits. */
static bool is_polling(Loop *l)
{
	return atomic_load(&l->polling) && pthread_equal(l->poller, pthread_self());
}

void loop_post(Loop *l, void (*fn)(void *opaque), void *opaque)
{
	Post post = { fn, opaque };
	pthread_mutex_lock(&l->post_lock);
	g_array_append_val(l->posts, post);
	pthread_mutex_unlock(&l->post_lock);
	if (!is_polling(l))
		wake(l);
}

static void job_done(Job *job)
{
	LoopJob *j = (LoopJob *)job;
	Loop *l = j->loop;
	pthread_mutex_lock(&l->post_lock);
	j->next = NULL;
	*l->jobs_tail = j;
	l->jobs_tail = &j->next;
	pthread_mutex_unlock(&l->post_lock);
	wake(l);
}

/* ---- What fibers call ---- */

int loop_work(int (*fn)(void *opaque), void *opaque)
{
	LoopJob j = {
		.job = { .fn = fn, .opaque = opaque, .done = job_done },
		.loop = loop_self(), .fiber = fiber_self(),
	};
	worker_submit(&j.job);
	fiber_suspend();
	return j.job.result;
}

void loop_sleep(int64_t ns)
{
	Loop *l = loop_self();
	Sleeper s = { .fiber = fiber_self(), .deadline = host_now() + (ns > 0 ? ns : 0) };
	Sleeper **at = &l->sleepers;
	while (*at && (*at)->deadline <= s.deadline)
		at = &(*at)->next;
	s.next = *at;
	*at = &s;
	/* The one who waits now may wait longer than that. */
	if (l->sleepers == &s && !l->polling)
		wake(l);
	fiber_suspend();
}

void loop_yield(void)
{
	Loop *l = loop_self();
	if (!l->polling)
		wake(l);
	fiber_queue_wait(&l->yielded);
}

typedef struct FileJob {
	int fd;
	const struct iovec *iov;
	unsigned count;
	uint64_t offset;
	bool write;
} FileJob;

static int file_job(void *opaque)
{
	FileJob *j = opaque;
	ssize_t n = j->write ? pwritev(j->fd, j->iov, (int)j->count, (off_t)j->offset)
		: preadv(j->fd, j->iov, (int)j->count, (off_t)j->offset);
	return n < 0 ? -errno : (int)n;
}

static int sync_job(void *opaque)
{
	return fdatasync(*(int *)opaque) < 0 ? -errno : 0;
}

/* The next free entry; the request that is set up in it goes out at the next submit. */
static struct io_uring_sqe *take_entry(Loop *l, RingRequest *r)
{
	struct io_uring_sqe *sqe;
	while (!(sqe = io_uring_get_sqe(&l->ring))) {
		l->unsubmitted = 1;
		submit(l);
		if (l->unsubmitted) {
			/* The kernel takes no more before some complete. */
			io_uring_get_events(&l->ring);
			loop_sleep(1000000);
		}
	}
	io_uring_sqe_set_data(sqe, r);
	return sqe;
}

static int ring_wait(Loop *l, RingRequest *r)
{
	if (++l->unsubmitted >= SUBMIT_BATCH)
		submit(l);
	fiber_suspend();
	return r->result;
}

static int transfer_once(int fd, const struct iovec *iov, unsigned count, uint64_t offset,
			 bool write)
{
	Loop *l = loop_self();
	if (!l->uring) {
		FileJob j = { fd, iov, count, offset, write };
		return loop_work(file_job, &j);
	}
	RingRequest r = { .fiber = fiber_self() };
	struct io_uring_sqe *sqe = take_entry(l, &r);
	if (write)
		io_uring_prep_writev(sqe, fd, iov, count, offset);
	else
		io_uring_prep_readv(sqe, fd, iov, count, offset);
	io_uring_sqe_set_data(sqe, &r);
	return ring_wait(l, &r);
}

/* Drops the first `done` bytes: which of the pieces is the next, and how much of it is left. */
static unsigned skip_done(const struct iovec *iov, unsigned count, size_t done, struct iovec *first)
{
	unsigned i = 0;
	while (i < count && done >= iov[i].iov_len)
		done -= iov[i++].iov_len;
	if (i < count)
		*first = (struct iovec){ (char *)iov[i].iov_base + done, iov[i].iov_len - done };
	return i;
}

static ssize_t transfer(int fd, const struct iovec *iov, unsigned count, uint64_t offset,
			bool write)
{
	size_t total = 0, done = 0;
	for (unsigned i = 0; i < count; i++)
		total += iov[i].iov_len;
	int n = transfer_once(fd, iov, count, offset, write);
	for (;;) {
		if (n == -EINTR || n == -EAGAIN)
			n = 0;
		else if (n < 0)
			return n;
		else if (n == 0)
			return write && done < total ? -EIO : (ssize_t)done;
		done += (size_t)n;
		if (done >= total)
			return (ssize_t)done;
		/* Rare: a short transfer goes on piece by piece. */
		struct iovec piece;
		skip_done(iov, count, done, &piece);
		n = transfer_once(fd, &piece, 1, offset + done, write);
	}
}

ssize_t loop_readv(int fd, const struct iovec *iov, unsigned count, uint64_t offset)
{
	return transfer(fd, iov, count, offset, false);
}

ssize_t loop_writev(int fd, const struct iovec *iov, unsigned count, uint64_t offset)
{
	return transfer(fd, iov, count, offset, true);
}

int loop_fdatasync(int fd)
{
	Loop *l = loop_self();
	if (!l->uring)
		return loop_work(sync_job, &fd);
	RingRequest r = { .fiber = fiber_self() };
	struct io_uring_sqe *sqe = take_entry(l, &r);
	io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, &r);
	return ring_wait(l, &r);
}

/* ---- Events ---- */

static bool reap(Loop *l)
{
	struct io_uring_cqe *cqe;
	bool any = false;
	while (l->uring && io_uring_peek_cqe(&l->ring, &cqe) == 0) {
		RingRequest *r = io_uring_cqe_get_data(cqe);
		r->result = cqe->res;
		io_uring_cqe_seen(&l->ring, cqe);
		fiber_resume(r->fiber);
		any = true;
	}
	return any;
}

/* The wake-up was seen: empties it. What was posted before is in the lists by now. */
static void clear_wake(Loop *l)
{
	notifier_clear(l->wake_fd);
	atomic_store(&l->woken, false);
}

/* One at a time: a callback may itself wait for the rest. */
static LoopJob *take_job(Loop *l)
{
	pthread_mutex_lock(&l->post_lock);
	LoopJob *j = l->jobs_done;
	if (j) {
		l->jobs_done = j->next;
		if (!l->jobs_done)
			l->jobs_tail = &l->jobs_done;
	}
	pthread_mutex_unlock(&l->post_lock);
	return j;
}

static bool take_post(Loop *l, Post *out)
{
	pthread_mutex_lock(&l->post_lock);
	bool any = l->posts->len > 0;
	if (any) {
		*out = g_array_index(l->posts, Post, 0);
		g_array_remove_index(l->posts, 0);
	}
	pthread_mutex_unlock(&l->post_lock);
	return any;
}

static unsigned post_count(Loop *l)
{
	pthread_mutex_lock(&l->post_lock);
	unsigned n = l->posts->len;
	pthread_mutex_unlock(&l->post_lock);
	return n;
}

static bool run_posted(Loop *l)
{
	bool any = false;
	LoopJob *job;
	while ((job = take_job(l))) {
		fiber_resume(job->fiber);
		any = true;
	}
	/* Not those that they post themselves, or these could keep us here. */
	Post post;
	for (unsigned n = post_count(l); n > 0 && take_post(l, &post); n--) {
		post.fn(post.opaque);
		any = true;
	}
	return any;
}

static bool run_sleepers(Loop *l)
{
	bool any = false;
	if (!l->sleepers)
		return false;
	int64_t now = host_now();
	while (l->sleepers && l->sleepers->deadline <= now) {
		Sleeper *s = l->sleepers;
		l->sleepers = s->next;
		fiber_resume(s->fiber);
		any = true;
	}
	return any;
}

static bool run_ready(Loop *l)
{
	bool any = reap(l);
	any |= run_posted(l);
	any |= run_sleepers(l);
	if (l->yielded.head) {
		fiber_queue_wake_all(&l->yielded);
		any = true;
	}
	submit(l);
	return any;
}

/* ms until the next sleeper, rounded up; -1: none */
static int timeout_ms(Loop *l)
{
	if (l->yielded.head || post_count(l))
		return 0;
	if (!l->sleepers)
		return -1;
	int64_t ns = l->sleepers->deadline - host_now();
	return ns <= 0 ? 0 : ns > 1000000000 ? 1000 : (int)((ns + 999999) / 1000000);
}

/* Fills in what to poll: the ring, the wake-up, then the watches. Caller frees. */
static struct pollfd *poll_set(Loop *l, unsigned *count)
{
	struct pollfd *p = g_new0(struct pollfd, l->watches->len + 2);
	p[0] = (struct pollfd){ .fd = l->uring ? l->ring.ring_fd : -1, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = l->wake_fd, .events = POLLIN };
	for (unsigned i = 0; i < l->watches->len; i++)
		p[i + 2] =
		    (struct pollfd){.fd = g_array_index(l->watches, Watch, i).fd, .events = POLLIN};
	*count = l->watches->len + 2;
	return p;
}

static bool run_watches(Loop *l, const struct pollfd *p, unsigned count)
{
	bool any = false;
	if (p[1].revents)
		clear_wake(l);
	for (unsigned i = 2; i < count; i++) {
		if (!(p[i].revents & (POLLIN | POLLERR | POLLHUP)))
			continue;
		/* A callback may have changed the list. */
		for (unsigned k = 0; k < l->watches->len; k++) {
			Watch w = g_array_index(l->watches, Watch, k);
			if (w.fd == p[i].fd) {
				w.fn(w.opaque);
				any = true;
				break;
			}
		}
	}
	return any;
}

bool loop_poll(Loop *l, bool wait)
{
	bool outer = !l->polling;
	l->poller = pthread_self();
	l->polling = true;
	submit(l);
	bool any = run_ready(l);
	if (!any && wait) {
		unsigned count;
		struct pollfd *p = poll_set(l, &count);
		if (poll(p, count, timeout_ms(l)) > 0)
			any = run_watches(l, p, count);
		g_free(p);
		any |= run_ready(l);
	}
	if (outer)
		l->polling = false;
	return any;
}

typedef struct Call { FiberFn *fn; void *opaque; bool done; } Call;

static void call_in_fiber(void *opaque)
{
	Call *c = opaque;
	c->fn(c->opaque);
	c->done = true;
}

void loop_call(Loop *l, FiberFn *fn, void *opaque)
{
	if (fiber_self() && loop_self() == l) {
		fn(opaque);
		return;
	}
	Call c = { fn, opaque, false };
	loop_enter(l);
	fiber_start(call_in_fiber, &c);
	while (!c.done)
		loop_poll(l, true);
	loop_leave(l);
}

void loop_watch(Loop *l, int fd, void (*fn)(void *opaque), void *opaque)
{
	for (unsigned i = 0; i < l->watches->len; i++) {
		Watch *w = &g_array_index(l->watches, Watch, i);
		if (w->fd != fd)
			continue;
		if (w->tag)
			g_source_remove_unix_fd(l->source, w->tag);
		g_array_remove_index_fast(l->watches, i);
		break;
	}
	if (fn) {
		Watch w = { .fd = fd, .fn = fn, .opaque = opaque };
		if (l->source)
			w.tag = g_source_add_unix_fd(l->source, fd, G_IO_IN);
		g_array_append_val(l->watches, w);
	}
	wake(l);
}

/* ---- The main loop's place in GLib's ---- */

static gboolean source_prepare(GSource *source, gint *timeout)
{
	Loop *l = main_loop.loop;
	loop_enter(l);
	*timeout = timeout_ms(l);
	loop_leave(l);
	return *timeout == 0;
}

static gboolean source_check(GSource *source)
{
	Loop *l = main_loop.loop;
	bool ready = false;
	loop_enter(l);
	for (unsigned i = 0; i < l->watches->len; i++)
		ready |=
		    g_source_query_unix_fd(source, g_array_index(l->watches, Watch, i).tag) != 0;
	ready |= g_source_query_unix_fd(source, l->wake_tag) != 0;
	ready |= l->uring && g_source_query_unix_fd(source, l->ring_tag) != 0;
	ready |= timeout_ms(l) == 0;
	loop_leave(l);
	return ready;
}

static gboolean source_dispatch(GSource *source, GSourceFunc fn, gpointer opaque)
{
	Loop *l = main_loop.loop;
	loop_enter(l);
	unsigned count;
	struct pollfd *p = poll_set(l, &count);
	if (poll(p, count, 0) > 0)
		run_watches(l, p, count);
	g_free(p);
	loop_poll(l, false);
	loop_leave(l);
	return G_SOURCE_CONTINUE;
}

void loop_attach_main(void)
{
	static GSourceFuncs funcs = { .prepare = source_prepare, .check = source_check,
		.dispatch = source_dispatch };
	Loop *l = loop_main();
	loop_enter(l);
	l->source = g_source_new(&funcs, sizeof(GSource));
	g_source_set_name(l->source, "loop");
	l->wake_tag = g_source_add_unix_fd(l->source, l->wake_fd, G_IO_IN);
	if (l->uring)
		l->ring_tag = g_source_add_unix_fd(l->source, l->ring.ring_fd, G_IO_IN);
	for (unsigned i = 0; i < l->watches->len; i++) {
		Watch *w = &g_array_index(l->watches, Watch, i);
		w->tag = g_source_add_unix_fd(l->source, w->fd, G_IO_IN);
	}
	g_source_attach(l->source, NULL);
	loop_leave(l);
}

/* ---- A loop with its own thread ---- */

static void *io_thread(void *opaque)
{
	Loop *l = opaque;
	atomic_store(&l->thread_id, gettid());
	sem_post(&l->started);
	loop_enter(l);
	while (!atomic_load(&l->stop)) {
		if (loop_poll(l, false))
			continue;
		unsigned count;
		struct pollfd *p = poll_set(l, &count);
		int timeout = timeout_ms(l);
		loop_leave(l);
		int n = poll(p, count, timeout);
		loop_enter(l);
		if (n > 0)
			run_watches(l, p, count);
		g_free(p);
	}
	loop_leave(l);
	return NULL;
}

static void loop_destroy(Loop *l)
{
	if (l->uring)
		io_uring_queue_exit(&l->ring);
	close(l->wake_fd);
	g_array_free(l->posts, TRUE);
	g_array_free(l->watches, TRUE);
	pthread_mutex_destroy(&l->mutex);
	pthread_mutex_destroy(&l->post_lock);
	g_free(l);
}

int loop_thread_id(const Loop *loop) { return atomic_load(&loop->thread_id); }

Loop *loop_new(unsigned index, GError **error)
{
	loop_main(); /* so that main_loop.loop may be compared without a lock */
	Loop *l = loop_alloc();
	sem_init(&l->started, 0, 0);
	if (thread_start(THREAD_IO, index, io_thread, l, &l->thread, error)) {
		/* Whoever asks for its id from now on gets it. */
		while (sem_wait(&l->started) && errno == EINTR)
			continue;
		return l;
	}
	loop_destroy(l);
	return NULL;
}

void loop_free(Loop *l)
{
	atomic_store(&l->stop, true);
	wake(l);
	thread_join(l->thread);
	loop_destroy(l);
}
