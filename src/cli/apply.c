/*
 * apply.c - what single options do beyond storing their keys: host side and small ones.
 *
 * Main thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/options.h"
#include "core/error.h"
#include "core/log.h"
#include "core/trace.h"
#include "hw/classes.h"

bool apply_dtb(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	return fail(error, VIV_ERROR_UNSUPPORTED,
		"a PC is described by ACPI and takes no device tree.");
}

bool apply_uuid(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	static const uint8_t dashes[] = { 8, 13, 18, 23 };
	bool ok = strlen(text) == 36;
	uint8_t bytes[16];
	unsigned n = 0;
	for (unsigned i = 0; ok && i < 36; i++) {
		if (memchr(dashes, (int)i, sizeof(dashes))) {
			ok = text[i] == '-';
			continue;
		}
		int digit = g_ascii_xdigit_value(text[i]);
		ok = digit >= 0;
		bytes[n / 2] = n & 1 ? bytes[n / 2] << 4 | digit : digit;
		n++;
	}
	if (!ok)
		return fail(error, VIV_ERROR_INVALID, "'%s' is no UUID. One looks like "
			"12345678-9abc-def0-1234-56789abcdef0; uuidgen(1) makes them.", text);
	memcpy(cli->machine.uuid, bytes, 16);
	return cli->machine.uuid_set = true;
}

bool apply_data_dir(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	if (!strcmp(text, "help")) {
		for (unsigned i = 0; i < cli->machine.data_dirs->len; i++)
			g_string_append_printf(cli->output, "%s\n",
				(char *)g_ptr_array_index(cli->machine.data_dirs, i));
		g_string_append(cli->output,
			"/usr/share/vivarium\n/usr/share/seabios\n/usr/share/qemu\n");
		return cli->done = true;
	}
	g_ptr_array_add(cli->machine.data_dirs, g_strdup(text));
	return true;
}

static bool add_port(GPtrArray *ports, const char *words, unsigned max, const char *what,
	GError **error)
{
	if (ports->len >= max)
		return fail(error, VIV_ERROR_INVALID, "too many %s ports: a PC has %u at most.", what,
			max);
	g_ptr_array_add(ports, g_strdup(words));
	return true;
}

bool apply_serial(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	cli->host.serial_given = true;
	return add_port(cli->host.serials, text, MACHINE_SERIALS, "serial", error);
}

bool apply_parallel(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	cli->host.parallel_given = true;
	return add_port(cli->host.parallels, text, MACHINE_PARALLELS, "parallel", error);
}

void host_add_monitor(HostConfig *h, const char *words, bool control, bool pretty)
{
	MonitorConfig *m = g_new0(MonitorConfig, 1);
	*m = (MonitorConfig){ g_strdup(words), control, pretty };
	g_ptr_array_add(h->monitors, m);
}

/* -monitor, -qmp and -qmp-pretty */
bool apply_monitor(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	cli->host.monitor_given = true;
	if (strcmp(text, "none"))
		host_add_monitor(&cli->host, text, strcmp(def->name, "monitor"),
			!strcmp(def->name, "qmp-pretty"));
	return true;
}

bool apply_s(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	g_free(cli->host.gdb);
	cli->host.gdb = g_strdup("tcp::1234");
	return true;
}

bool apply_mon(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *id = kv_list_get(kv, "chardev"), *mode = kv_list_get(kv, "mode");
	const char *indent = kv_list_get(kv, "pretty");
	bool control = mode && !strcmp(mode, "control"), pretty = false;
	if (!id)
		return fail(error, VIV_ERROR_INVALID, "chardev=ID is needed.");
	if (indent && !control)
		return fail(error, VIV_ERROR_INVALID,
			"'pretty' is not compatible with HMP monitors");
	if (indent)
		parse_on_off(indent, &pretty); /* was checked before */
	cli->host.monitor_given = true;
	char *words = g_strdup_printf("chardev:%s", id);
	host_add_monitor(&cli->host, words, control, pretty);
	g_free(words);
	return true;
}

void list_chardevs(GString *out)
{
	chardev_list_types(out);
	chardev_list_keys(out);
}

/* Checked here, kept as text, and opened when the options are complete. */
bool apply_chardev(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	ChardevOptions *o = chardev_options_from_items(kv, error);
	if (!o)
		return false;
	chardev_options_free(o);
	GString *words = g_string_new(NULL);
	for (unsigned i = 0; i < kv->len; i++) {
		const KeyValue *item = kv_at(kv, i);
		g_string_append_printf(words, "%s%s=", i ? "," : "", item->key);
		kv_append_escaped(words, item->value);
	}
	g_ptr_array_add(cli->host.chardevs, g_string_free(words, FALSE));
	return true;
}

static const char *const adapters[] = { "none", "std", NULL };

