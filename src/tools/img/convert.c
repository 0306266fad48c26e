/*
 * convert.c - viv-img convert: copies one or more images into a new one of any format.
 *
 * Several fibers take the next extent in turn, read it together and write it in order (or, with
 * -W and for compressed images, as it comes: clusters are compressed on every host cpu).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/opts.h"
#include "core/clock.h"
#include "tools/img/img.h"

#define CHUNK_MAX (2u << 20)
#define JOBS_MAX 16
#define ZERO_MAX (1ull << 30)   /* of zeroes written at once */

typedef struct Options {
	ImgOpen source, target;
	const char *out_format, *words, *backing, *backing_format, *snapshot;
	uint64_t sparse, rate;
	long jobs;
	bool compress, progress, quiet, keep_target, target_zero, out_of_order, salvage, bitmaps,
	    no_clobber, offload, sparse_given;
} Options;

typedef struct Convert {
	const Options *o;
	Node **sources;
	unsigned source_count, current;  /* the source that `next` lies in */
	uint64_t *begins;                /* where each starts in the output */
	Node *target, *target_backing;
	uint64_t total, next;            /* bytes of all sources; first not yet taken */
	uint64_t written;                /* in order: all before is written */
	uint64_t extent_end;             /* of the extent at `next`, whose kind is: */
	bool extent_data, extent_backing;
	bool offload;                    /* -C, until the host refuses */
	bool target_zero;                /* what is not written reads as zeroes */
	uint32_t granularity;            /* of compressed writes, 0 else */
	uint64_t done, data_total;       /* progress */
	unsigned running;
	FiberQueue turn, ended;
	FiberMutex take;
	int err;
	bool err_write;
	uint64_t err_offset;
	int64_t begun;
	ImgProgress progress;
} Convert;

typedef struct Piece {
	uint64_t offset;
	size_t bytes;
	bool data, backing;
	Node *source;
	uint64_t begin;
} Piece;

/* ---- Which extent comes next ---- */

static int look(Convert *c)
{
	while (c->current + 1 < c->source_count && c->next >= c->begins[c->current + 1])
		c->current++;
	Node *node = c->sources[c->current];
	uint64_t begin = c->begins[c->current], at = c->next - begin;
	NodeStatus s;
	/* A length that is no multiple of 512 is filled up with zeroes. */
	if (at >= node->length) {
		c->extent_end =
		    c->current + 1 < c->source_count ? c->begins[c->current + 1] : c->total;
		c->extent_data = c->extent_backing = false;
		return 0;
	}
	Node *base = c->target_backing ? node->backing : NULL;
	int err = node_status_above(node, base, at, node->length - at, true, &s, NULL);
	if (err < 0 && c->o->salvage) {
		s = (NodeStatus){.flags = STATUS_DATA | STATUS_ALLOCATED,
				 .bytes = MIN(node->length - at, CHUNK_MAX)};
	} else if (err < 0) {
		return err;
	}
	c->extent_end = c->next + s.bytes;
	c->extent_backing = c->target_backing && !(s.flags & STATUS_ALLOCATED);
	c->extent_data = !c->extent_backing && !(s.flags & STATUS_ZERO);
	if (!c->o->sparse && !c->extent_backing)
		c->extent_data = true;
	return 0;
}

/* Takes the next piece. False: there is none, or an error came. */
static bool take(Convert *c, Piece *p)
{
	fiber_lock(&c->take);
	bool ok = !c->err && c->next < c->total;
	if (ok && c->next >= c->extent_end && (c->err = look(c)) < 0) {
		c->err_offset = c->next;
		ok = false;
	}
	if (ok) {
		uint64_t len = c->extent_end - c->next, max = c->extent_data ? CHUNK_MAX : ZERO_MAX;
		if (c->granularity && c->extent_data) {
			/* Whole clusters, or the rest of the image, whatever mixture they are. */
			len = MIN(c->granularity, c->total - c->next);
		} else if (c->granularity) {
			len &= ~(uint64_t)(c->granularity - 1);
			if (!len && !c->extent_backing) {
				len = MIN(c->granularity, c->total - c->next);
				c->extent_data = true;
			} else if (!len) {
				len = c->extent_end - c->next;
			}
		}
		len = MIN(len, max);
		*p = (Piece){c->next,
			     len,
			     c->extent_data,
			     c->extent_backing,
			     c->sources[c->current],
			     c->begins[c->current]};
		c->next += len;
		c->extent_end = MAX(c->extent_end, c->next);
	}
	fiber_unlock(&c->take);
	return ok;
}

