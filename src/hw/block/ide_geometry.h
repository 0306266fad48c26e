/*
 * ide_geometry.h - what the board tells firmware of its IDE disks. Machine lock held.
 */
#ifndef VIV_HW_BLOCK_IDE_GEOMETRY_H
#define VIV_HW_BLOCK_IDE_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

struct Board;

typedef struct IdeGeometry {
	uint16_t cylinders, heads, sectors;
	uint8_t translation; /* as CMOS 39h has it: 0 none, 1 LBA, 2 large, 3 revised ECHS */
} IdeGeometry;

/* The disk on ide.CHANNEL, unit 0 or 1. False: there is none. */
bool ide_disk_geometry(struct Board *board, unsigned channel, unsigned unit, IdeGeometry *out);

#endif
