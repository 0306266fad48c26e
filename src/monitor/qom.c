/*
 * qom.c - commands on the tree of objects and on types: qom-list, qom-get, qom-list-types, info qom-tree, ...
 *
 * Main thread, machine lock not held.
 */
#include "monitor/qom.h"

#include <string.h>

#include "core/error.h"
#include "core/grammar.h"
#include "core/lock.h"
#include "cpu/features.h"
#include "cpu/models.h"
#include "hw/classes.h"
#include "monitor/private.h"

/* ---- qom-list ---- */

typedef struct Listing {
	Machine *m;
	json_t *list;
} Listing;

static void list_child(void *opaque, const char *name, const QomNode *child)
{
	Listing *l = opaque;
	char *type = qom_type(l->m, child), *text = g_strdup_printf("child<%s>", type);
	json_array_append_new(l->list, json_pack("{ss ss}", "name", name, "type", text));
	g_free(text);
	g_free(type);
}

static void list_property(void *opaque, const char *name, const char *type, json_t *value)
{
	Listing *l = opaque;
	json_array_append_new(l->list, json_pack("{ss ss}", "name", name, "type", type));
}

json_t *serve_qom_list(Monitor *mon, const json_t *args, GError **error)
{
	Listing l = { mon->m, NULL };
	QomNode node;

	machine_lock();
	if (qom_find(mon->m, member_text(args, "path"), &node, error)) {
		l.list = json_array();
		qom_each_property(mon->m, &node, list_property, &l);
		qom_each_child(mon->m, &node, list_child, &l);
	}
	machine_unlock();
	return l.list;
}

void show_qom_list(Monitor *mon, const json_t *reply, GString *out)
{
	size_t i;
	json_t *p;
	json_array_foreach (reply, i, p)
		g_string_append_printf(out, "%s (%s)\n", member_text(p, "name"), member_text(p, "type"));
}

/* ---- qom-get, qom-set ---- */

typedef struct Wanted {
	const char *name;
	json_t *value;
	bool found;
} Wanted;

static void match_property(void *opaque, const char *name, const char *type, json_t *value)
{
	Wanted *w = opaque;
	if (strcmp(w->name, name))
		return;
	w->found = true;
	w->value = json_incref(value);
}

static void match_child(void *opaque, const char *name, const QomNode *child)
{
	Wanted *w = opaque;
	if (strcmp(w->name, name))
		return;
	w->found = true;
	w->value = json_string(child->path);
}

/* False with *error: there is no such object or property. Machine lock held. */
static bool find_value(Machine *m, const json_t *args, QomNode *node, Wanted *w, GError **error)
{
	*w = (Wanted){ member_text(args, "property"), NULL, false };
	if (!qom_find(m, member_text(args, "path"), node, error))
		return false;
	qom_each_property(m, node, match_property, w);
	if (!w->found)
		qom_each_child(m, node, match_child, w);
	if (w->found)
		return true;
	char *type = qom_type(m, node);
	fail(error, VIV_ERROR_INVALID, "Property '%s.%s' not found", type, w->name);
	g_free(type);
	return false;
}

json_t *serve_qom_get(Monitor *mon, const json_t *args, GError **error)
{
	QomNode node;
	Wanted w;

	machine_lock();
	bool found = find_value(mon->m, args, &node, &w, error);
	machine_unlock();
	return !found ? NULL : w.value ? w.value : json_null();
}

void show_qom_value(Monitor *mon, const json_t *reply, GString *out)
{
	char *text = json_dumps(reply, JSON_ENCODE_ANY | JSON_INDENT(4));
	g_string_append_printf(out, "%s\n", text);
	free(text);
}

/* What is set before a device begins to work stays so; nothing of this version can be set later. */
json_t *serve_qom_set(Monitor *mon, const json_t *args, GError **error)
{
	QomNode node;
	Wanted w;

	machine_lock();
	if (find_value(mon->m, args, &node, &w, error)) {
		char *type = qom_type(mon->m, &node);
		if (node.kind == QOM_DEVICE)
			fail(error, VIV_ERROR_INVALID, "Attempt to set property '%s' on device '%s' (type '%s') after it was realized",
			     w.name, device_label(node.object), type);
		else
			fail(error, VIV_ERROR_INVALID, "Property '%s.%s' is not writable", type, w.name);
		g_free(type);
		json_decref(w.value);
	}
	machine_unlock();
	return NULL;
}

/* ---- types ---- */

static const char *const object_types[] = { "iothread", "secret", NULL };

static const char *parent_of(const DeviceClass *c)
{
	static const char *const parents[][2] = { { "pci", "pci-device" }, { "isa", "isa-device" }, { "scsi", "scsi-device" },
						  { "ide", "ide-device" }, { "system", "sys-bus-device" } };
	for (unsigned i = 0; i < G_N_ELEMENTS(parents); i++)
		if (!g_strcmp0(c->bus, parents[i][0]))
			return parents[i][1];
	return "device";
}

