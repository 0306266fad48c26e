/*
 * i8259.c - the PC's pair of 8259A interrupt controllers and the ELCR.
 *
 * Intel 8259A data sheet (231468-003); ELCR: 82371SB (PIIX3) data sheet, 2.5.
 * The slave sits on the master's input 2. Left out: MCS-80/85 mode, buffered
 * mode's pin. An edge stays requested after the line fell, as in the chips'
 * successors. Entered by vcpu and main threads under the machine lock.
 */
#include "hw/intc/intc.h"

#include "core/memory.h"
#include "core/trace.h"
#include "hw/classes.h"

#define CASCADE 2 /* the master's input that is the slave */
#define SPURIOUS 7

enum { INIT_NONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

typedef struct I8259 I8259;
typedef struct PicPort { I8259 *pic; int chip; } PicPort;

struct I8259 {
	Device dev;
	/* Each: [0] master, [1] slave. */
	uint8_t irr[2], isr[2], imr[2];
	uint8_t lines[2];       /* input levels */
	uint64_t risen[16];     /* how often each input rose, for `info irq` */
	uint8_t elcr[2];        /* 1: level triggered */
	uint8_t base[2];        /* vector of input 0 */
	uint8_t lowest[2];      /* input of lowest priority */
	uint8_t init_step[2];   /* the ICW expected next */
	bool icw4[2], single[2], level_mode[2];
	bool aeoi[2], rotate_aeoi[2], special_mask[2], nested[2]; /* ICW4, OCW2, OCW3 */
	bool read_isr[2], poll[2];
	bool out;               /* level of the INT pin towards the processor */
	PicPort port[2];
	Region command[2], elcr_region;
	Irq intr;
};

/* The highest-priority input of `mask`, or -1. */
static int first_input(const I8259 *s, int chip, uint8_t mask)
{
	for (int i = 1; i <= 8; i++) {
		int n = (s->lowest[chip] + i) & 7;
		if (mask & 1 << n)
			return n;
	}
	return -1;
}

static int rank(const I8259 *s, int chip, int n)
{
	return n < 0 ? 8 : (n - s->lowest[chip] - 1) & 7;
}

/* The input this chip would ask the processor to serve, or -1. */
static int pending(const I8259 *s, int chip)
{
	uint8_t in_service = s->isr[chip];
	int want = first_input(s, chip, s->irr[chip] & (uint8_t)~s->imr[chip]);
	if (want < 0)
		return -1;
	if (s->special_mask[chip])
		in_service &= (uint8_t)~s->imr[chip];
	/* Special fully nested mode: the slave may interrupt its own earlier request. */
	if (s->nested[chip] && chip == 0)
		in_service &= (uint8_t)~(1 << CASCADE);
	return rank(s, chip, want) < rank(s, chip, first_input(s, chip, in_service)) ? want : -1;
}

static void set_input(I8259 *s, int chip, int n, bool level)
{
	uint8_t bit = (uint8_t)(1 << n);
	bool level_triggered = (s->elcr[chip] & bit) || s->level_mode[chip];

	s->risen[8 * chip + n] += level && !(s->lines[chip] & bit);
	if (level && (level_triggered || !(s->lines[chip] & bit)))
		s->irr[chip] |= bit;
	else if (!level && level_triggered)
		s->irr[chip] &= (uint8_t)~bit;
	if (level)
		s->lines[chip] |= bit;
	else
		s->lines[chip] &= (uint8_t)~bit;
}

static void update(I8259 *s)
{
	bool slave = pending(s, 1) >= 0;
	/* The cascade follows the slave's output whatever its edge setting. */
	if (slave) {
		s->irr[0] |= 1 << CASCADE;
		s->lines[0] |= 1 << CASCADE;
	} else {
		s->irr[0] &= (uint8_t)~(1 << CASCADE);
		s->lines[0] &= (uint8_t)~(1 << CASCADE);
	}
	s->out = pending(s, 0) >= 0;
	irq_set(&s->intr, s->out);
}

static void input(void *opaque, int n, int level)
{
	I8259 *s = opaque;
	if (n == CASCADE)
		return;
	trace_pic_set_irq(n < 8, n & 7, level);
	set_input(s, n >> 3, n & 7, level);
	update(s);
}

static void acknowledge(I8259 *s, int chip, int n)
{
	uint8_t bit = (uint8_t)(1 << n);
	if (s->aeoi[chip]) {
		if (s->rotate_aeoi[chip])
			s->lowest[chip] = (uint8_t)n;
	} else {
		s->isr[chip] |= bit;
	}
	bool level_triggered = (s->elcr[chip] & bit) || s->level_mode[chip];
	if (!level_triggered || !(s->lines[chip] & bit))
		s->irr[chip] &= (uint8_t)~bit;
}

int i8259_ack(Device *dev)
{
	I8259 *s = (I8259 *)dev;
	int chip = 0, n = pending(s, 0);

	if (n < 0) {
		n = SPURIOUS;
	} else {
		acknowledge(s, 0, n);
		if (n == CASCADE) {
			chip = 1;
			n = pending(s, 1);
			if (n < 0)
				n = SPURIOUS;
			else
				acknowledge(s, 1, n);
		}
	}
	update(s);
	return s->base[chip] + n;
}

static void write_icw1(I8259 *s, int chip, uint8_t value)
{
	s->init_step[chip] = INIT_ICW2;
	s->icw4[chip] = value & 1;
	s->single[chip] = value & 2;
	s->level_mode[chip] = value & 8;
	/* Edge sensing restarts: a line that is high must fall first. */
	s->irr[chip] &= s->lines[chip] & s->elcr[chip];
	s->imr[chip] = s->isr[chip] = 0;
	s->lowest[chip] = 7;
	s->special_mask[chip] = s->read_isr[chip] = s->poll[chip] = false;
	s->rotate_aeoi[chip] = s->aeoi[chip] = s->nested[chip] = false;
}

static void write_ocw2(I8259 *s, int chip, uint8_t value)
{
	int n = value & 7, served = first_input(s, chip, s->isr[chip]);

	switch (value >> 5) {
	case 0: /* rotate in automatic EOI: clear */
	case 4: /* set */
		s->rotate_aeoi[chip] = value >> 7;
		break;
	case 1: /* non-specific EOI */
	case 5: /* and rotate */
		if (served < 0)
			break;
		s->isr[chip] &= (uint8_t)~(1 << served);
		if (value & 0x80)
			s->lowest[chip] = (uint8_t)served;
		break;
	case 7: /* rotate on specific EOI */
		s->lowest[chip] = (uint8_t)n;
		/* fall through */
	case 3: /* specific EOI */
		s->isr[chip] &= (uint8_t)~(1 << n);
		break;
	case 6: /* set priority */
		s->lowest[chip] = (uint8_t)n;
		break;
	default: /* 2: no operation */
		break;
	}
}

static void write_command(I8259 *s, int chip, uint8_t value)
{
	if (value & 0x10) {
		write_icw1(s, chip, value);
	} else if (value & 0x08) { /* OCW3 */
		if (value & 0x04)
			s->poll[chip] = true;
		if (value & 0x02)
			s->read_isr[chip] = value & 1;
		if (value & 0x40)
			s->special_mask[chip] = value >> 5 & 1;
	} else {
		write_ocw2(s, chip, value);
	}
}

static void write_data(I8259 *s, int chip, uint8_t value)
{
	switch (s->init_step[chip]) {
	case INIT_NONE: /* OCW1 */
		s->imr[chip] = value;
		break;
	case INIT_ICW2:
		s->base[chip] = value & 0xf8;
		s->init_step[chip] = !s->single[chip] ? INIT_ICW3 : s->icw4[chip] ? INIT_ICW4 : INIT_NONE;
		break;
	case INIT_ICW3: /* the cascade is wired, not chosen */
		s->init_step[chip] = s->icw4[chip] ? INIT_ICW4 : INIT_NONE;
		break;
	default: /* ICW4 */
		s->nested[chip] = value & 0x10;
		s->aeoi[chip] = value & 0x02;
		s->init_step[chip] = INIT_NONE;
		break;
	}
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	PicPort *p = opaque;
	trace_pic_ioport_write(p->chip == 0, offset, value);
	if (offset == 0)
		write_command(p->pic, p->chip, (uint8_t)value);
	else
		write_data(p->pic, p->chip, (uint8_t)value);
	update(p->pic);
}

static unsigned read_register(I8259 *s, int chip, uint64_t offset)
{
	if (s->poll[chip]) { /* the next read is the acknowledge */
		int n = pending(s, chip);
		s->poll[chip] = false;
		if (n < 0)
			return 0;
		acknowledge(s, chip, n);
		update(s);
		return 0x80u | (unsigned)n;
	}
	if (offset == 1)
		return s->imr[chip];
	return s->read_isr[chip] ? s->isr[chip] : s->irr[chip];
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
	PicPort *p = opaque;
	unsigned value = read_register(p->pic, p->chip, offset);
	trace_pic_ioport_read(p->chip == 0, offset, value);
	return value;
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned size)
{
	I8259 *s = opaque;
	return s->elcr[offset];
}

static void elcr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	I8259 *s = opaque;
	/* IRQ 0, 1, 2, 8 and 13 are always edges. */
	s->elcr[offset] = (uint8_t)(value & (offset ? 0xde : 0xf8));
	update(s);
}

