/*
 * viv-check.c - says whether and how this host can run guests, and the cure for each fault.
 *
 * Main thread.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "core/version.h"
#include "tools/check.h"

static const char *const words[] = { "PASS", "WARN", "FAIL" };
static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };

void check_add(Checks *c, const char *name, Verdict verdict, const char *cure, const char *detail,
	...)
{
	va_list args;
	Finding *f = g_new0(Finding, 1);
	va_start(args, detail);
	f->detail = g_strdup_vprintf(detail, args);
	va_end(args);
	f->name = g_strdup(name);
	f->verdict = verdict;
	f->cure = g_strdup(cure);
	g_ptr_array_add(c->findings, f);
}

char *check_read(const char *path)
{
	char *text = NULL;
	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	char *end = strchr(text, '\n');
	if (end)
		*end = 0;
	return text;
}

static void finding_free(void *p)
{
	Finding *f = p;
	g_free(f->name);
	g_free(f->detail);
	g_free(f->cure);
	g_free(f);
}

static void print_text(const Checks *c)
{
	bool colour = isatty(STDOUT_FILENO);
	for (unsigned i = 0; i < c->findings->len; i++) {
		const Finding *f = g_ptr_array_index(c->findings, i);
		printf("%-28s %s%s%s", f->name, colour ? colours[f->verdict] : "",
			words[f->verdict], colour ? "\033[0m" : "");
		printf(" (%s)", f->detail);
		if (f->cure)
			printf(" - %s", f->cure);
		putchar('\n');
	}
}

static void print_json(const Checks *c, bool can_run)
{
	static const char *const verdicts[] = { "pass", "warn", "fail" };
	json_t *list = json_array();
	for (unsigned i = 0; i < c->findings->len; i++) {
		const Finding *f = g_ptr_array_index(c->findings, i);
		json_t *o = json_pack("{s:s, s:s, s:s}", "name", f->name, "result",
			verdicts[f->verdict], "detail", f->detail);
		if (f->cure)
			json_object_set_new(o, "cure", json_string(f->cure));
		json_array_append_new(list, o);
	}
	json_t *root = json_pack("{s:s, s:b, s:o}", "version", VIV_VERSION, "can-run-guests",
		can_run, "checks", list);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

static const char usage[] =
	"usage: viv-check [--json] [--help] [--version]\n"
	"Says whether and how this host can run guests, with the cure for each fault.\n"
	"Exit status: 0 guests can run; 1 something keeps every guest from running; 2 wrong "
	"usage.\n";

int main(int argc, char **argv)
{
	bool json = false, can_run = true;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json")) {
			json = true;
		} else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(usage, stdout);
			return 0;
		} else if (!strcmp(argv[i], "--version")) {
			puts("viv-check " VIV_VERSION);
			return 0;
		} else {
			fprintf(stderr, "viv-check: %s: unknown option\n%s", argv[i], usage);
			return 2;
		}
	}
	Checks c = { .findings = g_ptr_array_new_with_free_func(finding_free), .kvm_fd = -1 };
	check_kvm(&c);
	check_host(&c);
	check_accels(&c);
	for (unsigned i = 0; i < c.findings->len; i++)
		can_run &= !((Finding *)g_ptr_array_index(c.findings, i))->fatal;
	if (json)
		print_json(&c, can_run);
	else
		print_text(&c);
	if (c.kvm_fd >= 0)
		close(c.kvm_fd);
	g_ptr_array_free(c.findings, TRUE);
	return can_run ? 0 : 1;
}
