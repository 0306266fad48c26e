/*
 * commands.c - viv-io's other commands: open, close, flush, map, alloc, info, truncate, sleep, ...
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/drive.h"
#include "block/opts.h"
#include "core/clock.h"
#include "core/units.h"
#include "tools/io/io.h"

bool io_size(const char *text, uint64_t *out)
{
	if (parse_size(text, 1, out) && *out <= INT64_MAX)
		return true;
	printf("Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n",
	       text);
	return false;
}

char *io_size_text(double bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned u = 0;
	while (bytes >= 1024 && u < G_N_ELEMENTS(units) - 1) {
		bytes /= 1024;
		u++;
	}
	char number[32];
	g_snprintf(number, sizeof(number), "%.3f", bytes);
	if (g_str_has_suffix(number, ".000"))
		*strchr(number, '.') = 0;
	return g_strdup_printf("%s %s", number, units[u]);
}

int io_wait(Session *s)
{
	while (s->running)
		fiber_queue_wait(&s->ended);
	return 0;
}

/* ---- open and close ---- */

static int do_close(Session *s, int argc, char **argv)
{
	io_wait(s);
	node_unref(s->node);
	s->node = NULL;
	return 0;
}

static bool flat_options(const char *text, json_t *opts)
{
	char **items = g_strsplit(text, ",", -1);
	bool ok = true;
	for (char **i = items; ok && *i; i++) {
		char *equals = strchr(*i, '=');
		if (equals)
			*equals = 0;
		ok = opts_put(opts, *i, equals ? equals + 1 : "on", NULL);
	}
	g_strfreev(items);
	return ok;
}

int io_open_image(Session *s, const char *name, const char *format, const char *cache,
		  const char *discard, bool image_opts, unsigned flags)
{
	bool direct = false, no_flush = false, write_cache = true;
	GError *error = NULL;
	if (s->node) {
		fprintf(stderr, "file open already, try 'help close'\n");
		return -EBUSY;
	}
	if (cache && !cache_mode(cache, &direct, &no_flush, &write_cache)) {
		fprintf(stderr, "%s: Invalid cache option: %s\n", g_get_prgname(), cache);
		return -EINVAL;
	}
	json_t *opts = json_object();
	if (format)
		json_object_set_new(opts, "driver", json_string(format));
	if (image_opts)
		flat_options(name, opts);
	bool unmap = !discard || (!strcmp(discard, "unmap") || !strcmp(discard, "on"));
	flags |=
	    (direct ? NODE_DIRECT : 0) | (no_flush ? NODE_NO_FLUSH : 0) | (unmap ? NODE_UNMAP : 0);
	s->write_cache = write_cache;
	s->node = node_open(loop_main(), image_opts ? NULL : name, opts, flags, &error);
	if (s->node)
		return 0;
	fflush(stdout);
	fprintf(stderr, "%s: can't open%s%s: %s\n", g_get_prgname(), name ? " device " : "",
		name ? name : "", error->message);
	g_error_free(error);
	return -EIO;
}

int io_copy_on_read(Session *s)
{
	GError *error = NULL;
	if (s->node->read_only)
		return 0;
	s->node = node_open_copy_on_read(s->node, s->node->flags, &error);
	if (s->node)
		return 0;
	fprintf(stderr, "%s: %s\n", g_get_prgname(), error->message);
	g_error_free(error);
	return -EIO;
}

static int do_open(Session *s, int argc, char **argv)
{
	unsigned flags = NODE_WRITE;
	const char *cache = NULL, *discard = NULL, *words = NULL;
	bool snapshot = false, copy = false;
	int opt;
	optind = 0;
	while ((opt = getopt(argc, argv, "sCnrkt:d:o:U")) != -1) {
		switch (opt) {
		case 's': snapshot = true; break;
		case 'C': copy = true; break;
		case 'n': cache = "none"; break;
		case 'r': flags &= ~(unsigned)NODE_WRITE; break;
		case 'k': break; /* requests go through io_uring in any case */
		case 't': cache = optarg; break;
		case 'd': discard = optarg; break;
		case 'o': words = optarg; break;
		case 'U': flags = (flags & ~(unsigned)NODE_WRITE) | NODE_SHARE; break;
		default: return -EINVAL;
		}
	}
	const char *name = words ? words : argc > optind ? argv[optind] : NULL;
	if (!name) {
		puts("open: a path or -o OPTIONS is needed");
		return -EINVAL;
	}
	int err = io_open_image(s, name, NULL, cache, discard, words, snapshot ? 0 : flags);
	if (err < 0 || !snapshot)
		return err < 0 || !copy ? err : io_copy_on_read(s);
	GError *error = NULL;
	s->node = node_open_overlay(s->node, &error);
	if (s->node)
		return copy ? io_copy_on_read(s) : 0;
	fprintf(stderr, "%s: %s\n", g_get_prgname(), error->message);
	g_error_free(error);
	return -EIO;
}

