/*
 * qom_tree.c - reads the tree of objects off the board.
 *
 * As QEMU 7.2 lays it out: vcpus and the board's own devices in /machine/unattached, those with an id in
 * /machine/peripheral, other user's devices in /machine/peripheral-anon. Machine lock held.
 */
#include <string.h>

#include "core/error.h"
#include "cpu/features.h"
#include "cpu/models.h"
#include "monitor/private.h"
#include "monitor/qom.h"

/* ---- children ---- */

static QomNode node_of(const QomNode *parent, QomKind kind, const char *name, void *object)
{
	QomNode n = { .kind = kind, .object = object };
	g_snprintf(n.path, sizeof(n.path), "%s/%s", parent->kind == QOM_ROOT ? "" : parent->path, name);
	return n;
}

static void containers(const QomNode *parent, const char *const *names, QomChildFn fn, void *opaque)
{
	for (; *names; names++) {
		QomNode n = node_of(parent, parent->kind == QOM_ROOT && !strcmp(*names, "machine") ? QOM_MACHINE : QOM_CONTAINER,
				    *names, NULL);
		fn(opaque, *names, &n);
	}
}

static void unattached(Machine *m, const QomNode *parent, QomChildFn fn, void *opaque)
{
	const Board *b = machine_board(m);
	char name[32];
	unsigned count = 0;

	for (unsigned i = 0; i < b->cpu_count; i++) {
		g_snprintf(name, sizeof(name), "device[%u]", count++);
		QomNode n = node_of(parent, QOM_CPU, name, NULL);
		n.index = i;
		fn(opaque, name, &n);
	}
	for (unsigned i = 0; i < b->devices->len; i++) {
		Device *d = g_ptr_array_index(b->devices, i);
		if (d->path)
			continue;
		g_snprintf(name, sizeof(name), "device[%u]", count++);
		QomNode n = node_of(parent, QOM_DEVICE, name, d);
		fn(opaque, name, &n);
	}
}

/* Devices whose path lies in this container. */
static void peripherals(Machine *m, const QomNode *parent, QomChildFn fn, void *opaque)
{
	const Board *b = machine_board(m);
	size_t len = strlen(parent->path);

	for (unsigned i = 0; i < b->devices->len; i++) {
		Device *d = g_ptr_array_index(b->devices, i);
		if (!d->path || strncmp(d->path, parent->path, len) || d->path[len] != '/')
			continue;
		QomNode n = node_of(parent, QOM_DEVICE, d->path + len + 1, d);
		fn(opaque, d->path + len + 1, &n);
	}
}

static void objects(Machine *m, const QomNode *parent, QomChildFn fn, void *opaque)
{
	const GPtrArray *list = machine_config(m)->objects;
	for (unsigned i = 0; i < list->len; i++) {
		DeviceConfig *o = g_ptr_array_index(list, i);
		QomNode n = node_of(parent, QOM_OBJECT, o->id, o);
		fn(opaque, o->id, &n);
	}
}

static void chardevs(Machine *m, const QomNode *parent, QomChildFn fn, void *opaque)
{
	GHashTableIter iter;
	gpointer id, c;

	if (!machine_board(m)->chardevs)
		return;
	g_hash_table_iter_init(&iter, machine_board(m)->chardevs);
	while (g_hash_table_iter_next(&iter, &id, &c)) {
		QomNode n = node_of(parent, QOM_CHARDEV, id, c);
		fn(opaque, id, &n);
	}
}

void qom_each_child(Machine *m, const QomNode *node, QomChildFn fn, void *opaque)
{
	static const char *const top[] = { "backend", "chardevs", "machine", "objects", NULL };
	static const char *const inner[] = { "peripheral", "peripheral-anon", "unattached", NULL };
	static const struct { const char *path; void (*each)(Machine *, const QomNode *, QomChildFn, void *); } places[] = {
		{ "/machine/unattached", unattached }, { "/machine/peripheral", peripherals },
		{ "/machine/peripheral-anon", peripherals }, { "/objects", objects }, { "/chardevs", chardevs },
	};

	if (node->kind == QOM_ROOT)
		containers(node, top, fn, opaque);
	else if (node->kind == QOM_MACHINE)
		containers(node, inner, fn, opaque);
	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++)
		if (!strcmp(places[i].path, node->path))
			places[i].each(m, node, fn, opaque);
}

