/*
 * imgtool.c - drives the block layer from a script of lines, for tests in Python.
 *
 *   imgtool create DRIVER FILE [key=value]...
 *   imgtool measure DRIVER [key=value]...
 *   imgtool run FILE [key=value]... < script
 *
 * A script has one command a line; numbers are bytes. "&" before a command starts it and goes
 * on; "wait" waits for all that were started. What fails ends the run with status 1, unless
 * the line begins with "!".
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/node.h"
#include "block/opts.h"

typedef struct Run {
	Node *node;
	unsigned running;
	int failed;
	FiberQueue ended;
} Run;
typedef struct Cmd {
	Run *run;
	char **w;
	unsigned n;
	bool may_fail;
} Cmd;

static uint64_t num(const Cmd *c, unsigned i)
{
	return i < c->n ? strtoull(c->w[i], NULL, 0) : 0;
}
static const char *word(const Cmd *c, unsigned i)
{
	return i < c->n ? c->w[i] : "";
}

static bool not(GError * error)
{
	fprintf(stderr, "imgtool: %s\n", error ? error->message : "failed");
	g_clear_error(&error);
	return false;
}

static bool errno_ok(int ret, const char *what)
{
	if (ret < 0)
		fprintf(stderr, "imgtool: %s: %s\n", what, g_strerror(-ret));
	return ret >= 0;
}

static json_t *words_to_opts(char **w)
{
	json_t *opts = json_object();
	for (; *w; w++) {
		char **kv = g_strsplit(*w, "=", 2);
		json_object_set_new(opts, kv[0], json_string(kv[1] ? kv[1] : "on"));
		g_strfreev(kv);
	}
	return opts;
}

/* ---- Data ---- */

static bool write_pattern(const Cmd *c, bool compressed)
{
	uint64_t offset = num(c, 1), len = num(c, 2);
	/* In two pieces of odd size, as guests send them. */
	uint8_t *buf = g_malloc(MAX(len, 1));
	memset(buf, (int)num(c, 3), len);
	struct iovec v[2] = { { buf, len / 3 }, { buf + len / 3, len - len / 3 } };
	Iov iov = iov_all(v, 2);
	int ret = compressed
		? node_write_compressed(c->run->node, offset, iov)
		: node_write(c->run->node, offset, iov, strcmp(word(c, 4), "fua") ? 0 : REQ_FUA);
	g_free(buf);
	return errno_ok(ret, "write");
}

static bool dump(const Cmd *c)
{
	Node *node = c->run->node;
	FILE *f = fopen(word(c, 1), "wb");
	size_t size = 1 << 20;
	uint8_t *buf = g_malloc(size);
	int ret = f ? 0 : -errno;
	for (uint64_t at = 0; at < node->length && ret >= 0; at += size) {
		struct iovec v = { buf, MIN(size, node->length - at) };
		ret = node_read(node, at, iov_one(&v));
		if (ret >= 0)
			fwrite(buf, 1, v.iov_len, f);
	}
	g_free(buf);
	if (f)
		fclose(f);
	return errno_ok(ret, "dump");
}

static bool load(const Cmd *c)
{
	gchar *data;
	gsize len;
	if (!g_file_get_contents(word(c, 1), &data, &len, NULL))
		return false;
	struct iovec v = { data, len };
	int ret = node_write(c->run->node, 0, iov_one(&v), 0);
	g_free(data);
	return errno_ok(ret, "load");
}

static bool show_map(const Cmd *c)
{
	Node *node = c->run->node;
	for (uint64_t at = 0; at < node->length;) {
		NodeStatus st;
		int ret = node_status(node, at, node->length - at, true, &st);
		if (!errno_ok(ret, "status") || !st.bytes)
			return false;
		printf("%" PRIu64 " %" PRIu64 " %s%s%s%s\n", at, st.bytes,
			st.flags & STATUS_DATA ? "d" : "", st.flags & STATUS_ZERO ? "z" : "",
			st.flags & STATUS_ALLOCATED ? "a" : "",
			st.flags & STATUS_COMPRESSED ? "c" : "");
		at += st.bytes;
	}
	return true;
}

/* ---- Speed ---- */

typedef struct Bench {
	Node *node;
	bool write, random;
	uint64_t left, size, at, seed;
	unsigned running;
	FiberQueue ended;
} Bench;

