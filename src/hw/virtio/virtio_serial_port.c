/*
 * virtio_serial_port.c - virtconsole and virtserialport: a chardev at one end, queues of virtio-serial at the other.
 *
 * VIRTIO 1.2, 5.3.6. Neither side is hurried: a chardev that takes no more keeps the guest's buffer waiting, and a guest that
 * gives no buffers keeps the peer waiting. While nobody is at the host's end, what the guest writes is thrown away, as by
 * QEMU. Vcpu threads and the main thread, under the machine lock.
 */
#include "chardev/chardev.h"
#include "core/error.h"
#include "core/event.h"
#include "hw/classes.h"
#include "hw/virtio/virtio_serial.h"
#include "std/virtio_console.h"

static VirtQueue *queue_of(const VirtioPort *p, bool transmit)
{
	unsigned index = VIRTIO_CONSOLE_QUEUE_RX(p->nr) + transmit;
	return &virtio_serial_device(p->serial)->queue[index];
}

/* ---- guest to host ---- */

/* True: all of the element is written, or there is nobody to write to. */
static bool write_element(VirtioPort *p)
{
	const VirtElement *e = p->out;
	uint64_t at = 0;

	for (unsigned i = 0; i < e->out_count && p->host_open; at += e->out[i++].iov_len) {
		if (p->out_done >= at + e->out[i].iov_len)
			continue;
		size_t skip = p->out_done - at, len = e->out[i].iov_len - skip;
		size_t taken = chardev_write(p->chardev, (uint8_t *)e->out[i].iov_base + skip, len);
		p->out_done += taken;
		if (taken < len)
			return false;
	}
	return true;
}

void virtio_port_transmit(VirtioPort *p)
{
	VirtQueue *q = queue_of(p, true);
	unsigned left = VIRTIO_SERIAL_QUEUE;

	for (; left; left--) {
		if (!p->out && !(p->out = virtq_pop(q)))
			break;
		if (!write_element(p))
			break; /* `writable` goes on */
		virtq_push(q, p->out, 0);
		p->out = NULL;
		p->out_done = 0;
	}
	virtq_notify(q);
	if (!left)
		virtio_serial_again(p->serial);
}

void virtio_port_emergency(VirtioPort *p, uint8_t byte)
{
	if (p->host_open)
		chardev_write(p->chardev, &byte, 1);
}

/* ---- host to guest ---- */

static bool guest_listens(const VirtioPort *p)
{
	VirtioDevice *v = virtio_serial_device(p->serial);

	return v->status & VIRTIO_STATUS_DRIVER_OK && (p->guest_open || !virtio_serial_multiport(p->serial));
}

static size_t can_read(void *opaque)
{
	VirtioPort *p = opaque;

	if (!guest_listens(p))
		return 0;
	if (!p->in)
		p->in = virtq_pop(queue_of(p, false));
	if (p->in && !p->in->in_bytes) {
		virtq_drop(queue_of(p, false), p->in);
		p->in = NULL;
		virtio_error(virtio_serial_device(p->serial), "a buffer for input has no room");
	}
	return p->in ? p->in->in_bytes : 0;
}

static void read_input(void *opaque, const uint8_t *buf, size_t len)
{
	VirtioPort *p = opaque;
	VirtQueue *q = queue_of(p, false);

	while (len && can_read(p)) {
		size_t n = virt_write(p->in, 0, buf, len);
		virtq_push(q, p->in, n);
		p->in = NULL;
		buf += n;
		len -= n;
	}
	virtq_notify(q);
}

void virtio_port_receive(VirtioPort *p)
{
	if (guest_listens(p))
		chardev_accept_input(p->chardev);
}

/* ---- open and closed ---- */

static void set_host_open(VirtioPort *p, bool open)
{
	if (p->host_open == open)
		return;
	p->host_open = open;
	virtio_serial_tell(p->serial, p, PORT_DUE_OPEN);
	if (!open)
		virtio_port_transmit(p); /* what waited has nobody to go to */
}

void virtio_port_set_guest_open(VirtioPort *p, bool open)
{
	if (p->guest_open == open)
		return;
	p->guest_open = open;
	chardev_set_front_open(p->chardev, open);
	if (p->dev.id && !p->console)
		event_emit("VSERPORT_CHANGE", json_pack("{ss sb}", "id", p->dev.id, "open", open));
	virtio_port_receive(p);
}