/* ---- finding ---- */

typedef struct Search {
	Machine *m;
	const char *path;
	QomNode *out;
	unsigned found;
} Search;

static bool ends_with_path(const char *path, const char *wanted)
{
	size_t n = strlen(path), w = strlen(wanted);
	return w && n > w && path[n - w - 1] == '/' && !strcmp(path + n - w, wanted);
}

static void look(void *opaque, const char *name, const QomNode *child)
{
	Search *s = opaque;
	if (*s->path == '/' ? !strcmp(child->path, s->path) : ends_with_path(child->path, s->path)) {
		s->found++;
		*s->out = *child;
	}
	qom_each_child(s->m, child, look, s);
}

bool qom_find(Machine *m, const char *path, QomNode *out, GError **error)
{
	QomNode root = { .kind = QOM_ROOT, .path = "/" };
	Search s = { m, path, out, 0 };

	if (!strcmp(path, "/")) {
		*out = root;
		return true;
	}
	look(&s, "", &root);
	if (s.found > 1)
		return fail(error, VIV_ERROR_INVALID, "Path '%s' is ambiguous", path);
	return s.found || fail(error, VIV_ERROR_NO_DEVICE, "Device '%s' not found", path);
}

/* ---- properties ---- */

char *qom_cpu_type(const char *model)
{
	model = model ? model : "qemu64";
	return g_strdup_printf("%.*s-x86_64-cpu", (int)strcspn(model, ","), model);
}

char *qom_type(Machine *m, const QomNode *node)
{
	const MachineConfig *c = machine_config(m);
	switch (node->kind) {
	case QOM_ROOT:
	case QOM_CONTAINER: break;
	case QOM_MACHINE: return g_strdup_printf("%s-machine", machine_type_find(c->type ? c->type : "pc")->name);
	case QOM_CPU:
		return qom_cpu_type(c->cpu_model);
	case QOM_DEVICE: return g_strdup(((Device *)node->object)->cls->name);
	case QOM_OBJECT: return g_strdup(((DeviceConfig *)node->object)->driver);
	case QOM_CHARDEV: return g_strdup("chardev");
	}
	return g_strdup("container");
}

const char *qom_property_type(const Property *p)
{
	static const char *const names[] = {
		[PROP_BOOL] = "bool", [PROP_U8] = "uint8", [PROP_U16] = "uint16", [PROP_U32] = "uint32", [PROP_U64] = "uint64",
		[PROP_SIZE] = "size", [PROP_STRING] = "str", [PROP_ENUM] = "str", [PROP_CHARDEV] = "str", [PROP_DRIVE] = "str",
		[PROP_PTR] = "link",
	};
	return names[p->type];
}

static json_t *property_value(Device *d, const Property *p)
{
	const void *at = (uint8_t *)d + p->offset;
	switch (p->type) {
	case PROP_BOOL: return json_boolean(*(const bool *)at);
	case PROP_U8: return json_integer(*(const uint8_t *)at);
	case PROP_U16: return json_integer(*(const uint16_t *)at);
	case PROP_U32: return json_integer(*(const uint32_t *)at);
	case PROP_U64:
	case PROP_SIZE: return json_integer((json_int_t)*(const uint64_t *)at);
	case PROP_STRING: return json_string(*(char *const *)at ? *(char *const *)at : "");
	case PROP_ENUM: return json_string(p->values[*(const int *)at]);
	case PROP_CHARDEV:
	case PROP_DRIVE: break;
	case PROP_PTR: return NULL;
	}
	char *text = device_get(d, p), *bare = *text == '"' ? g_strndup(text + 1, strlen(text) - 2) : g_strdup(text);
	json_t *value = json_string(bare);
	g_free(bare);
	g_free(text);
	return value;
}

typedef struct Give {
	QomPropertyFn fn;
	void *opaque;
} Give;

static void give(const Give *g, const char *name, const char *type, json_t *value)
{
	g->fn(g->opaque, name, type, value);
	json_decref(value);
}

static void device_properties(const Give *g, Device *d)
{
	give(g, "realized", "bool", json_boolean(d->realized));
	give(g, "hotplugged", "bool", json_false());
	if (d->bus)
		give(g, "parent_bus", "link<bus>", json_string(d->bus->name));
	if (d->cls->boot_path)
		give(g, "bootindex", "int32", json_integer(d->bootindex));
	for (const Property *p = d->cls->props; p && p->name; p++)
		if (p->type != PROP_PTR)
			give(g, p->name, qom_property_type(p), property_value(d, p));
}

