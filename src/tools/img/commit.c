/*
 * commit.c - viv-img commit and rebase: moves data between the layers of a backing chain.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "tools/img/img.h"

#define BUFFER (2u << 20)

typedef struct Pace {
	uint64_t rate; /* bytes in a second, 0: unlimited */
	int64_t begun;
	ImgProgress *progress;
} Pace;

static void commit_step(void *opaque, uint64_t written, uint64_t at, uint64_t total)
{
	Pace *p = opaque;
	img_hold_rate(p->rate, p->begun, written);
	img_progress(p->progress, at, total);
}

/* ---- commit ---- */

static Node *find_base(Node *top, const char *name)
{
	for (Node *n = top->backing; n; n = n->backing) {
		char *path = name ? node_path(top->filename, name) : NULL;
		bool is = !name || !strcmp(n->filename, name) || !strcmp(n->filename, path);
		g_free(path);
		if (is)
			return n;
	}
	return NULL;
}

static int commit(Node *top, const char *name, uint64_t rate, bool drop, bool quiet,
	ImgProgress *progress)
{
	GError *error = NULL;
	Node *base = find_base(top, name);
	if (!base)
		return name ? img_error("Did not find '%s' in the backing chain of '%s'", name,
					top->filename)
			    : img_error("Image does not have a backing file");
	Pace pace = { rate, host_now(), progress };
	if (!node_commit(top, base, !drop, commit_step, &pace, &error))
		return img_gerror(error, "Block job failed");
	img_progress_end(progress);
	if (!quiet)
		puts("Image committed.");
	return 0;
}

int img_commit(int argc, char **argv)
{
	static const struct option longs[] = { IMG_LONG_OPTIONS, { 0 } };
	ImgOpen how = { .flags = NODE_WRITE | NODE_EXCLUSIVE };
	const char *base = NULL;
	uint64_t rate = 0;
	bool drop = false, quiet = false;
	ImgProgress progress = { false, -1 };
	int opt;
	while ((opt = getopt_long(argc, argv, "f:ht:b:dpqr:", longs, NULL)) != -1) {
		switch (opt) {
		case 't': how.cache = optarg; break;
		case 'b':
			base = optarg;
			drop = true;
			break; /* the layers between still need what is here */
		case 'd': drop = true; break;
		case 'p': progress.on = true; break;
		case 'r':
			if (!img_size(optarg, "rate limit", &rate))
				return 1;
			break;
		case 'q': quiet = true; break;
		default:
			if (!img_option("commit", opt, &how))
				return 1;
		}
	}
	progress.on &= !quiet;
	if (optind != argc - 1)
		return img_error("Expecting one image file name");
	Node *node = img_open(argv[optind], &how);
	int status = node ? commit(node, base, rate, drop, quiet, &progress) : 1;
	node_unref(node);
	return status;
}

/* ---- rebase ---- */

static int read_or_zero(Node *node, uint64_t offset, uint8_t *buf, size_t len)
{
	if (node)
		return node_pread(node, offset, buf, len);
	memset(buf, 0, len);
	return 0;
}

/* Where the new backing file differs from the old one, the image must have its own data. */
static int keep_differences(Node *node, Node *fresh, ImgProgress *progress)
{
	uint8_t *old_data, *new_data;
	int err = 0;
	if (posix_memalign((void **)&old_data, 4096, BUFFER) ||
	    posix_memalign((void **)&new_data, 4096, BUFFER))
		return -ENOMEM;
	for (uint64_t at = 0; at < node->length && err >= 0;) {
		NodeStatus s;
		err = node_status(node, at, MIN(node->length - at, BUFFER), false, &s);
		size_t len = (size_t)s.bytes;
		if (err < 0)
			break;
		if (!(s.flags & STATUS_ALLOCATED)) {
			err = read_or_zero(node->backing, at, old_data, len);
			if (err >= 0)
				err = read_or_zero(fresh, at, new_data, len);
			for (size_t i = 0; err >= 0 && i < len;) {
				size_t n = MIN(65536 - (at + i) % 65536, len - i);
				struct iovec v = { old_data + i, n };
				if (memcmp(old_data + i, new_data + i, n))
					err = buffer_is_zero(old_data + i, n)
						  ? node_write_zeroes(node, at + i, n, 0)
						  : node_write(node, at + i, iov_one(&v), 0);
				i += n;
			}
		}
		at += len;
		img_progress(progress, at, node->length);
	}
	free(old_data);
	free(new_data);
	return err < 0 ? err : node_flush(node);
}

static int rebase(Node *node, const char *backing, const char *format, const char *cache,
		  bool unsafe, ImgProgress *progress)
{
	GError *error = NULL;
	if (!node->driver->set_backing)
		return img_error("Format driver '%s' does not support backing files",
				 node->driver->name);
	if (*backing && !format)
		return img_error(
		    "Could not change the backing file to '%s': backing format must be specified",
		    backing);
	if (!unsafe) {
		Node *fresh = NULL;
		if (*backing) {
			char *path = node_path(node->filename, backing);
			ImgOpen how = { .format = format, .cache = cache };
			fresh = img_open(path, &how);
			g_free(path);
			if (!fresh)
				return 1;
		}
		int err = keep_differences(node, fresh, progress);
		node_unref(fresh);
		if (err < 0)
			return img_error("error while writing to COW image: %s", g_strerror(-err));
	}
	if (!node->driver->set_backing(node, *backing ? backing : NULL, *backing ? format : NULL,
				       &error))
		return img_gerror(error, "Could not change the backing file");
	img_progress_end(progress);
	return 0;
}

int img_rebase(int argc, char **argv)
{
	static const struct option longs[] = { IMG_LONG_OPTIONS, { 0 } };
	ImgOpen how = { .flags = NODE_WRITE | NODE_EXCLUSIVE };
	const char *backing = NULL, *format = NULL, *cache = NULL;
	bool unsafe = false, quiet = false;
	ImgProgress progress = { false, -1 };
	int opt;
	while ((opt = getopt_long(argc, argv, "hf:F:b:upt:T:qU", longs, NULL)) != -1) {
		switch (opt) {
		case 'F': format = optarg; break;
		case 'b': backing = optarg; break;
		case 'u': unsafe = true; break;
		case 'p': progress.on = true; break;
		case 't': how.cache = optarg; break;
		case 'T': cache = optarg; break;
		case 'q': quiet = true; break;
		case 'U': return img_error("-U: an image that is changed cannot be shared");
		default:
			if (!img_option("rebase", opt, &how))
				return 1;
		}
	}
	progress.on &= !quiet;
	if (optind != argc - 1)
		return img_error("Expecting one image file name");
	if (!backing)
		return img_error(
		    "Use backing_file (-b) to select the new backing file, \"\" for none");
	if (unsafe)
		how.flags |= NODE_NO_BACKING;
	Node *node = img_open(argv[optind], &how);
	int status = node ? rebase(node, backing, format, cache, unsafe, &progress) : 1;
	node_unref(node);
	return status;
}