static int do_reopen(Session *s, int argc, char **argv)
{
	bool writable = !s->node->read_only;
	GError *error = NULL;
	int opt;
	optind = 0;
	while ((opt = getopt(argc, argv, "rwc:")) != -1) {
		bool direct, no_flush;
		if (opt == 'r' || opt == 'w') {
			writable = opt == 'w';
		} else if (opt != 'c' || !cache_mode(optarg, &direct, &no_flush, &s->write_cache)) {
			puts("reopen [-r|-w] [-c cache]");
			return -EINVAL;
		}
	}
	io_wait(s);
	if (node_set_writable(s->node, writable, &error))
		return 0;
	fprintf(stderr, "%s: %s\n", g_get_prgname(), error->message);
	g_error_free(error);
	return -EIO;
}

/* ---- looking ---- */

static int do_length(Session *s, int argc, char **argv)
{
	char *text = io_size_text((double)s->node->length);
	puts(text);
	g_free(text);
	return 0;
}

static void print_member(const char *name, json_t *value, int indent)
{
	const char *key;
	json_t *member;
	char *words = g_strdelimit(g_strdup(name), "-", ' ');
	printf("%*s%s:", indent, "", words);
	g_free(words);
	if (json_is_object(value)) {
		putchar('\n');
		json_object_foreach(value, key, member)
			print_member(key, member, indent + 4);
		return;
	}
	if (json_is_string(value)) {
		printf(" %s\n", json_string_value(value));
		return;
	}
	char *text = json_dumps(value, JSON_ENCODE_ANY);
	printf(" %s\n", text);
	free(text);
}

static int do_info(Session *s, int argc, char **argv)
{
	NodeInfo info = { 0 };
	printf("format name: %s\n", s->node->driver->name);
	if (s->node->driver->info)
		s->node->driver->info(s->node, &info);
	char *cluster = io_size_text((double)info.cluster_size),
	     *state = io_size_text((double)info.vm_state_offset);
	printf("cluster size: %s\nvm state offset: %s\n", cluster, state);
	g_free(cluster);
	g_free(state);
	json_t *specific = s->node->driver->specific ? s->node->driver->specific(s->node) : NULL;
	json_t *data = json_object_get(specific, "data");
	if (json_object_size(data)) {
		const char *key;
		json_t *member;
		puts("Format specific information:");
		json_object_foreach(data, key, member)
			print_member(key, member, 4);
	}
	json_decref(specific);
	return 0;
}

static int do_map(Session *s, int argc, char **argv)
{
	Node *node = s->node;
	for (uint64_t at = 0; at < node->length;) {
		NodeStatus st;
		uint64_t len = 0;
		unsigned kind = 0;
		/* Neighbours of one kind are one line. */
		while (at + len < node->length) {
			int err = node_status(node, at + len, node->length - at - len, false, &st);
			if (err < 0) {
				printf("Failed to get allocation status: %s\n", g_strerror(-err));
				return err;
			}
			if (len && (st.flags & STATUS_ALLOCATED) != kind)
				break;
			kind = st.flags & STATUS_ALLOCATED;
			len += st.bytes;
		}
		char *size = io_size_text((double)len), *offset = io_size_text((double)at);
		printf("%s (0x%" G_GINT64_MODIFIER
		       "x) bytes %s allocated at offset %s (0x%" G_GINT64_MODIFIER "x)\n",
		       size, len, kind ? "   " : "not", offset, at);
		g_free(size);
		g_free(offset);
		at += len;
	}
	return 0;
}

static int do_alloc(Session *s, int argc, char **argv)
{
	uint64_t offset, count = SECTOR, sum = 0;
	if (!io_size(argv[1], &offset) || (argc > 2 && !io_size(argv[2], &count)))
		return -EINVAL;
	for (uint64_t at = 0; at < count;) {
		NodeStatus st;
		int err = node_status(s->node, offset + at, count - at, false, &st);
		if (err < 0) {
			printf("is_allocated failed: %s\n", g_strerror(-err));
			return err;
		}
		if (!st.bytes)
			break;
		sum += st.flags & STATUS_ALLOCATED ? st.bytes : 0;
		at += st.bytes;
	}
	char *text = io_size_text((double)offset);
	printf("%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " bytes allocated at offset %s\n", sum,
	       count, text);
	g_free(text);
	return 0;
}

