/*
 * virtio_serial.h - between the virtio-serial controller and its ports. Machine lock held.
 */
#ifndef VIV_HW_VIRTIO_VIRTIO_SERIAL_H
#define VIV_HW_VIRTIO_VIRTIO_SERIAL_H

#include "hw/virtio/virtio_pci.h"

#define VIRTIO_SERIAL_QUEUE 128u    /* entries of a port's queues */
#define VIRTIO_SERIAL_PORTS_MAX 31u
#define VIRTIO_SERIAL_BUS "virtio-serial-bus"
#define VIRTIO_PORT_AUTO UINT32_MAX

typedef struct VirtioSerial VirtioSerial;

/* virtconsole and virtserialport. */
typedef struct VirtioPort {
	Device dev;              /* first */
	VirtioSerial *serial;
	struct Chardev *chardev; /* NULL: nobody */
	char *name;              /* in the guest: /dev/virtio-ports/NAME; NULL */
	uint32_t nr;
	bool console;
	/* state */
	bool guest_open;         /* a program of the guest has it open */
	bool host_open;          /* somebody is at the other end */
	VirtElement *in, *out;   /* popped: to be filled, being written; NULL */
	uint64_t out_done;       /* bytes of `out` that are written */
} VirtioPort;

/* What the guest is yet to be told about a port; in this order. */
enum { PORT_DUE_ADD = 1, PORT_DUE_REMOVE = 2, PORT_DUE_CONSOLE = 4, PORT_DUE_NAME = 8, PORT_DUE_OPEN = 16 };

/* ---- virtio_serial.c ---- */

/* Gives the port its number, or the one that p->nr names, and tells the guest. */
bool virtio_serial_add(VirtioSerial *s, VirtioPort *p, GError **error);
void virtio_serial_remove(VirtioSerial *s, VirtioPort *p);
/* A port has more to do than one turn allows. */
void virtio_serial_again(VirtioSerial *s);
void virtio_serial_tell(VirtioSerial *s, const VirtioPort *p, unsigned due);
VirtioDevice *virtio_serial_device(VirtioSerial *s);
/* Has the driver taken more than one port? */
bool virtio_serial_multiport(VirtioSerial *s);

/* ---- virtio_serial_port.c ---- */

/* The guest's buffers go on to the chardev, as far as it takes them. */
void virtio_port_transmit(VirtioPort *p);
/* The guest gave buffers to fill. */
void virtio_port_receive(VirtioPort *p);
void virtio_port_set_guest_open(VirtioPort *p, bool open);
/* Forgets buffers of a queue, or of both (NULL). */
void virtio_port_drop(VirtioPort *p, const VirtQueue *q);
/* A byte that cannot wait (5.3.6.1, emergency write). */
void virtio_port_emergency(VirtioPort *p, uint8_t byte);

#endif
