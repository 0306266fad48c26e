/*
 * virtio.h - what every virtio device shares: status, feature bits, device types.
 *
 * Virtual I/O Device (VIRTIO) Version 1.2, Committee Specification 01 ("VIRTIO"): 2.1
 * (status), 6 (reserved feature bits), 5 (device types). All fields are little-endian, also
 * those of legacy devices: the guest is an x86.
 */
#ifndef STD_VIRTIO_H
#define STD_VIRTIO_H

#include <stdint.h>

/* Device status (2.1) */
#define VIRTIO_STATUS_ACKNOWLEDGE 0x01u
#define VIRTIO_STATUS_DRIVER 0x02u
#define VIRTIO_STATUS_DRIVER_OK 0x04u
#define VIRTIO_STATUS_FEATURES_OK 0x08u
#define VIRTIO_STATUS_NEEDS_RESET 0x40u
#define VIRTIO_STATUS_FAILED 0x80u

/* Feature bits (6); bits 0..23 and 50..127 belong to the device type */
#define VIRTIO_BIT(n) (1ull << (n))
#define VIRTIO_F_NOTIFY_ON_EMPTY VIRTIO_BIT(24)   /* legacy (6.3) */
#define VIRTIO_F_ANY_LAYOUT VIRTIO_BIT(27)        /* legacy (6.3) */
#define VIRTIO_F_INDIRECT_DESC VIRTIO_BIT(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_BIT(29)
#define VIRTIO_F_LEGACY_PROBE VIRTIO_BIT(30)      /* legacy (6.3): takers misread features */
#define VIRTIO_F_VERSION_1 VIRTIO_BIT(32)
#define VIRTIO_F_ACCESS_PLATFORM VIRTIO_BIT(33)
#define VIRTIO_F_RING_PACKED VIRTIO_BIT(34)
#define VIRTIO_F_IN_ORDER VIRTIO_BIT(35)
#define VIRTIO_F_ORDER_PLATFORM VIRTIO_BIT(36)
#define VIRTIO_F_SR_IOV VIRTIO_BIT(37)
#define VIRTIO_F_NOTIFICATION_DATA VIRTIO_BIT(38)
#define VIRTIO_F_NOTIF_CONFIG_DATA VIRTIO_BIT(39)
#define VIRTIO_F_RING_RESET VIRTIO_BIT(40)

/* Device types (5) */
enum {
	VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK = 2, VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5, VIRTIO_ID_SCSI = 8, VIRTIO_ID_9P = 9, VIRTIO_ID_GPU = 16,
	VIRTIO_ID_INPUT = 18, VIRTIO_ID_VSOCK = 19, VIRTIO_ID_FS = 26,
};

#endif
