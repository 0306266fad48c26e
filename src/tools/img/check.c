/*
 * check.c - viv-img check, map and measure: looks at an image without changing its contents.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "block/opts.h"
#include "tools/img/img.h"

/* ---- check ---- */

static void check_json(Node *node, const char *filename, const CheckResult *r, bool clusters)
{
	json_t *o = json_object();
	const struct { const char *name; uint64_t n; bool always;
	} numbers[] = {
	    {"image-end-offset", r->image_end_offset, false},
	    {"total-clusters", r->total_clusters, false},
	    {"check-errors", r->check_errors, true},
	    {"corruptions", r->corruptions, false},
	    {"leaks", r->leaks, false},
	    {"corruptions-fixed", r->corruptions_fixed, false},
	    {"leaks-fixed", r->leaks_fixed, false},
	    {"allocated-clusters", r->allocated_clusters, false},
	    {"fragmented-clusters", r->fragmented_clusters, false},
	    {"compressed-clusters", r->compressed_clusters, false},
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (numbers[i].n || numbers[i].always)
			json_object_set_new(o, numbers[i].name,
					    json_integer((json_int_t)numbers[i].n));
	json_object_set_new(o, "filename", json_string(filename));
	json_object_set_new(o, "format", json_string(node->driver->name));
	img_print_json(o);
}

static void check_text(const CheckResult *r)
{
	if (!r->corruptions && !r->leaks && !r->check_errors)
		puts("No errors were found on the image.");
	if (r->corruptions)
		printf("\n%" G_GUINT64_FORMAT
		       " errors were found on the image.\nData may be corrupted, or further writes "
		       "to the image may corrupt it.\n",
		       r->corruptions);
	if (r->leaks)
		printf("\n%" G_GUINT64_FORMAT " leaked clusters were found on the image.\nThis "
					      "means waste of disk space, but no harm to data.\n",
		       r->leaks);
	if (r->check_errors)
		printf("\n%" G_GUINT64_FORMAT " internal errors have occurred during the check.\n",
		       r->check_errors);
	if (r->total_clusters && r->allocated_clusters)
		printf("%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT
		       " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n",
		       r->allocated_clusters, r->total_clusters,
		       (double)r->allocated_clusters * 100 / (double)r->total_clusters,
		       (double)r->fragmented_clusters * 100 / (double)r->allocated_clusters,
		       (double)r->compressed_clusters * 100 / (double)r->allocated_clusters);
	if (r->image_end_offset)
		printf("Image end offset: %" G_GUINT64_FORMAT "\n", r->image_end_offset);
}

static int check(Node *node, const char *filename, unsigned fix, bool json, bool quiet)
{
	CheckResult r = { .report = json || quiet ? NULL : g_string_new(NULL) };
	if (!node->driver->check) {
		if (json)
			return 63;
		img_error("This image format does not support checks");
		return 63;
	}
	int err = node->driver->check(node, &r, fix);
	bool fixed = r.corruptions_fixed || r.leaks_fixed;
	if (err >= 0 && fixed) {
		if (!json && !quiet)
			printf("%sThe following inconsistencies were found and repaired:\n\n    "
			       "%" G_GUINT64_FORMAT " leaked clusters\n    %" G_GUINT64_FORMAT
			       " corruptions\n\nDouble checking the fixed image now...\n",
			       r.report ? r.report->str : "", r.leaks_fixed, r.corruptions_fixed);
		uint64_t corruptions = r.corruptions_fixed, leaks = r.leaks_fixed;
		if (r.report)
			g_string_truncate(r.report, 0);
		r = (CheckResult){ .report = r.report };
		err = node->driver->check(node, &r, 0);
		r.corruptions_fixed = corruptions;
		r.leaks_fixed = leaks;
	}
	if (r.report)
		fputs(r.report->str, stdout);
	if (err < 0)
		img_error("Check failed: %s", g_strerror(-err));
	else if (json)
		check_json(node, filename, &r, true);
	else if (!quiet)
		check_text(&r);
	if (r.report)
		g_string_free(r.report, TRUE);
	return err < 0 || r.check_errors ? 1 : r.corruptions ? 2 : r.leaks ? 3 : 0;
}

int img_check(int argc, char **argv)
{
	static const struct option longs[] = {IMG_LONG_OPTIONS,
					      {"format", required_argument, NULL, 'f'},
					      {"repair", required_argument, NULL, 'r'},
					      {"output", required_argument, NULL, OPT_OUTPUT},
					      {0}};
	ImgOpen how = { .flags = NODE_CHECK | NODE_NO_BACKING };
	bool json = false, quiet = false;
	unsigned fix = 0;
	int opt;
	while ((opt = getopt_long(argc, argv, "hf:r:T:qU", longs, NULL)) != -1) {
		switch (opt) {
		case 'q': quiet = true; break;
		case 'r':
			fix = !strcmp(optarg, "leaks") ? FIX_LEAKS
			      : !strcmp(optarg, "all") ? FIX_LEAKS | FIX_ERRORS
						       : 0;
			if (!fix)
				return img_error(
				    "-r option value must be 'leaks' or 'all', not '%s'", optarg);
			how.flags |= NODE_WRITE | NODE_EXCLUSIVE;
			break;
		case OPT_OUTPUT:
			if (!img_output(optarg, &json))
				return 1;
			break;
		default:
			if (!img_option("check", opt, &how))
				return 1;
		}
	}
	if (optind != argc - 1)
		return img_error("Expecting one image file name");
	Node *node = img_open(argv[optind], &how);
	int status = node ? check(node, argv[optind], fix, json, quiet) : 1;
	node_unref(node);
	return status;
}

/* ---- map ---- */

typedef struct Extent {
	uint64_t start, length, offset;
	unsigned flags, depth;
	bool has_offset;
	const char *file;
} Extent;

static bool same_extent(const Extent *a, const Extent *b)
{
	const unsigned mask = STATUS_DATA | STATUS_ZERO | STATUS_ALLOCATED | STATUS_COMPRESSED;
	return (a->flags & mask) == (b->flags & mask) && a->depth == b->depth &&
	       a->has_offset == b->has_offset &&
	       (!a->has_offset ||
		(a->offset + a->length == b->offset && !g_strcmp0(a->file, b->file)));
}

static bool print_extent(const Extent *e, json_t *array)
{
	if (!array) {
		bool data = (e->flags & STATUS_DATA) && !(e->flags & STATUS_ZERO);
		if (data && !e->has_offset) {
			img_error("File contains external, encrypted or compressed clusters.");
			return false;
		}
		if (data)
			printf("%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER
			       "x%#-16" G_GINT64_MODIFIER "x%s\n",
			       e->start, e->length, e->offset, e->file);
		return true;
	}
	json_t *o =
	    json_pack("{s:I, s:I, s:I, s:b, s:b, s:b}", "start", (json_int_t)e->start, "length",
		      (json_int_t)e->length, "depth", (json_int_t)e->depth, "present",
		      e->flags & STATUS_ALLOCATED ? 1 : 0, "zero", e->flags & STATUS_ZERO ? 1 : 0,
		      "data", e->flags & STATUS_DATA ? 1 : 0);
	if (e->has_offset)
		json_object_set_new(o, "offset", json_integer((json_int_t)e->offset));
	json_array_append_new(array, o);
	return true;
}

static int map(Node *node, uint64_t start, uint64_t length, json_t *array)
{
	Extent now = { 0 };
	uint64_t end =
	    MIN(node->length, length > NODE_LENGTH_MAX - start ? NODE_LENGTH_MAX : start + length);
	if (!array)
		printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
	for (uint64_t at = start; at < end;) {
		NodeStatus s;
		unsigned depth;
		int err = node_status_above(node, NULL, at, end - at, true, &s, &depth);
		if (err < 0)
			return img_error("Failed to read image metadata: %s", g_strerror(-err));
		/* What no layer has is said of the last one. */
		unsigned last = 0;
		for (Node *n = node; n->backing; n = n->backing)
			last++;
		Extent e = {.start = at,
			    .length = s.bytes,
			    .flags = s.flags,
			    .depth = MIN(depth, last),
			    .has_offset = s.flags & STATUS_OFFSET,
			    .offset = s.map,
			    .file = s.flags & STATUS_OFFSET && s.file ? s.file->filename : NULL};
		if (now.length && same_extent(&now, &e)) {
			now.length += e.length;
		} else {
			if (now.length && !print_extent(&now, array))
				return 1;
			now = e;
		}
		at += s.bytes;
	}
	return now.length && !print_extent(&now, array);
}

/* One extent a line, as qemu-img prints them. */
static void print_map(json_t *array)
{
	size_t i;
	json_t *o;
	json_array_foreach(array, i, o) {
		char *text = json_dumps(o, 0);
		printf("%s{ %s", i ? ",\n" : "[", text + 1);
		free(text);
	}
	puts(json_array_size(array) ? "]" : "[]");
}

int img_map(int argc, char **argv)
{
	static const struct option longs[] = {IMG_LONG_OPTIONS,
					      {"format", required_argument, NULL, 'f'},
					      {"output", required_argument, NULL, OPT_OUTPUT},
					      {"start-offset", required_argument, NULL, 's'},
					      {"max-length", required_argument, NULL, 'l'},
					      {0}};
	ImgOpen how = { 0 };
	bool json = false;
	uint64_t start = 0, length = NODE_LENGTH_MAX;
	int opt;
	while ((opt = getopt_long(argc, argv, "f:s:l:hU", longs, NULL)) != -1) {
		switch (opt) {
		case 's':
			if (!img_size(optarg, "start offset", &start))
				return 1;
			break;
		case 'l':
			if (!img_size(optarg, "max length", &length))
				return 1;
			break;
		case OPT_OUTPUT:
			if (!img_output(optarg, &json))
				return 1;
			break;
		default:
			if (!img_option("map", opt, &how))
				return 1;
		}
	}
	if (optind != argc - 1)
		return img_error("Expecting one image file name");
	Node *node = img_open(argv[optind], &how);
	json_t *array = json ? json_array() : NULL;
	int status = node ? map(node, start, length, array) : 1;
	if (array && !status)
		print_map(array);
	json_decref(array);
	node_unref(node);
	return status;
}

/* ---- measure ---- */

static void print_measure(const MeasureResult *r, bool json)
{
	if (json) {
		json_t *o = json_pack("{s:I, s:I}", "required", (json_int_t)r->required,
				      "fully-allocated", (json_int_t)r->fully_allocated);
		if (r->has_bitmaps)
			json_object_set_new(o, "bitmaps", json_integer((json_int_t)r->bitmaps));
		img_print_json(o);
		return;
	}
	printf("required size: %" G_GUINT64_FORMAT "\nfully allocated size: %" G_GUINT64_FORMAT
	       "\n",
	       r->required, r->fully_allocated);
	if (r->has_bitmaps)
		printf("bitmaps size: %" G_GUINT64_FORMAT "\n", r->bitmaps);
}

static int measure(const Driver *driver, Node *source, const char *snapshot, json_t *opts,
		   bool json)
{
	GError *error = NULL;
	MeasureResult r = { 0 };
	if (!driver->measure)
		return img_error("Block driver '%s' does not support size measurement",
				 driver->name);
	if (snapshot && (!source->driver->snapshot_load ||
			 !source->driver->snapshot_load(source, snapshot, &error)))
		return error ? img_gerror(error, "Failed to load snapshot")
			     : img_error("Failed to load snapshot");
	if (!opts_check(driver->create_options, opts, driver->name, &error) ||
	    !driver->measure(opts, source, &r, &error))
		return img_gerror(error, NULL);
	print_measure(&r, json);
	return 0;
}

int img_measure(int argc, char **argv)
{
	static const struct option longs[] = {IMG_LONG_OPTIONS,
					      {"output", required_argument, NULL, OPT_OUTPUT},
					      {"size", required_argument, NULL, OPT_LOCAL},
					      {0}};
	ImgOpen how = { 0 };
	const char *format = "raw", *snapshot = NULL, *words = NULL;
	bool json = false, have_size = false, help = false;
	uint64_t size = 0;
	int opt;
	while ((opt = getopt_long(argc, argv, "hf:l:o:O:U", longs, NULL)) != -1) {
		switch (opt) {
		case 'l':
			snapshot = g_str_has_prefix(optarg, "snapshot.") ? strchr(optarg, '=') + 1
									 : optarg;
			break;
		case 'o': words = optarg; break;
		case 'O': format = optarg; break;
		case OPT_LOCAL:
			if (!img_size(optarg, "image size", &size))
				return 1;
			have_size = true;
			break;
		case OPT_OUTPUT:
			if (!img_output(optarg, &json))
				return 1;
			break;
		default:
			if (!img_option("measure", opt, &how))
				return 1;
		}
	}
	const char *filename = optind == argc - 1 ? argv[optind] : NULL;
	if (have_size == (filename != NULL))
		return img_error("Either --size N or one filename must be specified.");
	const Driver *driver = driver_find(format);
	if (!driver)
		return img_error("Unknown file format '%s'", format);
	json_t *opts = json_object();
	if (words && (!img_options(words, driver, opts, &help) || help)) {
		json_decref(opts);
		return !help;
	}
	if (have_size)
		json_object_set_new(opts, "size", json_integer((json_int_t)size));
	Node *node = filename ? img_open(filename, &how) : NULL;
	int status = filename && !node ? 1 : measure(driver, node, snapshot, opts, json);
	node_unref(node);
	json_decref(opts);
	return status;
}
