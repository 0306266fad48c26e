/*
 * transfer.c - viv-io's commands that move data: read, write, readv, writev, aio_*, discard.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "tools/io/io.h"

#define LENGTH_MAX (2147483136u) /* of one request */

typedef struct Request {
	Session *s;
	bool write, zero, unmap, fua, no_fallback, compressed, discard, vmstate;
	bool quiet, parsable, verbose, check;
	int pattern;
	uint64_t check_from, check_len;
	bool has_check_len;
	uint64_t offset, bytes;
	struct iovec *iov;
	unsigned count;
	uint8_t *buf;
	const char *file;       /* -s: what is written */
	int64_t begun;
	int err;
} Request;

static void request_free(Request *r)
{
	free(r->buf);
	g_free(r->iov);
	g_free(r);
}

static void dump(const uint8_t *buf, uint64_t offset, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += 16) {
		printf("%08" G_GINT64_MODIFIER "x:  ", offset + at);
		for (uint64_t i = at; i < at + 16; i++)
			if (i < len)
				printf("%02x ", buf[i]);
			else
				fputs("   ", stdout);
		putchar(' ');
		for (uint64_t i = at; i < MIN(at + 16, len); i++)
			putchar(g_ascii_isalnum(buf[i]) ? buf[i] : '.');
		putchar('\n');
	}
}

static void report(const Request *r, const char *word)
{
	double seconds = (double)(host_now() - r->begun) / NS_PER_SEC;
	double rate = seconds > 0 ? (double)r->bytes / seconds : 0,
	       ops = seconds > 0 ? 1 / seconds : 0;
	unsigned hundredths = (unsigned)(seconds * 100);
	if (r->parsable) {
		printf("%" G_GUINT64_FORMAT ",1,%u:%02u:%02u.%02u,%.3f,%.3f\n", r->bytes,
		       hundredths / 360000, hundredths / 6000 % 60, hundredths / 100 % 60,
		       hundredths % 100, rate, ops);
		return;
	}
	char *size = io_size_text((double)r->bytes), *speed = io_size_text(rate);
	printf("%s %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " bytes at offset %" G_GUINT64_FORMAT
	       "\n",
	       word, r->bytes, r->bytes, r->offset);
	printf("%s, 1 ops; %02u.%02u sec (%s/sec and %.4f ops/sec)\n", size, hundredths / 100,
	       hundredths % 100, speed, ops);
	g_free(size);
	g_free(speed);
}

static int perform(Request *r)
{
	Node *node = r->s->node;
	Iov iov = iov_all(r->iov, r->count);
	if (r->vmstate) {
		int (*fn)(Node *, uint64_t, Iov) =
		    r->write ? node->driver->vmstate_write : node->driver->vmstate_read;
		return fn ? fn(node, r->offset, iov) : -ENOTSUP;
	}
	if (r->discard)
		return r->offset <= node->length && r->bytes <= node->length - r->offset
			   ? node_discard(node, r->offset, r->bytes)
			   : -EIO;
	if (!r->write)
		return node_read(node, r->offset, iov);
	int err = r->zero	  ? node_write_zeroes(node, r->offset, r->bytes,
						      (r->unmap ? REQ_UNMAP : 0) |
							  (r->no_fallback ? REQ_NO_FALLBACK : 0))
		  : r->compressed ? node_write_compressed(node, r->offset, iov)
				  : node_write(node, r->offset, iov, 0);
	if (err >= 0 && (r->fua || !r->s->write_cache))
		err = node_flush(node);
	return err;
}

static int verify(const Request *r)
{
	uint64_t len = r->has_check_len ? r->check_len : r->bytes - r->check_from;
	for (uint64_t i = 0; i < len; i++)
		if (r->buf[r->check_from + i] != (uint8_t)r->pattern) {
			printf("Pattern verification failed at offset %" G_GUINT64_FORMAT
			       ", %" G_GUINT64_FORMAT " bytes\n",
			       r->offset + r->check_from, len);
			return -EINVAL;
		}
	return 0;
}

