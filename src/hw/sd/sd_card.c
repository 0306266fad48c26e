/*
 * sd_card.c - the device sd-card: a drive in the shape of an SD memory card.
 *
 * Names, properties and the rule of its size as QEMU's. A drive that is read-only is a card whose
 * switch is at "lock". A card has no command to flush what it wrote: the drive's cache mode says
 * when that is on the medium. Main thread and vcpu threads, machine lock held.
 */
#include <string.h>

#include "core/error.h"
#include "hw/classes.h"
#include "hw/sd/sd.h"

/* ---- the medium ---- */

bool sd_card_present(const SdCard *c)
{
	return c && c->size;
}

bool sd_card_writable(const SdCard *c)
{
	return !blk_read_only(c->blk);
}

/* What the CSD can say of a drive of `bytes`: SDHC counts in 512 KiB. */
static uint64_t card_size(uint64_t bytes)
{
	uint64_t power = SD_SDSC_MIN;
	if (bytes > SD_SDXC_MAX)
		return SD_SDXC_MAX;
	if (bytes > SD_SDSC_MAX)
		return bytes & ~((512ull << 10) - 1);
	while (power * 2 <= bytes)
		power *= 2;
	return bytes < SD_SDSC_MIN ? 0 : power;
}

void sd_card_power_cycle(SdCard *c)
{
	sd_end_data(c);
	state_reset(c, sd_card_state);
}

static void changed(void *opaque, bool inserted)
{
	SdCard *c = opaque;
	c->size = inserted ? card_size(blk_length(c->blk)) : 0;
	sd_card_power_cycle(c);
	c->slot->changed(c->slot);
}

/* ---- life ---- */

static char *size_text(uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	unsigned n = 0;
	for (; value >= 1000 && n + 1 < G_N_ELEMENTS(units); n++)
		value /= 1024;
	return g_strdup_printf("%0.3g %s", value, units[n]);
}

static bool size_ok(uint64_t bytes, GError **error)
{
	uint64_t wanted = SD_SDSC_MIN;
	if (bytes > SD_SDXC_MAX)
		return fail(error, VIV_ERROR_INVALID,
			    "Invalid SD card size: there are none above 2 TiB");
	if (bytes >= SD_SDSC_MIN && !(bytes & (bytes - 1)))
		return true;
	while (wanted < bytes)
		wanted *= 2;
	char *is = size_text(bytes), *next = size_text(wanted);
	fail(error, VIV_ERROR_INVALID,
	     "Invalid SD card size: %s\nSD card size has to be a power of 2, e.g. %s.\n"
	     "You can resize disk images with 'viv-img resize <imagefile> <new-size>'\n"
	     "(note that this will lose data if you make the image smaller than it currently is).",
	     is, next);
	g_free(is);
	g_free(next);
	return false;
}

static bool realize(Device *dev, GError **error)
{
	SdCard *c = (SdCard *)dev;
	/* As qemu has it, a card is not locked against other writers. */
	const BlkDevice device = {
		.changed = changed, .name = device_label(dev), .share_rw = true
	};

	c->slot = dev->bus->opaque;
	if (c->blk) {
		if (blk_inserted(c->blk) && !size_ok(blk_length(c->blk), error))
			return false;
		if (!blk_attach(c->blk, &device, c, error))
			return false;
		disk_apply_policy(&c->policy, c->blk);
		c->size = blk_inserted(c->blk) ? blk_length(c->blk) : 0;
	}
	c->slot->card = c;
	return true;
}

static void quiesce(Device *dev)
{
	SdCard *c = (SdCard *)dev;
	if (c->blk)
		blk_drain(c->blk);
}

static void unrealize(Device *dev)
{
	SdCard *c = (SdCard *)dev;
	quiesce(dev);
	c->slot->card = NULL;
	if (c->blk)
		blk_detach(c->blk, c);
}

static void info(Device *dev, GString *out)
{
	static const char *const names[] = {"idle", "ready", "ident", "stby", "tran",
					    "data", "rcv",   "prg",   "dis",  "inactive"};
	const SdCard *c = (const SdCard *)dev;
	if (!sd_card_present(c))
		g_string_append(out, "no card\n");
	else
		g_string_append_printf(
		    out, "%s card of %" G_GUINT64_FORMAT " bytes, drive %s: state %s, %s\n",
		    sd_is_sdhc(c) ? "SDHC" : "SDSC", c->size, blk_id(c->blk), names[c->state],
		    c->busy ? "busy" : "not busy");
}

static const Property props[] = {
	{ "drive", PROP_DRIVE, offsetof(SdCard, blk), NULL, "what it reads and writes" },
	DISK_POLICY_PROPERTIES(SdCard, policy),
	{ "spec_version", PROP_U8, offsetof(SdCard, spec_version),
	  "2", "of the physical layer: 1 (1.10), 2 (2.00), 3 (3.01)", NULL, 1, 3 },
	{ 0 }
};

/* The request under way is not among it: it has ended before a machine is stored. */
const StateField sd_card_state[] = {
	STATE(FIELD_U8, SdCard, state, SD_IDLE),
	STATE(FIELD_BOOL, SdCard, app_command, 0),
	STATE(FIELD_U16, SdCard, rca, 0),
	STATE(FIELD_U32, SdCard, status, 0),
	STATE(FIELD_U16, SdCard, block_len, SD_BLOCK),
	STATE(FIELD_U8, SdCard, bus_width, 0),
	STATE(FIELD_BOOL, SdCard, high_speed, 0),
	STATE(FIELD_U8, SdCard, source, SD_FROM_NOTHING),
	STATE(FIELD_BOOL, SdCard, multiple, 0),
	STATE(FIELD_BOOL, SdCard, counted, 0),
	STATE(FIELD_U32, SdCard, blocks, 0),
	STATE(FIELD_U32, SdCard, written, 0),
	STATE(FIELD_U64, SdCard, address, 0),
	STATE(FIELD_U32, SdCard, set_blocks, 0),
	STATE_ARRAY(FIELD_U8, SdCard, reg, SD_STATUS_BYTES, 0),
	STATE(FIELD_U8, SdCard, reg_bytes, 0),
	STATE(FIELD_U8, SdCard, erase_have, 0),
	STATE(FIELD_BOOL, SdCard, erase_waits, 0),
	STATE(FIELD_U64, SdCard, erase_start, 0),
	STATE(FIELD_U64, SdCard, erase_end, 0),
	STATE(FIELD_BOOL, SdCard, failed, 0),
	{ .name = "buf", .type = FIELD_U8, .offset = offsetof(SdCard, buf), .count = SD_BUFFER,
	  .version = 1, .keep = true },
	{ 0 }
};

const DeviceClass sd_card_class = {
    .name = "sd-card",
    .desc = "SD memory card",
    .bus = "sd-bus", .category = DEVICE_STORAGE,
    .size = sizeof(SdCard),
    .user_creatable = true,
    .version = 1,
    .props = props,
    .state = sd_card_state,
    .realize = realize,
    .quiesce = quiesce,
    .unrealize = unrealize,
    .info = info,
};
