/*
 * piix4pm.c - the PIIX4's power management function: ACPI registers, APM port, SMBus host.
 *
 * Intel 82371AB data sheet (290562-001), chapter 7; ACPI 2.0, 4.7 (fixed hardware). GPE0 at
 * AFE0h as QEMU's PC has it. Left out: SMM (its set-up is marked as done, so that firmware
 * leaves it), sleep states S1 to S4, throttling, device monitors, SMBus slaves.
 * Entered by vcpu and main threads under the machine lock.
 */
#include "core/board.h"
#include "core/error.h"
#include "hw/classes.h"
#include "hw/pci/pci.h"

#define PM_HZ 3579545u
#define PM_CARRY 0x800000u      /* TMR_STS: bit 23 changed */
#define PMBA 0x40               /* configuration registers (7.1) */
#define DEVACTB 0x58
#define DEVACTB_APMC 0x02u      /* of byte 3 */
#define PMREGMISC 0x80
#define SMBBA 0x90
#define SMBHSTCFG 0xd2
#define GPE0_BASE 0xafe0
#define APM_BASE 0xb2
#define APM_ACPI_ON 0xf1
#define APM_ACPI_OFF 0xf0

/* PM1 status and enable (ACPI 4.7.3.1) */
#define PM1_TMR 0x0001u
#define PM1_GBL 0x0020u
#define PM1_PWRBTN 0x0100u
#define PM1_RTC 0x0400u
#define PM1_WAK 0x8000u
#define PM1_EVENTS (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC)
#define PM1_STATUS_VALID (PM1_EVENTS | PM1_WAK | 0x10u)
/* PM1 control (4.7.3.2) */
#define PM1_SCI_EN 0x0001u
#define PM1_SLP_TYP(v) ((v) >> 10 & 7)
#define PM1_SLP_EN 0x2000u
#define PM1_CONTROL_VALID 0x1c03u
#define SLP_S5 0

/* SMBus host (7.3) */
#define SMB_DEV_ERR 0x04u
#define SMB_START 0x40u

typedef struct Piix4Pm {
	PciDevice pci;
	uint8_t disable_s3, disable_s4, s4_val;
	bool smm, hotplug_bridge, hotplug_root;
	uint16_t pm1_status, pm1_enable, pm1_control;
	uint16_t gpe_status, gpe_enable;
	uint8_t apm[2];
	uint8_t smb[16];
	uint64_t carry;         /* PM timer ticks at which TMR_STS is set next */
	bool button;            /* level of the power button's line */
	Timer timer;
	Irq sci;
	Region pm, gpe, apm_region, smbus;
} Piix4Pm;

static uint64_t ticks(const Piix4Pm *s)
{
	return muldiv64((uint64_t)clock_now(s->pci.dev.board->clock), PM_HZ, NS_PER_SEC);
}

static void update_sci(Piix4Pm *s)
{
	if (ticks(s) >= s->carry)
		s->pm1_status |= PM1_TMR;
	bool events = (s->pm1_status & s->pm1_enable & PM1_EVENTS) || (s->gpe_status & s->gpe_enable);
	irq_set(&s->sci, events && (s->pm1_control & PM1_SCI_EN));

	timer_cancel(&s->timer);
	if ((s->pm1_enable & PM1_TMR) && !(s->pm1_status & PM1_TMR))
		timer_arm(&s->timer, (int64_t)muldiv64(s->carry, NS_PER_SEC, PM_HZ) + 1);
}

static void timer_carried(void *opaque)
{
	update_sci(opaque);
}

static void next_carry(Piix4Pm *s)
{
	s->carry = (ticks(s) / PM_CARRY + 1) * PM_CARRY;
}

static void write_status(Piix4Pm *s, uint16_t value)
{
	if (ticks(s) >= s->carry)
		s->pm1_status |= PM1_TMR;
	if (value & s->pm1_status & PM1_TMR)
		next_carry(s);
	s->pm1_status &= (uint16_t)~value;
}

static void write_control(Piix4Pm *s, uint16_t value)
{
	s->pm1_control = value & PM1_CONTROL_VALID;
	/* The other sleep states are not offered by the tables, and are not entered. */
	if ((value & PM1_SLP_EN) && PM1_SLP_TYP(value) == SLP_S5)
		board_request(s->pci.dev.board, RUN_SHUTDOWN, 0);
}

/* ---- PM block: 16-bit registers, the timer's 32 ---- */

static uint16_t pm_read16(Piix4Pm *s, unsigned offset)
{
	switch (offset) {
	case 0x00:
		update_sci(s);
		return s->pm1_status;
	case 0x02: return s->pm1_enable;
	case 0x04: return s->pm1_control;
	case 0x08: return (uint16_t)ticks(s);
	case 0x0a: return ticks(s) >> 16 & 0xff; /* 24 bits */
	default: return 0;
	}
}

static uint64_t pm_read(void *opaque, uint64_t offset, unsigned size)
{
	Piix4Pm *s = opaque;
	if (offset == 0x08 && size == 4)
		return ticks(s) & 0xffffff;
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++) {
		uint64_t at = offset + i;
		value |= (uint64_t)(pm_read16(s, at & ~1u) >> (8 * (at & 1)) & 0xff) << (8 * i);
	}
	return value;
}

