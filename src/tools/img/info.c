/*
 * info.c - viv-img info and snapshot: what an image is and holds.
 */
#include <stdio.h>
#include <string.h>

#include "core/units.h"
#include "tools/img/img.h"

/* ---- as text ---- */

static void print_snapshots(GArray *list)
{
	g_autoptr(GString) text = g_string_new(snapshot_heading);

	for (unsigned i = 0; i < list->len; i++) {
		const SnapshotInfo *s = &g_array_index(list, SnapshotInfo, i);
		snapshot_append_line(s, s->id, text);
	}
	fputs(text->str, stdout);
}

static void print_value(const char *name, json_t *value, unsigned indent);

static void print_members(json_t *value, unsigned indent)
{
	const char *key;
	json_t *member;
	size_t i;
	if (json_is_object(value)) {
		json_object_foreach(value, key, member)
			print_value(key, member, indent);
	} else {
		json_array_foreach(value, i, member) {
			char name[24];
			g_snprintf(name, sizeof(name), "[%zu]", i);
			print_value(name, member, indent);
		}
	}
}

static void print_value(const char *name, json_t *value, unsigned indent)
{
	char *words = g_strdelimit(g_strdup(name), "-", ' ');
	printf("%*s%s:", (int)(indent * 4), "", words);
	g_free(words);
	switch (json_typeof(value)) {
	case JSON_STRING: printf(" %s\n", json_string_value(value)); break;
	case JSON_INTEGER: printf(" %" JSON_INTEGER_FORMAT "\n", json_integer_value(value)); break;
	case JSON_TRUE: puts(" true"); break;
	case JSON_FALSE: puts(" false"); break;
	default:
		putchar('\n');
		print_members(value, indent + 1);
	}
}

static void print_info(Node *node, const char *filename)
{
	json_t *o = node_describe(node, filename);
	char *size = size_text(node->length),
	     *disk = size_text((uint64_t)MAX(node_allocated(node), 0));
	printf("image: %s\nfile format: %s\nvirtual size: %s (%" G_GUINT64_FORMAT " bytes)\n",
	       filename, node->driver->name, size, node->length);
	printf("disk size: %s\n", json_object_get(o, "actual-size") ? disk : "unavailable");
	if (json_object_get(o, "encrypted"))
		puts("encrypted: yes");
	json_t *cluster = json_object_get(o, "cluster-size");
	if (cluster)
		printf("cluster_size: %" JSON_INTEGER_FORMAT "\n", json_integer_value(cluster));
	if (json_is_true(json_object_get(o, "dirty-flag")))
		puts("cleanly shut down: no");
	if (node->backing_file) {
		const char *full = opt_text(o, "full-backing-filename");
		printf("backing file: %s", node->backing_file);
		if (strcmp(full, node->backing_file))
			printf(" (actual path: %s)", full);
		putchar('\n');
		if (node->backing_format)
			printf("backing file format: %s\n", node->backing_format);
	}
	if (json_object_get(o, "snapshots")) {
		GArray *list = node->driver->snapshot_list(node);
		puts("Snapshot list:");
		print_snapshots(list);
		g_array_free(list, TRUE);
	}
	json_t *data = json_object_get(json_object_get(o, "format-specific"), "data");
	if (json_object_size(data)) {
		puts("Format specific information:");
		print_members(data, 1);
	}
	g_free(size);
	g_free(disk);
	json_decref(o);
}

/* One image of a chain; gives the next one's name and format (caller frees) or NULL. */
static bool info_one(const char *filename, const ImgOpen *how, json_t *array, bool first,
		     char **next, char **format)
{
	Node *node = img_open(filename, how);
	*next = *format = NULL;
	if (!node)
		return false;
	if (array) {
		json_array_append_new(array, node_describe(node, filename));
	} else {
		if (!first)
			putchar('\n');
		print_info(node, filename);
	}
	if (node->backing_file) {
		*next = node_path(node->filename, node->backing_file);
		*format = g_strdup(node->backing_format);
	}
	node_unref(node);
	return true;
}

