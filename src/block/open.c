/*
 * open.c - from names and options to a chain of opened nodes.
 *
 * The words are those of qemu's -blockdev and of its file names ("json:{...}",
 * "PROTOCOL:rest"). Threads: see node.h.
 */
#include "block/node.h"

#include <string.h>

#include "block/opts.h"

#define HEAD_SIZE 2048  /* what probing looks at */
#define DEPTH_MAX 200   /* of a backing chain: a loop of names must end */

static Node *open_any(const char *filename, json_t *opts, unsigned flags, unsigned depth,
		      GError **error);

/* ---- Names ---- */

/* "file:x" and the like: the driver's name up to the colon, or NULL for a plain path. */
static char *name_protocol(const char *filename)
{
	size_t n = strspn(filename, "abcdefghijklmnopqrstuvwxyz0123456789+-._");
	return n && filename[n] == ':' ? g_strndup(filename, n) : NULL;
}

char *node_path(const char *of, const char *name)
{
	char *protocol = name_protocol(name);
	const char *slash = of && !g_str_has_prefix(of, "json:") ? strrchr(of, '/') : NULL;
	bool plain = !protocol && !g_path_is_absolute(name) && slash;
	g_free(protocol);
	return plain ? g_strdup_printf("%.*s%s", (int)(slash - of + 1), of, name) : g_strdup(name);
}

/* Merges json:{...} into opts; explicit options win. */
static bool merge_json(const char *text, json_t *opts, GError **error)
{
	json_error_t e;
	json_t *parsed = json_loads(text, 0, &e);
	if (!parsed || !json_is_object(parsed)) {
		json_decref(parsed);
		return fail(error, VIV_ERROR_INVALID, "Could not parse the JSON options '%s': %s.",
			    text, parsed ? "not an object" : e.text);
	}
	/* Dotted keys are allowed there too. */
	json_t *flat = json_object();
	const char *key;
	json_t *value;
	json_object_foreach(parsed, key, value)
		if (strchr(key, '.') && json_is_string(value))
			opts_put(flat, key, json_string_value(value), NULL);
		else
			json_object_set(flat, key, value);
	json_object_update_missing(opts, flat);
	json_decref(flat);
	json_decref(parsed);
	return true;
}

/* Puts a protocol's own words for `filename` into opts. */
static bool name_to_opts(const char *filename, json_t *opts, GError **error)
{
	char *protocol = name_protocol(filename);
	const Driver *driver = protocol ? driver_find(protocol) : NULL;
	if (protocol && (!driver || !driver->protocol)) {
		fail(error, VIV_ERROR_INVALID, "Unknown protocol '%s' in file name '%s'. "
			"Write ./%s if that is the name of a file.", protocol, filename, filename);
		g_free(protocol);
		return false;
	}
	const char *rest = filename;
	if (protocol) {
		rest += strlen(protocol) + 1;
		if (g_str_has_prefix(rest, "//"))
			rest += 2;
	}
	if (!json_object_get(opts, "driver"))
		json_object_set_new(opts, "driver", json_string(protocol ? protocol : "file"));
	if (!json_object_get(opts, "filename"))
		json_object_set_new(opts, "filename", json_string(rest));
	g_free(protocol);
	return true;
}

/* ---- One node ---- */

static Node *node_new(const Driver *driver, unsigned flags)
{
	Node *node = g_new0(Node, 1);
	node->driver = driver;
	node->state = g_malloc0(MAX(driver->size, 1));
	node->flags = flags;
	node->refs = 1;
	node->claims = flags & NODE_EXCLUSIVE ? 1 : 0;
	node->align = 1;
	node->read_only = !(flags & NODE_WRITE);
	node->loop = loop_self();
	node->children = g_ptr_array_new();
	return node;
}

static void node_dispose(Node *node)
{
	opts_clear(node->driver->options, node->state);
	node_unref(node->file);
	node_unref(node->backing);
	for (unsigned i = 0; i < node->children->len; i++)
		node_unref(g_ptr_array_index(node->children, i));
	g_ptr_array_free(node->children, TRUE);
	g_free(node->backing_file);
	g_free(node->backing_format);
	g_free(node->filename);
	g_free(node->name);
	g_free(node->state);
	g_free(node);
}

