/*
 * virtio_input.c - keyboard, mouse and tablet: Linux's input events on a queue.
 *
 * VIRTIO 1.2, 5.8; codes of Linux's input-event-codes.h. They take what viewers send from the moment a driver is ready, and
 * give it back to the PS/2 devices when it goes. Left out: multi-touch, pass-through of host devices. Vcpu threads and the main
 * thread, under the machine lock.
 */
#include <linux/input-event-codes.h>
#include <string.h>

#include "display/input.h"
#include "hw/classes.h"
#include "hw/virtio/virtio_pci.h"

#define QUEUE_SIZE 64
#define BATCH_MAX 64           /* events up to a sync */
#define BUS_VIRTUAL 6
#define VENDOR 0x0627

/* Configuration (5.8.4): what the driver asked for last, and the answer. */
enum { ASK_NAME = 0x01, ASK_SERIAL, ASK_IDS, ASK_PROPERTIES = 0x10, ASK_EVENTS, ASK_AXIS };
typedef struct __attribute__((packed)) InputConfig {
	uint8_t select, subselect, size, reserved[5];
	uint8_t answer[128];
} InputConfig;
G_STATIC_ASSERT(sizeof(InputConfig) == 136);

typedef struct __attribute__((packed)) InputEvent { uint16_t type, code; uint32_t value; } InputEvent;

typedef enum InputKind { INPUT_KEYBOARD, INPUT_MOUSE, INPUT_TABLET } InputKind;

static const struct { const char *name; uint16_t product, class_code; } kinds[] = {
	[INPUT_KEYBOARD] = { "QEMU Virtio Keyboard", 1, 0x0900 },
	[INPUT_MOUSE] = { "QEMU Virtio Mouse", 2, 0x0902 },
	[INPUT_TABLET] = { "QEMU Virtio Tablet", 3, 0x0902 },
};

typedef struct VirtioInput {
	VirtioPci vp;          /* first */
	VirtQueue *events, *status;
	char *serial;
	uint8_t select, subselect;
	uint8_t held[INPUT_KEYS / 8];  /* keys that the guest knows to be down */
	InputEvent batch[BATCH_MAX];
	unsigned count;        /* events in it; more than fit: the batch is lost */
	bool listening;
} VirtioInput;

static InputKind kind_of(const VirtioInput *s)
{
	const DeviceClass *c = s->vp.vdev.dev->cls;
	return c == &virtio_keyboard_pci_class ? INPUT_KEYBOARD : c == &virtio_mouse_pci_class ? INPUT_MOUSE : INPUT_TABLET;
}

/* ---- events ---- */

static void add(VirtioInput *s, uint16_t type, uint16_t code, int32_t value)
{
	if (s->count < BATCH_MAX)
		s->batch[s->count] = (InputEvent){ type, code, (uint32_t)value };
	s->count++;
}

/* The n-th buffer gets the n-th event. False: it is too small, which makes no sense. */
static bool put(VirtioInput *s, VirtElement *e, const InputEvent *event)
{
	const uint8_t *from = (const uint8_t *)event;
	size_t done = 0;

	for (unsigned i = 0; i < e->in_count && done < sizeof(*event); i++) {
		size_t n = MIN(e->in[i].iov_len, sizeof(*event) - done);
		memcpy(e->in[i].iov_base, from + done, n);
		done += n;
	}
	virtq_push(s->events, e, done);
	if (done < sizeof(*event))
		virtio_error(&s->vp.vdev, "a buffer for events has %zu bytes", done);
	return done == sizeof(*event);
}

/* All of a batch or nothing: half a movement would be wrong. */
static void sync_events(void *opaque)
{
	VirtioInput *s = opaque;
	VirtElement *taken[BATCH_MAX];
	unsigned have = 0, want = s->count + 1;

	if (!s->count)
		return;
	add(s, EV_SYN, SYN_REPORT, 0);
	s->count = 0;
	while (want <= BATCH_MAX && have < want && (taken[have] = virtq_pop(s->events)))
		have++;
	bool whole = have == want;
	for (unsigned i = 0; i < have; i++) {
		if (whole)
			whole = put(s, taken[i], &s->batch[i]);
		else
			virtq_push(s->events, taken[i], 0);
	}
	if (have)
		virtq_notify(s->events);
}

static void key(void *opaque, unsigned code, bool down)
{
	VirtioInput *s = opaque;
	uint8_t bit = (uint8_t)(1u << code % 8), *byte = &s->held[code / 8];

	if (!(*byte & bit) == !down) /* the guest repeats by itself */
		return;
	*byte ^= bit;
	add(s, EV_KEY, (uint16_t)code, down);
}