static void bench_fiber(void *opaque)
{
	Bench *b = opaque;
	uint8_t *buf = g_malloc(b->size);
	memset(buf, 0x5a, b->size);
	struct iovec v = { buf, b->size };
	uint64_t slots = b->node->length / b->size;
	while (b->left) {
		b->left--;
		b->seed = b->seed * 6364136223846793005ull + 1442695040888963407ull;
		uint64_t slot = b->random ? (b->seed >> 20) % slots : b->at++ % slots;
		int ret = b->write ? node_write(b->node, slot * b->size, iov_one(&v), 0)
				   : node_read(b->node, slot * b->size, iov_one(&v));
		if (ret < 0)
			errno_ok(ret, "bench");
	}
	g_free(buf);
	b->running--;
	fiber_queue_wake_all(&b->ended);
}

/* bench read|write COUNT DEPTH SIZE [random] */
static bool bench(const Cmd *c)
{
	Bench b = { c->run->node, !strcmp(word(c, 1), "write"), !strcmp(word(c, 5), "random"),
		num(c, 2), num(c, 4), 0, 1, 0, { 0 } };
	int64_t start = g_get_monotonic_time();
	for (unsigned i = 0; i < num(c, 3); i++) {
		b.running++;
		fiber_start(bench_fiber, &b);
	}
	while (b.running)
		fiber_queue_wait(&b.ended);
	double s = (g_get_monotonic_time() - start) / 1e6;
	printf("%s %s %" PRIu64 " x %" PRIu64 ": %.3f s, %.0f requests/s, %.0f MB/s\n", word(c, 1),
		b.random ? "random" : "in order", num(c, 2), b.size, s, num(c, 2) / s,
		num(c, 2) * b.size / s / 1e6);
	return true;
}

/* ---- Commands ---- */

static Prealloc prealloc_of(const char *text)
{
	static const char *const names[] = { "off", "metadata", "falloc", "full" };
	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(text, names[i]))
			return i;
	return PREALLOC_OFF;
}

static bool check(const Cmd *c)
{
	CheckResult r = { .report = g_string_new(NULL) };
	unsigned fix = strstr(word(c, 1), "all") ? FIX_LEAKS | FIX_ERRORS
		: strstr(word(c, 1), "leaks")	 ? FIX_LEAKS
						 : 0;
	int ret = c->run->node->driver->check(c->run->node, &r, fix);
	printf("%s", r.report->str);
	g_string_free(r.report, TRUE);
	printf("check: corruptions=%" PRIu64 " leaks=%" PRIu64 " errors=%" PRIu64 " fixed=%" PRIu64
	       " leaks_fixed=%" PRIu64 " allocated=%" PRIu64 " fragmented=%" PRIu64
	       " compressed=%" PRIu64 " end=%" PRIu64 "\n",
		r.corruptions, r.leaks, r.check_errors, r.corruptions_fixed, r.leaks_fixed,
		r.allocated_clusters, r.fragmented_clusters, r.compressed_clusters,
		r.image_end_offset);
	if (!strcmp(word(c, 1), "clean") && (r.corruptions || r.leaks || r.check_errors))
		ret = -EIO;
	if (!strcmp(word(c, 1), "safe") && (r.corruptions || r.check_errors))
		ret = -EIO;
	return errno_ok(ret, "check");
}

static bool snapshots(const Cmd *c)
{
	const Driver *d = c->run->node->driver;
	Node *node = c->run->node;
	GError *error = NULL;
	const char *what = word(c, 1), *name = word(c, 2);
	bool ok = true;
	if (!strcmp(what, "create")) {
		SnapshotInfo info = { .date_sec = 1700000000, .icount = UINT64_MAX };
		g_strlcpy(info.name, name, sizeof(info.name));
		ok = d->snapshot_create(node, &info, &error);
	} else if (!strcmp(what, "apply")) {
		ok = d->snapshot_apply(node, name, &error);
	} else if (!strcmp(what, "delete")) {
		ok = d->snapshot_delete(node, name, &error);
	} else if (!strcmp(what, "load")) {
		ok = d->snapshot_load(node, name, &error);
	} else {
		GArray *list = d->snapshot_list(node);
		for (unsigned i = 0; i < list->len; i++)
			printf("snapshot %s %s\n", g_array_index(list, SnapshotInfo, i).id,
				g_array_index(list, SnapshotInfo, i).name);
		g_array_free(list, TRUE);
	}
	return ok || not(error);
}

