/*
 * virtio_loop.c - queues served on a loop: doorbells, eventfds, taking turns.
 */
#include "hw/virtio/virtio_loop.h"

#include <unistd.h>

#include "core/board.h"
#include "core/error.h"

/* On the I/O thread's loop. */
static void kicked(void *opaque)
{
	VirtQueue *q = opaque;
	uint64_t one = 1;

	if (read(q->kick_fd, &one, sizeof(one)) < 0)
		return;
	if (q->vdev->served->serve(q->vdev, q) && write(q->kick_fd, &one, sizeof(one)) < 0)
		return; /* full: it is readable anyway */
}

void virtio_loop_notify(VirtioDevice *vdev, VirtQueue *q)
{
	VirtioLoop *l = vdev->served;
	uint64_t one = 1;

	if (l->loop != loop_main() && virtq_kick_fd(q) >= 0) {
		loop_enter(l->loop);
		loop_watch(l->loop, q->kick_fd, kicked, q);
		loop_leave(l->loop);
		if (write(q->kick_fd, &one, sizeof(one)) == sizeof(one))
			return;
	}
	loop_enter(l->loop);
	if (l->serve(vdev, q))
		timer_arm(&l->again, clock_now(vdev->board->clock));
	loop_leave(l->loop);
}

static void serve_again(void *opaque)
{
	VirtioDevice *vdev = ((VirtioLoop *)opaque)->vdev;
	for (unsigned i = 0; i < vdev->queue_count; i++)
		if (vdev->queue[i].enabled)
			virtio_loop_notify(vdev, &vdev->queue[i]);
}

bool virtio_loop_init(VirtioLoop *l, VirtioDevice *vdev, Device *dev, VirtioServe *serve, GError **error)
{
	GHashTable *all = dev->board->iothreads;

	l->loop = loop_main();
	if (l->iothread)
		l->loop = all ? g_hash_table_lookup(all, l->iothread) : NULL;
	if (!l->loop)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': there is no iothread '%s'. "
			"Make it with -object iothread,id=%s.", dev->cls->name, l->iothread, l->iothread);
	l->serve = serve;
	l->vdev = vdev;
	vdev->served = l;
	timer_init(&l->again, dev->board->clock, serve_again, l);
	return true;
}

void virtio_loop_exit(VirtioLoop *l)
{
	timer_cancel(&l->again);
}

void virtio_loop_reset(VirtioLoop *l)
{
	timer_cancel(&l->again);
}

void virtio_loop_unwatch(VirtioLoop *l, VirtQueue *only)
{
	for (unsigned i = 0; i < l->vdev->queue_count; i++) {
		VirtQueue *q = &l->vdev->queue[i];
		if (q->kick_fd < 0 || (only && only != q))
			continue;
		loop_enter(l->loop);
		loop_watch(l->loop, q->kick_fd, NULL, NULL);
		loop_leave(l->loop);
		virtq_close_kick_fd(q);
	}
}