void list_vga(GString *out)
{
	g_string_append(out, "none                 no graphic card\nstd                  standard VGA (default)\n");
}

bool apply_vga(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	static const char *const unbuilt[] = { "cirrus", "vmware", "xenfb", "qxl", "virtio", "tcx", "cg3", NULL };

	if (g_strv_contains(unbuilt, text))
		return fail(error, VIV_ERROR_UNSUPPORTED, "-vga %s: this adapter is not built; use -vga std.", text);
	if (!g_strv_contains(adapters, text)) {
		char *hint = word_hint(text, adapters);
		fail(error, VIV_ERROR_INVALID, "Unknown vga type: %s. %s.", text, hint);
		g_free(hint);
		return false;
	}
	g_free(cli->machine.vga);
	cli->machine.vga = g_strdup(text);
	return true;
}

bool apply_resolution(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	unsigned width, height, depth = 32;
	char rest;
	int n = sscanf(text, "%ux%u%c", &width, &height, &rest);
	bool ok = n == 2 || (n == 3 && sscanf(text, "%ux%ux%u%c", &width, &height, &depth, &rest) == 3);

	if (!ok || width < 64 || width > 4088 || height < 64 || height > 4088 || (depth != 32 && depth != 24 && depth != 16 && depth != 8))
		return fail(error, VIV_ERROR_INVALID, "invalid resolution or depth '%s': -g takes WIDTHxHEIGHT, as 1024x768, and may "
			"have xDEPTH of 8, 16, 24 or 32", text);
	cli->machine.screen_width = width;
	cli->machine.screen_height = height;
	return true;
}

/* ---- -d ---- */

/* The last -d counts, as QEMU's. */
bool apply_log(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	if (!strcmp(text, "trace:help")) {
		trace_list(cli->output);
		cli->done = true;
		return true;
	}
	return log_parse_items(text, &cli->host.log_items, error);
}

bool apply_trace(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *word = kv_list_get(kv, "enable"), *file = kv_list_get(kv, "events");

	if (word) {
		char *where = g_strdup_printf("-trace %s: ", word);
		trace_enable(word, where);
		g_free(where);
	}
	return !file || trace_enable_file(file, error);
}

bool apply_dfilter(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	return log_set_filter(text, error);
}

/* -no-reboot, -no-shutdown and -watchdog-action: -action in fewer words. */
bool apply_action_short(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	char *long_text = text ? g_strdup_printf("watchdog=%s", text)
		: g_strdup(!strcmp(def->name, "no-reboot") ? "reboot=shutdown" : "shutdown=pause");
	bool ok = option_apply(cli, option_find("action"), long_text, error);
	g_free(long_text);
	return ok;
}

bool apply_readconfig(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	return readconfig_file(cli, text, error);
}

/* ---- -rtc ---- */

static bool parse_date(const char *text, int64_t *out)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end || *end) {
		memset(&tm, 0, sizeof(tm));
		end = strptime(text, "%Y-%m-%d", &tm);
	}
	if (!end || *end)
		return false;
	*out = timegm(&tm);
	return true;
}

bool apply_rtc(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	RtcConfig *r = &cli->machine.rtc;
	const char *base = kv_list_get(kv, "base"), *drift = kv_list_get(kv, "driftfix");
	if (drift)
		r->driftfix_slew = !strcmp(drift, "slew");
	if (!base)
		return true;
	if (!strcmp(base, "utc"))
		r->base = RTC_BASE_UTC;
	else if (!strcmp(base, "localtime"))
		r->base = RTC_BASE_LOCALTIME;
	else if (parse_date(base, &r->datetime))
		r->base = RTC_BASE_DATETIME;
	else
		return fail(error, VIV_ERROR_INVALID,
		"base=%s is no date. Write utc, localtime, 2006-06-17T16:01:21 or "
			"2006-06-17.", base);
	return true;
}

/* ---- -device and -global ---- */

void list_devices(GString *out) { device_classes_list(false, out); }

static const char *prop_type_name(PropType type)
{
	static const char *const names[] = {
		[PROP_BOOL] = "bool", [PROP_U8] = "uint8", [PROP_U16] = "uint16",
			[PROP_U32] = "uint32",
		[PROP_U64] = "uint64", [PROP_SIZE] = "size", [PROP_STRING] = "str",
		[PROP_ENUM] = "enum",
		[PROP_CHARDEV] = "str",
	};
	return names[type];
}

static void list_properties(const DeviceClass *cls, GString *out)
{
	g_string_append_printf(out, "%s options:\n", cls->name);
	for (const Property *p = cls->props; p && p->name; p++) {
		if (p->type == PROP_PTR)
			continue;
		char *head = g_strdup_printf("%s=<%s>", p->name, prop_type_name(p->type));
		g_string_append_printf(out, "  %-24s - %s", head, p->help ? p->help : "");
		if (p->def)
			g_string_append_printf(out, " (default: %s)", p->def);
		g_string_append_c(out, '\n');
		g_free(head);
	}
}

