/*
 * ioapic.c - the I/O APIC: 24 inputs to messages.
 *
 * 82093AA data sheet (290566-001), chapter 3; version and EOI register as in later
 * chip sets' (ICH) 20h parts. Inputs are logical levels: polarity is stored, not
 * applied. Left out: the APIC bus (arbitration id mirrors the id). Entered by vcpu
 * and main threads under the machine lock.
 */
#include "hw/intc/intc.h"

#include "core/memory.h"
#include "core/trace.h"
#include "hw/classes.h"

#define PINS 24
#define IOAPIC_BASE 0xfec00000u
#define VERSION 0x20u

/* Redirection entry (3.2.4) */
#define RTE_VECTOR 0xffu
#define RTE_MODE(e) ((unsigned)((e) >> 8 & 7))
#define RTE_LOGICAL (1u << 11)
#define RTE_STATUS (1u << 12)
#define RTE_LOW_ACTIVE (1u << 13)
#define RTE_REMOTE_IRR (1u << 14)
#define RTE_LEVEL (1u << 15)
#define RTE_MASKED (1u << 16)
#define RTE_READ_ONLY (RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_LOW_VALID 0x1ffffu

typedef struct IoApic {
	Device dev;
	uint32_t id, select;
	uint32_t lines; /* input levels, bit n */
	uint64_t rte[PINS];
	uint64_t risen[PINS]; /* how often each input rose, for `info irq` */
	Region region;
} IoApic;

static void deliver(IoApic *s, unsigned pin)
{
	uint64_t e = s->rte[pin];
	uint64_t addr = 0xfee00000u | (e >> 56) << 12;
	uint32_t data = (uint32_t)(e & (RTE_VECTOR | 7u << 8 | RTE_LEVEL));

	if (e & RTE_LOGICAL)
		addr |= 4;
	if (RTE_MODE(e) == 1) /* lowest priority: redirection hint */
		addr |= 8;
	if (e & RTE_LEVEL) {
		data |= 1u << 14;
		s->rte[pin] |= RTE_REMOTE_IRR;
	}
	if (s->dev.board->msi)
		s->dev.board->msi(s->dev.board, addr, data);
}

/* A level-triggered input that is up and not being served. */
static void service_level(IoApic *s, unsigned pin)
{
	uint64_t e = s->rte[pin];
	if ((s->lines & 1u << pin) && (e & RTE_LEVEL) && !(e & (RTE_MASKED | RTE_REMOTE_IRR)))
		deliver(s, pin);
}

static void input(void *opaque, int n, int level)
{
	IoApic *s = opaque;
	unsigned pin = (unsigned)n;
	bool rising = level && !(s->lines & 1u << pin);

	trace_ioapic_set_irq(n, level);
	s->risen[pin] += rising;
	if (level)
		s->lines |= 1u << pin;
	else
		s->lines &= ~(1u << pin);
	if (s->rte[pin] & RTE_LEVEL)
		service_level(s, pin);
	else if (rising && !(s->rte[pin] & RTE_MASKED)) /* masked edges are lost */
		deliver(s, pin);
}

void ioapic_eoi(Device *dev, int vector)
{
	IoApic *s = (IoApic *)dev;
	for (unsigned pin = 0; pin < PINS; pin++) {
		uint64_t e = s->rte[pin];
		if ((int)(e & RTE_VECTOR) != vector || !(e & RTE_REMOTE_IRR))
			continue;
		s->rte[pin] = e & ~(uint64_t)RTE_REMOTE_IRR;
		service_level(s, pin);
	}
}

static uint32_t read_selected(const IoApic *s)
{
	switch (s->select) {
	case 0:
	case 2:
		return s->id << 24;
	case 1:
		return VERSION | (PINS - 1) << 16;
	default:
		if (s->select < 0x10 || s->select >= 0x10 + 2 * PINS)
			return 0;
		return (uint32_t)(s->rte[(s->select - 0x10) / 2] >> (s->select & 1 ? 32 : 0));
	}
}

