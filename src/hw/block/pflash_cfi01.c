/*
 * pflash_cfi01.c - NOR flash of Intel's command set, as firmware and its variables live in.
 *
 * JEDEC JESD68 (CFI) and JEP137 set 0001h; Intel 28F series data sheets for the commands. One chip
 * of eight bits; blocks of 4 KiB. As QEMU's, and unlike a chip: programming sets bits as well as
 * it clears them, it takes no time, and CLEAR STATUS leaves 00h (firmware tells flash from RAM by
 * that). Left out: locks (taken, always open), protection by system management mode.
 *
 * What is read is a copy in guest memory; each change goes to the drive before the guest goes on.
 * Vcpu threads under the machine lock.
 */
#include <string.h>

#include "block/blk.h"
#include "core/board.h"
#include "core/error.h"
#include "hw/classes.h"

#define BLOCK 4096u
#define BUFFER 2048u              /* of buffered programming */
#define SIZE_MAX_BYTES (64u << 20)
#define QUERY_BYTES 0x40u
#define READY 0x80u               /* status register */
#define ERASE_FAILED 0x20u
#define PROGRAM_FAILED 0x10u
#define CONFIRM 0xd0u

enum { SHOW_ARRAY, SHOW_STATUS, SHOW_ID, SHOW_QUERY };
/* What the next write is. */
enum { WANT_COMMAND, WANT_DATA, WANT_ERASE, WANT_LOCK, WANT_COUNT, WANT_BUFFER, WANT_CONFIRM };

typedef struct Pflash {
	Device dev;
	/* properties */
	Blk *blk;
	uint64_t base;
	char *name;
	bool secure;
	/* state; what it holds is on the drive */
	uint8_t show, want, status;
	uint8_t buffer[BUFFER];
	uint32_t left;             /* bytes still to come into the buffer */
	uint32_t first, end;       /* of those that came */
	uint64_t window;           /* where the buffer begins */
	/* not state */
	uint8_t *host;
	uint64_t size;
	Region region;
} Pflash;

/* ---- what it holds ---- */

static void show(Pflash *s, uint8_t what)
{
	s->show = what;
	uint8_t *host = what == SHOW_ARRAY ? s->host : NULL;
	if (s->region.host_read != host)
		as_set_host(&s->region, host, NULL);
}

/* To the copy and to the drive; false: it stays as it was. */
static bool change(Pflash *s, uint64_t at, const void *data, uint64_t len)
{
	if (at >= s->size || len > s->size - at || blk_read_only(s->blk))
		return false;
	if (blk_write_now(s->blk, at, data, len) < 0)
		return false;
	memcpy(s->host + at, data, len);
	ram_written(&s->dev.board->arena, s->host + at, len);
	return true;
}

static void program(Pflash *s, uint64_t at, uint64_t value, unsigned size)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	s->status |= READY;
	if (!change(s, at, bytes, size))
		s->status |= PROGRAM_FAILED;
	s->want = WANT_COMMAND;
	show(s, SHOW_STATUS);
}

static void erase(Pflash *s, uint64_t at)
{
	uint8_t ones[BLOCK];

	memset(ones, 0xff, sizeof(ones));
	s->status |= READY;
	if (!change(s, at & ~(uint64_t)(BLOCK - 1), ones, BLOCK))
		s->status |= ERASE_FAILED;
}

/* ---- buffered programming ---- */

static void take(Pflash *s, uint64_t at, uint64_t value, unsigned size)
{
	if (s->first == s->end && !s->end) {
		s->window = at & ~(uint64_t)(BUFFER - 1);
		s->first = s->end = (uint32_t)(at - s->window);
		memcpy(s->buffer, s->host + s->window, BUFFER);
	}
	for (unsigned i = 0; i < size && s->left; i++, s->left--) {
		uint64_t offset = at + i - s->window;
		if (offset >= BUFFER) {
			s->status |= PROGRAM_FAILED | READY;
			continue;
		}
		s->buffer[offset] = (uint8_t)(value >> (8 * i));
		s->first = MIN(s->first, (uint32_t)offset);
		s->end = MAX(s->end, (uint32_t)offset + 1);
	}
	if (!s->left)
		s->want = WANT_CONFIRM;
}

