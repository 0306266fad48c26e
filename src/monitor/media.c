/*
 * media.c - drives at work: trays and media, sizes, limits, commit; drives and nodes that come and go.
 *
 * Main thread, machine lock not held.
 */
#include <string.h>

#include "block/drive.h"
#include "core/error.h"
#include "core/lock.h"
#include "monitor/private.h"

/* ---- finding ---- */

typedef struct ByDevice {
	const char *name;
	Blk *found;
} ByDevice;

/* Devices are called by their id, or their whole path. */
static void match_device(Blk *blk, void *opaque)
{
	ByDevice *s = opaque;
	void *device;
	const BlkDevice *user = blk_device(blk, &device);
	if (user && !strcmp(user->name, s->name))
		s->found = blk;
}

/* "device": a drive's id; "id": of its device. NULL with *error. */
static Blk *find_drive(const json_t *args, GError **error)
{
	const char *drive = member_text(args, "device"), *id = member_text(args, "id");
	ByDevice s = { id, NULL };

	if (!drive == !id) {
		fail(error, VIV_ERROR_INVALID, "Need exactly one of 'device' and 'id'");
		return NULL;
	}
	if (drive)
		s.found = blk_find(drive);
	else
		blk_each(match_device, &s);
	if (!s.found)
		fail(error, VIV_ERROR_NO_DEVICE, "Device '%s' not found", drive ? drive : id);
	return s.found;
}

static const char *label(Blk *blk, const json_t *args) { return member_text(args, "id") ? member_text(args, "id") : blk_id(blk); }

/* ---- trays ---- */

/* False with *error: the guest keeps it locked, and `force` was not said. */
static bool open_tray(Blk *blk, const char *name, bool force, GError **error)
{
	void *device;
	const BlkDevice *user = blk_device(blk, &device);

	if (!blk_removable(user))
		return fail(error, VIV_ERROR_FAILED, "Device '%s' is not removable", name);
	if (!user || !user->move_tray || user->tray_open(device))
		return true;
	bool locked = user->locked && user->locked(device);
	if (locked && user->eject_request)
		user->eject_request(device, force);
	if (locked && !force)
		return fail(error, VIV_ERROR_FAILED,
			    "Device '%s' is locked and force was not specified, wait for tray to open and try again", name);
	user->move_tray(device, true);
	return true;
}

static void close_tray(Blk *blk)
{
	void *device;
	const BlkDevice *user = blk_device(blk, &device);
	if (user && user->move_tray && user->tray_open(device))
		user->move_tray(device, false);
}

/* The medium can be taken or put in. */
static bool tray_is_open(Blk *blk, const char *name, GError **error)
{
	void *device;
	const BlkDevice *user = blk_device(blk, &device);

	if (!blk_removable(user))
		return fail(error, VIV_ERROR_FAILED, "Device '%s' is not removable", name);
	return !user || !user->move_tray || user->tray_open(device) ||
	       fail(error, VIV_ERROR_FAILED, "Tray of device '%s' is not open", name);
}

/* Runs one of the steps below on the drive that `args` names, machine lock held. */
static json_t *on_drive(const json_t *args, bool (*step)(Blk *blk, const json_t *args, GError **error), GError **error)
{
	machine_lock();
	Blk *blk = find_drive(args, error);
	bool ok = blk && step(blk, args, error);
	machine_unlock();
	return ok ? json_object() : NULL;
}

static bool step_open(Blk *blk, const json_t *args, GError **error)
{
	void *device;
	const BlkDevice *user = blk_device(blk, &device);
	if (user && user->changed && !user->move_tray)
		return fail(error, VIV_ERROR_FAILED, "Device '%s' does not have a tray", label(blk, args));
	return open_tray(blk, label(blk, args), member_is(args, "force"), error);
}