/* ---- the rest ---- */

static int do_flush(Session *s, int argc, char **argv)
{
	int err = node_flush(s->node);
	if (err < 0)
		printf("flush: %s\n", g_strerror(-err));
	return err;
}

static int do_aio_flush(Session *s, int argc, char **argv)
{
	io_wait(s);
	return do_flush(s, argc, argv);
}

static int do_truncate(Session *s, int argc, char **argv)
{
	static const char *const modes[] = { "off", "metadata", "falloc", "full", NULL };
	GError *error = NULL;
	int mode = 0, opt;
	uint64_t length;
	optind = 0;
	while ((opt = getopt(argc, argv, "m:")) != -1) {
		for (mode = 0; opt == 'm' && modes[mode] && strcmp(modes[mode], optarg);)
			mode++;
		if (opt != 'm' || !modes[mode]) {
			puts("truncate [-m off|metadata|falloc|full] off");
			return -EINVAL;
		}
	}
	if (argc - optind != 1 || !io_size(argv[optind], &length))
		return -EINVAL;
	if (node_truncate(s->node, length, false, (Prealloc)mode, &error))
		return 0;
	fprintf(stderr, "%s: %s\n", g_get_prgname(), error->message);
	g_error_free(error);
	return -EIO;
}

static int do_sleep(Session *s, int argc, char **argv)
{
	uint64_t ms;
	if (!io_size(argv[1], &ms))
		return -EINVAL;
	loop_sleep((int64_t)MIN(ms, 86400000) * 1000000);
	return 0;
}

static int do_abort(Session *s, int argc, char **argv)
{
	abort();
}

static int do_sigraise(Session *s, int argc, char **argv)
{
	int signal = atoi(argv[1]);
	fflush(stdout);
	return raise(signal) ? -EINVAL : 0;
}

static int do_quit(Session *s, int argc, char **argv)
{
	return s->quit = true, 0;
}

static void print_help(const IoCommand *c)
{
	printf("%s %s%s-- %s\n", c->name, c->args, *c->args ? " " : "", c->help);
}

static int do_help(Session *s, int argc, char **argv)
{
	const IoCommand *const tables[] = { io_commands, io_transfer_commands };
	bool found = false;
	for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++)
		for (const IoCommand *c = tables[t]; c->name; c++)
			if (argc < 2 || !strcmp(argv[1], c->name)) {
				print_help(c);
				found = true;
			}
	if (!found)
		printf("command %s not found\n", argv[1]);
	else if (argc < 2)
		puts("\nUse 'help commandname' for extended help.");
	return found ? 0 : -EINVAL;
}

const IoCommand io_commands[] = {
    {"abort", "", "simulate a program crash using abort(3)", 0, 0, false, do_abort},
    {"aio_flush", "", "completes all outstanding aio requests", 0, 0, true, do_aio_flush},
    {"alloc", "offset [count]", "checks if offset is allocated in the file", 1, 2, true, do_alloc},
    {"close", "", "close the current open file", 0, 0, true, do_close},
    {"flush", "", "flush all in-core file state to disk", 0, 0, true, do_flush},
    {"help", "[command]", "help for one or all commands", 0, 1, false, do_help},
    {"info", "", "prints information about the current file", 0, 0, true, do_info},
    {"length", "", "gets the length of the current file", 0, 0, true, do_length},
    {"map", "", "prints the allocated areas of a file", 0, 0, true, do_map},
    {"open", "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
     "open the file specified by path", 0, 0, false, do_open},
    {"q", "", "exit the program", 0, 0, false, do_quit},
    {"quit", "", "exit the program", 0, 0, false, do_quit},
    {"reopen", "[(-r|-w)] [-c cache]", "reopens an image with new options", 0, 0, true, do_reopen},
    {"sigraise", "signal", "raises a signal", 1, 1, false, do_sigraise},
    {"sleep", "milliseconds", "waits for the given value in milliseconds", 1, 1, false, do_sleep},
    {"truncate", "[-m prealloc_mode] off", "truncates the current file at the given offset", 1, 0,
     true, do_truncate},
    {0}};
