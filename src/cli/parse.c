/*
 * parse.c - walks argv by the option table, then completes what the options left open.
 *
 * Main thread.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "core/error.h"
#include "core/log.h"
#include "core/suggest.h"

static void monitor_config_free(void *p)
{
	g_free(((MonitorConfig *)p)->words);
	g_free(p);
}

void cli_init(Cli *cli)
{
	memset(cli, 0, sizeof(*cli));
	machine_config_init(&cli->machine);
	cli->program = g_strdup("viv");
	cli->host.serials = g_ptr_array_new_with_free_func(g_free);
	cli->host.parallels = g_ptr_array_new_with_free_func(g_free);
	cli->host.monitors = g_ptr_array_new_with_free_func(monitor_config_free);
	cli->host.vncs = g_ptr_array_new_with_free_func(g_free);
	cli->host.chardevs = g_ptr_array_new_with_free_func(g_free);
	cli->numa = g_ptr_array_new_with_free_func((GDestroyNotify)kv_list_free);
	cli->warnings = g_ptr_array_new_with_free_func(g_free);
	cli->output = g_string_new(NULL);
	cli->irqchip = -1;
}

void cli_free(Cli *cli)
{
	HostConfig *h = &cli->host;
	machine_config_free(&cli->machine);
	g_ptr_array_free(h->serials, TRUE);
	g_ptr_array_free(h->parallels, TRUE);
	g_ptr_array_free(h->monitors, TRUE);
	g_ptr_array_free(h->vncs, TRUE);
	g_ptr_array_free(h->chardevs, TRUE);
	g_ptr_array_free(cli->numa, TRUE);
	g_ptr_array_free(cli->warnings, TRUE);
	g_string_free(cli->output, TRUE);
	char *const texts[] = { cli->program, cli->accel_note, h->debugcon, h->gdb, h->pidfile,
		h->process_name, h->layout, h->web, h->log_file, h->log_filter, h->trace_file,
		h->write_config, h->write_config_text };
	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
	memset(cli, 0, sizeof(*cli));
}

void cli_warn(Cli *cli, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_ptr_array_add(cli->warnings, g_strdup_vprintf(format, args));
	va_end(args);
}

static bool unknown_option(const char *word, GError **error)
{
	GPtrArray *names = g_ptr_array_new();
	for (const OptionDef *d = option_table; d->name; d++)
		g_ptr_array_add(names, (gpointer)d->name);
	g_ptr_array_add(names, NULL);
	const char *nearest = suggest_nearest(word, (const char *const *)names->pdata);
	if (nearest)
		fail(error, VIV_ERROR_INVALID,
			"invalid option. Did you mean '-%s'? -help lists all options.", nearest);
	else
		fail(error, VIV_ERROR_INVALID, "invalid option. -help lists all options.");
	g_ptr_array_free(names, TRUE);
	return false;
}

static bool not_built(const OptionDef *def, GError **error)
{
	if (*def->missing)
		return fail(error, VIV_ERROR_UNSUPPORTED, "not built yet in this version; %s",
			def->missing);
	return fail(error, VIV_ERROR_UNSUPPORTED, "not built yet in this version");
}

/* Flags and plain texts with a place of their own. */
static void store_plain(Cli *cli, const OptionDef *def, const char *text)
{
	void *at = (char *)cli + def->at;
	if (!def->arg) {
		*(bool *)at = true;
	} else {
		g_free(*(char **)at);
		*(char **)at = g_strdup(text);
	}
}

static bool asks_help(const OptionDef *def, const char *text)
{
	if (!strcmp(text, "help") || !strcmp(text, "?"))
		return def->keys || def->list;
	return false;
}

static bool apply_items(Cli *cli, const OptionDef *def, GArray *kv, GError **error)
{
	for (unsigned i = 0; !def->free_keys && i < kv->len; i++) {
		if (!strcmp(kv_at(kv, i)->key, "help") && !key_find(def->keys, "help")) {
			help_keys(def, cli->output);
			return cli->done = true;
		}
	}
	if (!def->free_keys && !keys_store(cli, def, kv, error))
		return false;
	return !def->apply || def->apply(cli, def, NULL, kv, error);
}

bool option_apply_items(Cli *cli, const OptionDef *def, GArray *kv, GError **error)
{
	bool ok = apply_items(cli, def, kv, error);
	kv_list_free(kv);
	return ok;
}

bool option_apply(Cli *cli, const OptionDef *def, const char *text, GError **error)
{
	if (def->missing && def->accept && text && !strcmp(text, def->accept))
		return true;
	if (def->missing)
		return not_built(def, error);
	if (text && asks_help(def, text)) {
		if (def->list)
			def->list(cli->output);
		else
			help_keys(def, cli->output);
		return cli->done = true;
	}
	if (!def->keys && !def->free_keys) {
		if (def->at)
			store_plain(cli, def, text);
		return !def->apply || def->apply(cli, def, text, NULL, error);
	}
	GArray *kv = kv_list_new();
	if (!kv_parse(text, def->implied, kv, error)) {
		kv_list_free(kv);
		return false;
	}
	return option_apply_items(cli, def, kv, error);
}

static bool special_option(Cli *cli, const char *name)
{
	if (!strcmp(name, "h") || !strcmp(name, "help"))
		help_text(cli->output);
	else if (!strcmp(name, "version"))
		version_text(cli->output);
	else
		return false;
	return cli->done = true;
}

