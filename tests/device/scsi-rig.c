/* scsi-rig.c - see scsi-rig.h. */
#include "scsi-rig.h"

#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "hw/classes.h"

static Medium *medium(Node *node) { return *(Medium **)node->state; }

static int turn(Node *node, uint64_t end)
{
	Medium *m = medium(node);
	m->waiting++;
	for (unsigned i = 0; m->hold && i < m->patience; i++)
		loop_sleep(100000);
	m->waiting--;
	return m->error ? m->error : end > RIG_BYTES ? -EIO : 0;
}

static int medium_read(Node *node, uint64_t offset, Iov iov)
{
	int err = turn(node, offset + iov.len);
	if (!err)
		iov_copy_in(iov, 0, medium(node)->data + offset, iov.len);
	return err;
}

static int medium_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	int err = turn(node, offset + iov.len);
	if (!err)
		iov_copy_out(iov, 0, medium(node)->data + offset, iov.len);
	return err;
}

static int medium_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
	int err = turn(node, offset + bytes);
	medium(node)->zeroes++;
	if (!err)
		memset(medium(node)->data + offset, 0, bytes);
	return err;
}

static int medium_discard(Node *node, uint64_t offset, uint64_t bytes)
{
	int err = turn(node, offset + bytes);
	medium(node)->discards++;
	if (!err)
		memset(medium(node)->data + offset, 0xdd, bytes);
	return err;
}

static int medium_flush(Node *node)
{
	medium(node)->flushes++;
	return turn(node, 0);
}

static void medium_close(Node *node) { }

static const Driver medium_driver = {
	.name = "medium", .desc = "medium", .protocol = true, .size = sizeof(Medium *),
	.read = medium_read, .write = medium_write, .write_zeroes = medium_zeroes,
	.discard = medium_discard, .flush = medium_flush, .close = medium_close,
};

Node *rig_node(Medium *m, const char *name)
{
	GError *error = NULL;
	Node *node = node_open(loop_main(), NULL,
		json_pack("{s:s, s:s}", "driver", "null-co", "node-name", name),
		NODE_WRITE | NODE_UNMAP, &error);
	g_assert_no_error(error);
	node->driver = &medium_driver;
	*(Medium **)node->state = m;
	node->length = RIG_BYTES;
	return node;
}

static void set_all(Device *dev, const char *properties)
{
	GError *error = NULL;
	char **words = g_strsplit(properties, ",", 0);
	for (unsigned i = 0; words[i] && *words[i]; i++) {
		char **kv = g_strsplit(words[i], "=", 2);
		device_set(dev, kv[0], kv[1], &error);
		g_assert_no_error(error);
		g_strfreev(kv);
	}
	g_strfreev(words);
}

void rig_new(ScsiRig *r, const DeviceClass *adapter, const char *properties, const char *disk,
	Loop *loop)
{
	static const char *const place[] = { "scsi-id=0", "scsi-id=1", "scsi-id=2" };
	Harness *h = harness_new();
	*r = (ScsiRig){ .h = h };
	if (loop) {
		h->board.iothreads = g_hash_table_new(g_str_hash, g_str_equal);
		g_hash_table_insert(h->board.iothreads, (gpointer)"io0", loop);
	}
	harness_add(h, &i440fx_pcihost_class);
	r->adapter = harness_make(h, adapter);
	set_all(r->adapter, properties);
	harness_realize(r->adapter);
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		char name[16];
		r->m[i] = g_new0(Medium, 1);
		r->m[i]->patience = 100000;
		for (unsigned n = 0; n < RIG_BYTES; n++)
			r->m[i]->data[n] = (uint8_t)(n / 512 * 7 + n + i);
		g_snprintf(name, sizeof(name), "medium%u", i);
		machine_lock();
		r->blk[i] = blk_new(name + 6);
		blk_set_read_only(r->blk[i], i == 2);
		blk_insert(r->blk[i], rig_node(r->m[i], name));
		machine_unlock();
		r->unit[i] = harness_make(h, i == 2 ? &scsi_cd_class : &scsi_hd_class);
		device_set_ptr(r->unit[i], "drive", r->blk[i]);
		set_all(r->unit[i], place[i]);
		set_all(r->unit[i], i ? "" : disk);
		harness_realize(r->unit[i]);
	}
}

void rig_free(ScsiRig *r)
{
	GHashTable *iothreads = r->h->board.iothreads;
	for (unsigned i = 0; i < RIG_UNITS; i++)
		r->m[i]->hold = false;
	harness_free(r->h);
	machine_lock();
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		blk_free(r->blk[i]);
		g_free(r->m[i]);
	}
	machine_unlock();
	if (iothreads)
		g_hash_table_unref(iothreads);
}
