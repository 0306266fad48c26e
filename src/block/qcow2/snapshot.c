/*
 * snapshot.c - the table of internal snapshots: reading, writing, create, apply, delete, list.
 *
 * Source: "QCOW2 disk image format", section "Snapshots". tree.c counts what a snapshot's
 * tables name. While counts and flags of many clusters change, the dirty bit is set: a crash
 * then ends in a repair at the next opening. Threads: fibers of the node's loop.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "block/qcow2/qcow2.h"

/* ---- The table ------------------------------------------------------------------------------- */

static void snapshot_clear(Snapshot *sn)
{
	g_free(sn->id);
	g_free(sn->name);
	g_free(sn->unknown_extra);
	memset(sn, 0, sizeof(*sn));
}

void qcow2_snapshots_free(Qcow2 *s)
{
	for (uint32_t i = 0; s->snapshots && i < s->nb_snapshots; i++)
		snapshot_clear(&s->snapshots[i]);
	g_clear_pointer(&s->snapshots, g_free);
}

static bool read_one(Qcow2 *s, uint64_t *at, Snapshot *sn, unsigned index, GError **error)
{
	Qcow2RawSnapshot raw;
	int ret = node_pread(s->node->file, *at, &raw, sizeof(raw));
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the snapshot table cannot be read: %s",
			g_strerror(-ret));
	uint32_t id_len = g_ntohs(raw.id_size), name_len = g_ntohs(raw.name_size);
	sn->l1_offset = GUINT64_FROM_BE(raw.l1_offset);
	sn->l1_size = g_ntohl(raw.l1_size);
	sn->date_sec = g_ntohl(raw.date_sec);
	sn->date_nsec = g_ntohl(raw.date_nsec);
	sn->vm_clock_ns = GUINT64_FROM_BE(raw.vm_clock_ns);
	sn->vm_state_size = g_ntohl(raw.vm_state_size);
	sn->extra_size = g_ntohl(raw.extra_size);
	sn->disk_size = s->size;
	sn->icount = UINT64_MAX;
	if (sn->extra_size > Q_MAX_SNAPSHOT_EXTRA)
		return fail(error, VIV_ERROR_FAILED,
			"entry %u of the snapshot table has too much extra data (%u bytes): "
			"the image is damaged",
			index, sn->extra_size);
	if (sn->l1_size > Q_MAX_L1_BYTES / 8
		|| !q_place_ok(s, sn->l1_offset, (uint64_t)sn->l1_size * 8))
		return fail(error, VIV_ERROR_FAILED,
			"entry %u of the snapshot table names an invalid L1 table: "
			"the image is damaged",
			index);
	uint32_t rest = sn->extra_size + id_len + name_len;
	g_autofree uint8_t *buf = g_malloc(rest + 1);
	ret = node_pread(s->node->file, *at + sizeof(raw), buf, rest);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the snapshot table cannot be read: %s",
			g_strerror(-ret));
	if (sn->extra_size >= 8)
		sn->vm_state_size = be64_at(buf);
	if (sn->extra_size >= 16)
		sn->disk_size = be64_at(buf + 8);
	if (sn->extra_size >= 24)
		sn->icount = be64_at(buf + 16);
	if (sn->extra_size > sizeof(Qcow2RawSnapshotExtra)) {
		sn->unknown_extra_size = sn->extra_size - sizeof(Qcow2RawSnapshotExtra);
		sn->unknown_extra = g_memdup2(
			buf + sizeof(Qcow2RawSnapshotExtra), sn->unknown_extra_size);
	}
	sn->id = g_strndup((char *)buf + sn->extra_size, id_len);
	sn->name = g_strndup((char *)buf + sn->extra_size + id_len, name_len);
	*at += (sizeof(raw) + rest + 7) & ~7ull;
	return true;
}