static void commit(Pflash *s, uint8_t value)
{
	s->want = WANT_COMMAND;
	s->status |= READY;
	if (value != CONFIRM || s->status & PROGRAM_FAILED ||
	    !change(s, s->window + s->first, s->buffer + s->first, s->end - s->first))
		s->status |= PROGRAM_FAILED;
}

/* ---- commands ---- */

static void command(Pflash *s, uint8_t code)
{
	uint8_t what = SHOW_STATUS;

	switch (code) {
	case 0x10: case 0x40: s->want = WANT_DATA; break;
	case 0x20: s->want = WANT_ERASE; break;
	case 0x60: s->want = WANT_LOCK; break;
	case 0xe8:
		s->want = WANT_COUNT;
		s->status = READY;
		break;
	case 0x50:
		s->status = 0;
		what = SHOW_ARRAY;
		break;
	case 0x70: break;
	case 0x90: what = SHOW_ID; break;
	case 0x98: what = SHOW_QUERY; break;
	default: what = SHOW_ARRAY; /* FFh, and what is unknown */
	}
	show(s, what);
}

static void region_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	Pflash *s = opaque;

	switch (s->want) {
	case WANT_COMMAND: command(s, (uint8_t)value); break;
	case WANT_DATA: program(s, offset, value, size); break;
	case WANT_ERASE:
		s->want = WANT_COMMAND;
		if ((uint8_t)value == CONFIRM)
			erase(s, offset);
		else
			s->status |= READY | ERASE_FAILED | PROGRAM_FAILED;
		break;
	case WANT_LOCK:
		s->want = WANT_COMMAND;
		s->status |= READY;
		break;
	case WANT_COUNT:
		s->left = MIN((uint32_t)(value & 0xffff) + 1, BUFFER);
		s->first = s->end = 0;
		s->want = WANT_BUFFER;
		break;
	case WANT_BUFFER: take(s, offset, value, size); break;
	default: commit(s, (uint8_t)value);
	}
}

/* ---- what is read when it is not the array ---- */

static unsigned log2_of(uint64_t n)
{
	return 63u - (unsigned)__builtin_clzll(n);
}

