/*
 * virtio_ring.h - the two ring formats.
 *
 * VIRTIO 1.2, 2.7 (split) and 2.8 (packed).
 */
#ifndef STD_VIRTIO_RING_H
#define STD_VIRTIO_RING_H

#include <stdint.h>

/* Descriptor flags (2.7.5, 2.8.14) */
#define VIRTQ_DESC_NEXT 0x0001u
#define VIRTQ_DESC_WRITE 0x0002u     /* the device writes it */
#define VIRTQ_DESC_INDIRECT 0x0004u
#define VIRTQ_DESC_AVAIL 0x0080u     /* packed only (2.8.1) */
#define VIRTQ_DESC_USED 0x8000u

#define VIRTQ_SPLIT_SIZE_MAX 32768u  /* 2.7 */
#define VIRTQ_SPLIT_ALIGN_DESC 16u
#define VIRTQ_SPLIT_ALIGN_DRIVER 2u
#define VIRTQ_SPLIT_ALIGN_DEVICE 4u
#define VIRTQ_PACKED_ALIGN_DESC 16u  /* 2.8.10.1 */
#define VIRTQ_PACKED_ALIGN_EVENT 4u
#define VIRTQ_LEGACY_ALIGN 4096u     /* 2.7.2: of the used ring, and of the whole */

/* ---- split ---- */

typedef struct VirtqDesc {
	uint64_t addr;
	uint32_t len;      /* bytes */
	uint16_t flags;
	uint16_t next;
} VirtqDesc;

#define VIRTQ_AVAIL_NO_INTERRUPT 1u
#define VIRTQ_USED_NO_NOTIFY 1u

/* 2.7.6; behind the ring stands the used_event field. */
typedef struct VirtqAvail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
} VirtqAvail;

typedef struct VirtqUsedElem {
	uint32_t id;
	uint32_t len;      /* bytes written */
} VirtqUsedElem;

/* 2.7.8; behind the ring stands the avail_event field. */
typedef struct VirtqUsed {
	uint16_t flags;
	uint16_t idx;
	VirtqUsedElem ring[];
} VirtqUsed;

/* Bytes of each part for a queue of n entries, event field included. */
#define VIRTQ_DESC_BYTES(n) (16ull * (n))
#define VIRTQ_AVAIL_BYTES(n) (6ull + 2ull * (n))
#define VIRTQ_USED_BYTES(n) (6ull + 8ull * (n))

/* ---- packed ---- */

typedef struct VirtqPackedDesc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
} VirtqPackedDesc;

/* Event suppression (2.8.14): off_wrap is an offset in 15 bits and a wrap counter. */
#define VIRTQ_EVENT_ENABLE 0u
#define VIRTQ_EVENT_DISABLE 1u
#define VIRTQ_EVENT_DESC 2u
typedef struct VirtqPackedEvent {
	uint16_t off_wrap;
	uint16_t flags;
} VirtqPackedEvent;

_Static_assert(sizeof(VirtqDesc) == 16, "2.7.5");
_Static_assert(sizeof(VirtqAvail) == 4, "2.7.6");
_Static_assert(sizeof(VirtqUsedElem) == 8, "2.7.8");
_Static_assert(sizeof(VirtqUsed) == 4, "2.7.8");
_Static_assert(sizeof(VirtqPackedDesc) == 16, "2.8.13");
_Static_assert(sizeof(VirtqPackedEvent) == 4, "2.8.14");

#endif
