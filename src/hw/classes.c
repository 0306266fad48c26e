/*
 * classes.c - the list of device classes. Any thread.
 */
#include "hw/classes.h"

#include <string.h>

const DeviceClass *const device_classes[] = {
	&i8259_class, &ioapic_class, &apic_class,
	&i8254_class, &port61_class, &rtc_class, &hpet_class,
	&i8042_class, &port92_class,
	&serial_isa_class, &serial_pci_class, &serial_pci2_class, &serial_pci4_class,
	&parallel_class,
	&debugcon_class, &debugexit_class, &pvpanic_class, &pvpanic_pci_class, &i6300esb_class,
	&i440fx_pcihost_class, &i440fx_class, &piix3_class, &piix4pm_class, &pcihp_class,
	&piix3_ide_class, &ide_hd_class, &ide_cd_class,
	&fw_cfg_class,
	&i8257_class, &isa_fdc_class, &floppy_class, &pflash_cfi01_class,
	&virtio_rng_pci_class, &virtio_rng_pci_transitional_class,
	&virtio_rng_pci_non_transitional_class,
	&virtio_blk_pci_class, &virtio_blk_pci_transitional_class,
	&virtio_blk_pci_non_transitional_class,
	&virtio_scsi_pci_class, &virtio_scsi_pci_transitional_class,
	&virtio_scsi_pci_non_transitional_class,
	&lsi53c895a_class, &scsi_hd_class, &scsi_cd_class,
	&sdhci_pci_class, &sd_card_class,
	&virtio_keyboard_pci_class, &virtio_mouse_pci_class, &virtio_tablet_pci_class,
	&virtio_serial_pci_class, &virtio_serial_pci_transitional_class,
	&virtio_serial_pci_non_transitional_class, &virtconsole_class, &virtserialport_class,
	&vga_class, &bochs_display_class,
	NULL
};

const DeviceClass *device_class_find(const char *name)
{
	for (const DeviceClass *const *c = device_classes; *c; c++)
		if (!strcmp((*c)->name, name) || !g_strcmp0((*c)->alias, name))
			return *c;
	return NULL;
}

/* ---- lists for people, in the form of QEMU's ---- */

static const char *bus_title(const char *bus)
{
	static const char *const titles[][2] = {
		{ "pci", "PCI" }, { "isa", "ISA" }, { "ide", "IDE" }, { "scsi", "SCSI" },
		{ "system", "System" }, { "floppy", "floppy-bus" },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(titles); i++)
		if (!strcmp(bus, titles[i][0]))
			return titles[i][1];
	return bus;
}

static void append_class(const DeviceClass *c, GString *out)
{
	g_string_append_printf(out, "name \"%s\", bus %s", c->name, bus_title(c->bus));
	if (c->alias)
		g_string_append_printf(out, ", alias \"%s\"", c->alias);
	if (c->desc)
		g_string_append_printf(out, ", desc \"%s\"", c->desc);
	g_string_append(out, c->user_creatable ? "\n" : ", no-user\n");
}

static gint by_name(gconstpointer a, gconstpointer b)
{
	const DeviceClass *const *ca = a, *const *cb = b;
	return g_ascii_strcasecmp((*ca)->name, (*cb)->name);
}

static GPtrArray *classes_of(DeviceCategory category, bool all)
{
	GPtrArray *found = g_ptr_array_new();
	for (const DeviceClass *const *c = device_classes; *c; c++)
		if ((*c)->category == category && (all || (*c)->user_creatable))
			g_ptr_array_add(found, (gpointer)*c);
	g_ptr_array_sort(found, by_name);
	return found;
}

void device_classes_list(bool all, GString *out)
{
	static const char *const titles[DEVICE_CATEGORIES] = {
		"Uncategorized", "Controller/Bridge/Hub", "USB", "Storage", "Network", "Input",
		"Display", "Sound", "Misc", "CPU", "Watchdog",
	};
	const char *between = "";

	for (unsigned i = 1; i <= DEVICE_CATEGORIES; i++) {
		DeviceCategory category = i % DEVICE_CATEGORIES; /* those without one come last */
		GPtrArray *classes = classes_of(category, all);
		if (classes->len) {
			g_string_append_printf(out, "%s%s devices:\n", between, titles[category]);
			between = "\n";
		}
		for (guint k = 0; k < classes->len; k++)
			append_class(g_ptr_array_index(classes, k), out);
		g_ptr_array_free(classes, TRUE);
	}
}
