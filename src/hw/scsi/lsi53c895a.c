/*
 * lsi53c895a.c - LSI 53C895A: registers, interrupts, the function on the PCI bus.
 *
 * LSI chapter 4. What the chip does with the bus is lsi_scripts.c's, what answers there
 * lsi_target.c's. Left out: low-level mode (signals by SOCL and SODL), the handshake-to-handshake
 * timer, parity, the serial EEPROM. Main loop and vcpu threads, machine lock held.
 */
#include <string.h>

#include "hw/classes.h"
#include "hw/scsi/lsi.h"

#define VENDOR 0x1000
#define DEVICE 0x0012
#define CLASS_SCSI 0x0100
#define SUBSYSTEM 0x1000
#define MMIO_SIZE 1024u
#define GENERAL_UNIT_NS 125000 /* STIME1: 1 is 125 us, each step twice as long */
#define STEST4_LVD_LOCKED 0xe0 /* LVD bus, clock locked */

/* ---- interrupts (LSI 2.2.17) ---- */

void lsi_update_irq(Lsi *s)
{
	uint8_t *r = s->reg;
	bool scsi = r[SIST0] || r[SIST1];
	bool level = r[DSTAT] & r[DIEN] || r[SIST0] & r[SIEN0] || r[SIST1] & r[SIEN1] ||
		r[ISTAT0] & ISTAT0_INTF;
	r[ISTAT0] &= (uint8_t)~(ISTAT0_DIP | ISTAT0_SIP);
	r[ISTAT0] |= (uint8_t)((r[DSTAT] ? ISTAT0_DIP : 0) | (scsi ? ISTAT0_SIP : 0));
	pci_set_irq(&s->pci, level);
}

void lsi_dma_interrupt(Lsi *s, uint8_t dstat)
{
	s->reg[DSTAT] |= dstat;
	lsi_stop(s);
	lsi_update_irq(s);
}

/* Timers, selections and reselections stop the processor only if they interrupt. */
void lsi_scsi_interrupt(Lsi *s, uint8_t sist0, uint8_t sist1)
{
	uint8_t harmless0 = (SIST0_CMP | SIST0_SEL | SIST0_RSL) & ~s->reg[SIEN0];
	uint8_t harmless1 = (SIST1_GEN | SIST1_HTH) & ~s->reg[SIEN1];
	s->reg[SIST0] |= sist0;
	s->reg[SIST1] |= sist1;
	if (sist0 & ~harmless0 || sist1 & ~harmless1)
		lsi_stop(s);
	lsi_update_irq(s);
}

/* ---- reset ---- */

static void chip_reset(Lsi *s)
{
	lsi_bus_reset(s);
	lsi_stop(s);
	timer_cancel(&s->general);
	memset(s->reg, 0, sizeof(s->reg));
	s->carry = s->dead_selection = false;
	s->reg[SCNTL0] = 0xc0;
	s->reg[SCID] = 7;
	s->reg[CTEST1] = 0xf0; /* the FIFO is empty */
	s->reg[GPCNTL] = 0x0f;
	s->reg[RESPID0] = 0x80;
	lsi_update_irq(s);
}

/* ---- reads ---- */

static uint8_t bus_lines(const Lsi *s)
{
	if (!s->connected)
		return 0;
	return (uint8_t)(0x20 | (s->req ? 0x80 : 0) | (s->reg[SOCL] & 0x08) | s->phase);
}

/* Status registers are empty once they were read. */
static uint8_t take(Lsi *s, unsigned reg)
{
	uint8_t value = s->reg[reg];
	s->reg[reg] = 0;
	lsi_update_irq(s);
	return value;
}

uint8_t lsi_load(Lsi *s, unsigned reg)
{
	uint8_t value = s->reg[reg];
	switch (reg) {
	case GPREG: return 0x7f; /* nothing pulls the lines */
	case SBCL: return bus_lines(s);
	case DSTAT: return take(s, DSTAT) | DSTAT_DFE;
	case SIST0:
	case SIST1: return take(s, reg);
	case SSTAT1: return (uint8_t)((value & ~7) | s->phase);
	case ISTAT0: return (uint8_t)(value | (s->connected ? ISTAT0_CON : 0));
	case ISTAT1: return s->state == LSI_STOPPED ? 0 : 0x02; /* SCRIPTS run */
	case CTEST2:
		value = (uint8_t)(0x11 | (s->reg[ISTAT0] & ISTAT0_SIGP ? CTEST2_SIGP : 0));
		s->reg[ISTAT0] &= (uint8_t)~ISTAT0_SIGP;
		return value;
	case MACNTL: return 0x0f;
	case STEST4: return STEST4_LVD_LOCKED;
	default: return value;
	}
}

/* ---- writes ---- */

