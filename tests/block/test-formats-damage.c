/*
 * test-formats-damage.c - damaged images of the formats besides qcow2: whatever a file says, the
 * driver refuses it with a message or copes.
 *
 * Nothing may crash, hang or ask for memory without bound (the sanitizer build looks on).
 * DAMAGE_ROUNDS sets how many images; --seed repeats a run.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/secret.h"
#include "memfile.h"

enum { DISK = 3 << 20, FILE_MAX = 24 << 20, PIECE = 1 << 16 };

/* The key of the encrypted ones: "secret,id=key" (main). `words`: as at open, besides the file. */
static const char *const luks_key[] = { "key-secret=key", NULL };
static const char *const qcow2_key[] = { "encrypt.key-secret=key", NULL };

typedef struct Kind {
	const char *driver, *options;
	const char *const *words;
} Kind;
static const Kind kinds[] = {
	{ "vdi", "" }, { "vdi", "static=on" }, { "vpc", "" }, { "vpc", "subformat=fixed" },
	{ "parallels", "cluster_size=65536" }, { "qed", "cluster_size=4096,table_size=2" },
	{ "qcow", "" },
	{ "vhdx", "block_size=1048576" },
	{ "vmdk", "" }, { "vmdk", "zeroed_grain=on" }, { "vmdk", "subformat=streamOptimized" },
	{ "luks", "key-secret=key,iter-time=10", luks_key },
	{ "qcow2", "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10", qcow2_key },
	{ "qcow2", "encrypt.format=aes,encrypt.key-secret=key", qcow2_key },
};

typedef struct Job {
	const Kind *kind;
	const char *path;
	Node *node;
	GRand *rng;
} Job;

static void quiet(const char *text)
{
}

/* ---- What is done to images -------------------------------------------------------------------- */

static void write_some(Node *node, GRand *rng, unsigned n)
{
	uint8_t *buf = g_malloc(PIECE);
	memset(buf, g_rand_int(rng), PIECE);
	for (unsigned i = 0; i < n; i++) {
		uint64_t room = MIN(node->length, DISK) & ~511ull;
		if (!room)
			break;
		uint64_t offset = (uint64_t)g_rand_int_range(rng, 0, room / 512) * 512;
		struct iovec v = { buf,
			MIN(room - offset, (uint64_t)g_rand_int_range(rng, 1, 128) * 512) };
		if (g_rand_int_range(rng, 0, 4))
			node_write(node, offset, iov_one(&v), 0);
		else
			node_write_zeroes(node, offset, v.iov_len, 0);
	}
	node_flush(node);
	g_free(buf);
}

static void make_fiber(void *opaque)
{
	Job *j = opaque;
	GError *error = NULL;
	json_t *opts = json_pack("{s:i}", "size", DISK);
	char **list = g_strsplit(j->kind->options, ",", -1);
	for (char **o = list; *o && **o; o++) {
		char **kv = g_strsplit(*o, "=", 2);
		json_object_set_new(opts, kv[0], json_string(kv[1]));
		g_strfreev(kv);
	}
	g_strfreev(list);
	g_assert_true(driver_find(j->kind->driver)->create(j->path, opts, &error));
	g_assert_no_error(error);
	json_decref(opts);
}

static void change_fiber(void *opaque)
{
	Job *j = opaque;
	write_some(j->node, j->rng, 6);
	if (j->node->driver->truncate && g_rand_boolean(j->rng))
		node_truncate(j->node, DISK * 2, false, PREALLOC_OFF, NULL);
	write_some(j->node, j->rng, 3);
}

static void look_fiber(void *opaque)
{
	Job *j = opaque;
	const Driver *d = j->node->driver;
	NodeInfo info = { 0 };
	CheckResult check = { .report = g_string_new(NULL) };
	uint8_t *buf = g_malloc(1 << 18);
	if (d->info)
		d->info(j->node, &info);
	if (d->specific)
		json_decref(d->specific(j->node));
	for (uint64_t at = 0, n = 0; at < j->node->length && n < 300; n++) {
		NodeStatus st;
		if (node_status(j->node, at, j->node->length - at, true, &st) < 0 || !st.bytes)
			break;
		at += st.bytes;
	}
	for (uint64_t at = 0, n = 0; at < j->node->length && n < 12; at += 1 << 18, n++) {
		struct iovec v = { buf, MIN(1 << 18, j->node->length - at) };
		node_read(j->node, at, iov_one(&v));
	}
	if (d->check)
		d->check(j->node, &check, 0);
	g_free(buf);
	g_string_free(check.report, TRUE);
}

static void repair_fiber(void *opaque)
{
	Job *j = opaque;
	CheckResult check = { .report = g_string_new(NULL) };
	if (j->node->driver->check)
		j->node->driver->check(j->node, &check, FIX_LEAKS | FIX_ERRORS);
	g_string_free(check.report, TRUE);
}

/* ---- Damage ------------------------------------------------------------------------------------ */