static void move(void *opaque, int dx, int dy)
{
	if (dx)
		add(opaque, EV_REL, REL_X, dx);
	if (dy)
		add(opaque, EV_REL, REL_Y, dy);
}

static void place(void *opaque, unsigned x, unsigned y)
{
	add(opaque, EV_ABS, ABS_X, (int32_t)x);
	add(opaque, EV_ABS, ABS_Y, (int32_t)y);
}

static const uint16_t button_codes[INPUT_BUTTONS] = {
	[BUTTON_LEFT] = BTN_LEFT, [BUTTON_MIDDLE] = BTN_MIDDLE, [BUTTON_RIGHT] = BTN_RIGHT, [BUTTON_SIDE] = BTN_SIDE,
	[BUTTON_EXTRA] = BTN_EXTRA,
};

static void button(void *opaque, InputButton which, bool down)
{
	if (which == BUTTON_WHEEL_UP || which == BUTTON_WHEEL_DOWN) {
		if (down)
			add(opaque, EV_REL, REL_WHEEL, which == BUTTON_WHEEL_UP ? 1 : -1);
	} else if (which == BUTTON_WHEEL_LEFT) {
		if (down)
			add(opaque, EV_REL, REL_HWHEEL, -1);
	} else {
		add(opaque, EV_KEY, button_codes[which], down);
	}
}

static const InputHandler handlers[] = {
	[INPUT_KEYBOARD] = { .name = "QEMU Virtio Keyboard", .key = key, .sync = sync_events },
	[INPUT_MOUSE] = { .name = "QEMU Virtio Mouse", .move = move, .button = button, .sync = sync_events },
	[INPUT_TABLET] = { .name = "QEMU Virtio Tablet", .place = place, .button = button, .sync = sync_events },
};

/* ---- configuration ---- */

static void set_bit(InputConfig *c, unsigned bit)
{
	c->answer[bit / 8] |= (uint8_t)(1u << bit % 8);
	c->size = (uint8_t)MAX(c->size, bit / 8 + 1);
}

static void set_bits(InputConfig *c, const uint16_t *bits, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (bits[i])
			set_bit(c, bits[i]);
}

static void answer_events(const VirtioInput *s, InputConfig *c)
{
	InputKind kind = kind_of(s);
	static const uint16_t wheels[] = { REL_WHEEL, REL_HWHEEL }, move_axes[] = { REL_Y };
	static const uint16_t leds[] = { LED_CAPSL, LED_SCROLLL };

	switch (c->subselect) {
	case EV_KEY:
		if (kind == INPUT_KEYBOARD)
			for (unsigned code = 1; code < INPUT_KEYS; code++)
				set_bit(c, code);
		else
			set_bits(c, button_codes, INPUT_BUTTONS);
		break;
	case EV_REL:
		if (kind == INPUT_KEYBOARD)
			break;
		set_bits(c, wheels, G_N_ELEMENTS(wheels));
		if (kind == INPUT_MOUSE) {
			set_bit(c, REL_X);
			set_bits(c, move_axes, G_N_ELEMENTS(move_axes));
		}
		break;
	case EV_ABS:
		if (kind == INPUT_TABLET) {
			set_bit(c, ABS_X);
			set_bit(c, ABS_Y);
		}
		break;
	case EV_LED:
		if (kind == INPUT_KEYBOARD) {
			set_bit(c, LED_NUML);
			set_bits(c, leds, G_N_ELEMENTS(leds));
		}
		break;
	case EV_REP:
		if (kind == INPUT_KEYBOARD)
			c->size = 1; /* it may repeat */
		break;
	default:
		break;
	}
}

static void answer_text(InputConfig *c, const char *text)
{
	c->size = (uint8_t)MIN(strlen(text), sizeof(c->answer));
	memcpy(c->answer, text, c->size);
}

static void config_read(VirtioDevice *vdev, void *config)
{
	const VirtioInput *s = (const VirtioInput *)vdev->dev;
	InputConfig *c = config;
	uint16_t ids[] = { BUS_VIRTUAL, VENDOR, kinds[kind_of(s)].product, 1 };
	uint32_t axis[] = { 0, INPUT_ABS_MAX, 0, 0, 0 };

	c->select = s->select;
	c->subselect = s->subselect;
	switch (c->select) {
	case ASK_NAME: answer_text(c, kinds[kind_of(s)].name); break;
	case ASK_SERIAL: answer_text(c, s->serial ? s->serial : ""); break;
	case ASK_IDS:
		c->size = sizeof(ids);
		memcpy(c->answer, ids, sizeof(ids));
		break;
	case ASK_EVENTS: answer_events(s, c); break;
	case ASK_AXIS:
		if (kind_of(s) == INPUT_TABLET && c->subselect <= ABS_Y) {
			c->size = sizeof(axis);
			memcpy(c->answer, axis, sizeof(axis));
		}
		break;
	default: break;
	}
}

