/*
 * queue.h - between virtio.c and the two ring formats. Threads: as virtio.h says of a queue.
 */
#ifndef VIV_HW_VIRTIO_QUEUE_H
#define VIV_HW_VIRTIO_QUEUE_H

#include "hw/virtio/virtio.h"
#include "std/virtio_ring.h"

/* A ring format. The queue is enabled and its parts are mapped. */
typedef struct VirtRing {
	bool (*size_ok)(unsigned num);
	/* Bytes and alignment (a power of two) of the parts: descriptors, driver's, device's. */
	void (*layout)(unsigned num, uint64_t bytes[3], uint64_t align[3]);
	/*
	 * The next available buffer goes into *e, taken by virtq_element; false: none, or
	 * virtio_error.
	 */
	bool (*pop)(VirtQueue *q, VirtElement **e);
	void (*push)(VirtQueue *q, const VirtElement *e, uint32_t written);
	/* Does the driver wish to be interrupted for the last `unsignalled` entries? */
	bool (*wants_interrupt)(VirtQueue *q);
	bool (*empty)(VirtQueue *q);
	/*
	 * Writes the device's wish for doorbells: `on`, and with EVENT_IDX from the next buffer on.
	 */
	void (*set_kicks)(VirtQueue *q, bool on);
} VirtRing;

extern const VirtRing virt_ring_split, virt_ring_packed;

/* An empty element; it stays with the queue. */
VirtElement *virtq_element(VirtQueue *q);
void virtq_recycle(VirtQueue *q, VirtElement *e);
/* Appends a buffer of the guest, checked. False: virtio_error was called. */
bool virtq_add_buffer(VirtQueue *q, VirtElement *e, uint64_t addr, uint32_t len, bool write);
/*
 * Checks an INDIRECT descriptor (2.7.5.3) and finds its table: readable RAM in one piece of *count
 * descriptors. NULL: virtio_error was called.
 */
const uint8_t *virtq_indirect(VirtQueue *q, uint64_t addr, uint32_t len, uint16_t flags,
	unsigned *count);

/*
 * Interrupts the driver for a queue, or (q NULL) for the configuration; by this thread or the main
 * loop.
 */
void virtq_interrupt(VirtioDevice *v, VirtQueue *q);
gboolean virtq_deliver_due(gint fd, GIOCondition condition, gpointer opaque);

/*
 * Copies guest memory once: what is checked afterwards is the copy, not what the guest makes of it.
 */
static inline void copy_once(void *to, const void *from, size_t len)
{
	__builtin_memcpy(to, from, len);
	atomic_signal_fence(memory_order_seq_cst);
}

static inline uint16_t load16(const uint16_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void store16(uint16_t *p, uint16_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

/* Is `event` among the `count` entries before `now`? All modulo 2^16 (2.7.10). */
static inline bool event_passed(uint16_t event, uint16_t now, uint32_t count)
{
	return count > UINT16_MAX || (uint16_t)(now - event - 1) < count;
}

#endif
