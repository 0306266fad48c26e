/*
 * drive.h - what -drive says, and the drive made of it. Machine lock, or the only thread.
 */
#ifndef VIV_BLOCK_DRIVE_H
#define VIV_BLOCK_DRIVE_H

#include "block/blk.h"

typedef enum DriveIf {
	DRIVE_NONE,
	DRIVE_IDE,
	DRIVE_SCSI,
	DRIVE_FLOPPY,
	DRIVE_PFLASH,
	DRIVE_MTD,
	DRIVE_SD,
	DRIVE_VIRTIO,
	DRIVE_IFS
} DriveIf;
extern const char *const drive_if_names[DRIVE_IFS + 1]; /* "none", "ide", ...; ends with NULL */

/* One -drive; strings owned. */
typedef struct DriveSpec {
	char *id;              /* NULL until drive_place(): "ide0-hd0" */
	DriveIf interface;
	int index, bus, unit;  /* -1: not given; after drive_place() bus and unit count */
	bool cdrom, media_given, read_only, copy_on_read;
	int snapshot;          /* -1: not given */
	char *file;            /* NULL or "": no medium */
	char *cache, *format, *werror, *rerror;
	json_t *node;          /* further options of the node, nested */
	BlkThrottle throttle;
	bool placed;           /* drive_place() was here */
	GPtrArray *words;      /* char *: keys and values as the user gave them, in turn */
	char *addr;            /* addr=: PCI address of if=virtio */
} DriveSpec;

DriveSpec *drive_spec_new(DriveIf interface);
void drive_spec_free(DriveSpec *spec);
/* One key=value of -drive. False: the value is wrong; unknown keys go to the node, which checks
 * them. */
bool drive_spec_set(DriveSpec *spec, const char *key, const char *value, GError **error);
/*
 * Gives bus, unit and id to one that has none, looking at those of `all` (DriveSpec *) that are
 * placed already. False: the place is taken or does not exist.
 */
bool drive_place(DriveSpec *spec, const GPtrArray *all, GError **error);
/* How many units a bus of this interface has; 0: any number. */
unsigned drive_if_units(DriveIf interface);
/* Opens the medium, if there is one. `warnings` gets char *. NULL with *error. */
Blk *drive_open(const DriveSpec *spec, GPtrArray *warnings, GError **error);
/* -blockdev: opens a node (opts consumed), which stays open until blockdev_close_all(). */
bool blockdev_add(json_t *opts, GError **error);
/* The monitor's blockdev_del. False: unknown, or in use. */
bool blockdev_del(const char *name, GError **error);
void blockdev_close_all(void);
/* Parses a cache mode. False: unknown. */
bool cache_mode(const char *mode, bool *direct, bool *no_flush, bool *write_cache);

#endif
