/*
 * viv-img.c - makes, inspects, converts and repairs disk images, in qemu-img's words.
 *
 * Main thread; the command is a fiber of the main loop.
 */
#include <stdio.h>
#include <string.h>

#include "core/version.h"
#include "tools/img/img.h"

static const ImgCommand commands[] = {
    {"amend",
     "[--object OBJECT] [--image-opts] [-p] [-q] [-f FMT] [-t CACHE] [--force] -o OPTIONS FILE",
     img_amend},
    {"bench",
     "[-c COUNT] [-d DEPTH] [-f FMT] [--flush-interval=N] [-i AIO] [-n] [--no-drain] [-o OFFSET]\n"
     "        [--pattern=N] [-q] [-s SIZE] [-S STEP] [-t CACHE] [-w] [-U] FILE",
     img_bench},
    {"bitmap",
     "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)...\n"
     "        [-b SOURCE_FILE [-F SOURCE_FMT]] [-g GRANULARITY] [--image-opts | -f FMT] FILE "
     "BITMAP",
     img_bitmap},
    {"check",
     "[--image-opts] [-q] [-f FMT] [--output=human|json] [-r leaks|all] [-T CACHE] [-U] FILE",
     img_check},
    {"commit", "[--image-opts] [-q] [-f FMT] [-t CACHE] [-b BASE] [-r RATE] [-d] [-p] FILE",
     img_commit},
    {"compare", "[--image-opts] [-f FMT] [-F FMT] [-T CACHE] [-p] [-q] [-s] [-U] FILE1 FILE2",
     img_compare},
    {"convert",
     "[--image-opts] [--target-image-opts] [--target-is-zero] [--bitmaps] [-U] [-C] [-c] [-p] [-q] "
     "[-n]\n"
     "        [-f FMT] [-t CACHE] [-T SRC_CACHE] [-O FMT] [-B BACKING [-F FMT]] [-o OPTIONS] [-l "
     "SNAPSHOT]\n"
     "        [-S SPARSE_SIZE] [-r RATE] [-m JOBS] [-W] [--salvage] [--no-clobber] FILE... OUTPUT",
     img_convert},
    {"create",
     "[--object OBJECT] [-q] [-f FMT] [-b BACKING [-F FMT]] [-u] [-o OPTIONS] [--no-clobber] FILE "
     "[SIZE]",
     img_create},
    {"dd", "[--image-opts] [-U] [-f FMT] [-O FMT] [bs=SIZE] [count=N] [skip=N] if=INPUT of=OUTPUT",
     img_dd},
    {"info", "[--image-opts] [-f FMT] [--output=human|json] [--backing-chain] [-U] FILE", img_info},
    {"map",
     "[--image-opts] [-f FMT] [--start-offset=N] [--max-length=N] [--output=human|json] [-U] FILE",
     img_map},
    {"measure",
     "[--output=human|json] [-O FMT] [-o OPTIONS] [--size N | [--image-opts] [-f FMT] [-l "
     "SNAPSHOT] FILE]",
     img_measure},
    {"snapshot", "[--image-opts] [-U] [-q] [-l | -a SNAPSHOT | -c SNAPSHOT | -d SNAPSHOT] FILE",
     img_snapshot},
    {"rebase",
     "[--image-opts] [-U] [-q] [-f FMT] [-t CACHE] [-T SRC_CACHE] [-p] [-u] -b BACKING [-F FMT] "
     "FILE",
     img_rebase},
    {"resize", "[--image-opts] [-f FMT] [--preallocation=MODE] [-q] [--shrink] FILE [+|-]SIZE",
     img_resize},
};

static void help(void)
{
	printf("usage: %s [-h | -V] COMMAND [OPTIONS]\nDisk image utility\n\nCommands:\n",
	       g_get_prgname());
	for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++)
		printf("  %s %s\n", commands[i].name, commands[i].usage);
	printf("\nFormats with create:");
	for (const Driver *const *d = block_drivers; *d; d++)
		if ((*d)->create && !(*d)->protocol)
			printf(" %s", (*d)->name);
	printf("\nFormats:");
	for (const Driver *const *d = block_drivers; *d; d++)
		printf(" %s", (*d)->name);
	puts("\n\nSizes take the suffixes k, M, G, T, P and E. See viv-img(1).");
}

typedef struct Call { const ImgCommand *command; int argc; char **argv; int status; } Call;

static void call(void *opaque)
{
	Call *c = opaque;
	c->status = c->command->run(c->argc, c->argv);
}

int main(int argc, char **argv)
{
	char *name = g_path_get_basename(argv[0]);
	g_set_prgname(name);
	g_free(name);
	if (argc < 2) {
		img_error("Not enough arguments");
		return img_usage("viv-img");
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		help();
		return 0;
	}
	if (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version")) {
		printf("viv-img version %s (Vivarium)\n", VIV_VERSION);
		return 0;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (strcmp(commands[i].name, argv[1]))
			continue;
		Call c = { &commands[i], argc - 1, argv + 1, 1 };
		if (argc > 2 && (!strcmp(argv[2], "-h") || !strcmp(argv[2], "--help"))) {
			printf("usage: %s %s %s\n", g_get_prgname(), commands[i].name,
			       commands[i].usage);
			return 0;
		}
		loop_call(loop_main(), call, &c);
		return fflush(stdout) || ferror(stdout) ? 1 : c.status;
	}
	img_error("Command not found: %s", argv[1]);
	return img_usage("viv-img");
}
