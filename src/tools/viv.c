/*
 * viv.c - runs one virtual machine: options in, exit status out.
 *
 * Main thread.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <glib-unix.h>

#include "chardev/set.h"
#include "cli/cli.h"
#include "core/log.h"
#include "machine/machine.h"
#include "monitor/monitor.h"
#include "gdb/gdb.h"
#include "monitor/qmp.h"

static gboolean on_signal(gpointer opaque)
{
	machine_request_quit(opaque, 0);
	return G_SOURCE_CONTINUE;
}

static void on_quit_key(void *opaque)
{
	machine_request_quit(opaque, 0);
}

/* What -machine says of the memory as the host's kernel sees it. */
static void advise_memory(const HostConfig *h, const RamArena *arena)
{
	if (h->mem_merge == TRI_ON && madvise(arena->host, arena->reserved, MADV_MERGEABLE))
		g_printerr("mem-merge=on: this kernel does not merge pages (CONFIG_KSM)\n");
	if (h->dump_guest_core == TRI_OFF)
		madvise(arena->host, arena->reserved, MADV_DONTDUMP);
}

/* Those who steer the machine. */
typedef struct Monitors {
	GPtrArray *people;   /* Monitor * */
	GPtrArray *programs; /* Qmp * */
} Monitors;

static void monitors_init(Monitors *all)
{
	all->people = g_ptr_array_new_with_free_func((GDestroyNotify)monitor_free);
	all->programs = g_ptr_array_new_with_free_func((GDestroyNotify)qmp_free);
}

static void monitors_free(Monitors *all)
{
	g_ptr_array_free(all->people, TRUE);
	g_ptr_array_free(all->programs, TRUE);
}

static bool add_monitor(Monitors *all, const HostMonitor *h, Machine *m, GError **error)
{
	void *made = h->control ? (void *)qmp_new(m, h->c, h->pretty, error) :
		(void *)monitor_new(m, h->c, error);
	if (made)
		g_ptr_array_add(h->control ? all->programs : all->people, made);
	return made;
}

/* `monitor ...` in gdb. */
static void execute(void *opaque, const char *line, GString *out)
{
	Monitor *mon = monitor_new_detached(opaque);

	monitor_execute(mon, line, out);
	monitor_free(mon);
}

static bool serve_debuggers(Cli *cli, HostSide *host, Machine *m, GError **error)
{
	cli->machine.gdb = gdb_new(m, host->chardevs, execute, m);
	if (!cli->host.gdb || gdb_serve(cli->machine.gdb, cli->host.gdb, error))
		return true;
	g_prefix_error(error, "-gdb %s: ", cli->host.gdb);
	return false;
}

/* The machine is there: monitors, signals, and leave for the background. */
static bool attend(Cli *cli, HostSide *host, Machine *m, Monitors *monitors, int ready_fd,
	GError **error)
{
	for (unsigned i = 0; i < host->monitors->len; i++)
		if (!add_monitor(monitors, &g_array_index(host->monitors, HostMonitor, i), m, error))
			return false;
	if (!serve_debuggers(cli, host, m, error) || !displays_open(cli, m, error))
		return false;
	chardev_set_on_quit(host->chardevs, on_quit_key, m);
	g_unix_signal_add(SIGINT, on_signal, m);
	g_unix_signal_add(SIGTERM, on_signal, m);
	g_unix_signal_add(SIGHUP, on_signal, m);
	advise_memory(&cli->host, &machine_board(m)->arena);
	if (ready_fd >= 0)
		host_daemon_ready(ready_fd);
	return true;
}

static bool start_log(const HostConfig *h, GError **error)
{
	if (!log_set_filter(h->log_filter, error))
		return false;
	const char *file = h->trace_file ? h->trace_file : h->log_file;
	if (file && !log_set_file(file, error)) {
		g_prefix_error(error, "%s %s: ", h->trace_file ? "-trace file" : "-D", file);
		return false;
	}
	log_set_items(h->log_items);
	return true;
}

static bool run(Cli *cli, int *status, GError **error)
{
	HostSide host = { NULL };
	int ready_fd = -1;
	if (cli->host.daemonize && !host_daemonize(&ready_fd, error))
		return false;
	/* Absolute, as a daemon changes its directory. */
	char *pidfile = cli->host.pidfile ? g_canonicalize_filename(cli->host.pidfile, NULL) : NULL;
	if (pidfile && !host_pidfile(pidfile, error)) {
		g_free(pidfile);
		return false;
	}
	if (cli->host.process_name)
		prctl(PR_SET_NAME, cli->host.process_name);
	bool ok = start_log(&cli->host, error) && host_open(&host, cli, error);
	if (ok) {
		if (cli->accel_note)
			g_printerr("%s\n", cli->accel_note);
		Monitors monitors;
		monitors_init(&monitors);
		Machine *m = machine_new(&cli->machine, error);
		ok = m && attend(cli, &host, m, &monitors, ready_fd, error);
		if (ok)
			*status = machine_run(m);
		if (m)
			displays_close(m);
		gdb_free(cli->machine.gdb);
		monitors_free(&monitors);
		machine_free(m);
		host_close(&host);
	}
	if (pidfile)
		unlink(pidfile);
	g_free(pidfile);
	return ok;
}

static bool write_config(const Cli *cli, GError **error)
{
	const char *path = cli->host.write_config, *text = cli->host.write_config_text;
	if (!path)
		return true;
	if (!strcmp(path, "-"))
		return fputs(text, stdout) >= 0;
	return g_file_set_contents(path, text, -1, error);
}

int main(int argc, char **argv)
{
	Cli cli;
	GError *error = NULL;
	int status = 1;
	signal(SIGPIPE, SIG_IGN); /* whose peer is gone hears it from write() */
	cli_init(&cli);
	host_messages(&cli); /* until the options say more of them */
	bool ok = cli_parse(&cli, argc, argv, &error);
	host_messages(&cli);
	for (unsigned i = 0; ok && !cli.done && i < cli.warnings->len; i++)
		g_printerr("%s\n", (char *)g_ptr_array_index(cli.warnings, i));
	if (ok)
		ok = write_config(&cli, &error);
	if (ok && cli.done)
		status = fputs(cli.output->str, stdout) < 0 || fflush(stdout);
	else if (ok)
		ok = run(&cli, &status, &error);
	if (!ok) {
		g_printerr("%s\n", error->message);
		g_error_free(error);
	}
	cli_free(&cli);
	return status;
}
