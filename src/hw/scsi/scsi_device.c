/*
 * scsi_device.c - the devices scsi-hd and scsi-cd: what one plugs into a SCSI bus.
 *
 * Names, strings and properties as QEMU's. The commands are the unit's (scsi.h); here are the
 * settings, the drive behind it and its medium. Main thread, machine lock held; the unit's own
 * state with the bus's loop entered besides.
 */
#include <string.h>

#include "core/error.h"
#include "hw/block/policy.h"
#include "hw/classes.h"
#include "hw/scsi/scsi_bus.h"

#define ANYWHERE "0xffffffff"
#define BLOCK_MAX (2u << 20)
#define GRANULARITY_AUTO UINT32_MAX
#define GRANULARITY 4096u

typedef struct ScsiDevice {
	Device dev;                /* first */
	ScsiUnit unit;
	ScsiBus *bus;
	Blk *blk;
	bool own_blk;              /* an empty CD drive that the user gave no drive= */
	uint32_t channel, target, lun;
	char *serial, *vendor, *product, *version, *device_id;
	uint64_t wwn;
	uint64_t logical, physical, min_io, opt_io, discard_granularity, max_io, max_unmap;
	uint16_t rotation;
	DiskPolicy policy;
	bool removable, dpofua, share_rw;
} ScsiDevice;


/* ---- what the drive tells ---- */

static void changed(void *opaque, bool inserted)
{
	ScsiDevice *s = opaque;
	loop_enter(s->bus->loop);
	scsi_unit_medium(&s->unit, inserted);
	loop_leave(s->bus->loop);
}

static void resized(void *opaque)
{
	ScsiDevice *s = opaque;
	loop_enter(s->bus->loop);
	scsi_unit_resized(&s->unit);
	loop_leave(s->bus->loop);
}

static bool locked(void *opaque)
{
	ScsiDevice *s = opaque;
	loop_enter(s->bus->loop);
	bool result = s->unit.locked;
	loop_leave(s->bus->loop);
	return result;
}

static bool tray_open(void *opaque)
{
	ScsiDevice *s = opaque;
	loop_enter(s->bus->loop);
	bool result = s->unit.tray_open;
	loop_leave(s->bus->loop);
	return result;
}

static void eject_request(void *opaque, bool force)
{
	ScsiDevice *s = opaque;
	loop_enter(s->bus->loop);
	scsi_unit_eject_request(&s->unit, force);
	loop_leave(s->bus->loop);
}

static void move_tray(void *opaque, bool open)
{
	ScsiDevice *s = opaque;
	loop_enter(s->bus->loop);
	scsi_unit_move_tray(&s->unit, open);
	loop_leave(s->bus->loop);
}

/* ---- settings ---- */

static bool block_size_ok(uint64_t n)
{
	return n >= 512 && n <= BLOCK_MAX && !(n & (n - 1));
}

static bool check_sizes(ScsiDevice *s, bool cd, GError **error)
{
	if (!s->logical)
		s->logical = cd ? 2048 : 512;
	if (!s->physical)
		s->physical = s->logical;
	if (!block_size_ok(s->logical) || !block_size_ok(s->physical))
		return fail(error, VIV_ERROR_INVALID,
			"Device '%s': logical_block_size and physical_block_size are "
			"powers of two from 512 to 2 MiB.",
			s->dev.cls->name);
	if (s->logical > s->physical)
		return fail(error, VIV_ERROR_INVALID,
			"logical_block_size > physical_block_size not supported");
	if (s->min_io % s->logical || s->opt_io % s->logical ||
		s->min_io / s->logical > UINT16_MAX || s->opt_io > UINT32_MAX)
		return fail(error, VIV_ERROR_INVALID,
			"Device '%s': min_io_size and opt_io_size are multiples of "
			"logical_block_size; min_io_size has 65535 of them at most, opt_io_size 4 "
			"GiB.",
			s->dev.cls->name);
	if (s->discard_granularity == GRANULARITY_AUTO)
		s->discard_granularity = MAX(s->logical, GRANULARITY);
	if (s->discard_granularity % s->logical)
		return fail(error, VIV_ERROR_INVALID,
			"discard_granularity must be a multiple of logical_block_size");
	return true;
}

static bool choose_blk(ScsiDevice *s, bool cd, GError **error)
{
	g_autofree char *id = cd ?
		g_strdup_printf("#scsi-cd%u.%u.%s", s->target, s->lun, s->bus->bus->name) : NULL;
	bool needs_media = !cd && !s->removable;
	if (!disk_choose_blk(&s->blk, &s->own_blk, id, needs_media, error))
		return false;
	if (s->own_blk)
		blk_set_read_only(s->blk, true);
	return true;
}

