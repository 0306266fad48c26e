/*
 * virtio_loop.h - queues served on a loop: the main one, or an I/O thread's by iothread=.
 *
 * On the main loop a doorbell serves its queue at once, on the vcpu. With an I/O thread the queue
 * gets an eventfd, which that thread watches. Machine lock, unless it says otherwise.
 */
#ifndef VIV_HW_VIRTIO_LOOP_H
#define VIV_HW_VIRTIO_LOOP_H

#include "core/clock.h"
#include "core/loop.h"
#include "hw/virtio/virtio.h"

/*
 * Serves what is in the queue, its length at most, for vcpus go on adding. Loop entered.
 * True: there may be more.
 */
typedef bool VirtioServe(VirtioDevice *vdev, VirtQueue *q);

typedef struct VirtioLoop {
	Loop *loop;
	char *iothread;          /* the property; NULL: the main loop */
	VirtioServe *serve;
	VirtioDevice *vdev;
	Timer again;             /* more to do at once, after others had their turn */
} VirtioLoop;

#define VIRTIO_LOOP_PROPERTY(type, field, what) \
	{ "iothread", PROP_STRING, offsetof(type, field.iothread), NULL, \
	  "-object iothread that serves " what " (default: vcpus and main loop)" }
#define VIRTIO_LOOP_STATE(type, field) STATE(FIELD_TIMER, type, field.again, 0)

/* In realize, before the queues exist. False: there is no such iothread. */
bool virtio_loop_init(VirtioLoop *l, VirtioDevice *vdev, Device *dev, VirtioServe *serve, GError **error);
/* After the last quiesce. */
void virtio_loop_exit(VirtioLoop *l);
/* VirtioClass.notify */
void virtio_loop_notify(VirtioDevice *vdev, VirtQueue *q);
/* For VirtioClass.quiesce: the thread watches the queue (NULL: any) no more; requests go on. */
void virtio_loop_unwatch(VirtioLoop *l, VirtQueue *only);
/* For VirtioClass.reset. */
void virtio_loop_reset(VirtioLoop *l);

#endif
