/*
 * compare.c - viv-img compare and dd: contents side by side, and plain copies.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/opts.h"
#include "tools/img/img.h"

#define BUFFER (2u << 20)

/* ---- compare ---- */

typedef struct Compare {
	Node *node[2];
	const char *name[2];
	uint8_t *buf[2];
	bool strict, quiet;
	ImgProgress progress;
} Compare;

static int mismatch(const Compare *c, uint64_t offset)
{
	if (!c->quiet)
		printf("Content mismatch at offset %" G_GUINT64_FORMAT "!\n", offset);
	return 1;
}

/* Reads both at once; the second read waits in its own fiber. */
typedef struct Side {
	Node *node;
	uint64_t offset;
	uint8_t *buf;
	size_t len;
	int err;
	bool done;
	FiberQueue *wait;
} Side;

static void read_side(void *opaque)
{
	Side *s = opaque;
	s->err = node_pread(s->node, s->offset, s->buf, s->len);
	s->done = true;
	fiber_queue_wake_all(s->wait);
}

static int read_both(Compare *c, uint64_t offset, size_t len, const bool *data)
{
	FiberQueue wait = { 0 };
	Side side[2];
	for (int i = 0; i < 2; i++) {
		side[i] = (Side){ c->node[i], offset, c->buf[i], len, 0, !data[i], &wait };
		if (data[i])
			fiber_start(read_side, &side[i]);
		else
			memset(c->buf[i], 0, len);
	}
	while (!side[0].done || !side[1].done)
		fiber_queue_wait(&wait);
	for (int i = 0; i < 2; i++)
		if (side[i].err < 0) {
			img_error("Error while reading offset %" G_GUINT64_FORMAT " of %s: %s",
				  offset, c->name[i], g_strerror(-side[i].err));
			return 4;
		}
	return 0;
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t at = 0;
	for (size_t step = 4096; at + step <= len && !memcmp(a + at, b + at, step);)
		at += step;
	while (at < len && a[at] == b[at])
		at++;
	return at;
}

/* One extent, in which each side is data or zeroes throughout. */
static int compare_extent(Compare *c, uint64_t offset, uint64_t len, const bool *data)
{
	if (!data[0] && !data[1])
		return 0;
	while (len) {
		size_t n = MIN(len, BUFFER);
		int err = read_both(c, offset, n, data);
		if (err)
			return err;
		if (memcmp(c->buf[0], c->buf[1], n))
			return mismatch(c, offset + first_difference(c->buf[0], c->buf[1], n));
		offset += n;
		len -= n;
		img_progress(&c->progress, offset, MAX(c->node[0]->length, c->node[1]->length));
	}
	return 0;
}

static int compare(Compare *c)
{
	uint64_t end = MAX(c->node[0]->length, c->node[1]->length);
	bool same_size = c->node[0]->length == c->node[1]->length;
	if (c->strict && !same_size) {
		if (!c->quiet)
			puts("Strict mode: Image size mismatch!");
		return 1;
	}
	for (uint64_t at = 0; at < end;) {
		NodeStatus s[2];
		bool data[2];
		uint64_t len = end - at;
		for (int i = 0; i < 2; i++) {
			if (at >= c->node[i]->length) {
				s[i] = (NodeStatus){.flags = STATUS_ZERO | STATUS_ALLOCATED,
						    .bytes = len};
			} else if (node_status_above(c->node[i], NULL, at, len, true, &s[i], NULL) <
				   0) {
				img_error("Sector allocation test failed for %s", c->name[i]);
				return 3;
			}
			data[i] = !(s[i].flags & STATUS_ZERO);
			len = MIN(len, s[i].bytes);
		}
		if (c->strict &&
		    ((s[0].flags ^ s[1].flags) & (STATUS_ALLOCATED | STATUS_DATA | STATUS_ZERO))) {
			if (!c->quiet)
				printf("Strict mode: Offset %" G_GUINT64_FORMAT
				       " block status mismatch!\n",
				       at);
			return 1;
		}
		int status = compare_extent(c, at, len, data);
		if (status)
			return status;
		at += len;
	}
	img_progress_end(&c->progress);
	if (!c->quiet && !same_size)
		printf("%s: Image size mismatch!\n", g_get_prgname());
	if (!c->quiet)
		puts("Images are identical.");
	return 0;
}

