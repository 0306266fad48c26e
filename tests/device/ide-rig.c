/* ide-rig.c - see ide-rig.h. */
#include "ide-rig.h"

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
	.read = medium_read, .write = medium_write, .discard = medium_discard, .flush = medium_flush,
	.close = medium_close,
};

Node *rig_node(Medium *m, const char *name)
{
	GError *error = NULL;
	Node *node = node_open(loop_main(), NULL,
		json_pack("{s:s, s:s}", "driver", "null-co", "node-name", name), NODE_WRITE | NODE_UNMAP, &error);
	g_assert_no_error(error);
	node->driver = &medium_driver;
	*(Medium **)node->state = m;
	node->length = m->shown;
	return node;
}

static Medium *medium_new(unsigned seed)
{
	Medium *m = g_new0(Medium, 1);
	m->shown = RIG_BYTES;
	m->patience = 100000;
	for (unsigned i = 0; i < RIG_BYTES; i++)
		m->data[i] = (uint8_t)(i / 512 * 7 + i + seed);
	return m;
}

static Device *plug(IdeRig *r, const DeviceClass *cls, Blk *blk, const char *bus)
{
	GError *error = NULL;
	Device *dev = harness_make(r->h, cls);
	device_set_ptr(dev, "drive", blk);
	device_set(dev, "bus", bus, &error);
	g_assert_no_error(error);
	harness_realize(dev);
	return dev;
}

void rig_new(IdeRig *r, bool with_disc)
{
	Harness *h = harness_new();
	*r = (IdeRig){ .h = h, .m = medium_new(0), .c = medium_new(5) };
	machine_lock();
	r->disk = blk_new("disk");
	blk_insert(r->disk, rig_node(r->m, "medium"));
	r->disc = blk_new("disc");
	blk_set_read_only(r->disc, true);
	if (with_disc)
		blk_insert(r->disc, rig_node(r->c, "disc-medium"));
	machine_unlock();
	harness_add(h, &i440fx_pcihost_class);
	r->ide = harness_make(h, &piix3_ide_class);
	device_connect(r->ide, "irq", 0, h->board.gsi[14]);
	device_connect(r->ide, "irq", 1, h->board.gsi[15]);
	harness_realize(r->ide);
	r->hd = plug(r, &ide_hd_class, r->disk, "ide.0");
	r->cd = plug(r, &ide_cd_class, r->disc, "ide.1");
	rig_reset(r);
}

/* As the board's reset, then what firmware does. */
void rig_reset(IdeRig *r)
{
	Harness *h = r->h;
	machine_lock();
	for (unsigned i = 0; i < h->board.devices->len; i++)
		device_reset(h->board.devices->pdata[i]);
	machine_unlock();
	pci_out(h, 1, 1, 0x20, RIG_BM, 4);
	pci_out(h, 1, 1, 0x04, 5, 2);
}

void rig_free(IdeRig *r)
{
	r->m->hold = r->c->hold = false;
	harness_free(r->h);
	machine_lock();
	blk_free(r->disk);
	blk_free(r->disc);
	machine_unlock();
	g_free(r->m);
	g_free(r->c);
}
