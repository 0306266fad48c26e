/*
 * debugcon.c - a port that prints: firmware's log.
 *
 * Bochs' port E9h as QEMU's isa-debugcon has it: reading gives the value by which software
 * finds it. A backend that is busy is waited for in a buffer; beyond 1 MiB the guest's
 * text is lost. Vcpu and main threads under the machine lock.
 */
#include "chardev/chardev.h"
#include "core/board.h"
#include "core/error.h"
#include "hw/classes.h"

#define PENDING_MAX (1u << 20)

typedef struct DebugCon {
	Device dev;
	Chardev *chardev;
	uint32_t iobase, readback;
	GByteArray *pending;
	Region region;
} DebugCon;

static void flush(void *opaque)
{
	DebugCon *s = opaque;
	if (s->pending->len == 0)
		return;
	size_t taken = chardev_write(s->chardev, s->pending->data, s->pending->len);
	g_byte_array_remove_range(s->pending, 0, (guint)MIN(taken, s->pending->len));
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	return ((DebugCon *)opaque)->readback;
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	DebugCon *s = opaque;
	uint8_t byte = (uint8_t)value;
	if (s->pending->len < PENDING_MAX)
		g_byte_array_append(s->pending, &byte, 1);
	/* While more than this byte waits, the backend will call when it has room. */
	if (s->pending->len == 1)
		flush(s);
}

static void changed(void *opaque, Chardev *c)
{
	((DebugCon *)opaque)->chardev = c;
}

static const ChardevHandlers handlers = { .writable = flush, .changed = changed };
static const RegionOps ops = { region_read, region_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	DebugCon *s = (DebugCon *)dev;
	if (!s->chardev)
		return fail(error, VIV_ERROR_INVALID,
			"Can't create debugcon device, empty char device. Give it "
			"chardev=ID.");
	if (!chardev_attach(s->chardev, &handlers, s, error))
		return false;
	s->pending = g_byte_array_new();
	region_init_io(&s->region, "isa-debugcon", &ops, s, 1);
	as_map(dev->board->io, &s->region, s->iobase, 0);
	return true;
}

static void unrealize(Device *dev)
{
	DebugCon *s = (DebugCon *)dev;
	as_unmap(&s->region);
	chardev_detach(s->chardev, s);
	g_byte_array_free(s->pending, TRUE);
}

static const Property props[] = {
	{ "iobase", PROP_U32, offsetof(DebugCon, iobase), "0xe9", "port", .max = 0xffff },
	{ "readback", PROP_U32, offsetof(DebugCon, readback), "0xe9", "value read", .max = 0xff },
	{ "chardev", PROP_CHARDEV, offsetof(DebugCon, chardev), NULL, "where it prints" },
	{ 0 }
};

const DeviceClass debugcon_class = {
	.name = "isa-debugcon", .desc = "debug console port", .bus = "isa", .category = DEVICE_MISC,
		.size = sizeof(DebugCon),
	.user_creatable = true, .version = 1, .props = props, .realize = realize,
		.unrealize = unrealize,
};