/* The CFI query table (JESD68, 2). */
static uint8_t query(const Pflash *s, uint64_t at)
{
	uint32_t blocks = (uint32_t)(s->size / BLOCK - 1);
	const uint8_t table[QUERY_BYTES] = {
		[0x10] = 'Q', 'R', 'Y', 0x01, 0, 0x31, 0, 0, 0, 0, 0,
		[0x1b] = 0x45, 0x55, 0, 0, 0x07, 0x07, 0x0a, 0, 0x04, 0x04, 0x04, 0,
		[0x27] = (uint8_t)log2_of(s->size), 0x02, 0, (uint8_t)log2_of(BUFFER), 0, 0x01,
		[0x2d] = (uint8_t)blocks, (uint8_t)(blocks >> 8), (uint8_t)(BLOCK >> 8),
		(uint8_t)(BLOCK >> 16),
		[0x31] = 'P', 'R', 'I', '1', '0', 0, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	return at < QUERY_BYTES ? table[at] : 0;
}

static uint8_t identity(uint64_t at)
{
	switch (at) {
	case 0: return 0x89; /* Intel */
	case 1: return 0x18;
	default: return 0;   /* no block is locked */
	}
}

static uint64_t region_read(void *opaque, uint64_t offset, unsigned size)
{
	Pflash *s = opaque;
	uint64_t value = 0;

	if (s->show == SHOW_STATUS)
		return s->status;
	for (unsigned i = 0; i < size; i++) {
		uint64_t at = (offset + i) & 0xff;
		uint8_t byte = s->show == SHOW_ARRAY ? s->host[offset + i] :
			s->show == SHOW_ID ? identity(at) : query(s, at);
		value |= (uint64_t)byte << (8 * i);
	}
	return value;
}

static const RegionOps ops = { region_read, region_write, 1, 8 };

/* ---- life ---- */

/* Machines may have one file of code; qemu shares variables too. */
static const BlkDevice blk_side = { .name = "pflash", .share_rw = true };

static bool load(Pflash *s, GError **error)
{
	const char *id = blk_id(s->blk);

	s->size = blk_length(s->blk);
	if (!s->size || s->size % BLOCK || s->size > SIZE_MAX_BYTES)
		return fail(error, VIV_ERROR_INVALID, "pflash drive '%s': its size is %"
			G_GUINT64_FORMAT " bytes; it must be a multiple of 4 KiB, 64 MiB at most.",
			id, s->size);
	if (!(s->host = ram_arena_alloc(&s->dev.board->arena, s->size, error)))
		return false;
	int err = blk_read_now(s->blk, 0, s->host, s->size);
	return err >= 0 || fail(error, VIV_ERROR_FAILED, "pflash drive '%s': cannot be read: %s",
		id, g_strerror(-err));
}

static bool realize(Device *dev, GError **error)
{
	Pflash *s = (Pflash *)dev;

	if (!s->blk || !blk_inserted(s->blk))
		return fail(error, VIV_ERROR_INVALID, "Device 'cfi.pflash01': a drive with a file is needed.");
	if (s->secure)
		return fail(error, VIV_ERROR_UNSUPPORTED, "Device 'cfi.pflash01': secure=on needs "
			"system management mode, which is not built. Leave it out.");
	if (!blk_attach(s->blk, &blk_side, s, error))
		return false;
	if (!load(s, error)) {
		blk_detach(s->blk, s);
		return false;
	}
	region_init_ram(&s->region, "pflash", s->host, s->size, true);
	s->region.ops = &ops;
	s->region.opaque = s;
	/* Whoever has no base given gets the place below 4 GiB. */
	if (s->base == UINT64_MAX)
		s->base = (1ull << 32) - s->size;
	as_map(dev->board->mem, &s->region, s->base, 0);
	return true;
}

static void reset(Device *dev)
{
	show((Pflash *)dev, SHOW_ARRAY);
}

static void unrealize(Device *dev)
{
	Pflash *s = (Pflash *)dev;
	as_unmap(&s->region);
	blk_detach(s->blk, s);
}

static const Property props[] = {
	{ "drive", PROP_DRIVE, offsetof(Pflash, blk), NULL, "image of the flash" },
	{ "base", PROP_U64, offsetof(Pflash, base), "18446744073709551615",
	  "guest address (default: ends at 4 GiB)" },
	{ "name", PROP_STRING, offsetof(Pflash, name), NULL, "name of the memory" },
	{ "secure", PROP_BOOL, offsetof(Pflash, secure), "off",
	  "written in system management mode only (not built)" },
	{ 0 }
};
static const StateField state[] = {
	STATE(FIELD_U8, Pflash, show, SHOW_ARRAY), STATE(FIELD_U8, Pflash, want, WANT_COMMAND),
	STATE(FIELD_U8, Pflash, status, READY), STATE_ARRAY(FIELD_U8, Pflash, buffer, BUFFER, 0),
	STATE(FIELD_U32, Pflash, left, 0), STATE(FIELD_U32, Pflash, first, 0),
	STATE(FIELD_U32, Pflash, end, 0), STATE(FIELD_U64, Pflash, window, 0),
	{ 0 }
};

const DeviceClass pflash_cfi01_class = {
	.name = "cfi.pflash01", .desc = "NOR flash", .bus = "system", .category = DEVICE_STORAGE,
	.size = sizeof(Pflash), .version = 1,
	.props = props, .state = state, .realize = realize, .reset = reset, .unrealize = unrealize,
};
