/* sd-rig.c - see sd-rig.h. */
#include "sd-rig.h"

#include <errno.h>
#include <string.h>

#include "core/lock.h"
#include "hw/classes.h"

static Medium *medium(Node *node)
{
	return *(Medium **)node->state;
}

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
	medium(node)->unmaps += !!(flags & REQ_UNMAP);
	if (!err)
		memset(medium(node)->data + offset, 0, bytes);
	return err;
}

static int medium_flush(Node *node)
{
	return turn(node, 0);
}
static void medium_close(Node *node)
{
}

static const Driver medium_driver = {
    .name = "medium",
    .desc = "medium",
    .protocol = true,
    .size = sizeof(Medium *),
    .read = medium_read,
    .write = medium_write,
    .write_zeroes = medium_zeroes,
    .flush = medium_flush,
    .close = medium_close,
};

Node *rig_node(Medium *m, const char *name, uint64_t bytes)
{
	GError *error = NULL;
	Node *node = node_open(loop_main(), NULL,
			       json_pack("{s:s, s:s}", "driver", "null-co", "node-name", name),
			       NODE_WRITE | NODE_UNMAP, &error);
	g_assert_no_error(error);
	node->driver = &medium_driver;
	*(Medium **)node->state = m;
	node->length = bytes;
	return node;
}

static void set(Device *dev, const char *key, const char *value)
{
	GError *error = NULL;
	device_set(dev, key, value, &error);
	g_assert_no_error(error);
}

void rig_new(SdRig *r, uint64_t bytes, bool read_only, const char *version)
{
	Harness *h = harness_new();
	*r = (SdRig){.h = h, .m = g_new0(Medium, 1)};
	r->m->patience = 100000;
	for (unsigned i = 0; i < RIG_BYTES; i++)
		r->m->data[i] = (uint8_t)(i / 512 * 7 + i);
	machine_lock();
	r->blk = blk_new("card");
	blk_set_read_only(r->blk, read_only);
	blk_insert(r->blk, rig_node(r->m, "medium", bytes));
	machine_unlock();
	harness_add(h, &i440fx_pcihost_class);
	r->host = harness_make(h, &sdhci_pci_class);
	set(r->host, "sd-spec-version", version);
	harness_realize(r->host);
	r->card = harness_make(h, &sd_card_class);
	device_set_ptr(r->card, "drive", r->blk);
	set(r->card, "spec_version", version);
	harness_realize(r->card);
	rig_reset(r);
}

void rig_reset(SdRig *r)
{
	machine_lock();
	for (unsigned i = 0; i < r->h->board.devices->len; i++)
		device_reset(r->h->board.devices->pdata[i]);
	machine_unlock();
	pci_out(r->h, RIG_SLOT, 0, PCI_BAR0, RIG_REGS, 4);
	pci_out(r->h, RIG_SLOT, 0, PCI_COMMAND, 6, 2);
}

void rig_free(SdRig *r)
{
	r->m->hold = false;
	harness_free(r->h);
	machine_lock();
	blk_free(r->blk);
	machine_unlock();
	g_free(r->m);
}

void store(SdRig *r, unsigned reg, uint32_t value, unsigned size)
{
	as_store(r->h->board.mem, RIG_REGS + reg, value, size);
}

uint32_t load(SdRig *r, unsigned reg, unsigned size)
{
	return (uint32_t)as_load(r->h->board.mem, RIG_REGS + reg, size);
}
