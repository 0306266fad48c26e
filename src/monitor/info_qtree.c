/*
 * info_qtree.c - info qtree: buses, the devices on them with their properties, the buses that those make.
 *
 * In QEMU's form. Main thread; takes the machine lock.
 */
#include <string.h>

#include "block/blk.h"
#include "core/lock.h"
#include "monitor/private.h"

typedef struct Tree {
	const Board *board;
	GString *out;
} Tree;

static void show_bus(const Tree *t, const Bus *bus, unsigned indent);

static const char *type_of(const Bus *bus)
{
	static const char *const names[][2] = { { "pci", "PCI" }, { "isa", "ISA" }, { "ide", "IDE" }, { "scsi", "SCSI" },
						{ "floppy", "floppy-bus" } };

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (!strcmp(names[i][0], bus->type))
			return names[i][1];
	return bus->type;
}

static void show_property(Device *d, const Property *p, unsigned indent, GString *out)
{
	g_autofree char *text = NULL;

	if (p->type == PROP_DRIVE) {
		const Blk *blk = *(Blk *const *)((const char *)d + p->offset);
		text = g_strdup_printf("\"%s\"", blk ? blk_id(blk) : "");
	} else {
		text = device_get(d, p);
	}
	g_string_append_printf(out, "%*s%s = %s\n", (int)indent, "", p->name, text);
}

/* Its own lines, each with the indent before it. */
static void show_info(Device *d, unsigned indent, GString *out)
{
	g_autoptr(GString) own = g_string_new(NULL);

	d->cls->info(d, own);
	g_auto(GStrv) lines = g_strsplit(g_strchomp(own->str), "\n", -1);
	for (char **line = lines; *line; line++)
		g_string_append_printf(out, "%*s%s\n", (int)indent, "", *line);
}

static void show_device(const Tree *t, Device *d, unsigned indent)
{
	g_string_append_printf(t->out, "%*sdev: %s, id \"%s\"\n", (int)indent, "", d->cls->name, d->id ? d->id : "");
	for (const Property *p = d->cls->props; p && p->name; p++)
		if (p->type != PROP_PTR)
			show_property(d, p, indent + 2, t->out);
	if (!strcmp(d->cls->bus, "pci"))
		pci_show_in_tree(d, indent + 2, t->out);
	if (d->cls->info && d->cls->user_creatable) /* controllers of the board have commands of their own */
		show_info(d, indent + 2, t->out);
	for (unsigned i = 0; i < t->board->buses->len; i++) {
		const Bus *bus = g_ptr_array_index(t->board->buses, i);
		if (bus->owner == d)
			show_bus(t, bus, indent + 2);
	}
}

/* Devices of the chipset came before their bus: they are on it all the same. */
static bool is_on(const Device *d, const Bus *bus)
{
	if (!bus)
		return !strcmp(d->cls->bus, "system");
	return d->bus ? d->bus == bus : !strcmp(d->cls->bus, bus->type);
}

/* `bus` NULL: what is on no bus. The youngest comes first. */
static void show_devices(const Tree *t, const Bus *bus, unsigned indent)
{
	for (unsigned i = t->board->devices->len; i-- > 0;) {
		Device *d = g_ptr_array_index(t->board->devices, i);
		if (is_on(d, bus))
			show_device(t, d, indent);
	}
}

static void show_bus(const Tree *t, const Bus *bus, unsigned indent)
{
	g_string_append_printf(t->out, "%*sbus: %s\n%*stype %s\n", (int)indent, "", bus->name, (int)indent + 2, "", type_of(bus));
	show_devices(t, bus, indent + 2);
}

void info_qtree(Monitor *mon, const Args *args, GString *out)
{
	Tree t = { machine_board(mon->m), out };

	machine_lock();
	g_string_append(out, "bus: main-system-bus\n  type System\n");
	show_devices(&t, NULL, 2);
	machine_unlock();
}