static const RegionOps port_ops = { port_read, port_write, 1, 1 };
static const RegionOps elcr_ops = { elcr_read, elcr_write, 1, 1 };

static bool realize(Device *dev, GError **error)
{
	I8259 *s = (I8259 *)dev;
	for (int chip = 0; chip < 2; chip++) {
		s->port[chip] = (PicPort){ s, chip };
		region_init_io(&s->command[chip], "pic", &port_ops, &s->port[chip], 2);
		as_map(dev->board->io, &s->command[chip], chip ? 0xa0 : 0x20, 0);
	}
	region_init_io(&s->elcr_region, "elcr", &elcr_ops, s, 2);
	as_map(dev->board->io, &s->elcr_region, 0x4d0, 0);
	return true;
}

static void reset(Device *dev)
{
	update((I8259 *)dev);
}

static void unrealize(Device *dev)
{
	I8259 *s = (I8259 *)dev;
	as_unmap(&s->command[0]);
	as_unmap(&s->command[1]);
	as_unmap(&s->elcr_region);
}

static const StateField state[] = {
	STATE_ARRAY(FIELD_U8, I8259, irr, 2, 0),
	STATE_ARRAY(FIELD_U8, I8259, isr, 2, 0),
	STATE_ARRAY(FIELD_U8, I8259, imr, 2, 0),
	STATE_ARRAY(FIELD_U8, I8259, elcr, 2, 0),
	{ "lines", FIELD_U8, offsetof(I8259, lines), 2, 1, 0, .keep = true },
	STATE_ARRAY(FIELD_U8, I8259, base, 2, 0),
	STATE_ARRAY(FIELD_U8, I8259, lowest, 2, 7),
	STATE_ARRAY(FIELD_U8, I8259, init_step, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8259, icw4, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8259, single, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8259, level_mode, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8259, aeoi, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8259, rotate_aeoi, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8259, special_mask, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8259, nested, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8259, read_isr, 2, 0),
	STATE_ARRAY(FIELD_BOOL, I8259, poll, 2, 0),
	{ 0 }
};

