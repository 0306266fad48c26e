/*
 * notifier.c - see notifier.h.
 */
#include "core/notifier.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/error.h"

int notifier_new(GError **error)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		fail(error, VIV_ERROR_FAILED, "no eventfd: %s. Raise the limit on open files (ulimit -n).",
			g_strerror(errno));
	return fd;
}

/* A full counter (EAGAIN) is set already. */
void notifier_set(int fd)
{
	eventfd_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		g_warning("eventfd: %s", g_strerror(errno));
}

void notifier_clear(int fd)
{
	eventfd_t count;

	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		g_warning("eventfd: %s", g_strerror(errno));
}
