/*
 * virtio_scsi.h - between the request queues and the control queue of the virtio SCSI host.
 *
 * All queues belong to whoever has entered the adapter's loop (virtio.h says what that means).
 */
#ifndef VIV_HW_SCSI_VIRTIO_SCSI_H
#define VIV_HW_SCSI_VIRTIO_SCSI_H

#include "hw/scsi/scsi_bus.h"
#include "hw/virtio/virtio_loop.h"
#include "hw/virtio/virtio_pci.h"
#include "std/virtio_scsi.h"

typedef struct VirtioScsi {
	VirtioPci vp;             /* first */
	ScsiBus bus;
	VirtioLoop on;
	GQueue tasks;             /* VirtioTask: commands that have not ended, by `link` */
	/* properties */
	uint32_t num_queues, queue_size, cmd_per_lun, max_sectors;
	bool seg_max_adjust, hotplug, param_change;
	/* state */
	uint32_t sense_size, cdb_size; /* as the driver wants them */
	bool events_missed;
} VirtioScsi;

/* A task management function that waits for the tasks it ends. */
typedef struct VirtioTmf {
	VirtQueue *q;
	VirtElement *e;
	unsigned tasks;
} VirtioTmf;

typedef struct VirtioTask {
	VirtioScsi *s;
	VirtQueue *q;
	VirtElement *e;
	ScsiRequest *r;
	uint64_t id;              /* the driver's */
	uint64_t answer, room;    /* bytes of the element: the answer, data */
	uint8_t response;         /* VIRTIO_SCSI_S_OK, or why it is given up */
	GSList *killers;          /* VirtioTmf */
	GList link;
	struct iovec iov[];       /* the data */
} VirtioTask;

/* The unit of an 8-byte address (VIRTIO 1.2, 5.6.6.1): target and number. False: no such form. */
bool virtio_scsi_address(const uint8_t lun[8], uint32_t *target, uint32_t *number);
/* Executes one element of the control queue. False: the device is broken. */
bool virtio_scsi_control(VirtioScsi *s, VirtQueue *q, VirtElement *e);
/* One task of those that a function ends is gone. */
void virtio_scsi_task_gone(VirtioTmf *tmf);
/* Tells the driver, or that it missed something. u NULL: no unit. Loop entered. */
void virtio_scsi_event(VirtioScsi *s, const ScsiUnit *u, uint32_t event, uint32_t reason);

#endif
