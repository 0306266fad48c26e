/*
 * plug.c - devices that come and go: device_add, device_del.
 *
 * Main thread, machine lock not held.
 */
#include "core/error.h"
#include "monitor/private.h"

static char *text_of(const json_t *value)
{
	if (json_is_boolean(value))
		return g_strdup(json_is_true(value) ? "on" : "off");
	if (json_is_integer(value))
		return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return g_strdup(json_string_value(value));
}

/* {"driver": ..., "id": ..., property: value}; NULL with *error. */
static DeviceConfig *device_config(MachineConfig *c, const json_t *args, GError **error)
{
	DeviceConfig *d = machine_config_add_device(c, json_string_value(json_object_get(args, "driver")),
						    json_string_value(json_object_get(args, "id")));
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)args, key, value) {
		char *text = text_of(value);
		if (!text) {
			fail(error, VIV_ERROR_INVALID, "Invalid parameter type for '%s', expected: string", key);
			return NULL;
		}
		if (g_strcmp0(key, "driver") && g_strcmp0(key, "id"))
			device_config_set(d, key, text);
		g_free(text);
	}
	return d;
}

json_t *serve_device_add(Monitor *mon, const json_t *args, GError **error)
{
	MachineConfig c; /* lends its lists */
	machine_config_init(&c);
	const DeviceConfig *d = device_config(&c, args, error);
	bool ok = d && machine_plug(mon->m, d, error);
	machine_config_free(&c);
	return ok ? json_object() : NULL;
}

json_t *serve_device_del(Monitor *mon, const json_t *args, GError **error)
{
	return machine_unplug(mon->m, json_string_value(json_object_get(args, "id")), error) ? json_object() : NULL;
}