/* The whole of a request, from the clock's start to what is printed. */
static int carry_out(Request *r)
{
	r->begun = host_now();
	int err = perform(r), bad = 0;
	if (err < 0) {
		printf("%s failed: %s\n",
		       r->discard ? "discard"
		       : r->write ? "write"
				  : "read",
		       g_strerror(-err));
		return err;
	}
	if (!r->write && !r->discard && r->check)
		bad = verify(r);
	if (!r->quiet && !r->write && !r->discard && r->verbose)
		dump(r->buf, r->offset, r->bytes);
	if (!r->quiet)
		report(r, r->discard ? "discard" : r->write ? "wrote" : "read");
	return bad;
}

/* ---- Words ---- */

static bool pattern(const char *text, int *out)
{
	char *end;
	long n = strtol(text, &end, 0);
	if (end == text || *end || n < 0 || n > 255) {
		printf("%s is not a valid pattern byte\n", text);
		return false;
	}
	*out = (int)n;
	return true;
}

static bool option(Request *r, int opt)
{
	switch (opt) {
	case 'b': return r->vmstate = true;
	case 'c': return r->compressed = true;
	case 'C': return r->parsable = true;
	case 'f': return r->fua = true;
	case 'i': return true; /* what is read is thrown away anyway */
	case 'n': return r->no_fallback = true;
	case 'p': return true; /* ignored, as documented */
	case 'q': return r->quiet = true;
	case 'u': return r->unmap = true;
	case 'v': return r->verbose = true;
	case 'z': return r->zero = true;
	case 'P': return (r->check = true) && pattern(optarg, &r->pattern);
	case 'l': return (r->has_check_len = true) && io_size(optarg, &r->check_len);
	case 's':
		if (!r->write)
			return io_size(optarg, &r->check_from);
		r->file = optarg;
		return true;
	default: return false;
	}
}

/* Fills the buffer with the file's bytes, over and over. */
static bool fill_from_file(Request *r)
{
	char *data;
	gsize len;
	if (!g_file_get_contents(r->file, &data, &len, NULL) || !len) {
		printf("%s: %s\n", r->file, len ? "cannot be read" : "is empty");
		return false;
	}
	for (uint64_t at = 0; at < r->bytes; at += len)
		memcpy(r->buf + at, data, MIN(len, r->bytes - at));
	g_free(data);
	return true;
}

/* offset, then one or more lengths: one buffer cut into pieces. */
static bool places(Request *r, int argc, char **argv)
{
	if (!io_size(argv[0], &r->offset))
		return false;
	r->iov = g_new0(struct iovec, (size_t)argc);
	r->count = (unsigned)argc - 1;
	for (int i = 1; i < argc; i++) {
		uint64_t len;
		if (!io_size(argv[i], &len))
			return false;
		if (len > LENGTH_MAX && !r->zero && !r->discard) {
			printf("length cannot exceed %u, given %s\n", LENGTH_MAX, argv[i]);
			return false;
		}
		r->iov[i - 1].iov_len = len;
		r->bytes += len;
	}
	if (r->check && !r->write &&
	    (r->check_from > r->bytes ||
	     (r->has_check_len && r->check_len > r->bytes - r->check_from))) {
		puts("pattern verification range exceeds end of read data");
		return false;
	}
	if (r->zero || r->discard)
		return true;
	if (r->bytes > LENGTH_MAX || posix_memalign((void **)&r->buf, 4096, MAX(r->bytes, 1))) {
		puts("the lengths together are too large");
		return false;
	}
	memset(r->buf, r->write && !r->check ? 0xcd : r->write ? r->pattern : 0xab, r->bytes);
	uint8_t *at = r->buf;
	for (unsigned i = 0; i < r->count; i++) {
		r->iov[i].iov_base = at;
		at += r->iov[i].iov_len;
	}
	return !r->file || fill_from_file(r);
}

