/*
 * info_block.c - drives, what is in them, what they have done: query-block, query-blockstats, query-named-block-nodes.
 *
 * Main thread, machine lock not held.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "block/blk.h"
#include "core/lock.h"
#include "monitor/private.h"

/* ---- images ---- */

typedef struct DescribeCall {
	Node *node;
	json_t *result;
} DescribeCall;

static void describe_fiber(void *opaque)
{
	DescribeCall *c = opaque;
	c->result = node_describe(c->node, c->node->filename ? c->node->filename : "");
}

/* ImageInfo of the node and of those below, one in another. */
static json_t *describe_image(Node *node)
{
	DescribeCall c = { node, NULL };
	loop_call(node->loop, describe_fiber, &c);
	if (node->backing)
		json_object_set_new(c.result, "backing-image", describe_image(node->backing));
	return c.result;
}

/* The six limits always, bursts if they are set. */
static void describe_throttle(json_t *o, const BlkThrottle *t, const char *group)
{
	static const BlkThrottle none;
	BlkThrottle limits = t ? *t : none;

	for (unsigned i = 0; i < BLK_LIMIT_COUNT; i++) {
		const char *name = blk_limits[i].name;
		uint64_t value = *blk_limit(&limits, &blk_limits[i]);
		if (value || !(strstr(name, "_max") || strstr(name, "_size")))
			json_object_set_new(o, name, json_integer((json_int_t)value));
	}
	if (memcmp(&limits, &none, sizeof(none)))
		json_object_set_new(o, "group", json_string(group));
}

/* BlockDeviceInfo. `blk` NULL: the node by itself. */
static json_t *describe_node(Node *node, Blk *blk)
{
	unsigned depth = 0;
	for (const Node *n = node; n->backing; n = n->backing)
		depth++;
	const char *zeroes = !node->detect_zeroes ? "off" : node->detect_unmap ? "unmap" : "on";
	json_t *o = json_pack("{ss ss sb ss si sb ss si s{sb sb sb} so}", "file", node->filename ? node->filename : "", "node-name",
			      node->name, "ro", node->read_only, "drv", node->driver->name, "backing_file_depth", depth, "encrypted",
			      false, "detect_zeroes", zeroes, "write_threshold", 0, "cache", "writeback",
			      blk ? blk_write_cache(blk) : true, "direct", (node->flags & NODE_DIRECT) != 0, "no-flush",
			      (node->flags & NODE_NO_FLUSH) != 0, "image", describe_image(node));
	if (member_is(json_object_get(o, "image"), "encrypted"))
		json_object_set_new(o, "encrypted", json_true());
	if (node->backing)
		json_object_set_new(o, "backing_file", json_string(node->backing->filename));
	describe_throttle(o, blk ? blk_throttle(blk) : NULL, blk ? blk_id(blk) : "");
	return o;
}

/* ---- drives ---- */

/* Drives that no -drive made have no name of their own. */
static const char *name_of(Blk *blk) { return *blk_id(blk) == '#' ? "" : blk_id(blk); }

/* BlockInfo */
static void describe_drive(Blk *blk, void *opaque)
{
	void *device = NULL;
	const BlkDevice *user = blk_device(blk, &device);
	int err = blk_stopped_error(blk);
	bool removable = blk_removable(user);
	json_t *o = json_pack("{ss ss sb sb}", "device", name_of(blk), "type", "unknown", "removable", removable, "locked",
			      removable && user && user->locked && user->locked(device));
	if (user) {
		json_object_set_new(o, "qdev", json_string(user->name));
		json_object_set_new(o, "io-status", json_string(!err ? "ok" : err == -ENOSPC ? "nospace" : "failed"));
	}
	if (removable && user && user->tray_open)
		json_object_set_new(o, "tray_open", json_boolean(user->tray_open(device)));
	if (blk_node(blk))
		json_object_set_new(o, "inserted", describe_node(blk_node(blk), blk));
	json_array_append_new(opaque, o);
}

