/*
 * parallel.c - a parallel port on the ISA bus: LPT1 to LPT3.
 *
 * IBM PC/AT Technical Reference, parallel printer adapter; IEEE 1284-1994 for the names of the
 * lines, EPP for its ports. With a character device behind it, it is a printer that takes each
 * byte at the strobe and is busy while the device takes none; with a parallel port of the
 * host the registers are that port's. Left out: ECP. Machine lock held.
 */
#include "chardev/chardev.h"
#include "core/board.h"
#include "core/error.h"
#include "hw/classes.h"

#define UNSET UINT32_MAX
#define PORTS 8

enum { DATA, STATUS, CONTROL, EPP_ADDRESS, EPP_DATA };

/* Levels as the register shows them; the printer's BUSY is inverted there. */
#define STATUS_READY 0x80u
#define STATUS_ACK 0x40u
#define STATUS_PAPER_OUT 0x20u
#define STATUS_ONLINE 0x10u
#define STATUS_NO_ERROR 0x08u
#define STATUS_ONES 0x01u       /* EPP: no cycle has been answered */
#define CONTROL_STROBE 0x01u
#define CONTROL_INIT 0x04u      /* low: the printer is reset */
#define CONTROL_SELECT 0x08u
#define CONTROL_IRQ 0x10u
#define CONTROL_REVERSE 0x20u
#define CONTROL_ONES 0xc0u

typedef struct Parallel {
	Device dev;
	uint32_t index, iobase, irq_number;
	Chardev *chardev;
	uint8_t data, control;
	bool waiting;            /* `latch` is not yet taken by the backend */
	uint8_t latch;
	bool irq;
	Region region;
} Parallel;

static void set_irq(Parallel *s, bool level)
{
	s->irq = level;
	irq_set(&s->dev.board->gsi[s->irq_number], level);
}

/* ---- the printer ---- */

/* The byte is taken: the printer acknowledges, which is an edge. */
static void acknowledge(Parallel *s)
{
	s->waiting = false;
	if (s->control & CONTROL_IRQ)
		set_irq(s, true);
}

static void print_latch(Parallel *s)
{
	if (s->waiting && chardev_write(s->chardev, &s->latch, 1) == 1)
		acknowledge(s);
}

static void writable(void *opaque)
{
	print_latch(opaque);
}

static uint8_t printer_status(Parallel *s)
{
	uint8_t v = STATUS_NO_ERROR | STATUS_ONES | STATUS_ACK;
	if (s->control & CONTROL_SELECT)
		v |= STATUS_ONLINE;
	if (!s->waiting && (s->control & CONTROL_INIT))
		v |= STATUS_READY;
	set_irq(s, false); /* has been seen */
	return v;
}

static void write_control(Parallel *s, uint8_t value)
{
	bool strobe = (value & CONTROL_STROBE) && !(s->control & CONTROL_STROBE);
	s->control = value & (uint8_t)~CONTROL_ONES;
	if (!(value & CONTROL_IRQ))
		set_irq(s, false);
	if (!strobe || !(value & CONTROL_INIT) || s->waiting)
		return;
	s->latch = s->data;
	s->waiting = true;
	print_latch(s);
}

/* ---- registers ---- */

/* Of the host's port, where there is one. */
static bool host_read(Parallel *s, uint64_t offset, uint8_t *v)
{
	ParallelReg reg = offset >= EPP_DATA ? PARALLEL_EPP_DATA : (ParallelReg)offset;
	if (!chardev_is_parallel(s->chardev))
		return false;
	*v = 0xff;
	chardev_parallel_read(s->chardev, reg, v);
	if (offset == CONTROL)
		*v = (uint8_t)((*v & ~CONTROL_IRQ) | (s->control & CONTROL_IRQ) | CONTROL_ONES);
	return true;
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	Parallel *s = opaque;
	uint8_t v;
	if (host_read(s, offset, &v))
		return v;
	switch (offset) {
	case DATA: return s->control & CONTROL_REVERSE ? 0xff : s->data;
	case STATUS: return printer_status(s);
	case CONTROL: return s->control | CONTROL_ONES;
	default: return 0xff; /* nothing answers EPP cycles */
	}
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Parallel *s = opaque;
	uint8_t v = (uint8_t)value;
	if (chardev_is_parallel(s->chardev)) {
		ParallelReg reg = offset >= EPP_DATA ? PARALLEL_EPP_DATA : (ParallelReg)offset;
		if (offset == CONTROL)
			s->control = v & (uint8_t)~CONTROL_ONES;
		chardev_parallel_write(s->chardev, reg, v);
	} else if (offset == DATA) {
		s->data = v;
	} else if (offset == CONTROL) {
		write_control(s, v);
	}
}

