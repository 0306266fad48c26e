/*
 * ide_drive.c - the devices ide-hd and ide-cd: what one plugs into an IDE channel.
 *
 * Names, strings and properties as QEMU's. The registers are the channel's (ide.c); here are the
 * settings, the drive behind them and its medium. Main thread, machine lock held.
 */
#include <string.h>

#include "core/error.h"
#include "hw/block/ide.h"
#include "hw/block/ide_geometry.h"
#include "hw/block/policy.h"
#include "hw/classes.h"

#define NO_UNIT 0xffffffffu
#define VERSION_DEFAULT "2.5+"

typedef struct IdeDevice {
	Device dev;                /* first */
	Blk *blk;
	bool own_blk;              /* an empty CD drive that the user gave no drive= */
	uint32_t unit;
	char *serial, *model, *version;
	uint64_t wwn;
	uint32_t cylinders, heads, sectors;
	uint64_t physical, logical, discard_granularity;
	uint32_t min_io, opt_io;
	uint16_t rotation;
	DiskPolicy policy;
	int translation;
	bool share_rw;
	IdeDrive *drive;
} IdeDevice;

static const char *const translations[] = { "auto", "none", "lba", "large", "rechs", NULL };

static bool choose_unit(IdeDevice *s, GError **error)
{
	IdeChannel *ch = s->dev.bus->opaque;
	if (s->unit == NO_UNIT)
		s->unit = ch->drive[0].blk ? 1 : 0;
	if (s->unit > 1)
		return fail(error, VIV_ERROR_INVALID, "Can't create IDE unit %u, bus supports only 2 units", s->unit);
	if (ch->drive[s->unit].blk)
		return fail(error, VIV_ERROR_INVALID, "IDE unit %u is in use", s->unit);
	s->drive = &ch->drive[s->unit];
	return true;
}

static bool power_of_two(uint64_t n)
{
	return n >= IDE_SECTOR && n <= 2097152 && !(n & (n - 1));
}

static bool choose_blk(IdeDevice *s, bool cd, GError **error)
{
	if (s->logical != IDE_SECTOR)
		return fail(error, VIV_ERROR_INVALID, "logical_block_size must be 512 for IDE");
	if (s->min_io || s->opt_io)
		return fail(error, VIV_ERROR_UNSUPPORTED, "min_io_size and opt_io_size: ATA has no word "
			"that would tell a guest of them. Leave them out, or use SCSI or virtio.");
	if (s->discard_granularity % IDE_SECTOR)
		return fail(error, VIV_ERROR_INVALID,
			"discard_granularity must be a multiple of 512 bytes");
	if (!power_of_two(s->physical))
		return fail(error, VIV_ERROR_INVALID, "physical_block_size must be a power of 2 between 512 and 2097152");
	g_autofree char *id = cd ? g_strdup_printf("#ide-cd%u", s->drive->channel->number * 2 + s->unit) : NULL;
	if (!disk_choose_blk(&s->blk, &s->own_blk, id, !cd, error))
		return false;
	if (!cd && blk_read_only(s->blk))
		return fail(error, VIV_ERROR_INVALID, "Block node is read-only");
	return true;
}

/* ---- geometry ---- */

static bool choose_geometry(IdeDevice *s, GError **error)
{
	IdeDrive *d = s->drive;
	uint64_t cylinders = CLAMP(blk_length(s->blk) / IDE_SECTOR / (16 * 63), 2, 16383);
	if (s->cylinders || s->heads || s->sectors) {
		if (s->cylinders < 1 || s->cylinders > 65535)
			return fail(error, VIV_ERROR_INVALID, "cyls must be between 1 and 65535");
		if (s->heads < 1 || s->heads > 16)
			return fail(error, VIV_ERROR_INVALID, "heads must be between 1 and 16");
		if (s->sectors < 1 || s->sectors > 255)
			return fail(error, VIV_ERROR_INVALID, "secs must be between 1 and 255");
	}
	d->cylinders = (uint16_t)(s->cylinders ? s->cylinders : cylinders);
	d->heads = (uint16_t)(s->heads ? s->heads : 16);
	d->sectors_per_track = (uint16_t)(s->sectors ? s->sectors : 63);
	return true;
}

