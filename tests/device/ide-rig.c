/* ide-rig.c - see ide-rig.h. */
#include "ide-rig.h"

#include "core/lock.h"
#include "hw/classes.h"

static Device *plug(IdeRig *r, const DeviceClass *cls, Blk *blk, const char *bus)
{
	Device *dev = harness_make(r->h, cls);
	device_set_ptr(dev, "drive", blk);
	harness_set(dev, "bus", bus);
	harness_realize(dev);
	return dev;
}

void rig_new(IdeRig *r, bool with_disc)
{
	Harness *h = harness_new();
	*r = (IdeRig){ .h = h, .m = medium_new(RIG_BYTES, 0),
		.c = medium_new(RIG_BYTES, 5) };
	machine_lock();
	r->disk = blk_new("disk");
	blk_insert(r->disk, medium_node(r->m, "medium"));
	r->disc = blk_new("disc");
	blk_set_read_only(r->disc, true);
	if (with_disc)
		blk_insert(r->disc, medium_node(r->c, "disc-medium"));
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
	harness_reset(h);
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
	medium_free(r->m);
	medium_free(r->c);
}
