/*
 * bus.c - where devices plug in. Machine lock held.
 */
#include <string.h>

#include "core/board.h"
#include "core/device.h"

Bus *bus_new(Board *board, const char *type, const char *name, Device *owner, void *opaque, unsigned max)
{
	Bus *bus = g_new0(Bus, 1);
	*bus = (Bus){ .board = board, .type = type, .name = g_strdup(name), .owner = owner, .opaque = opaque, .max = max,
		.devices = g_ptr_array_new() };
	if (!board->buses)
		board->buses = g_ptr_array_new();
	g_ptr_array_add(board->buses, bus);
	return bus;
}

Bus *bus_new_of(Device *owner, const char *type, unsigned n, void *opaque, unsigned max)
{
	char name[64];
	if (owner->id)
		g_snprintf(name, sizeof(name), "%s.%u", owner->id, n);
	for (unsigned k = 0; !owner->id; k++) {
		g_snprintf(name, sizeof(name), "%s.%u", type, k);
		if (!bus_find(owner->board, name))
			break;
	}
	return bus_new(owner->board, type, name, owner, opaque, max);
}

void bus_free(Bus *bus)
{
	if (!bus)
		return;
	while (bus->devices->len)
		device_free(g_ptr_array_index(bus->devices, bus->devices->len - 1));
	g_ptr_array_remove(bus->board->buses, bus);
	g_ptr_array_free(bus->devices, TRUE);
	g_free(bus->name);
	g_free(bus);
}

Bus *bus_find(Board *board, const char *name)
{
	for (unsigned i = 0; board->buses && i < board->buses->len; i++) {
		Bus *bus = g_ptr_array_index(board->buses, i);
		if (!strcmp(bus->name, name))
			return bus;
	}
	return NULL;
}
