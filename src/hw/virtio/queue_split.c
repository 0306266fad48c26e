/*
 * queue_split.c - the split ring.
 *
 * VIRTIO 1.2, 2.7. Threads: as virtio.h says of a queue.
 */
#include "hw/virtio/queue.h"

static const VirtqAvail *avail_of(const VirtQueue *q)
{
	return (const VirtqAvail *)(void *)q->driver_host;
}

static VirtqUsed *used_of(const VirtQueue *q) { return (VirtqUsed *)(void *)q->device_host; }

static bool size_ok(unsigned num)
{
	return num && !(num & (num - 1));
}

static void layout(unsigned num, uint64_t bytes[3], uint64_t align[3])
{
	bytes[0] = VIRTQ_DESC_BYTES(num);
	bytes[1] = VIRTQ_AVAIL_BYTES(num);
	bytes[2] = VIRTQ_USED_BYTES(num);
	align[0] = VIRTQ_SPLIT_ALIGN_DESC;
	align[1] = VIRTQ_SPLIT_ALIGN_DRIVER;
	align[2] = VIRTQ_SPLIT_ALIGN_DEVICE;
}

/* The chain that begins at `head` (2.7.5): no longer than its table, so a loop ends too. */
static bool walk(VirtQueue *q, VirtElement *e, unsigned head)
{
	const uint8_t *table = q->desc_host;
	unsigned size = q->num, i = head, seen = 0;
	bool indirect = false;
	VirtqDesc d;

	for (;;) {
		if (i >= size || seen++ >= size) {
			virtio_error(q->vdev,
				"queue %u: a chain of descriptors leaves its table or never ends",
				q->index);
			return false;
		}
		copy_once(&d, table + sizeof(d) * i, sizeof(d));
		if (d.flags & VIRTQ_DESC_INDIRECT) {
			if (indirect) {
				virtio_error(q->vdev, "queue %u: indirect table within one",
					q->index);
				return false;
			}
			table = virtq_indirect(q, d.addr, d.len, d.flags, &size);
			if (!table)
				return false;
			indirect = true;
			i = seen = 0;
			continue;
		}
		if (!virtq_add_buffer(q, e, d.addr, d.len, d.flags & VIRTQ_DESC_WRITE))
			return false;
		if (!(d.flags & VIRTQ_DESC_NEXT))
			return true;
		i = d.next;
	}
}

static bool empty(VirtQueue *q)
{
	return load16(&avail_of(q)->idx) == q->last_avail;
}

static bool pop(VirtQueue *q, VirtElement **e)
{
	uint16_t waiting = (uint16_t)(load16(&avail_of(q)->idx) - q->last_avail);
	if (!waiting)
		return false;
	if (waiting > q->num) {
		virtio_error(q->vdev, "queue %u: %u buffers in a ring of %u", q->index, waiting,
			q->num);
		return false;
	}
	uint16_t head = load16(&avail_of(q)->ring[q->last_avail & (q->num - 1u)]);
	*e = virtq_element(q);
	if (!walk(q, *e, head)) {
		virtq_recycle(q, *e);
		return false;
	}
	(*e)->id = head;
	(*e)->descs = 1;
	q->last_avail++;
	return true;
}

static void push(VirtQueue *q, const VirtElement *e, uint32_t written)
{
	VirtqUsed *used = used_of(q);
	VirtqUsedElem *slot = &used->ring[q->used & (q->num - 1u)];
	RamArena *arena = &q->vdev->board->arena;

	*slot = (VirtqUsedElem){ e->id, written };
	store16(&used->idx, ++q->used);
	ram_written(arena, slot, sizeof(*slot));
	ram_written(arena, used, sizeof(*used));
}

/*
 * 2.7.7, 2.7.10; legacy NOTIFY_ON_EMPTY: 2.7.7.1. A full barrier stands between the index and this.
 */
static bool wants_interrupt(VirtQueue *q)
{
	const VirtqAvail *avail = avail_of(q);

	if (virtio_has(q->vdev, VIRTIO_F_NOTIFY_ON_EMPTY) && !q->in_use && empty(q))
		return true;
	if (!virtio_has(q->vdev, VIRTIO_F_EVENT_IDX))
		return !(load16(&avail->flags) & VIRTQ_AVAIL_NO_INTERRUPT);
	return event_passed(load16(&avail->ring[q->num]), q->used, q->unsignalled);
}

static void set_kicks(VirtQueue *q, bool on)
{
	VirtqUsed *used = used_of(q);
	uint16_t *avail_event = (uint16_t *)(void *)&used->ring[q->num];
	RamArena *arena = &q->vdev->board->arena;
	bool event_idx = virtio_has(q->vdev, VIRTIO_F_EVENT_IDX);
	/* Left where it is, the event index lies behind and asks for nothing. */
	if (event_idx && on) {
		store16(avail_event, q->last_avail);
		ram_written(arena, avail_event, sizeof(*avail_event));
	} else if (!event_idx) {
		store16(&used->flags, on ? 0 : VIRTQ_USED_NO_NOTIFY);
		ram_written(arena, used, sizeof(*used));
	}
}

const VirtRing virt_ring_split = { size_ok, layout, pop, push, wants_interrupt, empty, set_kicks };
