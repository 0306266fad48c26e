/*
 * create.c - viv-img create, and resize, amend: what changes an image's header.
 */
#include <stdio.h>
#include <string.h>

#include "block/opts.h"
#include "tools/img/img.h"

/* The words that "Formatting ..." shows: what was given, and defaults, in the driver's order. */
static void print_formatting(const char *filename, const Driver *driver, json_t *opts)
{
	static const char *const order[] = {"cluster_size",	"extended_l2", "preallocation",
					    "compression_type", "size",	       "backing_file",
					    "backing_fmt",	"data_file",   "lazy_refcounts",
					    "refcount_bits",	NULL};
	printf("Formatting '%s', fmt=%s", filename, driver->name);
	for (const char *const *name = order; *name; name++)
		for (const BlockOption *o = driver->create_options; o->name; o++) {
			const char *text = opt_text(opts, o->name);
			if (strcmp(o->name, *name))
				continue;
			if (!strcmp(o->name, "size") || (text && o->type == OPT_SIZE))
				printf(" %s=%" G_GUINT64_FORMAT, o->name,
				       opt_size(opts, o->name, 0));
			else if (text)
				printf(" %s=%s", o->name, text);
			else if (o->def && strcmp(o->name, "preallocation"))
				printf(" %s=%s", o->name, o->def);
		}
	for (const BlockOption *o = driver->create_options; o->name; o++)
		if (opt_text(opts, o->name) && !g_strv_contains(order, o->name))
			printf(" %s=%s", o->name, opt_text(opts, o->name));
	putchar('\n');
}

/* Opens the backing file to learn its size. False: an error was printed. */
static bool backing_size(const char *filename, json_t *opts, bool unsafe, bool have_size)
{
	const char *backing = opt_text(opts, "backing_file"),
		   *format = opt_text(opts, "backing_fmt");
	if (!backing || (unsafe && have_size))
		return true;
	char *path = node_path(filename, backing);
	ImgOpen how = { .format = format, .flags = NODE_NO_IO };
	Node *node = img_open(path, &how);
	if (!node) {
		fprintf(stderr, "Could not open backing image.\n");
		g_free(path);
		return false;
	}
	bool ok = true;
	if (!format) {
		ok = false;
		img_error(
		    "%s: Backing file specified without backing format\nDetected format of %s.",
		    filename, node->driver->name);
	}
	if (!have_size)
		json_object_set_new(opts, "size", json_integer((json_int_t)node->length));
	node_unref(node);
	g_free(path);
	return ok;
}

typedef struct Create {
	const char *format, *backing, *backing_format;
	bool quiet, unsafe, no_clobber, help;
} Create;

static bool check_create(const Create *c, const Driver *driver, json_t *opts, const char *filename)
{
	GError *error = NULL;
	if (c->backing)
		json_object_set_new(opts, "backing_file", json_string(c->backing));
	if (c->backing_format)
		json_object_set_new(opts, "backing_fmt", json_string(c->backing_format));
	if (opt_text(opts, "backing_file") && !driver->backing) {
		img_error("%s: Backing file not supported for file format '%s'", filename,
			  driver->name);
		return false;
	}
	if (opt_text(opts, "backing_file") && !strcmp(opt_text(opts, "backing_file"), filename)) {
		img_error(
		    "%s: Trying to create an image with the same filename as the backing file",
		    filename);
		return false;
	}
	if (!backing_size(filename, opts, c->unsafe, opt_has(opts, "size")))
		return false;
	if (!opts_check(driver->create_options, opts, driver->name, &error)) {
		img_gerror(error, filename);
		return false;
	}
	if (!opt_has(opts, "size")) {
		img_error("%s: Image creation needs a size parameter", filename);
		return false;
	}
	return !c->no_clobber || !img_clobbers(filename);
}

static int create(const Create *c, json_t *opts, const char *words, const char *filename,
		  const char *size)
{
	GError *error = NULL;
	bool help = false;
	uint64_t bytes;
	const Driver *driver = driver_find(c->format);
	if (!driver || !driver->create)
		return img_error("%s: %s '%s'", filename ? filename : "create",
				 driver ? "Format driver does not support image creation:"
					: "Unknown file format",
				 c->format);
	if (words && (!img_options(words, driver, opts, &help) || help))
		return !help;
	if (!filename)
		return img_error("Expecting image file name");
	if (size && !img_size(size, "image size", &bytes))
		return 1;
	if (size)
		json_object_set_new(opts, "size", json_integer((json_int_t)bytes));
	if (!check_create(c, driver, opts, filename))
		return 1;
	if (!c->quiet)
		print_formatting(filename, driver, opts);
	return driver->create(filename, opts, &error) ? 0 : img_gerror(error, filename);
}

int img_create(int argc, char **argv)
{
	static const struct option longs[] = {
	    IMG_LONG_OPTIONS, {"no-clobber", no_argument, NULL, OPT_NO_CLOBBER}, {0}};
	Create c = { .format = "raw" };
	GString *words = g_string_new(NULL);
	int opt;
	while ((opt = getopt_long(argc, argv, "F:b:f:ho:qu", longs, NULL)) != -1) {
		switch (opt) {
		case 'f': c.format = optarg; break;
		case 'b': c.backing = optarg; break;
		case 'F': c.backing_format = optarg; break;
		case 'o':
			g_string_append_printf(words, "%s%s", words->len ? "," : "", optarg);
			break;
		case 'q': c.quiet = true; break;
		case 'u': c.unsafe = true; break;
		case OPT_NO_CLOBBER: c.no_clobber = true; break;
		case OPT_OBJECT:
			if (!img_object(optarg))
				return 1;
			break;
		default: return img_usage("create");
		}
	}
	if (argc - optind > 2)
		return img_error("Unexpected argument: %s", argv[optind + 2]);
	json_t *opts = json_object();
	int status = create(&c, opts, words->len ? words->str : NULL, argv[optind],
			    argc - optind == 2 ? argv[optind + 1] : NULL);
	json_decref(opts);
	g_string_free(words, TRUE);
	return status;
}

