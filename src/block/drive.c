/*
 * drive.c - from the words of -drive to a drive. qemu-kvm(1), -drive. Threads: see drive.h.
 */
#include "block/drive.h"

#include <string.h>
#include <unistd.h>

#include "block/opts.h"
#include "core/units.h"

const char *const drive_if_names[DRIVE_IFS + 1] = {
	"none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio", NULL
};

DriveSpec *drive_spec_new(DriveIf interface)
{
	DriveSpec *s = g_new0(DriveSpec, 1);
	*s = (DriveSpec){.interface = interface,
			 .index = -1,
			 .bus = -1,
			 .unit = -1,
			 .snapshot = -1,
			 .node = json_object(),
			 .words = g_ptr_array_new_with_free_func(g_free)};
	return s;
}

void drive_spec_free(DriveSpec *s)
{
	if (!s)
		return;
	char *strings[] = { s->id, s->file, s->cache, s->format, s->werror, s->rerror, s->addr };
	for (unsigned i = 0; i < G_N_ELEMENTS(strings); i++)
		g_free(strings[i]);
	json_decref(s->node);
	g_ptr_array_free(s->words, TRUE);
	g_free(s);
}

bool cache_mode(const char *mode, bool *direct, bool *no_flush, bool *write_cache)
{
	static const struct { const char *name; bool direct, no_flush, write_cache;
	} modes[] = {
	    {"none", true, false, true},	{"off", true, false, true},
	    {"directsync", true, false, false}, {"writeback", false, false, true},
	    {"unsafe", false, true, true},	{"writethrough", false, false, false},
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++)
		if (!strcmp(modes[i].name, mode)) {
			*direct = modes[i].direct;
			*no_flush = modes[i].no_flush;
			*write_cache = modes[i].write_cache;
			return true;
		}
	return false;
}

/* ---- Words ---- */

static bool parse_policy(const char *text, bool write, BlkErrorPolicy *out)
{
	static const char *const names[] = { "auto", "report", "ignore", "stop", "enospc" };
	if (!text) {
		*out = ERROR_AUTO;
		return true;
	}
	for (unsigned i = ERROR_REPORT; i < G_N_ELEMENTS(names); i++)
		if (!strcmp(names[i], text)) {
			*out = (BlkErrorPolicy)i;
			return write || i != ERROR_ENOSPC;
		}
	return false;
}

static bool set_number(const char *key, const char *value, int *out, GError **error)
{
	guint64 n;
	if (!g_ascii_string_to_unsigned(value, 10, 0, 65535, &n, NULL))
		return fail(error, VIV_ERROR_INVALID, "%s=%s: expected a small number.", key,
			    value);
	*out = (int)n;
	return true;
}

static bool set_text(char **at, const char *value)
{
	g_free(*at);
	*at = g_strdup(value);
	return true;
}

static bool set_interface(DriveSpec *s, const char *value, GError **error)
{
	for (int i = 0; i < DRIVE_IFS; i++)
		if (!strcmp(drive_if_names[i], value)) {
			s->interface = (DriveIf)i;
			return true;
		}
	char *names = g_strjoinv(", ", (char **)drive_if_names);
	fail(error, VIV_ERROR_INVALID, "unsupported bus type '%s'; there are: %s", value, names);
	g_free(names);
	return false;
}

static bool set_media(DriveSpec *s, const char *value, GError **error)
{
	s->media_given = true;
	s->cdrom = !strcmp(value, "cdrom");
	return s->cdrom || !strcmp(value, "disk") ||
		fail(error, VIV_ERROR_INVALID, "'%s' invalid media; there are: disk, cdrom", value);
}

