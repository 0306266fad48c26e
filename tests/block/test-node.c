/*
 * test-node.c - opening by words, raw images, alignment, holes, locks.
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "block/node.h"
#include "block/opts.h"

static char *dir;

static char *path_of(const char *name)
{
	return g_build_filename(dir, name, NULL);
}

static char *make_file(const char *name, size_t len)
{
	char *path = path_of(name), *data = g_malloc(len + 1);
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + i / 251);
	g_assert_true(g_file_set_contents(path, data, (gssize)len, NULL));
	g_free(data);
	return path;
}

typedef struct Io { Node *node; uint64_t offset; void *buf; size_t len; int err; char what; NodeStatus status; } Io;

static void io_fiber(void *opaque)
{
	Io *io = opaque;
	struct iovec v = { io->buf, io->len };
	switch (io->what) {
	case 'r': io->err = node_read(io->node, io->offset, iov_one(&v)); break;
	case 'w': io->err = node_write(io->node, io->offset, iov_one(&v), 0); break;
	case 'z': io->err = node_write_zeroes(io->node, io->offset, io->len, REQ_UNMAP); break;
	case 'd': io->err = node_discard(io->node, io->offset, io->len); break;
	case 'f': io->err = node_flush(io->node); break;
	case 's': io->err = node_status(io->node, io->offset, io->len, true, &io->status); break;
	}
}

static int do_io(Node *node, char what, uint64_t offset, void *buf, size_t len)
{
	Io io = { node, offset, buf, len, 0, what, { 0 } };
	loop_call(node->loop, io_fiber, &io);
	return io.err;
}

static NodeStatus status(Node *node, uint64_t offset, size_t len)
{
	Io io = { node, offset, NULL, len, 0, 's', { 0 } };
	loop_call(node->loop, io_fiber, &io);
	g_assert_cmpint(io.err, ==, 0);
	return io.status;
}

static Node *open_text(const char *file, const char *words, unsigned flags, GError **error)
{
	json_t *opts = json_object();
	char **items = g_strsplit(words, ",", -1);
	for (char **i = items; *i && **i; i++) {
		char **kv = g_strsplit(*i, "=", 2);
		g_assert_true(opts_put(opts, kv[0], kv[1], NULL));
		g_strfreev(kv);
	}
	g_strfreev(items);
	return node_open(loop_main(), file, opts, flags, error);
}

static void refused(const char *file, const char *words, unsigned flags, const char *why)
{
	GError *error = NULL;
	Node *node = open_text(file, words, flags, &error);
	g_assert_null(node);
	g_assert_nonnull(error);
	if (!strstr(error->message, why))
		g_error("'%s' does not say '%s'", error->message, why);
	g_error_free(error);
}

static void test_raw(void)
{
	char *path = make_file("raw.img", 1 << 20), *data;
	GError *error = NULL;
	uint8_t buf[3000], old[3000];
	gsize len;
	Node *node = open_text(path, "driver=raw", NODE_WRITE, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(node->length, ==, 1 << 20);
	g_assert_cmpint(do_io(node, 'r', 777, buf, sizeof(buf)), ==, 0);
	g_file_get_contents(path, &data, &len, NULL);
	g_assert_cmpmem(buf, sizeof(buf), data + 777, sizeof(buf));
	memset(buf, 0x5a, sizeof(buf));
	memcpy(old, data + 4097 + 3000, 3000);
	g_assert_cmpint(do_io(node, 'w', 4097, buf, sizeof(buf)), ==, 0);
	g_assert_cmpint(do_io(node, 'f', 0, NULL, 0), ==, 0);
	g_free(data);
	g_file_get_contents(path, &data, &len, NULL);
	g_assert_cmpmem(buf, sizeof(buf), data + 4097, sizeof(buf));
	g_assert_cmpmem(old, sizeof(old), data + 4097 + 3000, sizeof(old));
	g_assert_cmpint(do_io(node, 'r', (1 << 20) - 10, buf, 11), ==, -EIO);
	g_assert_cmpint(do_io(node, 'r', UINT64_MAX - 4, buf, 11), ==, -EIO);
	node_unref(node);
	node = open_text(path, "", 0, &error);
	g_assert_no_error(error);
	g_assert_cmpint(do_io(node, 'w', 0, buf, 512), ==, -EPERM);
	node_unref(node);
	node = open_text(path, "driver=raw,offset=512,size=1k", NODE_WRITE, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(node->length, ==, 1024);
	g_assert_cmpint(do_io(node, 'r', 0, buf, 512), ==, 0);
	g_assert_cmpmem(buf, 512, data + 512, 512);
	node_unref(node);
	g_free(data);
	g_free(path);
}

/* Direct requests are aligned below, and their neighbours are left alone. */
static void test_direct(void)
{
	char *path = make_file("direct.img", 1 << 20), *data;
	GError *error = NULL;
	uint8_t buf[5001];
	gsize len;
	Node *node = open_text(path, "driver=raw,cache.direct=on,file.aio=native", NODE_WRITE, &error);
	if (!node) {
		g_test_skip(error->message);
		g_error_free(error);
		g_free(path);
		return;
	}
	g_assert_cmpuint(node->file->align, >=, 512);
	g_file_get_contents(path, &data, &len, NULL);
	memset(data + 12345, 0x77, sizeof(buf));
	memset(buf, 0x77, sizeof(buf));
	g_assert_cmpint(do_io(node, 'w', 12345, buf, sizeof(buf)), ==, 0);
	g_assert_cmpint(do_io(node, 'r', 12000, buf, sizeof(buf)), ==, 0);
	g_assert_cmpmem(buf, sizeof(buf), data + 12000, sizeof(buf));
	node_unref(node);
	char *now;
	g_file_get_contents(path, &now, &len, NULL);
	g_assert_cmpmem(now, len, data, 1 << 20);
	g_free(now);
	g_free(data);
	g_free(path);
}

