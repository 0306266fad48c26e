/*
 * print.c - the effective machine back into words: --print-config and -writeconfig.
 *
 * Both walk the same list of options with their items, made from the completed
 * configuration, so that what one says the other says too. Main thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "block/drive.h"
#include "cli/options.h"
#include "core/log.h"
#include "core/trace.h"

typedef struct Item {
	const OptionDef *def;
	GArray *kv;       /* items; NULL: flag or plain text */
	char *text;       /* plain text; NULL: flag */
} Item;

static void item_free(void *p)
{
	Item *item = p;
	kv_list_free(item->kv);
	g_free(item->text);
	g_free(item);
}

static Item *add(GPtrArray *out, const char *name, const char *text)
{
	Item *item = g_new0(Item, 1);
	item->def = option_find(name);
	item->text = g_strdup(text);
	g_ptr_array_add(out, item);
	return item;
}

static GArray *add_kv(GPtrArray *out, const char *name)
{
	Item *item = add(out, name, NULL);
	return item->kv = kv_list_new();
}

static void put(GArray *kv, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void put(GArray *kv, const char *key, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = g_strdup_vprintf(format, args);
	va_end(args);
	kv_list_add(kv, key, text);
	g_free(text);
}

/* Keys that were said, by the table. */
static void add_stored(GPtrArray *out, const Cli *cli, const char *name)
{
	const OptionDef *def = option_find(name);
	GArray *kv = kv_list_new();
	for (const SubKey *k = def->keys; k->name; k++) {
		char *text = key_text(cli, k);
		if (text)
			kv_list_add(kv, k->name, text);
		g_free(text);
	}
	if (!kv->len) {
		kv_list_free(kv);
		return;
	}
	Item *item = add(out, name, NULL);
	item->kv = kv;
}

/* The board. Kernel, initrd and the rest have options of their own and are left to them. */
static void add_machine(GPtrArray *out, const Cli *cli)
{
	static const char *const others[] = { "kernel", "initrd", "append", "firmware", NULL };
	const OptionDef *def = option_find("machine");
	GArray *kv = add_kv(out, "machine");
	put(kv, "type", "%s", machine_type_find(cli->machine.type)->name);
	if (cli->irqchip >= 0)
		put(kv, "kernel-irqchip", "%s", cli->irqchip ? "off" : "on");
	for (const SubKey *k = def->keys; k->name; k++) {
		char *text = g_strv_contains(others, k->name) || !strcmp(k->name, "type") ? NULL
			: key_text(cli, k);
		if (text)
			kv_list_add(kv, k->name, text);
		g_free(text);
	}
}

static void add_numa(GPtrArray *out, const MachineConfig *c)
{
	for (unsigned i = 0; i < c->numa->len; i++) {
		const NumaNode *n = g_ptr_array_index(c->numa, i);
		GArray *kv = add_kv(out, "numa");
		put(kv, "type", "node");
		put(kv, "nodeid", "%u", i);
		for (unsigned r = 0; r < n->cpus->len; r++) {
			NumaRange range = g_array_index(n->cpus, NumaRange, r);
			put(kv, "cpus", "%u-%u", range.first, range.last);
		}
		put(kv, "mem", "%" PRIu64 "B", n->mem);
	}
	for (unsigned i = 0; i < c->numa->len; i++) {
		const NumaNode *n = g_ptr_array_index(c->numa, i);
		for (unsigned d = 0; d < c->numa->len; d++) {
			if (!n->distance[d])
				continue;
			GArray *kv = add_kv(out, "numa");
			put(kv, "type", "dist");
			put(kv, "src", "%u", i);
			put(kv, "dst", "%u", d);
			put(kv, "val", "%u", n->distance[d]);
		}
	}
}

static void add_rtc(GPtrArray *out, const RtcConfig *r)
{
	static const char *const clocks[] = { "host", "rt", "vm" };
	GArray *kv = add_kv(out, "rtc");
	GDateTime *when = r->base == RTC_BASE_DATETIME ? g_date_time_new_from_unix_utc(r->datetime)
		: NULL;
	char *date = when ? g_date_time_format(when, "%Y-%m-%dT%H:%M:%S") : NULL;
	put(kv, "base", "%s", date ? date : r->base == RTC_BASE_LOCALTIME ? "localtime" : "utc");
	put(kv, "clock", "%s", clocks[r->clock]);
	put(kv, "driftfix", "%s", r->driftfix_slew ? "slew" : "none");
	g_free(date);
	if (when)
		g_date_time_unref(when);
}

static void add_uuid(GPtrArray *out, const MachineConfig *c)
{
	const uint8_t *u = c->uuid;
	if (!c->uuid_set)
		return;
	GString *text = g_string_new(NULL);
	for (unsigned i = 0; i < 16; i++)
		g_string_append_printf(text, "%s%02x", i >= 4 && i <= 10 && i % 2 == 0 ? "-" : "", u[i]);
	add(out, "uuid", text->str);
	g_string_free(text, TRUE);
}

/* In the words that made them, with their places. */
static void add_drives(GPtrArray *out, const MachineConfig *c)
{
	for (unsigned i = 0; i < c->blockdevs->len; i++) {
		char *text = json_dumps(g_ptr_array_index(c->blockdevs, i), JSON_COMPACT);
		add(out, "blockdev", text);
		free(text);
	}
	for (unsigned i = 0; i < c->drives->len; i++) {
		static const char *const own[] = { "index", "bus", "unit", "if", "id", NULL };
		const DriveSpec *s = g_ptr_array_index(c->drives, i);
		GArray *kv = add_kv(out, "drive");
		put(kv, "if", "%s", drive_if_names[s->interface]);
		put(kv, "id", "%s", s->id);
		put(kv, "bus", "%d", s->bus);
		put(kv, "unit", "%d", s->unit);
		for (unsigned k = 0; k + 1 < s->words->len; k += 2)
			if (!g_strv_contains(own, g_ptr_array_index(s->words, k)))
				kv_list_add(kv, g_ptr_array_index(s->words, k), g_ptr_array_index(s->words, k + 1));
	}
}

static void add_lists(GPtrArray *out, const MachineConfig *c)
{
	add_drives(out, c);
	for (unsigned i = 0; i < c->option_roms->len; i++) {
		const RomConfig *r = g_ptr_array_index(c->option_roms, i);
		GArray *kv = add_kv(out, "option-rom");
		put(kv, "romfile", "%s", r->file);
		if (r->bootindex >= 0)
			put(kv, "bootindex", "%d", r->bootindex);
	}
	for (unsigned i = 0; i < c->smbios->len; i++) {
		const SmbiosConfig *s = g_ptr_array_index(c->smbios, i);
		GArray *kv = add_kv(out, "smbios");
		if (s->file)
			put(kv, "file", "%s", s->file);
		else
			put(kv, "type", "%d", s->type);
		for (unsigned k = 0; k < s->fields->len; k++)
			kv_list_add(kv, kv_at(s->fields, k)->key, kv_at(s->fields, k)->value);
	}
	for (unsigned i = 0; i < c->fw_cfg->len; i++) {
		const FwCfgConfig *f = g_ptr_array_index(c->fw_cfg, i);
		GArray *kv = add_kv(out, "fw_cfg");
		put(kv, "name", "%s", f->name);
		put(kv, f->file ? "file" : "string", "%s", f->file ? f->file : f->string);
	}
	for (unsigned i = 0; i < c->globals->len; i++) {
		const DeviceConfig *g = g_ptr_array_index(c->globals, i);
		GArray *kv = add_kv(out, "global");
		put(kv, "driver", "%s", g->driver);
		put(kv, "property", "%s", kv_at(g->props, 0)->key);
		put(kv, "value", "%s", kv_at(g->props, 0)->value);
	}
	for (unsigned i = 0; i < c->objects->len; i++) {
		const DeviceConfig *o = g_ptr_array_index(c->objects, i);
		GArray *kv = add_kv(out, "object");
		put(kv, "qom-type", "%s", o->driver);
		put(kv, "id", "%s", o->id);
		for (unsigned k = 0; k < o->props->len; k++)
			kv_list_add(kv, kv_at(o->props, k)->key, kv_at(o->props, k)->value);
	}
	for (unsigned i = 0; i < c->devices->len; i++) {
		const DeviceConfig *d = g_ptr_array_index(c->devices, i);
		GArray *kv = add_kv(out, "device");
		put(kv, "driver", "%s", d->driver);
		if (d->id)
			put(kv, "id", "%s", d->id);
		for (unsigned k = 0; k < d->props->len; k++)
			kv_list_add(kv, kv_at(d->props, k)->key, kv_at(d->props, k)->value);
	}
}

/* Flags and plain texts that have a place, in the table's order. */
static void add_plain(GPtrArray *out, const Cli *cli)
{
	static const char *const leave[] = { "print-config", "writeconfig", "nodefaults", "cpu",
		NULL };
	for (const OptionDef *d = option_table; d->name; d++) {
		if (!d->at || g_strv_contains(leave, d->name))
			continue;
		const void *at = (const char *)cli + d->at;
		if (!d->arg && *(const bool *)at)
			add(out, d->name, NULL);
		if (d->arg && *(char *const *)at)
			add(out, d->name, *(char *const *)at);
	}
}

static void add_texts(GPtrArray *out, const char *name, const GPtrArray *texts)
{
	for (unsigned i = 0; i < texts->len; i++)
		add(out, name, g_ptr_array_index(texts, i));
	if (!texts->len)
		add(out, name, "none");
}

static void add_accel(GPtrArray *out, const MachineConfig *c)
{
	GArray *kv = add_kv(out, "accel");
	put(kv, "accel", "%s", c->accels[0]);
	if (c->accel_options.tb_size)
		put(kv, "tb-size", "%u", c->accel_options.tb_size);
}

static void add_trace(GPtrArray *out, const HostConfig *h)
{
	for (unsigned i = 0; i < TRACE_COUNT; i++)
		if (trace_on(i))
			put(add_kv(out, "trace"), "enable", "%s", trace_name(i));
	if (h->trace_file)
		put(add_kv(out, "trace"), "file", "%s", h->trace_file);
}

static GPtrArray *effective(const Cli *cli)
{
	static const char *const stored[] = { "m", "smp", "name", "action", "boot", "msg" };
	const MachineConfig *c = &cli->machine;
	GPtrArray *out = g_ptr_array_new_with_free_func(item_free);
	add(out, "nodefaults", NULL);
	add_machine(out, cli);
	add_accel(out, c);
	add(out, "cpu", c->cpu_model ? c->cpu_model : "qemu64");
	for (unsigned i = 0; i < G_N_ELEMENTS(stored); i++)
		add_stored(out, cli, stored[i]);
	add_numa(out, c);
	add_uuid(out, c);
	add_rtc(out, &c->rtc);
	for (unsigned i = 0; i < c->data_dirs->len; i++)
		add(out, "L", g_ptr_array_index(c->data_dirs, i));
	add_lists(out, c);
	if (cli->host.web)
		add(out, "display", cli->host.web);
	else if (!cli->host.nographic && !cli->host.vncs->len)
		add(out, "display", "none");
	add_texts(out, "vnc", cli->host.vncs);
	for (unsigned i = 0; i < cli->host.chardevs->len; i++) {
		Item *item = add(out, "chardev", NULL);
		item->kv = kv_list_new();
		/* it was parsed before */
		kv_parse(g_ptr_array_index(cli->host.chardevs, i), NULL, item->kv, NULL);
	}
	add_texts(out, "serial", cli->host.serials);
	add_texts(out, "parallel", cli->host.parallels);
	for (unsigned i = 0; i < cli->host.monitors->len; i++) {
		const MonitorConfig *m = g_ptr_array_index(cli->host.monitors, i);
		add(out, !m->control ? "monitor" : m->pretty ? "qmp-pretty" : "qmp", m->words);
	}
	if (!cli->host.monitors->len)
		add(out, "monitor", "none");
	if (cli->host.log_items) {
		char *items = log_items_text(cli->host.log_items);
		add(out, "d", items);
		g_free(items);
	}
	add_trace(out, &cli->host);
	add_plain(out, cli);
	return out;
}

static void append_word(GString *out, const char *word)
{
	static const char safe[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=,./:+%@";
	g_string_append_c(out, ' ');
	if (*word && !word[strspn(word, safe)]) {
		g_string_append(out, word);
		return;
	}
	char *quoted = g_shell_quote(word);
	g_string_append(out, quoted);
	g_free(quoted);
}

void cli_print_config(const Cli *cli, GString *out)
{
	GPtrArray *items = effective(cli);
	g_string_append(out, cli->program);
	for (unsigned i = 0; i < items->len; i++) {
		const Item *item = g_ptr_array_index(items, i);
		g_string_append_printf(out, " -%s", item->def->name);
		if (item->kv) {
			GString *text = g_string_new(NULL);
			for (unsigned k = 0; k < item->kv->len; k++) {
				const KeyValue *kv = kv_at(item->kv, k);
				bool first = k == 0 &&
					(!g_strcmp0(kv->key, item->def->implied) ||
					!strcmp(kv->key, "backend"));
				if (first && !strchr(kv->value, '=') && strcmp(kv->value, "help") &&
					*kv->value)
					kv_append_escaped(text, kv->value);
				else {
					g_string_append_printf(text, "%s%s=", k ? "," : "",
						kv->key);
					kv_append_escaped(text, kv->value);
				}
			}
			append_word(out, text->str);
			g_string_free(text, TRUE);
		} else if (item->text) {
			append_word(out, item->text);
		}
	}
	g_ptr_array_free(items, TRUE);
}

/* Kernel and firmware are keys of [machine] in a file. */
static bool machine_key(const Item *item)
{
	static const char *const names[] = { "kernel", "initrd", "append", "bios", NULL };
	return g_strv_contains(names, item->def->name);
}

static void write_section(const Item *item, const GPtrArray *items, GString *out)
{
	const char *id = kv_list_get(item->kv, "id");
	g_string_append_printf(out, "\n[%s", item->def->group);
	if (id)
		g_string_append_printf(out, " \"%s\"", id);
	g_string_append(out, "]\n");
	for (unsigned k = 0; k < item->kv->len; k++) {
		const KeyValue *kv = kv_at(item->kv, k);
		if (strcmp(kv->key, "id"))
			g_string_append_printf(out, "  %s = \"%s\"\n", kv->key, kv->value);
	}
	for (unsigned i = 0; !strcmp(item->def->name, "machine") && i < items->len; i++) {
		const Item *other = g_ptr_array_index(items, i);
		if (machine_key(other))
			g_string_append_printf(out, "  %s = \"%s\"\n",
				strcmp(other->def->name, "bios") ? other->def->name : "firmware",
				other->text);
	}
}

void cli_write_config(const Cli *cli, GString *out)
{
	GPtrArray *items = effective(cli);
	g_string_append(out, "# viv config file; these go on the command line:\n#");
	for (unsigned i = 0; i < items->len; i++) {
		const Item *item = g_ptr_array_index(items, i);
		if (item->kv || machine_key(item))
			continue;
		g_string_append_printf(out, " -%s", item->def->name);
		if (item->text)
			append_word(out, item->text);
	}
	g_string_append_c(out, '\n');
	for (unsigned i = 0; i < items->len; i++) {
		const Item *item = g_ptr_array_index(items, i);
		if (item->kv)
			write_section(item, items, out);
	}
	g_ptr_array_free(items, TRUE);
}