int img_compare(int argc, char **argv)
{
	static const struct option longs[] = { IMG_LONG_OPTIONS, { 0 } };
	ImgOpen how[2] = { { 0 } };
	Compare c = { .progress = { false, -1 } };
	int opt;
	while ((opt = getopt_long(argc, argv, "hf:F:T:pqsU", longs, NULL)) != -1) {
		switch (opt) {
		case 'f': how[0].format = optarg; break;
		case 'F': how[1].format = optarg; break;
		case 'T': how[0].cache = how[1].cache = optarg; break;
		case 'p': c.progress.on = true; break;
		case 'q': c.quiet = true; break;
		case 's': c.strict = true; break;
		case 'U': how[0].flags = how[1].flags = NODE_SHARE; break;
		case OPT_IMAGE_OPTS: how[0].image_opts = how[1].image_opts = true; break;
		case OPT_OBJECT:
			if (!img_object(optarg))
				return 2;
			break;
		default: img_usage("compare"); return 2;
		}
	}
	c.progress.on &= !c.quiet;
	if (argc - optind != 2) {
		img_error("Expecting two image file names");
		return 2;
	}
	int status = 2;
	for (int i = 0; i < 2; i++) {
		c.name[i] = argv[optind + i];
		c.node[i] = i && !c.node[0] ? NULL : img_open(c.name[i], &how[i]);
		if (posix_memalign((void **)&c.buf[i], 4096, BUFFER))
			g_error("no memory");
	}
	if (c.node[0] && c.node[1])
		status = compare(&c);
	for (int i = 0; i < 2; i++) {
		node_unref(c.node[i]);
		free(c.buf[i]);
	}
	return status;
}

/* ---- dd ---- */

typedef struct Dd { const char *in, *out; uint64_t bs, count, skip; bool has_count; } Dd;

static bool dd_word(Dd *d, const char *word)
{
	if (g_str_has_prefix(word, "if="))
		return (d->in = word + 3) != NULL;
	if (g_str_has_prefix(word, "of="))
		return (d->out = word + 3) != NULL;
	if (g_str_has_prefix(word, "bs="))
		return img_size(word + 3, "number: 'bs'", &d->bs) &&
		       (d->bs || img_error("Invalid number: '0'") == 0);
	if (g_str_has_prefix(word, "count="))
		return (d->has_count = true) && img_size(word + 6, "number: 'count'", &d->count);
	if (g_str_has_prefix(word, "skip="))
		return img_size(word + 5, "number: 'skip'", &d->skip);
	img_error("unrecognized operand '%s': there are if=, of=, bs=, count=, skip=", word);
	return false;
}

static int dd_copy(Node *from, Node *to, uint64_t start, uint64_t size)
{
	uint8_t *buf;
	int err = 0;
	if (posix_memalign((void **)&buf, 4096, BUFFER))
		return img_error("no memory");
	for (uint64_t at = 0; at < size && err >= 0;) {
		size_t n = MIN(size - at, BUFFER);
		err = node_pread(from, start + at, buf, n);
		struct iovec v = { buf, n };
		if (err >= 0)
			err = node_write(to, at, iov_one(&v), 0);
		at += n;
	}
	free(buf);
	if (err >= 0)
		err = node_flush(to);
	return err < 0 ? img_error("error while copying: %s", g_strerror(-err)) : 0;
}

static int dd(const Dd *d, Node *from, const char *format)
{
	const Driver *driver = driver_find(format);
	GError *error = NULL;
	if (!driver || !driver->create)
		return img_error(driver ? "Format driver '%s' does not support image creation"
					: "Unknown file format '%s'",
				 format);
	uint64_t length = from->length, start;
	/* As qemu-img has it, the count is of the input's first blocks: those skipped are among
	 * them. */
	if (d->has_count && d->count < UINT64_MAX / d->bs)
		length = MIN(length, d->count * d->bs);
	start = d->skip < UINT64_MAX / d->bs ? d->skip * d->bs : UINT64_MAX;
	uint64_t size = start < length ? length - start : 0;
	if (!size && start > from->length)
		img_error("warning: skipping past the end of the input");
	json_t *opts = json_pack("{s:I}", "size", (json_int_t)size);
	bool ok = driver->create(d->out, opts, &error);
	json_decref(opts);
	if (!ok)
		return img_gerror(error, d->out);
	ImgOpen how = { .format = format, .flags = NODE_WRITE | NODE_EXCLUSIVE };
	Node *to = img_open(d->out, &how);
	int status = to ? dd_copy(from, to, start, size) : 1;
	node_unref(to);
	return status;
}

int img_dd(int argc, char **argv)
{
	static const struct option longs[] = { IMG_LONG_OPTIONS, { 0 } };
	ImgOpen how = { 0 };
	Dd d = { .bs = 512 };
	const char *format = "raw";
	int opt;
	while ((opt = getopt_long(argc, argv, "hf:O:U", longs, NULL)) != -1) {
		switch (opt) {
		case 'O': format = optarg; break;
		default:
			if (!img_option("dd", opt, &how))
				return 1;
		}
	}
	for (int i = optind; i < argc; i++)
		if (!dd_word(&d, argv[i]))
			return 1;
	if (!d.in || !d.out)
		return img_error("Must specify both input and output file names");
	Node *from = img_open(d.in, &how);
	int status = from ? dd(&d, from, format) : 1;
	node_unref(from);
	return status;
}
