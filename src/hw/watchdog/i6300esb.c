/*
 * i6300esb.c - the watchdog of Intel's 6300ESB I/O controller hub.
 *
 * Intel 6300ESB data sheet (300641), chapter "Watchdog Timer": two stages, each with its own count
 * of 33 MHz clocks divided by 2^15 or 2^5. Who writes 80h and 86h to the reload register may write
 * one register. The first stage's interrupt goes to an I/O APIC of the hub or to system management
 * mode, which a PC of this kind has not: only its status bit is there, as on QEMU's. The second
 * stage does what -action watchdog= says. The timer stands still while the guest is paused. Machine
 * lock held.
 */
#include "core/board.h"
#include "hw/classes.h"
#include "hw/pci/pci.h"

/* Configuration space */
#define CONFIG 0x60u
#define CONFIG_INTERRUPT 0x03u  /* 3: the first stage raises none */
#define CONFIG_1MHZ 0x04u
#define CONFIG_NO_REBOOT 0x20u  /* the second stage has no effect outside */
#define LOCK 0x68u
#define LOCK_LOCKED 0x01u       /* until the next reset this register cannot be written */
#define LOCK_ENABLE 0x02u
#define LOCK_FREE_RUN 0x04u     /* after the second stage comes the first */
#define LOCK_BITS 0x07u

/* Memory */
#define PRELOAD(stage) (4u * (stage))
#define PRELOAD_MAX 0xfffffu
#define INTERRUPT 0x08u
#define INTERRUPT_ACTIVE 0x01u
#define RELOAD 0x0cu
#define RELOAD_NOW 0x0100u
/* it was this watchdog that reset the machine; writing one clears it */
#define RELOAD_EXPIRED 0x0200u
#define UNLOCK_FIRST 0x80u
#define UNLOCK_SECOND 0x86u
#define REGS_SIZE 0x10u

#define PCI_CLOCK 33000000u
/* A shorter period cannot be told from this one by the guest, and would keep the host busy. */
#define PERIOD_MIN (NS_PER_SEC / 1000)

enum { LOCKED, HALF_UNLOCKED, UNLOCKED };

typedef struct I6300esb {
	PciDevice pci;
	Region regs;
	Timer timer;
	uint32_t preload[2]; /* one less than the ticks of the stage */
	uint8_t stage;       /* that is counted */
	uint8_t lock;        /* of the registers in memory */
	bool interrupt;      /* the first stage passed */
	bool expired;
} I6300esb;

static void start(I6300esb *s, uint8_t stage)
{
	unsigned shift = s->pci.config[CONFIG] & CONFIG_1MHZ ? 5 : 15;
	uint64_t clocks = ((uint64_t)s->preload[stage] + 1) << shift;
	int64_t period = (int64_t)muldiv64(clocks, NS_PER_SEC, PCI_CLOCK);

	s->stage = stage;
	timer_arm(&s->timer, clock_now(s->timer.clock) + MAX(period, PERIOD_MIN));
}

/* All but the PCI function's own state and what a reset leaves. */
static void restore_defaults(I6300esb *s)
{
	timer_cancel(&s->timer);
	s->pci.config[CONFIG] = 0;
	s->pci.config[LOCK] = 0;
	s->pci.writable[LOCK] = LOCK_BITS;
	s->preload[0] = s->preload[1] = PRELOAD_MAX;
	s->stage = 0;
	s->lock = LOCKED;
	s->interrupt = false;
}

static void expire(I6300esb *s)
{
	Board *board = s->pci.dev.board;
	s->expired = true;
	restore_defaults(s);
	if (board->watchdog)
		board->watchdog(board);
}

static void on_timer(void *opaque)
{
	I6300esb *s = opaque;
	const uint8_t *config = s->pci.config;

	if (s->stage == 0) {
		s->interrupt |= (config[CONFIG] & CONFIG_INTERRUPT) != CONFIG_INTERRUPT;
		start(s, 1);
	} else if (!(config[CONFIG] & CONFIG_NO_REBOOT)) {
		expire(s);
	} else if (config[LOCK] & LOCK_FREE_RUN) {
		start(s, 0);
	}
}

/* ---- registers ---- */