static bool bitmaps(const Cmd *c)
{
	const Driver *d = c->run->node->driver;
	Node *node = c->run->node;
	GError *error = NULL;
	const char *what = word(c, 1), *name = word(c, 2);
	bool ok = true;
	if (!strcmp(what, "add"))
		ok = d->bitmap_add(node, name, num(c, 3), !strcmp(word(c, 4), "disabled"), &error);
	else if (!strcmp(what, "remove"))
		ok = d->bitmap_remove(node, name, &error);
	else if (!strcmp(what, "clear"))
		ok = d->bitmap_clear(node, name, &error);
	else if (!strcmp(what, "enable") || !strcmp(what, "disable"))
		ok = d->bitmap_enable(node, name, !strcmp(what, "enable"), &error);
	else if (!strcmp(what, "merge"))
		ok = d->bitmap_merge(node, name, node, word(c, 3), &error);
	else {
		GPtrArray *list = d->bitmap_list(node);
		for (unsigned i = 0; i < list->len; i++) {
			const BitmapInfo *b = g_ptr_array_index(list, i);
			printf("bitmap %s %" PRIu64 " %s%s\n", b->name, b->granularity,
				b->recording ? "recording" : "disabled",
				b->in_use ? " in-use" : "");
		}
		g_ptr_array_free(list, TRUE);
	}
	return ok || not(error);
}

static bool change(const Cmd *c)
{
	Node *node = c->run->node;
	GError *error = NULL;
	bool ok;
	if (!strcmp(c->w[0], "resize")) {
		ok = node_truncate(node, num(c, 1), true, prealloc_of(word(c, 2)), &error);
	} else if (!strcmp(c->w[0], "backing")) {
		ok = node->driver->set_backing(
			node, c->n > 1 ? c->w[1] : NULL, c->n > 2 ? c->w[2] : NULL, &error);
	} else {
		json_t *opts = words_to_opts(c->w + 1);
		ok = opts_check(node->driver->amend_options, opts, node->driver->name, &error)
			&& node->driver->amend(node, opts, false, NULL, NULL, &error);
		json_decref(opts);
	}
	return ok || not(error);
}

static bool show(const Cmd *c)
{
	Node *node = c->run->node;
	json_t *j = node->driver->specific ? node->driver->specific(node) : NULL;
	char *text = j ? json_dumps(j, JSON_SORT_KEYS) : NULL;
	printf("info: length=%" PRIu64 " backing=%s %s\n", node->length,
		node->backing_file ? node->backing_file : "-", text ? text : "-");
	free(text);
	json_decref(j);
	return true;
}

static bool do_command(const Cmd *c)
{
	const char *w = c->w[0];
	Node *node = c->run->node;
	if (!strcmp(w, "write"))
		return write_pattern(c, false);
	if (!strcmp(w, "compress"))
		return write_pattern(c, true);
	if (!strcmp(w, "zero"))
		return errno_ok(node_write_zeroes(node, num(c, 1), num(c, 2),
					strcmp(word(c, 3), "unmap") ? 0 : REQ_UNMAP),
			w);
	if (!strcmp(w, "discard"))
		return errno_ok(node_discard(node, num(c, 1), num(c, 2)), w);
	if (!strcmp(w, "flush"))
		return errno_ok(node_flush(node), w);
	if (!strcmp(w, "empty"))
		return errno_ok(node->driver->make_empty(node), w);
	if (!strcmp(w, "dump"))
		return dump(c);
	if (!strcmp(w, "load"))
		return load(c);
	if (!strcmp(w, "map"))
		return show_map(c);
	if (!strcmp(w, "check"))
		return check(c);
	if (!strcmp(w, "snapshot"))
		return snapshots(c);
	if (!strcmp(w, "bitmap"))
		return bitmaps(c);
	if (!strcmp(w, "resize") || !strcmp(w, "amend") || !strcmp(w, "backing"))
		return change(c);
	if (!strcmp(w, "info"))
		return show(c);
	if (!strcmp(w, "bench"))
		return bench(c);
	if (!strcmp(w, "say")) {
		printf("%s\n", word(c, 1));
		fflush(stdout);
		return true;
	}
	fprintf(stderr, "imgtool: no command '%s'\n", w);
	return false;
}

