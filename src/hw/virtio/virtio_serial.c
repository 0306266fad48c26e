/*
 * virtio_serial.c - the controller of virtio consoles and serial ports.
 *
 * VIRTIO 1.2, 5.3. What the guest is to be told of a port is kept as bits, not as messages: it goes when the guest gives
 * buffers for it, nothing is lost and nothing grows. Left out: sizes of consoles, which QEMU 7.2 does not tell either.
 * Vcpu threads and the main thread, under the machine lock.
 */
#include "hw/virtio/virtio_serial.h"

#include <string.h>

#include "core/error.h"
#include "hw/classes.h"
#include "std/virtio_console.h"

#define CONTROL_SIZE 32u
#define CLASS_COMMUNICATION 0x0780
#define TRANSITIONAL_ID 0x1003
#define NAME_MAX_BYTES 256u

struct VirtioSerial {
	VirtioPci vp;            /* first */
	Bus *bus;
	uint32_t max_ports;
	bool emergency_write;
	VirtioPort *port[VIRTIO_SERIAL_PORTS_MAX]; /* NULL: none of that number */
	uint8_t due[VIRTIO_SERIAL_PORTS_MAX];      /* PORT_DUE_* */
	bool driver_ready;       /* it said DEVICE_READY */
	Timer again;
};

VirtioDevice *virtio_serial_device(VirtioSerial *s) { return &s->vp.vdev; }
bool virtio_serial_multiport(VirtioSerial *s) { return virtio_has(&s->vp.vdev, VIRTIO_CONSOLE_F_MULTIPORT); }

/* ---- to the guest ---- */

static size_t put_message(const VirtElement *e, const VirtioConsoleControl *m, const char *name)
{
	size_t done = virt_write(e, 0, m, sizeof(*m));

	return name ? done + virt_write(e, done, name, strlen(name)) : done;
}

/* The message for one bit. */
static VirtioConsoleControl message(const VirtioSerial *s, unsigned id, unsigned due)
{
	uint16_t event = due == PORT_DUE_ADD	   ? VIRTIO_CONSOLE_DEVICE_ADD
			 : due == PORT_DUE_REMOVE  ? VIRTIO_CONSOLE_DEVICE_REMOVE
			 : due == PORT_DUE_CONSOLE ? VIRTIO_CONSOLE_CONSOLE_PORT
			 : due == PORT_DUE_NAME	   ? VIRTIO_CONSOLE_PORT_NAME
						   : VIRTIO_CONSOLE_PORT_OPEN;

	return (VirtioConsoleControl){ id, event, due != PORT_DUE_OPEN || s->port[id]->host_open };
}

/* False: the guest gave no buffer. */
static bool tell_one(VirtioSerial *s, VirtQueue *q, unsigned id)
{
	unsigned due = s->due[id] & -(unsigned)s->due[id];
	VirtElement *e = virtq_pop(q);

	if (!e)
		return false;
	VirtioConsoleControl m = message(s, id, due);
	size_t room = e->in_bytes;
	size_t done = put_message(e, &m, due == PORT_DUE_NAME ? s->port[id]->name : NULL);
	s->due[id] &= (uint8_t)~due;
	virtq_push(q, e, done);
	if (room < sizeof(m))
		virtio_error(&s->vp.vdev, "a buffer for control messages has %zu bytes", room);
	return room >= sizeof(m);
}

static void tell(VirtioSerial *s)
{
	VirtQueue *q = &s->vp.vdev.queue[VIRTIO_CONSOLE_QUEUE_CONTROL_RX];
	bool going = s->driver_ready;

	for (unsigned id = 0; going && id < s->max_ports; id++)
		while (going && s->due[id])
			going = tell_one(s, q, id);
	if (s->driver_ready)
		virtq_notify(q);
}

void virtio_serial_tell(VirtioSerial *s, const VirtioPort *p, unsigned due)
{
	if (!s->driver_ready)
		return; /* it will ask for all when it is */
	s->due[p->nr] |= (uint8_t)due;
	tell(s);
}

/* ---- from the guest ---- */

static void driver_is_ready(VirtioSerial *s)
{
	s->driver_ready = true;
	for (unsigned id = 0; id < s->max_ports; id++)
		s->due[id] = s->port[id] ? PORT_DUE_ADD : 0;
	tell(s);
}

static void port_is_ready(VirtioSerial *s, const VirtioPort *p)
{
	virtio_serial_tell(s, p, (p->console ? PORT_DUE_CONSOLE : 0) | (p->name ? PORT_DUE_NAME : 0) |
			   (p->host_open ? PORT_DUE_OPEN : 0));
}

