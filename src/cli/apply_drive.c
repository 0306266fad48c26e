/*
 * apply_drive.c - the options of disks: -drive, -blockdev, -hda and their kin; -object.
 *
 * qemu(1), block device options. Main thread.
 */
#include <string.h>

#include "block/drive.h"
#include "block/opts.h"
#include "block/secret.h"
#include "cli/options.h"
#include "core/error.h"

static DriveSpec *new_drive(Cli *cli, DriveIf interface)
{
	DriveSpec *s = drive_spec_new(interface);
	g_ptr_array_add(cli->machine.drives, s);
	return s;
}

bool apply_drive(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	DriveSpec *s = new_drive(cli, DRIVE_IDE);
	for (unsigned i = 0; i < kv->len; i++) {
		const KeyValue *item = kv_at(kv, i);
		if (!drive_spec_set(s, item->key, item->value ? item->value : "on", error))
			return false;
	}
	return true;
}

/* -hda FILE and the others: what each means in -drive's words. */
bool apply_disk_file(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	static const struct { const char *option, *interface, *index, *media; } forms[] = {
		{ "fda", "floppy", "0", NULL }, { "fdb", "floppy", "1", NULL },
		{ "hda", "ide", "0", "disk" }, { "hdb", "ide", "1", "disk" },
		{ "hdc", "ide", "2", "disk" }, { "hdd", "ide", "3", "disk" },
		{ "cdrom", "ide", "2", "cdrom" }, { "mtdblock", "mtd", NULL, NULL },
		{ "sd", "sd", NULL, NULL }, { "pflash", "pflash", NULL, NULL },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
		if (strcmp(forms[i].option, def->name))
			continue;
		DriveSpec *s = new_drive(cli, DRIVE_IDE);
		return drive_spec_set(s, "if", forms[i].interface, error) &&
			(!forms[i].index || drive_spec_set(s, "index", forms[i].index, error)) &&
			(!forms[i].media || drive_spec_set(s, "media", forms[i].media, error)) &&
			drive_spec_set(s, "file", text, error);
	}
	return fail(error, VIV_ERROR_INVALID, "-%s is no short form of -drive", def->name);
}

bool apply_blockdev(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	json_t *opts;
	if (*text == '{') {
		json_error_t e;
		opts = json_loads(text, 0, &e);
		if (!opts || !json_is_object(opts)) {
			json_decref(opts);
			return fail(error, VIV_ERROR_INVALID, "JSON parse error: %s",
				    opts ? "not an object" : e.text);
		}
	} else {
		GArray *items = kv_list_new();
		bool ok = kv_parse(text, "driver", items, error);
		opts = json_object();
		for (unsigned i = 0; ok && i < items->len; i++)
			ok =
			    opts_put(opts, kv_at(items, i)->key,
				     kv_at(items, i)->value ? kv_at(items, i)->value : "on", error);
		kv_list_free(items);
		if (!ok) {
			json_decref(opts);
			return false;
		}
	}
	g_ptr_array_add(cli->machine.blockdevs, opts);
	return true;
}

/* A thread for disks, or a secret. */
bool apply_object(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *type = kv_list_get(kv, "qom-type"), *id = kv_list_get(kv, "id");
	if (!type)
		return fail(error, VIV_ERROR_INVALID, "a type is needed: -object iothread,id=ID");
	if (!id || !*id)
		return fail(error, VIV_ERROR_INVALID, "-object %s: Parameter 'id' is missing",
			    type);
	DeviceConfig *o = device_config_new(type, id);
	for (unsigned i = 0; i < kv->len; i++) {
		const KeyValue *item = kv_at(kv, i);
		if (strcmp(item->key, "qom-type") && strcmp(item->key, "id"))
			device_config_set(o, item->key, item->value);
	}
	if (machine_config_define(&cli->machine, o, error))
		return true;
	g_prefix_error(error, "-object %s,id=%s: ", type, id);
	return false;
}
