/*
 * accel.c - which accelerator runs the vcpus: the user's first that works, or the best there is.
 *
 * Main thread.
 */
#include <string.h>
#include <unistd.h>

#include "accel/accels.h"
#include "cli/options.h"
#include "core/error.h"

/* Names that are known although this viv was built without them. */
static bool foreign_word(const char *name)
{
	static const char *const names[] = { "kvm", "xen", "hvf", "whpx", "nvmm", "hax", "qtest",
		NULL };
	return g_strv_contains(names, name);
}

static void set_only(Cli *cli, const char *name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(cli->machine.accels); i++)
		g_clear_pointer(&cli->machine.accels[i], g_free);
	cli->machine.accels[0] = g_strdup(name);
}

static bool unknown_accel(const char *name, GError **error)
{
	GPtrArray *names = g_ptr_array_new();
	for (const AccelClass *const *c = accel_classes; *c; c++)
		g_ptr_array_add(names, (gpointer)(*c)->name);
	g_ptr_array_add(names, (gpointer) "tcg");
	g_ptr_array_add(names, NULL);
	char *hint = word_hint(name, (const char *const *)names->pdata);
	fail(error, VIV_ERROR_INVALID, "-accel %s: there is no such accelerator. %s.", name, hint);
	g_free(hint);
	g_ptr_array_free(names, TRUE);
	return false;
}

/* One named accelerator: the class if it works here, else NULL with a reason in `tried`. */
static bool try_named(Cli *cli, const char *name, const AccelClass **found, GString *tried,
	GError **error)
{
	const AccelClass *cls = accel_find(name);
	const char *why = NULL;
	if (!cls && !foreign_word(name))
		return unknown_accel(name, error);
	if (cls && cls->probe(&why)) {
		*found = cls;
		return true;
	}
	g_string_append_printf(tried, "%s%s: %s", tried->len ? "; " : "", name,
		!cls ? "not built into this viv" : why ? why : "it does not work here");
	return true;
}

static bool choose_named(Cli *cli, const AccelClass **found, GError **error)
{
	GString *tried = g_string_new(NULL);
	bool ok = true;
	for (unsigned i = 0; ok && !*found && cli->machine.accels[i]; i++)
		ok = try_named(cli, cli->machine.accels[i], found, tried, error);
	/* The words after the chosen one are still checked. */
	for (unsigned i = 0; ok && cli->machine.accels[i]; i++)
		if (!accel_find(cli->machine.accels[i]) && !foreign_word(cli->machine.accels[i]))
			ok = unknown_accel(cli->machine.accels[i], error);
	if (ok && !*found)
		ok = fail(error, VIV_ERROR_UNSUPPORTED,
			"no accelerator that was named can run here (%s). Leave the "
			"choice out to use the software CPU; viv-check says what this host can do.",
			tried->str);
	if (ok && tried->len)
		cli_warn(cli, "%s; falling back to %s", tried->str, (*found)->name);
	g_string_free(tried, TRUE);
	return ok;
}

static void choose_default(Cli *cli, const AccelClass **found)
{
	int best = 0;
	for (const AccelClass *const *c = accel_classes; *c; c++) {
		const char *why = NULL;
		int score = (*c)->probe(&why);
		if (score > best) {
			best = score;
			*found = *c;
		}
		if (!strcmp((*c)->name, "kvm") && score < 2) {
			g_free(cli->accel_note);
			cli->accel_note = g_strdup(why);
		}
	}
	if (*found && strcmp((*found)->name, "kvm")) {
		char *why = cli->accel_note ? cli->accel_note
			: g_strdup("no usable VMX or SVM here");
		if (g_str_has_suffix(why, "."))
			why[strlen(why) - 1] = 0;
		cli->accel_note = g_strdup_printf("%s; running on the software CPU (-accel %s)",
			why, (*found)->name);
		g_free(why);
	} else {
		g_clear_pointer(&cli->accel_note, g_free);
	}
}

bool accel_choose(Cli *cli, GError **error)
{
	const AccelClass *found = NULL;
	if (cli->machine.accels[0]) {
		if (!choose_named(cli, &found, error))
			return false;
	} else {
		choose_default(cli, &found);
	}
	if (!found)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"no accelerator can run here. Run viv-check.");
	if (cli->irqchip == 0 && !found->irqchip)
		return fail(error, VIV_ERROR_INVALID,
			"kernel-irqchip=on needs -accel kvm; %s has its interrupt "
			"controllers in viv.", found->name);
	if (cli->irqchip == 1 && found->irqchip)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"kernel-irqchip=off is not built yet in this version for %s; "
			"use on.", found->name);
	set_only(cli, found->name);
	return true;
}
