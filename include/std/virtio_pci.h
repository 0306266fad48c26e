/*
 * virtio_pci.h - the PCI transport's registers.
 *
 * VIRTIO 1.2, 4.1.4 (modern) and 4.1.4.10 (legacy).
 */
#ifndef STD_VIRTIO_PCI_H
#define STD_VIRTIO_PCI_H

#include <stddef.h>
#include <stdint.h>

#define VIRTIO_PCI_VENDOR 0x1af4u
#define VIRTIO_PCI_MODERN_BASE 0x1040u   /* plus the device type */
#define VIRTIO_PCI_NO_VECTOR 0xffffu     /* 4.1.5.1.2 */
#define VIRTIO_PCI_CAP_VENDOR 0x09u      /* PCI capability id */

/* cfg_type (4.1.4) */
enum {
	VIRTIO_PCI_CAP_COMMON = 1, VIRTIO_PCI_CAP_NOTIFY = 2, VIRTIO_PCI_CAP_ISR = 3,
	VIRTIO_PCI_CAP_DEVICE = 4, VIRTIO_PCI_CAP_PCI = 5,
};

typedef struct VirtioPciCap {
	uint8_t cap_vndr, cap_next, cap_len;
	uint8_t cfg_type;
	uint8_t bar;
	uint8_t id;
	uint8_t padding[2];
	uint32_t offset, length; /* bytes, in the BAR */
} VirtioPciCap;

typedef struct VirtioPciNotifyCap {
	VirtioPciCap cap;
	uint32_t notify_off_multiplier;
} VirtioPciNotifyCap;

typedef struct VirtioPciCfgCap {
	VirtioPciCap cap;
	uint8_t pci_cfg_data[4];
} VirtioPciCfgCap;

/* 4.1.4.3 */
typedef struct VirtioPciCommon {
	uint32_t device_feature_select, device_feature;
	uint32_t driver_feature_select, driver_feature;
	uint16_t config_msix_vector;
	uint16_t num_queues;
	uint8_t device_status;
	uint8_t config_generation;
	/* of the queue that queue_select names */
	uint16_t queue_select;
	uint16_t queue_size;
	uint16_t queue_msix_vector;
	uint16_t queue_enable;
	uint16_t queue_notify_off;
	uint32_t queue_desc_lo, queue_desc_hi;
	uint32_t queue_driver_lo, queue_driver_hi;
	uint32_t queue_device_lo, queue_device_hi;
	uint16_t queue_notify_data;
	uint16_t queue_reset;
} VirtioPciCommon;

/* ISR status (4.1.4.5); reading clears it */
#define VIRTIO_ISR_QUEUE 0x01u
#define VIRTIO_ISR_CONFIG 0x02u

/* The legacy I/O block (4.1.4.10); the two vectors are there only while MSI-X is enabled */
enum {
	VIRTIO_LEGACY_DEVICE_FEATURES = 0x00, VIRTIO_LEGACY_DRIVER_FEATURES = 0x04,
	VIRTIO_LEGACY_QUEUE_PFN = 0x08, VIRTIO_LEGACY_QUEUE_SIZE = 0x0c,
	VIRTIO_LEGACY_QUEUE_SELECT = 0x0e, VIRTIO_LEGACY_QUEUE_NOTIFY = 0x10,
	VIRTIO_LEGACY_STATUS = 0x12, VIRTIO_LEGACY_ISR = 0x13,
	VIRTIO_LEGACY_CONFIG_VECTOR = 0x14, VIRTIO_LEGACY_QUEUE_VECTOR = 0x16,
};
#define VIRTIO_LEGACY_CONFIG(msix) ((msix) ? 0x18u : 0x14u)

_Static_assert(sizeof(VirtioPciCap) == 16, "4.1.4");
_Static_assert(sizeof(VirtioPciNotifyCap) == 20, "4.1.4.4");
_Static_assert(sizeof(VirtioPciCfgCap) == 20, "4.1.4.9");
_Static_assert(offsetof(VirtioPciCommon, device_status) == 0x14, "4.1.4.3");
_Static_assert(offsetof(VirtioPciCommon, queue_desc_lo) == 0x20, "4.1.4.3");
_Static_assert(offsetof(VirtioPciCommon, queue_reset) == 0x3a, "4.1.4.3");
_Static_assert(sizeof(VirtioPciCommon) == 0x3c, "4.1.4.3");

#endif