static void start(Lsi *s)
{
	lsi_stop(s);
	s->state = LSI_RUNNING;
	lsi_run(s);
}

static void write_istat0(Lsi *s, uint8_t value)
{
	uint8_t *istat = &s->reg[ISTAT0], before = *istat;
	*istat = (uint8_t)((before & 0x0f) | (value & 0xf0));
	if (value & ISTAT0_SRST) {
		if (!(before & ISTAT0_SRST)) {
			chip_reset(s);
			*istat = ISTAT0_SRST;
		}
		return;
	}
	if (value & ISTAT0_INTF) {
		*istat &= (uint8_t)~ISTAT0_INTF;
		lsi_update_irq(s);
	}
	if (value & ISTAT0_ABRT) {
		lsi_dma_interrupt(s, DSTAT_ABRT);
	} else if (value & ISTAT0_SIGP && s->state == LSI_WAIT_RESELECT) {
		lsi_set(s, DSP, lsi_get(s, DNAD));
		start(s);
	}
}

static void write_scntl1(Lsi *s, uint8_t value)
{
	bool was = s->reg[SSTAT0] & SSTAT0_RST;
	s->reg[SCNTL1] = (uint8_t)((value & ~SCNTL1_CON) | (s->connected ? SCNTL1_CON : 0));
	if (!(value & SCNTL1_RST)) {
		s->reg[SSTAT0] &= (uint8_t)~SSTAT0_RST;
	} else if (!was) {
		lsi_bus_reset(s);
		s->reg[SSTAT0] |= SSTAT0_RST;
		lsi_scsi_interrupt(s, SIST0_RST, 0);
	}
}

static void write_stime1(Lsi *s, uint8_t value)
{
	s->reg[STIME1] = value;
	if (value & 0x0f)
		timer_arm(&s->general, clock_now(s->pci.dev.board->clock) +
			((int64_t)GENERAL_UNIT_NS << ((value & 0x0f) - 1)));
	else
		timer_cancel(&s->general);
}

void lsi_store(Lsi *s, unsigned reg, uint8_t value)
{
	switch (reg) {
	case SCNTL1: write_scntl1(s, value); break;
	case ISTAT0: write_istat0(s, value); break;
	case STIME1: write_stime1(s, value); break;
	case SSID: case SBCL: case DSTAT: case SSTAT0: case SSTAT1: case SSTAT2: case ISTAT1:
	case SIST0: case SIST1: case STEST4:
		break; /* read only */
	case DSP + 3:
		s->reg[reg] = value;
		if (!(s->reg[DMODE] & DMODE_MAN))
			start(s);
		break;
	case DCNTL:
		s->reg[reg] = value & ~DCNTL_STD;
		if (value & DCNTL_STD)
			start(s);
		break;
	case DIEN: case SIEN0: case SIEN1:
		s->reg[reg] = value;
		lsi_update_irq(s);
		break;
	default:
		s->reg[reg] = value;
	}
}

/* A block move into the registers could reset the chip, and free the command whose bytes are being moved. */
static uint8_t load_reg(Lsi *s, uint64_t offset)
{
	return s->moving ? 0xff : lsi_load(s, offset % LSI_REGS);
}

static void store_reg(Lsi *s, uint64_t offset, uint8_t value)
{
	if (!s->moving)
		lsi_store(s, offset % LSI_REGS, value);
}

static uint64_t reg_read(void *opaque, uint64_t offset, unsigned size)
{
	return load_reg(opaque, offset);
}

static void reg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	store_reg(opaque, offset, (uint8_t)value);
}

/* Byte by byte: wide registers begin to act when their last byte is written. */
static const RegionOps reg_ops = { reg_read, reg_write, 1, 1 };

static uint64_t ram_read(void *opaque, uint64_t offset, unsigned size)
{
	uint64_t value = 0;
	memcpy(&value, ((Lsi *)opaque)->ram + offset, size); /* the host is little-endian */
	return value;
}

static void ram_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	memcpy(((Lsi *)opaque)->ram + offset, &value, size);
}

static const RegionOps ram_ops = { ram_read, ram_write, 1, 8 };

/* ---- what the chip reads and writes by itself ---- */

static bool within(const Region *r, uint64_t addr, uint32_t len)
{
	return r->as && addr >= r->base && addr - r->base < r->size &&
		len <= r->size - (addr - r->base);
}

bool lsi_read(Lsi *s, uint64_t addr, void *buf, uint32_t len)
{
	uint8_t *p = buf;
	if (!pci_master(&s->pci))
		return false;
	if (within(&s->ram_region, addr, len)) {
		memcpy(p, s->ram + (addr - s->ram_region.base), len);
		return true;
	}
	if (!within(&s->mmio, addr, len))
		return guest_read(s->pci.dev.board->mem, addr, buf, len);
	for (uint32_t i = 0; i < len; i++)
		p[i] = load_reg(s, addr - s->mmio.base + i);
	return true;
}