/* What makes no sense is dropped, as QEMU does: an old driver may know of ports that are gone. */
static void take_message(VirtioSerial *s, const VirtioConsoleControl *m)
{
	VirtioPort *p = m->id < s->max_ports ? s->port[m->id] : NULL;

	if (m->event == VIRTIO_CONSOLE_DEVICE_READY && m->value)
		driver_is_ready(s);
	else if (m->event == VIRTIO_CONSOLE_PORT_READY && m->value && p)
		port_is_ready(s, p);
	else if (m->event == VIRTIO_CONSOLE_PORT_OPEN && p)
		virtio_port_set_guest_open(p, m->value);
}

static void take_messages(VirtioSerial *s, VirtQueue *q)
{
	unsigned left = CONTROL_SIZE;

	for (VirtElement *e; left && (e = virtq_pop(q)); left--) {
		VirtioConsoleControl m;
		bool whole = virt_read(e, 0, &m, sizeof(m)) == sizeof(m);
		virtq_push(q, e, 0);
		if (whole)
			take_message(s, &m);
	}
	virtq_notify(q);
	if (!left)
		virtio_serial_again(s);
}

/* Every queue's turn: other vcpus may go on adding, and the lock is free in between. */
static void serve_again(void *opaque)
{
	VirtioSerial *s = opaque;

	take_messages(s, &s->vp.vdev.queue[VIRTIO_CONSOLE_QUEUE_CONTROL_TX]);
	for (unsigned id = 0; id < s->max_ports; id++)
		if (s->port[id])
			virtio_port_transmit(s->port[id]);
}

void virtio_serial_again(VirtioSerial *s)
{
	timer_arm(&s->again, clock_now(s->vp.vdev.board->clock));
}

/* The port that a queue is of; NULL: there is none now. */
static VirtioPort *port_of(const VirtioSerial *s, const VirtQueue *q)
{
	unsigned id = q->index < 2 ? 0 : q->index / 2 - 1;
	return id < s->max_ports ? s->port[id] : NULL;
}

static void notify(VirtioDevice *vdev, VirtQueue *q)
{
	VirtioSerial *s = (VirtioSerial *)vdev->dev;
	VirtioPort *p = port_of(s, q);

	if (q->index == VIRTIO_CONSOLE_QUEUE_CONTROL_RX)
		tell(s);
	else if (q->index == VIRTIO_CONSOLE_QUEUE_CONTROL_TX)
		take_messages(s, q);
	else if (p && q->index % 2)
		virtio_port_transmit(p);
	else if (p)
		virtio_port_receive(p);
}

static void quiesce(VirtioDevice *vdev, VirtQueue *q)
{
	VirtioSerial *s = (VirtioSerial *)vdev->dev;

	for (unsigned id = 0; id < s->max_ports; id++)
		if (s->port[id])
			virtio_port_drop(s->port[id], q);
}

static void driver_reset(VirtioDevice *vdev)
{
	VirtioSerial *s = (VirtioSerial *)vdev->dev;

	s->driver_ready = false;
	timer_cancel(&s->again);
	memset(s->due, 0, sizeof(s->due));
	for (unsigned id = 0; id < s->max_ports; id++)
		if (s->port[id])
			virtio_port_set_guest_open(s->port[id], false);
}

static void config_read(VirtioDevice *vdev, void *config)
{
	((VirtioConsoleConfig *)config)->max_nr_ports = ((const VirtioSerial *)vdev->dev)->max_ports;
}

static void config_write(VirtioDevice *vdev, unsigned offset, const void *data, unsigned len)
{
	VirtioSerial *s = (VirtioSerial *)vdev->dev;

	if (offset == offsetof(VirtioConsoleConfig, emerg_wr) && len && s->emergency_write && s->port[0])
		virtio_port_emergency(s->port[0], *(const uint8_t *)data);
}

static const VirtioClass console = {
	.name = "virtio-serial", .id = VIRTIO_ID_CONSOLE, .config_size = sizeof(VirtioConsoleConfig), .config_read = config_read,
	.config_write = config_write, .notify = notify, .quiesce = quiesce, .reset = driver_reset,
};

/* ---- ports ---- */

/* Port 0 is for a console: drivers without MULTIPORT know no other, and take it for one. */
static bool choose_number(const VirtioSerial *s, VirtioPort *p, GError **error)
{
	if (p->nr == VIRTIO_PORT_AUTO)
		for (p->nr = p->console ? 0 : 1; p->nr < s->max_ports && s->port[p->nr];)
			p->nr++;
	else if (p->nr >= s->max_ports)
		return fail(error, VIV_ERROR_INVALID, "virtio-serial-bus: Out-of-range port id specified, max. allowed: %u",
			    s->max_ports - 1);
	else if (s->port[p->nr])
		return fail(error, VIV_ERROR_INVALID, "virtio-serial-bus: A port already exists at id %u", p->nr);
	else if (!p->nr && !p->console)
		return fail(error, VIV_ERROR_INVALID, "Port number 0 on virtio-serial devices reserved for virtconsole "
			    "devices for backward compatibility.");
	return p->nr < s->max_ports ||
		fail(error, VIV_ERROR_INVALID, "virtio-serial-bus: Maximum port limit for this device reached");
}

