/*
 * virtio_blk.h - block device: features, configuration, requests.
 *
 * VIRTIO 1.2, 5.2.
 */
#ifndef STD_VIRTIO_BLK_H
#define STD_VIRTIO_BLK_H

#include <stddef.h>
#include <stdint.h>

#include "std/virtio.h"

#define VIRTIO_BLK_F_BARRIER VIRTIO_BIT(0)   /* legacy */
#define VIRTIO_BLK_F_SIZE_MAX VIRTIO_BIT(1)
#define VIRTIO_BLK_F_SEG_MAX VIRTIO_BIT(2)
#define VIRTIO_BLK_F_GEOMETRY VIRTIO_BIT(4)
#define VIRTIO_BLK_F_RO VIRTIO_BIT(5)
#define VIRTIO_BLK_F_BLK_SIZE VIRTIO_BIT(6)
#define VIRTIO_BLK_F_SCSI VIRTIO_BIT(7)      /* legacy */
#define VIRTIO_BLK_F_FLUSH VIRTIO_BIT(9)
#define VIRTIO_BLK_F_TOPOLOGY VIRTIO_BIT(10)
#define VIRTIO_BLK_F_CONFIG_WCE VIRTIO_BIT(11)
#define VIRTIO_BLK_F_MQ VIRTIO_BIT(12)
#define VIRTIO_BLK_F_DISCARD VIRTIO_BIT(13)
#define VIRTIO_BLK_F_WRITE_ZEROES VIRTIO_BIT(14)
#define VIRTIO_BLK_F_LIFETIME VIRTIO_BIT(15)
#define VIRTIO_BLK_F_SECURE_ERASE VIRTIO_BIT(16)

/* 5.2.4 */
typedef struct VirtioBlkConfig {
	uint64_t capacity;          /* sectors of 512 bytes */
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;          /* bytes */
	uint8_t physical_block_exp; /* 2^n logical blocks in a physical one */
	uint8_t alignment_offset;
	uint16_t min_io_size;       /* logical blocks, like the next */
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
	uint32_t max_secure_erase_sectors, max_secure_erase_seg, secure_erase_sector_alignment;
} __attribute__((packed)) VirtioBlkConfig;

/* Request types (5.2.6) */
enum {
	VIRTIO_BLK_T_IN = 0, VIRTIO_BLK_T_OUT = 1, VIRTIO_BLK_T_SCSI_CMD = 2,
	VIRTIO_BLK_T_FLUSH = 4,
	VIRTIO_BLK_T_GET_ID = 8, VIRTIO_BLK_T_GET_LIFETIME = 10, VIRTIO_BLK_T_DISCARD = 11,
	VIRTIO_BLK_T_WRITE_ZEROES = 13, VIRTIO_BLK_T_SECURE_ERASE = 14,
};
#define VIRTIO_BLK_T_BARRIER 0x80000000u     /* legacy, or-ed to the type */
enum { VIRTIO_BLK_S_OK = 0, VIRTIO_BLK_S_IOERR = 1, VIRTIO_BLK_S_UNSUPP = 2 };
#define VIRTIO_BLK_ID_BYTES 20u
#define VIRTIO_BLK_SECTOR 512u

/* What a request begins with; data and a status byte follow. */
typedef struct VirtioBlkHeader {
	uint32_t type;
	uint32_t reserved;          /* legacy: priority */
	uint64_t sector;
} VirtioBlkHeader;

/* Data of DISCARD, WRITE_ZEROES and SECURE_ERASE */
typedef struct VirtioBlkRange {
	uint64_t sector;
	uint32_t num_sectors;
	uint32_t flags;             /* bit 0: unmap */
} VirtioBlkRange;

_Static_assert(offsetof(VirtioBlkConfig, writeback) == 32, "5.2.4");
_Static_assert(offsetof(VirtioBlkConfig, max_secure_erase_sectors) == 60, "5.2.4");
_Static_assert(sizeof(VirtioBlkConfig) == 72, "5.2.4");
_Static_assert(sizeof(VirtioBlkHeader) == 16, "5.2.6");
_Static_assert(sizeof(VirtioBlkRange) == 16, "5.2.6");

#endif
