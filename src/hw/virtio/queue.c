/*
 * queue.c - what both ring formats share: elements, checked buffers, mapping, notifications.
 *
 * VIRTIO 1.2, 2.6 to 2.8. Threads: as virtio.h says of a queue.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/lock.h"
#include "core/notifier.h"
#include "core/trace.h"
#include "hw/virtio/queue.h"

#define CAPACITY_FIRST 8u
#define BYTES_MAX (1ull << 32)  /* of an element (2.7.5.3.1) */

/* ---- guest memory ---- */

/* Another memory map: what was found in the old one is looked up again. */
static void check_generation(VirtQueue *q)
{
	unsigned now = atomic_load(&q->vdev->map_generation);
	if (q->map_generation == now)
		return;
	q->map_generation = now;
	q->mapped = false;
	memset(q->piece, 0, sizeof(q->piece));
}

/* Looks an address up, and keeps it if it is plain RAM, which most buffers are in. */
static bool look_up(VirtQueue *q, uint64_t addr, Translation *t)
{
	if (!as_translate(q->vdev->board->mem, addr, t))
		return false;
	if (t->host_read && t->host_read == t->host_write && t->contiguous) {
		/*
		 * One entry for each of the two large pieces of a PC's RAM; see what the other
		 * holds.
		 */
		VirtqPiece *p = &q->piece[addr >> 32 ? 1 : 0];
		*p = (VirtqPiece){ addr, addr + (t->contiguous - 1), t->host_read };
	}
	return true;
}

/* The host's side of a guest address and how many bytes of it lie in a row; NULL: no RAM. */
static uint8_t *find_ram(VirtQueue *q, uint64_t addr, bool write, uint64_t *contiguous)
{
	const VirtqPiece *p = &q->piece[addr >> 32 ? 1 : 0];
	Translation t;

	if (p->host && addr >= p->start && addr <= p->end) {
		*contiguous = p->end - addr + 1;
		return p->host + (addr - p->start);
	}
	if (!look_up(q, addr, &t))
		return NULL;
	*contiguous = t.contiguous;
	return write ? t.host_write : t.host_read;
}

/* The three parts, each in one piece of RAM and aligned. False: virtio_error was called. */
static bool map_parts(VirtQueue *q)
{
	const uint64_t addr[3] = { q->desc, q->driver, q->device };
	uint8_t **host[3] = { &q->desc_host, &q->driver_host, &q->device_host };
	uint64_t bytes[3], align[3];

	q->ring->layout(q->num, bytes, align);
	for (unsigned i = 0; i < 3; i++) {
		Translation t = { 0 };
		if (addr[i] & (align[i] - 1) || !as_translate(q->vdev->board->mem, addr[i], &t) ||
		    t.contiguous < bytes[i] || !t.host_read || t.host_read != t.host_write) {
			virtio_error(q->vdev,
				"queue %u: its memory at %#" G_GINT64_MODIFIER "x is not RAM "
				"or not aligned", q->index, addr[i]);
			return false;
		}
		*host[i] = t.host_read;
	}
	return q->mapped = true;
}

/* May the ring be touched now? */
static bool ready(VirtQueue *q)
{
	const VirtioDevice *v = q->vdev;
	if (!q->enabled || !v->dma || atomic_load_explicit(&v->broken, memory_order_relaxed))
		return false;
	/* 3.1.1; legacy drivers may use a queue earlier (3.1.2). */
	if (!(v->status & VIRTIO_STATUS_DRIVER_OK) && virtio_has(v, VIRTIO_F_VERSION_1))
		return false;
	check_generation(q);
	return q->mapped || map_parts(q);
}

/* ---- elements ---- */

VirtElement *virtq_element(VirtQueue *q)
{
	VirtElement *e = q->spare;
	if (e) {
		q->spare = e->next;
	} else {
		e = g_new0(VirtElement, 1);
		e->capacity = CAPACITY_FIRST;
		e->iov = g_new(struct iovec, e->capacity);
	}
	e->out_count = e->in_count = 0;
	e->out_bytes = e->in_bytes = 0;
	e->epoch = q->epoch;
	return e;
}

void virtq_recycle(VirtQueue *q, VirtElement *e)
{
	e->next = q->spare;
	q->spare = e;
}

