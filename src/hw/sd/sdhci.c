/*
 * sdhci.c - sdhci-pci, an SD host controller: registers, interrupts, the function on the PCI bus.
 *
 * SDHC 2, SD Host Controller's PCI class (appendix A); capabilities, defaults and names as QEMU's.
 * Left out: UHS-I and its tuning, 64-bit addresses, SDIO's interrupts, suspend and resume, boot
 * from MMC. Main loop and vcpu threads, machine lock held.
 */
#include "hw/sd/sdhci.h"

#include <string.h>

#include "hw/classes.h"

#define VENDOR	       0x1b36
#define DEVICE	       0x0007
#define CLASS_SDHC     0x0805
#define PROG_IF_DMA    0x01
#define VENDOR_VERSION 0x24
/* 52 MHz, blocks of 512 bytes, ADMA2, ADMA1, high speed, SDMA, 3.3 V, 1.8 V */
#define CAPABILITIES 0x057834b4u

/* ---- interrupts ---- */

static bool level(const Sdhci *s)
{
	return sdhci_get32(s, SDHC_STATUS) & sdhci_get32(s, SDHC_SIGNAL_ENABLE);
}

static void update(Sdhci *s)
{
	uint32_t status = sdhci_get32(s, SDHC_STATUS) & ~INT_ERROR;
	if (status >> 16)
		status |= INT_ERROR;
	sdhci_put32(s, SDHC_STATUS, status);
	pci_set_irq(&s->pci, level(s));
}

void sdhci_raise(Sdhci *s, uint32_t bits)
{
	uint32_t enabled = bits & sdhci_get32(s, SDHC_STATUS_ENABLE);
	sdhci_put32(s, SDHC_STATUS, sdhci_get32(s, SDHC_STATUS) | enabled);
	update(s);
}

/* ---- reset ---- */

static void reset_data(Sdhci *s)
{
	uint32_t cleared = INT_TRANSFER | INT_BLOCK_GAP | INT_DMA | INT_CAN_WRITE | INT_CAN_READ;
	sdhci_transfer_stop(s);
	s->card_waits = false;
	s->reg[SDHC_BLOCK_GAP] = 0;
	sdhci_put32(s, SDHC_STATUS, sdhci_get32(s, SDHC_STATUS) & ~cleared);
	update(s);
}

static void power_off(Sdhci *s)
{
	s->reg[SDHC_POWER_CONTROL] &= (uint8_t)~POWER_ON;
	s->card_waits = false;
	sdhci_transfer_stop(s);
	if (s->slot.card)
		sd_card_power_cycle(s->slot.card);
}

static void reset_registers(Sdhci *s)
{
	memset(s->reg, 0, sizeof(s->reg));
	sdhci_put32(s, SDHC_CAPABILITIES, CAPABILITIES);
	pci_put32(s->reg + SDHC_MAX_CURRENT, (uint32_t)s->max_current);
	pci_put32(s->reg + SDHC_MAX_CURRENT + 4, (uint32_t)(s->max_current >> 32));
	sdhci_put16(s, SDHC_VERSION, (uint16_t)(VENDOR_VERSION << 8 | (s->sd_spec_version - 1)));
	update(s);
}

static void software_reset(Sdhci *s, uint8_t what)
{
	if (what & RESET_ALL) {
		power_off(s);
		reset_registers(s);
		return;
	}
	if (what & RESET_DATA)
		reset_data(s);
	if (what & RESET_COMMAND) {
		sdhci_put32(s, SDHC_STATUS, sdhci_get32(s, SDHC_STATUS) & ~INT_COMMAND);
		update(s);
	}
}

/* ---- reads ---- */

