/*
 * bench.c - viv-img bench and bitmap: how fast an image is; its dirty bitmaps.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "tools/img/img.h"

/* ---- bench ---- */

typedef struct Bench {
	Node *node;
	uint64_t offset, size, step, left, since_flush, flush_interval;
	unsigned depth, running;
	int pattern, err;
	bool write, no_drain;
	FiberQueue ended;
	FiberRwLock drain;  /* requests read, a flush writes */
} Bench;

/* After the requests before it, unless --no-drain. */
static int bench_flush(Bench *b)
{
	if (!b->no_drain)
		fiber_wrlock(&b->drain);
	int err = node_flush(b->node);
	if (!b->no_drain)
		fiber_wrunlock(&b->drain);
	return err;
}

static void bench_worker(void *opaque)
{
	Bench *b = opaque;
	void *buf = NULL;
	if (posix_memalign(&buf, 4096, b->size)) {
		b->err = -ENOMEM;
		b->left = 0;
	} else {
		memset(buf, b->pattern, b->size);
	}
	while (b->left && !b->err) {
		struct iovec v = { buf, b->size };
		uint64_t at = b->offset;
		b->left--;
		b->offset += b->step;
		if (b->offset > b->node->length - b->size)
			b->offset = b->step < b->node->length ? b->offset % b->step : 0;
		fiber_rdlock(&b->drain);
		int err = b->write ? node_write(b->node, at, iov_one(&v), 0)
				   : node_read(b->node, at, iov_one(&v));
		fiber_rdunlock(&b->drain);
		if (err >= 0 && b->flush_interval && ++b->since_flush % b->flush_interval == 0)
			err = bench_flush(b);
		if (err < 0)
			b->err = err;
	}
	free(buf);
	b->running--;
	fiber_queue_wake_all(&b->ended);
}

static int bench(Bench *b, uint64_t count, bool quiet)
{
	if (b->node->length < b->size)
		return img_error("The image is smaller than one request");
	if (!quiet)
		printf("Sending %" G_GUINT64_FORMAT " %s requests, %" G_GUINT64_FORMAT
		       " bytes each, %u in parallel (starting at offset %" G_GUINT64_FORMAT
		       ", step size %" G_GUINT64_FORMAT ")\n",
		       count, b->write ? "write" : "read", b->size, b->depth, b->offset, b->step);
	if (!quiet && b->flush_interval)
		printf("Sending flush every %" G_GUINT64_FORMAT " requests\n", b->flush_interval);
	int64_t begun = host_now();
	b->left = count;
	b->running = b->depth;
	for (unsigned i = 0; i < b->depth; i++)
		fiber_start(bench_worker, b);
	while (b->running)
		fiber_queue_wait(&b->ended);
	if (b->err < 0)
		return img_error("Failed request: %s", g_strerror(-b->err));
	printf("Run completed in %3.3f seconds.\n", (double)(host_now() - begun) / NS_PER_SEC);
	return 0;
}

typedef struct BenchOptions {
	ImgOpen how;
	Bench b;
	uint64_t count;
	bool quiet;
	const char *aio;
} BenchOptions;

static bool bench_option(BenchOptions *o, int opt)
{
	uint64_t n = 0;
	switch (opt) {
	case 'f': o->how.format = optarg; return true;
	case 'q': return o->quiet = true;
	case 'w': return o->b.write = true;
	case 'n': o->how.cache = "none"; return true;
	case 't': o->how.cache = optarg; return true;
	case 'i': o->aio = optarg; return true;
	case 'U': o->how.flags |= NODE_SHARE; return true;
	case 'c': return img_size(optarg, "request count", &o->count);
	case 'o': return img_size(optarg, "offset", &o->b.offset);
	case 's': return img_size(optarg, "buffer size", &o->b.size);
	case 'S': return img_size(optarg, "step size", &o->b.step);
	case 'd':
		if (!img_size(optarg, "queue depth", &n))
			return false;
		o->b.depth = (unsigned)MIN(n, 4096);
		return true;
	case OPT_LOCAL: return img_size(optarg, "flush interval", &o->b.flush_interval);
	case OPT_LOCAL + 1:
		if (!img_size(optarg, "pattern byte", &n))
			return false;
		o->b.pattern = (int)(n & 0xff);
		return true;
	case OPT_LOCAL + 2: return o->b.no_drain = true;
	case OPT_IMAGE_OPTS: return o->how.image_opts = true;
	case OPT_OBJECT: return img_object(optarg);
	default: img_usage("bench"); return false;
	}
}

