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

#include "chardev/open.h"
#include "cli/cli.h"
#include "cli/grammar.h"
#include "core/error.h"

/* ---- character devices ---- */

/* Prefixes of qemu's that name back ends which are not built. */
static bool unbuilt_spec(const char *spec)
{
	static const char *const names[] = { "pty", "vc", "tcp:", "unix:", "telnet:", "tn3270:",
		"websocket:", "udp:",
		"pipe:", "tty", "/dev/", "braille", "msmouse", "wctablet", "con:", "ringbuf",
		"socket", NULL };
	for (unsigned i = 0; names[i]; i++)
		if (g_str_has_prefix(spec, names[i]))
			return true;
	return false;
}

static Chardev *open_spec(HostSide *h, const char *spec, const char *id, bool shared,
	GError **error)
{
	ChardevOptions o = { .id = id, .signals = !shared };
	Chardev *c;
	if (g_str_has_prefix(spec, "chardev:")) {
		c = g_hash_table_lookup(h->chardevs, spec + 8);
		if (!c)
			fail(error, VIV_ERROR_INVALID,
				"there is no chardev '%s'. Define it with -chardev ...,id=%s.",
				spec + 8,
				spec + 8);
		return c;
	}
	if (g_str_has_prefix(spec, "file:")) {
		o.path = spec + 5;
		c = chardev_open("file", &o, error);
	} else if (!strcmp(spec, "stdio") || !strcmp(spec, "null")) {
		c = chardev_open(spec, &o, error);
	} else {
		char *hint = word_hint(spec, chardev_type_names());
		if (unbuilt_spec(spec))
			fail(error, VIV_ERROR_UNSUPPORTED,
				"'%s' is not built yet in this version; use stdio, mon:stdio, "
				"file:PATH, null or none", spec);
		else
			fail(error, VIV_ERROR_INVALID, "'%s' is not a valid char driver. %s.", spec,
			hint);
		g_free(hint);
		return NULL;
	}
	return c;
}

/* Opens `spec` for a front end called `id`; "mon:" puts a monitor on it too. */
static Chardev *open_line(HostSide *h, const char *spec, const char *id, GError **error)
{
	bool shared = g_str_has_prefix(spec, "mon:");
	Chardev *c = open_spec(h, spec + (shared ? 4 : 0), id, shared, error);
	if (!c)
		return NULL;
	bool named = g_str_has_prefix(spec, "chardev:");
	if (shared && g_str_has_prefix(spec + 4, "chardev:")) {
		fail(error, VIV_ERROR_UNSUPPORTED,
			"mon: with chardev: is not built yet in this version; use mon:stdio");
		return NULL;
	}
	if (shared) {
		char *monitor_id = g_strdup_printf("compat_monitor%u", h->monitors->len);
		ChardevMux *mux = chardev_mux_new(c);
		c = chardev_mux_port(mux, id);
		g_ptr_array_add(h->monitors, chardev_mux_port(mux, monitor_id));
		g_ptr_array_add(h->muxes, mux);
		g_free(monitor_id);
	} else if (!named) {
		g_ptr_array_add(h->opened, c);
	}
	if (!named)
		g_hash_table_insert(h->chardevs, g_strdup(id), c);
	return c;
}

static bool open_chardevs(HostSide *h, const Cli *cli, GError **error)
{
	for (unsigned i = 0; i < cli->host.chardevs->len; i++) {
		const char *text = g_ptr_array_index(cli->host.chardevs, i);
		GArray *kv = kv_list_new();
		kv_parse(text, NULL, kv, NULL); /* was parsed before */
		const char *id = kv_list_get(kv, "id");
		ChardevOptions o = { .id = id, .path = kv_list_get(kv, "path"), .signals = true };
		if (kv_list_get(kv, "append"))
			parse_on_off(kv_list_get(kv, "append"), &o.append);
		if (kv_list_get(kv, "signal"))
			parse_on_off(kv_list_get(kv, "signal"), &o.signals);
		Chardev *c = NULL;
		if (g_hash_table_contains(h->chardevs, id))
			fail(error, VIV_ERROR_INVALID, "Duplicate ID '%s' for chardev.", id);
		else
			c = chardev_open(kv_list_get(kv, "backend"), &o, error);
		if (c) {
			g_ptr_array_add(h->opened, c);
			g_hash_table_insert(h->chardevs, g_strdup(id), c);
		} else {
			g_prefix_error(error, "-chardev %s: ", text);
		}
		kv_list_free(kv);
		if (!c)
			return false;
	}
	return true;
}

static bool open_all(HostSide *h, Cli *cli, GError **error)
{
	HostConfig *host = &cli->host;
	if (!open_chardevs(h, cli, error))
		return false;
	for (unsigned i = 0; i < host->serials->len; i++) {
		const char *spec = g_ptr_array_index(host->serials, i);
		char *id = g_strdup_printf("serial%u", i);
		Chardev *c = open_line(h, spec, id, error);
		g_free(id);
		if (!c) {
			g_prefix_error(error, "-serial %s: ", spec);
			return false;
		}
		g_free(cli->machine.serial[i]);
		cli->machine.serial[i] = g_strdup(chardev_id(c));
	}
	if (host->debugcon && strcmp(host->debugcon, "none")) {
		Chardev *c = open_line(h, host->debugcon, "debugcon", error);
		if (!c) {
			g_prefix_error(error, "-debugcon %s: ", host->debugcon);
			return false;
		}
		g_free(cli->machine.debugcon);
		cli->machine.debugcon = g_strdup(chardev_id(c));
	}
	for (unsigned i = 0; i < host->monitors->len; i++) {
		const char *spec = g_ptr_array_index(host->monitors, i);
		char *id = g_strdup_printf("compat_monitor%u", h->monitors->len);
		Chardev *c = open_line(h, g_str_has_prefix(spec, "mon:") ? spec + 4 : spec, id,
			error);
		g_free(id);
		if (!c) {
			g_prefix_error(error, "-monitor %s: ", spec);
			return false;
		}
		g_ptr_array_add(h->monitors, c);
	}
	return true;
}

bool host_open(HostSide *h, Cli *cli, GError **error)
{
	h->chardevs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	h->monitors = g_ptr_array_new();
	h->opened = g_ptr_array_new_with_free_func((GDestroyNotify)chardev_free);
	h->muxes = g_ptr_array_new_with_free_func((GDestroyNotify)chardev_mux_free);
	if (open_all(h, cli, error)) {
		cli->machine.chardevs = h->chardevs;
		return true;
	}
	host_close(h);
	return false;
}

void host_close(HostSide *h)
{
	g_hash_table_unref(h->chardevs);
	g_ptr_array_free(h->monitors, TRUE);
	g_ptr_array_free(h->muxes, TRUE);
	g_ptr_array_free(h->opened, TRUE);
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
}
