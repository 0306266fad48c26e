/*
 * cpus.c - vcpus as programs see them: threads, places in the topology, models and their features.
 *
 * Main thread, machine lock not held.
 */
#include <string.h>

#include "core/error.h"
#include "cpu/features.h"
#include "cpu/models.h"
#include "monitor/private.h"
#include "monitor/qom.h"

/* Numbered as the topology counts them: threads first. */
static json_t *place_of(Machine *m, unsigned index)
{
	const SmpConfig *s = &machine_config(m)->smp;
	unsigned threads = MAX(s->threads, 1), cores = MAX(s->cores, 1), dies = MAX(s->dies, 1);
	json_t *place = json_pack("{si si si}", "socket-id", index / threads / cores / dies, "core-id", index / threads % cores,
				  "thread-id", index % threads);
	if (dies > 1)
		json_object_set_new(place, "die-id", json_integer(index / threads / cores % dies));
	return place;
}

json_t *serve_cpus(Monitor *mon, const json_t *args, GError **error)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < machine_board(mon->m)->cpu_count; i++) {
		char *path = qom_cpu_path(mon->m, i);
		json_array_append_new(list, json_pack("{si ss si ss so}", "cpu-index", i, "qom-path", path, "thread-id", machine_vcpu_thread(mon->m, i),
						      "target", "x86_64", "props", place_of(mon->m, i)));
		g_free(path);
	}
	return list;
}

void show_cpus(Monitor *mon, const json_t *reply, GString *out)
{
	size_t i;
	json_t *cpu;
	json_array_foreach (reply, i, cpu)
		g_string_append_printf(out, "%c CPU #%zu: thread_id=%" JSON_INTEGER_FORMAT "\n", i == mon->cpu ? '*' : ' ', i,
				       member_number(cpu, "thread-id"));
}

json_t *serve_hotpluggable_cpus(Monitor *mon, const json_t *args, GError **error)
{
	const Board *b = machine_board(mon->m);
	json_t *list = json_array();
	char *type = qom_cpu_type(machine_config(mon->m)->cpu_model);

	for (unsigned i = b->cpu_max; i-- > 0;) {
		json_t *slot = json_pack("{ss si so}", "type", type, "vcpus-count", 1, "props", place_of(mon->m, i));
		char *path = i < b->cpu_count ? qom_cpu_path(mon->m, i) : NULL;
		if (path)
			json_object_set_new(slot, "qom-path", json_string(path));
		json_array_append_new(list, slot);
		g_free(path);
	}
	g_free(type);
	return list;
}

void show_hotpluggable_cpus(Monitor *mon, const json_t *reply, GString *out)
{
	size_t i;
	json_t *slot, *v;
	const char *key;

	g_string_append(out, "Hotpluggable CPUs:\n");
	json_array_foreach (reply, i, slot) {
		const char *path = member_text(slot, "qom-path");
		g_string_append_printf(out, "  type: \"%s\"\n  vcpus_count: \"1\"\n",
				       member_text(slot, "type"));
		if (path)
			g_string_append_printf(out, "  qom_path: \"%s\"\n", path);
		g_string_append(out, "  CPUInstance Properties:\n");
		json_object_foreach (json_object_get(slot, "props"), key, v)
			g_string_append_printf(out, "    %s: \"%" JSON_INTEGER_FORMAT "\"\n", key, json_integer_value(v));
	}
}

/* ---- models ---- */

static void usable_features(Monitor *mon, uint32_t words[FEAT_WORD_COUNT])
{
	Accel *a = machine_accel(mon->m);
	if (a->cls->cpu_features)
		a->cls->cpu_features(a, words);
	else
		cpu_software_features(words);
}

static json_t *feature_list(const uint32_t words[FEAT_WORD_COUNT])
{
	json_t *list = json_array();
	for (unsigned f = 0; f < FEAT_WORD_COUNT * 32; f++)
		if (words[f >> 5] >> (f & 31) & 1 && cpu_feature_names[f >> 5][f & 31])
			json_array_append_new(list, json_string(cpu_feature_names[f >> 5][f & 31]));
	return list;
}

json_t *serve_cpu_definitions(Monitor *mon, const json_t *args, GError **error)
{
	uint32_t usable[FEAT_WORD_COUNT], words[FEAT_WORD_COUNT];
	json_t *list = json_array();
	bool kvm = !strcmp(machine_accel(mon->m)->cls->name, "kvm");

	usable_features(mon, usable);
	for (const CpuModel *m = cpu_models; m->name; m++) {
		bool host = !strcmp(m->name, "host"), fixed = !host && strcmp(m->name, "max");
		char *type = qom_cpu_type(m->name);
		cpu_model_features(m->name, words);
		for (unsigned w = 0; w < FEAT_WORD_COUNT; w++)
			words[w] &= ~usable[w];
		json_t *missing = host && !kvm ? json_pack("[s]", "kvm") : feature_list(words);
		json_array_append_new(list, json_pack("{ss ss so sb sb sb}", "name", m->name, "typename", type,
						      "unavailable-features", missing, "static", !strcmp(m->name, "base"),
						      "migration-safe", fixed, "deprecated", false));
		g_free(type);
	}
	return list;
}

/* What the client wants on top: {"feature": true}. */
static bool apply_props(const json_t *props, uint32_t words[FEAT_WORD_COUNT], GError **error)
{
	const char *key;
	json_t *v;

	if (props && !json_is_object(props))
		return fail(error, VIV_ERROR_INVALID, "Invalid parameter type for 'props', expected: object");
	json_object_foreach ((json_t *)props, key, v) {
		int f = cpu_feature_lookup(key);
		if (f < 0 || !json_is_boolean(v))
			return fail(error, VIV_ERROR_INVALID, "Property '%s' is no feature that can be true or false", key);
		words[f >> 5] &= ~(1u << (f & 31));
		words[f >> 5] |= (uint32_t)json_is_true(v) << (f & 31);
	}
	return true;
}

/* A base and every feature that is on; of a full expansion those that are off too. */
static json_t *expanded(const char *name, const uint32_t words[FEAT_WORD_COUNT], bool full)
{
	json_t *props = json_object();
	for (unsigned f = 0; f < FEAT_WORD_COUNT * 32; f++) {
		const char *feature = cpu_feature_names[f >> 5][f & 31];
		bool on = words[f >> 5] >> (f & 31) & 1;
		if (feature && (on || full))
			json_object_set_new(props, feature, json_boolean(on));
	}
	return json_pack("{s{ss so}}", "model", "name", full ? name : "base", "props", props);
}

static bool model_exists(const char *name)
{
	for (const CpuModel *m = cpu_models; m->name; m++)
		if (!strcmp(m->name, name))
			return true;
	return false;
}

json_t *serve_cpu_model_expansion(Monitor *mon, const json_t *args, GError **error)
{
	const json_t *model = json_object_get(args, "model");
	const char *name = member_text(model, "name");
	uint32_t words[FEAT_WORD_COUNT], usable[FEAT_WORD_COUNT];
	bool full = !strcmp(member_text(args, "type"), "full");

	if (!model_exists(name)) {
		fail(error, VIV_ERROR_INVALID, "The CPU type '%s' is not supported", name);
		return NULL;
	}
	usable_features(mon, usable);
	cpu_model_features(name, words);
	if (!strcmp(name, "max") || !strcmp(name, "host"))
		memcpy(words, usable, sizeof(words));
	for (unsigned w = 0; w < FEAT_WORD_COUNT; w++)
		words[w] &= usable[w];
	if (!apply_props(json_object_get(model, "props"), words, error))
		return NULL;
	return expanded(name, words, full);
}