static void test_holes(void)
{
	char *path = path_of("holes.img");
	GError *error = NULL;
	g_assert_true(g_file_set_contents(path, "", 0, NULL));
	g_assert_cmpint(truncate(path, 4 << 20), ==, 0);
	Node *node = open_text(path, "driver=raw,discard=unmap", NODE_WRITE, &error);
	g_assert_no_error(error);
	char *buf = g_malloc(1 << 20);
	memset(buf, 1, 1 << 20);
	g_assert_cmpint(do_io(node, 'w', 1 << 20, buf, 1 << 20), ==, 0);
	NodeStatus s = status(node, 0, 4 << 20);
	g_assert_cmpuint(s.flags & STATUS_ZERO, !=, 0);
	g_assert_cmpuint(s.bytes, ==, 1 << 20);
	s = status(node, 1 << 20, 4 << 20);
	g_assert_cmpuint(s.flags & (STATUS_ZERO | STATUS_DATA), ==, STATUS_DATA);
	g_assert_cmpuint(s.bytes, ==, 1 << 20);
	g_assert_cmpint(do_io(node, 'z', 1 << 20, NULL, 512 << 10), ==, 0);
	g_assert_cmpint(do_io(node, 'd', 1536 << 10, NULL, 512 << 10), ==, 0);
	s = status(node, 0, 4 << 20);
	g_assert_cmpuint(s.bytes, ==, 4 << 20);
	g_assert_cmpuint(s.flags & STATUS_EOF, !=, 0);
	g_free(buf);
	node_unref(node);
	g_free(path);
}

