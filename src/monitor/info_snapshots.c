/*
 * info_snapshots.c - info snapshots: those that all disks have, then those of single ones. In QEMU's form.
 *
 * Main thread; takes the machine lock.
 */
#include <string.h>

#include "block/blk.h"
#include "core/lock.h"
#include "monitor/private.h"

/* A drive that counts: with a medium that is written to. */
typedef struct Disk {
	const char *name;
	Node *node;
	GArray *list;     /* SnapshotInfo; NULL: its format has none */
} Disk;

static void list_fiber(void *opaque)
{
	Disk *d = opaque;

	if (d->node->driver->snapshot_list)
		d->list = d->node->driver->snapshot_list(d->node);
}

static void add_disk(Blk *blk, void *opaque)
{
	Disk d = { blk_id(blk), blk_node(blk), NULL };

	if (!d.node || d.node->read_only)
		return;
	loop_call(d.node->loop, list_fiber, &d);
	g_array_append_val((GArray *)opaque, d);
}

static bool has(const Disk *d, const char *name)
{
	for (unsigned i = 0; d->list && i < d->list->len; i++)
		if (!strcmp(g_array_index(d->list, SnapshotInfo, i).name, name))
			return true;
	return false;
}

static bool on_all(const GArray *disks, const char *name)
{
	for (unsigned i = 0; i < disks->len; i++)
		if (!has(&g_array_index(disks, Disk, i), name))
			return false;
	return true;
}

/* Of a disk's snapshots those that all have, or the others; true: there were some. */
static bool show_some(const GArray *disks, const Disk *d, bool common, const char *title, GString *out)
{
	bool any = false;

	for (unsigned i = 0; d->list && i < d->list->len; i++) {
		const SnapshotInfo *s = &g_array_index(d->list, SnapshotInfo, i);
		if (on_all(disks, s->name) != common)
			continue;
		if (!any)
			g_string_append_printf(out, "%s\n%s", title, snapshot_heading);
		any = true;
		snapshot_append_line(s, common ? "--" : s->id, out);
	}
	return any;
}

static void show(const GArray *disks, const Disk *first, GString *out)
{
	static const char common[] = "List of snapshots present on all disks:";
	g_autoptr(GString) own = g_string_new(NULL);

	for (unsigned i = 0; i < disks->len; i++) {
		const Disk *d = &g_array_index(disks, Disk, i);
		g_autofree char *title = g_strdup_printf("\nList of partial (non-loadable) snapshots on '%s':", d->name);
		show_some(disks, d, false, title, own);
	}
	if (!show_some(disks, first, true, common, out))
		g_string_append_printf(out, own->len ? "%s\nNone\n" : "There is no snapshot available.\n", common);
	g_string_append(out, own->str);
}

void info_snapshots(Monitor *mon, const Args *args, GString *out)
{
	g_autoptr(GArray) disks = g_array_new(FALSE, FALSE, sizeof(Disk));
	const Disk *first = NULL;

	machine_lock();
	blk_each(add_disk, disks);
	for (unsigned i = 0; i < disks->len && !first; i++)
		if (g_array_index(disks, Disk, i).list)
			first = &g_array_index(disks, Disk, i);
	if (first)
		show(disks, first, out);
	else
		g_string_append(out, "no block device can store vmstate for snapshot\n");
	for (unsigned i = 0; i < disks->len; i++)
		g_clear_pointer(&g_array_index(disks, Disk, i).list, g_array_unref);
	machine_unlock();
}