static void config_written(PciDevice *pci, unsigned offset, unsigned len)
{
	I6300esb *s = (I6300esb *)pci;
	bool counts = timer_armed(&s->timer);

	if (offset > LOCK || offset + len <= LOCK || !pci->writable[LOCK])
		return;
	if (pci->config[LOCK] & LOCK_LOCKED)
		pci->writable[LOCK] = 0;
	if (!(pci->config[LOCK] & LOCK_ENABLE))
		timer_cancel(&s->timer);
	else if (!counts)
		start(s, 0);
}

static void write_reload(I6300esb *s, uint64_t value)
{
	if (value & RELOAD_NOW && s->pci.config[LOCK] & LOCK_ENABLE)
		start(s, 0);
	if (value & RELOAD_EXPIRED)
		s->expired = false;
}

/* A register that the two magic numbers unlock. */
static void write_locked(I6300esb *s, uint64_t offset, uint64_t value, unsigned size)
{
	if (offset == RELOAD)
		write_reload(s, value);
	else if (size == 4 && offset == PRELOAD(0))
		s->preload[0] = value & PRELOAD_MAX;
	else if (size == 4 && offset == PRELOAD(1))
		s->preload[1] = value & PRELOAD_MAX;
}

static void regs_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	I6300esb *s = opaque;

	if (offset == INTERRUPT) {
		s->interrupt &= !(value & INTERRUPT_ACTIVE);
	} else if (offset == RELOAD && value == UNLOCK_FIRST) {
		s->lock = HALF_UNLOCKED;
	} else if (offset == RELOAD && value == UNLOCK_SECOND && s->lock == HALF_UNLOCKED) {
		s->lock = UNLOCKED;
	} else {
		if (s->lock == UNLOCKED)
			write_locked(s, offset, value, size);
		s->lock = LOCKED;
	}
}

static uint64_t regs_read(void *opaque, uint64_t offset, unsigned size)
{
	const I6300esb *s = opaque;
	const uint32_t regs[REGS_SIZE / 4] = {
		s->preload[0], s->preload[1], s->interrupt ? INTERRUPT_ACTIVE : 0,
		s->expired ? RELOAD_EXPIRED : 0,
	};
	return regs[offset / 4] >> offset % 4 * 8;
}

static const RegionOps ops = { regs_read, regs_write, 1, 4 };

/* ---- life ---- */

static bool realize(Device *dev, GError **error)
{
	static const PciIdentity id = { 0x8086, 0x25ab, 0x0880 };
	I6300esb *s = (I6300esb *)dev;

	if (!pci_init(&s->pci, &id, error))
		return false;
	s->pci.writable[CONFIG] = CONFIG_INTERRUPT | CONFIG_1MHZ | CONFIG_NO_REBOOT;
	s->pci.config_written = config_written;
	region_init_io(&s->regs, "i6300esb", &ops, s, REGS_SIZE);
	pci_bar(&s->pci, 0, PCI_BAR_MEM32, &s->regs);
	timer_init(&s->timer, dev->board->clock, on_timer, s);
	return true;
}

static void reset(Device *dev)
{
	I6300esb *s = (I6300esb *)dev;
	pci_reset(&s->pci);
	restore_defaults(s);
}

static void unrealize(Device *dev)
{
	I6300esb *s = (I6300esb *)dev;
	timer_cancel(&s->timer);
	pci_exit(&s->pci);
}

static const Property props[] = { PCI_PROPERTIES, { 0 } };
static const StateField state[] = {
	PCI_STATE,
	STATE(FIELD_TIMER, I6300esb, timer, 0),
	STATE_ARRAY(FIELD_U32, I6300esb, preload, 2, PRELOAD_MAX),
	STATE(FIELD_U8, I6300esb, stage, 0),
	STATE(FIELD_U8, I6300esb, lock, LOCKED),
	STATE(FIELD_BOOL, I6300esb, interrupt, false),
	{ .name = "expired", .type = FIELD_BOOL, .offset = offsetof(I6300esb, expired), .count = 1,
	  .version = 1, .keep = true },
	{ 0 }
};

const DeviceClass i6300esb_class = {
	.name = "i6300esb", .desc = "Intel 6300ESB", .bus = "pci", .category = DEVICE_WATCHDOG,
	.size = sizeof(I6300esb), .user_creatable = true,
	.version = 1, .props = props, .state = state, .realize = realize, .reset = reset,
	.unrealize = unrealize,
};