static uint32_t present_state(const Sdhci *s)
{
	const SdCard *c = s->slot.card;
	bool moving = s->step != STEP_NONE;
	uint32_t v = STATE_STABLE | STATE_DAT321 | STATE_CMD;
	if (moving || s->card_waits)
		v |= STATE_DATA_INHIBIT | STATE_DAT_ACTIVE;
	if (moving && s->step != STEP_GAP)
		v |= s->read ? STATE_READ : STATE_WRITE;
	if (s->step == STEP_PORT)
		v |= s->read ? STATE_CAN_READ : STATE_CAN_WRITE;
	if (!sd_card_present(c))
		return v | STATE_WRITABLE | STATE_DAT0;
	v |= STATE_INSERTED | STATE_DETECT;
	return v | (sd_card_writable(c) ? STATE_WRITABLE : 0) |
	       (sd_card_programming(c) ? 0 : STATE_DAT0);
}

static uint64_t reg_read(void *opaque, uint64_t offset, unsigned size)
{
	Sdhci *s = opaque;
	uint32_t value = 0;
	if (offset / 4 == SDHC_DATA_PORT / 4)
		return sdhci_port_read(s, size);
	sdhci_put32(s, SDHC_PRESENT_STATE, present_state(s));
	sdhci_put16(s, SDHC_SLOT_STATUS, level(s));
	memcpy(&value, s->reg + offset,
	       MIN(size, SDHCI_REGS - offset)); /* the host is little-endian */
	return value;
}

/* ---- writes ---- */

/* Bits of a byte that are plain storage. */
static uint8_t writable(const Sdhci *s, unsigned reg)
{
	bool v3 = s->sd_spec_version >= 3;
	switch (reg) {
	case SDHC_BLOCK_SIZE + 1:
		return 0x7f;
	case SDHC_TRANSFER_MODE:
		return v3 ? 0x3f : 0x37;
	case SDHC_TRANSFER_MODE + 1:
		return 0;
	case SDHC_COMMAND:
		return 0xfb;
	case SDHC_COMMAND + 1:
		return 0x3f;
	case SDHC_HOST_CONTROL:
		return 0xdf;
	case SDHC_POWER_CONTROL:
	case SDHC_BLOCK_GAP:
	case SDHC_CLOCK_CONTROL + 2:
		return 0x0f;
	case SDHC_BLOCK_GAP + 1:
		return 0x07; /* wakeup control */
	case SDHC_CLOCK_CONTROL:
		return v3 ? 0xe5 : 0x05;
	case SDHC_STATUS_ENABLE + 1:
	case SDHC_SIGNAL_ENABLE + 1:
		return 0x01;
	case SDHC_ERROR_ENABLE + 1:
	case SDHC_ERROR_SIGNAL + 1:
		return 0x03;
	case SDHC_CLOCK_CONTROL + 1:
		return 0xff;
	default:
		break;
	}
	bool plain = reg < SDHC_RESPONSE || (reg >= SDHC_STATUS_ENABLE && reg < SDHC_AUTO_ERROR) ||
		     (reg >= SDHC_ADMA_ADDRESS && reg < SDHC_ADMA_ADDRESS + 4);
	return plain ? 0xff : 0;
}

static void power_written(Sdhci *s, uint8_t before)
{
	bool on = s->reg[SDHC_POWER_CONTROL] & POWER_ON;
	if (on && !sd_card_present(s->slot.card))
		s->reg[SDHC_POWER_CONTROL] &= (uint8_t)~POWER_ON;
	else if (!on && before & POWER_ON)
		power_off(s);
}

static void gap_written(Sdhci *s)
{
	uint8_t *gap = &s->reg[SDHC_BLOCK_GAP];
	bool go_on = *gap & GAP_CONTINUE && !(*gap & GAP_STOP);
	*gap &= (uint8_t)~GAP_CONTINUE;
	if (s->step == STEP_GAP && go_on) {
		s->step = STEP_BLOCK;
		sdhci_transfer_run(s);
	}
}

