/*
 * scsi-rig.h - a SCSI adapter with a disk (target 0), a second unit (target 1, LUN of the adapter's
 * choice) and a CD (target 2), media in memory.
 */
#ifndef VIV_TESTS_DEVICE_SCSI_RIG_H
#define VIV_TESTS_DEVICE_SCSI_RIG_H

#include "block/blk.h"
#include "harness.h"
#include "medium.h"

#define RIG_BYTES (256u << 10)
#define RIG_UNITS 3

typedef struct ScsiRig {
	Harness *h;
	Device *adapter, *unit[RIG_UNITS];
	Blk *blk[RIG_UNITS];
	Medium *m[RIG_UNITS];
} ScsiRig;

/* `adapter` is realized with properties "a=b,c=d" in slot 2; `disk`: properties of the first disk. */
void rig_new(ScsiRig *r, const DeviceClass *adapter, const char *properties, const char *disk, Loop *loop);
void rig_free(ScsiRig *r);

#endif
