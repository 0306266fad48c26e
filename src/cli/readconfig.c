/*
 * readconfig.c - option files: [option] or [option "id"], then key = "value" lines.
 *
 * The format of qemu's -readconfig. Leaves out includes. Main thread.
 */
#include <string.h>

#include "cli/options.h"
#include "core/error.h"
#include "core/suggest.h"

static bool unknown_group(const char *name, GError **error)
{
	GPtrArray *names = g_ptr_array_new();
	for (const OptionDef *d = option_table; d->name; d++)
		if (d->group)
			g_ptr_array_add(names, (gpointer)d->group);
	g_ptr_array_add(names, NULL);
	const OptionDef *plain = option_find(name);
	char *hint = word_hint(name, (const char *const *)names->pdata);
	if (plain && plain->missing)
		fail(error, VIV_ERROR_UNSUPPORTED, "[%s] is not built yet in this version. %s.",
			name, hint);
	else
		fail(error, VIV_ERROR_INVALID, "there is no section [%s]. %s.", name, hint);
	g_free(hint);
	g_ptr_array_free(names, TRUE);
	return false;
}

/* [name] or [name "id"]; the line ends with ']'. */
static bool open_section(char *line, const OptionDef **def, GArray **kv, GError **error)
{
	char *name = line + 1, *end = strrchr(line, ']'), *quote;
	if (!end || end[1])
		return fail(error, VIV_ERROR_INVALID, "']' is missing.");
	*end = 0;
	quote = strchr(name, '"');
	char *id = NULL;
	if (quote) {
		char *close = strchr(quote + 1, '"');
		if (!close || close[1])
			return fail(error, VIV_ERROR_INVALID, "the id is not in quotation marks.");
		*close = *quote = 0;
		id = quote + 1;
	}
	g_strstrip(name);
	*def = option_find_group(name);
	if (!*def)
		return unknown_group(name, error);
	*kv = kv_list_new();
	if (id)
		kv_list_add(*kv, "id", id);
	return true;
}

static bool add_line(char *line, GArray *kv, GError **error)
{
	char *equals = strchr(line, '=');
	if (!equals)
		return fail(error, VIV_ERROR_INVALID, "write key = \"value\".");
	*equals = 0;
	char *key = g_strstrip(line), *value = g_strstrip(equals + 1);
	size_t n = strlen(value);
	if (n < 2 || value[0] != '"' || value[n - 1] != '"')
		return fail(error, VIV_ERROR_INVALID, "the value of %s is not in quotation marks.",
			key);
	value[n - 1] = 0;
	kv_list_add(kv, key, value + 1);
	return true;
}

static bool close_section(Cli *cli, const OptionDef *def, GArray **kv, GError **error)
{
	GArray *items = *kv;
	*kv = NULL;
	if (!items || option_apply_items(cli, def, items, error))
		return true;
	g_prefix_error(error, "[%s]: ", def->group);
	return false;
}

static bool read_lines(Cli *cli, const char *path, char *text, GError **error)
{
	const OptionDef *def = NULL;
	GArray *kv = NULL;
	unsigned number = 0;
	char **lines = g_strsplit(text, "\n", 0);
	bool ok = true;
	for (; ok && lines[number]; number++) {
		char *line = g_strstrip(lines[number]);
		if (!*line || *line == '#')
			continue;
		if (*line == '[')
			ok = close_section(cli, def, &kv, error) &&
				open_section(line, &def, &kv, error);
		else if (kv)
			ok = add_line(line, kv, error);
		else
			ok = fail(error, VIV_ERROR_INVALID, "a [section] must come first.");
	}
	ok = ok && close_section(cli, def, &kv, error);
	kv_list_free(kv);
	g_strfreev(lines);
	if (!ok)
		g_prefix_error(error, "%s:%u: ", path, number);
	return ok;
}

bool readconfig_file(Cli *cli, const char *path, GError **error)
{
	char *text;
	gsize size;
	if (!g_file_get_contents(path, &text, &size, error))
		return false;
	bool ok = strlen(text) == size ? read_lines(cli, path, text, error) :
		fail(error, VIV_ERROR_INVALID, "'%s' is no text file.", path);
	g_free(text);
	return ok;
}