static void clock_written(Sdhci *s)
{
	uint8_t *clock = &s->reg[SDHC_CLOCK_CONTROL];
	*clock &= (uint8_t)~CLOCK_STABLE;
	if (*clock & CLOCK_INTERNAL)
		*clock |= CLOCK_STABLE;
}

/* A transfer owns what it counts with. */
static bool in_use(const Sdhci *s, unsigned reg)
{
	return s->step != STEP_NONE &&
	       ((reg >= SDHC_BLOCK_SIZE && reg < SDHC_ARGUMENT) || reg == SDHC_TRANSFER_MODE ||
		reg == SDHC_HOST_CONTROL || (reg < SDHC_BLOCK_SIZE && !s->boundary));
}

/* What a byte does besides being stored. */
static void store(Sdhci *s, unsigned reg, uint8_t value)
{
	uint8_t mask = in_use(s, reg) ? 0 : writable(s, reg), before = s->reg[reg];
	s->reg[reg] = (uint8_t)((before & ~mask) | (value & mask));
	switch (reg) {
	case SDHC_POWER_CONTROL:
		power_written(s, before);
		break;
	case SDHC_BLOCK_GAP:
		gap_written(s);
		break;
	case SDHC_CLOCK_CONTROL:
		clock_written(s);
		break;
	case SDHC_SOFTWARE_RESET:
		software_reset(s, value);
		break;
	case SDHC_STATUS:
	case SDHC_ERROR_STATUS:
	case SDHC_ERROR_STATUS + 1:
		s->reg[reg] &= (uint8_t)~value;
		break;
	case SDHC_FORCE_AUTO_ERROR:
		s->reg[SDHC_AUTO_ERROR] |= value & 0x9f;
		break;
	case SDHC_FORCE_ERROR:
		sdhci_raise(s, (uint32_t)value << 16);
		break;
	case SDHC_FORCE_ERROR + 1:
		sdhci_raise(s, (uint32_t)(value & 3) << 24);
		break;
	default:
		break;
	}
}

static void reg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Sdhci *s = opaque;
	if (offset / 4 == SDHC_DATA_PORT / 4) {
		sdhci_port_write(s, (uint32_t)value, size);
		return;
	}
	uint64_t end = MIN(offset + size, SDHCI_REGS);
	for (uint64_t reg = offset; reg < end; reg++)
		store(s, (unsigned)reg, (uint8_t)(value >> 8 * (reg - offset)));
	update(s);
	/* The last byte of a register sets going what it is for. */
	if (offset <= SDHC_COMMAND + 1 && end > SDHC_COMMAND + 1)
		sdhci_command(s);
	if (offset <= SDHC_SYSTEM_ADDRESS + 3 && end > SDHC_SYSTEM_ADDRESS + 3 && s->boundary) {
		s->boundary = false;
		sdhci_transfer_run(s);
	}
}

static const RegionOps reg_ops = {reg_read, reg_write, 1, 4};

/* ---- the slot ---- */

static Sdhci *of_slot(SdSlot *slot)
{
	return (Sdhci *)((char *)slot - offsetof(Sdhci, slot));
}

static void card_ready(SdSlot *slot)
{
	Sdhci *s = of_slot(slot);
	if (s->card_waits && !sd_card_programming(slot->card)) {
		s->card_waits = false;
		sdhci_raise(s, INT_TRANSFER);
	}
	sdhci_transfer_run(s);
}

static void card_changed(SdSlot *slot)
{
	Sdhci *s = of_slot(slot);
	bool present = sd_card_present(slot->card);
	if (!present)
		power_off(s);
	sdhci_raise(s, present ? INT_INSERTED : INT_REMOVED);
}

static void slice_begins(void *opaque)
{
	sdhci_transfer_run(opaque);
}

/* ---- life ---- */

