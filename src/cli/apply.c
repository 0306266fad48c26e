/*
 * apply.c - what single options do beyond storing their keys: host side and small ones.
 *
 * Main thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/options.h"
#include "core/error.h"
#include "core/log.h"
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

bool apply_serial(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	HostConfig *h = &cli->host;
	h->serial_given = true;
	if (!strcmp(text, "none"))
		return true;
	if (h->serials->len >= MACHINE_SERIALS)
		return fail(error, VIV_ERROR_INVALID, "a PC has %u serial lines at most.",
			MACHINE_SERIALS);
	g_ptr_array_add(h->serials, g_strdup(text));
	return true;
}

bool apply_parallel(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	if (!strcmp(text, "none"))
		return true;
	return fail(error, VIV_ERROR_UNSUPPORTED,
		"parallel ports are not built yet in this version; use "
		"-parallel none.");
}

bool apply_monitor(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	cli->host.monitor_given = true;
	if (strcmp(text, "none"))
		g_ptr_array_add(cli->host.monitors, g_strdup(text));
	return true;
}

bool apply_mon(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	static const SubKey keys[] = {
		{ "chardev", KEY_STRING, 0, NULL, "id" },
		{ "mode", KEY_STRING, 0, NULL, "readline", .only = "readline" },
		{ NULL },
	};
	OptionDef own = { .keys = keys };
	if (!keys_store(cli, &own, kv, error))
		return false;
	const char *id = kv_list_get(kv, "chardev");
	if (!id)
		return fail(error, VIV_ERROR_INVALID, "chardev=ID is needed.");
	cli->host.monitor_given = true;
	g_ptr_array_add(cli->host.monitors, g_strdup_printf("chardev:%s", id));
	return true;
}

void list_chardevs(GString *out)
{
	g_string_append(out, "Available chardev backend types:\n  file\n  null\n  stdio\n");
}

bool apply_chardev(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	static const char *const built[] = { "file", "null", "stdio", NULL };
	static const char *const unbuilt[] = { "socket", "udp", "msmouse", "vc", "ringbuf", "pipe",
		"pty", "braille",
		"serial", "tty", "parallel", "parport", "spicevmc", "spiceport", "testdev",
		"wctablet", "dbus", NULL };
	static const SubKey keys[] = {
		{ "backend", KEY_STRING, 0, NULL, "type" }, { "id", KEY_STRING, 0, NULL, "id" },
		{ "path", KEY_STRING, 0, NULL, "file" },
		{ "append", KEY_TRI, 0, "off", "keep what is in the file" },
		{ "signal", KEY_TRI, 0, "on", "C-c ends viv" },
		{ "mux", KEY_TRI, 0, "off", "shared", .only = "off" },
		{ NULL },
	};
	OptionDef own = { .keys = keys };
	if (kv->len && !kv_at(kv, 0)->value) { /* the type comes first, bare */
		kv_at(kv, 0)->value = kv_at(kv, 0)->key;
		kv_at(kv, 0)->key = g_strdup("backend");
	}
	const char *type = kv_list_get(kv, "backend"), *id = kv_list_get(kv, "id");
	if (type && !strcmp(type, "help")) {
		list_chardevs(cli->output);
		return cli->done = true;
	}
	if (type && g_strv_contains(unbuilt, type))
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"chardev type '%s' is not built yet in this version; "
			"stdio, file and null are.", type);
	if (!type || !g_strv_contains(built, type)) {
		char *hint = word_hint(type ? type : "", built);
		fail(error, VIV_ERROR_INVALID, "'%s' is no chardev type. %s.", type ? type : "",
			hint);
		g_free(hint);
		return false;
	}
	if (!keys_store(cli, &own, kv, error))
		return false;
	if (!id || !*id)
		return fail(error, VIV_ERROR_INVALID, "id=NAME is needed.");
	bool file = !strcmp(type, "file");
	if (file != (kv_list_get(kv, "path") != NULL) || (!file && kv_list_get(kv, "append")) ||
	    (strcmp(type, "stdio") && kv_list_get(kv, "signal")))
		return fail(error, VIV_ERROR_INVALID,
		"path= and append= go with type file (which needs a path), "
			"signal= with stdio.");
	GString *spec = g_string_new(NULL);
	for (unsigned i = 0; i < kv->len; i++) {
		g_string_append_printf(spec, "%s%s=", i ? "," : "", kv_at(kv, i)->key);
		kv_append_escaped(spec, kv_at(kv, i)->value);
	}
	g_ptr_array_add(cli->host.chardevs, g_string_free(spec, FALSE));
	return true;
}

static const char *const displays_unbuilt[] = { "sdl", "gtk", "vnc", "curses", "egl-headless",
	"dbus",
	"spice-app", "cocoa", "default", NULL };

void list_displays(GString *out)
{
	g_string_append(out, "Available display backend types:\nnone\n");
}

bool apply_display(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	if (!strcmp(text, "none"))
		return cli->host.display_none = true;
	char *type = g_strndup(text, strcspn(text, ",="));
	bool known = g_strv_contains(displays_unbuilt, type);
	if (known) {
		fail(error, VIV_ERROR_UNSUPPORTED,
			"display '%s' is not built yet in this version; use -display none "
			"or -nographic.", type);
	} else {
		static const char *const valid[] = { "none", NULL };
		char *hint = word_hint(type, valid);
		fail(error, VIV_ERROR_INVALID, "there is no display '%s'. %s.", type, hint);
		g_free(hint);
	}
	g_free(type);
	return false;
}

/* ---- -d ---- */

/* The last -d counts, as QEMU's. */
bool apply_log(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	return log_parse_items(text, &cli->host.log_items, error);
}

bool apply_dfilter(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	return log_set_filter(text, error);
}

bool apply_action(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *reboot = kv_list_get(kv, "reboot"), *shutdown = kv_list_get(kv, "shutdown");
	if (reboot)
		cli->machine.no_reboot = !strcmp(reboot, "shutdown");
	if (shutdown)
		cli->machine.no_shutdown = !strcmp(shutdown, "pause");
	return true;
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

void list_devices(GString *out)
{
	for (const DeviceClass *const *c = device_classes; *c; c++)
		if ((*c)->user_creatable)
			g_string_append_printf(out, "name \"%s\", bus %s%s%s%s, desc \"%s\"\n",
				(*c)->name, (*c)->bus, (*c)->alias ? ", alias \"" : "",
				(*c)->alias ? (*c)->alias : "", (*c)->alias ? "\"" : "",
				(*c)->desc);
}

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