static int info(const char *filename, ImgOpen how, bool json, bool chain)
{
	json_t *array = json ? json_array() : NULL;
	GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	char *name = g_strdup(filename), *next, *format, *kept = NULL;
	bool ok = true;
	for (bool first = true; ok && name; first = false) {
		if (!g_hash_table_add(seen, g_strdup(name))) {
			img_error("Backing file '%s' creates an infinite loop.", name);
			ok = false;
			break;
		}
		ok = info_one(name, &how, array, first, &next, &format);
		g_free(name);
		g_free(kept);
		name = next;
		kept = format;
		how.format = format;
		how.image_opts = false;
		if (!chain)
			break;
	}
	g_free(name);
	g_free(kept);
	g_hash_table_destroy(seen);
	if (json && ok)
		img_print_json(chain ? json_incref(array) : json_incref(json_array_get(array, 0)));
	json_decref(array);
	return !ok;
}

int img_info(int argc, char **argv)
{
	static const struct option longs[] = {IMG_LONG_OPTIONS,
					      {"format", required_argument, NULL, 'f'},
					      {"output", required_argument, NULL, OPT_OUTPUT},
					      {"backing-chain", no_argument, NULL, OPT_LOCAL},
					      {0}};
	ImgOpen how = { .flags = NODE_NO_BACKING | NODE_NO_IO };
	bool json = false, chain = false;
	int opt;
	while ((opt = getopt_long(argc, argv, "f:hU", longs, NULL)) != -1) {
		switch (opt) {
		case OPT_LOCAL: chain = true; break;
		case OPT_OUTPUT:
			if (!img_output(optarg, &json))
				return 1;
			break;
		default:
			if (!img_option("info", opt, &how))
				return 1;
		}
	}
	if (optind != argc - 1)
		return img_error("Expecting one image file name");
	return info(argv[optind], how, json, chain);
}

/* ---- snapshot ---- */

static int list_snapshots(Node *node)
{
	GArray *list = node->driver->snapshot_list ? node->driver->snapshot_list(node) : NULL;
	if (list && list->len) {
		puts("Snapshot list:");
		print_snapshots(list);
	}
	if (list)
		g_array_free(list, TRUE);
	return 0;
}

static int snapshot(Node *node, char action, const char *name)
{
	const Driver *d = node->driver;
	GError *error = NULL;
	SnapshotInfo info = { .icount = UINT64_MAX };
	if (action == 'l')
		return list_snapshots(node);
	if (!d->snapshot_create)
		return img_error("Could not %s snapshot '%s': -95 (Operation not supported)",
			action == 'c' ? "create" : action == 'a' ? "apply" : "delete", name);
	int64_t now = g_get_real_time();
	g_strlcpy(info.name, name, sizeof(info.name));
	info.date_sec = (uint32_t)(now / G_USEC_PER_SEC);
	info.date_nsec = (uint32_t)(now % G_USEC_PER_SEC) * 1000;
	info.icount = 0;
	bool ok = action == 'c' ? d->snapshot_create(node, &info, &error) : action == 'a' ?
		d->snapshot_apply(node, name, &error) : d->snapshot_delete(node, name, &error);
	if (ok)
		return 0;
	const char *word = action == 'c' ? "create" : action == 'a' ? "apply" : "delete";
	char *prefix = g_strdup_printf("Could not %s snapshot '%s'", word, name);
	img_gerror(error, prefix);
	g_free(prefix);
	return 1;
}

int img_snapshot(int argc, char **argv)
{
	static const struct option longs[] = { IMG_LONG_OPTIONS, { 0 } };
	ImgOpen how = { 0 };
	char action = 0;
	const char *name = NULL;
	int opt;
	while ((opt = getopt_long(argc, argv, "la:c:d:hqUf:", longs, NULL)) != -1) {
		switch (opt) {
		case 'l': case 'a': case 'c': case 'd':
			if (action)
				return img_error("Cannot mix '-l', '-a', '-c', '-d'");
			action = (char)opt;
			name = optarg;
			break;
		case 'q': break; /* nothing is printed but errors */
		default:
			if (!img_option("snapshot", opt, &how))
				return 1;
		}
	}
	if (optind != argc - 1)
		return img_error("Expecting one image file name");
	if (action && action != 'l')
		how.flags |= NODE_WRITE | NODE_EXCLUSIVE;
	Node *node = img_open(argv[optind], &how);
	int status = node ? snapshot(node, action ? action : 'l', name) : 1;
	node_unref(node);
	return status;
}