static void command_fiber(void *opaque)
{
	Cmd *c = opaque;
	Run *run = c->run;
	if (!do_command(c) && !c->may_fail)
		run->failed++;
	g_strfreev(c->w);
	g_free(c);
	run->running--;
	fiber_queue_wake_all(&run->ended);
}

static void wait_all(void *opaque)
{
	Run *run = opaque;
	while (run->running)
		fiber_queue_wait(&run->ended);
}

/* Starts in a fiber of the loop without waiting for its end. */
static void start(void *opaque)
{
	fiber_start(command_fiber, opaque);
}

static void do_line(Run *run, char *line)
{
	bool may_fail = *line == '!', background = line[may_fail] == '&';
	char *text = g_strstrip(line + may_fail + background);
	if (!*text)
		return;
	if (!strcmp(text, "wait")) {
		loop_call(run->node->loop, wait_all, run);
		return;
	}
	Cmd *c = g_new0(Cmd, 1);
	c->run = run;
	c->may_fail = may_fail;
	c->w = g_strsplit_set(text, " ", -1);
	c->n = g_strv_length(c->w);
	run->running++;
	loop_call(run->node->loop, start, c);
	if (!background)
		loop_call(run->node->loop, wait_all, run);
}

/* ---- Main ---- */

typedef struct Create {
	const Driver *driver;
	const char *file;
	json_t *opts;
	bool ok;
} Create;

static void create_fiber(void *opaque)
{
	Create *c = opaque;
	GError *error = NULL;
	c->ok = (opts_check(c->driver->create_options, c->opts, c->driver->name, &error)
			&& c->driver->create(c->file, c->opts, &error))
		|| not(error);
}

static int create(char **argv)
{
	Create c = { driver_find(argv[0]), argv[1], words_to_opts(argv + 2), false };
	uint64_t size = opt_size(c.opts, "size", 0);
	json_object_set_new(c.opts, "size", json_integer((json_int_t)size));
	loop_call(loop_main(), create_fiber, &c);
	json_decref(c.opts);
	return !c.ok;
}

static int measure(char **argv)
{
	MeasureResult r;
	GError *error = NULL;
	json_t *opts = words_to_opts(argv + 1);
	bool ok = driver_find(argv[0])->measure(opts, NULL, &r, &error);
	json_decref(opts);
	if (!ok)
		return !not(error);
	printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", r.required,
		r.fully_allocated);
	return 0;
}

static int run_script(char **argv)
{
	GError *error = NULL;
	unsigned flags = NODE_WRITE;
	json_t *opts = json_object();
	for (char **w = argv + 1; *w; w++) {
		char **kv = g_strsplit(*w, "=", 2);
		if (!strcmp(kv[0], "check"))
			flags |= NODE_CHECK;
		else if (!strcmp(kv[0], "ro"))
			flags &= ~NODE_WRITE;
		else if (!strcmp(kv[0], "nobacking"))
			flags |= NODE_NO_BACKING;
		else if (!strcmp(kv[0], "noflush"))
			flags |= NODE_NO_FLUSH;
		else if (!strcmp(kv[0], "unmap"))
			flags |= NODE_UNMAP;
		else if (!opts_put(opts, kv[0], kv[1] ? kv[1] : "on", &error))
			return !not(error);
		g_strfreev(kv);
	}
	Run run = { .node = node_open(loop_main(), argv[0], opts, flags, &error) };
	if (!run.node)
		return !not(error);
	char *line = NULL;
	size_t room = 0;
	while (!run.failed && getline(&line, &room, stdin) > 0)
		do_line(&run, line);
	free(line);
	loop_call(run.node->loop, wait_all, &run);
	node_unref(run.node);
	return run.failed != 0;
}

int main(int argc, char **argv)
{
	if (argc >= 4 && !strcmp(argv[1], "create"))
		return create(argv + 2);
	if (argc >= 3 && !strcmp(argv[1], "measure"))
		return measure(argv + 2);
	if (argc >= 3 && !strcmp(argv[1], "run"))
		return run_script(argv + 2);
	fprintf(stderr, "imgtool create DRIVER FILE | measure DRIVER | run FILE [key=value]...\n");
	return 1;
}
