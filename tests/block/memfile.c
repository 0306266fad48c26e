/* memfile.c - see memfile.h. */
#include "memfile.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "block/opts.h"

static MemFile *of(Node *node)
{
	return *(MemFile **)node->state;
}

static void grow(GByteArray *data, uint64_t len)
{
	guint old = data->len;
	if (len <= old)
		return;
	g_byte_array_set_size(data, len);
	memset(data->data + old, 0, len - old);
}

static void record(MemFile *m, EventKind kind, uint64_t offset, uint64_t len, const void *data)
{
	if (!m->log)
		return;
	Event e = { kind, offset, len, data ? g_memdup2(data, len) : NULL };
	g_array_append_val(m->log, e);
}

void memfile_mark(MemFile *m, uint64_t number)
{
	record(m, EVENT_MARK, number, 0, NULL);
}

void memfile_apply(GByteArray *data, const Event *e, uint64_t part)
{
	uint64_t len = MIN(e->len, part);
	switch (e->kind) {
	case EVENT_WRITE:
		grow(data, e->offset + len);
		memcpy(data->data + e->offset, e->data, len);
		break;
	case EVENT_ZERO:
		if (e->offset < data->len)
			memset(data->data + e->offset, 0, MIN(len, data->len - e->offset));
		break;
	case EVENT_TRUNCATE:
		grow(data, e->len);
		g_byte_array_set_size(data, e->len);
		break;
	default: break;
	}
}

/* Some requests take no time, most let others go on, a few are overtaken by many. */
static void turn(MemFile *m)
{
	if (!m->yields)
		return;
	unsigned n = ++m->yields % 23 == 0 ? 100 : m->yields % 3;
	while (n--)
		loop_yield();
}

static int mem_read(Node *node, uint64_t offset, Iov iov)
{
	MemFile *m = of(node);
	turn(m);
	size_t n = offset >= m->data->len ? 0 : MIN(iov.len, m->data->len - offset);
	iov_copy_in(iov, 0, m->data->data + offset, n);
	if (n < iov.len)
		iov_fill(iov, n, 0, iov.len - n);
	return 0;
}

static int mem_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	MemFile *m = of(node);
	if (m->longest && (offset > m->longest || iov.len > m->longest - offset))
		return -ENOSPC;
	uint8_t *buf = g_malloc(iov.len + 1);
	iov_copy_out(iov, 0, buf, iov.len);
	turn(m);
	Event e = { EVENT_WRITE, offset, iov.len, buf };
	memfile_apply(m->data, &e, iov.len);
	record(m, EVENT_WRITE, offset, iov.len, buf);
	if (flags & REQ_FUA)
		record(m, EVENT_FLUSH, 0, 0, NULL); /* more than asked for: simple */
	g_free(buf);
	turn(m);
	return 0;
}

static int mem_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	MemFile *m = of(node);
	Event e = { EVENT_ZERO, offset, bytes, NULL };
	turn(m);
	memfile_apply(m->data, &e, bytes);
	record(m, EVENT_ZERO, offset, bytes, NULL);
	return 0;
}

static int mem_discard(Node *node, uint64_t offset, uint64_t bytes)
{
	return mem_zeroes(node, offset, bytes, 0);
}

static int mem_flush(Node *node)
{
	MemFile *m = of(node);
	/* What is written while it runs is not covered: so it counts from its begin. */
	record(m, EVENT_FLUSH, 0, 0, NULL);
	turn(m);
	return 0;
}

static bool mem_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc, GError **error)
{
	MemFile *m = of(node);
	if (length > (m->longest ? m->longest : 1u << 30))
		return fail(error, VIV_ERROR_FAILED, "no space");
	Event e = { EVENT_TRUNCATE, 0, length, NULL };
	memfile_apply(m->data, &e, length);
	record(m, EVENT_TRUNCATE, 0, length, NULL);
	node->length = length;
	return true;
}

static void mem_close(Node *node)
{
}

static bool mem_set_writable(Node *node, bool writable, GError **error)
{
	return true;
}

static const Driver mem_driver = {
	.name = "mem", .desc = "memory", .protocol = true, .size = sizeof(MemFile *), .read = mem_read,
	.write = mem_write, .write_zeroes = mem_zeroes, .discard = mem_discard, .flush = mem_flush,
	.truncate = mem_truncate, .close = mem_close, .set_writable = mem_set_writable,
};

MemFile *memfile_new(const void *data, size_t len)
{
	MemFile *m = g_new0(MemFile, 1);
	m->data = g_byte_array_sized_new(len + 4096);
	if (len)
		g_byte_array_append(m->data, data, len);
	return m;
}

void memfile_free(MemFile *m)
{
	for (unsigned i = 0; m->log && i < m->log->len; i++)
		g_free(g_array_index(m->log, Event, i).data);
	if (m->log)
		g_array_free(m->log, TRUE);
	g_byte_array_free(m->data, TRUE);
	g_free(m);
}

Node *memfile_node(MemFile *m, const char *name, unsigned flags)
{
	/* A node of the list, which then becomes ours. */
	json_t *opts = json_pack("{s:s, s:s}", "driver", "null-co", "node-name", name);
	Node *node = node_open(loop_main(), NULL, opts, flags, NULL);
	g_assert_nonnull(node);
	node->driver = &mem_driver;
	*(MemFile **)node->state = m;
	node->length = m->data->len;
	node->grows = true;
	return node;
}

Node *memfile_format(
	MemFile *m, const char *driver, const char *const *words, unsigned flags, GError **error)
{
	Node *file = memfile_node(m, "memfile", flags);
	json_t *opts = json_pack("{s:s, s:s}", "driver", driver, "file", "memfile");
	for (; words && *words; words++) {
		char **kv = g_strsplit(*words, "=", 2);
		g_assert_true(opts_put(opts, kv[0], kv[1], NULL));
		g_strfreev(kv);
	}
	Node *node = node_open(loop_main(), NULL, opts, flags, error);
	node_unref(file);
	return node;
}

typedef struct Make {
	const char *path;
	json_t *opts;
	bool ok;
} Make;

static void make_fiber(void *opaque)
{
	Make *m = opaque;
	GError *error = NULL;
	m->ok = driver_find("qcow2")->create(m->path, m->opts, &error);
	g_assert_no_error(error);
}

MemFile *memfile_qcow2(const char *options, uint64_t size)
{
	char *path = g_strdup_printf("%s/viv-memfile-%d.qcow2", g_get_tmp_dir(), getpid()), *data;
	gsize len;
	Make m = { path, json_pack("{s:I}", "size", (json_int_t)size), false };
	char **list = g_strsplit(options, ",", -1);
	for (char **o = list; *o && **o; o++) {
		char **kv = g_strsplit(*o, "=", 2);
		json_object_set_new(m.opts, kv[0], json_string(kv[1]));
		g_strfreev(kv);
	}
	g_strfreev(list);
	loop_call(loop_main(), make_fiber, &m);
	g_assert_true(m.ok && g_file_get_contents(path, &data, &len, NULL));
	MemFile *file = memfile_new(data, len);
	g_unlink(path);
	g_free(data);
	g_free(path);
	json_decref(m.opts);
	return file;
}