static void cpu_properties(const Give *g, const Cpu *cpu)
{
	const CpuIdentity *id = cpu->model;
	give(g, "realized", "bool", json_true());
	give(g, "apic-id", "uint32", json_integer(cpu->apic_id));
	give(g, "vendor", "string", json_string(id->vendor));
	give(g, "model-id", "string", json_string(id->model_id));
	give(g, "family", "int", json_integer(id->family));
	give(g, "model", "int", json_integer(id->model));
	give(g, "stepping", "int", json_integer(id->stepping));
	give(g, "level", "uint32", json_integer(id->level));
	give(g, "xlevel", "uint32", json_integer(id->xlevel));
	give(g, "unavailable-features", "strList", json_array());
	for (unsigned f = 0; f < FEAT_WORD_COUNT * 32; f++)
		if (cpu_feature_names[f >> 5][f & 31])
			give(g, cpu_feature_names[f >> 5][f & 31], "bool", json_boolean(cpu_has(cpu, f)));
}

static json_t *text_or_empty(const char *text) { return json_string(text ? text : ""); }

static void machine_properties(const Give *g, Machine *m)
{
	const MachineConfig *c = machine_config(m);
	const MachineProps *p = &c->props;
	const struct { const char *name; bool value; } switches[] = {
		{ "acpi", !c->no_acpi && tri_on(p->acpi, true) }, { "hpet", !c->no_hpet && tri_on(p->hpet, true) },
		{ "usb", tri_on(p->usb, false) }, { "graphics", !c->nographic && tri_on(p->graphics, true) },
		{ "vmport", tri_on(p->vmport, true) }, { "smm", tri_on(p->smm, false) }, { "pic", tri_on(p->pic, true) },
		{ "pit", tri_on(p->pit, true) }, { "i8042", tri_on(p->i8042, true) },
		{ "dump-guest-core", tri_on(p->dump_guest_core, true) }, { "mem-merge", tri_on(p->mem_merge, true) },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(switches); i++)
		give(g, switches[i].name, "bool", json_boolean(switches[i].value));
	give(g, "kernel", "string", text_or_empty(c->kernel));
	give(g, "initrd", "string", text_or_empty(c->initrd));
	give(g, "append", "string", text_or_empty(c->append));
	give(g, "firmware", "string", text_or_empty(c->bios ? c->bios : p->firmware));
	give(g, "memory-backend", "string", json_string("pc.ram"));
	give(g, "max-ram-below-4g", "size", json_integer((json_int_t)p->max_ram_below_4g));
}

static void object_properties(const Give *g, const DeviceConfig *o)
{
	/* A secret keeps its own. */
	for (unsigned i = 0; i < o->props->len && strcmp(o->driver, "secret"); i++) {
		const KeyValue *kv = &g_array_index(o->props, KeyValue, i);
		give(g, kv->key, "string", json_string(kv->value));
	}
}

void qom_each_property(Machine *m, const QomNode *node, QomPropertyFn fn, void *opaque)
{
	Give g = { fn, opaque };
	char *type = qom_type(m, node);

	give(&g, "type", "string", json_string(type));
	g_free(type);
	switch (node->kind) {
	case QOM_MACHINE: machine_properties(&g, m); break;
	case QOM_CPU: cpu_properties(&g, machine_board(m)->cpus[node->index]); break;
	case QOM_DEVICE: device_properties(&g, node->object); break;
	case QOM_OBJECT: object_properties(&g, node->object); break;
	case QOM_ROOT:
	case QOM_CONTAINER:
	case QOM_CHARDEV: break;
	}
}

/* ---- paths ---- */

char *qom_cpu_path(Machine *m, unsigned index) { return g_strdup_printf("/machine/unattached/device[%u]", index); }

char *qom_device_path(Machine *m, const Device *dev)
{
	const Board *b = machine_board(m);
	unsigned n = b->cpu_count;

	if (dev->path)
		return g_strdup(dev->path);
	for (unsigned i = 0; i < b->devices->len; i++) {
		const Device *d = g_ptr_array_index(b->devices, i);
		if (d == dev)
			break;
		n += !d->path;
	}
	return g_strdup_printf("/machine/unattached/device[%u]", n);
}
