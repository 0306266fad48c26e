/*
 * web_files.c - the files of the page: ours, in the program, and noVNC's, from its package.
 *
 * All are read once; a request is looked up in a table, and no path of a request ever reaches the
 * file system. Main thread while reading; constant afterwards.
 */
#include <string.h>

#include "core/error.h"
#include "display/web_assets.h"
#include "display/web_private.h"

#define NOVNC "/usr/share/novnc"
#define DEPTH_MAX 4u

static const char *type_of(const char *path)
{
	static const struct {
		const char *end, *type;
	} types[] = {
		{ "/", "text/html; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".svg", "image/svg+xml" },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
		if (g_str_has_suffix(path, types[i].end))
			return types[i].type;
	return NULL;
}

static void add(GHashTable *files, const char *path, GBytes *content, bool open)
{
	WebFile *file = g_new(WebFile, 1);

	*file = (WebFile){ content, type_of(path), open };
	g_hash_table_insert(files, g_strdup(path), file);
}

static void free_file(gpointer opaque)
{
	WebFile *file = opaque;

	g_bytes_unref(file->content);
	g_free(file);
}

/* The scripts in a folder and the folders in it. */
static bool add_scripts(GHashTable *files, const char *folder, const char *at, unsigned depth,
			GError **error)
{
	GDir *dir = g_dir_open(folder, 0, error);
	const char *name;
	bool ok = dir;

	while (ok && (name = g_dir_read_name(dir))) {
		char *path = g_build_filename(folder, name, NULL),
		     *url = g_strconcat(at, "/", name, NULL), *text;
		gsize length;
		if (g_str_has_suffix(name, ".js")) {
			ok = g_file_get_contents(path, &text, &length, error);
			if (ok)
				add(files, url, g_bytes_new_take(text, length), false);
		} else if (g_file_test(path, G_FILE_TEST_IS_DIR) && depth) {
			ok = add_scripts(files, path, url, depth - 1, error);
		}
		g_free(path);
		g_free(url);
	}
	if (dir)
		g_dir_close(dir);
	return ok;
}

GHashTable *web_files_load(GError **error)
{
	GHashTable *files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_file);

	for (const WebAsset *a = web_assets; a->path; a++)
		add(files, a->path, g_bytes_new_static(a->content, a->length), a->open);
	if (add_scripts(files, NOVNC "/core", "/novnc/core", DEPTH_MAX, error) &&
	    add_scripts(files, NOVNC "/vendor", "/novnc/vendor", DEPTH_MAX, error))
		return files;
	g_prefix_error(error, "noVNC is not there; Debian's package is \"novnc\". ");
	g_hash_table_destroy(files);
	return NULL;
}