json_t *serve_block(Monitor *mon, const json_t *args, GError **error)
{
	json_t *list = json_array();
	machine_lock();
	blk_each(describe_drive, list);
	machine_unlock();
	return list;
}

static void add_named(Node *node, void *opaque) { json_array_append_new(opaque, describe_node(node, NULL)); }

json_t *serve_named_nodes(Monitor *mon, const json_t *args, GError **error)
{
	json_t *list = json_array();
	machine_lock();
	node_each(add_named, list);
	machine_unlock();
	return list;
}

/* ---- counters ---- */

/* BlockStats of an empty drive or a node are zeroes. */
static json_t *describe_stats(const BlkStats *s, const char *device, const Node *node)
{
	static const struct { const char *prefix; BlkOp op; bool bytes; } kinds[] = {
		{ "rd", BLK_READ, true }, { "wr", BLK_WRITE, true }, { "flush", BLK_FLUSH, false }, { "unmap", BLK_UNMAP, true },
	};
	json_t *stats = json_pack("{sI sb sb s[]}", "wr_highest_offset", (json_int_t)s->highest_offset, "account_invalid", true,
				  "account_failed", true, "timed_stats");
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		const struct { const char *format; uint64_t value; bool given; } rows[] = {
			{ "%s_operations", s->operations[kinds[i].op], true },
			{ "%s_bytes", s->bytes[kinds[i].op], kinds[i].bytes },
			{ "%s_total_time_ns", (uint64_t)s->time_ns[kinds[i].op], true },
			{ "%s_merged", 0, kinds[i].bytes },
			{ "failed_%s_operations", s->failed[kinds[i].op], true },
			{ "invalid_%s_operations", 0, true },
		};
		for (unsigned k = 0; k < G_N_ELEMENTS(rows); k++) {
			char name[64];
			if (!rows[k].given)
				continue;
			g_snprintf(name, sizeof(name), rows[k].format, kinds[i].prefix);
			json_object_set_new(stats, name, json_integer((json_int_t)rows[k].value));
		}
	}
	json_t *o = json_pack("{so}", "stats", stats);
	if (device)
		json_object_set_new(o, "device", json_string(device));
	if (node)
		json_object_set_new(o, "node-name", json_string(node->name));
	return o;
}

static void add_stats(Blk *blk, void *opaque)
{
	void *device;
	const BlkDevice *user = blk_device(blk, &device);
	BlkStats s = blk_stats(blk);
	json_t *o = describe_stats(&s, name_of(blk), blk_node(blk));
	if (user)
		json_object_set_new(o, "qdev", json_string(user->name));
	json_array_append_new(opaque, o);
}

static void add_node_stats(Node *node, void *opaque)
{
	static const BlkStats none;
	json_array_append_new(opaque, describe_stats(&none, NULL, node));
}

json_t *serve_blockstats(Monitor *mon, const json_t *args, GError **error)
{
	json_t *list = json_array();
	machine_lock();
	if (member_is(args, "query-nodes"))
		node_each(add_node_stats, list);
	else
		blk_each(add_stats, list);
	machine_unlock();
	return list;
}

void show_blockstats(Monitor *mon, const json_t *reply, GString *out)
{
	static const char *const shown[] = { "rd_bytes", "wr_bytes", "rd_operations", "wr_operations", "flush_operations",
					     "wr_total_time_ns", "rd_total_time_ns", "flush_total_time_ns", "rd_merged", "wr_merged",
					     "idle_time_ns" };
	size_t i;
	json_t *o;

	json_array_foreach (reply, i, o) {
		const char *name = member_text(o, "device");
		g_string_append_printf(out, "%s:", *name ? name : member_text(o, "node-name") ? member_text(o, "node-name") : member_text(o, "qdev"));
		for (unsigned k = 0; k < G_N_ELEMENTS(shown); k++)
			g_string_append_printf(out, " %s=%" JSON_INTEGER_FORMAT, shown[k],
					       member_number(json_object_get(o, "stats"), shown[k]));
		g_string_append_c(out, '\n');
	}
}