static bool attach(ScsiDevice *s, GError **error)
{
	BlkDevice device = { .resized = resized, .name = device_label(&s->dev), .share_rw = s->share_rw };
	if (s->unit.removable) {
		device.changed = changed;
		device.locked = locked;
		device.tray_open = tray_open;
		device.move_tray = move_tray;
		device.eject_request = eject_request;
	}
	if (!blk_attach(s->blk, &device, s, error))
		return false;
	disk_apply_policy(&s->policy, s->blk);
	if (s->bus->loop != loop_main())
		blk_set_loop(s->blk, s->bus->loop);
	return true;
}

static void copy_text(char *to, size_t size, const char *text)
{
	if (text && *text)
		g_strlcpy(to, text, size);
}

static void describe(ScsiDevice *s, bool cd)
{
	ScsiUnit *u = &s->unit;
	scsi_unit_init(u, cd, s->blk, s->bus->host, s->bus->opaque);
	u->block_size = (uint32_t)s->logical;
	while ((uint64_t)u->block_size << u->physical_exp < s->physical)
		u->physical_exp++;
	u->removable = cd || s->removable;
	u->dpofua = s->dpofua;
	u->rotation = s->rotation;
	u->min_io = (uint32_t)s->min_io;
	u->opt_io = (uint32_t)s->opt_io;
	u->max_io = s->max_io;
	u->max_unmap = s->max_unmap;
	u->discard_granularity = s->discard_granularity;
	u->channel = (uint16_t)s->channel;
	u->id = (uint16_t)s->target;
	u->lun = (uint16_t)s->lun;
	u->wwn = s->wwn;
	copy_text(u->vendor, sizeof(u->vendor), s->vendor);
	copy_text(u->product, sizeof(u->product), s->product);
	copy_text(u->version, sizeof(u->version), s->version);
	copy_text(u->serial, sizeof(u->serial), s->serial);
	/* Without a name of its own it is known by 20 characters of its serial number, or by its
	 * drive's. */
	if (s->device_id)
		g_strlcpy(u->device_id, s->device_id, sizeof(u->device_id));
	else if (s->serial)
		g_strlcpy(u->device_id, s->serial, 21);
	else if (blk_id(s->blk)[0] != '#') /* not a name that nobody gave */
		g_strlcpy(u->device_id, blk_id(s->blk), sizeof(u->device_id));
}

/* ---- life ---- */

static bool realize(ScsiDevice *s, bool cd, GError **error)
{
	s->bus = s->dev.bus->opaque;
	if (!check_sizes(s, cd, error) ||
		!scsi_bus_place(s->bus, s->channel, &s->target, &s->lun, error))
		return false;
	if (!choose_blk(s, cd, error)) {
		disk_release_blk(&s->blk, &s->own_blk);
		return false;
	}
	describe(s, cd);
	if (!attach(s, error)) {
		disk_release_blk(&s->blk, &s->own_blk);
		return false;
	}
	scsi_bus_add(s->bus, &s->unit);
	return true;
}

static bool realize_hd(Device *dev, GError **error)
{
	return realize((ScsiDevice *)dev, false, error);
}
static bool realize_cd(Device *dev, GError **error)
{
	return realize((ScsiDevice *)dev, true, error);
}

static void quiesce(Device *dev)
{
	blk_drain(((ScsiDevice *)dev)->blk);
}

static void reset(Device *dev)
{
	ScsiDevice *s = (ScsiDevice *)dev;
	loop_enter(s->bus->loop);
	scsi_unit_reset(&s->unit);
	s->unit.tray_open = false;
	loop_leave(s->bus->loop);
}

static void unrealize(Device *dev)
{
	ScsiDevice *s = (ScsiDevice *)dev;
	blk_drain(s->blk);
	scsi_bus_remove(s->bus, &s->unit);
	if (s->bus->loop != loop_main())
		blk_set_loop(s->blk, loop_main());
	blk_detach(s->blk, s);
	disk_release_blk(&s->blk, &s->own_blk);
}

static char *boot_path(Device *dev)
{
	const ScsiDevice *s = (const ScsiDevice *)dev;
	const PciDevice *adapter = (const PciDevice *)s->bus->bus->owner;
	char function[8] = "";
	if (adapter->devfn & 7)
		g_snprintf(function, sizeof(function), ",%x", adapter->devfn & 7);
	return g_strdup_printf("/pci@i0cf8/scsi@%x%s/channel@%x/disk@%x,%x", adapter->devfn >> 3,
		function, s->channel, s->target, s->lun);
}