/* The keys that every node has. */
static bool common_options(json_t *opts, unsigned *flags, Node *detect, GError **error)
{
	bool read_only = !(*flags & NODE_WRITE), force_share = *flags & NODE_SHARE,
	     automatic = false;
	bool direct = *flags & NODE_DIRECT, no_flush = *flags & NODE_NO_FLUSH;
	if (!opts_take_bool(opts, "read-only", &read_only, error) ||
	    !opts_take_bool(opts, "auto-read-only", &automatic, error) ||
	    !opts_take_bool(opts, "force-share", &force_share, error))
		return false;
	json_t *cache = json_object_get(opts, "cache");
	if (cache && !json_is_object(cache))
		return fail(error, VIV_ERROR_INVALID, "'cache' expects an object.");
	if (cache && (!opts_take_bool(cache, "direct", &direct, error) ||
		      !opts_take_bool(cache, "no-flush", &no_flush, error) ||
		      !opts_empty(NULL, cache, "cache", error)))
		return false;
	json_object_del(opts, "cache");
	char *discard = opts_take_text(opts, "discard"),
	     *zeroes = opts_take_text(opts, "detect-zeroes");
	bool unmap =
	    discard ? !strcmp(discard, "unmap") || !strcmp(discard, "on") : *flags & NODE_UNMAP;
	bool ok = !discard || unmap || !strcmp(discard, "ignore") || !strcmp(discard, "off") ||
		  fail(error, VIV_ERROR_INVALID,
		       "discard= expects ignore (off) or unmap (on), not '%s'.", discard);
	detect->detect_unmap = zeroes && !strcmp(zeroes, "unmap");
	detect->detect_zeroes = detect->detect_unmap || (zeroes && !strcmp(zeroes, "on"));
	if (ok && zeroes && !detect->detect_zeroes && strcmp(zeroes, "off"))
		ok = fail(error, VIV_ERROR_INVALID,
			  "detect-zeroes= expects on, off or unmap, not '%s'.", zeroes);
	if (ok && detect->detect_unmap && !unmap)
		ok = fail(error, VIV_ERROR_INVALID,
			  "setting detect-zeroes to unmap is not allowed without setting discard "
			  "operation to unmap");
	if (ok && force_share && !read_only)
		ok = fail(error, VIV_ERROR_INVALID,
			  "force-share=on can only be used with read-only images");
	g_free(discard);
	g_free(zeroes);
	*flags &= ~(unsigned)(NODE_WRITE | NODE_SHARE | NODE_DIRECT | NODE_NO_FLUSH | NODE_UNMAP);
	*flags |= (read_only ? 0 : NODE_WRITE) | (force_share ? NODE_SHARE : 0) |
		  (direct ? NODE_DIRECT : 0) | (no_flush ? NODE_NO_FLUSH : 0) |
		  (unmap ? NODE_UNMAP : 0);
	return ok;
}

/* What a child gets of its parent's flags. */
static unsigned inherited(unsigned flags)
{
	return flags & (NODE_WRITE | NODE_DIRECT | NODE_NO_FLUSH | NODE_UNMAP | NODE_SHARE |
			NODE_NO_IO | NODE_EXCLUSIVE);
}

/* "file" of opts: the name of a node, or an object; merged with the file name. */
static Node *open_file_child(const char *filename, json_t *opts, unsigned flags, unsigned depth,
			     GError **error)
{
	json_t *child = json_object_get(opts, "file");
	if (json_is_string(child)) {
		Node *node = node_find(json_string_value(child));
		if (!node)
			fail(error, VIV_ERROR_INVALID, "Cannot find device='' nor node-name='%s'",
			     json_string_value(child));
		json_object_del(opts, "file");
		if (node && flags & NODE_EXCLUSIVE && !node_claim(node, error))
			return NULL;
		return node ? node_ref(node) : NULL;
	}
	child = child ? json_incref(child) : json_object();
	json_object_del(opts, "file");
	if (filename && !name_to_opts(filename, child, error)) {
		json_decref(child);
		return NULL;
	}
	return open_any(NULL, child, flags, depth, error);
}

static const Driver *probe(Node *file, GError **error)
{
	uint8_t head[HEAD_SIZE] = { 0 };
	size_t len = MIN(file->length, sizeof(head));
	int err = node_pread(file, 0, head, len);
	if (err < 0) {
		fail(error, VIV_ERROR_FAILED, "Could not read image '%s' to find its format: %s.",
		     file->filename, g_strerror(-err));
		return NULL;
	}
	return driver_probe(head, len, file->filename);
}