static bool wanted(const char *implements, const char *name, const char *const *parents)
{
	bool yes = !implements || !strcmp(implements, name) || !strcmp(implements, "object");
	for (; *parents && !yes; parents++)
		yes = !strcmp(implements, *parents);
	return yes;
}

static void add_type(json_t *list, const char *implements, const char *name, const char *parent, const char *grandparent)
{
	const char *parents[] = { parent, grandparent, NULL };
	if (wanted(implements, name, parents))
		json_array_append_new(list, json_pack("{ss ss}", "name", name, "parent", parent));
}

json_t *serve_qom_list_types(Monitor *mon, const json_t *args, GError **error)
{
	const char *implements = member_text(args, "implements");
	json_t *list = json_array();

	for (const DeviceClass *const *c = device_classes; *c; c++)
		add_type(list, implements, (*c)->name, parent_of(*c), "device");
	for (const CpuModel *m = cpu_models; m->name; m++) {
		char *name = qom_cpu_type(m->name);
		add_type(list, implements, name, "x86_64-cpu", "device");
		g_free(name);
	}
	for (const char *const *o = object_types; *o; o++)
		add_type(list, implements, *o, "object", "user-creatable");
	for (const MachineType *t = machine_types; t->name; t++) {
		char *name = g_strconcat(t->name, "-machine", NULL);
		add_type(list, implements, name, "generic-pc-machine", "machine");
		g_free(name);
	}
	return list;
}

/* ---- properties of types ---- */

static json_t *default_value(const Property *p)
{
	bool on = false;

	if (!p->def)
		return NULL;
	switch (p->type) {
	case PROP_BOOL:
		parse_on_off(p->def, &on);
		return json_boolean(on);
	case PROP_U8:
	case PROP_U16:
	case PROP_U32:
	case PROP_U64: return json_integer((json_int_t)g_ascii_strtoull(p->def, NULL, 0));
	default: return json_string(p->def);
	}
}

static void add_property(json_t *list, const char *name, const char *type, const char *help, json_t *def)
{
	json_t *p = json_pack("{ss ss}", "name", name, "type", type);
	if (help)
		json_object_set_new(p, "description", json_string(help));
	if (def)
		json_object_set_new(p, "default-value", def);
	json_array_append_new(list, p);
}

static json_t *class_properties(const DeviceClass *c)
{
	json_t *list = json_array();
	for (const Property *p = c->props; p && p->name; p++)
		if (p->type != PROP_PTR)
			add_property(list, p->name, qom_property_type(p), p->help, default_value(p));
	if (c->boot_path)
		add_property(list, "bootindex", "int32", NULL, NULL);
	return list;
}

static bool is_cpu_type(const char *name)
{
	bool found = false;

	for (const CpuModel *m = cpu_models; m->name && !found; m++) {
		g_autofree char *type = qom_cpu_type(m->name);
		found = !strcmp(type, name);
	}
	return found;
}

static json_t *cpu_type_properties(void)
{
	json_t *list = json_array();
	for (unsigned f = 0; f < FEAT_WORD_COUNT * 32; f++)
		if (cpu_feature_names[f >> 5][f & 31])
			add_property(list, cpu_feature_names[f >> 5][f & 31], "bool", NULL, NULL);
	return list;
}

json_t *serve_device_list_properties(Monitor *mon, const json_t *args, GError **error)
{
	const char *name = member_text(args, "typename");
	const DeviceClass *c = device_class_find(name);

	if (c)
		return class_properties(c);
	if (is_cpu_type(name))
		return cpu_type_properties();
	fail(error, VIV_ERROR_NO_DEVICE, "Device '%s' not found", name);
	return NULL;
}

json_t *serve_qom_list_properties(Monitor *mon, const json_t *args, GError **error)
{
	const char *name = member_text(args, "typename");

	for (const char *const *o = object_types; *o; o++)
		if (!strcmp(*o, name))
			return json_array();
	for (const MachineType *t = machine_types; t->name; t++)
		if (g_str_has_prefix(name, t->name) && !strcmp(name + strlen(t->name), "-machine"))
			return json_array();
	json_t *list = serve_device_list_properties(mon, args, NULL);
	if (!list)
		fail(error, VIV_ERROR_NO_DEVICE, "Class '%s' not found", name);
	return list;
}

/* ---- info qom-tree ---- */

typedef struct Printing {
	Machine *m;
	GString *out;
	unsigned depth;
} Printing;

static void print_node(void *opaque, const char *name, const QomNode *node)
{
	Printing *p = opaque;
	char *type = qom_type(p->m, node);

	g_string_append_printf(p->out, "%*s/%s (%s)\n", (int)p->depth * 2, "", name, type);
	g_free(type);
	p->depth++;
	qom_each_child(p->m, node, print_node, p);
	p->depth--;
}

void info_qom_tree(Monitor *mon, const Args *args, GString *out)
{
	Printing p = { mon->m, out, 0 };
	GError *error = NULL;
	QomNode node;

	machine_lock();
	if (qom_find(mon->m, args->given[0] ? args->text[0] : "/machine", &node, &error))
		print_node(&p, strrchr(node.path, '/') + 1, &node);
	machine_unlock();
	monitor_say_error(error, out);
}