static bool step_close(Blk *blk, const json_t *args, GError **error)
{
	void *device;
	if (!blk_removable(blk_device(blk, &device)))
		return fail(error, VIV_ERROR_FAILED, "Device '%s' is not removable", label(blk, args));
	close_tray(blk);
	return true;
}

static bool step_remove(Blk *blk, const json_t *args, GError **error)
{
	if (!tray_is_open(blk, label(blk, args), error))
		return false;
	if (blk_inserted(blk))
		blk_insert(blk, NULL);
	return true;
}

static bool step_insert(Blk *blk, const json_t *args, GError **error)
{
	Node *node = node_find(member_text(args, "node-name"));

	if (!node)
		return fail(error, VIV_ERROR_NO_DEVICE, "Node '%s' not found", member_text(args, "node-name"));
	if (!tray_is_open(blk, label(blk, args), error))
		return false;
	if (blk_inserted(blk))
		return fail(error, VIV_ERROR_FAILED, "There already is a medium in device '%s'", label(blk, args));
	blk_insert(blk, node_ref(node));
	return blk_inserted(blk) || fail(error, VIV_ERROR_FAILED, "Node '%s' is in use by another process", node->name);
}

static bool step_eject(Blk *blk, const json_t *args, GError **error)
{
	if (!open_tray(blk, label(blk, args), member_is(args, "force"), error))
		return false;
	if (blk_inserted(blk))
		blk_insert(blk, NULL);
	return true;
}

json_t *serve_open_tray(Monitor *mon, const json_t *args, GError **error) { return on_drive(args, step_open, error); }
json_t *serve_close_tray(Monitor *mon, const json_t *args, GError **error) { return on_drive(args, step_close, error); }
json_t *serve_remove_medium(Monitor *mon, const json_t *args, GError **error) { return on_drive(args, step_remove, error); }
json_t *serve_insert_medium(Monitor *mon, const json_t *args, GError **error) { return on_drive(args, step_insert, error); }
json_t *serve_eject(Monitor *mon, const json_t *args, GError **error) { return on_drive(args, step_eject, error); }

/* ---- another medium ---- */

/* Opened as the drive has been, if read-only-mode= does not say otherwise. */
static Node *open_medium(Blk *blk, const json_t *args, GError **error)
{
	const char *mode = member_text(args, "read-only-mode"), *format = member_text(args, "format");
	bool read_only = !mode || !strcmp(mode, "retain") ? blk_read_only(blk) : !strcmp(mode, "read-only");
	const Node *old = blk_node(blk);
	unsigned flags = (read_only ? 0 : NODE_WRITE) | (old ? old->flags & (NODE_DIRECT | NODE_NO_FLUSH) : 0);
	json_t *opts = json_object();

	if (format)
		json_object_set_new(opts, "driver", json_string(format));
	return node_open(loop_main(), member_text(args, "filename"), opts, flags, error);
}

static bool step_change(Blk *blk, const json_t *args, GError **error)
{
	Node *node = open_medium(blk, args, error);
	if (!node)
		return false;
	if (!open_tray(blk, label(blk, args), member_is(args, "force"), error)) {
		node_unref(node);
		return false;
	}
	blk_insert(blk, NULL);
	blk_insert(blk, node);
	close_tray(blk);
	return blk_inserted(blk) || fail(error, VIV_ERROR_FAILED, "'%s' is in use by another process", member_text(args, "filename"));
}

json_t *serve_change_medium(Monitor *mon, const json_t *args, GError **error) { return on_drive(args, step_change, error); }

/* `change`: a drive's medium; of VNC the password (vnc.c). */
void command_change(Monitor *mon, const Args *args, GString *out)
{
	if (!strcmp(args->text[1], "vnc")) {
		change_vnc(mon, args->text[2], args->text[3], out);
		return;
	}
	if (!args->given[2]) {
		g_string_append(out, "Error: Parameter 'target' is missing\n");
		return;
	}
	json_t *words = json_pack("{ss ss sb ss* ss*}", "device", args->text[1], "filename", args->text[2], "force", args->given[0],
				  "format", args->text[3], "read-only-mode", args->text[4]);
	monitor_serve(mon, serve_change_medium, words, out);
}

