/*
 * vhdx.h - the inside of the VHDX driver: Hyper-V's second format.
 *
 * Source: Microsoft's "[MS-VHDX]: Virtual Hard Disk v2 (VHDX) File Format". Left out:
 * differencing images (a parent locator). A log that is found is replayed; our own changes of
 * the table are single entries behind a flush, and need none. Threads: see node.h.
 */
#ifndef VIV_BLOCK_VHDX_VHDX_H
#define VIV_BLOCK_VHDX_VHDX_H

#include "block/blockmap.h"

enum {
	X_HEADER1 = 64 << 10, X_HEADER2 = 128 << 10, X_REGION1 = 192 << 10, X_REGION2 = 256 << 10,
	X_HEADER = 4096, X_REGION = 65536, X_METADATA = 65536, X_MB = 1 << 20,
	H_SUM = 4, H_SEQUENCE = 8, H_FILE_GUID = 16, H_DATA_GUID = 32, H_LOG_GUID = 48,
	H_LOG_VERSION = 64, H_VERSION = 66, H_LOG_LENGTH = 68, H_LOG_OFFSET = 72,
	BAT_NONE = 0, BAT_UNDEFINED = 1, BAT_ZERO = 2, BAT_UNMAPPED = 3, BAT_PRESENT = 6,
	BAT_PARTIAL = 7,
	X_BLOCK_MAX = 256 << 20, X_LOG_MAX = 256 << 20, X_BAT_MAX = 256 << 20,
};
#define X_SIZE_MAX (64ull << 40)
#define BAT_STATE(e) ((unsigned)(e) & 7)
#define BAT_OFFSET(e) ((e) & ~(uint64_t)(X_MB - 1))

extern const uint8_t vhdx_bat_guid[16], vhdx_metadata_guid[16], vhdx_params_guid[16],
	vhdx_size_guid[16], vhdx_page83_guid[16], vhdx_logical_guid[16], vhdx_physical_guid[16];

typedef struct Vhdx {
	BlockMap map;
	uint8_t header[X_HEADER];  /* the newer one */
	bool second;               /* it is the second */
	bool writing;              /* the headers say that we write */
	uint64_t bat_at, bat_bytes, meta_at, meta_bytes;
	uint32_t block, logical;
	uint64_t chunk;            /* blocks between two entries for bitmaps */
	uint64_t entries, end;
	uint8_t *bat;
} Vhdx;

uint32_t vhdx_crc(const uint8_t *p, size_t len, size_t sum_at);
/* Both headers, one after the other, with the next sequence numbers. */
int vhdx_write_headers(Node *node);
/* Replays the log if there is something in it. False: *error. */
bool vhdx_replay(Node *node, GError **error);

extern const BlockOption vhdx_create_options[];
bool vhdx_create(const char *filename, json_t *opts, GError **error);

#endif
