/*
 * drives.c - the machine's drives: opened before the devices, and given devices of their own
 * where the user named none. Main thread, machine lock held.
 *
 * Places and names as qemu's pc machine has them: IDE drives 0 and 1 on ide.0, 2 and 3 on
 * ide.1; SCSI drives seven to an LSI 53C895A; floppies on the board's controller. SD cards,
 * which that machine refuses, each in an SD host controller.
 */
#include <string.h>

#include "block/drive.h"
#include "core/error.h"
#include "hw/classes.h"
#include "machine/private.h"

#define MTD_BASE 0xff000000ull
#define MTD_BASE_TEXT "4278190080"
#define MTD_MAX (8ull << 20)

/* A node that -device names directly gets a drive of its own around it. */
static Blk *drive_around(Machine *m, const char *name)
{
	Node *node = node_find(name);
	if (!node)
		return NULL;
	char *id = g_strdup_printf("#node-%s", name);
	Blk *blk = blk_find(id);
	if (!blk) {
		blk = blk_new(id);
		blk_insert(blk, node_ref(node));
		g_ptr_array_add(m->blks, blk);
	}
	g_free(id);
	return blk;
}

static struct Blk *find_drive(Board *board, const char *name, GError **error)
{
	Machine *m = (Machine *)board;
	Blk *blk = blk_find(name);
	if (!blk)
		blk = drive_around(m, name);
	if (!blk)
		fail(error, VIV_ERROR_INVALID,
		     "there is no drive and no block node '%s'. Define it with -drive "
		     "if=none,id=%s,file=... "
		     "or -blockdev node-name=%s,...",
		     name, name, name);
	return blk;
}

/* ---- Opening ---- */

static bool open_drive(Machine *m, DriveSpec *s, GError **error)
{
	GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
	if (s->snapshot < 0)
		s->snapshot = m->config->snapshot && !s->cdrom;
	Blk *blk = drive_open(s, warnings, error);
	if (blk)
		g_ptr_array_add(m->blks, blk);
	else
		g_prefix_error(error, "-drive %s%s: ", s->file ? "file=" : "",
			       s->file ? s->file : s->id);
	for (unsigned i = 0; blk && i < warnings->len; i++)
		g_printerr("WARNING: %s\n", (const char *)g_ptr_array_index(warnings, i));
	g_ptr_array_free(warnings, TRUE);
	return blk;
}

/* -object iothread: a loop each. */
static bool start_iothreads(Machine *m, GError **error)
{
	m->board.iothreads =
	    g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)loop_free);
	for (unsigned i = 0; i < m->config->objects->len; i++)
		if (!objects_start(m, g_ptr_array_index(m->config->objects, i), error))
			return false;
	return true;
}

bool drives_open(Machine *m, GError **error)
{
	MachineConfig *c = m->config;
	m->blks = g_ptr_array_new();
	m->board.find_drive = find_drive;
	loop_attach_main();
	if (!start_iothreads(m, error))
		return false;
	for (unsigned i = 0; i < c->blockdevs->len; i++)
		if (!blockdev_add(json_deep_copy(g_ptr_array_index(c->blockdevs, i)), error)) {
			g_prefix_error(error, "-blockdev: ");
			return false;
		}
	for (unsigned i = 0; i < m->config->drives->len; i++)
		if (!open_drive(m, g_ptr_array_index(m->config->drives, i), error))
			return false;
	return true;
}

void drives_close(Machine *m)
{
	for (unsigned i = m->blks ? m->blks->len : 0; i > 0; i--)
		blk_free(g_ptr_array_index(m->blks, i - 1));
	if (m->blks)
		g_ptr_array_free(m->blks, TRUE);
	blockdev_close_all();
	if (m->board.iothreads)
		g_hash_table_unref(m->board.iothreads);
}

void machine_own_drive(Machine *m, Blk *blk) { g_ptr_array_add(m->blks, blk); }

void machine_drop_drive(Machine *m, Blk *blk)
{
	GPtrArray *specs = m->config->drives;

	/* Another may have its name. */
	for (unsigned i = 0; i < specs->len; i++)
		if (!g_strcmp0(((DriveSpec *)g_ptr_array_index(specs, i))->id, blk_id(blk))) {
			g_ptr_array_remove_index(specs, i);
			break;
		}
	g_ptr_array_remove(m->blks, blk);
	blk_free(blk);
}

struct Blk *drives_pflash(Machine *m, int unit)
{
	for (unsigned i = 0; i < m->config->drives->len; i++) {
		const DriveSpec *s = g_ptr_array_index(m->config->drives, i);
		if (s->interface == DRIVE_PFLASH && s->unit == unit)
			return blk_find(s->id);
	}
	return NULL;
}

/* ---- Devices ---- */

static bool add_device(Machine *m, const DriveSpec *s, const char *driver, const char *bus,
		       const char *unit_key, GError **error)
{
	const DeviceClass *cls = device_class_find(driver);
	if (!cls)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			    "if=%s: the device '%s' is not in this build.",
			    drive_if_names[s->interface], driver);
	Device *dev = device_new(&m->board, cls, NULL);
	if (s->interface == DRIVE_VIRTIO) /* short for a -device, behind all others */
		pc_name_user_device(m, dev);
	char unit[16];
	g_snprintf(unit, sizeof(unit), "%d", s->unit);
	bool ok = pc_apply_globals(m, dev, error) && device_set(dev, "drive", s->id, error) &&
		  (!bus || device_set(dev, "bus", bus, error)) &&
		  (!unit_key || device_set(dev, unit_key, unit, error)) &&
		  (!s->addr || device_set(dev, "addr", s->addr, error));
	if (!ok) {
		device_free(dev);
		return false;
	}
	return device_realize(dev, error);
}