bool virtio_serial_add(VirtioSerial *s, VirtioPort *p, GError **error)
{
	if (p->name && strlen(p->name) > NAME_MAX_BYTES)
		return fail(error, VIV_ERROR_INVALID, "A port's name has at most %u bytes", NAME_MAX_BYTES);
	for (unsigned id = 0; p->name && id < s->max_ports; id++)
		if (s->port[id] && !g_strcmp0(s->port[id]->name, p->name))
			return fail(error, VIV_ERROR_INVALID, "virtio-serial-bus: A port already exists by name %s", p->name);
	if (!choose_number(s, p, error))
		return false;
	s->port[p->nr] = p;
	virtio_serial_tell(s, p, PORT_DUE_ADD);
	return true;
}

void virtio_serial_remove(VirtioSerial *s, VirtioPort *p)
{
	/* What the guest never heard of it need not hear the end of. */
	bool known = s->driver_ready && !(s->due[p->nr] & PORT_DUE_ADD);

	s->port[p->nr] = NULL;
	s->due[p->nr] = 0;
	if (known)
		virtio_serial_tell(s, p, PORT_DUE_REMOVE);
}

/* ---- life ---- */

static bool realize(Device *dev, GError **error)
{
	VirtioSerial *s = (VirtioSerial *)dev;
	VirtioDevice *v = &s->vp.vdev;
	bool multiport = s->max_ports > 1;

	if (!virtio_pci_init(&s->vp, &console, error))
		return false;
	timer_init(&s->again, dev->board->clock, serve_again, s);
	v->features |= (multiport ? VIRTIO_CONSOLE_F_MULTIPORT : 0) | (s->emergency_write ? VIRTIO_CONSOLE_F_EMERG_WRITE : 0);
	/* The control queues are there in any case, so that a queue's number tells what it is for. */
	for (unsigned n = 0; n < 2 * (s->max_ports + 1); n++)
		virtio_add_queue(v, n / 2 == 1 ? CONTROL_SIZE : VIRTIO_SERIAL_QUEUE);
	if (s->vp.vectors == VIRTIO_PCI_VECTORS_DEFAULT)
		s->vp.vectors = s->max_ports + 1;
	if (!virtio_pci_realize(&s->vp, CLASS_COMMUNICATION, TRANSITIONAL_ID, error))
		return false;
	s->bus = bus_new_of(dev, VIRTIO_SERIAL_BUS, 0, s, 0);
	s->bus->hotplug = true;
	return true;
}

static bool realize_modern(Device *dev, GError **error)
{
	virtio_pci_modern_only(dev);
	return realize(dev, error);
}

static void reset(Device *dev)
{
	virtio_pci_reset(dev);
	driver_reset(&((VirtioSerial *)dev)->vp.vdev);
}

static void unrealize(Device *dev)
{
	VirtioSerial *s = (VirtioSerial *)dev;

	bus_free(s->bus);
	timer_cancel(&s->again);
	virtio_pci_exit(&s->vp);
}

static const Property props[] = {
	VIRTIO_PCI_PROPERTIES,
	{ "max_ports", PROP_U32, offsetof(VirtioSerial, max_ports), "31", "ports at most", .min = 1, .max = VIRTIO_SERIAL_PORTS_MAX },
	{ "emergency-write", PROP_BOOL, offsetof(VirtioSerial, emergency_write), "on", "a byte may be written without a queue" },
	{ 0 }
};

static const StateField state[] = {
	VIRTIO_PCI_STATE,
	STATE_ARRAY(FIELD_U8, VirtioSerial, due, VIRTIO_SERIAL_PORTS_MAX, 0),
	STATE(FIELD_BOOL, VirtioSerial, driver_ready, 0),
	STATE(FIELD_TIMER, VirtioSerial, again, 0),
	{ 0 }
};

#define CLASS(kind, props_, realize_) \
	.name = "virtio-serial-pci" kind, .props = props_, .realize = realize_, .desc = "consoles and serial ports", \
	.bus = "pci", .category = DEVICE_INPUT, \
	.size = sizeof(VirtioSerial), .user_creatable = true, .version = 1, .state = state, .quiesce = virtio_pci_quiesce, \
	.reset = reset, .unrealize = unrealize, .info = virtio_pci_info

const DeviceClass virtio_serial_pci_class = { CLASS("", props, realize), .alias = "virtio-serial" };
const DeviceClass virtio_serial_pci_transitional_class = { CLASS("-transitional", VIRTIO_PCI_FIXED(props), realize) };
const DeviceClass virtio_serial_pci_non_transitional_class = {
	CLASS("-non-transitional", VIRTIO_PCI_FIXED(props), realize_modern)
};
