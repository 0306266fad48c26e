/*
 * info_block.c - `info block` and `info blockstats`: drives, what is in them, what they have done.
 *
 * Main thread, machine lock not held.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/blk.h"
#include "core/lock.h"
#include "monitor/private.h"

static void append_cache(const Node *node, bool write_cache, GString *out)
{
	g_string_append_printf(out, "    Cache mode:       %s%s%s\n", write_cache ? "writeback" : "writethrough",
			       node->flags & NODE_DIRECT ? ", direct" : "",
			       node->flags & NODE_NO_FLUSH ? ", ignore flushes" : "");
}

static unsigned chain_depth(const Node *node)
{
	unsigned depth = 0;
	for (; node->backing; node = node->backing)
		depth++;
	return depth;
}

static void append_node(const Node *node, bool write_cache, GString *out)
{
	append_cache(node, write_cache, out);
	if (node->backing)
		g_string_append_printf(out, "    Backing file:     %s (chain depth: %u)\n", node->backing->filename,
				       chain_depth(node));
	if (node->detect_zeroes)
		g_string_append_printf(out, "    Detect zeroes:    %s\n", node->detect_unmap ? "unmap" : "on");
}

static void append_medium(const char *title, const Node *node, GString *out)
{
	g_string_append_printf(out, "%s: %s (%s%s)\n", title, node->filename, node->driver->name,
			       node->read_only ? ", read-only" : "");
}

static void append_throttle(const Blk *blk, GString *out)
{
	static const struct { const char *name; size_t offset; } fields[] = {
#define F(name) { #name, offsetof(BlkThrottle, name) }
		F(bps), F(bps_rd), F(bps_wr), F(bps_max), F(bps_rd_max), F(bps_wr_max),
		F(iops), F(iops_rd), F(iops_wr), F(iops_max), F(iops_rd_max), F(iops_wr_max), F(iops_size),
#undef F
	};
	static const BlkThrottle none;
	const BlkThrottle *t = blk_throttle(blk);
	if (!memcmp(t, &none, sizeof(none)))
		return;
	g_string_append(out, "    I/O throttling:  ");
	for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++)
		g_string_append_printf(out, " %s=%" PRIu64, fields[i].name,
				       *(const uint64_t *)((const char *)t + fields[i].offset));
	g_string_append_printf(out, " group=%s\n", blk_id(blk));
}

/* Drives that no -drive made have no name: what is in them stands for it, or who has them. */
static void append_title(Blk *blk, const BlkDevice *user, GString *out)
{
	const Node *node = blk_node(blk);
	const char *name = blk_id(blk);
	bool unnamed = *name == '#';

	if (!node) {
		g_string_append_printf(out, "%s: [not inserted]\n", unnamed && user ? user->name : name);
		return;
	}
	char *title = unnamed ? g_strdup(node->name) : g_strdup_printf("%s (%s)", name, node->name);
	append_medium(title, node, out);
	g_free(title);
}

static void append_drive(Blk *blk, void *opaque)
{
	GString *out = opaque;
	const Node *node = blk_node(blk);
	void *device;
	const BlkDevice *user = blk_device(blk, &device);

	if (out->len)
		g_string_append_c(out, '\n');
	append_title(blk, user, out);
	if (user)
		g_string_append_printf(out, "    Attached to:      %s\n", user->name);
	if (blk_stopped_error(blk))
		g_string_append_printf(out, "    I/O status:       %s\n",
				       blk_stopped_error(blk) == -ENOSPC ? "nospace" : "failed");
	if (!user || user->changed)
		g_string_append_printf(out, "    Removable device: %slocked, tray %s\n",
				       user && user->locked && user->locked(device) ? "" : "not ",
				       user && user->tray_open && user->tray_open(device) ? "open" : "closed");
	if (node)
		append_node(node, blk_write_cache(blk), out);
	append_throttle(blk, out);
}

static void append_named(Node *node, void *opaque)
{
	GString *out = opaque;
	if (out->len)
		g_string_append_c(out, '\n');
	append_medium(node->name, node, out);
	append_node(node, true, out);
}

void info_block(Monitor *mon, const Args *args, GString *out)
{
	machine_lock();
	if (args->given[0])
		node_each(append_named, out);
	else
		blk_each(append_drive, out);
	machine_unlock();
}

static void append_stats(Blk *blk, void *opaque)
{
	BlkStats s = blk_stats(blk);
	g_string_append_printf(opaque, "%s: rd_bytes=%" PRIu64 " wr_bytes=%" PRIu64 " rd_operations=%" PRIu64
			       " wr_operations=%" PRIu64 " flush_operations=%" PRIu64 " wr_total_time_ns=%" PRId64
			       " rd_total_time_ns=%" PRId64 " flush_total_time_ns=%" PRId64 "\n",
			       blk_id(blk), s.bytes[BLK_READ], s.bytes[BLK_WRITE], s.operations[BLK_READ],
			       s.operations[BLK_WRITE], s.operations[BLK_FLUSH], s.time_ns[BLK_WRITE],
			       s.time_ns[BLK_READ], s.time_ns[BLK_FLUSH]);
}

void info_blockstats(Monitor *mon, const Args *args, GString *out)
{
	machine_lock();
	blk_each(append_stats, out);
	machine_unlock();
}
