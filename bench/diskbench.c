/*
 * diskbench.c - runs inside a guest: throughput and requests a second of a disk, one line each.
 *
 *     diskbench DEVICE SECONDS
 *
 * O_DIRECT; several requests in flight by Linux AIO (io_submit(2)), whose system calls need no library.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 16

typedef struct Test {
	const char *name;
	int write;
	size_t bytes;
	unsigned depth;
	int random;
} Test;

static const Test tests[] = {
	{ "sequential reads, 1 MiB", 0, 1 << 20, 1, 0 },
	{ "sequential writes, 1 MiB", 1, 1 << 20, 1, 0 },
	{ "random reads, 4 KiB, depth 1", 0, 4096, 1, 1 },
	{ "random reads, 4 KiB, depth 16", 0, 4096, DEPTH_MAX, 1 },
	{ "random writes, 4 KiB, depth 1", 1, 4096, 1, 1 },
	{ "random writes, 4 KiB, depth 16", 1, 4096, DEPTH_MAX, 1 },
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t place(const Test *t, uint64_t size, uint64_t n)
{
	static uint64_t x = 88172645463325252ull;
	uint64_t blocks = size / t->bytes;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (t->random ? x % blocks : n % blocks) * t->bytes;
}

static void start(aio_context_t ctx, int fd, const Test *t, struct iocb *cb, uint64_t offset)
{
	void *buf = (void *)(uintptr_t)cb->aio_buf;
	*cb = (struct iocb){ .aio_fildes = (unsigned)fd, .aio_buf = (uintptr_t)buf,
		.aio_lio_opcode = t->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_nbytes = t->bytes, .aio_offset = (int64_t)offset,
		.aio_data = (uintptr_t)cb };
	if (syscall(SYS_io_submit, ctx, 1l, &cb) != 1)
		die("io_submit");
}

static void run(int fd, uint64_t size, const Test *t, double seconds)
{
	static struct iocb cbs[DEPTH_MAX];
	aio_context_t ctx = 0;
	uint64_t begun = 0, done = 0;
	if (syscall(SYS_io_setup, DEPTH_MAX, &ctx) < 0)
		die("io_setup");
	double start_time = now(), end = start_time + seconds, at = start_time;
	for (unsigned i = 0; i < t->depth; i++) {
		void *buf;
		if (posix_memalign(&buf, 4096, t->bytes))
			die("memory");
		memset(buf, (int)i + 1, t->bytes);
		cbs[i].aio_buf = (uintptr_t)buf;
		start(ctx, fd, t, &cbs[i], place(t, size, begun++));
	}
	while (done < begun) {
		struct io_event ev[DEPTH_MAX];
		long n = syscall(SYS_io_getevents, ctx, 1l, (long)DEPTH_MAX, ev, NULL);
		if (n < 0 && errno != EINTR)
			die("io_getevents");
		at = now();
		for (long i = 0; i < n; i++, done++) {
			if (ev[i].res != (int64_t)t->bytes)
				die("a request");
			if (at < end)
				start(ctx, fd, t, (struct iocb *)(uintptr_t)ev[i].data,
					place(t, size, begun++));
		}
	}
	for (unsigned i = 0; i < t->depth; i++)
		free((void *)(uintptr_t)cbs[i].aio_buf);
	syscall(SYS_io_destroy, ctx);
	printf("%s: %.1f MiB/s, %.0f requests/s\n", t->name,
		(double)(done * t->bytes) / (1 << 20) / (at - start_time), (double)done / (at - start_time));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t size = 0;
	if (argc != 3)
		return 2;
	int fd = open(argv[1], O_RDWR | O_DIRECT);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0)
		die(argv[1]);
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		run(fd, size, &tests[i], atof(argv[2]));
	return 0;
}