/* `mask` has ones where `value` holds new bits. */
static void pm_write16(Piix4Pm *s, unsigned offset, uint16_t value, uint16_t mask)
{
	switch (offset) {
	case 0x00:
		write_status(s, value & mask);
		break;
	case 0x02:
		s->pm1_enable = (uint16_t)(((s->pm1_enable & ~mask) | (value & mask)) & PM1_EVENTS);
		break;
	case 0x04:
		write_control(s, (uint16_t)((s->pm1_control & ~mask) | (value & mask)));
		break;
	default:
		return;
	}
	update_sci(s);
}

static void pm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	if (size == 1) {
		unsigned shift = 8 * (offset & 1);
		pm_write16(opaque, offset & ~1u, (uint16_t)(value << shift), (uint16_t)(0xff << shift));
		return;
	}
	for (unsigned i = 0; i < size; i += 2)
		pm_write16(opaque, (unsigned)offset + i, (uint16_t)(value >> (8 * i)), 0xffff);
}

/* ---- GPE0 ---- */

static uint64_t gpe_read(void *opaque, uint64_t offset, unsigned size)
{
	Piix4Pm *s = opaque;
	uint16_t reg = offset < 2 ? s->gpe_status : s->gpe_enable;
	return reg >> (8 * (offset & 1)) & 0xff;
}

static void gpe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Piix4Pm *s = opaque;
	unsigned shift = 8 * (offset & 1);
	if (offset < 2)
		s->gpe_status &= (uint16_t)~(value << shift);
	else
		s->gpe_enable = (uint16_t)((s->gpe_enable & ~(0xffu << shift)) | value << shift);
	update_sci(s);
}

/* ---- APM control and status ---- */

static uint64_t apm_read(void *opaque, uint64_t offset, unsigned size)
{
	return ((Piix4Pm *)opaque)->apm[offset];
}

static void apm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Piix4Pm *s = opaque;
	s->apm[offset] = (uint8_t)value;
	if (offset)
		return;
	/* What firmware's SMI handler would do. */
	if (value == APM_ACPI_ON)
		s->pm1_control |= PM1_SCI_EN;
	else if (value == APM_ACPI_OFF)
		s->pm1_control &= (uint16_t)~PM1_SCI_EN;
	update_sci(s);
}

/* ---- SMBus host: nobody answers ---- */

static uint64_t smb_read(void *opaque, uint64_t offset, unsigned size)
{
	return ((Piix4Pm *)opaque)->smb[offset];
}

static void smb_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Piix4Pm *s = opaque;
	switch (offset) {
	case 0: /* status: write one to clear */
	case 1:
		s->smb[offset] &= (uint8_t)~value;
		break;
	case 2:
		s->smb[2] = value & 0x1f;
		if (value & SMB_START)
			s->smb[0] |= SMB_DEV_ERR;
		break;
	default:
		s->smb[offset] = (uint8_t)value;
		break;
	}
}

static const RegionOps pm_ops = { pm_read, pm_write, 1, 4 };
static const RegionOps gpe_ops = { gpe_read, gpe_write, 1, 1 };
static const RegionOps apm_ops = { apm_read, apm_write, 1, 1 };
static const RegionOps smb_ops = { smb_read, smb_write, 1, 1 };

static void place(Piix4Pm *s, Region *region, unsigned reg, uint16_t mask, bool enabled)
{
	uint16_t base = pci_get16(&s->pci.config[reg]) & mask;
	if (enabled && base)
		as_map(s->pci.dev.board->io, region, base, 1);
	else
		as_unmap(region);
}

static void update_blocks(Piix4Pm *s)
{
	bool smbus = (s->pci.config[SMBHSTCFG] & 1) && (s->pci.config[PCI_COMMAND] & PCI_COMMAND_IO);
	place(s, &s->pm, PMBA, 0xffc0, s->pci.config[PMREGMISC] & 1);
	place(s, &s->smbus, SMBBA, 0xfff0, smbus);
}

static void config_written(PciDevice *dev, unsigned offset, unsigned len)
{
	update_blocks((Piix4Pm *)dev);
}

static void input_powerdown(void *opaque, int n, int level)
{
	Piix4Pm *s = opaque;
	if (level && !s->button)
		s->pm1_status |= PM1_PWRBTN;
	s->button = level;
	update_sci(s);
}

/* Edges of general purpose events; the guest clears what it has seen. */
static void input_gpe(void *opaque, int n, int level)
{
	Piix4Pm *s = opaque;
	if (level)
		s->gpe_status |= (uint16_t)(1u << n);
	update_sci(s);
}

static bool check_properties(const Piix4Pm *s, GError **error)
{
	if (!s->disable_s3 || !s->disable_s4)
		return fail(error, VIV_ERROR_UNSUPPORTED, "PIIX4_PM: the sleep states S3 and S4 are not built; "
			"leave disable_s3 and disable_s4 at 1.");
	if (s->smm || s->hotplug_bridge)
		return fail(error, VIV_ERROR_UNSUPPORTED, "PIIX4_PM: neither SMM nor ACPI hot-plug behind PCI bridges "
			"is built; leave their properties off.");
	return true;
}

