/*
 * virtio.c - life of a virtio device: features, status, configuration, queues set up and torn down.
 *
 * VIRTIO 1.2, 2 and 3. Machine lock held, but for virtio_error.
 */
#include "hw/virtio/virtio.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "core/error.h"
#include "core/notifier.h"
#include "core/trace.h"
#include "hw/virtio/queue.h"

#define NO_VECTOR 0xffff

static const StateField queue_state[] = {
	STATE(FIELD_U16, VirtQueue, num, 0),
	STATE(FIELD_U16, VirtQueue, vector, NO_VECTOR),
	STATE(FIELD_BOOL, VirtQueue, enabled, 0),
	STATE(FIELD_U64, VirtQueue, desc, 0),
	STATE(FIELD_U64, VirtQueue, driver, 0),
	STATE(FIELD_U64, VirtQueue, device, 0),
	STATE(FIELD_U16, VirtQueue, last_avail, 0),
	STATE(FIELD_U16, VirtQueue, used, 0),
	STATE(FIELD_BOOL, VirtQueue, avail_wrap, 1),
	STATE(FIELD_BOOL, VirtQueue, used_wrap, 1),
	STATE(FIELD_BOOL, VirtQueue, kicks_off, 0),
	STATE(FIELD_U32, VirtQueue, in_use, 0),
	STATE(FIELD_U32, VirtQueue, unsignalled, 0),
	{ 0 }
};
const StateField virtio_state[] = {
	STATE(FIELD_U64, VirtioDevice, driver_features, 0),
	STATE(FIELD_U8, VirtioDevice, status, 0),
	STATE(FIELD_U8, VirtioDevice, generation, 0),
	STATE(FIELD_U16, VirtioDevice, config_vector, NO_VECTOR),
	STATE_GROUP(VirtioDevice, queue, queue_count, queue_state, VirtQueue),
	{ 0 }
};

/* ---- errors and changes ---- */

void virtio_error(VirtioDevice *v, const char *format, ...)
{
	va_list ap;

	if (atomic_exchange(&v->broken, true))
		return;
	va_start(ap, format);
	g_mutex_lock(&v->error_lock);
	if (!v->error) {
		v->error = g_strdup_vprintf(format, ap);
		g_printerr("viv: %s: %s. The device stands still until the guest resets it; "
			"this is said once.\n",
			v->dev->id ? v->dev->id : v->cls->name, v->error);
	}
	g_mutex_unlock(&v->error_lock);
	va_end(ap);
	if (virtio_has(v, VIRTIO_F_VERSION_1)) /* 2.1.2 */
		virtq_interrupt(v, NULL);
}

void virtio_config_changed(VirtioDevice *v)
{
	v->generation++;
	virtq_interrupt(v, NULL);
}

/* ---- status and features ---- */

uint8_t virtio_status(const VirtioDevice *v)
{
	bool needs_reset = atomic_load(&v->broken) && virtio_has(v, VIRTIO_F_VERSION_1);
	return (uint8_t)(v->status | (needs_reset ? VIRTIO_STATUS_NEEDS_RESET : 0));
}

/* 2.2.2, 6.1: a subset of what was offered, with VERSION_1, and what the device wants of it. */
static bool features_acceptable(VirtioDevice *v)
{
	uint64_t f = v->driver_features;
	return !(f & ~v->features) && (f & VIRTIO_F_VERSION_1) &&
	       (!v->cls->features_ok || v->cls->features_ok(v, f));
}

void virtio_set_status(VirtioDevice *v, uint8_t status)
{
	uint8_t before = v->status;

	trace_virtio_set_status(v, status);
	if (!status) {
		virtio_reset(v);
		return;
	}
	status &= (uint8_t)~VIRTIO_STATUS_NEEDS_RESET;
	if ((status & ~before & VIRTIO_STATUS_FEATURES_OK) && !features_acceptable(v))
		status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	if (before & ~status & VIRTIO_STATUS_DRIVER_OK)
		virtio_quiesce(v, NULL); /* drivers must not clear it; whoever does means to stop */
	v->status = status;
	if (!(status & ~before & VIRTIO_STATUS_DRIVER_OK))
		return;
	if (v->cls->start)
		v->cls->start(v);
	for (unsigned i = 0; i < v->queue_count; i++)
		virtio_kick(v, i);
}