static bool open_backing(Node *node, json_t *opts, unsigned flags, unsigned depth, GError **error)
{
	json_t *given = json_object_get(opts, "backing");
	if (given && !json_is_null(given) && !json_is_object(given) && !json_is_string(given))
		return fail(error, VIV_ERROR_INVALID,
			    "'backing' expects a node's name, an object or null.");
	given = given ? json_incref(given) : NULL;
	json_object_del(opts, "backing");
	bool none = json_is_null(given) || (json_is_string(given) && !*json_string_value(given));
	bool wanted = !(flags & NODE_NO_BACKING) && !none && (node->backing_file || given);
	bool ok = true;
	if (wanted && json_is_string(given)) {
		Node *b = node_find(json_string_value(given));
		ok = b || fail(error, VIV_ERROR_INVALID, "Cannot find device='' nor node-name='%s'",
			       json_string_value(given));
		node->backing = b ? node_ref(b) : NULL;
	} else if (wanted) {
		json_t *o = given ? json_incref(given) : json_object();
		if (node->backing_format && !json_object_get(o, "driver"))
			json_object_set_new(o, "driver", json_string(node->backing_format));
		bool own = json_object_get(o, "file") || !node->backing_file;
		char *path = own ? NULL : node_path(node->filename, node->backing_file);
		unsigned f = inherited(flags) & ~(unsigned)NODE_WRITE;
		node->backing = open_any(path, o, f, depth + 1, error);
		if (!node->backing) {
			g_prefix_error(error, "Could not open backing file: ");
			ok = false;
		}
		g_free(path);
	}
	json_decref(given);
	return ok;
}

/* Format drivers: the file child, and the driver if it has to be probed. */
static bool open_below(Node **file, const Driver **driver, const char *filename, json_t *opts,
		       unsigned *flags, unsigned depth, GError **error)
{
	unsigned child = inherited(*flags);
	/* Metadata cannot be shared with another writer. */
	if (*driver && !(*driver)->filter && !(*flags & NODE_SHARE))
		child |= NODE_EXCLUSIVE;
	*file = open_file_child(filename, opts, child, depth, error);
	if (!*file || *driver)
		return *file;
	*driver = probe(*file, error);
	if (!*driver)
		return false;
	if (!strcmp((*driver)->name, "raw")) {
		*flags |= NODE_PROBED;
		return true;
	}
	/* Opened before it was known what it is: now with the locks of its format. */
	return (child | *flags) & (NODE_EXCLUSIVE | NODE_SHARE) || node_claim(*file, error);
}

static bool register_name(Node *node, char *name, GError **error);

static Node *open_with(const Driver *driver, Node *file, json_t *opts, unsigned flags, char *name,
	const Node *detect, unsigned depth, GError **error)
{
	Node *node = node_new(driver, flags);
	node->file = file;
	node->detect_zeroes = detect->detect_zeroes;
	node->detect_unmap = detect->detect_unmap;
	node->filename = g_strdup(file ? file->filename : NULL);
	bool ok = opts_store(driver->options, opts, node->state, driver->name, error);
	if (ok && file) {
		json_t *rest = json_copy(opts);
		if (driver->backing)
			json_object_del(rest, "backing");
		ok = opts_empty(driver->options, rest, driver->name, error);
		json_decref(rest);
	} else if (ok) {
		ok = opts_empty(driver->options, opts, driver->name, error);
	}
	ok = ok && driver->open(node, error);
	if (ok && (!register_name(node, name, error) ||
	    (driver->backing && !open_backing(node, opts, flags, depth, error)))) {
		driver->close(node);
		node_forget(node);
		ok = false;
	}
	if (ok)
		return node;
	node_dispose(node);
	return NULL;
}