/* ---- in words ---- */

static void show_throttle(const json_t *node, GString *out)
{
	if (!json_object_get(node, "group"))
		return;
	g_string_append(out, "    I/O throttling:  ");
	for (unsigned i = 0; i < BLK_LIMIT_COUNT; i++)
		g_string_append_printf(out, " %s=%" JSON_INTEGER_FORMAT, blk_limits[i].name,
				       member_number(node, blk_limits[i].name));
	g_string_append_printf(out, " group=%s\n", member_text(node, "group"));
}

static void show_node(const json_t *node, GString *out)
{
	const json_t *cache = json_object_get(node, "cache");

	g_string_append_printf(out, "    Cache mode:       %s%s%s\n", member_is(cache, "writeback") ? "writeback" : "writethrough",
			       member_is(cache, "direct") ? ", direct" : "", member_is(cache, "no-flush") ? ", ignore flushes" : "");
	if (member_text(node, "backing_file"))
		g_string_append_printf(out, "    Backing file:     %s (chain depth: %d)\n", member_text(node, "backing_file"),
				       (int)member_number(node, "backing_file_depth"));
	if (strcmp(member_text(node, "detect_zeroes"), "off"))
		g_string_append_printf(out, "    Detect zeroes:    %s\n", member_text(node, "detect_zeroes"));
	show_throttle(node, out);
}

static void show_medium(const char *title, const json_t *node, GString *out)
{
	g_string_append_printf(out, "%s: %s (%s%s)\n", title, member_text(node, "file"), member_text(node, "drv"),
			       member_is(node, "ro") ? ", read-only" : "");
}

static void show_drive(const json_t *o, GString *out)
{
	const json_t *node = json_object_get(o, "inserted");
	const char *name = member_text(o, "device"), *status = member_text(o, "io-status");

	if (node) {
		char *title = *name ? g_strdup_printf("%s (%s)", name, member_text(node, "node-name")) : g_strdup(member_text(node, "node-name"));
		show_medium(title, node, out);
		g_free(title);
	} else {
		g_string_append_printf(out, "%s: [not inserted]\n", *name ? name : member_text(o, "qdev"));
	}
	if (member_text(o, "qdev"))
		g_string_append_printf(out, "    Attached to:      %s\n", member_text(o, "qdev"));
	if (status && strcmp(status, "ok"))
		g_string_append_printf(out, "    I/O status:       %s\n", status);
	if (member_is(o, "removable"))
		g_string_append_printf(out, "    Removable device: %slocked, tray %s\n", member_is(o, "locked") ? "" : "not ",
				       member_is(o, "tray_open") ? "open" : "closed");
	if (node)
		show_node(node, out);
}

/* `only`: the drive or node of that name; NULL: all. */
static void show_list(const json_t *list, void (*show)(const json_t *o, GString *out), const char *only, GString *out)
{
	size_t i;
	json_t *o;
	json_array_foreach (list, i, o) {
		const char *name = member_text(o, "device") ? member_text(o, "device") : member_text(o, "node-name");
		if (only && strcmp(name, only))
			continue;
		if (out->len)
			g_string_append_c(out, '\n');
		show(o, out);
	}
}

static void show_named(const json_t *node, GString *out)
{
	show_medium(member_text(node, "node-name"), node, out);
	show_node(node, out);
}

void info_block(Monitor *mon, const Args *args, GString *out)
{
	json_t *list = args->given[0] ? serve_named_nodes(mon, NULL, NULL) : serve_block(mon, NULL, NULL);
	show_list(list, args->given[0] ? show_named : show_drive, args->given[1] ? args->text[1] : NULL, out);
	json_decref(list);
}