bool qcow2_snapshots_read(Qcow2 *s, GError **error)
{
	uint64_t at = s->snapshots_offset;
	if (!s->nb_snapshots) {
		s->snapshots_offset = s->snapshots_bytes = 0;
		return true;
	}
	s->snapshots = g_new0(Snapshot, s->nb_snapshots);
	for (uint32_t i = 0; i < s->nb_snapshots; i++) {
		if (!read_one(s, &at, &s->snapshots[i], i, error))
			return false;
		if (at - s->snapshots_offset > Q_MAX_SNAPSHOT_BYTES)
			return fail(error, VIV_ERROR_FAILED,
				"the snapshot table is longer than %d bytes: "
				"the image is damaged",
				Q_MAX_SNAPSHOT_BYTES);
	}
	s->snapshots_bytes = at - s->snapshots_offset;
	return true;
}

static void build_one(const Snapshot *sn, GByteArray *out)
{
	uint32_t known = sizeof(Qcow2RawSnapshotExtra)
		- (sn->icount == UINT64_MAX && !sn->unknown_extra_size ? 8 : 0);
	Qcow2RawSnapshot raw = {
		.l1_offset = GUINT64_TO_BE(sn->l1_offset),
		.l1_size = g_htonl(sn->l1_size),
		.id_size = g_htons(strlen(sn->id)),
		.name_size = g_htons(strlen(sn->name)),
		.date_sec = g_htonl(sn->date_sec),
		.date_nsec = g_htonl(sn->date_nsec),
		.vm_clock_ns = GUINT64_TO_BE(sn->vm_clock_ns),
		.vm_state_size = g_htonl(sn->vm_state_size > UINT32_MAX ? 0 : sn->vm_state_size),
		.extra_size = g_htonl(known + sn->unknown_extra_size),
	};
	Qcow2RawSnapshotExtra extra = { GUINT64_TO_BE(sn->vm_state_size),
		GUINT64_TO_BE(sn->disk_size), GUINT64_TO_BE(sn->icount) };
	static const uint8_t zeroes[8];
	g_byte_array_append(out, (uint8_t *)&raw, sizeof(raw));
	g_byte_array_append(out, (uint8_t *)&extra, known);
	if (sn->unknown_extra_size)
		g_byte_array_append(out, sn->unknown_extra, sn->unknown_extra_size);
	g_byte_array_append(out, (uint8_t *)sn->id, strlen(sn->id));
	g_byte_array_append(out, (uint8_t *)sn->name, strlen(sn->name));
	g_byte_array_append(out, zeroes, -out->len & 7);
}

int qcow2_snapshots_write(Qcow2 *s)
{
	uint64_t old_offset = s->snapshots_offset, old_bytes = s->snapshots_bytes, offset = 0;
	GByteArray *table = g_byte_array_new();
	for (uint32_t i = 0; i < s->nb_snapshots; i++)
		build_one(&s->snapshots[i], table);
	int ret = table->len > Q_MAX_SNAPSHOT_BYTES ? -EFBIG : 0;
	if (ret >= 0 && table->len) {
		ret = refcount_alloc(s, table->len, &offset);
		if (ret >= 0)
			ret = qcow2_overlap(s, 0, offset, table->len);
		if (ret >= 0)
			ret = node_pwrite(s->node->file, offset, table->data, table->len);
		s->unsynced = true;
	}
	if (ret >= 0)
		ret = qcow2_write_counts(s);
	if (ret >= 0) {
		s->snapshots_offset = offset;
		s->snapshots_bytes = table->len;
		ret = qcow2_header_commit(s);
	}
	if (ret < 0) {
		s->snapshots_offset = old_offset;
		s->snapshots_bytes = old_bytes;
		if (offset)
			refcount_release(s, offset, table->len, FREE_NEVER);
	} else if (old_bytes) {
		refcount_release(s, old_offset, old_bytes, FREE_SNAPSHOT);
	}
	g_byte_array_free(table, TRUE);
	return ret;
}

