/*
 * apply_numa.c - -numa: nodes may come in any order and name cpus by topology, so the
 * options are kept as they are read and worked out at the end.
 *
 * Main thread.
 */
#include <inttypes.h>
#include <string.h>

#include "cli/options.h"
#include "core/error.h"
#include "core/units.h"

#define MIB (1024ull * 1024)

/* Which keys each kind takes. */
static const struct { const char *kind, *keys; } kinds[] = {
	{ "node", "type nodeid cpus mem memdev" },
	{ "dist", "type src dst val" },
	{ "cpu", "type node-id socket-id die-id core-id thread-id" },
};

bool apply_numa(Cli *cli, const OptionDef *def, const char *text, GArray *kv, GError **error)
{
	const char *kind = kv_list_get(kv, "type"), *keys = NULL;
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (!g_strcmp0(kind, kinds[i].kind))
			keys = kinds[i].keys;
	if (!keys && kind && g_str_has_prefix(kind, "hmat-"))
		return fail(error, VIV_ERROR_UNSUPPORTED, "%s is not built yet in this version.",
			kind);
	if (!keys)
		return fail(error, VIV_ERROR_INVALID, "'%s' is none of node, dist and cpu.", kind
			? kind : "");
	char **words = g_strsplit(keys, " ", 0);
	bool ok = true;
	GArray *copy = kv_list_new();
	for (unsigned i = 0; ok && i < kv->len; i++) {
		ok = g_strv_contains((const char *const *)words, kv_at(kv, i)->key);
		if (!ok) {
			char *hint = word_hint(kv_at(kv, i)->key, (const char *const *)words + 1);
			fail(error, VIV_ERROR_INVALID, "%s has no key '%s'. %s.", kind,
				kv_at(kv, i)->key, hint);
			g_free(hint);
		}
		kv_list_add(copy, kv_at(kv, i)->key, kv_at(kv, i)->value);
	}
	g_strfreev(words);
	if (ok)
		g_ptr_array_add(cli->numa, copy);
	else
		kv_list_free(copy);
	return ok;
}

static bool number(const GArray *kv, const char *key, uint64_t *out)
{
	const char *text = kv_list_get(kv, key);
	return text && parse_uint(text, out);
}

static bool add_cpus(NumaNode *node, const char *text, GError **error)
{
	char *copy = g_strdup(text), *dash = strchr(copy, '-');
	uint64_t first = 0, last = 0;
	if (dash)
		*dash = 0;
	bool ok = parse_uint(copy, &first) && (!dash || parse_uint(dash + 1, &last));
	if (!dash)
		last = first;
	ok = ok && first <= last && last < MACHINE_CPUS_MAX;
	g_free(copy);
	if (!ok)
		return fail(error, VIV_ERROR_INVALID,
			"-numa node,cpus=%s: write a number or FIRST-LAST, below %u.", text,
			MACHINE_CPUS_MAX);
	NumaRange range = { (unsigned)first, (unsigned)last };
	g_array_append_val(node->cpus, range);
	return true;
}

static bool fill_node(NumaNode *node, const GArray *kv, GError **error)
{
	for (unsigned i = 0; i < kv->len; i++) {
		const KeyValue *item = kv_at(kv, i);
		if (!strcmp(item->key, "cpus") && !add_cpus(node, item->value, error))
			return false;
		if (!strcmp(item->key, "mem"))
			node->mem_set = parse_size(item->value, MIB, &node->mem);
		if (!strcmp(item->key, "memdev"))
			node->memdev = g_strdup(item->value);
	}
	return true;
}

static bool make_nodes(Cli *cli, GError **error)
{
	const GArray *by_id[MACHINE_NODES_MAX] = { NULL };
	unsigned count = 0;
	for (unsigned i = 0; i < cli->numa->len; i++) {
		const GArray *kv = g_ptr_array_index(cli->numa, i);
		uint64_t id = count;
		if (strcmp(kv_list_get(kv, "type"), "node"))
			continue;
		number(kv, "nodeid", &id);
		if (id >= MACHINE_NODES_MAX || by_id[id])
			return fail(error, VIV_ERROR_INVALID, "-numa node,nodeid=%" PRIu64 ": %s.",
				id,
				id >= MACHINE_NODES_MAX ? "there are 128 nodes at most"
				: "that node was given before");
		by_id[id] = kv;
		count++;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!by_id[i])
			return fail(error, VIV_ERROR_INVALID,
				"-numa: node %u is missing; nodes are numbered from 0 "
				"without gaps.", i);
		if (!fill_node(machine_config_add_node(&cli->machine), by_id[i], error))
			return false;
	}
	return true;
}

static NumaNode *node_at(Cli *cli, uint64_t id)
{
	return id < cli->machine.numa->len ? g_ptr_array_index(cli->machine.numa, id) : NULL;
}

static bool set_distance(Cli *cli, const GArray *kv, GError **error)
{
	uint64_t src, dst, val;
	if (!number(kv, "src", &src) || !number(kv, "dst", &dst) || !number(kv, "val", &val))
		return fail(error, VIV_ERROR_INVALID,
			"-numa dist: src=, dst= and val= are needed.");
	NumaNode *from = node_at(cli, src);
	if (!from || !node_at(cli, dst))
		return fail(error, VIV_ERROR_INVALID,
			"-numa dist,src=%" PRIu64 ",dst=%" PRIu64 ": there are %u nodes.",
			src, dst, cli->machine.numa->len);
	if ((src == dst) != (val == 10))
		return fail(error, VIV_ERROR_INVALID,
			"-numa dist: the distance is 10 from a node to itself, and more "
			"to others.");
	from->distance[dst] = (uint8_t)val;
	/* One direction speaks for both until the other is given. */
	NumaNode *to = node_at(cli, dst);
	if (!to->distance[src])
		to->distance[src] = (uint8_t)val;
	return true;
}

/* -numa cpu: every vcpu whose place matches what was given. The topology is complete. */
static bool place_cpus(Cli *cli, const GArray *kv, GError **error)
{
	static const char *const names[] = { "thread-id", "core-id", "die-id", "socket-id" };
	const SmpConfig *s = &cli->machine.smp;
	const unsigned counts[] = { s->threads, s->cores, s->dies, s->sockets };
	uint64_t id, want;
	NumaNode *node = number(kv, "node-id", &id) ? node_at(cli, id) : NULL;
	bool any = false;
	if (!node)
		return fail(error, VIV_ERROR_INVALID,
			"-numa cpu: node-id= must name a node; there are %u.",
			cli->machine.numa->len);
	for (unsigned cpu = 0; cpu < s->maxcpus; cpu++) {
		unsigned rest = cpu;
		bool match = true;
		for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
			if (number(kv, names[i], &want) && rest % counts[i] != want)
				match = false;
			rest /= counts[i];
		}
		if (match) {
			NumaRange range = { cpu, cpu };
			g_array_append_val(node->cpus, range);
			any = true;
		}
	}
	return any || fail(error, VIV_ERROR_INVALID, "-numa cpu: no vcpu has that place in the "
		"topology.");
}

bool numa_finish(Cli *cli, GError **error)
{
	if (!make_nodes(cli, error))
		return false;
	for (unsigned i = 0; i < cli->numa->len; i++) {
		const GArray *kv = g_ptr_array_index(cli->numa, i);
		const char *kind = kv_list_get(kv, "type");
		if (!strcmp(kind, "dist") && !set_distance(cli, kv, error))
			return false;
		if (!strcmp(kind, "cpu") && !place_cpus(cli, kv, error))
			return false;
	}
	return true;
}
