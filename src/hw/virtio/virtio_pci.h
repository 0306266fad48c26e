/*
 * virtio_pci.h - virtio over PCI: legacy, modern and transitional devices.
 *
 * VIRTIO 1.2, 4.1. A device's struct begins with VirtioPci. Its class has VIRTIO_PCI_PROPERTIES,
 * VIRTIO_PCI_STATE, quiesce = virtio_pci_quiesce; its realize calls virtio_pci_init(), adds its
 * queues, may change vdev.features, and calls virtio_pci_realize(); its reset is virtio_pci_reset,
 * its unrealize virtio_pci_exit (or functions that call these). Machine lock held.
 */
#ifndef VIV_HW_VIRTIO_VIRTIO_PCI_H
#define VIV_HW_VIRTIO_VIRTIO_PCI_H

#include "hw/pci/msix.h"
#include "hw/virtio/virtio.h"

#define VIRTIO_PCI_VECTORS_DEFAULT UINT32_MAX

typedef struct VirtioPci {
	PciDevice pci;            /* first */
	VirtioDevice vdev;
	Msix msix;
	/* properties */
	int disable_legacy;       /* off, on, auto (off: the bus is conventional PCI) */
	bool disable_modern, packed, event_idx, indirect_desc, any_layout, notify_on_empty;
	bool queue_reset, page_per_vq;
	bool iommu_platform, ioeventfd;
	uint32_t vectors;         /* of MSI-X; 0: none */
	/* state */
	uint8_t isr;
	uint16_t queue_select;
	uint32_t device_feature_select, driver_feature_select;
	/* registers */
	Region legacy;            /* BAR 0 */
	Region modern;            /* BAR 4 */
	uint8_t cfg_cap;          /* offset of the configuration access capability; 0: none */
	bool has_legacy, has_modern;
	GArray *doorbells;        /* Doorbell: ioeventfds that the accelerator has now */
} VirtioPci;

extern const char *const virtio_pci_on_off_auto[];

/*
 * The first two of a class's table choose the registers. Classes that have "-transitional" or
 * "-non-transitional" in their name have chosen: theirs begins at VIRTIO_PCI_FIXED(table).
 */
#define VIRTIO_PCI_FIXED(table) ((table) + 2)
#define VIRTIO_PCI_PROPERTIES \
	{ "disable-legacy", PROP_ENUM, offsetof(VirtioPci, disable_legacy), "auto", \
	  "no registers for drivers of before version 1.0", virtio_pci_on_off_auto }, \
	{ "disable-modern", PROP_BOOL, offsetof(VirtioPci, disable_modern), "off", \
	  "only registers for drivers of before version 1.0" }, \
	PCI_PROPERTIES, \
	{ "vectors", PROP_U32, offsetof(VirtioPci, vectors), "4294967295", \
	  "MSI-X vectors; 0: interrupt pin only (default: one a queue, one for changes)" }, \
	{ "packed", PROP_BOOL, offsetof(VirtioPci, packed), "off", "offer packed rings" }, \
	{ "event_idx", PROP_BOOL, offsetof(VirtioPci, event_idx), "on", "offer event indices" }, \
	{ "indirect_desc", PROP_BOOL, offsetof(VirtioPci, indirect_desc), "on", \
	  "offer indirect descriptors" }, \
	{ "any_layout", PROP_BOOL, offsetof(VirtioPci, any_layout), "on", \
	  "legacy: any division of a request into descriptors" }, \
	{ "notify_on_empty", PROP_BOOL, offsetof(VirtioPci, notify_on_empty), "on", \
	  "legacy: an interrupt when the ring runs empty" }, \
	{ "queue_reset", PROP_BOOL, offsetof(VirtioPci, queue_reset), "on", \
	  "single queues can be reset" }, \
	{ "page-per-vq", PROP_BOOL, offsetof(VirtioPci, page_per_vq), "off", \
	  "each queue's doorbell is in a page of its own" }, \
	{ "iommu_platform", PROP_BOOL, offsetof(VirtioPci, iommu_platform), "off", \
	  "addresses pass an IOMMU (not built)" }, \
	{ "ioeventfd", PROP_BOOL, offsetof(VirtioPci, ioeventfd), "on", \
	  "doorbells without leaving the guest, where device and accelerator can" }
#define VIRTIO_PCI_STATE \
	PCI_STATE, \
	STATE_STRUCT(VirtioPci, vdev, virtio_state), \
	STATE_STRUCT(VirtioPci, msix, msix_state), \
	STATE(FIELD_U8, VirtioPci, isr, 0), \
	STATE(FIELD_U16, VirtioPci, queue_select, 0), \
	STATE(FIELD_U32, VirtioPci, device_feature_select, 0), \
	STATE(FIELD_U32, VirtioPci, driver_feature_select, 0)

/* Before virtio_pci_init(), in the realize of a "-non-transitional" class. */
void virtio_pci_modern_only(Device *dev);
/* First in realize. False with *error; nothing is claimed then. */
bool virtio_pci_init(VirtioPci *p, const VirtioClass *cls, GError **error);
/*
 * Last in realize: the function on the bus. class_code: base class and sub-class, e.g. 0x0100.
 * transitional_id: PCI device id of a device with legacy registers (4.1.2.1). False with *error;
 * all is released then, queues too.
 */
bool virtio_pci_realize(VirtioPci *p, uint16_t class_code, uint16_t transitional_id,
	GError **error);
void virtio_pci_exit(VirtioPci *p);
/* DeviceClass callbacks as they stand */
void virtio_pci_quiesce(Device *dev);
void virtio_pci_reset(Device *dev);
void virtio_pci_info(Device *dev, GString *out);

#endif
