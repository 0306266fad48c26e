/*
 * virtio_console.h - console device: features, configuration, control messages.
 *
 * VIRTIO 1.2, 5.3.
 */
#ifndef STD_VIRTIO_CONSOLE_H
#define STD_VIRTIO_CONSOLE_H

#include <stdint.h>

#include "std/virtio.h"

#define VIRTIO_CONSOLE_F_SIZE VIRTIO_BIT(0)
#define VIRTIO_CONSOLE_F_MULTIPORT VIRTIO_BIT(1)
#define VIRTIO_CONSOLE_F_EMERG_WRITE VIRTIO_BIT(2)

/* 5.3.2: port 0 has the first two queues, the control queues follow, then the other ports */
enum { VIRTIO_CONSOLE_QUEUE_CONTROL_RX = 2, VIRTIO_CONSOLE_QUEUE_CONTROL_TX = 3 };
#define VIRTIO_CONSOLE_QUEUE_RX(port) ((port) ? 2 * (port) + 2 : 0)
#define VIRTIO_CONSOLE_QUEUE_TX(port) (VIRTIO_CONSOLE_QUEUE_RX(port) + 1)

/* 5.3.4 */
typedef struct VirtioConsoleConfig {
	uint16_t cols, rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
} VirtioConsoleConfig;

/* 5.3.6.2 */
typedef struct VirtioConsoleControl {
	uint32_t id;
	uint16_t event, value;
} VirtioConsoleControl;

enum {
	VIRTIO_CONSOLE_DEVICE_READY = 0, VIRTIO_CONSOLE_DEVICE_ADD = 1, VIRTIO_CONSOLE_DEVICE_REMOVE = 2,
	VIRTIO_CONSOLE_PORT_READY = 3, VIRTIO_CONSOLE_CONSOLE_PORT = 4, VIRTIO_CONSOLE_RESIZE = 5,
	VIRTIO_CONSOLE_PORT_OPEN = 6, VIRTIO_CONSOLE_PORT_NAME = 7,
};

#endif
