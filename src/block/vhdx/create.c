/*
 * create.c - new VHDX images. See vhdx.h.
 */
#include "block/vhdx/vhdx.h"

#include <inttypes.h>
#include <string.h>

/* GUIDs as they lie in the file. */
#define GUID(a, b, c, ...) { (a) & 255, (a) >> 8 & 255, (a) >> 16 & 255, (a) >> 24 & 255, \
	(b) & 255, (b) >> 8, (c) & 255, (c) >> 8, __VA_ARGS__ }
const uint8_t vhdx_bat_guid[16] = GUID(0x2dc27766u, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd,
	0x4a, 0x08);
const uint8_t vhdx_metadata_guid[16] = GUID(0x8b7ca206u, 0x4790, 0x4b9a, 0xb8, 0xfe, 0x57, 0x5f, 0x05,
	0x0f, 0x88, 0x6e);
const uint8_t vhdx_params_guid[16] = GUID(0xcaa16737u, 0xfa36, 0x4d43, 0xb3, 0xb6, 0x33, 0xf0, 0xaa,
	0x44, 0xe7, 0x6b);
const uint8_t vhdx_size_guid[16] = GUID(0x2fa54224u, 0xcd1b, 0x4876, 0xb2, 0x11, 0x5d, 0xbe, 0xd8,
	0x3b, 0xf4, 0xb8);
const uint8_t vhdx_page83_guid[16] = GUID(0xbeca12abu, 0xb2e6, 0x4523, 0x93, 0xef, 0xc3, 0x09, 0xe0,
	0x00, 0xc7, 0x46);
const uint8_t vhdx_logical_guid[16] = GUID(0x8141bf1du, 0xa96f, 0x4709, 0xba, 0x47, 0xf2, 0x33, 0xa8,
	0xfa, 0xab, 0x5f);
const uint8_t vhdx_physical_guid[16] = GUID(0xcda348c7u, 0x445d, 0x4471, 0x9c, 0xc9, 0xe9, 0x88, 0x52,
	0x51, 0xc5, 0x56);

static const char *const subformats[] = { "dynamic", "fixed", NULL };
const BlockOption vhdx_create_options[] = {
	{ "block_size", OPT_SIZE, 0, NULL,
		"Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size." },
	{ "block_state_zero", OPT_BOOL, 0, NULL, "Force use of payload blocks of type 'ZERO'. "
		"Non-standard, but default.  Do not set to 'off' when using 'qemu-img convert' with "
		"subformat=dynamic." },
	{ "log_size", OPT_SIZE, 0, "1048576", "Log size; min 1MB." },
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size; max of 64TB." },
	{ "subformat", OPT_ENUM, 0, NULL,
		"VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'.", subformats },
	{ 0 }
};

typedef struct Plan {
	uint64_t size, block, log, meta_at, bat_at, bat_bytes, data_at, blocks, chunk;
	bool fixed, zero;
} Plan;

static void random_guid(uint8_t *guid)
{
	for (unsigned i = 0; i < 16; i += 4)
		set_le32(guid + i, g_random_int());
	guid[7] = (guid[7] & 0x0f) | 0x40;
	guid[8] = (guid[8] & 0x3f) | 0x80;
}

static void build_header(uint8_t *h, const Plan *p, uint64_t sequence)
{
	memset(h, 0, X_HEADER);
	memcpy(h, "head", 4);
	set_le64(h + H_SEQUENCE, sequence);
	random_guid(h + H_FILE_GUID);
	random_guid(h + H_DATA_GUID);
	set_le16(h + H_VERSION, 1);
	set_le32(h + H_LOG_LENGTH, (uint32_t)p->log);
	set_le64(h + H_LOG_OFFSET, X_MB);
	set_le32(h + H_SUM, vhdx_crc(h, X_HEADER, H_SUM));
}

static void region(uint8_t *e, const uint8_t *guid, uint64_t at, uint64_t len)
{
	memcpy(e, guid, 16);
	set_le64(e + 16, at);
	set_le32(e + 24, (uint32_t)len);
	set_le32(e + 28, 1);
}

static void build_regions(uint8_t *t, const Plan *p)
{
	memcpy(t, "regi", 4);
	set_le32(t + 8, 2);
	region(t + 16, vhdx_bat_guid, p->bat_at, p->bat_bytes);
	region(t + 48, vhdx_metadata_guid, p->meta_at, X_MB);
	set_le32(t + 4, vhdx_crc(t, X_REGION, 4));
}

enum { ITEM_REQUIRED = 4, ITEM_OF_DISK = 2 };

static void item(uint8_t *t, const uint8_t *guid, const void *data, uint32_t len, uint32_t flags,
	uint32_t *at)
{
	unsigned i = le16(t + 10);
	uint8_t *e = t + 32 + 32 * (size_t)i;
	set_le16(t + 10, (uint16_t)(i + 1));
	memcpy(e, guid, 16);
	set_le32(e + 16, *at);
	set_le32(e + 20, len);
	set_le32(e + 24, flags);
	memcpy(t + *at, data, len);
	*at += len;
}