uint32_t virtio_feature_word(const VirtioDevice *v, unsigned select)
{
	return select < 2 ? (uint32_t)(v->features >> (32 * select)) : 0;
}

void virtio_set_driver_word(VirtioDevice *v, unsigned select, uint32_t value)
{
	if (select > 1 || (v->status & VIRTIO_STATUS_FEATURES_OK))
		return;
	unsigned shift = 32 * select;
	v->driver_features &= ~((uint64_t)UINT32_MAX << shift);
	v->driver_features |= (uint64_t)value << shift;
}

void virtio_set_legacy_features(VirtioDevice *v, uint32_t value)
{
	/* A driver that takes the probe bit echoes what it does not understand (6.3). */
	if (value & VIRTIO_F_LEGACY_PROBE)
		value = 0;
	v->driver_features = value & virtio_legacy_offer(v);
}

/* ---- configuration ---- */

uint32_t virtio_config_load(VirtioDevice *v, uint64_t offset, unsigned size)
{
	uint8_t config[VIRTIO_CONFIG_MAX] = { 0 };
	uint32_t value = 0;

	if (v->cls->config_size)
		v->cls->config_read(v, config);
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = offset + i < v->cls->config_size ? config[offset + i] : 0xff;
		value |= (uint32_t)byte << (8 * i);
	}
	return value;
}

void virtio_config_store(VirtioDevice *v, uint64_t offset, uint32_t value, unsigned size)
{
	if (v->cls->config_write && offset < v->cls->config_size &&
	    size <= v->cls->config_size - offset)
		/* the host is little-endian */
		v->cls->config_write(v, (unsigned)offset, &value, size);
}

/* ---- queues ---- */

void virtq_enable(VirtQueue *q)
{
	VirtioDevice *v = q->vdev;

	if (q->enabled)
		return;
	q->ring = virtio_has(v, VIRTIO_F_RING_PACKED) ? &virt_ring_packed : &virt_ring_split;
	q->enabled = true;
	q->mapped = false;
	if (q->num > q->max || !q->ring->size_ok(q->num))
		virtio_error(v, "queue %u: %u entries, of at most %u", q->index, q->num, q->max);
}

/* What the state table does not have. */
static void reset_queue_rest(VirtQueue *q)
{
	q->num = q->max; /* as the device offers it, which differs between queues */
	q->mapped = false;
	q->epoch++;
	atomic_store(&q->interrupt_due, false);
	if (q->kick_fd >= 0)
		notifier_clear(q->kick_fd);
}

void virtq_reset(VirtQueue *q)
{
	virtio_quiesce(q->vdev, q);
	state_reset(q, queue_state);
	reset_queue_rest(q);
}

void virtq_set_legacy_page(VirtQueue *q, uint32_t page)
{
	uint64_t base = (uint64_t)page * VIRTQ_LEGACY_ALIGN;
	uint16_t vector = q->vector;

	virtq_reset(q);
	q->vector = vector; /* legacy drivers set it before or after */
	if (!page)
		return;
	q->desc = base;
	q->driver = base + VIRTQ_DESC_BYTES(q->num);
	q->device = (q->driver + VIRTQ_AVAIL_BYTES(q->num) + VIRTQ_LEGACY_ALIGN - 1) &
		~(uint64_t)(VIRTQ_LEGACY_ALIGN - 1);
	virtq_enable(q);
}

void virtio_kick(VirtioDevice *v, unsigned index)
{
	if (index >= v->queue_count || !v->queue[index].enabled || atomic_load(&v->broken))
		return;
	VirtQueue *q = &v->queue[index];
	trace_virtio_queue_notify(v, index, q);
	if (q->kick_fd < 0)
		v->cls->notify(v, q);
	else
		notifier_set(q->kick_fd);
}