/* ---- sizes, limits ---- */

json_t *serve_block_resize(Monitor *mon, const json_t *args, GError **error)
{
	const char *drive = member_text(args, "device"), *name = member_text(args, "node-name");
	json_int_t size = member_number(args, "size");
	bool ok = false;

	machine_lock();
	Blk *blk = drive ? blk_find(drive) : NULL;
	if (!drive == !name)
		fail(error, VIV_ERROR_INVALID, "Need exactly one of 'device' and 'node-name'");
	else if (name)
		fail(error, VIV_ERROR_UNSUPPORTED, "A node is resized by its drive's name: give 'device'");
	else if (!blk)
		fail(error, VIV_ERROR_NO_DEVICE, "Cannot find device='%s' nor node-name=''", drive);
	else if (size < 0)
		fail(error, VIV_ERROR_INVALID, "Parameter 'size' expects a >0 size");
	else
		ok = blk_resize(blk, (uint64_t)size, error);
	machine_unlock();
	return ok ? json_object() : NULL;
}

static bool step_throttle(Blk *blk, const json_t *args, GError **error)
{
	BlkThrottle t = { 0 };

	for (unsigned i = 0; i < BLK_LIMIT_COUNT; i++)
		*blk_limit(&t, &blk_limits[i]) = (uint64_t)member_number(args, blk_limits[i].name);
	if (!blk_throttle_check(&t, error))
		return false;
	blk_set_throttle(blk, &t);
	return true;
}

json_t *serve_throttle(Monitor *mon, const json_t *args, GError **error) { return on_drive(args, step_throttle, error); }

/* ---- commit ---- */

typedef struct CommitCall {
	Node *top;
	GError **error;
	bool ok;
} CommitCall;

static void commit_fiber(void *opaque)
{
	CommitCall *c = opaque;
	c->ok = node_commit(c->top, c->top->backing, true, NULL, NULL, c->error);
}

static void commit_drive(Blk *blk, GString *out)
{
	GError *error = NULL;
	CommitCall c = { blk_node(blk), &error, false };

	blk_drain(blk);
	loop_call(blk_loop(blk), commit_fiber, &c);
	if (!c.ok)
		g_string_append_printf(out, "'commit' error for '%s': %s\n", blk_id(blk), error->message);
	g_clear_error(&error);
}

static void commit_if_layered(Blk *blk, void *opaque)
{
	if (blk_node(blk) && blk_node(blk)->backing)
		commit_drive(blk, opaque);
}

void command_commit(Monitor *mon, const Args *args, GString *out)
{
	const char *name = args->text[0];

	machine_hold_vcpus(mon->m);
	machine_lock();
	Blk *blk = blk_find(name);
	if (!strcmp(name, "all"))
		blk_each(commit_if_layered, out);
	else if (!blk)
		g_string_append_printf(out, "Device '%s' not found\n", name);
	else if (!blk_node(blk))
		g_string_append_printf(out, "Device '%s' has no medium\n", name);
	else if (!blk_node(blk)->backing)
		g_string_append_printf(out, "'commit' error for '%s': The image has no backing file\n", name);
	else
		commit_drive(blk, out);
	machine_unlock();
	machine_release_vcpus(mon->m);
}

/* ---- drives and nodes that come and go ---- */

json_t *serve_blockdev_add(Monitor *mon, const json_t *args, GError **error)
{
	machine_lock();
	bool ok = blockdev_add(json_deep_copy(args), error);
	machine_unlock();
	return ok ? json_object() : NULL;
}

json_t *serve_blockdev_del(Monitor *mon, const json_t *args, GError **error)
{
	machine_lock();
	bool ok = blockdev_del(member_text(args, "node-name"), error);
	machine_unlock();
	return ok ? json_object() : NULL;
}