static bool realize(Device *dev, GError **error)
{
	Piix4Pm *s = (Piix4Pm *)dev;
	AddressSpace *io = dev->board->io;
	static const PciIdentity id = { 0x8086, 0x7113, 0x0680, .revision = 3, .int_pin = 1 };

	if (!check_properties(s, error))
		return false;
	if (!s->pci.addr)
		s->pci.addr = g_strdup("1.3");
	if (!pci_init(&s->pci, &id, error))
		return false;
	s->pci.config_written = config_written;
	pci_put16(s->pci.config + PCI_STATUS, 0x0280);
	pci_put32(s->pci.config + PMBA, 1);
	pci_put32(s->pci.writable + PMBA, 0xffc0);
	for (unsigned i = 0x44; i < 0x80; i++)
		s->pci.writable[i] = 0xff;
	s->pci.writable[PMREGMISC] = 1;
	pci_put32(s->pci.config + SMBBA, 1);
	pci_put32(s->pci.writable + SMBBA, 0xfff0);
	s->pci.writable[SMBHSTCFG] = 0x0f;
	s->pci.config[DEVACTB + 3] = DEVACTB_APMC;

	timer_init(&s->timer, dev->board->clock, timer_carried, s);
	region_init_io(&s->pm, "acpi-pm", &pm_ops, s, 64);
	region_init_io(&s->gpe, "acpi-gpe0", &gpe_ops, s, 4);
	region_init_io(&s->apm_region, "apm", &apm_ops, s, 2);
	region_init_io(&s->smbus, "smbus", &smb_ops, s, 16);
	as_map(io, &s->gpe, GPE0_BASE, 0);
	as_map(io, &s->apm_region, APM_BASE, 0);
	return true;
}

static void reset(Device *dev)
{
	Piix4Pm *s = (Piix4Pm *)dev;
	pci_reset(&s->pci);
	next_carry(s);
	update_blocks(s);
	update_sci(s);
}

static void unrealize(Device *dev)
{
	Piix4Pm *s = (Piix4Pm *)dev;
	timer_cancel(&s->timer);
	as_unmap(&s->pm);
	as_unmap(&s->gpe);
	as_unmap(&s->apm_region);
	as_unmap(&s->smbus);
	pci_exit(&s->pci);
}

static const Property props[] = {
	PCI_PROPERTIES,
	{ "disable_s3", PROP_U8, offsetof(Piix4Pm, disable_s3), "1", "1: no suspend to RAM", .max = 1 },
	{ "disable_s4", PROP_U8, offsetof(Piix4Pm, disable_s4), "1", "1: no suspend to disk", .max = 1 },
	{ "s4_val", PROP_U8, offsetof(Piix4Pm, s4_val), "2", "sleep type of S4", .max = 7 },
	{ "smm-enabled", PROP_BOOL, offsetof(Piix4Pm, smm), "off", "system management mode" },
	{ "acpi-pci-hotplug-with-bridge-support", PROP_BOOL, offsetof(Piix4Pm, hotplug_bridge), "off",
	  "ACPI hot-plug behind bridges" },
	{ "acpi-root-pci-hotplug", PROP_BOOL, offsetof(Piix4Pm, hotplug_root), "on", "ACPI hot-plug of slots" },
	{ 0 }
};

static const StateField state[] = {
	PCI_STATE,
	STATE(FIELD_U16, Piix4Pm, pm1_status, 0),
	STATE(FIELD_U16, Piix4Pm, pm1_enable, 0),
	STATE(FIELD_U16, Piix4Pm, pm1_control, 0),
	STATE(FIELD_U16, Piix4Pm, gpe_status, 0),
	STATE(FIELD_U16, Piix4Pm, gpe_enable, 0),
	STATE_ARRAY(FIELD_U8, Piix4Pm, apm, 2, 0),
	STATE_ARRAY(FIELD_U8, Piix4Pm, smb, 16, 0),
	STATE(FIELD_U64, Piix4Pm, carry, PM_CARRY),
	{ "button", FIELD_BOOL, offsetof(Piix4Pm, button), 1, 1, 0, .keep = true },
	STATE(FIELD_TIMER, Piix4Pm, timer, 0),
	{ 0 }
};

static const LineOut outputs[] = { { "sci", offsetof(Piix4Pm, sci), 1 }, { 0 } };
static const LineIn inputs[] = { { "powerdown", input_powerdown, 1 }, { "gpe", input_gpe, 16 }, { 0 } };

const DeviceClass piix4pm_class = {
	.name = "PIIX4_PM", .desc = "PIIX4 power management", .bus = "pci", .size = sizeof(Piix4Pm),
	.version = 1, .props = props, .state = state, .outputs = outputs, .inputs = inputs,
	.realize = realize, .reset = reset, .unrealize = unrealize,
};
