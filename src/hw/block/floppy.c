/*
 * floppy.c - a floppy disk drive: its type, and the format of what is in it by its size.
 *
 * Formats of DOS and of Linux' /dev/fd*. The controller is fdc.c. Machine lock held.
 */
#include "hw/block/floppy.h"

#include <string.h>

#include "core/board.h"
#include "core/error.h"
#include "hw/block/policy.h"
#include "hw/classes.h"

static const FloppyFormat formats[] = {
	{ 18, 2, 80, RATE_500K, FLOPPY_144 }, /* what is of no known size counts as this */
	{ 20, 2, 80, RATE_500K, FLOPPY_144 }, { 21, 2, 80, RATE_500K, FLOPPY_144 },
	{ 21, 2, 82, RATE_500K, FLOPPY_144 }, { 21, 2, 83, RATE_500K, FLOPPY_144 },
	{ 22, 2, 80, RATE_500K, FLOPPY_144 }, { 23, 2, 80, RATE_500K, FLOPPY_144 },
	{ 24, 2, 80, RATE_500K, FLOPPY_144 },
	{ 36, 2, 80, RATE_1M, FLOPPY_288 }, { 39, 2, 80, RATE_1M, FLOPPY_288 },
	{ 40, 2, 80, RATE_1M, FLOPPY_288 }, { 44, 2, 80, RATE_1M, FLOPPY_288 },
	{ 48, 2, 80, RATE_1M, FLOPPY_288 },
	{ 9, 2, 80, RATE_250K, FLOPPY_144 }, { 10, 2, 80, RATE_250K, FLOPPY_144 },
	{ 10, 2, 82, RATE_250K, FLOPPY_144 }, { 10, 2, 83, RATE_250K, FLOPPY_144 },
	{ 13, 2, 80, RATE_250K, FLOPPY_144 }, { 14, 2, 80, RATE_250K, FLOPPY_144 },
	{ 15, 2, 80, RATE_500K, FLOPPY_120 }, { 18, 2, 82, RATE_500K, FLOPPY_144 },
	{ 9, 2, 40, RATE_300K, FLOPPY_120 }, { 9, 1, 40, RATE_300K, FLOPPY_120 },
	{ 8, 2, 40, RATE_250K, FLOPPY_120 }, { 8, 1, 40, RATE_250K, FLOPPY_120 },
};

static uint64_t bytes_of(const FloppyFormat *f)
{
	return (uint64_t)f->sectors * f->heads * f->cylinders * FLOPPY_SECTOR;
}

static void look(Floppy *f)
{
	uint64_t length = blk_length(f->blk);

	f->format = (FloppyFormat){ 0 };
	if (!blk_inserted(f->blk))
		return;
	f->format = formats[0];
	/* A medium of the drive's own kind first, if the user said which that is. */
	for (unsigned pass = f->type == FLOPPY_AUTO; pass < 2; pass++)
		for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++)
			if (bytes_of(&formats[i]) == length &&
			    (pass || formats[i].type == (FloppyType)f->type)) {
				f->format = formats[i];
				return;
			}
}

FloppyType floppy_type(const Floppy *f)
{
	if (!f)
		return FLOPPY_NONE;
	if (f->type != FLOPPY_AUTO)
		return (FloppyType)f->type;
	return f->format.sectors ? f->format.type : FLOPPY_288;
}

Floppy *floppy_of_board(Board *board, unsigned unit)
{
	for (unsigned i = 0; i < board->devices->len; i++) {
		Floppy *f = g_ptr_array_index(board->devices, i);
		if (f->dev.cls == &floppy_class && f->unit == unit)
			return f;
	}
	return NULL;
}

static void medium_changed(void *opaque, bool inserted)
{
	Floppy *f = opaque;
	look(f);
	f->changed = true;
}


static bool realize(Device *dev, GError **error)
{
	Floppy *f = (Floppy *)dev;
	Floppy **unit = dev->bus->opaque;

	if (f->unit == UINT32_MAX)
		for (f->unit = 0; f->unit < FLOPPY_UNITS && unit[f->unit];)
			f->unit++;
	if (f->unit >= FLOPPY_UNITS)
		return fail(error, VIV_ERROR_INVALID,
			"Device 'floppy': Can't create floppy unit %u, bus supports only %u units.",
			f->unit, FLOPPY_UNITS);
	if (unit[f->unit])
		return fail(error, VIV_ERROR_INVALID, "Device 'floppy': Floppy unit %u is in use.",
			f->unit);
	g_autofree char *id = g_strdup_printf("#floppy%u", f->unit);
	if (!disk_choose_blk(&f->blk, &f->own_blk, id, false, error))
		return false;
	BlkDevice side = { .changed = medium_changed, .name = device_label(&f->dev) };
	if (!blk_attach(f->blk, &side, f, error)) {
		disk_release_blk(&f->blk, &f->own_blk);
		return false;
	}
	look(f);
	f->changed = true;
	unit[f->unit] = f;
	return true;
}

static void unrealize(Device *dev)
{
	Floppy *f = (Floppy *)dev;
	((Floppy **)dev->bus->opaque)[f->unit] = NULL;
	blk_detach(f->blk, f);
	disk_release_blk(&f->blk, &f->own_blk);
}

static char *boot_path(Device *dev)
{
	return g_strdup_printf("/pci@i0cf8/isa@1/fdc@03f0/floppy@%u", ((Floppy *)dev)->unit);
}

static void info(Device *dev, GString *out)
{
	const Floppy *f = (const Floppy *)dev;
	g_string_append_printf(out, "unit %u: %u cylinders, %u heads, %u sectors\n", f->unit,
		f->format.cylinders, f->format.heads, f->format.sectors);
}

static const char *const type_words[] = { "120", "144", "288", "auto", "none", NULL };

static const Property props[] = {
	{ "drive", PROP_DRIVE, offsetof(Floppy, blk), NULL, "drive or block node" },
	{ "unit", PROP_U32, offsetof(Floppy, unit), "4294967295",
	  "0 (A) or 1 (B); default: the first that is free" },
	{ "drive-type", PROP_ENUM, offsetof(Floppy, type), "auto",
	  "of the drive (auto: by the medium, 288 if there is none)", type_words },
	{ 0 }
};
static const StateField state[] = {
	STATE(FIELD_U8, Floppy, cylinder, 0),
	{ "changed", FIELD_BOOL, offsetof(Floppy, changed), 1, 1, 0, .keep = true },
	{ 0 }
};

const DeviceClass floppy_class = {
	.name = "floppy", .desc = "floppy disk drive", .bus = "floppy", .category = DEVICE_STORAGE,
	.size = sizeof(Floppy),
	.user_creatable = true, .version = 1, .props = props, .state = state, .realize = realize,
	.unrealize = unrealize, .boot_path = boot_path, .info = info,
};