/* In the form that QEMU's users know. */
static void info(Device *dev, GString *out)
{
	const I8259 *s = (const I8259 *)dev;

	for (int chip = 1; chip >= 0; chip--)
		g_string_append_printf(out, "pic%d: irr=%02x imr=%02x isr=%02x hprio=%d irq_base=%02x rr_sel=%d "
			"elcr=%02x fnm=%d\n", chip, s->irr[chip], s->imr[chip], s->isr[chip],
			(s->lowest[chip] + 1) & 7, s->base[chip], s->read_isr[chip], s->elcr[chip], s->nested[chip]);
}

static const uint64_t *irq_counts(const Device *dev, unsigned *count)
{
	*count = 16;
	return ((const I8259 *)dev)->risen;
}

static const LineOut outputs[] = { { "int", offsetof(I8259, intr), 1 }, { 0 } };
static const LineIn inputs[] = { { "irq", input, 16 }, { 0 } };

const DeviceClass i8259_class = {
	.name = "isa-i8259", .desc = "8259A interrupt controller pair", .bus = "isa",
	.size = sizeof(I8259), .version = 1, .state = state, .outputs = outputs, .inputs = inputs,
	.realize = realize, .reset = reset, .unrealize = unrealize,
	.info = info, .irq_counts = irq_counts,
};