static uint64_t odd_number(GByteArray *b, GRand *rng, uint64_t v)
{
	static const uint64_t odd[] = { 0, 1, UINT64_MAX, INT64_MAX, 1ull << 63, 0x200, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0xfffffffe };
	switch (g_rand_int_range(rng, 0, 5)) {
	case 0: return odd[g_rand_int_range(rng, 0, G_N_ELEMENTS(odd))];
	case 1: return v ^ 1ull << g_rand_int_range(rng, 0, 64);
	case 2: return v + g_rand_int_range(rng, -512, 512);
	case 3: return __builtin_bswap64(__builtin_bswap64(v) + g_rand_int_range(rng, -512, 512));
	default: return (uint64_t)g_rand_int_range(rng, 0, b->len) & ~511ull;
	}
}

/* Mostly where there is something: headers and tables. */
static void damage_once(GByteArray *b, GRand *rng)
{
	unsigned size = 1u << g_rand_int_range(rng, 0, 4);
	uint64_t at = 0, v = 0, area = g_rand_boolean(rng) ? MIN(b->len, 2048) : b->len;
	if (b->len < 16)
		return;
	for (unsigned i = 0; i < 500; i++) {
		at = (uint64_t)g_rand_int_range(rng, 0, MAX(area, 17) - 8) & ~(uint64_t)(size - 1);
		memcpy(&v, b->data + at, 8);
		if (v)
			break;
	}
	v = odd_number(b, rng, v);
	memcpy(b->data + at, &v, size);
}

/* The footer's sum holds again, or nobody would look further. */
static void mend_vpc(const Kind *kind, GByteArray *b)
{
	uint8_t *f = strstr(kind->options, "fixed") && b->len > 512 ? b->data + b->len - 512 : b->data;
	uint32_t sum = 0;
	if (b->len < 512)
		return;
	for (unsigned i = 0; i < 512; i++)
		sum += i >= 64 && i < 68 ? 0 : f[i];
	sum = GUINT32_TO_BE(~sum);
	memcpy(f + 64, &sum, 4);
}

/* A header may ask for as many rounds as take a minute; thousands of images have no such time. */
static void mend_luks(GByteArray *b)
{
	enum { ROUNDS = 164, SLOTS = 208, SLOT = 48, SLOT_ROUNDS = 4, HEADER = 592 };
	uint8_t *h = memmem(b->data, b->len, "LUKS\xba\xbe", 6);
	if (!h || h + HEADER > b->data + b->len)
		return;
	h[ROUNDS] = h[ROUNDS + 1] = 0;
	for (unsigned i = 0; i < 8; i++)
		h[SLOTS + i * SLOT + SLOT_ROUNDS] = h[SLOTS + i * SLOT + SLOT_ROUNDS + 1] = 0;
}

static void mend(const Kind *kind, GByteArray *b)
{
	if (!strcmp(kind->driver, "vpc"))
		mend_vpc(kind, b);
	else if (strstr(kind->options, "iter-time"))
		mend_luks(b);
}

static void with_image(MemFile *m, Job *j, unsigned flags, FiberFn *fn)
{
	GError *error = NULL;
	j->node = memfile_format(m, j->kind->driver, j->kind->words, flags, &error);
	if (!j->node) {
		g_assert_nonnull(error);
		g_assert_cmpuint(strlen(error->message), >, 10);
		g_error_free(error);
		return;
	}
	loop_call(loop_main(), fn, j);
	node_unref(j->node);
}

static MemFile *sound_image(Job *j)
{
	char *path = g_strdup_printf("%s/viv-damage-%d", g_get_tmp_dir(), getpid()), *data;
	gsize len;
	j->path = path;
	loop_call(loop_main(), make_fiber, j);
	g_assert_true(g_file_get_contents(path, &data, &len, NULL));
	MemFile *m = memfile_new(data, len);
	g_unlink(path);
	g_free(path);
	g_free(data);
	m->longest = FILE_MAX;
	with_image(m, j, NODE_WRITE, change_fiber);
	return m;
}

static void damage(gconstpointer opaque)
{
	const char *text = g_getenv("DAMAGE_ROUNDS");
	unsigned rounds = text ? strtoul(text, NULL, 10) : 300;
	Job j = { .kind = opaque, .rng = g_rand_new_with_seed(g_test_rand_int()) };
	g_set_printerr_handler(quiet);
	MemFile *sound = sound_image(&j);
	for (unsigned i = 0; i < rounds; i++) {
		MemFile *m = memfile_new(sound->data->data, sound->data->len);
		m->longest = FILE_MAX;
		for (unsigned n = g_rand_int_range(j.rng, 1, 4); n; n--)
			damage_once(m->data, j.rng);
		if (!g_rand_int_range(j.rng, 0, 12)) /* cut short */
			g_byte_array_set_size(m->data, g_rand_int_range(j.rng, 0, m->data->len));
		mend(j.kind, m->data);
		with_image(m, &j, 0, look_fiber);
		with_image(m, &j, NODE_WRITE, change_fiber);
		with_image(m, &j, NODE_WRITE | NODE_CHECK, repair_fiber);
		with_image(m, &j, NODE_WRITE, look_fiber);
		memfile_free(m);
	}
	memfile_free(sound);
	g_rand_free(j.rng);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_assert_true(secret_add("secret,id=key,data=open sesame", NULL));
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		char *path = g_strdup_printf("/formats/damage/%s,%s", kinds[i].driver, kinds[i].options);
		g_test_add_data_func(path, &kinds[i], damage);
		g_free(path);
	}
	return g_test_run();
}
