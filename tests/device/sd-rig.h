/*
 * sd-rig.h - an SD host controller with a card in it, the medium in memory.
 */
#ifndef VIV_TESTS_DEVICE_SD_RIG_H
#define VIV_TESTS_DEVICE_SD_RIG_H

#include "block/blk.h"
#include "harness.h"
#include "hw/sd/sdhci.h"
#include "medium.h"

#define RIG_BYTES (1u << 20)
#define RIG_SLOT  2
#define RIG_REGS  0xe0000000u
#define RIG_IRQ	  10

typedef struct SdRig {
	Harness *h;
	Device *host, *card;
	Blk *blk;
	Medium *m;
} SdRig;

/* A card of `bytes`, of which the medium has the first RIG_BYTES; `version` of both specifications.
 */
void rig_new(SdRig *r, uint64_t bytes, bool read_only, const char *version);
void rig_free(SdRig *r);
/* As the board's reset, then what firmware does. */
void rig_reset(SdRig *r);

void store(SdRig *r, unsigned reg, uint32_t value, unsigned size);
uint32_t load(SdRig *r, unsigned reg, unsigned size);

#endif