/* A disk that the BIOS calls can address as it is needs no translation. */
bool ide_disk_geometry(Board *board, unsigned channel, unsigned unit, IdeGeometry *out)
{
	char name[8];
	g_snprintf(name, sizeof(name), "ide.%u", channel);
	const Bus *bus = bus_find(board, name);
	if (!bus || strcmp(bus->type, "ide"))
		return false;
	const IdeDrive *d = &((IdeChannel *)bus->opaque)->drive[unit];
	if (!d->blk || d->cd)
		return false;
	int chosen = ((IdeDevice *)d->dev)->translation;
	*out = (IdeGeometry){ d->cylinders, d->heads, d->sectors_per_track, d->cylinders > 1024 };
	if (chosen)
		out->translation = (uint8_t)(chosen - 1);
	return true;
}

/* ---- what the drive tells ---- */

static void changed(void *opaque, bool inserted)
{
	IdeDevice *s = opaque;
	scsi_unit_medium(&s->drive->scsi, inserted);
}

static void resized(void *opaque)
{
	IdeDevice *s = opaque;
	if (s->drive->cd)
		scsi_unit_resized(&s->drive->scsi);
	else
		s->drive->sectors = blk_length(s->blk) / IDE_SECTOR;
}

static bool locked(void *opaque)
{
	return ((IdeDevice *)opaque)->drive->scsi.locked;
}

static bool tray_open(void *opaque)
{
	return ((IdeDevice *)opaque)->drive->scsi.tray_open;
}

static void eject_request(void *opaque, bool force)
{
	scsi_unit_eject_request(&((IdeDevice *)opaque)->drive->scsi, force);
}

static void move_tray(void *opaque, bool open)
{
	scsi_unit_move_tray(&((IdeDevice *)opaque)->drive->scsi, open);
}

static bool attach(IdeDevice *s, bool cd, GError **error)
{
	BlkDevice device = { .resized = resized, .name = device_label(&s->dev), .share_rw = s->share_rw };
	if (cd) {
		device.changed = changed;
		device.locked = locked;
		device.tray_open = tray_open;
		device.move_tray = move_tray;
		device.eject_request = eject_request;
	}
	if (!blk_attach(s->blk, &device, s, error))
		return false;
	disk_apply_policy(&s->policy, s->blk);
	return true;
}

/* ---- life ---- */

static void describe(IdeDevice *s, bool cd)
{
	IdeDrive *d = s->drive;
	d->dev = &s->dev;
	d->blk = s->blk;
	d->cd = cd;
	d->sectors = blk_length(s->blk) / IDE_SECTOR;
	d->wwn = s->wwn;
	d->rotation = s->rotation;
	d->granularity = s->discard_granularity / IDE_SECTOR;
	for (d->physical_exp = 0; IDE_SECTOR << d->physical_exp < s->physical;)
		d->physical_exp++;
	if (s->serial && *s->serial)
		g_strlcpy(d->serial, s->serial, sizeof(d->serial));
	else
		g_snprintf(d->serial, sizeof(d->serial), "QM%05u", d->channel->number * 2 + s->unit + 1);
	g_strlcpy(d->model, s->model && *s->model ? s->model : cd ? "QEMU DVD-ROM" : "QEMU HARDDISK", sizeof(d->model));
	g_strlcpy(d->version, s->version && *s->version ? s->version : VERSION_DEFAULT, sizeof(d->version));
	if (!cd)
		return;
	scsi_unit_init(&d->scsi, true, s->blk, &ide_scsi_host, d);
	g_strlcpy(d->scsi.product, "QEMU DVD-ROM", sizeof(d->scsi.product));
	g_strlcpy(d->scsi.version, d->version, sizeof(d->scsi.version));
	g_strlcpy(d->scsi.serial, d->serial, sizeof(d->scsi.serial));
	g_strlcpy(d->scsi.device_id, d->serial, sizeof(d->scsi.device_id));
	d->scsi.wwn = s->wwn;
}

static bool realize(IdeDevice *s, bool cd, GError **error)
{
	if (!choose_unit(s, error))
		return false;
	if (!choose_blk(s, cd, error) || (!cd && !choose_geometry(s, error)) || !attach(s, cd, error)) {
		disk_release_blk(&s->blk, &s->own_blk);
		return false;
	}
	describe(s, cd);
	s->drive->cur_heads = s->drive->heads;
	s->drive->cur_sectors = s->drive->sectors_per_track;
	s->drive->dma_mode = 0xff;
	s->drive->udma_mode = 5;
	s->drive->smart = s->drive->smart_autosave = true;
	ide_reset_drive(s->drive);
	return true;
}

static bool realize_hd(Device *dev, GError **error)
{
	return realize((IdeDevice *)dev, false, error);
}

