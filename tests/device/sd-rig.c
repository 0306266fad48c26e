/* sd-rig.c - see sd-rig.h. */
#include "sd-rig.h"

#include "core/lock.h"
#include "hw/classes.h"

void rig_new(SdRig *r, uint64_t bytes, bool read_only, const char *version)
{
	Harness *h = harness_new();
	*r = (SdRig){.h = h, .m = medium_new(RIG_BYTES, 0)};
	r->m->shown = bytes;
	machine_lock();
	r->blk = blk_new("card");
	blk_set_read_only(r->blk, read_only);
	blk_insert(r->blk, medium_node(r->m, "medium"));
	machine_unlock();
	harness_add(h, &i440fx_pcihost_class);
	r->host = harness_make(h, &sdhci_pci_class);
	harness_set(r->host, "sd-spec-version", version);
	harness_realize(r->host);
	r->card = harness_make(h, &sd_card_class);
	device_set_ptr(r->card, "drive", r->blk);
	harness_set(r->card, "spec_version", version);
	harness_realize(r->card);
	rig_reset(r);
}

void rig_reset(SdRig *r)
{
	harness_reset(r->h);
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
	medium_free(r->m);
}

void store(SdRig *r, unsigned reg, uint32_t value, unsigned size)
{
	as_store(r->h->board.mem, RIG_REGS + reg, value, size);
}

uint32_t load(SdRig *r, unsigned reg, unsigned size)
{
	return (uint32_t)as_load(r->h->board.mem, RIG_REGS + reg, size);
}