static bool sensible(const Request *r)
{
	const char *wrong =
	    r->zero && (r->check || r->file)
		? "-z and -P or -s cannot be specified at the same time"
	    : r->unmap && !r->zero	 ? "-u requires -z to be specified"
	    : r->no_fallback && !r->zero ? "-n requires -z to be specified"
	    : r->compressed && r->zero	 ? "-c and -z cannot be specified at the same time"
	    : (r->check_from || r->has_check_len) && !r->check && !r->write ? "-s and -l need -P"
									    : NULL;
	if (wrong)
		puts(wrong);
	return !wrong;
}

static Request *parse(Session *s, int argc, char **argv, bool write, const char *options)
{
	Request *r = g_new0(Request, 1);
	int opt;
	if (write && s->node->read_only) {
		fprintf(stderr, "%s: Block node is read-only\n", g_get_prgname());
		goto bad;
	}
	*r = (Request){ .s = s, .write = write };
	optind = 0;
	while ((opt = getopt(argc, argv, options)) != -1)
		if (!option(r, opt))
			goto bad;
	if (argc - optind < 2) {
		fprintf(stderr, "bad argument count %d to %s, expected at least 2 arguments\n",
			argc - optind, argv[0]);
		goto bad;
	}
	if (sensible(r) && places(r, argc - optind, argv + optind))
		return r;
bad:
	request_free(r);
	return NULL;
}

static int transfer(Session *s, int argc, char **argv, bool write, const char *options)
{
	Request *r = parse(s, argc, argv, write, options);
	if (!r)
		return -EINVAL;
	int err = carry_out(r);
	request_free(r);
	return err;
}

static int do_read(Session *s, int argc, char **argv)
{
	return transfer(s, argc, argv, false, "bCl:pP:qs:v");
}
static int do_readv(Session *s, int argc, char **argv)
{
	return transfer(s, argc, argv, false, "CP:qv");
}
static int do_write(Session *s, int argc, char **argv)
{
	return transfer(s, argc, argv, true, "bcCfnpP:qs:uz");
}
static int do_writev(Session *s, int argc, char **argv)
{
	return transfer(s, argc, argv, true, "CfqP:");
}

static int do_discard(Session *s, int argc, char **argv)
{
	Request *r = parse(s, argc, argv, false, "Cq");
	if (!r)
		return -EINVAL;
	r->discard = true;
	int err = carry_out(r);
	request_free(r);
	return err;
}

/* ---- aio ---- */

static void aio(void *opaque)
{
	Request *r = opaque;
	Session *s = r->s;
	int err = carry_out(r);
	request_free(r);
	if (err < 0)
		s->failed = 1;
	s->running--;
	fiber_queue_wake_all(&s->ended);
}

static int start_aio(Session *s, int argc, char **argv, bool write, const char *options)
{
	Request *r = parse(s, argc, argv, write, options);
	if (!r)
		return -EINVAL;
	s->running++;
	fiber_start(aio, r);
	return 0;
}

static int do_aio_read(Session *s, int argc, char **argv)
{
	return start_aio(s, argc, argv, false, "CP:iqv");
}
static int do_aio_write(Session *s, int argc, char **argv)
{
	return start_aio(s, argc, argv, true, "CfiP:quz");
}

const IoCommand io_transfer_commands[] = {
    {"aio_read", "[-Ciqv] [-P pattern] off len [len..]", "asynchronously reads a number of bytes",
     2, 0, true, do_aio_read},
    {"aio_write", "[-Cfiquz] [-P pattern] off len [len..]",
     "asynchronously writes a number of bytes", 2, 0, true, do_aio_write},
    {"discard", "[-Cq] off len", "discards a number of bytes at a specified offset", 2, 2, true,
     do_discard},
    {"read", "[-bCqv] [-P pattern [-s off] [-l len]] off len",
     "reads a number of bytes at a specified offset", 2, 2, true, do_read},
    {"readv", "[-Cqv] [-P pattern] off len [len..]",
     "reads a number of bytes at a specified offset", 2, 0, true, do_readv},
    {"write", "[-bcCfnquz] [-P pattern | -s source_file] off len",
     "writes a number of bytes at a specified offset", 2, 2, true, do_write},
    {"writev", "[-Cfq] [-P pattern] off len [len..]",
     "writes a number of bytes at a specified offset", 2, 0, true, do_writev},
    {0}};
