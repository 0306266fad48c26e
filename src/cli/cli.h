/*
 * cli.h - from argv to a machine's configuration and what its host side needs.
 *
 * Main thread, before any other thread exists.
 */
#ifndef VIV_CLI_CLI_H
#define VIV_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "chardev/set.h"
#include "machine/config.h"
#include "machine/machine.h"

/* A monitor that was asked for. */
typedef struct MonitorConfig {
	char *words;               /* its character device, as -serial takes it */
	bool control, pretty;      /* QMP, with line breaks and indentation */
} MonitorConfig;

/* What the options say about everything but the machine. Strings are owned. */
typedef struct HostConfig {
	bool serial_given, parallel_given, monitor_given, no_user_config;
	GPtrArray *serials, *parallels; /* char *: -serial, -parallel; "none" leaves a place out */
	GPtrArray *monitors;       /* MonitorConfig *: -monitor, -qmp, -mon, without "none" */
	GPtrArray *chardevs;       /* char *: -chardev's whole text */
	char *debugcon;
	char *gdb;             /* words of the device that debuggers come by; NULL: none */
	bool nographic, display_given;
	GPtrArray *vncs;           /* char *: -vnc */
	char *web;                 /* -display web...; NULL: none */
	char *layout;              /* -k; NULL: en-us */
	bool daemonize;
	char *pidfile, *process_name;
	bool debug_threads;        /* threads always carry names; kept for --print-config */
	unsigned log_items;        /* LOG_* */
	char *log_file, *log_filter;
	char *trace_file;          /* instead of log_file; the events are core/trace.h's */
	bool msg_timestamp, msg_guest_name;
	Tri mem_merge, dump_guest_core;
	bool print_config;
	char *write_config;
	char *write_config_text;   /* made when the options were complete */
} HostConfig;

typedef struct Cli {
	char *program;             /* "viv", for messages */
	MachineConfig machine;
	HostConfig host;
	/* While options are read */
	GPtrArray *numa;           /* GArray *: items of each -numa */
	bool accel_in_machine, accel_option;
	int irqchip;               /* of kernel-irqchip=: 0 on, 1 off, 2 split; -1 not given */
	char *accel_note;          /* why the default is not KVM; NULL: nothing to say */
	GString *output;           /* what help and --print-config print on stdout */
	bool done;                 /* nothing is to be run: print `output`, exit 0 */
	GPtrArray *warnings;       /* char * */
} Cli;

void cli_init(Cli *cli);
void cli_free(Cli *cli);
/*
 * Reads all options and completes the configuration: defaults, accelerator, serial lines.
 * True with cli->done: print cli->output and leave. False with *error: a sentence that
 * begins with the option.
 */
bool cli_parse(Cli *cli, int argc, char **argv, GError **error);
void cli_warn(Cli *cli, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The effective machine as one shell-quoted command line. Appends. */
void cli_print_config(const Cli *cli, GString *out);
/* The same as a -readconfig file; what such a file cannot say stands in comments. */
void cli_write_config(const Cli *cli, GString *out);

/* ---- host.c: the host side, when the options are complete ---- */

/* A monitor's place: a device that is open. */
typedef struct HostMonitor {
	Chardev *c;
	bool control, pretty;
} HostMonitor;

typedef struct HostSide {
	ChardevSet *chardevs;      /* shown to the machine, which must go first */
	GArray *monitors;          /* HostMonitor */
} HostSide;

/*
 * Opens files and terminals and fills the machine's chardev names in. False with *error:
 * nothing is open.
 */
bool host_open(HostSide *host, Cli *cli, GError **error);
void host_close(HostSide *host);
/*
 * Opens the displays that the options name, on m's screens. False with *error; displays_close
 * is due in any case, while m is there.
 */
bool displays_open(const Cli *cli, Machine *m, GError **error);
void displays_close(Machine *m);
/* Writes and locks the pid file. */
bool host_pidfile(const char *path, GError **error);
/* Forks; returns in the child with *ready_fd >= 0. The parent exits with the child's verdict. */
bool host_daemonize(int *ready_fd, GError **error);
/* In the child, the machine is there: the parent may exit, and the terminal is let go. */
void host_daemon_ready(int ready_fd);
/* Sends g_printerr() to stderr as "viv: ..." with time and guest name as -msg asks. */
void host_messages(const Cli *cli);

#endif
