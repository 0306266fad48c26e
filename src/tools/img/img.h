/*
 * img.h - what the commands of viv-img share.
 *
 * Every command runs as one fiber of the main loop, so that it may call node_*() directly; its
 * result is the exit status. Nothing here is called by another thread.
 */
#ifndef VIV_TOOLS_IMG_H
#define VIV_TOOLS_IMG_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "block/node.h"

typedef struct ImgCommand {
	const char *name, *usage;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
} ImgCommand;

int img_amend(int argc, char **argv), img_bench(int argc, char **argv),
    img_bitmap(int argc, char **argv), img_check(int argc, char **argv),
    img_commit(int argc, char **argv), img_compare(int argc, char **argv),
    img_convert(int argc, char **argv), img_create(int argc, char **argv),
    img_dd(int argc, char **argv), img_info(int argc, char **argv), img_map(int argc, char **argv),
    img_measure(int argc, char **argv), img_snapshot(int argc, char **argv),
    img_rebase(int argc, char **argv), img_resize(int argc, char **argv);

/* "viv-img: message" on stderr; gives 1, so that a command may return it. */
int img_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* The same of *error, which is freed; `prefix` may be NULL. */
int img_gerror(GError *error, const char *prefix);
/* What getopt says about a bad word. */
int img_usage(const char *command);

/* How an image is to be opened. */
typedef struct ImgOpen {
	const char *format;     /* NULL: probed */
	const char *cache;      /* NULL: writeback */
	bool image_opts;        /* the name is "driver=...,file.filename=..." */
	unsigned flags;         /* NODE_WRITE, NODE_SHARE, NODE_NO_BACKING, ... */
} ImgOpen;
/* NULL: an error was printed. The reference is the caller's. */
Node *img_open(const char *name, const ImgOpen *how);
/*
 * One of getopt's answers that mean the same everywhere: -f, -U, -T, --image-opts, --object. False: an error
 * was printed, also for what no case of the command's own has taken.
 */
bool img_option(const char *command, int opt, ImgOpen *how);
/* Takes over --object words; false: an error was printed. Only secrets exist. */
bool img_object(const char *words);
/* A size with an optional suffix; false: an error naming `what` was printed. */
bool img_size(const char *text, const char *what, uint64_t *out);
/* --output=human|json; false: an error was printed. */
bool img_output(const char *text, bool *json);
/* Prints and frees it, as qemu-img indents. */
void img_print_json(json_t *value);
/* key=value,... of -o into `opts`; "help" lists the driver's options and sets *help. */
bool img_options(const char *text, const Driver *driver, json_t *opts, bool *help);
/* The table that -o help prints. */
void img_option_help(const Driver *driver);
/* Is there something at `filename` that --no-clobber protects? Then an error was printed. */
bool img_clobbers(const char *filename);

/* -p: a line that is written over. */
typedef struct ImgProgress { bool on; double shown; } ImgProgress;
void img_progress(ImgProgress *p, uint64_t done, uint64_t total);
void img_progress_end(ImgProgress *p);
/* Sleeps until `done` bytes since `begun` (host_now) are within `rate` a second; 0: no limit. */
void img_hold_rate(uint64_t rate, int64_t begun, uint64_t done);

/* Options that many commands have, as getopt_long values. */
enum { OPT_OBJECT = 256, OPT_IMAGE_OPTS, OPT_OUTPUT, OPT_NO_CLOBBER, OPT_LOCAL };
#define IMG_LONG_OPTIONS                                                                           \
	{"help", no_argument, NULL, 'h'}, {"object", required_argument, NULL, OPT_OBJECT},         \
	    {"image-opts", no_argument, NULL, OPT_IMAGE_OPTS},                                     \
	{                                                                                          \
		"force-share", no_argument, NULL, 'U'                                              \
	}

#endif