static void info(Device *dev, GString *out)
{
	const ScsiDevice *s = (const ScsiDevice *)dev;
	const ScsiUnit *u = &s->unit;
	g_string_append_printf(out,
		"%s '%s' '%s' serial '%s', channel %u target %u lun %u, drive %s, "
		"%u requests in flight\n",
		u->cd ? "CD" : "disk", u->vendor, u->product, u->serial, u->channel, u->id, u->lun,
		blk_id(s->blk), blk_in_flight(s->blk));
}

#define COMMON_PROPERTIES \
	{ "drive", PROP_DRIVE, offsetof(ScsiDevice, blk), NULL, "what it reads and writes" }, \
		{ "channel", PROP_U32, offsetof(ScsiDevice, channel), "0", \
			"channel of the adapter" }, \
		{ "scsi-id", PROP_U32, offsetof(ScsiDevice, target), ANYWHERE, \
			"target (default: the first free one)" }, \
		{ "lun", PROP_U32, offsetof(ScsiDevice, lun), ANYWHERE, \
			"logical unit of the target (default: free)" }, \
		{ "serial", PROP_STRING, offsetof(ScsiDevice, serial), NULL, \
			"serial number, 36 characters" }, \
		{ "vendor", PROP_STRING, offsetof(ScsiDevice, vendor), NULL, \
			"vendor, 8 characters" }, \
		{ "product", PROP_STRING, offsetof(ScsiDevice, product), NULL, \
			"product, 16 characters" }, \
		{ "ver", PROP_STRING, offsetof(ScsiDevice, version), NULL, \
			"version, 4 characters" }, \
		{ "device_id", PROP_STRING, offsetof(ScsiDevice, device_id), NULL, \
			"name on page 83h (default: of the serial number or the drive)" }, \
		{ "wwn", PROP_U64, offsetof(ScsiDevice, wwn), "0", "world-wide name" }, \
		DISK_POLICY_PROPERTIES(ScsiDevice, policy), \
	{ \
		"share-rw", PROP_BOOL, offsetof(ScsiDevice, share_rw), "off", \
			"others may write to the image too: it is not locked against them" \
	}

static const Property props_hd[] = { COMMON_PROPERTIES,
	{ "removable", PROP_BOOL, offsetof(ScsiDevice, removable), "off",
		"the medium can be taken out" },
	{ "dpofua", PROP_BOOL, offsetof(ScsiDevice, dpofua), "off",
		"says that it knows FUA writes" },
	{ "rotation_rate", PROP_U16, offsetof(ScsiDevice, rotation), "0",
		"per minute; 1: no moving parts" },
	{ "logical_block_size", PROP_SIZE, offsetof(ScsiDevice, logical), "0",
		"bytes (default: 512)" },
	{ "physical_block_size", PROP_SIZE, offsetof(ScsiDevice, physical), "0",
		"bytes (default: as logical)" },
	{ "min_io_size", PROP_SIZE, offsetof(ScsiDevice, min_io), "0", "least sensible request" },
	{ "opt_io_size", PROP_SIZE, offsetof(ScsiDevice, opt_io), "0", "best request" },
	{ "max_io_size", PROP_SIZE, offsetof(ScsiDevice, max_io), "2147483647",
		"bytes of one command" },
	{ "max_unmap_size", PROP_SIZE, offsetof(ScsiDevice, max_unmap), "1073741824",
		"bytes of one UNMAP" },
	{ "discard_granularity", PROP_SIZE, offsetof(ScsiDevice, discard_granularity), "4294967295",
		"alignment of discards, 0: they are of no use (default: 4096)" },
	{ 0 } };
static const Property props_cd[] = { COMMON_PROPERTIES, { 0 } };
static const StateField state[] = { STATE_STRUCT(ScsiDevice, unit, scsi_unit_state), { 0 } };

const DeviceClass scsi_hd_class = {
	.name = "scsi-hd",
	.desc = "SCSI hard disk",
	.bus = "scsi", .category = DEVICE_STORAGE,
	.size = sizeof(ScsiDevice),
	.user_creatable = true,
	.version = 1,
	.props = props_hd,
	.state = state,
	.realize = realize_hd,
	.quiesce = quiesce,
	.reset = reset,
	.unrealize = unrealize,
	.boot_path = boot_path,
	.info = info,
};

const DeviceClass scsi_cd_class = {
	.name = "scsi-cd",
	.desc = "SCSI CD-ROM drive",
	.bus = "scsi", .category = DEVICE_STORAGE,
	.size = sizeof(ScsiDevice),
	.user_creatable = true,
	.version = 1,
	.props = props_cd,
	.state = state,
	.realize = realize_cd,
	.quiesce = quiesce,
	.reset = reset,
	.unrealize = unrealize,
	.boot_path = boot_path,
	.info = info,
};