/* The n-th SCSI controller, made when first needed. */
static bool need_scsi(Machine *m, int n, GError **error)
{
	char name[16];
	for (int i = 0; i <= n; i++) {
		g_snprintf(name, sizeof(name), "scsi.%d", i);
		if (bus_find(&m->board, name))
			continue;
		const DeviceClass *cls = device_class_find("lsi53c895a");
		if (!cls)
			return fail(error, VIV_ERROR_UNSUPPORTED,
				    "if=scsi: the controller 'lsi53c895a' is not in this build.");
		if (!device_realize(device_new(&m->board, cls, NULL), error))
			return false;
	}
	return true;
}

/* A flash bank of the guest's own: a PC has none, so its place is ours to say (docs/guests.md). */
static bool add_mtd(Machine *m, const DriveSpec *s, GError **error)
{
	if (s->bus || s->unit)
		return fail(error, VIV_ERROR_UNSUPPORTED, "machine type does not support if=mtd, bus=%d, "
			"unit=%d: there is one bank", s->bus, s->unit);
	if (blk_length(blk_find(s->id)) > MTD_MAX)
		return fail(error, VIV_ERROR_INVALID, "if=mtd: the flash bank has 8 MiB at most");
	if (m->bios_rom.size > (1ull << 32) - MTD_BASE - MTD_MAX)
		return fail(error, VIV_ERROR_INVALID,
			"if=mtd: a BIOS of more than 8 MiB leaves no place for the flash bank");
	Device *dev = device_new(&m->board, device_class_find("cfi.pflash01"), NULL);
	bool ok = pc_apply_globals(m, dev, error) && device_set(dev, "drive", s->id, error) &&
		  device_set(dev, "base", MTD_BASE_TEXT, error);
	if (ok)
		return device_realize(dev, error);
	device_free(dev);
	return false;
}

/* An SD card, each with a controller of its own in the next slot: a PC has no place for one. */
static bool add_sd(Machine *m, const DriveSpec *s, GError **error)
{
	DriveSpec card = *s;
	if (s->bus)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"machine type does not support if=sd,bus=%d,unit=%d", s->bus, s->unit);
	Device *host = device_new(&m->board, device_class_find("sdhci-pci"), NULL);
	if (!pc_apply_globals(m, host, error) ||
		(s->addr && !device_set(host, "addr", s->addr, error))) {
		device_free(host);
		return false;
	}
	if (!device_realize(host, error))
		return false;
	card.addr = NULL; /* it was the controller's */
	const Bus *bus = g_ptr_array_index(m->board.buses, m->board.buses->len - 1);
	return add_device(m, &card, "sd-card", bus->name, NULL, error);
}

static bool add_for(Machine *m, const DriveSpec *s, GError **error)
{
	char bus[16];
	switch (s->interface) {
	case DRIVE_IDE:
		if (s->bus > 1)
			return fail(
			    error, VIV_ERROR_INVALID,
			    "too many IDE buses defined (%d > 2): an IDE drive's index= is 0 to 3.",
			    s->bus + 1);
		g_snprintf(bus, sizeof(bus), "ide.%d", s->bus);
		return add_device(m, s, s->cdrom ? "ide-cd" : "ide-hd", bus, "unit", error);
	case DRIVE_SCSI:
		g_snprintf(bus, sizeof(bus), "scsi.%d", s->bus);
		return need_scsi(m, s->bus, error) &&
		       add_device(m, s, s->cdrom ? "scsi-cd" : "scsi-hd", bus, "scsi-id", error);
	case DRIVE_FLOPPY:
		return add_device(m, s, "floppy", "floppy-bus.0", "unit", error);
	case DRIVE_VIRTIO:
		return add_device(m, s, "virtio-blk-pci", NULL, NULL, error);
	case DRIVE_SD:
		return add_sd(m, s, error);
	case DRIVE_MTD:
		return add_mtd(m, s, error);
	case DRIVE_PFLASH: /* pc_firmware.c */
	case DRIVE_NONE:
	case DRIVE_IFS:
		break;
	}
	return true;
}

bool drives_add_devices(Machine *m, GError **error)
{
	for (unsigned i = 0; i < m->config->drives->len; i++) {
		const DriveSpec *s = g_ptr_array_index(m->config->drives, i);
		Blk *blk = blk_find(s->id);
		if (blk_attached(blk) && s->interface != DRIVE_NONE && s->interface != DRIVE_PFLASH)
			return fail(error, VIV_ERROR_INVALID,
				    "Drive '%s' is already in use because it has been "
				    "automatically connected to "
				    "another device (did you need 'if=none' in the drive options?)",
				    s->id);
		if (!add_for(m, s, error)) {
			g_prefix_error(error, "-drive %s%s: ", s->file ? "file=" : "",
				       s->file ? s->file : s->id);
			return false;
		}
	}
	return true;
}