static bool realize(Device *dev, GError **error)
{
	Sdhci *s = (Sdhci *)dev;
	static const PciIdentity id = {VENDOR, DEVICE, CLASS_SDHC, .prog_if = PROG_IF_DMA,
				       .int_pin = 1};
	if (!pci_init(&s->pci, &id, error))
		return false;
	region_init_io(&s->mmio, "sdhci", &reg_ops, s, SDHCI_REGS);
	pci_bar(&s->pci, 0, PCI_BAR_MEM32, &s->mmio);
	timer_init(&s->slice, dev->board->clock, slice_begins, s);
	s->slot.ready = card_ready;
	s->slot.changed = card_changed;
	/* QEMU's name for each of them; the second needs one of its own. */
	s->bus = bus_find(dev->board, "sd-bus")
		     ? bus_new_of(dev, "sd-bus", 0, &s->slot, 1)
		     : bus_new(dev->board, "sd-bus", "sd-bus", dev, &s->slot, 1);
	return true;
}

static void quiesce(Device *dev)
{
	Sdhci *s = (Sdhci *)dev;
	sdhci_transfer_stop(s);
	s->card_waits = false;
}

static void reset(Device *dev)
{
	Sdhci *s = (Sdhci *)dev;
	pci_reset(&s->pci);
	reset_registers(s);
}

static void unrealize(Device *dev)
{
	Sdhci *s = (Sdhci *)dev;
	quiesce(dev);
	bus_free(s->bus);
	pci_exit(&s->pci);
}

static void info(Device *dev, GString *out)
{
	static const char *const steps[] = {"no transfer",	  "between blocks",
					    "waits for the card", "waits for the data port",
					    "waits for memory",	  "stopped at a block gap"};
	const Sdhci *s = (const Sdhci *)dev;
	g_string_append_printf(out, "bus %s, %s; %s, %u blocks left; status 0x%08x\n", s->bus->name,
			       sd_card_present(s->slot.card) ? "a card" : "no card", steps[s->step],
			       s->step == STEP_NONE ? 0 : s->left, sdhci_get32(s, SDHC_STATUS));
}

static const Property props[] = {
	PCI_PROPERTIES,
	{ "sd-spec-version", PROP_U8, offsetof(Sdhci, sd_spec_version),
	  "2", "of the host controller's specification", NULL, 2, 3 },
	{ "maxcurr", PROP_U64, offsetof(Sdhci, max_current),
	  "0", "the register of maximum currents" },
	{ 0 }
};

static const StateField state[] = {
	PCI_STATE,
	STATE(FIELD_TIMER, Sdhci, slice, 0),
	STATE_KEEP_ARRAY(FIELD_U8, Sdhci, reg, SDHCI_REGS),
	STATE(FIELD_U8, Sdhci, step, STEP_NONE),
	STATE(FIELD_BOOL, Sdhci, read, 0),
	STATE(FIELD_BOOL, Sdhci, dma, 0),
	STATE(FIELD_BOOL, Sdhci, endless, 0),
	STATE(FIELD_BOOL, Sdhci, boundary, 0),
	STATE(FIELD_BOOL, Sdhci, card_waits, 0),
	STATE(FIELD_U16, Sdhci, block, 0),
	STATE(FIELD_U32, Sdhci, left, 0),
	STATE(FIELD_U32, Sdhci, count, 0),
	STATE(FIELD_U32, Sdhci, at, 0),
	STATE(FIELD_U32, Sdhci, have, 0),
	STATE(FIELD_BOOL, Sdhci, piece, 0),
	STATE(FIELD_BOOL, Sdhci, last, 0),
	STATE(FIELD_BOOL, Sdhci, interrupt, 0),
	STATE(FIELD_U64, Sdhci, piece_addr, 0),
	STATE(FIELD_U32, Sdhci, piece_left, 0),
	STATE(FIELD_U32, Sdhci, adma1_length, 0),
	{ 0 }
};

const DeviceClass sdhci_pci_class = {
    .name = "sdhci-pci",
    .desc = "SD host controller",
    .bus = "pci", .category = DEVICE_STORAGE,
    .size = sizeof(Sdhci),
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
