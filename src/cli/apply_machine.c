/*
 * apply_machine.c - options that shape the machine: board, processors, memory, boot data.
 *
 * Main thread.
 */
#include <string.h>

#include "accel/accels.h"
#include "cli/options.h"
#include "core/error.h"
#include "cpu/models.h"

void list_machines(GString *out)
{
	g_string_append(out, "Supported machines are:\n");
	for (const MachineType *t = machine_types; t->name; t++) {
		if (t->alias)
			g_string_append_printf(out, "%-20s %s (alias of %s)\n", t->alias, t->desc,
				t->name);
		g_string_append_printf(out, "%-20s %s%s\n", t->name, t->desc, t->is_default
			? " (default)" : "");
	}
}

void list_cpus(GString *out)
{
	cpu_models_help(out);
}

void list_accels(GString *out)
{
	g_string_append(out, "Accelerators supported by this viv:\n");
	for (const AccelClass *const *c = accel_classes; *c; c++) {
		const char *why = NULL;
		int score = (*c)->probe(&why);
		g_string_append_printf(out, "%-8s %s", (*c)->name, (*c)->desc);
		if (score < 2)
			g_string_append_printf(out, " (%s%s%s)", score ? "not by default"
				: "not usable here",
				why ? ": " : "", why ? why : "");
		g_string_append_c(out, '\n');
	}
}

static bool check_type(const char *type, GError **error)
{
	static const char *const unbuilt[] = { "q35", "microvm", "isapc", "none", "x-remote",
		"xenfv", "xenpv", NULL };
	GPtrArray *names = g_ptr_array_new();
	if (machine_type_find(type)) {
		g_ptr_array_free(names, TRUE);
		return true;
	}
	for (const MachineType *t = machine_types; t->name; t++) {
		if (t->alias)
			g_ptr_array_add(names, (gpointer)t->alias);
		g_ptr_array_add(names, (gpointer)t->name);
	}
	g_ptr_array_add(names, NULL);
	char *hint = word_hint(type, (const char *const *)names->pdata);
	if (g_strv_contains(unbuilt, type) || g_str_has_prefix(type, "pc-q35-") ||
	    g_str_has_prefix(type, "pc-i440fx-"))
		fail(error, VIV_ERROR_UNSUPPORTED,
		"machine type '%s' is not built yet in this version; use pc. %s.",
			type, hint);
	else
		fail(error, VIV_ERROR_INVALID, "unsupported machine type '%s'. %s.", type, hint);
	g_free(hint);
	g_ptr_array_free(names, TRUE);
	return false;
}

static bool add_accel(Cli *cli, const char *name, GError **error)
{
	for (unsigned i = 0; i + 1 < G_N_ELEMENTS(cli->machine.accels); i++) {
		if (!cli->machine.accels[i]) {
			cli->machine.accels[i] = g_strdup(name);
			return true;
		}
	}
	return fail(error, VIV_ERROR_INVALID, "that is more accelerators than there are.");
}

static bool set_irqchip(Cli *cli, const char *value, GError **error)
{
	if (!value)
		return true;
	if (!strcmp(value, "split"))
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"kernel-irqchip=split is not built yet in this version; use on.");
	cli->irqchip = strcmp(value, "on") ? 1 : 0;
	cli->machine.props.kernel_irqchip = cli->irqchip ? TRI_OFF : TRI_ON;
	return true;
}

static const char accel_clash[] = "-accel and -machine accel= exclude each other: use -accel "
	"alone.";

bool apply_machine(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *type = kv_list_get(kv, "type"), *accel = kv_list_get(kv, "accel");
	if (type && !check_type(type, error))
		return false;
	if (!set_irqchip(cli, kv_list_get(kv, "kernel-irqchip"), error))
		return false;
	if (!accel)
		return true;
	if (cli->accel_option)
		return fail(error, VIV_ERROR_INVALID, "%s", accel_clash);
	for (unsigned i = 0; i < G_N_ELEMENTS(cli->machine.accels); i++)
		/* the last -machine accel= counts */
		g_clear_pointer(&cli->machine.accels[i], g_free);
	cli->accel_in_machine = true;
	char **names = g_strsplit(accel, ":", 0);
	bool ok = true;
	for (unsigned i = 0; ok && names[i]; i++)
		ok = add_accel(cli, names[i], error);
	g_strfreev(names);
	return ok;
}

/* Keys that only some know, with the names that do. */
static bool check_accel_keys(const char *name, GArray *kv, GError **error)
{
	static const struct { const char *key, *of; } keys[] = {
		{ "tb-size", "jit" }, { "perfmap", "jit" }, { "one-insn-per-tb", "jit, interp" },
	};
	const AccelClass *cls = accel_find(name);
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
		bool knows = cls && strstr(keys[i].of, cls->name);
		if (cls && !knows && kv_list_get(kv, keys[i].key))
			return fail(error, VIV_ERROR_INVALID, "%s= is a key of %s, not of %s.", keys[i].key, keys[i].of, name);
	}
	return true;
}

