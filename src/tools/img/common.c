/*
 * common.c - what the commands of viv-img share. See img.h.
 */
#include "core/clock.h"
#include "tools/img/img.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block/drive.h"
#include "block/opts.h"
#include "block/secret.h"
#include "core/units.h"

int img_error(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = g_strdup_vprintf(format, args);
	va_end(args);
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", g_get_prgname(), text);
	g_free(text);
	return 1;
}

int img_gerror(GError *error, const char *prefix)
{
	img_error("%s%s%s", prefix ? prefix : "", prefix ? ": " : "", error->message);
	g_error_free(error);
	return 1;
}

int img_usage(const char *command)
{
	fprintf(stderr, "Try '%s --help' for more information on '%s'.\n", g_get_prgname(),
		command);
	return 1;
}

/* "driver=qcow2,file.filename=x" or a JSON object. */
static json_t *image_options(const char *text, GError **error)
{
	json_t *opts = json_object();
	char **items = g_strsplit(text, ",", -1);
	bool ok = true;
	for (char **i = items; ok && *i; i++) {
		char *equals = strchr(*i, '=');
		if (!equals) {
			ok =
			    fail(error, VIV_ERROR_INVALID,
				 "Invalid parameter '%s' in --image-opts: KEY=VALUE is needed", *i);
			break;
		}
		*equals = 0;
		ok = opts_put(opts, *i, equals + 1, error);
	}
	g_strfreev(items);
	if (ok)
		return opts;
	json_decref(opts);
	return NULL;
}

Node *img_open(const char *name, const ImgOpen *how)
{
	GError *error = NULL;
	bool direct = false, no_flush = false, write_cache;
	json_t *opts = how->image_opts ? image_options(name, &error) : json_object();
	if (!opts) {
		img_gerror(error, NULL);
		return NULL;
	}
	if (how->cache && !cache_mode(how->cache, &direct, &no_flush, &write_cache)) {
		img_error("Invalid cache option: %s. There are: none, writeback, writethrough, "
			  "directsync, unsafe",
			  how->cache);
		json_decref(opts);
		return NULL;
	}
	if (how->format)
		json_object_set_new(opts, "driver", json_string(how->format));
	unsigned flags =
	    how->flags | NODE_UNMAP | (direct ? NODE_DIRECT : 0) | (no_flush ? NODE_NO_FLUSH : 0);
	Node *node = node_open(loop_main(), how->image_opts ? NULL : name, opts, flags, &error);
	if (!node) {
		char *prefix = g_strdup_printf("Could not open '%s'", name);
		img_gerror(error, prefix);
		g_free(prefix);
	}
	return node;
}

bool img_object(const char *words)
{
	GError *error = NULL;
	if (secret_add(words, &error))
		return true;
	img_gerror(error, NULL);
	return false;
}

bool img_option(const char *command, int opt, ImgOpen *how)
{
	switch (opt) {
	case 'f': how->format = optarg; return true;
	case 'T': how->cache = optarg; return true;
	case 'U': how->flags |= NODE_SHARE; return true;
	case OPT_IMAGE_OPTS: how->image_opts = true; return true;
	case OPT_OBJECT: return img_object(optarg);
	default: img_usage(command); return false;
	}
}

bool img_size(const char *text, const char *what, uint64_t *out)
{
	if (parse_size(text, 1, out) && *out <= INT64_MAX)
		return true;
	img_error("Invalid %s specified: '%s'. You may use k, M, G, T, P or E suffixes for "
		  "kilobytes, megabytes, "
		  "gigabytes, terabytes, petabytes and exabytes.",
		  what, text);
	return false;
}

bool img_output(const char *text, bool *json)
{
	*json = !strcmp(text, "json");
	if (*json || !strcmp(text, "human"))
		return true;
	img_error("--output must be used with human or json as argument.");
	return false;
}

void img_print_json(json_t *value)
{
	char *text = json_dumps(value, JSON_INDENT(4) | JSON_ENCODE_ANY);
	puts(text);
	free(text);
	json_decref(value);
}

void img_option_help(const Driver *driver)
{
	static const char *const types[] = {
	    [OPT_BOOL] = "<bool (on/off)>", [OPT_INT] = "<num>",  [OPT_SIZE] = "<size>",
	    [OPT_STRING] = "<str>",	    [OPT_ENUM] = "<str>", [OPT_CHILD] = "<str>"};
	puts("Supported options:");
	for (const BlockOption *o = driver->create_options; o && o->name; o++) {
		char *word = g_strdup_printf("%s=%s", o->name, types[o->type]);
		printf("  %-22s - %s%s%s%s\n", word, o->help, o->def ? " (default: " : "",
		       o->def ? o->def : "", o->def ? ")" : "");
		g_free(word);
	}
}

bool img_options(const char *text, const Driver *driver, json_t *opts, bool *help)
{
	if (!strcmp(text, "help") || !strcmp(text, "?")) {
		img_option_help(driver);
		return *help = true;
	}
	/* A doubled comma is one of the value. */
	GString *item = g_string_new(NULL);
	bool ok = true;
	for (const char *p = text; ok; p++) {
		if (*p == ',' && p[1] == ',') {
			g_string_append_c(item, *p++);
		} else if (*p == ',' || !*p) {
			char *equals = strchr(item->str, '=');
			if (equals)
				*equals = 0;
			if (item->len)
				json_object_set_new(opts, item->str,
						    json_string(equals ? equals + 1 : "on"));
			g_string_truncate(item, 0);
			if (!*p)
				break;
		} else {
			g_string_append_c(item, *p);
		}
	}
	g_string_free(item, TRUE);
	return ok;
}

bool img_clobbers(const char *filename)
{
	struct stat st;
	if (stat(filename, &st) < 0 || (S_ISREG(st.st_mode) && st.st_size == 0))
		return false;
	img_error(
	    "'%s' exists and --no-clobber was given. Name another file, or remove this one first.",
	    filename);
	return true;
}

void img_progress(ImgProgress *p, uint64_t done, uint64_t total)
{
	double percent = total ? 100.0 * (double)done / (double)total : 100;
	if (!p->on || (percent < p->shown + 0.1 && percent < 100))
		return;
	p->shown = percent;
	printf("    (%3.2f/100%%)\r", percent);
	fflush(stdout);
}

void img_progress_end(ImgProgress *p)
{
	if (!p->on)
		return;
	p->shown = -1;
	img_progress(p, 1, 1);
	putchar('\n');
}

void img_hold_rate(uint64_t rate, int64_t begun, uint64_t done)
{
	int64_t due = rate ? begun + (int64_t)((double)done / (double)rate * NS_PER_SEC) : 0;
	int64_t now = host_now();
	if (due > now)
		loop_sleep(due - now);
}
