/*
 * ringbuf.c - a character device that keeps the last bytes of output in memory, for
 * ringbuf_read and ringbuf_write of the monitor.
 *
 * Main loop and vcpu threads, machine lock held.
 */
#include <string.h>

#include "chardev/backend.h"
#include "chardev/set.h"
#include "core/error.h"

#define SIZE_DEFAULT 65536u
#define SIZE_LIMIT (1u << 30)

typedef struct RingBuf {
	Chardev base;
	size_t size;            /* a power of two */
	size_t head, count;     /* the oldest byte; bytes that are there */
	uint8_t *data;
} RingBuf;

void ringbuf_write(Chardev *c, const uint8_t *buf, size_t len)
{
	RingBuf *r = (RingBuf *)c;
	for (size_t i = 0; i < len; i++) {
		r->data[(r->head + r->count) & (r->size - 1)] = buf[i];
		if (r->count < r->size)
			r->count++;
		else
			r->head = (r->head + 1) & (r->size - 1);
	}
}

size_t ringbuf_read(Chardev *c, uint8_t *buf, size_t max)
{
	RingBuf *r = (RingBuf *)c;
	size_t n = MIN(max, r->count);
	for (size_t i = 0; i < n; i++)
		buf[i] = r->data[(r->head + i) & (r->size - 1)];
	r->head = (r->head + n) & (r->size - 1);
	r->count -= n;
	return n;
}

size_t ringbuf_count(const Chardev *c)
{
	return ((const RingBuf *)c)->count;
}

static size_t write_all(Chardev *c, const uint8_t *buf, size_t len)
{
	ringbuf_write(c, buf, len);
	return len;
}

static bool ringbuf_open(Chardev *c, GError **error)
{
	RingBuf *r = (RingBuf *)c;
	uint64_t size = c->options->size ? c->options->size : SIZE_DEFAULT;
	if (size & (size - 1))
		return fail(error, VIV_ERROR_INVALID,
			"size of ringbuf chardev must be power of two");
	if (size > SIZE_LIMIT)
		return fail(error, VIV_ERROR_INVALID, "size of ringbuf chardev must be 1G at most");
	r->size = size;
	r->data = g_malloc(size);
	return true;
}

static void ringbuf_close(Chardev *c)
{
	g_free(((RingBuf *)c)->data);
}

static const ChardevKey keys[] = {
	{ "size", CHARDEV_SIZE, offsetof(ChardevOptions, size), "bytes, a power of two (64K)" },
	{ NULL },
};

static const ChardevClass ringbuf_class = {
	.name = "ringbuf", .alias = "memory", .desc = "keeps the last output in memory",
		.keys = keys,
	.open = ringbuf_open, .close = ringbuf_close, .write = write_all,
};

const ChardevType chardev_type_ringbuf = { &ringbuf_class, sizeof(RingBuf) };