bool lsi_write(Lsi *s, uint64_t addr, const void *buf, uint32_t len)
{
	const uint8_t *p = buf;
	if (!pci_master(&s->pci))
		return false;
	if (within(&s->ram_region, addr, len)) {
		memcpy(s->ram + (addr - s->ram_region.base), p, len);
		return true;
	}
	if (!within(&s->mmio, addr, len))
		return guest_write(s->pci.dev.board->mem, addr, buf, len);
	for (uint32_t i = 0; i < len; i++)
		store_reg(s, addr - s->mmio.base + i, p[i]);
	return true;
}

/* ---- life ---- */

static void slice_begins(void *opaque)
{
	lsi_run(opaque);
}

static void general_over(void *opaque)
{
	lsi_scsi_interrupt(opaque, 0, SIST1_GEN);
}

static bool realize(Device *dev, GError **error)
{
	Lsi *s = (Lsi *)dev;
	static const PciIdentity id = { VENDOR, DEVICE, CLASS_SCSI,
		.subvendor = PCI_SUBVENDOR_DEFAULT, .subsystem = SUBSYSTEM, .int_pin = 1 };
	if (!pci_init(&s->pci, &id, error))
		return false;
	s->pci.config[PCI_LATENCY] = 0xff;
	region_init_io(&s->io, "lsi-io", &reg_ops, s, LSI_REGS);
	region_init_io(&s->mmio, "lsi-mmio", &reg_ops, s, MMIO_SIZE);
	region_init_io(&s->ram_region, "lsi-ram", &ram_ops, s, LSI_RAM);
	pci_bar(&s->pci, 0, PCI_BAR_IO, &s->io);
	pci_bar(&s->pci, 1, PCI_BAR_MEM32, &s->mmio);
	pci_bar(&s->pci, 2, PCI_BAR_MEM32, &s->ram_region);
	timer_init(&s->slice, dev->board->clock, slice_begins, s);
	timer_init(&s->general, dev->board->clock, general_over, s);
	g_queue_init(&s->commands);
	s->bus.max_target = LSI_TARGETS / 2 - 1; /* it is shown as a narrow bus */
	s->bus.plugged = lsi_plugged;
	scsi_bus_init(&s->bus, &s->pci, &lsi_host, s, loop_main());
	return true;
}

static void quiesce(Device *dev)
{
	Lsi *s = (Lsi *)dev;
	lsi_stop(s);
	lsi_give_up(s);
}

static void reset(Device *dev)
{
	Lsi *s = (Lsi *)dev;
	pci_reset(&s->pci);
	memset(s->ram, 0, sizeof(s->ram));
	chip_reset(s);
}

static void unrealize(Device *dev)
{
	Lsi *s = (Lsi *)dev;
	quiesce(dev);
	scsi_bus_exit(&s->bus);
	timer_cancel(&s->slice);
	timer_cancel(&s->general);
	pci_exit(&s->pci);
}

static void info(Device *dev, GString *out)
{
	static const char *const states[] = { "stopped", "running", "waiting for a reselection",
		"waiting for a phase", "waiting for the end of a connection" };
	const Lsi *s = (const Lsi *)dev;
	g_string_append_printf(out, "bus %s, %u units, %u commands; SCRIPTS %s at 0x%08x; %s\n",
		s->bus.bus->name, s->bus.units->len, s->commands.length, states[s->state],
		lsi_get(s, DSP), s->connected ? "connected" : "bus free");
}

static const Property props[] = { PCI_PROPERTIES, { 0 } };

/* Commands that targets have are not among it. */
static const StateField state[] = {
	PCI_STATE,
	STATE(FIELD_TIMER, Lsi, slice, 0),
	STATE(FIELD_TIMER, Lsi, general, 0),
	STATE_KEEP_ARRAY(FIELD_U8, Lsi, reg, LSI_REGS),
	STATE_KEEP_ARRAY(FIELD_U8, Lsi, ram, LSI_RAM),
	STATE(FIELD_U8, Lsi, state, LSI_STOPPED),
	STATE(FIELD_BOOL, Lsi, carry, 0),
	STATE(FIELD_BOOL, Lsi, dead_selection, 0),
	{ 0 }
};

const DeviceClass lsi53c895a_class = {
	.name = "lsi53c895a",
	.alias = "lsi",
	.desc = "LSI 53C895A SCSI controller",
	.bus = "pci", .category = DEVICE_STORAGE,
	.size = sizeof(Lsi),
	.user_creatable = true,
	.version = 1,
	.props = props,
	.state = state,
	.realize = realize,
	.quiesce = quiesce,
	.reset = reset,
	.unrealize = unrealize,
	.info = info,
};