Snapshot *qcow2_snapshot_find(Qcow2 *s, const char *id_or_name)
{
	for (uint32_t i = 0; i < s->nb_snapshots; i++)
		if (!strcmp(s->snapshots[i].id, id_or_name))
			return &s->snapshots[i];
	for (uint32_t i = 0; i < s->nb_snapshots; i++)
		if (!strcmp(s->snapshots[i].name, id_or_name))
			return &s->snapshots[i];
	return NULL;
}

GArray *qcow2_snapshot_list(Node *node)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	GArray *list = g_array_new(FALSE, TRUE, sizeof(SnapshotInfo));
	for (uint32_t i = 0; i < s->nb_snapshots; i++) {
		const Snapshot *sn = &s->snapshots[i];
		SnapshotInfo info = { .vm_state_size = sn->vm_state_size,
			.date_sec = sn->date_sec,
			.date_nsec = sn->date_nsec,
			.vm_clock_ns = sn->vm_clock_ns,
			.icount = sn->icount,
			.disk_size = sn->disk_size };
		g_strlcpy(info.id, sn->id, sizeof(info.id));
		g_strlcpy(info.name, sn->name, sizeof(info.name));
		g_array_append_val(list, info);
	}
	return list;
}

/* ---- Create ---------------------------------------------------------------------------------- */

/* Alone from here to end_change; false: *error says why not. */
static bool begin_change(Qcow2 *s, const char *what, GError **error)
{
	if (s->external)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"images with an external data file cannot %s internal snapshots", what);
	int ret = qcow2_begin_writing(s);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the image cannot be written: %s",
			g_strerror(-ret));
	qcow2_begin(s);
	ret = qcow2_write_all(s);
	if (ret >= 0)
		ret = qcow2_mark_dirty(s, true);
	if (ret >= 0)
		return true;
	qcow2_end(s);
	return fail(error, VIV_ERROR_FAILED, "the tables of the image could not be written: %s",
		g_strerror(-ret));
}

static bool end_change(Qcow2 *s, int ret, const char *what, GError **error)
{
	int r = ret < 0 ? qcow2_repair(s) : qcow2_write_all(s);
	if (r >= 0)
		r = qcow2_mark_dirty(s, false);
	qcow2_end(s);
	ret = ret < 0 ? ret : r;
	if (ret == -EOVERFLOW)
		return fail(error, VIV_ERROR_INVALID,
			"the snapshot could not be %s: a cluster would be shared more often "
			"than the image can count. `qemu-img amend -o refcount_bits=` makes the "
			"counts wider",
			what);
	return ret >= 0
		|| fail(error, VIV_ERROR_FAILED, "the snapshot could not be %s: %s", what,
			g_strerror(-ret));
}

static void choose_id(Qcow2 *s, SnapshotInfo *info)
{
	unsigned long max = 0;
	if (*info->id)
		return;
	for (uint32_t i = 0; i < s->nb_snapshots; i++)
		max = MAX(max, strtoul(s->snapshots[i].id, NULL, 10));
	g_snprintf(info->id, sizeof(info->id), "%lu", max + 1);
}

/* A copy of the active L1 table in clusters of its own. */
static int copy_l1(Qcow2 *s, uint64_t *offset)
{
	uint64_t bytes = (uint64_t)s->l1_size * 8;
	int ret = refcount_alloc(s, MAX(bytes, 1), offset);
	if (ret < 0)
		return ret;
	uint8_t *buf = g_malloc0(MAX(q_ceil(s, bytes), s->cluster_size));
	for (uint32_t i = 0; i < s->l1_size; i++)
		put_be64(buf + (size_t)i * 8, s->l1[i] & ~QCOW2_COPIED);
	ret = qcow2_overlap(s, 0, *offset, bytes);
	if (ret >= 0)
		ret = node_pwrite(
			s->node->file, *offset, buf, MAX(q_ceil(s, bytes), s->cluster_size));
	s->unsynced = true;
	g_free(buf);
	return ret;
}

