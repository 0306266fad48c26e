/*
 * log.c - VHDX: checksums, the two headers, and the replay of a log. See vhdx.h.
 */
#include "block/vhdx/vhdx.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
	SECTOR_BYTES = 4096, E_SUM = 4, E_LENGTH = 8, E_TAIL = 12, E_SEQUENCE = 16, E_COUNT = 24,
	E_GUID = 32, E_LAST = 56, E_HEADER = 64, D_BYTES = 32, D_TRAILING = 4, D_LEADING = 8,
	D_OFFSET = 16, D_SEQUENCE = 24, D_LENGTH = 8,
};
#define GROWTH_MAX (1ull << 40)

/* CRC-32C, the checksum's own four bytes taken as zero. */
uint32_t vhdx_crc(const uint8_t *p, size_t len, size_t sum_at)
{
	uint32_t crc = ~0u;
	for (size_t i = 0; i < len; i++) {
		crc ^= i - sum_at < 4 ? 0 : p[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

int vhdx_write_headers(Node *node)
{
	Vhdx *s = node->state;
	int ret = 0;
	for (unsigned i = 0; i < 2 && ret >= 0; i++) {
		set_le64(s->header + H_SEQUENCE, le64(s->header + H_SEQUENCE) + 1);
		set_le32(s->header + H_SUM, vhdx_crc(s->header, X_HEADER, H_SUM));
		/* Over the older one: a crash leaves the other. */
		ret = node_pwrite_sync(node->file, s->second ? X_HEADER1 : X_HEADER2, s->header, X_HEADER);
		s->second = !s->second;
	}
	return ret;
}

/* ---- Entries ----------------------------------------------------------------------------------- */

typedef struct Log {
	uint8_t *data;
	uint32_t length;
	const uint8_t *guid;
	uint64_t work;          /* bytes summed so far: hostile logs must not cost without bound */
} Log;

/* The entry at `at`, unwrapped; NULL: there is none. */
static uint8_t *entry_at(Log *l, uint32_t at)
{
	const uint8_t *h = l->data + at;
	uint32_t len = le32(h + E_LENGTH), count = le32(h + E_COUNT), tail = le32(h + E_TAIL);
	uint64_t room = E_HEADER + (uint64_t)count * D_BYTES;
	if (memcmp(h, "loge", 4) || memcmp(h + E_GUID, l->guid, 16) || !le64(h + E_SEQUENCE))
		return NULL;
	if (len < SECTOR_BYTES || len % SECTOR_BYTES || len > l->length || tail % SECTOR_BYTES
		|| tail >= l->length || room > len)
		return NULL;
	if (l->work + len > 2ull * l->length)
		return NULL;
	l->work += len;
	uint8_t *e = g_try_malloc(len);
	uint32_t first = MIN(len, l->length - at);
	if (!e)
		return NULL;
	memcpy(e, h, first);
	memcpy(e + first, l->data, len - first);
	if (vhdx_crc(e, len, E_SUM) == le32(e + E_SUM))
		return e;
	g_free(e);
	return NULL;
}

/* The newest entry that is whole: where it is, and a copy. */
static uint8_t *newest(Log *l, uint32_t *where)
{
	uint8_t *best = NULL;
	for (uint32_t at = 0; at < l->length; at += SECTOR_BYTES) {
		uint8_t *e = entry_at(l, at);
		if (e && (!best || le64(e + E_SEQUENCE) > le64(best + E_SEQUENCE))) {
			g_free(best);
			best = e;
			*where = at;
		} else {
			g_free(e);
		}
	}
	l->work = 0;
	return best;
}

static int apply_data(Node *node, const uint8_t *e, const uint8_t *d, uint64_t sector)
{
	uint8_t out[SECTOR_BYTES];
	const uint8_t *data = e + sector;
	uint64_t offset = le64(d + D_OFFSET);
	if (sector + SECTOR_BYTES > le32(e + E_LENGTH) || memcmp(data, "data", 4)
		|| offset % SECTOR_BYTES || offset > (uint64_t)NODE_LENGTH_MAX - SECTOR_BYTES)
		return -EINVAL;
	memcpy(out, d + D_LEADING, 8);
	memcpy(out + 8, data + 8, SECTOR_BYTES - 12);
	memcpy(out + SECTOR_BYTES - 4, d + D_TRAILING, 4);
	if (offset > node->file->length)
		return -EINVAL;
	return node_pwrite(node->file, offset, out, sizeof(out));
}

static int apply(Node *node, const uint8_t *e)
{
	uint32_t count = le32(e + E_COUNT);
	uint64_t sector = (E_HEADER + (uint64_t)count * D_BYTES + SECTOR_BYTES - 1)
		& ~(uint64_t)(SECTOR_BYTES - 1), last = le64(e + E_LAST);
	int ret = 0;
	if (last > node->file->length) {
		if (last - node->file->length > GROWTH_MAX
			|| !node_truncate(node->file, last, false, PREALLOC_OFF, NULL))
			return -ENOSPC;
	}
	for (uint32_t i = 0; i < count && ret >= 0; i++) {
		const uint8_t *d = e + E_HEADER + (size_t)i * D_BYTES;
		uint64_t offset = le64(d + D_OFFSET), len = le64(d + D_LENGTH);
		if (le64(d + D_SEQUENCE) != le64(e + E_SEQUENCE))
			return -EINVAL;
		if (!memcmp(d, "desc", 4)) {
			ret = apply_data(node, e, d, sector);
			sector += SECTOR_BYTES;
		} else if (memcmp(d, "zero", 4) || offset > node->file->length
			|| len > node->file->length - offset) {
			ret = -EINVAL;
		} else {
			ret = node_write_zeroes(node->file, offset, len, 0);
		}
	}
	return ret;
}

/* From the newest entry's tail on up to itself. */
static int replay_all(Node *node, Log *l)
{
	uint32_t head = 0, at;
	g_autofree uint8_t *last = newest(l, &head);
	int ret = 0;
	if (!last)
		return 0; /* nothing whole was ever logged */
	uint64_t sequence = 0;
	at = le32(last + E_TAIL);
	for (uint32_t n = 0; n <= l->length / SECTOR_BYTES && ret >= 0; n++) {
		g_autofree uint8_t *e = entry_at(l, at);
		if (!e || (sequence && le64(e + E_SEQUENCE) != sequence + 1))
			return -EINVAL;
		sequence = le64(e + E_SEQUENCE);
		ret = apply(node, e);
		if (at == head)
			return ret;
		at = (uint32_t)(((uint64_t)at + le32(e + E_LENGTH)) % l->length);
	}
	return ret < 0 ? ret : -EINVAL;
}

bool vhdx_replay(Node *node, GError **error)
{
	static const uint8_t none[16];
	Vhdx *s = node->state;
	Log l = { NULL, le32(s->header + H_LOG_LENGTH), s->header + H_LOG_GUID, 0 };
	uint64_t at = le64(s->header + H_LOG_OFFSET);
	if (!memcmp(l.guid, none, 16))
		return true;
	if (l.length > X_LOG_MAX || l.length % X_MB || at % X_MB || !l.length || at < X_MB
		|| at > node->file->length || l.length > node->file->length - at)
		return fail(error, VIV_ERROR_INVALID, "the VHDX image's log lies at an impossible place");
	if (le16(s->header + H_LOG_VERSION))
		return fail(error, VIV_ERROR_UNSUPPORTED, "the VHDX image's log is of an unknown version");
	if (!(node->flags & NODE_WRITE))
		return fail(error, VIV_ERROR_FAILED, "VHDX image file '%s' opened read-only, but contains a "
			"log that needs to be replayed. To replay the log, run: qemu-img check -r all '%s'",
			node->filename ? node->filename : "", node->filename ? node->filename : "");
	l.data = g_try_malloc(l.length);
	int ret = l.data ? node_pread(node->file, at, l.data, l.length) : -ENOMEM;
	if (ret >= 0)
		ret = replay_all(node, &l);
	g_free(l.data);
	if (ret >= 0)
		ret = node_flush(node->file);
	if (ret >= 0) {
		memset(s->header + H_LOG_GUID, 0, 16);
		ret = vhdx_write_headers(node);
	}
	return ret >= 0 || fail(error, VIV_ERROR_FAILED, "the VHDX image's log could not be replayed: %s",
		g_strerror(-ret));
}
