/*
 * host.c - the host side that the options ask for: character devices, pid file,
 * background, messages.
 *
 * Main thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/error.h"
#include "core/trace.h"

/* ---- character devices ---- */

static void add_monitor(HostSide *h, Chardev *c, bool control, bool pretty)
{
	HostMonitor monitor = { c, control, pretty };
	g_array_append_val(h->monitors, monitor);
}

/* The device that `words` mean, called `id` if it is new; "mon:" puts a monitor on it too. */
static Chardev *open_words(HostSide *h, const char *words, const char *id, GError **error)
{
	if (g_str_has_prefix(words, "chardev:")) {
		Chardev *c = chardev_set_find(h->chardevs, words + 8);
		if (!c)
			fail(error, VIV_ERROR_INVALID,
				"chardev \"%s\" not found. Define it with -chardev ...,id=%s.",
					words + 8,
				words + 8);
		return c;
	}
	ChardevOptions *o = chardev_options_from_words(words, id, error);
	Chardev *c = o ? chardev_set_open(h->chardevs, o, error) : NULL;
	if (c && g_str_has_prefix(words, "mon:"))
		add_monitor(h, c, false, false);
	return c;
}

/* The same for an option; stores the device's id. "none" and NULL leave *id as it is. */
static bool open_port(HostSide *h, const char *option, const char *words, const char *name,
	char **id, GError **error)
{
	if (!words || !strcmp(words, "none"))
		return true;
	Chardev *c = open_words(h, words, name, error);
	if (!c) {
		g_prefix_error(error, "-%s %s: ", option, words);
		return false;
	}
	g_free(*id);
	*id = g_strdup(chardev_id(c));
	return true;
}

/* -serial and -parallel: one port each. */
static bool open_ports(HostSide *h, const char *option, const GPtrArray *all, char **ids,
	GError **error)
{
	bool ok = true;
	for (unsigned i = 0; ok && i < all->len; i++) {
		char *name = g_strdup_printf("%s%u", option, i);
		ok = open_port(h, option, g_ptr_array_index(all, i), name, &ids[i], error);
		g_free(name);
	}
	return ok;
}

static bool open_monitors(HostSide *h, const GPtrArray *all, GError **error)
{
	for (unsigned i = 0; i < all->len; i++) {
		const MonitorConfig *m = g_ptr_array_index(all, i);
		const char *words = m->words + (g_str_has_prefix(m->words, "mon:") ? 4 : 0);
		char *id = g_strdup_printf("compat_monitor%u", i);
		Chardev *c = open_words(h, words, id, error);
		g_free(id);
		if (!c) {
			g_prefix_error(error, "-%s %s: ", m->control ? "qmp" : "monitor", m->words);
			return false;
		}
		add_monitor(h, c, m->control, m->pretty);
	}
	return true;
}

static bool open_chardevs(HostSide *h, const GPtrArray *all, GError **error)
{
	for (unsigned i = 0; i < all->len; i++) {
		const char *text = g_ptr_array_index(all, i);
		ChardevOptions *o = chardev_options_parse(text, error); /* was checked before */
		if (!o || !chardev_set_open(h->chardevs, o, error)) {
			g_prefix_error(error, "-chardev %s: ", text);
			return false;
		}
	}
	return true;
}

static bool open_all(HostSide *h, Cli *cli, GError **error)
{
	const HostConfig *host = &cli->host;
	MachineConfig *m = &cli->machine;
	return open_chardevs(h, host->chardevs, error) &&
		open_ports(h, "serial", host->serials, m->serial, error) &&
		open_ports(h, "parallel", host->parallels, m->parallel, error) &&
		open_port(h, "debugcon", host->debugcon, "debugcon", &m->debugcon, error) &&
		open_monitors(h, host->monitors, error);
}

bool host_open(HostSide *h, Cli *cli, GError **error)
{
	h->chardevs = chardev_set_new();
	h->monitors = g_array_new(FALSE, FALSE, sizeof(HostMonitor));
	cli->machine.chardevs = chardev_set_table(h->chardevs);
	cli->machine.chardev_set = h->chardevs;
	if (open_all(h, cli, error))
		return true;
	host_close(h);
	return false;
}

void host_close(HostSide *h)
{
	chardev_set_free(h->chardevs);
	g_array_free(h->monitors, TRUE);
	memset(h, 0, sizeof(*h));
}

/* ---- pid file ---- */

bool host_pidfile(const char *path, GError **error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fd < 0)
		return fail(error, VIV_ERROR_FAILED,
			"cannot create PID file: Could not create '%s': %s", path,
			g_strerror(errno));
	if (fcntl(fd, F_SETLK, &lock)) {
		close(fd);
		return fail(error, VIV_ERROR_FAILED,
			"cannot create PID file: '%s' is locked by another process. Is that "
			"guest running already?", path);
	}
	/* The descriptor stays open: the lock goes with it. */
	char text[32];
	int n = g_snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) || write(fd, text, (size_t)n) != n) {
		int err = errno;
		close(fd);
		return fail(error, VIV_ERROR_FAILED, "cannot write PID file '%s': %s", path,
			g_strerror(err));
	}
	return true;
}

/* ---- background ---- */

bool host_daemonize(int *ready_fd, GError **error)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC))
		return fail(error, VIV_ERROR_FAILED, "-daemonize: %s", g_strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		return fail(error, VIV_ERROR_FAILED, "-daemonize: %s", g_strerror(errno));
	if (pid) {
		char verdict = 1;
		ssize_t n;
		close(fds[1]);
		do {
			n = read(fds[0], &verdict, 1);
		} while (n < 0 && errno == EINTR);
		/* no byte: the child died, and said why on this stderr */
		_exit(n == 1 ? verdict : 1);
	}
	close(fds[0]);
	setsid();
	/* Once more, so that no terminal can become the daemon's. */
	pid = fork();
	if (pid < 0)
		return fail(error, VIV_ERROR_FAILED, "-daemonize: %s", g_strerror(errno));
	if (pid)
		_exit(0);
	umask(027);
	*ready_fd = fds[1];
	return true;
}

void host_daemon_ready(int ready_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (chdir("/"))
		g_printerr("cannot change to the root directory: %s\n", g_strerror(errno));
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	while (write(ready_fd, "", 1) < 0 && errno == EINTR)
		continue;
	close(ready_fd);
}

/* ---- messages ---- */

/* g_printerr()'s handler gets no argument, hence file scope; written before threads exist. */
static struct { bool timestamp; char *prefix; } messages = { false, NULL };

static void print_message(const char *text)
{
	if (messages.timestamp) {
		GDateTime *now = g_date_time_new_now_utc();
		char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
		fprintf(stderr, "%s.%06dZ ", time, g_date_time_get_microsecond(now));
		g_free(time);
		g_date_time_unref(now);
	}
	fprintf(stderr, "%s%s", messages.prefix ? messages.prefix : "viv: ", text);
	fflush(stderr);
}

void host_messages(const Cli *cli)
{
	messages.timestamp = cli->host.msg_timestamp;
	g_free(messages.prefix);
	messages.prefix = cli->host.msg_guest_name && cli->machine.name ?
		g_strdup_printf("%s viv: ", cli->machine.name) : g_strdup("viv: ");
	g_set_printerr_handler(print_message);
	trace_set_timestamps(messages.timestamp);
}