/* ---- Reading ---- */

/* From the source(s) that cover it; with --salvage what cannot be read is zeroes. */
static int read_piece(Convert *c, const Piece *p, uint8_t *buf)
{
	size_t at = 0;
	unsigned source = 0;
	while (source + 1 < c->source_count && p->offset >= c->begins[source + 1])
		source++;
	while (at < p->bytes) {
		uint64_t offset = p->offset + at;
		uint64_t end = source + 1 < c->source_count ? c->begins[source + 1] : c->total;
		size_t n = MIN(p->bytes - at, end - offset);
		int err = node_pread(c->sources[source], offset - c->begins[source], buf + at, n);
		if (err < 0 && c->o->salvage && n > SECTOR) {
			for (size_t i = 0; i < n; i += SECTOR)
				if (node_pread(c->sources[source], offset - c->begins[source] + i,
					       buf + at + i, MIN(SECTOR, n - i)) < 0) {
					memset(buf + at + i, 0, MIN(SECTOR, n - i));
					if (!c->o->quiet)
						img_error("warning: error while reading offset "
							  "%" G_GUINT64_FORMAT,
							  offset + i);
				}
		} else if (err < 0) {
			return err;
		}
		at += n;
		source++;
	}
	return 0;
}

/* ---- Writing ---- */

static int write_zeroes(Convert *c, uint64_t offset, uint64_t bytes)
{
	if (c->target_zero && !c->target_backing)
		return 0;
	return node_write_zeroes(c->target, offset, bytes, REQ_UNMAP);
}

/* How much of buf is all zero, or all not, in steps of the sparse size. */
static size_t run_length(const uint8_t *buf, size_t len, size_t step, bool *zero)
{
	size_t n = MIN(step, len);
	*zero = buffer_is_zero(buf, n);
	while (n < len) {
		size_t next = MIN(step, len - n);
		if (buffer_is_zero(buf + n, next) != *zero)
			break;
		n += next;
	}
	return n;
}

static int write_data(Convert *c, uint64_t offset, uint8_t *buf, size_t len)
{
	struct iovec v = { buf, len };
	bool zero;
	if (c->granularity) {
		if (c->o->sparse && buffer_is_zero(buf, len))
			return write_zeroes(c, offset, len);
		return node_write_compressed(c->target, offset, iov_one(&v));
	}
	if (!c->o->sparse)
		return node_write(c->target, offset, iov_one(&v), 0);
	for (size_t at = 0; at < len;) {
		size_t n = run_length(buf + at, len - at, c->o->sparse, &zero);
		v = (struct iovec){ buf + at, n };
		int err = zero ? write_zeroes(c, offset + at, n)
			       : node_write(c->target, offset + at, iov_one(&v), 0);
		if (err < 0)
			return err;
		at += n;
	}
	return 0;
}

static int write_piece(Convert *c, const Piece *p, uint8_t *buf)
{
	if (p->backing)
		return 0;
	return p->data ? write_data(c, p->offset, buf, p->bytes)
		       : write_zeroes(c, p->offset, p->bytes);
}

/* ---- The fibers ---- */

/* -C: the host copies the piece. False: as far as it did not, it is read and written. */
static bool offload(Convert *c, const Piece *p)
{
	uint64_t end = p->source->length + p->begin;
	/* A piece of two sources, or with a tail to fill up, is rare. */
	if (!c->offload || !p->data || p->offset + p->bytes > end)
		return false;
	for (uint64_t at = 0; at < p->bytes;) {
		int64_t n = node_copy_range(p->source, p->offset - p->begin + at, c->target,
			p->offset + at, p->bytes - at);
		if (n <= 0) {
			c->offload = false;
			return false;
		}
		at += (uint64_t)n;
	}
	return true;
}

