/*
 * ide-rig.h - a PIIX3 IDE with a disk on the first channel and a CD on the second, media in memory.
 */
#ifndef VIV_TESTS_DEVICE_IDE_RIG_H
#define VIV_TESTS_DEVICE_IDE_RIG_H

#include "block/blk.h"
#include "harness.h"
#include "medium.h"

#define RIG_BYTES (512u << 10)
#define RIG_BM 0xc000
#define RIG_DISK 0x1f0
#define RIG_CD 0x170
#define RIG_TABLE 0x10000u

typedef struct IdeRig {
	Harness *h;
	Device *ide, *hd, *cd;
	Blk *disk, *disc;
	Medium *m, *c;
} IdeRig;

void rig_new(IdeRig *r, bool with_disc);
void rig_free(IdeRig *r);
void rig_reset(IdeRig *r);

#endif
