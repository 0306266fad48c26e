/*
 * classes.c - the list of device classes. Any thread.
 */
#include "hw/classes.h"

#include <string.h>

const DeviceClass *const device_classes[] = {
	&i8259_class, &ioapic_class, &apic_class,
	&i8254_class, &port61_class, &rtc_class, &hpet_class,
	&i8042_class, &port92_class,
	&serial_isa_class, &serial_pci_class, &serial_pci2_class, &serial_pci4_class, &parallel_class,
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