static void failed(Convert *c, int err, bool write, uint64_t offset)
{
	if (!c->err) {
		c->err = err;
		c->err_write = write;
		c->err_offset = offset;
	}
	fiber_queue_wake_all(&c->turn);
}

static void worker(void *opaque)
{
	Convert *c = opaque;
	bool ordered = !c->o->out_of_order && !c->granularity;
	uint8_t *buf = NULL;
	Piece p;
	while (take(c, &p)) {
		int err = 0;
		bool offloaded = offload(c, &p);
		if (p.data && !offloaded && !buf &&
		    posix_memalign((void **)&buf, 4096, MAX(CHUNK_MAX, c->granularity)))
			err = -ENOMEM;
		if (!err && p.data && !offloaded)
			err = read_piece(c, &p, buf);
		if (err < 0) {
			failed(c, err, false, p.offset);
			break;
		}
		while (ordered && !c->err && c->written != p.offset)
			fiber_queue_wait(&c->turn);
		if (c->err)
			break;
		err = offloaded ? 0 : write_piece(c, &p, buf);
		if (err < 0) {
			failed(c, err, true, p.offset);
			break;
		}
		c->written = MAX(c->written, p.offset + p.bytes);
		c->done += p.bytes;
		img_progress(&c->progress, c->done, c->total);
		fiber_queue_wake_all(&c->turn);
		img_hold_rate(c->o->rate, c->begun, c->done);
	}
	free(buf);
	c->running--;
	fiber_queue_wake_all(&c->ended);
}

static int copy(Convert *c)
{
	c->begun = host_now();
	c->offload = c->o->offload;
	c->progress = (ImgProgress){ c->o->progress, -1 };
	c->running = (unsigned)c->o->jobs;
	for (long i = 0; i < c->o->jobs; i++)
		fiber_start(worker, c);
	while (c->running)
		fiber_queue_wait(&c->ended);
	if (c->err)
		return img_error("error while %s at byte %" G_GUINT64_FORMAT ": %s",
				 c->err_write ? "writing" : "reading", c->err_offset,
				 g_strerror(-c->err));
	if (c->granularity && c->target->driver->write_compressed)
		node_write_compressed(c->target, c->total, (Iov){ 0 });
	int err = node_flush(c->target);
	if (err < 0)
		return img_error("error while writing: %s", g_strerror(-err));
	img_progress_end(&c->progress);
	return 0;
}

/* ---- Setting up ---- */

static bool create_target(const Options *o, const char *filename, uint64_t length)
{
	const Driver *driver = driver_find(o->out_format);
	json_t *opts = json_object();
	GError *error = NULL;
	bool help = false, ok = !o->words || img_options(o->words, driver, opts, &help);
	if (o->backing)
		json_object_set_new(opts, "backing_file", json_string(o->backing));
	if (o->backing_format)
		json_object_set_new(opts, "backing_fmt", json_string(o->backing_format));
	if (ok && opt_text(opts, "backing_file") && !opt_text(opts, "backing_fmt")) {
		img_error("backing file specified without backing format: add -F FMT");
		ok = false;
	}
	if (!opt_has(opts, "size"))
		json_object_set_new(opts, "size", json_integer((json_int_t)length));
	ok = ok && !(o->no_clobber && img_clobbers(filename));
	if (ok && (!opts_check(driver->create_options, opts, driver->name, &error) ||
		   !driver->create(filename, opts, &error))) {
		char *prefix =
		    g_strdup_printf("%s: error while converting %s", filename, driver->name);
		img_gerror(error, prefix);
		g_free(prefix);
		ok = false;
	}
	json_decref(opts);
	return ok;
}

static bool open_sources(Convert *c, char **names, unsigned count)
{
	GError *error = NULL;
	for (unsigned i = 0; i < count; i++) {
		Node *node = c->sources[i] = img_open(names[i], &c->o->source);
		if (!node)
			return false;
		c->source_count = i + 1;
		if (c->o->snapshot &&
		    (!node->driver->snapshot_load ||
		     !node->driver->snapshot_load(node, c->o->snapshot, &error))) {
			if (error)
				img_gerror(error, "Failed to load snapshot");
			else
				img_error("Failed to load snapshot");
			return false;
		}
		c->begins[i] = c->total;
		c->total += (node->length + SECTOR - 1) & ~(uint64_t)(SECTOR - 1);
	}
	return true;
}

