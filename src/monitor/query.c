/*
 * query.c - what the machine is and how it stands: status, names, memory, threads, machine types.
 *
 * Main thread, machine lock not held.
 */
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/loop.h"
#include "monitor/private.h"

/* ---- status ---- */

json_t *serve_status(Monitor *mon, const json_t *args, GError **error)
{
	RunState state = machine_state(mon->m);
	return json_pack("{ss sb sb}", "status", machine_state_name(state), "singlestep",
			 machine_config(mon->m)->accel_options.one_insn, "running", state == STATE_RUNNING);
}

void show_status(Monitor *mon, const json_t *reply, GString *out)
{
	bool running = member_is(reply, "running");
	const char *state = member_text(reply, "status");

	g_string_append_printf(out, "VM status: %s%s", running ? "running" : "paused",
			       member_is(reply, "singlestep") ? " (single step mode)" : "");
	if (!running && strcmp(state, "paused"))
		g_string_append_printf(out, " (%s)", state);
	g_string_append_c(out, '\n');
}

json_t *serve_kvm(Monitor *mon, const json_t *args, GError **error)
{
	bool present = !access("/dev/kvm", F_OK);
	return json_pack("{sb sb}", "enabled", !strcmp(machine_accel(mon->m)->cls->name, "kvm"), "present", present);
}

void show_kvm(Monitor *mon, const json_t *reply, GString *out)
{
	g_string_append_printf(out, "kvm support: %s\n", member_is(reply, "enabled") ? "enabled"
		: member_is(reply, "present") ? "disabled" : "not compiled");
}

json_t *serve_target(Monitor *mon, const json_t *args, GError **error) { return json_pack("{ss}", "arch", "x86_64"); }

json_t *serve_name(Monitor *mon, const json_t *args, GError **error)
{
	const char *name = machine_config(mon->m)->name;
	return name ? json_pack("{ss}", "name", name) : json_object();
}

void show_name(Monitor *mon, const json_t *reply, GString *out)
{
	if (member_text(reply, "name"))
		g_string_append_printf(out, "%s\n", member_text(reply, "name"));
}

json_t *serve_uuid(Monitor *mon, const json_t *args, GError **error)
{
	const uint8_t *u = machine_config(mon->m)->uuid;
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < 16; i++)
		g_string_append_printf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
	json_t *reply = json_pack("{ss}", "UUID", text->str);
	g_string_free(text, TRUE);
	return reply;
}

void show_uuid(Monitor *mon, const json_t *reply, GString *out)
{
	g_string_append_printf(out, "%s\n", member_text(reply, "UUID"));
}

/* ---- memory ---- */

json_t *serve_memory_size(Monitor *mon, const json_t *args, GError **error)
{
	return json_pack("{sI sI}", "base-memory", (json_int_t)machine_board(mon->m)->ram_size, "plugged-memory", (json_int_t)0);
}

void show_memory_size(Monitor *mon, const json_t *reply, GString *out)
{
	g_string_append_printf(out, "base memory: %" JSON_INTEGER_FORMAT "\nplugged memory: %" JSON_INTEGER_FORMAT "\n",
			       member_number(reply, "base-memory"), member_number(reply, "plugged-memory"));
}

json_t *serve_memdev(Monitor *mon, const json_t *args, GError **error)
{
	const MachineProps *p = &machine_config(mon->m)->props;
	return json_pack("[{ss sI sb sb sb sb sb s[] ss}]", "id", "pc.ram", "size", (json_int_t)machine_board(mon->m)->ram_size,
			 "merge", tri_on(p->mem_merge, true), "dump", tri_on(p->dump_guest_core, true), "prealloc", false, "share",
			 false, "reserve", true, "host-nodes", "policy", "default");
}

static const char *yes(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key)) ? "true" : "false";
}

void show_memdev(Monitor *mon, const json_t *reply, GString *out)
{
	size_t i;
	json_t *m;

	json_array_foreach (reply, i, m)
		g_string_append_printf(out, "memory backend: %s\n  size:  %" JSON_INTEGER_FORMAT "\n  merge: %s\n  dump: %s\n"
				       "  prealloc: %s\n  share: %s\n  reserve: %s\n  policy: %s\n  host nodes: \n\n",
				       member_text(m, "id"), member_number(m, "size"), yes(m, "merge"), yes(m, "dump"), yes(m, "prealloc"),
				       yes(m, "share"), yes(m, "reserve"), member_text(m, "policy"));
}

json_t *serve_balloon(Monitor *mon, const json_t *args, GError **error)
{
	fail(error, VIV_ERROR_NOT_ACTIVE, "No balloon device has been activated");
	return NULL;
}

/* Lists of what no machine of this version has: jobs, network filters, slots for memory. */
json_t *serve_nothing(Monitor *mon, const json_t *args, GError **error) { return json_array(); }

/* ---- threads ---- */

json_t *serve_iothreads(Monitor *mon, const json_t *args, GError **error)
{
	json_t *list = json_array();
	GHashTable *threads = machine_board(mon->m)->iothreads;
	GHashTableIter iter;
	gpointer id, loop;

	if (!threads)
		return list;
	g_hash_table_iter_init(&iter, threads);
	while (g_hash_table_iter_next(&iter, &id, &loop))
		json_array_append_new(list, json_pack("{ss si si si si si}", "id", (char *)id, "thread-id", loop_thread_id(loop),
						      "poll-max-ns", 0, "poll-grow", 0, "poll-shrink", 0, "aio-max-batch", 0));
	return list;
}

void show_iothreads(Monitor *mon, const json_t *reply, GString *out)
{
	size_t i;
	json_t *t;

	json_array_foreach (reply, i, t)
		g_string_append_printf(out, "%s:\n  thread_id=%" JSON_INTEGER_FORMAT "\n  poll-max-ns=0\n  poll-grow=0\n"
				       "  poll-shrink=0\n  aio-max-batch=0\n", member_text(t, "id"), member_number(t, "thread-id"));
}

/* ---- machine types ---- */

json_t *serve_machines(Monitor *mon, const json_t *args, GError **error)
{
	json_t *list = json_array();
	for (const MachineType *t = machine_types; t->name; t++) {
		json_t *m = json_pack("{ss si sb sb sb ss ss}", "name", t->name, "cpu-max", MACHINE_CPUS_MAX, "hotpluggable-cpus",
				      false, "numa-mem-supported", false, "deprecated", false, "default-cpu-type",
				      "qemu64-x86_64-cpu", "default-ram-id", "pc.ram");
		if (t->alias)
			json_object_set_new(m, "alias", json_string(t->alias));
		if (t->is_default)
			json_object_set_new(m, "is-default", json_true());
		json_array_append_new(list, m);
	}
	return list;
}

json_t *serve_current_machine(Monitor *mon, const json_t *args, GError **error)
{
	return json_pack("{sb}", "wakeup-suspend-support", false);
}