/* Throttling by its old short words and by the new long ones. */
static bool set_throttle(DriveSpec *s, const char *key, const char *value, bool *known,
			 GError **error)
{
	const char *name = g_str_has_prefix(key, "throttling.") ? key + 11 : NULL;
	*known = false;
	for (unsigned i = 0; i < BLK_LIMIT_COUNT; i++) {
		if (strcmp(blk_limits[i].name, key) && g_strcmp0(blk_limits[i].option, name))
			continue;
		*known = true;
		return parse_size(value, 1, blk_limit(&s->throttle, &blk_limits[i])) ||
			fail(error, VIV_ERROR_INVALID, "%s=%s: expected a number.", key, value);
	}
	return true;
}

static bool set_bool(const char *key, const char *value, bool *out, GError **error)
{
	json_t *o = json_pack("{s:s}", key, value);
	bool ok = opts_take_bool(o, key, out, error);
	json_decref(o);
	return ok;
}

static bool set_word(DriveSpec *s, const char *key, const char *value, GError **error)
{
	static const struct { const char *key; size_t at;
	} texts[] = {
	    {"id", offsetof(DriveSpec, id)},	     {"file", offsetof(DriveSpec, file)},
	    {"cache", offsetof(DriveSpec, cache)},   {"format", offsetof(DriveSpec, format)},
	    {"driver", offsetof(DriveSpec, format)}, {"werror", offsetof(DriveSpec, werror)},
	    {"rerror", offsetof(DriveSpec, rerror)}, {"addr", offsetof(DriveSpec, addr)},
	};
	static const struct { const char *key; size_t at; } numbers[] = {
		{ "index", offsetof(DriveSpec, index) }, { "bus", offsetof(DriveSpec, bus) },
		{ "unit", offsetof(DriveSpec, unit) },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
		if (!strcmp(texts[i].key, key))
			return set_text((char **)((char *)s + texts[i].at), value);
	for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (!strcmp(numbers[i].key, key))
			return set_number(key, value, (int *)((char *)s + numbers[i].at), error);
	if (!strcmp(key, "if"))
		return set_interface(s, value, error);
	if (!strcmp(key, "media"))
		return set_media(s, value, error);
	if (!strcmp(key, "readonly") || !strcmp(key, "read-only"))
		return set_bool(key, value, &s->read_only, error);
	if (!strcmp(key, "copy-on-read"))
		return set_bool(key, value, &s->copy_on_read, error);
	if (!strcmp(key, "snapshot")) {
		bool on;
		if (!set_bool(key, value, &on, error))
			return false;
		s->snapshot = on;
		return true;
	}
	bool known;
	if (!set_throttle(s, key, value, &known, error) || known)
		return *error == NULL;
	/* aio= and locking= are the file's. */
	char *dotted = !strcmp(key, "aio") || !strcmp(key, "locking")
			   ? g_strconcat("file.", key, NULL)
			   : g_strdup(key);
	bool ok = opts_put(s->node, dotted, value, error);
	g_free(dotted);
	return ok;
}

bool drive_spec_set(DriveSpec *s, const char *key, const char *value, GError **error)
{
	g_ptr_array_add(s->words, g_strdup(key));
	g_ptr_array_add(s->words, g_strdup(value));
	return set_word(s, key, value, error);
}

/* ---- Places ---- */

unsigned drive_if_units(DriveIf interface)
{
	return interface == DRIVE_IDE	   ? 2
	       : interface == DRIVE_SCSI   ? 7
	       : interface == DRIVE_FLOPPY ? 2
					   : 0;
}

static const DriveSpec *taken(const GPtrArray *placed, DriveIf interface, int bus, int unit)
{
	for (unsigned i = 0; i < placed->len; i++) {
		const DriveSpec *d = g_ptr_array_index(placed, i);
		if (d->placed && d->interface == interface && d->bus == bus && d->unit == unit)
			return d;
	}
	return NULL;
}

static void name_it(DriveSpec *s)
{
	const char *media = s->cdrom ? "-cd" : "-hd";
	if (s->id)
		return;
	if (s->interface == DRIVE_IDE || s->interface == DRIVE_SCSI)
		s->id = g_strdup_printf("%s%d%s%d", drive_if_names[s->interface], s->bus, media,
					s->unit);
	else
		s->id = g_strdup_printf("%s%d", drive_if_names[s->interface], s->unit);
}

bool drive_place(DriveSpec *s, const GPtrArray *placed, GError **error)
{
	unsigned units = drive_if_units(s->interface);
	if (s->index >= 0 && (s->bus >= 0 || s->unit >= 0))
		return fail(error, VIV_ERROR_INVALID, "index cannot be used with bus and unit");
	if (s->index >= 0) {
		s->bus = units ? s->index / (int)units : 0;
		s->unit = units ? s->index % (int)units : s->index;
	}
	s->bus = MAX(s->bus, 0);
	for (int unit = 0; s->unit < 0; unit++) {
		if (units && unit >= (int)units) {
			s->bus++;
			unit = 0;
		}
		if (!taken(placed, s->interface, s->bus, unit))
			s->unit = unit;
	}
	if (units && s->unit >= (int)units)
		return fail(error, VIV_ERROR_INVALID, "unit %d too big (max is %u)", s->unit,
			    units - 1);
	const DriveSpec *other = taken(placed, s->interface, s->bus, s->unit);
	if (other)
		return fail(error, VIV_ERROR_INVALID,
			    "drive with bus=%d, unit=%d (index=%d) exists: '%s'. Give one of the "
			    "two another index=.",
			    s->bus, s->unit, s->bus * (int)units + s->unit,
			    other->file && *other->file ? other->file : other->id);
	name_it(s);
	for (unsigned i = 0; i < placed->len; i++) {
		const DriveSpec *d = g_ptr_array_index(placed, i);
		if (d->placed && !strcmp(d->id, s->id))
			return fail(error, VIV_ERROR_INVALID, "Duplicate ID '%s' for drive", s->id);
	}
	return s->placed = true;
}

/* ---- Opening ---- */

static bool policies(const DriveSpec *s, BlkErrorPolicy out[2], GError **error)
{
	if (!parse_policy(s->rerror, false, &out[0]))
		return fail(error, VIV_ERROR_INVALID,
			    "'%s' invalid read error action; there are: report, ignore, stop",
			    s->rerror);
	if (!parse_policy(s->werror, true, &out[1]))
		return fail(
		    error, VIV_ERROR_INVALID,
		    "'%s' invalid write error action; there are: report, ignore, enospc, stop",
		    s->werror);
	bool can = s->interface != DRIVE_FLOPPY && s->interface != DRIVE_PFLASH &&
		   s->interface != DRIVE_MTD && s->interface != DRIVE_SD;
	if ((s->werror || s->rerror) && !can)
		return fail(error, VIV_ERROR_INVALID,
			    "werror= and rerror= are not supported by this bus type (if=%s)",
			    drive_if_names[s->interface]);
	return true;
}

static void warn_of_probing(const DriveSpec *s, const Node *node, GPtrArray *warnings)
{
	if (node->flags & NODE_PROBED && !node->read_only && warnings)
		g_ptr_array_add(
		    warnings,
		    g_strdup_printf(
			"Image format was not specified for '%s' and probing guessed raw.\n"
			"         Automatically detecting the format is dangerous for raw images, "
			"write operations on block 0 will be restricted.\n"
			"         Specify the 'raw' format explicitly to remove the restrictions.",
			s->file));
}

/* copy-on-read=on: the filter over what was opened; takes the reference over. */
static Node *with_copy_on_read(Node *node, unsigned flags, GPtrArray *warnings, GError **error)
{
	if (!node || node->read_only) {
		if (node && warnings)
			g_ptr_array_add(warnings,
				g_strdup("disabling copy-on-read on read-only drive"));
		return node;
	}
	/* Written to even if the disk below is not: then it is a temporary overlay. */
	return node_open_copy_on_read(node, flags | NODE_WRITE, error);
}

static Node *open_medium(const DriveSpec *s, bool direct, bool no_flush, GPtrArray *warnings,
			 GError **error)
{
	json_t *opts = json_deep_copy(s->node);
	if (s->format)
		json_object_set_new(opts, "driver", json_string(s->format));
	bool write = !s->read_only && !s->cdrom;
	unsigned flags = (write ? NODE_WRITE : 0) | (direct ? NODE_DIRECT : 0) |
			 (no_flush ? NODE_NO_FLUSH : 0);
	if (s->snapshot == 1)
		flags = NODE_NO_FLUSH;
	bool named = s->file && *s->file;
	Node *node = node_open(loop_main(), named ? s->file : NULL, opts, flags, error);
	if (!node)
		return NULL;
	if (s->snapshot != 1)
		warn_of_probing(s, node, warnings);
	else if (write)
		node = node_open_overlay(node, error);
	return s->copy_on_read ? with_copy_on_read(node, flags, warnings, error) : node;
}

Blk *drive_open(const DriveSpec *s, GPtrArray *warnings, GError **error)
{
	bool direct = false, no_flush = false, write_cache = true;
	BlkErrorPolicy policy[2] = { ERROR_AUTO, ERROR_AUTO };
	if (s->cache && !cache_mode(s->cache, &direct, &no_flush, &write_cache)) {
		fail(error, VIV_ERROR_INVALID,
		     "invalid cache option '%s'; there are: none, writeback, writethrough, "
		     "directsync, unsafe",
		     s->cache);
		return NULL;
	}
	if (!policies(s, policy, error) || !blk_throttle_check(&s->throttle, error))
		return NULL;
	if (blk_find(s->id)) {
		fail(error, VIV_ERROR_INVALID, "Duplicate ID '%s' for drive", s->id);
		return NULL;
	}
	Node *node = NULL;
	bool medium = (s->file && *s->file) || json_object_size(s->node) || s->format;
	if (medium && !(node = open_medium(s, direct, no_flush, warnings, error)))
		return NULL;
	Blk *blk = blk_new(s->id);
	blk_set_read_only(blk, s->read_only || s->cdrom);
	blk_set_write_cache(blk, write_cache);
	blk_set_error_policy(blk, policy[0], policy[1]);
	blk_set_throttle(blk, &s->throttle);
	if (node)
		blk_insert(blk, node);
	return blk;
}

/* ---- -blockdev ---- */

/* References that -blockdev holds; guarded by the machine lock. */
static struct { GPtrArray *nodes; } monitor_owned;

bool blockdev_add(json_t *opts, GError **error)
{
	const char *name = opt_text(opts, "node-name");
	if (!name || !opt_text(opts, "driver")) {
		fail(error, VIV_ERROR_INVALID, "'%s' must be specified for the root node",
		     name ? "driver" : "node-name");
		json_decref(opts);
		return false;
	}
	Node *node = node_open(loop_main(), NULL, opts, NODE_WRITE, error);
	if (!node)
		return false;
	if (!monitor_owned.nodes)
		monitor_owned.nodes = g_ptr_array_new();
	g_ptr_array_add(monitor_owned.nodes, node);
	return true;
}

bool blockdev_del(const char *name, GError **error)
{
	for (unsigned i = 0; monitor_owned.nodes && i < monitor_owned.nodes->len; i++) {
		Node *node = g_ptr_array_index(monitor_owned.nodes, i);
		if (strcmp(node->name, name))
			continue;
		if (node->refs > 1)
			return fail(error, VIV_ERROR_FAILED, "Block device %s is in use", name);
		g_ptr_array_remove_index(monitor_owned.nodes, i);
		node_unref(node);
		return true;
	}
	return fail(error, VIV_ERROR_FAILED, "Failed to find node with node-name='%s'", name);
}

void blockdev_close_all(void)
{
	while (monitor_owned.nodes && monitor_owned.nodes->len) {
		/* Those on top were opened last. */
		Node *node = g_ptr_array_index(monitor_owned.nodes, monitor_owned.nodes->len - 1);
		g_ptr_array_remove_index(monitor_owned.nodes, monitor_owned.nodes->len - 1);
		node_unref(node);
	}
}