/* A console is there for whoever comes and looks; a serial port's guest hears of its peer. */
static void chardev_changes(void *opaque, ChardevEvent event)
{
	VirtioPort *p = opaque;

	if (!p->console && (event == CHARDEV_OPENED || event == CHARDEV_CLOSED))
		set_host_open(p, event == CHARDEV_OPENED);
}

static void writable(void *opaque) { virtio_port_transmit(opaque); }

static void changed(void *opaque, Chardev *c)
{
	VirtioPort *p = opaque;

	p->chardev = c;
	chardev_set_front_open(c, p->guest_open);
	set_host_open(p, p->console || chardev_is_open(c));
}

static const ChardevHandlers handlers = {
	.can_read = can_read, .read = read_input, .event = chardev_changes, .writable = writable, .changed = changed,
};

void virtio_port_drop(VirtioPort *p, const VirtQueue *q)
{
	VirtQueue *in = queue_of(p, false), *out = queue_of(p, true);

	if (p->in && (!q || q == in)) {
		virtq_drop(in, p->in);
		p->in = NULL;
	}
	if (p->out && (!q || q == out)) {
		virtq_drop(out, p->out);
		p->out = NULL;
		p->out_done = 0;
	}
}

/* ---- life ---- */

static bool realize(Device *dev, GError **error)
{
	VirtioPort *p = (VirtioPort *)dev;

	p->serial = dev->bus->opaque;
	p->console = dev->cls == &virtconsole_class;
	if (p->name && !*p->name) /* as good as none */
		g_clear_pointer(&p->name, g_free);
	if (!virtio_serial_add(p->serial, p, error))
		return false;
	if (p->chardev && !chardev_attach(p->chardev, &handlers, p, error)) {
		virtio_serial_remove(p->serial, p);
		return false;
	}
	chardev_set_front_open(p->chardev, p->guest_open);
	set_host_open(p, p->chardev && (p->console || chardev_is_open(p->chardev)));
	return true;
}

/* Its buffers go back as they are; what was not yet written is lost with the port. */
static void give_back(VirtQueue *q, VirtElement **e)
{
	if (*e)
		virtq_push(q, *e, 0);
	*e = NULL;
	virtq_notify(q);
}

static void unrealize(Device *dev)
{
	VirtioPort *p = (VirtioPort *)dev;

	chardev_detach(p->chardev, p);
	give_back(queue_of(p, false), &p->in);
	give_back(queue_of(p, true), &p->out);
	virtio_serial_remove(p->serial, p);
}

static void info(Device *dev, GString *out)
{
	const VirtioPort *p = (const VirtioPort *)dev;

	g_string_append_printf(out, "port %u, guest %s, host %s, throttle %s\n", p->nr, p->guest_open ? "on" : "off",
			       p->host_open ? "on" : "off", p->out ? "on" : "off");
}

static const Property props[] = {
	{ "nr", PROP_U32, offsetof(VirtioPort, nr), "4294967295", "number of the port (default: the lowest that is free)" },
	{ "chardev", PROP_CHARDEV, offsetof(VirtioPort, chardev), NULL, "other end" },
	{ "name", PROP_STRING, offsetof(VirtioPort, name), NULL, "by which programs of the guest find it" },
	{ 0 }
};

/* Who is at the other end is the host's matter. */
static const StateField state[] = {
	{ "guest_open", FIELD_BOOL, offsetof(VirtioPort, guest_open), 1, 1, 0, .keep = true },
	{ "out_done", FIELD_U64, offsetof(VirtioPort, out_done), 1, 1, 0, .keep = true },
	{ 0 }
};

#define CLASS(name_, desc_) \
	.name = name_, .desc = desc_, .bus = VIRTIO_SERIAL_BUS, .category = DEVICE_INPUT, \
	.size = sizeof(VirtioPort), .user_creatable = true, .version = 1, \
	.props = props, .state = state, .realize = realize, .unrealize = unrealize, .info = info

const DeviceClass virtconsole_class = { CLASS("virtconsole", "console of virtio-serial") };
const DeviceClass virtserialport_class = { CLASS("virtserialport", "serial port of virtio-serial") };