static bool append(VirtElement *e, uint8_t *host, uint64_t len, bool write)
{
	unsigned count = e->out_count + e->in_count;
	if (count == VIRTQ_IOV_MAX)
		return false;
	if (count == e->capacity) {
		e->capacity *= 4;
		e->iov = g_renew(struct iovec, e->iov, e->capacity);
	}
	e->iov[count] = (struct iovec){ host, len };
	if (write)
		e->in_count++;
	else
		e->out_count++;
	return true;
}

bool virtq_add_buffer(VirtQueue *q, VirtElement *e, uint64_t addr, uint32_t len, bool write)
{
	const char *wrong = NULL;

	if (!len)
		wrong = "an empty buffer";
	else if (addr + len < addr)
		wrong = "a buffer beyond the end of memory";
	else if (e->out_bytes + e->in_bytes + len > BYTES_MAX)
		wrong = "more than 4 GiB in one buffer";
	else if (!write && e->in_count)
		wrong = "a readable part behind a writable one";
	for (uint64_t left = len; !wrong && left;) {
		uint64_t step = 0;
		uint8_t *host = find_ram(q, addr, write, &step);
		step = MIN(step, left);
		if (!host || !step)
			wrong = "a buffer that is not RAM";
		else if (!append(e, host, step, write))
			wrong = "a buffer of too many parts";
		addr += step;
		left -= step;
	}
	if (wrong) {
		virtio_error(q->vdev, "queue %u: %s", q->index, wrong);
		return false;
	}
	if (write)
		e->in_bytes += len;
	else
		e->out_bytes += len;
	return true;
}

const uint8_t *virtq_indirect(VirtQueue *q, uint64_t addr, uint32_t len, uint16_t flags,
	unsigned *count)
{
	const char *wrong = NULL;
	uint64_t contiguous = 0;
	const uint8_t *host = NULL;

	*count = len / sizeof(VirtqDesc);
	if (!virtio_has(q->vdev, VIRTIO_F_INDIRECT_DESC))
		wrong = "an indirect descriptor, which was not negotiated";
	else if (flags & VIRTQ_DESC_NEXT)
		wrong = "an indirect descriptor with a next one";
	/*
	 * More entries than the queue has are forbidden, but drivers do that; pieces are limited
	 * anyway.
	 */
	else if (!len || len % sizeof(VirtqDesc) || *count > VIRTQ_SPLIT_SIZE_MAX)
		wrong = "an indirect table of an odd size";
	else if (!(host = find_ram(q, addr, false, &contiguous)) || contiguous < len)
		wrong = "an indirect table that is not RAM";
	if (!wrong)
		return host;
	virtio_error(q->vdev, "queue %u: %s", q->index, wrong);
	return NULL;
}

VirtElement *virtq_pop(VirtQueue *q)
{
	VirtElement *e = NULL;

	if (!ready(q))
		return NULL;
	if (q->in_use >= q->num) {
		/* All of them are out, so whatever else is offered is offered twice. */
		if (!q->ring->empty(q))
			virtio_error(q->vdev,
				"queue %u: a buffer is offered again before it came back",
				q->index);
		return NULL;
	}
	bool found = q->ring->pop(q, &e);
	if (!found && !atomic_load(&q->vdev->broken) && !q->kicks_off &&
	    virtio_has(q->vdev, VIRTIO_F_EVENT_IDX)) {
		/*
		 * Empty: ask for the doorbell, then look whether a buffer came before that was
		 * seen.
		 */
		q->ring->set_kicks(q, true);
		atomic_thread_fence(memory_order_seq_cst);
		found = q->ring->pop(q, &e);
	}
	if (!found)
		return NULL;
	e->out = e->iov;
	e->in = e->iov + e->out_count;
	q->in_use++;
	trace_virtqueue_pop(q, e, e->in_count, e->out_count);
	return e;
}

static void announce(const VirtQueue *q, const VirtElement *e, uint64_t written)
{
	for (unsigned i = 0; i < e->in_count && written; i++) {
		uint64_t step = MIN(written, e->in[i].iov_len);
		ram_written(&q->vdev->board->arena, e->in[i].iov_base, step);
		written -= step;
	}
}