static bool read_arguments(Cli *cli, int argc, char **argv, GError **error)
{
	for (int i = 1; i < argc && !cli->done; i++) {
		const char *word = argv[i];
		if (word[0] != '-' || !word[1])
			return fail(error, VIV_ERROR_UNSUPPORTED,
				"%s: disk images are not built yet in this version; boot a "
				"kernel with -kernel and -initrd", word);
		const char *name = word + (word[1] == '-' ? 2 : 1);
		const OptionDef *def = option_find(name);
		bool ok = true;
		if (!def) {
			ok = unknown_option(name, error);
		} else if (!special_option(cli, name)) {
			if (def->missing && !def->accept)
				ok = not_built(def, error);
			else if (def->arg && i + 1 >= argc)
				ok = fail(error, VIV_ERROR_INVALID, "requires an argument: -%s %s",
					name, def->arg);
			else
				ok = option_apply(cli, def, def->arg ? argv[++i] : NULL, error);
		}
		if (!ok) {
			bool argument = def && def->arg && argv[i] != word;
			g_prefix_error(error, "%s%s%s: ", word, argument ? " " : "", argument
				? argv[i] : "");
			return false;
		}
	}
	return true;
}

/* ---- completion ---- */

static bool has_device(const MachineConfig *c, const char *name)
{
	const char *const names[] = { name, NULL };
	return machine_config_names_device(c, names);
}

static bool speaks_monitor(const HostConfig *h)
{
	for (unsigned i = 0; i < h->serials->len; i++)
		if (g_str_has_prefix(g_ptr_array_index(h->serials, i), "mon:"))
			return true;
	return h->debugcon && g_str_has_prefix(h->debugcon, "mon:");
}

/* Serial line and monitor go to the terminal with -nographic, unless they were given places. */
static void complete_lines(Cli *cli)
{
	HostConfig *h = &cli->host;
	bool serial = !h->serial_given && !has_device(&cli->machine, "isa-serial") &&
		!cli->machine.no_defaults;
	bool monitor = !h->monitor_given && !speaks_monitor(h) && !cli->machine.no_defaults;
	if (!h->parallel_given && !has_device(&cli->machine, "isa-parallel") && !cli->machine.no_defaults)
		g_ptr_array_add(h->parallels, g_strdup(h->nographic ? "null" : "vc"));
	if (h->nographic) {
		if (serial)
			g_ptr_array_add(h->serials, g_strdup(monitor ? "mon:stdio" : "stdio"));
		else if (monitor)
			host_add_monitor(h, "stdio", false, false);
	} else if (serial) {
		g_ptr_array_add(h->serials, g_strdup("vc"));
	}
	if (h->web && monitor) /* elsewhere nobody would see it */
		host_add_monitor(h, "vc", false, false);
	h->serial_given = h->parallel_given = h->monitor_given = true;
}

static bool check_host(const Cli *cli, GError **error)
{
	const HostConfig *h = &cli->host;
	if (h->daemonize && h->nographic)
		return fail(error, VIV_ERROR_INVALID,
			"-daemonize: -nographic keeps the terminal. Use -display none.");
	return true;
}

static bool complete_memory(Cli *cli, GError **error)
{
	const MachineConfig *c = &cli->machine;
	if (c->ram_max > (c->ram_size ? c->ram_size : 128ull << 20))
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"-m maxmem=: memory hot-plug is not built yet in this version; "
			"leave maxmem out.");
	return true;
}

/* -singlestep and -perfmap name no accelerator. */
static bool check_accel_options(const Cli *cli, GError **error)
{
	const AccelOptions *o = &cli->machine.accel_options;
	const char *name = cli->machine.accels[0];
	if (o->one_insn && !strcmp(name, "kvm"))
		return fail(error, VIV_ERROR_INVALID, "-singlestep: KVM makes no blocks; use -accel jit or interp.");
	if (o->perfmap && strcmp(name, "jit"))
		return fail(error, VIV_ERROR_INVALID, "-perfmap: %s translates nothing; use -accel jit.", name);
	return true;
}

static bool complete(Cli *cli, GError **error)
{
	MachineConfig *c = &cli->machine;
	c->nographic = cli->host.nographic || c->props.graphics == TRI_OFF;
	if (!check_host(cli, error) || !complete_memory(cli, error))
		return false;
	/* Twice: -numa cpu needs the topology, and nodes are checked against it. */
	if (!machine_config_complete(c, error) || !numa_finish(cli, error) ||
		!machine_config_complete(c, error))
		return false;
	if (c->smp.maxcpus > c->smp.cpus)
		cli_warn(cli, "-smp: %u vcpus are started; the other %u places stay empty, as "
			"vcpu hot-plug is not built "
			"yet in this version", c->smp.cpus, c->smp.maxcpus - c->smp.cpus);
	if (!accel_choose(cli, error))
		return false;
	if (!check_accel_options(cli, error))
		return false;
	if (!strcmp(c->accels[0], "kvm") && cli->host.log_items & (LOG_INT | LOG_MMU | LOG_IN_BLOCKS))
		cli_warn(cli, "-d: KVM runs the guest by itself, so neither its blocks nor its interrupts are seen");
	complete_lines(cli);
	display_complete(&cli->host);
	return true;
}

bool cli_parse(Cli *cli, int argc, char **argv, GError **error)
{
	if (!read_arguments(cli, argc, argv, error))
		return false;
	if (cli->done)
		return true;
	if (!complete(cli, error))
		return false;
	if (cli->host.write_config) {
		GString *text = g_string_new(NULL);
		cli_write_config(cli, text);
		cli->host.write_config_text = g_string_free(text, FALSE);
	}
	if (cli->host.print_config) {
		cli_print_config(cli, cli->output);
		g_string_append_c(cli->output, '\n');
		cli->done = true;
	}
	return true;
}
