/*
 * vmdk.h - the inside of the VMDK driver: VMware's disk images.
 *
 * Source: VMware's "Virtual Disk Format 5.0". A disk is one extent or several, each a file of
 * its own (a child) or, of monolithic images, the file that also holds the descriptor. Left
 * out: ESX's COWD and SESPARSE extents, raw devices. Threads: see node.h.
 */
#ifndef VIV_BLOCK_VMDK_VMDK_H
#define VIV_BLOCK_VMDK_VMDK_H

#include "block/blockmap.h"

enum {
	V_VERSION = 4, V_FLAGS = 8, V_CAPACITY = 12, V_GRAIN = 20, V_DESC = 28, V_DESC_SIZE = 36,
	V_GTES = 44, V_RGD = 48, V_GD = 56, V_OVERHEAD = 64, V_CHECK = 73, V_COMPRESS = 77,
	VF_NEWLINE = 1, VF_RGD = 2, VF_ZERO_GRAIN = 4, VF_PACKED = 0x10000, VF_MARKERS = 0x20000,
	VMDK_DESC_MAX = 1 << 20, VMDK_GTES = 512, VMDK_GD_MAX = 1 << 25, VMDK_EXTENTS_MAX = 8192,
	VMDK_GRAIN_MAX = 4 << 20, VMDK_GRAIN_HEADER = 12,
};
#define VMDK_MAGIC 0x564d444bu
#define VMDK_NO_PARENT 0xffffffffu

typedef struct VmdkExtent {
	Node *file;               /* borrowed: node->file or one of node->children; NULL: zeroes */
	char *name, *type;        /* as the descriptor says; type "": the one file */
	bool flat, packed, markers, zero_grains;
	uint64_t start, bytes;    /* in the disk */
	uint64_t flat_offset;
	uint64_t grain;           /* bytes */
	uint32_t gtes;            /* entries of a grain table */
	uint32_t gd_entries;
	uint64_t gd_at, rgd_at;   /* bytes; rgd_at 0: none */
	uint32_t *gd, *rgd;
	uint64_t end;             /* where the next grain goes */
} VmdkExtent;

typedef struct Vmdk {
	BlockMap map;
	GArray *extents;          /* VmdkExtent */
	TableCache tables;
	char *desc;               /* the descriptor's text */
	uint64_t desc_at, desc_room; /* room 0: a file of its own */
	char *create_type;
	uint32_t cid, parent_cid;
	bool cid_written, parent_checked;
} Vmdk;

/* open.c */
bool vmdk_open(Node *node, GError **error);
void vmdk_close(Node *node);
/* A word of the descriptor: `key=value` or `key = "value"`; caller frees. NULL: none. */
char *vmdk_word(const char *desc, const char *key);

/* io.c */
extern const BlockMapOps vmdk_ops;
int vmdk_write(Node *node, uint64_t offset, Iov iov, unsigned flags);
int vmdk_write_compressed(Node *node, uint64_t offset, Iov iov);
int vmdk_write_zeroes(Node *node, uint64_t offset, uint64_t bytes, unsigned flags);
/* Another content id, so that images on top notice that this one has changed. */
int vmdk_new_cid(Node *node);

/* create.c */
extern const BlockOption vmdk_create_options[];
bool vmdk_create(const char *filename, json_t *opts, GError **error);

#endif