static bool open_target(Convert *c, const char *filename)
{
	const Options *o = c->o;
	ImgOpen how = o->target;
	how.format = o->target.image_opts ? NULL : o->out_format;
	how.cache = how.cache ? how.cache : "unsafe";
	how.flags |= NODE_WRITE | NODE_EXCLUSIVE;
	c->target = img_open(filename, &how);
	if (!c->target)
		return false;
	if (c->target->length < c->total && (!c->target->driver->protocol || o->keep_target)) {
		img_error("output file is smaller than input file");
		return false;
	}
	c->target_backing = o->backing || c->target->backing ? c->target->backing : NULL;
	c->target_zero = !o->keep_target || o->target_zero;
	if (o->compress && !c->target->driver->write_compressed) {
		img_error("Compression not supported for this file format");
		return false;
	}
	if (o->compress) {
		NodeInfo info = { 0 };
		c->target->driver->info(c->target, &info);
		c->granularity = (uint32_t)info.cluster_size;
	}
	return true;
}

static bool copy_bitmaps(Convert *c)
{
	Node *from = c->sources[0], *to = c->target;
	GError *error = NULL;
	if (!c->o->bitmaps)
		return true;
	if (!to->driver->bitmap_add || !from->driver->bitmap_list) {
		img_error("Format driver '%s' does not support bitmaps",
			  to->driver->bitmap_add ? from->driver->name : to->driver->name);
		return false;
	}
	GPtrArray *list = from->driver->bitmap_list(from);
	bool ok = true;
	for (unsigned i = 0; ok && list && i < list->len; i++) {
		const BitmapInfo *b = g_ptr_array_index(list, i);
		if (b->in_use) {
			img_error("Cannot copy inconsistent bitmap '%s'. Try 'viv-img bitmap "
				  "--remove' to delete it.",
				  b->name);
			ok = false;
		} else if (!to->driver->bitmap_add(to, b->name, b->granularity, true, &error) ||
			   !to->driver->bitmap_merge(to, b->name, from, b->name, &error) ||
			   (b->recording &&
			    !to->driver->bitmap_enable(to, b->name, true, &error))) {
			img_gerror(error, "Failed to copy a bitmap");
			ok = false;
		}
	}
	if (list)
		g_ptr_array_unref(list);
	return ok;
}

/* A choice that will be regretted is named once. */
static void advise(const Options *o, const char *filename)
{
	if (o->quiet || !o->compress || !o->out_of_order)
		return;
	img_error(
	    "note: -W changes nothing with -c: compressed clusters are written as they are ready.");
}

static int convert(const Options *o, char **names, unsigned count, const char *output)
{
	Convert c = { .o = o, .sources = g_new0(Node *, count), .begins = g_new0(uint64_t, count) };
	const Driver *driver = driver_find(o->out_format);
	int status = 1;
	advise(o, output);
	if (!driver || (!driver->create && !o->keep_target))
		img_error(driver ? "Format driver '%s' does not support image creation"
				 : "Unknown file format '%s'",
			  o->out_format);
	else if (open_sources(&c, names, count) &&
	         (o->keep_target || create_target(o, output, c.total)) && open_target(&c, output))
		status = copy(&c);
	if (!status && !copy_bitmaps(&c))
		status = 1;
	node_unref(c.target);
	for (unsigned i = 0; i < count; i++)
		node_unref(c.sources[i]);
	g_free(c.sources);
	g_free(c.begins);
	return status;
}