static bool realize_cd(Device *dev, GError **error)
{
	return realize((IdeDevice *)dev, true, error);
}

static void unrealize(Device *dev)
{
	IdeDevice *s = (IdeDevice *)dev;
	IdeDrive *d = s->drive;
	ide_cancel(d);
	blk_detach(s->blk, s);
	d->blk = NULL;
	d->dev = NULL;
	d->cd = false;
	ide_reset_drive(d);
	disk_release_blk(&s->blk, &s->own_blk);
}

static char *boot_path(Device *dev)
{
	IdeDevice *s = (IdeDevice *)dev;
	const IdeChannel *ch = s->drive->channel;
	return g_strdup_printf("/pci@i0cf8/ide@%x,%x/drive@%u/disk@%u", ch->pci->devfn >> 3, ch->pci->devfn & 7,
		ch->number, s->unit);
}

static void info(Device *dev, GString *out)
{
	const IdeDrive *d = ((IdeDevice *)dev)->drive;
	g_string_append_printf(out, "%s '%s' serial '%s', channel %u unit %u, status 0x%02x error 0x%02x\n",
		d->cd ? "CD" : "disk", d->model, d->serial, d->channel->number, d->unit, d->status, d->error);
}

#define COMMON_PROPERTIES \
	{ "drive", PROP_DRIVE, offsetof(IdeDevice, blk), NULL, "what it reads and writes" }, \
	{ "unit", PROP_U32, offsetof(IdeDevice, unit), "0xffffffff", "0 or 1 on its channel" }, \
	{ "serial", PROP_STRING, offsetof(IdeDevice, serial), NULL, "serial number, 20 characters" }, \
	{ "model", PROP_STRING, offsetof(IdeDevice, model), NULL, "model, 40 characters" }, \
	{ "ver", PROP_STRING, offsetof(IdeDevice, version), NULL, "firmware version, 8 characters" }, \
	{ "wwn", PROP_U64, offsetof(IdeDevice, wwn), "0", "world-wide name" }, \
	DISK_POLICY_PROPERTIES(IdeDevice, policy), \
	{ "share-rw", PROP_BOOL, offsetof(IdeDevice, share_rw), "off", "others may write to the drive" }, \
	{ "physical_block_size", PROP_SIZE, offsetof(IdeDevice, physical), "512", "bytes" }, \
	{ "logical_block_size", PROP_SIZE, offsetof(IdeDevice, logical), "512", "bytes" }, \
	{ "min_io_size", PROP_U32, offsetof(IdeDevice, min_io), "0", "refused: ATA cannot say it" }, \
	{ "opt_io_size", PROP_U32, offsetof(IdeDevice, opt_io), "0", "refused: ATA cannot say it" }, \
	{ "discard_granularity", PROP_SIZE, offsetof(IdeDevice, discard_granularity), "512", \
	  "TRIM gives back whole units of so many bytes; 0: no TRIM" }

static const Property props_hd[] = {
	COMMON_PROPERTIES,
	{ "cyls", PROP_U32, offsetof(IdeDevice, cylinders), "0", "cylinders; 0: chosen" },
	{ "heads", PROP_U32, offsetof(IdeDevice, heads), "0", "heads, 16 at most" },
	{ "secs", PROP_U32, offsetof(IdeDevice, sectors), "0", "sectors of a track, 255 at most" },
	{ "bios-chs-trans", PROP_ENUM, offsetof(IdeDevice, translation), "auto", "what firmware does", translations },
	{ "rotation_rate", PROP_U16, offsetof(IdeDevice, rotation), "0", "per minute; 1: no moving parts" },
	{ 0 }
};
static const Property props_cd[] = { COMMON_PROPERTIES, { 0 } };
static const StateField state[] = { { 0 } }; /* the channel's */

const DeviceClass ide_hd_class = {
	.name = "ide-hd", .desc = "IDE hard disk", .bus = "ide", .category = DEVICE_STORAGE,
	.size = sizeof(IdeDevice), .user_creatable = true,
	.version = 1, .props = props_hd, .state = state, .realize = realize_hd, .unrealize = unrealize,
	.boot_path = boot_path, .info = info,
};

const DeviceClass ide_cd_class = {
	.name = "ide-cd", .desc = "IDE CD-ROM drive", .bus = "ide", .category = DEVICE_STORAGE,
	.size = sizeof(IdeDevice), .user_creatable = true,
	.version = 1, .props = props_cd, .state = state, .realize = realize_cd, .unrealize = unrealize,
	.boot_path = boot_path, .info = info,
};
