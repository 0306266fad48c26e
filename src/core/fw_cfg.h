/*
 * fw_cfg.h - what the firmware configuration device offers, by key.
 *
 * The machine fills a table (signature, file directory and all); the device
 * (class "fw_cfg_io", pointer property "table") only selects, reads, writes and
 * copies by DMA. Layouts: QEMU's published docs/specs/fw_cfg. Machine lock held.
 */
#ifndef VIV_CORE_FW_CFG_H
#define VIV_CORE_FW_CFG_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#define FW_CFG_FILE_FIRST 0x20
#define FW_CFG_FILE_SLOTS 0x40
#define FW_CFG_KEYS 0x60        /* generic keys: [0, 0x60) */
#define FW_CFG_ARCH_LOCAL 0x8000
#define FW_CFG_ARCH_KEYS 0x10   /* [0x8000, 0x8010) */

/* One key's content. data == NULL: the key reads as zero bytes. */
typedef struct FwCfgEntry {
	uint8_t *data;    /* owned by the table */
	uint32_t size;
	bool writable;    /* the guest may write it by DMA */
} FwCfgEntry;

typedef struct FwCfgTable {
	FwCfgEntry generic[FW_CFG_KEYS];
	FwCfgEntry arch[FW_CFG_ARCH_KEYS];
	/* Called before the first byte of a newly selected key is read: tables that depend on what the
	 * guest's firmware set up (PCI windows) are made here. May be NULL. */
	void (*selected)(void *opaque, uint16_t key);
	void *opaque;
} FwCfgTable;

/* The entry of a selector value as the guest wrote it; NULL: no such key. */
static inline FwCfgEntry *fw_cfg_lookup(FwCfgTable *t, uint16_t key)
{
	unsigned low = key & 0x3fff; /* bit 14 asks for the old write channel, which is gone */
	if (key & FW_CFG_ARCH_LOCAL)
		return low < FW_CFG_ARCH_KEYS ? &t->arch[low] : NULL;
	return low < FW_CFG_KEYS ? &t->generic[low] : NULL;
}

#endif