static int create(Qcow2 *s, const SnapshotInfo *info)
{
	Snapshot sn = { .l1_size = s->l1_size,
		.disk_size = s->size,
		.vm_state_size = info->vm_state_size,
		.vm_clock_ns = info->vm_clock_ns,
		.icount = info->icount,
		.date_sec = info->date_sec,
		.date_nsec = info->date_nsec };
	int ret = copy_l1(s, &sn.l1_offset);
	if (ret < 0)
		return ret;
	ret = qcow2_add_tree(s, s->l1, s->l1_size, 1, true);
	if (ret >= 0)
		ret = qcow2_write_all(s);
	if (ret < 0)
		return ret; /* what was counted, and the copy: end_change repairs */
	sn.id = g_strdup(info->id);
	sn.name = g_strdup(info->name);
	s->snapshots = g_renew(Snapshot, s->snapshots, s->nb_snapshots + 1);
	s->snapshots[s->nb_snapshots++] = sn;
	ret = qcow2_snapshots_write(s);
	if (ret < 0) {
		snapshot_clear(&s->snapshots[--s->nb_snapshots]);
		return ret;
	}
	/* The VM state belongs to the snapshot now. */
	if (info->vm_state_size)
		ret = qcow2_discard_clusters(s, qcow2_vmstate_offset(s),
			q_ceil(s, info->vm_state_size), true, FREE_NEVER);
	return ret;
}

bool qcow2_snapshot_create(Node *node, SnapshotInfo *info, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (s->nb_snapshots >= Q_MAX_SNAPSHOTS)
		return fail(error, VIV_ERROR_INVALID,
			"the image has %u snapshots, which is all it can have", s->nb_snapshots);
	choose_id(s, info);
	for (uint32_t i = 0; i < s->nb_snapshots; i++)
		if (!strcmp(s->snapshots[i].id, info->id))
			return fail(error, VIV_ERROR_INVALID,
				"the image has a snapshot with ID '%s' already", info->id);
	if (!begin_change(s, "have", error))
		return false;
	return end_change(s, create(s, info), "created", error);
}

/* ---- Apply, delete, load --------------------------------------------------------------------- */

static Snapshot *find_or_fail(Qcow2 *s, const char *id_or_name, GError **error)
{
	Snapshot *sn = qcow2_snapshot_find(s, id_or_name);
	if (!sn)
		fail(error, VIV_ERROR_INVALID, "the image has no snapshot '%s'", id_or_name);
	return sn;
}

static int apply(Qcow2 *s, const Snapshot *sn)
{
	uint64_t *l1, *old;
	uint32_t old_size = s->l1_size, size = MAX(sn->l1_size, q_l1_needed(s, sn->disk_size));
	if (size > Q_MAX_L1_BYTES / 8)
		return -EFBIG;
	int ret = qcow2_read_l1(s, sn->l1_offset, sn->l1_size, &l1);
	if (ret < 0)
		return ret;
	l1 = g_renew(uint64_t, l1, MAX(size, 1));
	memset(l1 + sn->l1_size, 0, (size_t)(size - sn->l1_size) * 8);
	/* The new state is counted before it is named, the old one uncounted after. */
	ret = qcow2_add_tree(s, l1, size, 1, false);
	if (ret < 0) {
		g_free(l1);
		return ret;
	}
	old = g_memdup2(s->l1, (size_t)old_size * 8);
	uint64_t old_disk = s->size;
	s->size = sn->disk_size;
	ret = qcow2_replace_l1(s, l1, size);
	if (ret < 0) {
		s->size = old_disk;
	} else {
		s->node->length = s->size & ~(uint64_t)(SECTOR - 1);
		cache_clear(&s->l2);
		ret = qcow2_add_tree(s, old, old_size, -1, false);
		int r = qcow2_add_tree(s, s->l1, s->l1_size, 0, true);
		ret = ret < 0 ? ret : r;
		qcow2_meta_rebuild(s);
	}
	g_free(old);
	return ret;
}