static void write_selected(IoApic *s, uint32_t value)
{
	if (s->select == 0) {
		s->id = value >> 24 & 0xf;
		return;
	}
	if (s->select < 0x10 || s->select >= 0x10 + 2 * PINS)
		return;
	unsigned pin = (s->select - 0x10) / 2;
	uint64_t *e = &s->rte[pin];
	if (s->select & 1) {
		*e = (uint32_t)*e | (uint64_t)(value & 0xff000000u) << 32;
		return;
	}
	*e = (*e & ~(uint64_t)UINT32_MAX) | (*e & RTE_READ_ONLY) |
	     (value & RTE_LOW_VALID & ~RTE_READ_ONLY);
	if (!(*e & RTE_LEVEL))
		*e &= ~(uint64_t)RTE_REMOTE_IRR;
	service_level(s, pin);
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	IoApic *s = opaque;
	uint32_t value = 0;
	switch (offset & 0xff) {
	case 0x00: value = s->select; break;
	case 0x10: value = read_selected(s); break;
	default: break;
	}
	trace_ioapic_mem_read(offset & 0xff, s->select, size, value);
	return value;
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	IoApic *s = opaque;
	trace_ioapic_mem_write(offset & 0xff, s->select, size, (uint32_t)value);
	switch (offset & 0xff) {
	case 0x00: s->select = value & 0xff; break;
	case 0x10: write_selected(s, (uint32_t)value); break;
	case 0x40: ioapic_eoi(&s->dev, value & 0xff); break;
	default: break;
	}
}

static const RegionOps ops = { region_read, region_write, 4, 4 };

static bool realize(Device *dev, GError **error)
{
	IoApic *s = (IoApic *)dev;
	region_init_io(&s->region, "ioapic", &ops, s, 0x1000);
	as_map(dev->board->mem, &s->region, IOAPIC_BASE, 1);
	return true;
}

static void unrealize(Device *dev)
{
	as_unmap(&((IoApic *)dev)->region);
}

static const StateField state[] = {
	STATE(FIELD_U32, IoApic, id, 0),
	STATE(FIELD_U32, IoApic, select, 0),
	{ "lines", FIELD_U32, offsetof(IoApic, lines), 1, 1, 0, .keep = true },
	STATE_ARRAY(FIELD_U64, IoApic, rte, PINS, RTE_MASKED),
	{ 0 }
};

/* ---- for people, in the form that QEMU's users know ---- */

static void show_pin(const IoApic *s, unsigned pin, GString *out)
{
	static const char *const modes[] = { "fixed", "lowest", "smi", "...", "nmi", "init", "...", "extint" };
	uint64_t e = s->rte[pin];

	g_string_append_printf(out, "  pin %-2u 0x%016" G_GINT64_MODIFIER "x dest=%u vec=%-3u %s %-5s %s %-6s %s\n", pin, e,
		(unsigned)(e >> 56), (unsigned)(e & RTE_VECTOR), e & RTE_LOW_ACTIVE ? "active-lo" : "active-hi",
		e & RTE_LEVEL ? "level" : "edge", e & RTE_MASKED ? "masked" : "      ", modes[RTE_MODE(e)],
		e & RTE_LOGICAL ? "logical" : "physical");
}

static void show_pins(const char *name, uint32_t pins, GString *out)
{
	g_string_append_printf(out, "%-10s ", name);
	for (unsigned pin = 0; pin < PINS; pin++)
		if (pins >> pin & 1)
			g_string_append_printf(out, "%-2u ", pin);
	g_string_append(out, pins ? "\n" : "(none)\n");
}

static void info(Device *dev, GString *out)
{
	const IoApic *s = (const IoApic *)dev;
	uint32_t remote = 0;

	g_string_append_printf(out, "ioapic0: ver=0x20 id=0x%02x sel=0x%02x", s->id >> 24, s->select);
	if (s->select >= 0x10)
		g_string_append_printf(out, " (redir[%u])", (s->select - 0x10) >> 1);
	g_string_append_c(out, '\n');
	for (unsigned pin = 0; pin < PINS; pin++) {
		show_pin(s, pin, out);
		remote |= (uint32_t)(s->rte[pin] & RTE_REMOTE_IRR ? 1u << pin : 0);
	}
	show_pins("  IRR", s->lines, out);
	show_pins("  Remote IRR", remote, out);
}

static const uint64_t *irq_counts(const Device *dev, unsigned *count)
{
	*count = PINS;
	return ((const IoApic *)dev)->risen;
}

static const LineIn inputs[] = { { "irq", input, PINS }, { 0 } };

const DeviceClass ioapic_class = {
	.name = "ioapic", .desc = "I/O APIC", .bus = "system", .size = sizeof(IoApic), .version = 1,
	.state = state, .inputs = inputs, .realize = realize, .unrealize = unrealize,
	.info = info, .irq_counts = irq_counts,
};