static void config_write(VirtioDevice *vdev, unsigned offset, const void *data, unsigned len)
{
	VirtioInput *s = (VirtioInput *)vdev->dev;
	const uint8_t *bytes = data;

	for (unsigned i = 0; i < len; i++) {
		if (offset + i == offsetof(InputConfig, select))
			s->select = bytes[i];
		else if (offset + i == offsetof(InputConfig, subselect))
			s->subselect = bytes[i];
	}
}

/* ---- the driver ---- */

static void take_leds(VirtioInput *s, const InputEvent *e)
{
	static const uint8_t leds[] = { [LED_NUML] = LED_NUM, [LED_CAPSL] = LED_CAPS, [LED_SCROLLL] = LED_SCROLL };
	Display *d = s->vp.vdev.board->display;

	if (e->type != EV_LED || e->code >= G_N_ELEMENTS(leds))
		return;
	uint8_t now = input_leds(d);
	input_set_leds(d, e->value ? now | leds[e->code] : (uint8_t)(now & ~leds[e->code]));
}

static void notify(VirtioDevice *vdev, VirtQueue *q)
{
	VirtioInput *s = (VirtioInput *)vdev->dev;

	if (q != s->status)
		return; /* room for events: the next one finds it */
	for (unsigned n = 0; n < QUEUE_SIZE; n++) {
		VirtElement *e = virtq_pop(q);
		InputEvent event = { 0 };
		if (!e)
			break;
		if (e->out_count && e->out[0].iov_len >= sizeof(event))
			memcpy(&event, e->out[0].iov_base, sizeof(event));
		virtq_push(q, e, 0);
		take_leds(s, &event);
	}
	virtq_notify(q);
}

static void start(VirtioDevice *vdev)
{
	VirtioInput *s = (VirtioInput *)vdev->dev;

	if (!s->listening)
		input_add(vdev->board->display, &handlers[kind_of(s)], s);
	s->listening = true;
}

static void stop(VirtioInput *s)
{
	if (s->listening)
		input_remove(s->vp.vdev.board->display, s);
	s->listening = false;
	s->count = 0;
	memset(s->held, 0, sizeof(s->held));
}

static void driver_reset(VirtioDevice *vdev) { stop((VirtioInput *)vdev->dev); }

static const VirtioClass input = {
	.name = "virtio-input", .id = VIRTIO_ID_INPUT, .config_size = sizeof(InputConfig), .config_read = config_read,
	.config_write = config_write, .start = start, .notify = notify, .reset = driver_reset,
};

/* ---- life ---- */

static bool realize(Device *dev, GError **error)
{
	VirtioInput *s = (VirtioInput *)dev;

	virtio_pci_modern_only(dev);
	if (!virtio_pci_init(&s->vp, &input, error))
		return false;
	virtio_add_queue(&s->vp.vdev, QUEUE_SIZE);
	virtio_add_queue(&s->vp.vdev, QUEUE_SIZE);
	s->events = &s->vp.vdev.queue[0];
	s->status = &s->vp.vdev.queue[1];
	return virtio_pci_realize(&s->vp, kinds[kind_of(s)].class_code, 0, error);
}

static void unrealize(Device *dev)
{
	VirtioInput *s = (VirtioInput *)dev;
	stop(s);
	virtio_pci_exit(&s->vp);
}

static const Property props[] = {
	VIRTIO_PCI_PROPERTIES,
	{ "serial", PROP_STRING, offsetof(VirtioInput, serial), NULL, "serial number" },
	{ 0 }
};

static const StateField state[] = {
	VIRTIO_PCI_STATE,
	STATE(FIELD_U8, VirtioInput, select, 0),
	STATE(FIELD_U8, VirtioInput, subselect, 0),
	STATE_ARRAY(FIELD_U8, VirtioInput, held, INPUT_KEYS / 8, 0),
	{ 0 }
};

#define CLASS(what) \
	.name = "virtio-" what "-pci", .alias = "virtio-" what, .desc = "virtio " what, .props = VIRTIO_PCI_FIXED(props), \
	.realize = realize, .bus = "pci", .category = DEVICE_INPUT, \
	.size = sizeof(VirtioInput), .user_creatable = true, .version = 1, .state = state, \
	.quiesce = virtio_pci_quiesce, .reset = virtio_pci_reset, .unrealize = unrealize, .info = virtio_pci_info

const DeviceClass virtio_keyboard_pci_class = { CLASS("keyboard") };
const DeviceClass virtio_mouse_pci_class = { CLASS("mouse") };
const DeviceClass virtio_tablet_pci_class = { CLASS("tablet") };
