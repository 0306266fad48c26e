/*
 * queue_packed.c - the packed ring.
 *
 * VIRTIO 1.2, 2.8. Threads: as virtio.h says of a queue.
 */
#include "hw/virtio/queue.h"

#define OFF_WRAP(off, wrap) ((uint16_t)((off) | (unsigned)(wrap) << 15))

static VirtqPackedDesc *desc_of(const VirtQueue *q, unsigned i)
{
	return (VirtqPackedDesc *)(void *)q->desc_host + i;
}

static bool size_ok(unsigned num)
{
	return num != 0;
}

static void layout(unsigned num, uint64_t bytes[3], uint64_t align[3])
{
	bytes[0] = sizeof(VirtqPackedDesc) * num;
	bytes[1] = bytes[2] = sizeof(VirtqPackedEvent);
	align[0] = VIRTQ_PACKED_ALIGN_DESC;
	align[1] = align[2] = VIRTQ_PACKED_ALIGN_EVENT;
}

static bool malformed(VirtQueue *q, const char *what)
{
	virtio_error(q->vdev, "queue %u: %s", q->index, what);
	return false;
}

/* Entries of an indirect table stand in a row; of their flags only WRITE counts (2.8.7). */
static bool walk_indirect(VirtQueue *q, VirtElement *e, const VirtqPackedDesc *at)
{
	unsigned count;
	const uint8_t *table = virtq_indirect(q, at->addr, at->len, at->flags, &count);

	for (unsigned i = 0; table && i < count; i++) {
		VirtqPackedDesc d;
		copy_once(&d, table + sizeof(d) * i, sizeof(d));
		if (d.flags & VIRTQ_DESC_INDIRECT)
			return malformed(q, "indirect table within one");
		if (!virtq_add_buffer(q, e, d.addr, d.len, d.flags & VIRTQ_DESC_WRITE))
			return false;
	}
	return table != NULL;
}

/* The chain at last_avail (2.8.6): entries in a row, the last one has the buffer's id. */
static bool walk(VirtQueue *q, VirtElement *e)
{
	unsigned i = q->last_avail;
	bool wrap = q->avail_wrap;
	VirtqPackedDesc d;

	e->descs = 0;
	do {
		if (e->descs++ >= q->num)
			return malformed(q, "a chain of descriptors never ends");
		copy_once(&d, desc_of(q, i), sizeof(d));
		if (d.flags & VIRTQ_DESC_INDIRECT) {
			if (!walk_indirect(q, e, &d))
				return false;
		} else if (!virtq_add_buffer(q, e, d.addr, d.len, d.flags & VIRTQ_DESC_WRITE)) {
			return false;
		}
		if (++i == q->num) {
			i = 0;
			wrap = !wrap;
		}
	} while (d.flags & VIRTQ_DESC_NEXT);
	e->id = d.id;
	q->last_avail = (uint16_t)i;
	q->avail_wrap = wrap;
	return true;
}

/* 2.8.1 */
static bool empty(VirtQueue *q)
{
	uint16_t flags = load16(&desc_of(q, q->last_avail)->flags);
	bool avail = flags & VIRTQ_DESC_AVAIL, used = flags & VIRTQ_DESC_USED;
	return avail != q->avail_wrap || used == q->avail_wrap;
}

static bool pop(VirtQueue *q, VirtElement **e)
{
	if (empty(q))
		return false;
	*e = virtq_element(q);
	if (walk(q, *e))
		return true;
	virtq_recycle(q, *e);
	return false;
}

static void push(VirtQueue *q, const VirtElement *e, uint32_t written)
{
	VirtqPackedDesc *d = desc_of(q, q->used);
	uint16_t flags = q->used_wrap ? VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED : 0;

	d->id = e->id;
	d->len = written;
	store16(&d->flags, flags | (written ? VIRTQ_DESC_WRITE : 0));
	ram_written(&q->vdev->board->arena, d, sizeof(*d));
	unsigned next = q->used + e->descs;
	if (next >= q->num) {
		next -= q->num;
		q->used_wrap = !q->used_wrap;
	}
	q->used = (uint16_t)next;
}

/* 2.8.14; a full barrier stands between the descriptor and this. */
static bool wants_interrupt(VirtQueue *q)
{
	const VirtqPackedEvent *event = (const VirtqPackedEvent *)(void *)q->driver_host;
	uint16_t flags = load16(&event->flags) & 3;

	if (flags != VIRTQ_EVENT_DESC || !virtio_has(q->vdev, VIRTIO_F_EVENT_IDX))
		return flags != VIRTQ_EVENT_DISABLE;
	uint16_t off_wrap = load16(&event->off_wrap), off = off_wrap & 0x7fff;
	/* An offset of the round before lies a ring's length behind. */
	if ((off_wrap >> 15) != q->used_wrap)
		off = (uint16_t)(off - q->num);
	return event_passed(off, q->used, q->unsignalled);
}

static void set_kicks(VirtQueue *q, bool on)
{
	VirtqPackedEvent *event = (VirtqPackedEvent *)(void *)q->device_host;

	if (on && virtio_has(q->vdev, VIRTIO_F_EVENT_IDX)) {
		store16(&event->off_wrap, OFF_WRAP(q->last_avail, q->avail_wrap));
		store16(&event->flags, VIRTQ_EVENT_DESC);
	} else {
		store16(&event->flags, on ? VIRTQ_EVENT_ENABLE : VIRTQ_EVENT_DISABLE);
	}
	ram_written(&q->vdev->board->arena, event, sizeof(*event));
}

const VirtRing virt_ring_packed = { size_ok, layout, pop, push, wants_interrupt, empty, set_kicks };