bool virtio_check_queue_size(const Device *dev, const char *property, unsigned size, GError **error)
{
	if (size >= 2 && size <= VIRTQ_SIZE_MAX && !(size & (size - 1)))
		return true;
	return fail(error, VIV_ERROR_INVALID,
		"Device '%s': property '%s' is a power of two from 2 to %u, not %u.",
		dev->cls->name, property, VIRTQ_SIZE_MAX, size);
}

VirtQueue *virtio_add_queue(VirtioDevice *v, unsigned size)
{
	/* the device's own doing */
	g_assert(v->queue_count < VIRTIO_QUEUES_MAX && size <= VIRTQ_SIZE_MAX);
	v->queue = g_renew(VirtQueue, v->queue, v->queue_count + 1);
	VirtQueue *q = &v->queue[v->queue_count];
	*q = (VirtQueue){ .vdev = v, .index = (uint16_t)v->queue_count, .max = (uint16_t)size,
		.kick_fd = -1 };
	v->queue_count++;
	return q;
}

/* ---- life ---- */

static void map_changed(void *opaque, const FlatRange *ranges, size_t count)
{
	atomic_fetch_add(&((VirtioDevice *)opaque)->map_generation, 1);
}

bool virtio_init(VirtioDevice *v, Device *dev, const VirtioClass *cls,
	const VirtioTransport *transport, GError **error)
{
	v->cls = cls;
	v->dev = dev;
	v->board = dev->board;
	v->transport = transport;
	v->features |= cls->features;
	g_mutex_init(&v->error_lock);
	v->due_fd = notifier_new(error);
	if (v->due_fd < 0) {
		g_prefix_error(error, "Device '%s': ", dev->cls->name);
		return false;
	}
	v->due_source = g_unix_fd_add(v->due_fd, G_IO_IN, virtq_deliver_due, v);
	as_add_listener(v->board->mem, (MapListener){ map_changed, v });
	return true;
}

static void free_queue(VirtQueue *q)
{
	virtq_close_kick_fd(q);
	while (q->spare) {
		VirtElement *e = q->spare;
		q->spare = e->next;
		g_free(e->iov);
		g_free(e);
	}
}

void virtio_exit(VirtioDevice *v)
{
	if (!v->cls)
		return;
	virtio_quiesce(v, NULL);
	for (unsigned i = 0; i < v->queue_count; i++)
		free_queue(&v->queue[i]);
	g_free(v->queue);
	v->queue = NULL;
	v->queue_count = 0;
	if (v->due_fd >= 0) {
		as_remove_listener(v->board->mem, v);
		g_source_remove(v->due_source);
		close(v->due_fd);
	}
	g_free(v->error);
	g_mutex_clear(&v->error_lock);
	v->cls = NULL;
}

void virtio_quiesce(VirtioDevice *v, VirtQueue *q)
{
	if (v->cls && v->cls->quiesce)
		v->cls->quiesce(v, q);
}

void virtio_reset_rest(VirtioDevice *v)
{
	for (unsigned i = 0; i < v->queue_count; i++)
		reset_queue_rest(&v->queue[i]);
	atomic_store(&v->broken, false); /* atomics are not for the state table */
	atomic_store(&v->config_due, false);
	if (v->cls->reset)
		v->cls->reset(v);
}

void virtio_reset(VirtioDevice *v)
{
	virtio_quiesce(v, NULL);
	state_reset(v, virtio_state);
	virtio_reset_rest(v);
}

void virtio_info(VirtioDevice *v, GString *out)
{
	g_string_append_printf(out, "%s: status %02x features %#" G_GINT64_MODIFIER "x\n",
		v->cls->name, virtio_status(v), v->driver_features);
	for (unsigned i = 0; i < v->queue_count; i++) {
		const VirtQueue *q = &v->queue[i];
		if (q->enabled)
			g_string_append_printf(out,
				"  queue %u: %s, %u of %u entries, %u in use\n", i,
				q->ring == &virt_ring_packed ? "packed" : "split", q->num, q->max,
				q->in_use);
	}
	g_mutex_lock(&v->error_lock);
	if (v->error)
		g_string_append_printf(out, "  first error: %s\n", v->error);
	g_mutex_unlock(&v->error_lock);
}