static Node *open_any(const char *filename, json_t *opts, unsigned flags, unsigned depth,
		      GError **error)
{
	Node *node = NULL, *file = NULL, detect = { 0 };
	char *driver_name = NULL, *name = NULL;
	const Driver *driver = NULL;
	if (depth > DEPTH_MAX) {
		fail(error, VIV_ERROR_INVALID,
		     "More than %d layers of backing files: does one name itself?", DEPTH_MAX);
		goto out;
	}
	if (filename && g_str_has_prefix(filename, "json:")) {
		if (!merge_json(filename + 5, opts, error))
			goto out;
		filename = NULL;
	}
	name = opts_take_text(opts, "node-name");
	driver_name = opts_take_text(opts, "driver");
	if (!common_options(opts, &flags, &detect, error))
		goto out;
	/* A name alone says which protocol it is; a format is found below it. */
	if (!driver_name && !filename && !json_object_get(opts, "file")) {
		const char *name_given = opt_text(opts, "filename");
		char *copy = g_strdup(name_given);
		json_object_del(opts, "filename");
		bool ok = copy ? name_to_opts(copy, opts, error)
			       : fail(error, VIV_ERROR_INVALID,
				      "A block device must be specified for \"file\"");
		g_free(copy);
		if (!ok)
			goto out;
		driver_name = opts_take_text(opts, "driver");
	}
	if (driver_name && !(driver = driver_find(driver_name))) {
		fail(error, VIV_ERROR_INVALID, "Unknown driver '%s'.", driver_name);
		goto out;
	}
	if (driver && driver->protocol) {
		if (filename && !json_object_get(opts, "filename"))
			json_object_set_new(opts, "filename", json_string(filename));
	} else if (!open_below(&file, &driver, filename, opts, &flags, depth, error)) {
		node_unref(file);
		goto out;
	}
	node = open_with(driver, file, opts, flags, name, &detect, depth, error);
out:
	g_free(driver_name);
	g_free(name);
	json_decref(opts);
	return node;
}

typedef struct OpenCall {
	const char *filename;
	json_t *opts;
	unsigned flags;
	Node *node;
	GError **error;
} OpenCall;

static void open_fiber(void *opaque)
{
	OpenCall *c = opaque;
	c->node = open_any(c->filename, c->opts, c->flags, 0, c->error);
}

Node *node_open(Loop *loop, const char *filename, json_t *opts, unsigned flags, GError **error)
{
	OpenCall c = { filename, opts ? opts : json_object(), flags, NULL, error };
	loop_call(loop, open_fiber, &c);
	return c.node;
}

Node *node_open_file(const char *filename, unsigned flags, GError **error)
{
	json_t *opts = json_object();
	if (name_to_opts(filename, opts, error))
		return open_any(NULL, opts, flags, 0, error);
	json_decref(opts);
	return NULL;
}

bool protocol_create(const char *filename, json_t *opts, GError **error)
{
	json_t *words = json_object();
	bool ok = name_to_opts(filename, words, error);
	const Driver *driver = ok ? driver_find(opt_text(words, "driver")) : NULL;
	if (ok && !driver->create)
		ok = fail(error, VIV_ERROR_UNSUPPORTED,
			  "Protocol driver '%s' does not support image creation", driver->name);
	ok = ok && driver->create(opt_text(words, "filename"), opts, error);
	json_decref(words);
	return ok;
}

bool node_create_file(const char *filename, uint64_t length, GError **error)
{
	json_t *opts = json_pack("{s:I}", "size", (json_int_t)length);
	bool ok = protocol_create(filename, opts, error);
	json_decref(opts);
	return ok;
}

/* ---- All nodes ---- */

/* Every open node of the process, oldest first; guarded by the machine lock, or the only thread. */
static struct { GPtrArray *list; unsigned serial; } graph;

Node *node_find(const char *name)
{
	for (unsigned i = 0; graph.list && i < graph.list->len; i++) {
		Node *n = g_ptr_array_index(graph.list, i);
		if (!strcmp(n->name, name))
			return n;
	}
	return NULL;
}

void node_each(void (*fn)(Node *node, void *opaque), void *opaque)
{
	for (unsigned i = 0; graph.list && i < graph.list->len; i++)
		fn(g_ptr_array_index(graph.list, i), opaque);
}

static bool register_name(Node *node, char *name, GError **error)
{
	if (name && (!g_ascii_isalpha(*name) ||
		     strspn(name, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "-._") != strlen(name)))
		return fail(error, VIV_ERROR_INVALID, "Invalid node-name: '%s'", name);
	if (name && node_find(name))
		return fail(error, VIV_ERROR_INVALID, "Duplicate nodes with node-name='%s'", name);
	if (!graph.list)
		graph.list = g_ptr_array_new();
	node->name = name ? g_strdup(name) : g_strdup_printf("#block%03u", graph.serial++);
	g_ptr_array_add(graph.list, node);
	return true;
}

void node_forget(Node *node)
{
	if (graph.list)
		g_ptr_array_remove(graph.list, node);
}

Node *node_ref(Node *node)
{
	node->refs++;
	return node;
}

static void close_fiber(void *opaque)
{
	Node *node = opaque;
	node_drain(node);
	if (!node->read_only)
		node_flush(node);
	node->driver->close(node);
	node_forget(node);
	node_dispose(node);
}

void node_unref(Node *node)
{
	if (node && --node->refs == 0)
		loop_call(node->loop, close_fiber, node);
}
