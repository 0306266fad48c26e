/*
 * fuzz-virtio-serial.c - a driver at random against virtio-serial: control messages that mean something and others, buffers of every
 * kind on all queues, peers that take what they like, ports that come and go. Nothing may abort or touch what is not guest RAM.
 */
#include <stdio.h>

#include "chardev/backend.h"
#include "core/lock.h"
#include "fuzz.h"
#include "hw/classes.h"
#include "std/virtio_console.h"
#include "virtio-driver.h"

#define STEPS 2000u
#define QUEUES 8u /* the control queues, ports 0 to 2 */
#define PORTS_MADE 3u
#define BUFFERS 0x100000u

/* The host's end: takes as much as it is told to. */
typedef struct Sink {
	Chardev c;
	size_t room;
	uint64_t got;
} Sink;

static size_t sink_write(Chardev *c, const uint8_t *buf, size_t len)
{
	Sink *s = (Sink *)c;
	size_t n = MIN(len, s->room);

	s->room -= n;
	s->got += n;
	for (size_t i = 0; i < n; i++)
		g_assert_cmpint(buf[i], >=, 0); /* every byte can be read */
	return n;
}

static const ChardevClass sink_class = { .name = "sink", .write = sink_write };

typedef struct Rig {
	Harness *h;
	GRand *g;
	Device *controller, *port[PORTS_MADE];
	Sink sink[PORTS_MADE];
	VirtDriver driver[QUEUES];
	bool packed;
} Rig;

static uint64_t bytes_through;

static void plug(Rig *r, unsigned n)
{
	Device *dev = harness_make(r->h, n ? &virtserialport_class : &virtconsole_class);

	r->sink[n] = (Sink){ .c = { .cls = &sink_class, .log = -1, .open = true }, .room = 1000 };
	device_set_ptr(dev, "chardev", &r->sink[n].c);
	harness_set(dev, "name", n == 1 ? "org.example.0" : "");
	harness_realize(dev);
	r->port[n] = dev;
}

static void unplug(Rig *r, unsigned n)
{
	bytes_through += r->sink[n].got;
	device_free(r->port[n]);
	r->port[n] = NULL;
}

/* Negotiates, and starts every queue. */
static void begin(Rig *r)
{
	Kind kind = r->packed ? KIND_PACKED : KIND_MODERN;
	uint64_t features = below(r->g, 8) ? VIRTIO_CONSOLE_F_MULTIPORT : 0;

	device_reset(r->controller);
	driver_map(r->h);
	/* The driver looks at nothing but the transport, which every virtio device on PCI begins with. */
	driver_start(&r->driver[0], r->h, (Echo *)r->controller, kind, 0, features);
	for (unsigned q = 1; q < QUEUES; q++) {
		r->driver[q] = r->driver[0];
		r->driver[q].q = q;
		driver_queue(&r->driver[q]);
	}
}

static uint64_t buffer(Rig *r) { return BUFFERS + below(r->g, 0x200000); }

static void send_control(Rig *r)
{
	VirtDriver *d = &r->driver[VIRTIO_CONSOLE_QUEUE_CONTROL_TX];
	uint64_t at = buffer(r);

	put32(r->h, at, below(r->g, 8) ? below(r->g, PORTS_MADE + 1) : g_rand_int(r->g));
	put16(r->h, at + 4, (uint16_t)(below(r->g, 8) ? below(r->g, 8) : g_rand_int(r->g)));
	put16(r->h, at + 6, (uint16_t)(below(r->g, 4) ? 1 : below(r->g, 3)));
	driver_add(d, &(Part){ at, below(r->g, 8) ? 8 : below(r->g, 20), 0 }, 1);
	driver_kick(d);
}

static void add_buffer(Rig *r)
{
	unsigned q = below(r->g, QUEUES);
	VirtDriver *d = &r->driver[q];
	Part part[4];
	unsigned n = 1 + below(r->g, 4);
	bool wild = below(r->g, 50) == 0;

	for (unsigned i = 0; i < n; i++)
		part[i] = (Part){ wild ? (uint64_t)g_rand_int(r->g) << below(r->g, 32) : buffer(r),
				  below(r->g, 30) ? 1 + below(r->g, 3000) : g_rand_int(r->g) >> below(r->g, 24),
				  (uint16_t)(below(r->g, 30) ? (q % 2 ? 0 : VIRTQ_DESC_WRITE) : below(r->g, 8)) };
	driver_add(d, part, n);
	if (below(r->g, 3))
		driver_kick(d);
}

static void push_input(Rig *r, unsigned n)
{
	uint8_t bytes[512];
	Chardev *c = &r->sink[n].c;
	size_t room = r->port[n] && c->handlers ? c->handlers->can_read(c->opaque) : 0;
	size_t wanted = below(r->g, sizeof(bytes)), count = MIN(room, wanted);

	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)i;
	if (count)
		c->handlers->read(c->opaque, bytes, count);
}

static void change_peer(Rig *r, unsigned n)
{
	Sink *s = &r->sink[n];

	if (!r->port[n])
		return;
	switch (below(r->g, 4)) {
	case 0: chardev_event(&s->c, CHARDEV_OPENED); break;
	case 1: chardev_event(&s->c, CHARDEV_CLOSED); break;
	default:
		s->room = below(r->g, 4000);
		s->c.handlers->writable(s->c.opaque);
	}
}

static void step(Rig *r)
{
	unsigned n = below(r->g, PORTS_MADE);

	switch (below(r->g, 24)) {
	case 0: begin(r); break;
	case 1:
		if (r->port[n])
			unplug(r, n);
		else
			plug(r, n);
		break;
	case 2: case 3: change_peer(r, n); break;
	case 4: case 5: push_input(r, n); break;
	case 6: as_store(r->h->board.mem, MODERN + below(r->g, 0x4000), g_rand_int(r->g), 1u << below(r->g, 3)); break;
	case 7: as_load(r->h->board.mem, MODERN + 0x2000 + below(r->g, 64), 1u << below(r->g, 3)); break;
	case 8: case 9: case 10: case 11: send_control(r); break;
	case 12: harness_run(r->h, 1000); break;
	default: add_buffer(r); break;
	}
	if (atomic_load(&((VirtioPci *)r->controller)->vdev.broken) && !below(r->g, 8))
		begin(r);
}

static bool run(GRand *g, uint32_t seed)
{
	Rig r = { .h = harness_new(), .g = g, .packed = seed & 1 };

	harness_freeze(r.h);
	harness_add(r.h, &i440fx_pcihost_class);
	r.controller = harness_make(r.h, &virtio_serial_pci_class);
	harness_set(r.controller, "addr", "2");
	harness_set(r.controller, "max_ports", "4");
	harness_set(r.controller, "packed", r.packed ? "on" : "off");
	harness_realize(r.controller);
	machine_lock();
	for (unsigned n = 0; n < PORTS_MADE; n++)
		plug(&r, n);
	begin(&r);
	for (unsigned i = 0; i < STEPS; i++)
		step(&r);
	for (unsigned n = 0; n < PORTS_MADE; n++)
		if (r.port[n])
			unplug(&r, n);
	bool ok = fuzz_ram_only(r.h);
	machine_unlock();
	harness_free(r.h);
	return ok;
}

static bool something_went_through(unsigned runs)
{
	printf("# %" G_GUINT64_FORMAT " bytes written\n", bytes_through);
	return bytes_through > runs;
}

int main(int argc, char **argv)
{
	static const Fuzzer fuzzer = { "ports, control messages and peers at random", STEPS, run, something_went_through };
	return fuzz_main(argc, argv, &fuzzer);
}