static const DeviceClass *find_class(const char *name, bool creatable, GError **error)
{
	const DeviceClass *found = device_class_find(name);
	if (found && (!creatable || found->user_creatable))
		return found;
	GPtrArray *names = g_ptr_array_new();
	for (const DeviceClass *const *c = device_classes; *c; c++)
		if (!creatable || (*c)->user_creatable)
			g_ptr_array_add(names, (gpointer)(*c)->name);
	g_ptr_array_add(names, NULL);
	char *hint = word_hint(name, (const char *const *)names->pdata);
	if (found)
		fail(error, VIV_ERROR_INVALID, "'%s' is part of the board and cannot be added. %s.",
			name, hint);
	else
		fail(error, VIV_ERROR_INVALID, "'%s' is not a valid device model name. %s.", name,
		hint);
	g_free(hint);
	g_ptr_array_free(names, TRUE);
	return NULL;
}

static const Property *find_property(const DeviceClass *cls, const char *name)
{
	for (const Property *p = cls->props; p && p->name; p++)
		if (p->type != PROP_PTR && !strcmp(p->name, name))
			return p;
	return NULL;
}

static bool check_property(const DeviceClass *cls, const char *name, GError **error)
{
	if (find_property(cls, name))
		return true;
	/* What device.c gives every device of a kind. */
	if ((!strcmp(name, "bootindex") && cls->boot_path) || (!strcmp(name, "bus") && strcmp(cls->bus, "system")))
		return true;
	GPtrArray *names = g_ptr_array_new();
	for (const Property *p = cls->props; p && p->name; p++)
		if (p->type != PROP_PTR)
			g_ptr_array_add(names, (gpointer)p->name);
	g_ptr_array_add(names, NULL);
	char *hint = word_hint(name, (const char *const *)names->pdata);
	fail(error, VIV_ERROR_INVALID, "%s has no property '%s'. %s.", cls->name, name,
		names->len > 1 ? hint : "It has none");
	g_free(hint);
	g_ptr_array_free(names, TRUE);
	return false;
}

bool apply_device(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *driver = kv_list_get(kv, "driver"), *id = kv_list_get(kv, "id");
	if (!driver)
		return fail(error, VIV_ERROR_INVALID,
			"a driver name is needed: -device DRIVER,... (-device help)");
	const DeviceClass *cls = find_class(driver, true, error);
	if (!cls)
		return false;
	for (unsigned i = 0; i < kv->len; i++)
		if (!strcmp(kv_at(kv, i)->key, "help") || !strcmp(kv_at(kv, i)->key, "?")) {
			list_properties(cls, cli->output);
			return cli->done = true;
		}
	DeviceConfig *d = machine_config_add_device(&cli->machine, driver, id);
	for (unsigned i = 0; i < kv->len; i++) {
		const char *key = kv_at(kv, i)->key, *value = kv_at(kv, i)->value;
		if (!strcmp(key, "driver") || !strcmp(key, "id"))
			continue;
		bool off = !value && !find_property(cls, key) && !strncmp(key, "no", 2) &&
			find_property(cls, key + 2);
		key += off ? 2 : 0;
		if (!check_property(cls, key, error))
			return false;
		device_config_set(d, key, value ? value : off ? "off" : "on");
	}
	return true;
}

bool apply_global(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *driver = kv_list_get(kv, "driver"), *prop = kv_list_get(kv, "property");
	const char *value = kv_list_get(kv, "value");
	char *short_driver = NULL;
	bool ok = false;
	if (!driver && kv->len == 1 && kv_at(kv, 0)->value && strchr(kv_at(kv, 0)->key, '.')) {
		const char *key = kv_at(kv, 0)->key, *dot = strchr(key, '.');
		driver = short_driver = g_strndup(key, dot - key);
		prop = dot + 1;
		value = kv_at(kv, 0)->value;
	}
	for (unsigned i = 0; !short_driver && i < kv->len; i++)
		if (!key_find(def->keys, kv_at(kv, i)->key) && driver)
			return refuse_key(def->keys, kv_at(kv, i)->key, error);
	if (!driver || !prop || !value) {
		fail(error, VIV_ERROR_INVALID,
			"write DRIVER.PROPERTY=VALUE or driver=,property=,value=.");
	} else {
		const DeviceClass *cls = find_class(driver, false, error);
		ok = cls && check_property(cls, prop, error);
		if (ok)
			machine_config_add_global(&cli->machine, driver, prop, value);
	}
	g_free(short_driver);
	return ok;
}