void virtq_push(VirtQueue *q, VirtElement *e, uint64_t written)
{
	if (e->epoch != q->epoch) { /* of before a reset: quiesce should have seen to it */
		virtq_recycle(q, e);
		return;
	}
	announce(q, e, written);
	if (ready(q)) {
		q->ring->push(q, e, (uint32_t)MIN(written, UINT32_MAX));
		q->unsignalled += e->descs;
	}
	q->in_use--;
	virtq_recycle(q, e);
}

void virtq_drop(VirtQueue *q, VirtElement *e)
{
	if (e->epoch == q->epoch)
		q->in_use--;
	virtq_recycle(q, e);
}

bool virtq_empty(VirtQueue *q)
{
	return !ready(q) || q->ring->empty(q);
}

/* ---- notifications ---- */

static void deliver(VirtioDevice *v, VirtQueue *q)
{
	if (q || (v->status & VIRTIO_STATUS_DRIVER_OK))
		v->transport->interrupt(v, q);
}

/*
 * A queue's thread must not wait for the machine lock, whose holder may be waiting for the queue's
 * thread: if the lock is taken, the main loop delivers.
 */
void virtq_interrupt(VirtioDevice *v, VirtQueue *q)
{
	if (machine_trylock()) {
		deliver(v, q);
		machine_unlock();
		return;
	}
	atomic_store(q ? &q->interrupt_due : &v->config_due, true);
	notifier_set(v->due_fd);
}

gboolean virtq_deliver_due(gint fd, GIOCondition condition, gpointer opaque)
{
	VirtioDevice *v = opaque;

	notifier_clear(fd);
	machine_lock();
	for (unsigned i = 0; i < v->queue_count; i++)
		if (atomic_exchange(&v->queue[i].interrupt_due, false))
			deliver(v, &v->queue[i]);
	if (atomic_exchange(&v->config_due, false))
		deliver(v, NULL);
	machine_unlock();
	return G_SOURCE_CONTINUE;
}

void virtq_notify(VirtQueue *q)
{
	if (!q->unsignalled || !ready(q))
		return;
	/* What was pushed is visible before the driver's wish is read. */
	atomic_thread_fence(memory_order_seq_cst);
	bool wanted = q->ring->wants_interrupt(q);
	q->unsignalled = 0;
	trace_virtio_notify(q->vdev, q);
	if (wanted)
		virtq_interrupt(q->vdev, q);
}

bool virtq_set_kicks(VirtQueue *q, bool on)
{
	q->kicks_off = !on;
	if (!ready(q))
		return false;
	q->ring->set_kicks(q, on);
	atomic_thread_fence(memory_order_seq_cst);
	return on && !q->ring->empty(q);
}

int virtq_kick_fd(VirtQueue *q)
{
	if (q->kick_fd < 0) {
		q->kick_fd = notifier_new(NULL);
		if (q->kick_fd >= 0)
			q->vdev->transport->kick_fd(q->vdev, q, true);
	}
	return q->kick_fd;
}

void virtq_close_kick_fd(VirtQueue *q)
{
	if (q->kick_fd < 0)
		return;
	q->vdev->transport->kick_fd(q->vdev, q, false);
	close(q->kick_fd);
	q->kick_fd = -1;
}

/* ---- copying ---- */

static size_t copy(const struct iovec *iov, unsigned count, uint64_t offset, uint8_t *to,
	const uint8_t *from, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < len; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		size_t step = MIN(iov[i].iov_len - offset, len - done);
		uint8_t *at = (uint8_t *)iov[i].iov_base + offset;
		if (to)
			memcpy(to + done, at, step);
		else
			memcpy(at, from + done, step);
		done += step;
		offset = 0;
	}
	return done;
}

size_t virt_read(const VirtElement *e, uint64_t offset, void *buf, size_t len)
{
	size_t done = copy(e->out, e->out_count, offset, buf, NULL, len);
	atomic_signal_fence(memory_order_seq_cst); /* a copy, once: see copy_once */
	return done;
}

size_t virt_write(const VirtElement *e, uint64_t offset, const void *buf, size_t len)
{
	return copy(e->in, e->in_count, offset, NULL, buf, len);
}

unsigned virt_slice(const struct iovec *iov, unsigned count, uint64_t offset, uint64_t len,
	struct iovec *to)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count && len; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		uint64_t step = MIN(iov[i].iov_len - offset, len);
		to[n++] = (struct iovec){ (uint8_t *)iov[i].iov_base + offset, step };
		len -= step;
		offset = 0;
	}
	return n;
}