/* One word of the command line. False: an error was printed. */
static bool option(Options *o, int opt, const char *arg, GString *words)
{
	switch (opt) {
	case 'f': o->source.format = arg; return true;
	case 'O': o->out_format = arg; return true;
	case 'B': o->backing = arg; return true;
	case 'F': o->backing_format = arg; return true;
	case 'c': o->compress = true; return true;
	case 'o': g_string_append_printf(words, "%s%s", words->len ? "," : "", arg); return true;
	case 'l':
		o->snapshot = g_str_has_prefix(arg, "snapshot.") ? strchr(arg, '=') + 1 : arg;
		return true;
	case 'C': o->offload = true; return true;
	case 'S':
		o->sparse_given = true;
		return img_size(arg, "buffer size for sparse output", &o->sparse);
	case 'p': o->progress = true; return true;
	case 'q': o->quiet = true; return true;
	case 'n': o->keep_target = true; return true;
	case 't': o->target.cache = arg; return true;
	case 'T': o->source.cache = arg; return true;
	case 'r': return img_size(arg, "rate limit", &o->rate);
	case 'W': o->out_of_order = true; return true;
	case 'U': o->source.flags |= NODE_SHARE; return true;
	case OPT_IMAGE_OPTS: o->source.image_opts = true; return true;
	case OPT_OBJECT: return img_object(arg);
	case OPT_NO_CLOBBER: o->no_clobber = true; return true;
	case OPT_LOCAL: o->target.image_opts = true; return true;
	case OPT_LOCAL + 1: o->target_zero = true; return true;
	case OPT_LOCAL + 2: o->bitmaps = true; return true;
	case OPT_LOCAL + 3: o->salvage = true; return true;
	case 'm':
		o->jobs = strtol(arg, NULL, 10);
		if (o->jobs >= 1 && o->jobs <= JOBS_MAX)
			return true;
		img_error("Invalid number of coroutines. Allowed number of coroutines is between 1 "
			  "and %d",
			  JOBS_MAX);
		return false;
	default:
		img_usage("convert");
		return false;
	}
}

int img_convert(int argc, char **argv)
{
	static const struct option longs[] = {
	    IMG_LONG_OPTIONS,
	    {"source-image-opts", no_argument, NULL, OPT_IMAGE_OPTS},
	    {"target-image-opts", no_argument, NULL, OPT_LOCAL},
	    {"target-is-zero", no_argument, NULL, OPT_LOCAL + 1},
	    {"bitmaps", no_argument, NULL, OPT_LOCAL + 2},
	    {"salvage", no_argument, NULL, OPT_LOCAL + 3},
	    {"no-clobber", no_argument, NULL, OPT_NO_CLOBBER},
	    {0}};
	Options o = { .out_format = "raw", .sparse = 4096, .jobs = 8 };
	GString *words = g_string_new(NULL);
	int opt, status = 1;
	bool ok = true;
	while (ok &&
	       (opt = getopt_long(argc, argv, "hf:O:B:CcF:o:l:S:pt:T:qnm:WUr:", longs, NULL)) != -1)
		ok = option(&o, opt, optarg, words);
	o.words = words->len ? words->str : NULL;
	o.progress &= !o.quiet;
	int names = argc - optind;
	const Driver *driver = driver_find(o.out_format);
	if (ok && o.words && !strcmp(o.words, "help") && driver) {
		img_option_help(driver);
		status = 0;
	} else if (ok && o.sparse && (o.sparse % SECTOR || o.sparse > CHUNK_MAX)) {
		img_error("Invalid buffer size for sparse output specified. It is a multiple of "
			  "512, at most %u",
			  CHUNK_MAX);
	} else if (ok && o.offload && o.sparse_given) {
		img_error("Cannot enable copy offloading when -S is used");
	} else if (ok && o.offload && o.compress) {
		img_error("Cannot enable copy offloading when -c is used");
	} else if (ok && names < 2) {
		img_error("Must specify image file name%s", names ? " of the output" : "");
	} else if (ok && o.target_zero && !o.keep_target) {
		img_error("--target-is-zero requires use of -n flag");
	} else if (ok && o.keep_target && o.words) {
		img_error("-o has no effect when skipping image creation (-n)");
	} else if (ok && o.compress && !o.sparse) {
		img_error("Cannot compress and not be sparse at once: leave -S 0 out");
	} else if (ok && o.bitmaps && names > 2) {
		img_error("Copying bitmaps only possible with single source");
	} else if (ok) {
		status = convert(&o, argv + optind, (unsigned)names - 1, argv[argc - 1]);
	}
	g_string_free(words, TRUE);
	return status;
}