static void test_words(void)
{
	char *path = make_file("words.img", 8192);
	char *json = g_strdup_printf("json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}", path);
	char *proto = g_strconcat("file:", path, NULL);
	GError *error = NULL;
	Node *node = node_open(loop_main(), json, NULL, 0, &error);
	g_assert_no_error(error);
	node_unref(node);
	node = open_text(proto, "node-name=disk,read-only=on", NODE_WRITE, &error);
	g_assert_no_error(error);
	g_assert_true(node->read_only);
	g_assert_true(node_find("disk") == node);
	refused(path, "node-name=disk", 0, "Duplicate");
	node_unref(node);
	g_assert_null(node_find("disk"));
	refused(path, "driver=rav", 0, "Unknown driver 'rav'");
	refused(path, "driver=raw,ofset=3", 0, "Did you mean 'offset'");
	refused(path, "driver=raw,offset=12k", 0, "Offset");
	refused(path, "driver=raw,offset=abc", 0, "expected a size");
	refused(path, "file.aio=fast", 0, "io_uring, threads, native");
	refused(path, "cache.direct=maybe", 0, "'on' or 'off'");
	refused(path, "force-share=on", NODE_WRITE, "force-share");
	refused("nosuch:thing", "", 0, "Unknown protocol 'nosuch'");
	refused("/nonexistent/x", "", 0, "No such file");
	refused(dir, "", 0, "is a directory");
	refused("json:{]", "", 0, "JSON");
	refused(NULL, "driver=file", 0, "requires a file name");
	g_free(json);
	g_free(proto);
	g_free(path);
}

/* A guest that can write sector 0 of a guessed raw disk must not make it a qcow2 with a backing file. */
static void test_probed(void)
{
	char *path = make_file("probed.img", 8192);
	uint8_t buf[512] = "QFI\xfb\0\0\0\3";
	GError *error = NULL;
	Node *node = open_text(path, "", NODE_WRITE, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(node->flags & NODE_PROBED, !=, 0);
	if (driver_find("qcow2")) {
		g_assert_cmpint(do_io(node, 'w', 0, buf, sizeof(buf)), ==, -EPERM);
		g_assert_cmpint(do_io(node, 'w', 1, buf + 1, sizeof(buf) - 1), ==, 0);
	}
	buf[0] = 'X';
	g_assert_cmpint(do_io(node, 'w', 0, buf, sizeof(buf)), ==, 0);
	node_unref(node);
	g_free(path);
}

/* Within one process as between two: locks belong to the open file. */
static void test_locks(void)
{
	char *path = make_file("locked.img", 8192);
	GError *error = NULL;
	Node *disk = open_text(path, "driver=raw", NODE_WRITE | NODE_EXCLUSIVE, &error);
	g_assert_no_error(error);
	refused(path, "driver=raw", NODE_WRITE | NODE_EXCLUSIVE, "Failed to get \"write\" lock");
	Node *look = open_text(path, "driver=raw,force-share=on", 0, &error);
	g_assert_no_error(error);
	node_unref(look);
	refused(path, "driver=raw", NODE_EXCLUSIVE, "Failed to get shared \"write\" lock");
	look = open_text(path, "driver=raw,file.locking=off", NODE_WRITE | NODE_EXCLUSIVE, &error);
	g_assert_no_error(error);
	node_unref(look);
	g_assert_true(node_set_writable(disk, false, &error));
	look = open_text(path, "driver=raw", NODE_EXCLUSIVE, &error);
	g_assert_no_error(error);
	g_assert_false(node_set_writable(disk, true, NULL));
	node_unref(look);
	g_assert_true(node_set_writable(disk, true, &error));
	g_assert_cmpint(do_io(disk, 'w', 0, path, 4), ==, 0);
	node_unref(disk);
	g_free(path);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	dir = g_dir_make_tmp("viv-node-XXXXXX", NULL);
	g_test_add_func("/node/raw", test_raw);
	g_test_add_func("/node/direct", test_direct);
	g_test_add_func("/node/holes", test_holes);
	g_test_add_func("/node/words", test_words);
	g_test_add_func("/node/probed", test_probed);
	g_test_add_func("/node/locks", test_locks);
	int status = g_test_run();
	char *command = g_strconcat("rm -rf ", dir, NULL);
	if (system(command) != 0)
		status = 1;
	g_free(command);
	g_free(dir);
	return status;
}
