/*
 * describe.c - what an image is and holds, as `qemu-img info --output=json` and QMP's ImageInfo have it.
 *
 * Threads: see node.h.
 */
#include "block/node.h"

#include <time.h>

#include "core/units.h"

static json_t *snapshots_json(Node *node)
{
	GArray *list = node->driver->snapshot_list ? node->driver->snapshot_list(node) : NULL;
	if (!list)
		return NULL;
	json_t *out = json_array();
	for (unsigned i = 0; i < list->len; i++) {
		const SnapshotInfo *s = &g_array_index(list, SnapshotInfo, i);
		json_t *o =
		    json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "id", s->id, "name", s->name,
			      "vm-state-size", (json_int_t)s->vm_state_size, "date-sec",
			      (json_int_t)s->date_sec, "date-nsec", (json_int_t)s->date_nsec,
			      "vm-clock-sec", (json_int_t)(s->vm_clock_ns / 1000000000),
			      "vm-clock-nsec", (json_int_t)(s->vm_clock_ns % 1000000000));
		if (s->icount != UINT64_MAX)
			json_object_set_new(o, "icount", json_integer((json_int_t)s->icount));
		json_array_append_new(out, o);
	}
	g_array_free(list, TRUE);
	if (json_array_size(out))
		return out;
	json_decref(out);
	return NULL;
}

json_t *node_describe(Node *node, const char *filename)
{
	json_t *o = json_object();
	NodeInfo info = { 0 };
	if (node->driver->info)
		node->driver->info(node, &info);
	json_t *snapshots = snapshots_json(node);
	if (snapshots)
		json_object_set_new(o, "snapshots", snapshots);
	json_object_set_new(o, "virtual-size", json_integer((json_int_t)node->length));
	json_object_set_new(o, "filename", json_string(filename));
	if (info.cluster_size)
		json_object_set_new(o, "cluster-size", json_integer((json_int_t)info.cluster_size));
	json_object_set_new(o, "format", json_string(node->driver->name));
	int64_t actual = node_allocated(node);
	if (actual >= 0)
		json_object_set_new(o, "actual-size", json_integer(actual));
	if (node->driver->specific) {
		json_t *specific = node->driver->specific(node);
		if (specific)
			json_object_set_new(o, "format-specific", specific);
	}
	if (info.encrypted)
		json_object_set_new(o, "encrypted", json_true());
	if (info.compressed_clusters)
		json_object_set_new(o, "compressed", json_true());
	if (node->backing_file) {
		char *full = node_path(node->filename, node->backing_file);
		json_object_set_new(o, "backing-filename", json_string(node->backing_file));
		json_object_set_new(o, "full-backing-filename", json_string(full));
		if (node->backing_format)
			json_object_set_new(o, "backing-filename-format",
					    json_string(node->backing_format));
		g_free(full);
	}
	json_object_set_new(o, "dirty-flag", json_boolean(info.dirty));
	return o;
}

/* ---- as text ---- */

const char snapshot_heading[] =
    "ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT\n";

void snapshot_append_line(const SnapshotInfo *s, const char *id, GString *out)
{
	char date[32], icount[24] = "";
	g_autofree char *size = size_text(s->vm_state_size);
	time_t t = (time_t)s->date_sec;
	struct tm tm;
	uint64_t ms = s->vm_clock_ns / 1000000, secs = ms / 1000;
	g_autofree char *clock =
	    g_strdup_printf("%02u:%02u:%02u.%03u", (unsigned)(secs / 3600), (unsigned)(secs / 60 % 60),
			    (unsigned)(secs % 60), (unsigned)(ms % 1000));

	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
	if (s->icount != UINT64_MAX)
		g_snprintf(icount, sizeof(icount), "%" G_GUINT64_FORMAT, s->icount);
	g_string_append_printf(out, "%-10s%-17s%8s%20s%13s%11s\n", id, s->name, size, date, clock, icount);
}
