/*
 * test-fiber.c - fibers, their locks, and the loop: jobs, file requests, other threads.
 */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "core/loop.h"

typedef struct Log { GString *text; Fiber *fiber; } Log;

static void two_steps(void *opaque)
{
	Log *log = opaque;
	log->fiber = fiber_self();
	g_string_append_c(log->text, 'a');
	fiber_suspend();
	g_string_append_c(log->text, 'c');
}

static void test_switch(void)
{
	Log log = { g_string_new(NULL), NULL };
	g_assert_null(fiber_self());
	fiber_start(two_steps, &log);
	g_string_append_c(log.text, 'b');
	fiber_resume(log.fiber);
	g_string_append_c(log.text, 'd');
	g_assert_cmpstr(log.text->str, ==, "abcd");
	g_string_free(log.text, TRUE);
}

/* Floating point control words belong to the fiber that set them. */
static void rounds_up(void *opaque)
{
	unsigned csr = __builtin_ia32_stmxcsr();
	__builtin_ia32_ldmxcsr(csr | 0x6000);
	loop_yield();
	*(bool *)opaque = (__builtin_ia32_stmxcsr() & 0x6000) == 0x6000;
}

static void test_control_words(void)
{
	bool kept = false;
	loop_call(loop_main(), rounds_up, &kept);
	g_assert_true(kept);
	g_assert_cmpuint(__builtin_ia32_stmxcsr() & 0x6000, ==, 0);
}

typedef struct Count { FiberMutex mutex; FiberRwLock rw; unsigned inside, readers, done; bool overlap, shared; } Count;

static void critical(void *opaque)
{
	Count *c = opaque;
	for (int i = 0; i < 20; i++) {
		fiber_lock(&c->mutex);
		c->overlap |= c->inside++ != 0;
		loop_yield();
		c->inside--;
		fiber_unlock(&c->mutex);
	}
	c->done++;
}

static void reader(void *opaque)
{
	Count *c = opaque;
	for (int i = 0; i < 20; i++) {
		fiber_rdlock(&c->rw);
		c->overlap |= c->inside != 0;
		c->shared |= c->readers++ > 0;
		loop_yield();
		c->readers--;
		fiber_rdunlock(&c->rw);
	}
	c->done++;
}

static void writer(void *opaque)
{
	Count *c = opaque;
	for (int i = 0; i < 20; i++) {
		fiber_wrlock(&c->rw);
		c->overlap |= c->inside++ != 0 || c->readers;
		loop_yield();
		c->inside--;
		fiber_wrunlock(&c->rw);
	}
	c->done++;
}

static void run_all(Count *c, FiberFn *const *fns, unsigned n)
{
	loop_enter(loop_main());
	for (unsigned i = 0; i < n; i++)
		fiber_start(fns[i], c);
	while (c->done < n)
		loop_poll(loop_main(), true);
	loop_leave(loop_main());
	g_assert_false(c->overlap);
}

static void test_locks(void)
{
	Count c = { 0 };
	run_all(&c, (FiberFn *[]){ critical, critical, critical, critical }, 4);
	Count rw = { 0 };
	run_all(&rw, (FiberFn *[]){ reader, writer, reader, reader, writer, reader }, 6);
	g_assert_true(rw.shared);
}

static int square(void *opaque)
{
	g_usleep(1000);
	return *(int *)opaque * *(int *)opaque;
}

typedef struct Work { int in, out; unsigned *left; } Work;

static void work(void *opaque)
{
	Work *w = opaque;
	w->out = loop_work(square, &w->in);
	--*w->left;
}

static void test_work(void)
{
	Work w[40];
	unsigned left = G_N_ELEMENTS(w);
	loop_enter(loop_main());
	for (int i = 0; i < 40; i++) {
		w[i] = (Work){ i, -1, &left };
		fiber_start(work, &w[i]);
	}
	while (left)
		loop_poll(loop_main(), true);
	loop_leave(loop_main());
	for (int i = 0; i < 40; i++)
		g_assert_cmpint(w[i].out, ==, i * i);
}

typedef struct FileIo { int fd; bool ok; } FileIo;

static void file_io(void *opaque)
{
	FileIo *f = opaque;
	char out[3][5], in[16] = { 0 };
	struct iovec v[3];
	memcpy(out, "abcd\0efgh\0ijkl", sizeof(out));
	for (int i = 0; i < 3; i++)
		v[i] = (struct iovec){ out[i], 4 };
	f->ok = loop_writev(f->fd, v, 3, 100) == 12 && loop_fdatasync(f->fd) == 0;
	struct iovec r = { in, sizeof(in) };
	f->ok &= loop_readv(f->fd, &r, 1, 100) == 12 && !memcmp(in, "abcdefghijkl", 12);
	f->ok &= loop_readv(f->fd, &r, 1, 4000) == 0;
	f->ok &= loop_readv(-1, &r, 1, 0) == -EBADF;
	loop_sleep(2000000);
}

static void test_file(void)
{
	char *name;
	FileIo f = { g_file_open_tmp("viv-XXXXXX", &name, NULL), false };
	loop_call(loop_main(), file_io, &f);
	g_assert_true(f.ok);
	/* the same on a loop with its own thread */
	Loop *io = loop_new(0, NULL);
	f.ok = false;
	loop_call(io, file_io, &f);
	g_assert_true(f.ok);
	loop_free(io);
	close(f.fd);
	g_unlink(name);
	g_free(name);
}

typedef struct Ping { Loop *to; _Atomic int count; } Ping;

static void pong(void *opaque)
{
	((Ping *)opaque)->count++;
}

static void test_post(void)
{
	Ping p = { loop_new(1, NULL), 0 };
	for (int i = 0; i < 1000; i++)
		loop_post(p.to, pong, &p);
	for (int i = 0; i < 5000 && p.count < 1000; i++)
		g_usleep(1000);
	g_assert_cmpint(p.count, ==, 1000);
	loop_free(p.to);
}

/* A request that is begun under GLib's loop ends under it. */
static void in_glib(void *opaque)
{
	FileIo *f = opaque;
	file_io(f);
	g_main_context_wakeup(NULL);
	f->fd = -2;
}

static void test_glib(void)
{
	char *name;
	FileIo f = { g_file_open_tmp("viv-XXXXXX", &name, NULL), false };
	int fd = f.fd;
	loop_attach_main();
	loop_enter(loop_main());
	fiber_start(in_glib, &f);
	loop_leave(loop_main());
	while (f.fd != -2)
		g_main_context_iteration(NULL, TRUE);
	g_assert_true(f.ok);
	close(fd);
	g_unlink(name);
	g_free(name);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fiber/switch", test_switch);
	g_test_add_func("/fiber/control-words", test_control_words);
	g_test_add_func("/fiber/locks", test_locks);
	g_test_add_func("/loop/work", test_work);
	g_test_add_func("/loop/file", test_file);
	g_test_add_func("/loop/post", test_post);
	g_test_add_func("/loop/glib", test_glib);
	return g_test_run();
}