bool apply_accel(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *name = kv_list_get(kv, "accel");
	if (!name)
		return fail(error, VIV_ERROR_INVALID,
			"a name is needed: -accel NAME (-accel help)");
	if (cli->accel_in_machine)
		return fail(error, VIV_ERROR_INVALID, "%s", accel_clash);
	cli->accel_option = true;
	if (!check_accel_keys(name, kv, error))
		return false;
	return set_irqchip(cli, kv_list_get(kv, "kernel-irqchip"), error) &&
		add_accel(cli, name, error);
}

bool apply_enable_kvm(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	if (cli->accel_in_machine)
		return fail(error, VIV_ERROR_INVALID, "%s", accel_clash);
	cli->accel_option = true;
	return add_accel(cli, "kvm", error);
}

bool apply_memory(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	if (kv_list_get(kv, "size") && !cli->machine.ram_size)
		return fail(error, VIV_ERROR_INVALID,
			"a machine without memory cannot run. Use -m 512M, say.");
	return true;
}

bool apply_fw_cfg(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *name = kv_list_get(kv, "name"), *file = kv_list_get(kv, "file");
	const char *string = kv_list_get(kv, "string");
	if (!name || !*name || !file == !string)
		return fail(error, VIV_ERROR_INVALID,
			"a name and one of file= and string= are needed.");
	if (strlen(name) > 55)
		return fail(error, VIV_ERROR_INVALID, "the name is longer than 55 characters.");
	if (!g_str_has_prefix(name, "opt/"))
		cli_warn(cli, "-fw_cfg %s: names of users' own items begin with \"opt/\"", name);
	machine_config_add_fw_cfg(&cli->machine, name, file, string);
	return true;
}

bool apply_rom(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *file = kv_list_get(kv, "romfile"), *index = kv_list_get(kv, "bootindex");
	uint64_t n = 0;
	if (!file)
		file = kv_list_get(kv, "file");
	if (!file || !*file)
		return fail(error, VIV_ERROR_INVALID, "a file is needed: -option-rom FILE");
	if (index)
		parse_uint(index, &n); /* checked before */
	machine_config_add_rom(&cli->machine, file, index ? (int)n : -1);
	return true;
}

/* ---- -smbios ---- */

static const struct { int type; const char *keys; } smbios_keys[] = {
	{ 0, "vendor version date release uefi" },
	{ 1, "manufacturer product version serial uuid sku family" },
	{ 2, "manufacturer product version serial asset location" },
	{ 3, "manufacturer version serial asset sku" },
	{ 4, "sock_pfx manufacturer version serial asset part max-speed current-speed "
	  "processor-id" },
	{ 11, "value path" },
	{ 17, "loc_pfx bank manufacturer serial asset part speed" },
};

static bool check_smbios_key(int type, const char *words, const char *key, GError **error)
{
	char **valid = g_strsplit(words, " ", 0);
	bool ok = g_strv_contains((const char *const *)valid, key);
	if (!ok) {
		char *hint = word_hint(key, (const char *const *)valid);
		fail(error, VIV_ERROR_INVALID, "type %d has no field '%s'. %s.", type, key, hint);
		g_free(hint);
	}
	g_strfreev(valid);
	return ok;
}

bool apply_smbios(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *type_text = kv_list_get(kv, "type"), *file = kv_list_get(kv, "file");
	const char *words = NULL;
	uint64_t type = 0;
	if (file) {
		if (kv->len > 1)
			return fail(error, VIV_ERROR_INVALID, "file= stands alone.");
		SmbiosConfig *s = machine_config_add_smbios(&cli->machine, -1);
		s->file = g_strdup(file);
		return true;
	}
	if (!type_text || !parse_uint(type_text, &type))
		return fail(error, VIV_ERROR_INVALID, "file=FILE or type=NUMBER is needed.");
	for (unsigned i = 0; i < G_N_ELEMENTS(smbios_keys); i++)
		if ((uint64_t)smbios_keys[i].type == type)
			words = smbios_keys[i].keys;
	if (!words)
		return fail(error, type == 8 || type == 41 ? VIV_ERROR_UNSUPPORTED
			: VIV_ERROR_INVALID,
			"SMBIOS type %s is not built; types 0, 1, 2, 3, 4, 11 and 17 are, and "
			"file=FILE takes any.",
			type_text);
	SmbiosConfig *s = machine_config_add_smbios(&cli->machine, (int)type);
	for (unsigned i = 0; i < kv->len; i++) {
		const char *key = kv_at(kv, i)->key, *value = kv_at(kv, i)->value;
		if (!strcmp(key, "type"))
			continue;
		if (!check_smbios_key((int)type, words, key, error))
			return false;
		smbios_config_set(s, key, value ? value : "on");
	}
	return true;
}
