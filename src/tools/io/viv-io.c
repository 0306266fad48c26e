/*
 * viv-io.c - pokes at one disk image, in qemu-io's words: commands by -c or from standard input.
 *
 * Main thread; the session is a fiber of the main loop.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/secret.h"
#include "core/version.h"
#include "tools/io/io.h"

static const IoCommand *find(const char *name)
{
	const IoCommand *const tables[] = { io_commands, io_transfer_commands };
	for (unsigned t = 0; t < G_N_ELEMENTS(tables); t++)
		for (const IoCommand *c = tables[t]; c->name; c++)
			if (!strcmp(c->name, name))
				return c;
	return NULL;
}

void io_line(Session *s, const char *line)
{
	char **words = g_strsplit_set(line, " \t\n", -1);
	GPtrArray *argv = g_ptr_array_new();
	for (char **w = words; *w; w++)
		if (**w)
			g_ptr_array_add(argv, *w);
	int argc = (int)argv->len;
	g_ptr_array_add(argv, NULL);
	const IoCommand *c = argc ? find(argv->pdata[0]) : NULL;
	bool ok = !argc;
	fflush(stdout);
	if (argc && !c)
		fprintf(stderr, "command \"%s\" not found\n", (char *)argv->pdata[0]);
	else if (c && c->needs_image && !s->node)
		fprintf(stderr, "no file open, try 'help open'\n");
	else if (c && ((unsigned)argc - 1 < c->min ||
		       (c->max && (unsigned)argc - 1 > c->max && !strchr(c->args, '['))))
		fprintf(stderr, "bad argument count %d to %s, expected at least %u arguments\n",
			argc - 1, c->name, c->min);
	else if (c)
		ok = c->run(s, argc, (char **)argv->pdata) >= 0;
	if (!ok)
		s->failed = 1;
	g_ptr_array_free(argv, TRUE);
	g_strfreev(words);
}

typedef struct Args {
	GPtrArray *commands;
	const char *file, *format, *cache, *discard;
	bool image_opts, snapshot, copy_on_read;
	unsigned flags;
	int status;
} Args;

static void interactive(Session *s)
{
	char *line = NULL;
	size_t size = 0;
	bool prompt = isatty(STDIN_FILENO);
	while (!s->quit) {
		if (prompt)
			printf("%s> ", g_get_prgname());
		fflush(stdout);
		if (getline(&line, &size, stdin) < 0)
			break;
		io_line(s, line);
		/* What was begun may end while the next line is typed. */
		loop_yield();
	}
	free(line);
}

static void session(void *opaque)
{
	Args *a = opaque;
	Session s = { .write_cache = true };
	if (a->file && io_open_image(&s, a->file, a->format, a->cache, a->discard, a->image_opts,
				     a->snapshot ? 0 : a->flags) < 0) {
		a->status = 1;
		return;
	}
	GError *error = NULL;
	if (a->snapshot && s.node && !(s.node = node_open_overlay(s.node, &error))) {
		fprintf(stderr, "%s: %s\n", g_get_prgname(), error->message);
		g_error_free(error);
		a->status = 1;
		return;
	}
	if (a->copy_on_read && s.node && io_copy_on_read(&s) < 0) {
		a->status = 1;
		return;
	}
	for (unsigned i = 0; i < a->commands->len && !s.quit; i++)
		io_line(&s, g_ptr_array_index(a->commands, i));
	if (!a->commands->len)
		interactive(&s);
	io_wait(&s);
	node_unref(s.node);
	a->status = s.failed;
}

static void usage(void)
{
	printf("Usage: %s [OPTIONS]... [-c STRING]... [file]\nDisk image exerciser\n\n"
	       "  --object OBJECTDEF   define a secret\n  --image-opts         treat file as "
	       "option string\n"
	       "  -c, --cmd STRING     execute the command in STRING\n  -f, --format FMT     the "
	       "image's format\n"
	       "  -r, --read-only      open for reading only\n  -s, --snapshot       write to a "
	       "temporary file\n"
	       "  -C, --copy-on-read   keep what is read from backing files\n"
	       "  -n, --nocache        the same as -t none\n  -t, --cache=MODE     cache mode\n"
	       "  -d, --discard=MODE   discard mode\n  -i, --aio=MODE       threads, native or "
	       "io_uring\n"
	       "  -U, --force-share    do not lock the image\n"
	       "  -h, --help           this text\n  -V, --version        version\n\nSee '%s -c "
	       "help' for the commands.\n",
	       g_get_prgname(), g_get_prgname());
}

static bool option(Args *a, int opt)
{
	GError *error = NULL;
	switch (opt) {
	case 'c': g_ptr_array_add(a->commands, optarg); return true;
	case 'f': a->format = optarg; return true;
	case 'r': a->flags &= ~(unsigned)NODE_WRITE; return true;
	case 's': return a->snapshot = true;
	case 'C': return a->copy_on_read = true;
	case 'n': a->cache = "none"; return true;
	case 't': a->cache = optarg; return true;
	case 'd': a->discard = optarg; return true;
	case 'k': return true; /* requests go through io_uring in any case */
	case 'i':
		if (!strcmp(optarg, "threads"))
			g_setenv("VIV_NO_URING", "1", TRUE);
		return !strcmp(optarg, "threads") || !strcmp(optarg, "native") ||
		       !strcmp(optarg, "io_uring");
	case 'U': a->flags = (a->flags & ~(unsigned)NODE_WRITE) | NODE_SHARE; return true;
	case 256: return a->image_opts = true;
	case 257:
		if (secret_add(optarg, &error))
			return true;
		fprintf(stderr, "%s: %s\n", g_get_prgname(), error->message);
		g_error_free(error);
		return false;
	default: return false;
	}
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'V'},
					      {"cmd", required_argument, NULL, 'c'},
					      {"format", required_argument, NULL, 'f'},
					      {"read-only", no_argument, NULL, 'r'},
					      {"snapshot", no_argument, NULL, 's'},
					      {"copy-on-read", no_argument, NULL, 'C'},
					      {"nocache", no_argument, NULL, 'n'},
					      {"native-aio", no_argument, NULL, 'k'},
					      {"aio", required_argument, NULL, 'i'},
					      {"discard", required_argument, NULL, 'd'},
					      {"cache", required_argument, NULL, 't'},
					      {"force-share", no_argument, NULL, 'U'},
					      {"image-opts", no_argument, NULL, 256},
					      {"object", required_argument, NULL, 257},
					      {0}};
	Args a = { .commands = g_ptr_array_new(), .flags = NODE_WRITE };
	char *name = g_path_get_basename(argv[0]);
	int opt;
	g_set_prgname(name);
	g_free(name);
	while ((opt = getopt_long(argc, argv, "hVc:d:f:rsCnki:t:U", longs, NULL)) != -1) {
		if (opt == 'h') {
			usage();
			return 0;
		}
		if (opt == 'V') {
			printf("viv-io version %s (Vivarium)\n", VIV_VERSION);
			return 0;
		}
		if (!option(&a, opt)) {
			fprintf(stderr, "Try '%s --help' for more information.\n", g_get_prgname());
			return 1;
		}
	}
	if (argc - optind > 1) {
		fprintf(stderr, "%s: one file at most\n", g_get_prgname());
		return 1;
	}
	a.file = optind < argc ? argv[optind] : NULL;
	loop_call(loop_main(), session, &a);
	g_ptr_array_free(a.commands, TRUE);
	return fflush(stdout) ? 1 : a.status;
}
