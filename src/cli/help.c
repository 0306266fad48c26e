/*
 * help.c - -help, the keys of one option, and -version, all from the tables.
 *
 * Main thread.
 */
#include <string.h>

#include <jansson.h>

#include "accel/accels.h"
#include "cli/options.h"
#include "core/version.h"

#define HELP_COLUMN 16

static void append_option(const OptionDef *d, GString *out)
{
	GString *head = g_string_new(NULL);
	g_string_append_printf(head, "-%s%s%s", d->name, d->arg ? " " : "", d->arg ? d->arg : "");
	if (head->len < HELP_COLUMN)
		g_string_append_printf(out, "%-*s%s", HELP_COLUMN, head->str, d->help);
	else
		g_string_append_printf(out, "%s\n%*s%s", head->str, HELP_COLUMN, "", d->help);
	if (d->missing)
		g_string_append(out, d->accept ? " (only this is built: " : " (not built yet)");
	if (d->accept)
		g_string_append_printf(out, "%s)", d->accept);
	g_string_append_c(out, '\n');
	g_string_free(head, TRUE);
}

void help_text(GString *out)
{
	g_string_append(out, "Vivarium version " VIV_VERSION "\nusage: viv [options]\n");
	for (int section = 0; section < SECTION_COUNT; section++) {
		g_string_append_printf(out, "\n%s:\n", section_names[section]);
		for (const OptionDef *d = option_table; d->name; d++)
			if ((int)d->section == section)
				append_option(d, out);
	}
	g_string_append(out, "\nOne dash or two may stand before an option. OPTION help lists an "
		"option's keys.\n"
		"With -nographic, on the terminal:\n"
		"C-a h           help on the keys\n"
		"C-a x           leave\n"
		"C-a c           switch between serial line and monitor\n");
}

static const char *type_name(const SubKey *k)
{
	static const char *const names[] = {
		[KEY_STRING] = "str", [KEY_TRI] = "on|off", [KEY_FLAG] = "on|off",
			[KEY_UINT] = "num", [KEY_I64] = "num",
		[KEY_SIZE] = "size", [KEY_ENUM] = "enum", [KEY_SPECIAL] = "str",
	};
	return names[k->type];
}

void help_keys(const OptionDef *def, GString *out)
{
	g_string_append_printf(out, "-%s options:\n", def->name);
	for (const SubKey *k = def->keys; k && k->name; k++) {
		char *values = k->values ? g_strjoinv("|", (char **)k->values)
			: g_strdup(type_name(k));
		char *head = g_strdup_printf("%s=<%s>", k->name, values);
		g_string_append_printf(out, "  %-28s - %s", head, k->help);
		if (k->def)
			g_string_append_printf(out, " (default: %s)", k->def);
		if (k->only)
			g_string_append_printf(out, " (this version: %s)", k->only);
		g_string_append_c(out, '\n');
		g_free(head);
		g_free(values);
	}
}

void version_text(GString *out)
{
	g_string_append_printf(out, "Vivarium version " VIV_VERSION "\n"
		"Words of qemu-kvm 7.2; MIT license\n"
		"accelerators:");
	for (const AccelClass *const *c = accel_classes; *c; c++)
		g_string_append_printf(out, " %s", (*c)->name);
	g_string_append_printf(out, "\nlibraries: glib %u.%u.%u, jansson %s\n", glib_major_version,
		glib_minor_version,
		glib_micro_version, jansson_version_str());
}