static void build_metadata(uint8_t *t, const Plan *p)
{
	uint32_t at = X_METADATA;
	uint8_t params[8], size[8], sector[4], guid[16];
	memcpy(t, "metadata", 8);
	set_le32(params, (uint32_t)p->block);
	set_le32(params + 4, p->fixed ? 1 : 0);
	set_le64(size, p->size);
	set_le32(sector, SECTOR);
	random_guid(guid);
	item(t, vhdx_params_guid, params, 8, ITEM_REQUIRED, &at);
	item(t, vhdx_size_guid, size, 8, ITEM_REQUIRED | ITEM_OF_DISK, &at);
	item(t, vhdx_page83_guid, guid, 16, ITEM_REQUIRED | ITEM_OF_DISK, &at);
	item(t, vhdx_logical_guid, sector, 4, ITEM_REQUIRED | ITEM_OF_DISK, &at);
	item(t, vhdx_physical_guid, sector, 4, ITEM_REQUIRED | ITEM_OF_DISK, &at);
}

static void build_bat(uint8_t *bat, const Plan *p)
{
	for (uint64_t i = 0; i < p->blocks; i++)
		set_le64(bat + 8 * (i + i / p->chunk), p->fixed ? (p->data_at + i * p->block) | BAT_PRESENT
			: p->zero ? BAT_ZERO : BAT_NONE);
}

static uint64_t up(uint64_t v)
{
	return (v + X_MB - 1) & ~(uint64_t)(X_MB - 1);
}

static bool plan(json_t *opts, Plan *p, GError **error)
{
	const char *sub = opt_text(opts, "subformat");
	*p = (Plan){ .size = blockmap_size(opts), .block = opt_size(opts, "block_size", 0),
		.log = opt_size(opts, "log_size", X_MB), .fixed = sub && !strcmp(sub, "fixed"),
		.zero = opt_bool(opts, "block_state_zero", true) };
	if (p->size > X_SIZE_MAX)
		return fail(error, VIV_ERROR_INVALID, "Image size too large; max of 64TB");
	if (!p->block)
		p->block = p->size > 32ull << 40 ? 64 << 20 : p->size > 100ull << 30 ? 32 << 20
			: p->size > 1ull << 30 ? 16 << 20 : 8 << 20;
	if (p->block < X_MB || p->block > X_BLOCK_MAX || p->block & (p->block - 1))
		return fail(error, VIV_ERROR_INVALID,
			"Block size must be a power of two between 1 MiB and 256 MiB");
	if (p->log < X_MB || p->log % X_MB || p->log > X_LOG_MAX)
		return fail(error, VIV_ERROR_INVALID, "Log size must be a multiple of 1 MiB, up to 256 MiB");
	p->chunk = ((uint64_t)SECTOR << 23) / p->block;
	p->blocks = (p->size + p->block - 1) / p->block;
	uint64_t groups = (p->blocks + p->chunk - 1) / p->chunk;
	p->bat_bytes = up(MAX(8 * (p->blocks + groups), 1));
	p->meta_at = X_MB + p->log;
	p->bat_at = p->meta_at + X_MB;
	p->data_at = p->bat_at + p->bat_bytes;
	return p->bat_bytes <= X_BAT_MAX || fail(error, VIV_ERROR_INVALID,
		"The image size is too large for its block size (try a larger block_size=)");
}

bool vhdx_create(const char *filename, json_t *opts, GError **error)
{
	Plan p;
	if (!plan(opts, &p, error))
		return false;
	uint8_t first[X_HEADER], second[X_HEADER];
	uint8_t id[64] = "vhdxfile";
	for (unsigned i = 0; i < 8; i++)
		id[8 + 2 * i] = "Vivarium"[i];
	g_autofree uint8_t *regions = g_malloc0(X_REGION), *meta = g_malloc0(2 * X_METADATA);
	g_autofree uint8_t *bat = g_malloc0(p.bat_bytes);
	build_header(first, &p, 1);
	build_header(second, &p, 2);
	build_regions(regions, &p);
	build_metadata(meta, &p);
	build_bat(bat, &p);
	NewPart parts[] = { { 0, id, sizeof(id) }, { X_HEADER1, first, X_HEADER },
		{ X_HEADER2, second, X_HEADER }, { X_REGION1, regions, X_REGION },
		{ X_REGION2, regions, X_REGION }, { p.meta_at, meta, 2 * X_METADATA },
		{ p.bat_at, bat, p.bat_bytes } };
	uint64_t length = p.data_at + (p.fixed ? p.blocks * p.block : 0);
	return blockmap_create(filename, opts, length, parts, G_N_ELEMENTS(parts), error);
}
