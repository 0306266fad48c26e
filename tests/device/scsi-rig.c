/* scsi-rig.c - see scsi-rig.h. */
#include "scsi-rig.h"

#include "core/lock.h"
#include "hw/classes.h"

void rig_new(ScsiRig *r, const DeviceClass *adapter, const char *properties, const char *disk,
	Loop *loop)
{
	static const char *const place[] = { "scsi-id=0", "scsi-id=1", "scsi-id=2" };
	Harness *h = harness_new();
	*r = (ScsiRig){ .h = h };
	if (loop)
		harness_add_loop(h, loop);
	harness_add(h, &i440fx_pcihost_class);
	r->adapter = harness_make(h, adapter);
	harness_set_all(r->adapter, properties);
	harness_realize(r->adapter);
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		char name[16];
		r->m[i] = medium_new(RIG_BYTES, i);
		g_snprintf(name, sizeof(name), "medium%u", i);
		machine_lock();
		r->blk[i] = blk_new(name + 6);
		blk_set_read_only(r->blk[i], i == 2);
		blk_insert(r->blk[i], medium_node(r->m[i], name));
		machine_unlock();
		r->unit[i] = harness_make(h, i == 2 ? &scsi_cd_class : &scsi_hd_class);
		device_set_ptr(r->unit[i], "drive", r->blk[i]);
		harness_set_all(r->unit[i], place[i]);
		harness_set_all(r->unit[i], i ? "" : disk);
		harness_realize(r->unit[i]);
	}
}

void rig_free(ScsiRig *r)
{
	for (unsigned i = 0; i < RIG_UNITS; i++)
		r->m[i]->hold = false;
	harness_free(r->h);
	machine_lock();
	for (unsigned i = 0; i < RIG_UNITS; i++) {
		blk_free(r->blk[i]);
		medium_free(r->m[i]);
	}
	machine_unlock();
}
