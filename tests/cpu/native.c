/*
 * native.c - see native.h.
 */
#include "native.h"

#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct Native {
	pid_t child;
	char *program;
	NativeShared *shared;
	int fd_code, fd_data, fd_shared;
	uint8_t *code, *data;
	uint64_t xcr0;
};

static void start_child(Native *n)
{
	int numbers[4] = {getpid(), n->fd_code, n->fd_data, n->fd_shared};
	char *argv[6] = { n->program };

	for (int i = 0; i < 4; i++)
		argv[i + 1] = g_strdup_printf("%d", numbers[i]);
	atomic_store(&n->shared->turn, 0);
	n->child = fork();
	if (n->child == 0) {
		execv(n->program, argv);
		perror(n->program);
		_exit(1);
	}
	for (int i = 1; i < 5; i++)
		g_free(argv[i]);
}

/* Memory that the child maps too; the file stays open over its exec. */
static void *shared_area(const char *name, size_t size, int *fd)
{
	*fd = memfd_create(name, 0);
	void *p = *fd < 0 || ftruncate(*fd, (off_t)size) ? MAP_FAILED :
		  mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);

	if (p == MAP_FAILED)
		g_error("no memory for the native child");
	return p;
}

Native *native_new(void)
{
	Native *n = g_new0(Native, 1);
	char *self = g_file_read_link("/proc/self/exe", NULL), *folder = g_path_get_dirname(self ? self : "./");

	n->program = g_build_filename(folder, "native-child", NULL);
	g_free(folder);
	g_free(self);
	n->xcr0 = native_host_xcr0();
	n->code = shared_area("code", NATIVE_CODE_SIZE, &n->fd_code);
	n->data = shared_area("data", NATIVE_DATA_SIZE, &n->fd_data);
	n->shared = shared_area("shared", sizeof(*n->shared), &n->fd_shared);
	start_child(n);
	return n;
}

void native_free(Native *n)
{
	kill(n->child, SIGKILL);
	waitpid(n->child, NULL, 0);
	munmap(n->shared, sizeof(*n->shared));
	munmap(n->code, NATIVE_CODE_SIZE);
	munmap(n->data, NATIVE_DATA_SIZE);
	close(n->fd_code);
	close(n->fd_data);
	close(n->fd_shared);
	g_free(n->program);
	g_free(n);
}

bool native_has(const Native *n, unsigned bit) { return n->xcr0 >> bit & 1; }
uint8_t *native_code(Native *n) { return n->code; }
uint8_t *native_data(Native *n) { return n->data; }

#define WAITS_MAX 25 /* of 20 ms */

bool native_run(Native *n, NativeState *state)
{
	n->shared->state = *state;
	native_hand_over(n->shared, 1);
	for (unsigned waits = 0; atomic_load(&n->shared->turn) != 0; waits++) {
		struct timespec t = { .tv_nsec = 20000000 };
		syscall(SYS_futex, &n->shared->turn, FUTEX_WAIT, 1, &t, NULL, 0);
		if (atomic_load(&n->shared->turn) == 0)
			break;
		if (waits == WAITS_MAX) { /* a function that returns to its own call, say */
			kill(n->child, SIGKILL);
			waitpid(n->child, NULL, 0);
		} else if (waitpid(n->child, NULL, WNOHANG) != n->child) {
			continue;
		}
		start_child(n);
		return false;
	}
	*state = n->shared->state;
	return true;
}
