/*
 * qcow2.h - what lies in a qcow2 file, versions 2 and 3. All numbers are big-endian.
 *
 * Source: "QCOW2 disk image format" (docs/interop/qcow2.txt of QEMU, published as the
 * format's specification); section names stand in brackets.
 */
#ifndef STD_QCOW2_H
#define STD_QCOW2_H

#include <stdint.h>

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb" */

/* [Header] */
typedef struct Qcow2RawHeader {
	uint32_t magic;
	uint32_t version;
	uint64_t backing_offset;
	uint32_t backing_size;
	uint32_t cluster_bits;
	uint64_t size;
	uint32_t crypt_method;
	uint32_t l1_size; /* entries */
	uint64_t l1_offset;
	uint64_t reftable_offset;
	uint32_t reftable_clusters;
	uint32_t nb_snapshots;
	uint64_t snapshots_offset;
	/* from here on in version 3 only */
	uint64_t incompatible;
	uint64_t compatible;
	uint64_t autoclear;
	uint32_t refcount_order;
	uint32_t header_length;
	uint8_t compression_type;
	uint8_t padding[7];
} __attribute__((packed)) Qcow2RawHeader;
_Static_assert(sizeof(Qcow2RawHeader) == 112, "qcow2 header");

enum {
	QCOW2_V2_HEADER = 72,
	QCOW2_V3_HEADER = 104, /* at least */
};
_Static_assert(__builtin_offsetof(Qcow2RawHeader, incompatible) == QCOW2_V2_HEADER, "version 2");
_Static_assert(__builtin_offsetof(Qcow2RawHeader, compression_type) == QCOW2_V3_HEADER, "version 3");

enum { QCOW2_CRYPT_NONE, QCOW2_CRYPT_AES, QCOW2_CRYPT_LUKS };
enum { QCOW2_COMPRESS_ZLIB, QCOW2_COMPRESS_ZSTD };

#define QCOW2_INCOMPAT_DIRTY       (1ull << 0)
#define QCOW2_INCOMPAT_CORRUPT     (1ull << 1)
#define QCOW2_INCOMPAT_DATA_FILE   (1ull << 2)
#define QCOW2_INCOMPAT_COMPRESSION (1ull << 3)
#define QCOW2_INCOMPAT_EXTENDED_L2 (1ull << 4)
#define QCOW2_INCOMPAT_KNOWN       0x1full
#define QCOW2_COMPAT_LAZY          (1ull << 0)
#define QCOW2_AUTOCLEAR_BITMAPS    (1ull << 0)
#define QCOW2_AUTOCLEAR_RAW        (1ull << 1)
#define QCOW2_AUTOCLEAR_KNOWN      3ull

/* [Header extensions]: type, length, data padded to 8. */
typedef struct Qcow2RawExtension {
	uint32_t type;
	uint32_t length;
} Qcow2RawExtension;
_Static_assert(sizeof(Qcow2RawExtension) == 8, "header extension");

#define QCOW2_EXT_END            0x00000000u
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXT_FEATURES       0x6803f857u
#define QCOW2_EXT_BITMAPS        0x23852875u
#define QCOW2_EXT_CRYPTO         0x0537be77u
#define QCOW2_EXT_DATA_FILE      0x44415441u

/* [Feature name table] */
typedef struct Qcow2RawFeature {
	uint8_t type; /* 0 incompatible, 1 compatible, 2 autoclear */
	uint8_t bit;
	char name[46]; /* padded with zeroes, not ended if full */
} Qcow2RawFeature;
_Static_assert(sizeof(Qcow2RawFeature) == 48, "feature name");

/* [Bitmaps extension] */
typedef struct Qcow2RawBitmapsExt {
	uint32_t count;
	uint32_t reserved;
	uint64_t directory_size;
	uint64_t directory_offset;
} Qcow2RawBitmapsExt;
_Static_assert(sizeof(Qcow2RawBitmapsExt) == 24, "bitmaps extension");

/* [Full disk encryption header pointer] */
typedef struct Qcow2RawCryptoExt {
	uint64_t offset;
	uint64_t length;
} Qcow2RawCryptoExt;
_Static_assert(sizeof(Qcow2RawCryptoExt) == 16, "encryption header pointer");

/* [Host cluster management] */
#define QCOW2_REFTABLE_OFFSET 0xfffffffffffffe00ull

/* [Cluster mapping] */
#define QCOW2_COPIED     (1ull << 63) /* refcount is exactly one: writable in place */
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO       (1ull << 0)  /* version 3, not with extended L2 entries */
#define QCOW2_L1_OFFSET  0x00fffffffffffe00ull
#define QCOW2_L2_OFFSET  0x00fffffffffffe00ull
#define QCOW2_L1_RESERVED 0x7f000000000001ffull
#define QCOW2_L2_RESERVED 0x3f000000000001feull
#define QCOW2_SUBCLUSTERS 32u

/* [Snapshots]: this, extra data, id, name, padding to 8. */
typedef struct Qcow2RawSnapshot {
	uint64_t l1_offset;
	uint32_t l1_size;
	uint16_t id_size;
	uint16_t name_size;
	uint32_t date_sec;
	uint32_t date_nsec;
	uint64_t vm_clock_ns;
	uint32_t vm_state_size;
	uint32_t extra_size;
} __attribute__((packed)) Qcow2RawSnapshot;
_Static_assert(sizeof(Qcow2RawSnapshot) == 40, "snapshot");

typedef struct Qcow2RawSnapshotExtra {
	uint64_t vm_state_size;
	uint64_t disk_size;
	uint64_t icount;
} Qcow2RawSnapshotExtra;
_Static_assert(sizeof(Qcow2RawSnapshotExtra) == 24, "snapshot extra data");

/* [Bitmap directory]: this, extra data, name, padding to 8. */
typedef struct Qcow2RawBitmap {
	uint64_t table_offset;
	uint32_t table_size; /* entries */
	uint32_t flags;
	uint8_t type;
	uint8_t granularity_bits;
	uint16_t name_size;
	uint32_t extra_size;
} Qcow2RawBitmap;
_Static_assert(sizeof(Qcow2RawBitmap) == 24, "bitmap directory entry");

#define QCOW2_BITMAP_IN_USE     (1u << 0)
#define QCOW2_BITMAP_AUTO       (1u << 1)
#define QCOW2_BITMAP_EXTRA_OK   (1u << 2) /* extra data that is not known may be kept */
#define QCOW2_BITMAP_DIRTY_TYPE 1
/* [Bitmap table] */
#define QCOW2_BITMAP_OFFSET 0x00fffffffffffe00ull
#define QCOW2_BITMAP_ONES   (1ull << 0) /* with no offset: all bits are set */
#define QCOW2_BITMAP_ENTRY_RESERVED 0xff000000000001feull

#endif