/* ---- resize ---- */

static bool new_length(const char *text, uint64_t old, uint64_t *out)
{
	char sign = *text;
	uint64_t n;
	if (sign == '+' || sign == '-')
		text++;
	if (!img_size(text, "image size", &n))
		return false;
	*out = sign == '+' ? old + n : sign == '-' ? old - n : n;
	if ((sign == '-' && n > old) || *out == 0) {
		img_error("New image size must be positive");
		return false;
	}
	return true;
}

static int resize(Node *node, const char *text, Prealloc prealloc, bool shrink, bool quiet)
{
	uint64_t length, old = node->length;
	GError *error = NULL;
	if (!new_length(text, old, &length))
		return 1;
	if (length <= old && prealloc != PREALLOC_OFF)
		return img_error("Preallocation can only be used for growing images");
	if (length < old && !shrink)
		return img_error("Use the --shrink option to perform a shrink operation.\n%s: "
				 "warning: Shrinking an image will "
				 "delete all data beyond the shrunken image's end. Before "
				 "performing such an operation, make sure there is no "
				 "important data there.",
				 g_get_prgname());
	if (!node_truncate(node, length, true, prealloc, &error))
		return img_gerror(error, NULL);
	if (!quiet)
		puts("Image resized.");
	return 0;
}

int img_resize(int argc, char **argv)
{
	static const struct option longs[] = {IMG_LONG_OPTIONS,
					      {"preallocation", required_argument, NULL, OPT_LOCAL},
					      {"shrink", no_argument, NULL, OPT_LOCAL + 1},
					      {0}};
	static const char *const modes[] = { "off", "metadata", "falloc", "full", NULL };
	ImgOpen how = { .flags = NODE_WRITE | NODE_EXCLUSIVE };
	bool quiet = false, shrink = false;
	int prealloc = 0, opt;
	/* The size may begin with a minus: it is taken before getopt sees it. */
	if (argc < 3)
		return img_error("Not enough arguments");
	const char *size = argv[--argc];
	while ((opt = getopt_long(argc, argv, "f:hq", longs, NULL)) != -1) {
		switch (opt) {
		case 'q': quiet = true; break;
		case OPT_LOCAL + 1: shrink = true; break;
		case OPT_LOCAL:
			while (modes[prealloc] && strcmp(modes[prealloc], optarg))
				prealloc++;
			if (!modes[prealloc])
				return img_error("Invalid preallocation mode '%s'", optarg);
			break;
		default:
			if (!img_option("resize", opt, &how))
				return 1;
		}
	}
	if (optind != argc - 1)
		return img_error("Expecting image file name and size");
	Node *node = img_open(argv[optind], &how);
	int status = node ? resize(node, size, (Prealloc)prealloc, shrink, quiet) : 1;
	node_unref(node);
	return status;
}

/* ---- amend ---- */

static void amend_progress(void *opaque, uint64_t done, uint64_t total)
{
	img_progress(opaque, done, total);
}

static int amend(Node *node, const char *words, bool force, ImgProgress *progress)
{
	const Driver *driver = node->driver;
	GError *error = NULL;
	bool help = false;
	if (!driver->amend || !driver->amend_options)
		return img_error("Format driver '%s' does not support option amendment",
				 driver->name);
	json_t *opts = json_object();
	bool ok = img_options(words, driver, opts, &help);
	if (ok && !help)
		ok = opts_check(driver->amend_options, opts, driver->name, &error) &&
			driver->amend(node, opts, force, amend_progress, progress, &error);
	json_decref(opts);
	img_progress_end(progress);
	return ok ? 0 : img_gerror(error, NULL);
}

int img_amend(int argc, char **argv)
{
	static const struct option longs[] = {
	    IMG_LONG_OPTIONS, {"force", no_argument, NULL, OPT_LOCAL}, {0}};
	ImgOpen how = { .flags = NODE_WRITE | NODE_EXCLUSIVE };
	GString *words = g_string_new(NULL);
	bool force = false;
	ImgProgress progress = { false, -1 };
	int opt;
	while ((opt = getopt_long(argc, argv, "ho:f:t:pq", longs, NULL)) != -1) {
		switch (opt) {
		case 't': how.cache = optarg; break;
		case 'o':
			g_string_append_printf(words, "%s%s", words->len ? "," : "", optarg);
			break;
		case 'p': progress.on = true; break;
		case 'q': progress.on = false; break;
		case OPT_LOCAL: force = true; break;
		default:
			if (!img_option("amend", opt, &how))
				return 1;
		}
	}
	if (!words->len)
		return img_error("Must specify options (-o)");
	if (optind != argc - 1)
		return img_error("Expecting one image file name");
	Node *node = img_open(argv[optind], &how);
	int status = node ? amend(node, words->str, force, &progress) : 1;
	node_unref(node);
	g_string_free(words, TRUE);
	return status;
}