int img_bench(int argc, char **argv)
{
	static const struct option longs[] = {
	    IMG_LONG_OPTIONS,
	    {"flush-interval", required_argument, NULL, OPT_LOCAL},
	    {"pattern", required_argument, NULL, OPT_LOCAL + 1},
	    {"no-drain", no_argument, NULL, OPT_LOCAL + 2},
	    {0}};
	BenchOptions o = { .count = 75000, .b = { .size = 4096, .depth = 64 } };
	int opt;
	while ((opt = getopt_long(argc, argv, "hc:d:f:ni:o:qs:S:t:wU", longs, NULL)) != -1)
		if (!bench_option(&o, opt))
			return 1;
	if (optind != argc - 1)
		return img_error("Expecting one image file name");
	if (!o.b.write && o.b.flush_interval)
		return img_error("--flush-interval is only available in write tests");
	if (!o.b.depth || !o.b.size)
		return img_error("Queue depth and buffer size must not be zero");
	if (o.aio &&
	    (strcmp(o.aio, "threads") && strcmp(o.aio, "native") && strcmp(o.aio, "io_uring")))
		return img_error("Invalid aio option: %s. There are: threads, native, io_uring",
				 o.aio);
	if (o.aio && !strcmp(o.aio, "threads"))
		g_setenv("VIV_NO_URING", "1", TRUE);
	o.how.flags |= o.b.write ? NODE_WRITE | NODE_EXCLUSIVE : 0;
	o.b.step = o.b.step ? o.b.step : o.b.size;
	o.b.node = img_open(argv[optind], &o.how);
	int status = o.b.node ? bench(&o.b, o.count, o.quiet) : 1;
	node_unref(o.b.node);
	return status;
}

/* ---- bitmap ---- */

typedef struct Action { int what; const char *source; } Action;
enum { ADD = OPT_LOCAL, REMOVE, CLEAR, ENABLE, DISABLE, MERGE };

static bool act(Node *node, Node *other, const Action *a, const char *name, uint64_t granularity,
		GError **error)
{
	const Driver *d = node->driver;
	switch (a->what) {
	case ADD: return d->bitmap_add(node, name, granularity ? granularity : 65536, false, error);
	case REMOVE: return d->bitmap_remove(node, name, error);
	case CLEAR: return d->bitmap_clear(node, name, error);
	case ENABLE: return d->bitmap_enable(node, name, true, error);
	case DISABLE: return d->bitmap_enable(node, name, false, error);
	default: return d->bitmap_merge(node, name, other ? other : node, a->source, error);
	}
}

static int bitmap(Node *node, Node *other, const GArray *actions, const char *name,
		  uint64_t granularity)
{
	GError *error = NULL;
	static const char *const words[] = {"add", "remove", "clear", "enable", "disable", "merge"};
	if (!node->driver->bitmap_add)
		return img_error("Format driver '%s' does not support bitmaps", node->driver->name);
	for (unsigned i = 0; i < actions->len; i++) {
		const Action *a = &g_array_index(actions, Action, i);
		if (act(node, other, a, name, granularity, &error))
			continue;
		char *prefix =
		    g_strdup_printf("Operation %s on bitmap %s failed", words[a->what - ADD], name);
		img_gerror(error, prefix);
		g_free(prefix);
		return 1;
	}
	return 0;
}

int img_bitmap(int argc, char **argv)
{
	static const struct option longs[] = {IMG_LONG_OPTIONS,
					      {"add", no_argument, NULL, ADD},
					      {"remove", no_argument, NULL, REMOVE},
					      {"clear", no_argument, NULL, CLEAR},
					      {"enable", no_argument, NULL, ENABLE},
					      {"disable", no_argument, NULL, DISABLE},
					      {"merge", required_argument, NULL, MERGE},
					      {"granularity", required_argument, NULL, 'g'},
					      {"source-file", required_argument, NULL, 'b'},
					      {"source-format", required_argument, NULL, 'F'},
					      {0}};
	ImgOpen how = { .flags = NODE_WRITE | NODE_EXCLUSIVE }, source = { 0 };
	GArray *actions = g_array_new(FALSE, FALSE, sizeof(Action));
	const char *source_file = NULL;
	uint64_t granularity = 0;
	bool add = false;
	int opt;
	while ((opt = getopt_long(argc, argv, "b:f:F:g:hU", longs, NULL)) != -1) {
		if (opt >= ADD && opt <= MERGE) {
			Action a = { opt, optarg };
			g_array_append_val(actions, a);
			add |= opt == ADD;
			continue;
		}
		switch (opt) {
		case 'b': source_file = optarg; break;
		case 'F': source.format = optarg; break;
		case 'g':
			if (!img_size(optarg, "granularity", &granularity))
				return 1;
			break;
		default:
			if (!img_option("bitmap", opt, &how))
				return 1;
		}
	}
	if (argc - optind != 2)
		return img_error("Expecting filename and bitmap name");
	if (!actions->len)
		return img_error("Need at least one of --add, --remove, --clear, --enable, "
				 "--disable, or --merge");
	if (granularity && !add)
		return img_error("granularity only supported with --add");
	Node *other = source_file ? img_open(source_file, &source) : NULL;
	Node *node = source_file && !other ? NULL : img_open(argv[optind], &how);
	int status = node ? bitmap(node, other, actions, argv[optind + 1], granularity) : 1;
	node_unref(node);
	node_unref(other);
	g_array_free(actions, TRUE);
	return status;
}
