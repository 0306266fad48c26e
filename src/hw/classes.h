/*
 * classes.h - every device class there is.
 */
#ifndef VIV_HW_CLASSES_H
#define VIV_HW_CLASSES_H

#include "core/device.h"

extern const DeviceClass i8259_class, ioapic_class, apic_class;
extern const DeviceClass i8254_class, port61_class, rtc_class, hpet_class;
extern const DeviceClass i8042_class, port92_class;
extern const DeviceClass parallel_class, serial_isa_class, serial_pci_class, serial_pci2_class, serial_pci4_class;
extern const DeviceClass debugcon_class, debugexit_class, pvpanic_class, pvpanic_pci_class;
extern const DeviceClass i6300esb_class;
extern const DeviceClass i440fx_pcihost_class, i440fx_class, piix3_class, piix4pm_class, pcihp_class;
extern const DeviceClass piix3_ide_class, ide_hd_class, ide_cd_class;
extern const DeviceClass fw_cfg_class;
extern const DeviceClass i8257_class, isa_fdc_class, floppy_class, pflash_cfi01_class;
extern const DeviceClass virtio_serial_pci_class, virtio_serial_pci_transitional_class,
	virtio_serial_pci_non_transitional_class, virtconsole_class, virtserialport_class;
extern const DeviceClass virtio_rng_pci_class, virtio_rng_pci_transitional_class,
	virtio_rng_pci_non_transitional_class;
extern const DeviceClass virtio_blk_pci_class, virtio_blk_pci_transitional_class,
	virtio_blk_pci_non_transitional_class;
extern const DeviceClass virtio_scsi_pci_class, virtio_scsi_pci_transitional_class,
	virtio_scsi_pci_non_transitional_class;
extern const DeviceClass lsi53c895a_class, scsi_hd_class, scsi_cd_class;
extern const DeviceClass sdhci_pci_class, sd_card_class;
extern const DeviceClass virtio_keyboard_pci_class, virtio_mouse_pci_class, virtio_tablet_pci_class;
extern const DeviceClass vga_class, bochs_display_class;

/* All of them; ends with NULL. */
extern const DeviceClass *const device_classes[];
/* A line each, by category and name; without those that users cannot create unless `all`. */
void device_classes_list(bool all, GString *out);
/* By name or alias; NULL: there is none. Any thread. */
const DeviceClass *device_class_find(const char *name);

#endif
