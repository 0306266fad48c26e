/*
 * floppy.h - a floppy disk drive as its controller sees it. Machine lock held.
 */
#ifndef VIV_HW_BLOCK_FLOPPY_H
#define VIV_HW_BLOCK_FLOPPY_H

#include "block/blk.h"
#include "core/device.h"

#define FLOPPY_UNITS 2
#define FLOPPY_SECTOR 512u

typedef enum FloppyType { FLOPPY_120, FLOPPY_144, FLOPPY_288, FLOPPY_AUTO, FLOPPY_NONE } FloppyType;

/* Data rates as the controller's registers name them. */
enum { RATE_500K, RATE_300K, RATE_250K, RATE_1M };

typedef struct FloppyFormat {
	uint8_t sectors, heads, cylinders, rate;
	FloppyType type; /* of the drive that it was made for */
} FloppyFormat;

typedef struct Floppy {
	Device dev;
	Blk *blk;
	uint32_t unit;
	int type;              /* property */
	bool own_blk;          /* without drive=: an empty one of its own */
	FloppyFormat format;   /* of the medium; sectors 0: none is in */
	uint8_t cylinder;      /* where the head is */
	bool changed;          /* the change line */
} Floppy;

/* The type that the firmware is told, never FLOPPY_AUTO. NULL floppy: FLOPPY_NONE. */
FloppyType floppy_type(const Floppy *f);
/* The drive of a unit of the board's controller; NULL: none. */
Floppy *floppy_of_board(struct Board *board, unsigned unit);

#endif