bool qcow2_snapshot_apply(Node *node, const char *id_or_name, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	Snapshot *sn = find_or_fail(s, id_or_name, error);
	if (!sn)
		return false;
	if (sn->disk_size > (uint64_t)NODE_LENGTH_MAX)
		return fail(error, VIV_ERROR_FAILED,
			"the snapshot says a disk of %" PRIu64 " bytes: the image is damaged",
			sn->disk_size);
	if (!begin_change(s, "apply", error))
		return false;
	qcow2_bitmaps_mark(s, 0, MAX(s->size, sn->disk_size));
	bool ok = sn->disk_size == s->size || qcow2_bitmaps_resize(s, sn->disk_size, error);
	int ret = ok ? apply(s, sn) : 0;
	return end_change(s, ret, "applied", ok ? error : NULL) && ok;
}

static int delete (Qcow2 *s, uint32_t index)
{
	Snapshot sn = s->snapshots[index];
	uint64_t *l1;
	int ret = qcow2_read_l1(s, sn.l1_offset, sn.l1_size, &l1);
	if (ret < 0)
		return ret;
	memmove(s->snapshots + index, s->snapshots + index + 1,
		(s->nb_snapshots - index - 1) * sizeof(sn));
	s->nb_snapshots--;
	ret = qcow2_snapshots_write(s);
	if (ret < 0) {
		memmove(s->snapshots + index + 1, s->snapshots + index,
			(s->nb_snapshots - index) * sizeof(sn));
		s->snapshots[index] = sn;
		s->nb_snapshots++;
		g_free(l1);
		return ret;
	}
	/* Nothing on the medium names them any more. */
	ret = qcow2_add_tree(s, l1, sn.l1_size, -1, false);
	if (sn.l1_size)
		refcount_release(s, sn.l1_offset, (uint64_t)sn.l1_size * 8, FREE_SNAPSHOT);
	else
		refcount_release(s, sn.l1_offset, sn.l1_offset ? 1 : 0, FREE_SNAPSHOT);
	int r = qcow2_add_tree(s, s->l1, s->l1_size, 0, true);
	g_free(l1);
	snapshot_clear(&sn);
	return ret < 0 ? ret : r;
}

bool qcow2_snapshot_delete(Node *node, const char *id_or_name, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	Snapshot *sn = find_or_fail(s, id_or_name, error);
	if (!sn || !begin_change(s, "delete", error))
		return false;
	return end_change(s, delete (s, sn - s->snapshots), "deleted", error);
}

bool qcow2_snapshot_load(Node *node, const char *id_or_name, GError **error)
{
	Qcow2 *s = NODE_STATE(node, Qcow2);
	if (!node->read_only)
		return fail(error, VIV_ERROR_INVALID,
			"a snapshot can be shown by an image opened read-only");
	const Snapshot *sn = find_or_fail(s, id_or_name, error);
	if (!sn)
		return false;
	uint64_t *l1;
	if (sn->disk_size > (uint64_t)NODE_LENGTH_MAX
		|| q_l1_needed(s, sn->disk_size) > sn->l1_size)
		return fail(error, VIV_ERROR_FAILED,
			"the snapshot's L1 table is too small for its disk: "
			"the image is damaged");
	int ret = qcow2_read_l1(s, sn->l1_offset, sn->l1_size, &l1);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "the snapshot's L1 table cannot be read: %s",
			g_strerror(-ret));
	qcow2_begin(s);
	g_free(s->l1);
	s->l1 = l1;
	s->l1_size = sn->l1_size;
	s->l1_offset = sn->l1_offset;
	s->size = sn->disk_size;
	s->at_snapshot = true;
	node->length = s->size & ~(uint64_t)(SECTOR - 1);
	qcow2_end(s);
	return true;
}