/* ---- life ---- */

static void changed(void *opaque, Chardev *c)
{
	((Parallel *)opaque)->chardev = c;
}

static const RegionOps ops = { region_read, region_write, 1, 1 };
static const ChardevHandlers handlers = { .writable = writable, .changed = changed };

/* The lowest of LPT1..LPT3 that no port before this one has. */
static uint32_t free_index(const Device *dev)
{
	const GPtrArray *all = dev->board->devices;
	unsigned used = 0;
	for (guint i = 0; all && i < all->len; i++) {
		const Device *d = all->pdata[i];
		if (d->cls == dev->cls && ((const Parallel *)d)->index < 3)
			used |= 1u << ((const Parallel *)d)->index;
	}
	return (uint32_t)__builtin_ctz(~used);
}

static bool realize(Device *dev, GError **error)
{
	static const uint16_t bases[] = { 0x378, 0x278, 0x3bc };
	Parallel *s = (Parallel *)dev;
	if (!s->chardev)
		return fail(error, VIV_ERROR_INVALID,
			"Can't create parallel device, empty char device. Give it "
			"chardev=ID.");
	if (s->index == UNSET)
		s->index = free_index(dev);
	if (s->index >= G_N_ELEMENTS(bases))
		return fail(error, VIV_ERROR_INVALID,
			"isa-parallel: there are three ports, index 0 to 2.");
	if (s->iobase == UNSET)
		s->iobase = bases[s->index];
	if (s->iobase > 0xfff8 || s->irq_number > 15)
		return fail(error, VIV_ERROR_INVALID,
			"isa-parallel: iobase ends at 0xfff8 and irq at 15.");
	if (!chardev_attach(s->chardev, &handlers, s, error))
		return false;
	/* 3BCh has no room for EPP's ports: the display's begin at 3C0h. */
	region_init_io(&s->region, "parallel", &ops, s, s->iobase & 7 ? 3 : PORTS);
	as_map(dev->board->io, &s->region, s->iobase, 0);
	return true;
}

static void reset(Device *dev)
{
	set_irq((Parallel *)dev, false);
}

static void unrealize(Device *dev)
{
	Parallel *s = (Parallel *)dev;
	as_unmap(&s->region);
	chardev_detach(s->chardev, s);
}

static const Property props[] = {
	{ "index", PROP_U32, offsetof(Parallel, index), "0xffffffff",
		"0..2: LPT1..LPT3; the first free" },
	{ "iobase", PROP_U32, offsetof(Parallel, iobase), "0xffffffff", "first port; by index" },
	{ "irq", PROP_U32, offsetof(Parallel, irq_number), "7", "ISA interrupt" },
	{ "chardev", PROP_CHARDEV, offsetof(Parallel, chardev), NULL,
		"the other end of the cable" },
	{ 0 }
};

static const StateField state[] = {
	STATE(FIELD_U8, Parallel, data, 0xff),
	STATE(FIELD_U8, Parallel, control, CONTROL_INIT | CONTROL_SELECT),
	/* What the guest printed before the reset still leaves. */
	{ "waiting", FIELD_BOOL, offsetof(Parallel, waiting), 1, 1, 0, .keep = true },
	{ "latch", FIELD_U8, offsetof(Parallel, latch), 1, 1, 0, .keep = true },
	STATE(FIELD_BOOL, Parallel, irq, 0),
	{ 0 }
};

const DeviceClass parallel_class = {
	.name = "isa-parallel", .desc = "parallel port", .bus = "isa", .category = DEVICE_INPUT,
	.size = sizeof(Parallel),
	.user_creatable = true, .version = 1, .props = props, .state = state, .realize = realize,
	.reset = reset, .unrealize = unrealize,
};
