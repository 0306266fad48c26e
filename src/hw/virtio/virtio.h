/*
 * virtio.h - a virtio device and its queues, whatever the bus and the ring format.
 *
 * VIRTIO 1.2, 2. A device is a constant VirtioClass, and a DeviceClass whose struct begins with a
 * transport's (VirtioPci, virtio_pci.h), which holds the VirtioDevice. The transport negotiates and
 * rings the doorbell; the device pops elements, works on them in place, and pushes them back.
 *
 * Threads. Everything but virtq_pop, virtq_push, virtq_drop, virtq_notify, virtq_set_kicks and
 * virtio_error is called with the machine lock held. These six belong to one thread at a time for
 * each queue: as long as the device does nothing else, to whoever holds the machine lock; a device
 * may hand a queue to an I/O thread, which then calls them without that lock. The class's `quiesce`
 * takes the queue back: whoever tears a queue down (reset, disable, bus mastering off, unplug)
 * calls it first. They never wait for the machine lock, so quiesce may wait for the I/O thread
 * while it holds it.
 *
 * Hostile guests: each descriptor is copied once and checked; a malformed ring puts the device into
 * the error state (2.1.2): virtq_pop gives NULL until the driver resets the device.
 */
#ifndef VIV_HW_VIRTIO_VIRTIO_H
#define VIV_HW_VIRTIO_VIRTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <glib.h>

#include "core/board.h"
#include "core/device.h"
#include "std/virtio.h"

#define VIRTIO_QUEUES_MAX 1024u   /* of a device */
#define VIRTQ_SIZE_MAX 1024u      /* entries of a queue */
#define VIRTQ_IOV_MAX 1024u       /* pieces of memory of an element; one more is a malformed ring */
#define VIRTIO_CONFIG_MAX 256u    /* bytes of device configuration */

typedef struct VirtioDevice VirtioDevice;
typedef struct VirtQueue VirtQueue;

/* A buffer of the guest, taken off a queue. The pieces point into guest RAM, none is empty. */
typedef struct VirtElement {
	struct iovec *out;      /* what the device reads: out_count pieces, out_bytes in all */
	struct iovec *in;       /* what it writes */
	unsigned out_count, in_count;
	uint64_t out_bytes, in_bytes;
	/* private to the queue */
	uint16_t id, descs;     /* the ring's name for it; entries of the ring it takes */
	unsigned epoch, capacity;
	struct iovec *iov;
	struct VirtElement *next;
} VirtElement;

typedef struct VirtioClass {
	const char *name;       /* "virtio-rng" */
	uint16_t id;            /* device type, VIRTIO_ID_... */
	/* of the device type, always offered; more may be added to vdev->features */
	uint64_t features;
	unsigned config_size;   /* bytes, up to VIRTIO_CONFIG_MAX */
	/*
	 * Fills config_size bytes, which are zero, with the present configuration. NULL with
	 * config_size 0.
	 */
	void (*config_read)(VirtioDevice *vdev, void *config);
	/*
	 * The driver wrote [offset, offset + len), which lies within the configuration. May be
	 * NULL.
	 */
	void (*config_write)(VirtioDevice *vdev, unsigned offset, const void *data, unsigned len);
	/*
	 * Looks at the features the driver chose, all of them offered ones; false refuses them. May
	 * be NULL.
	 */
	bool (*features_ok)(VirtioDevice *vdev, uint64_t features);
	/*
	 * The driver is ready (DRIVER_OK); each queue that is enabled gets a notify after it. May
	 * be NULL.
	 */
	void (*start)(VirtioDevice *vdev);
	/*
	 * The driver rang for the queue: pop until NULL, but no more than a queue's worth at once,
	 * as the other vcpus go on filling it. Not called for a queue with a kick eventfd.
	 */
	void (*notify)(VirtioDevice *vdev, VirtQueue *q);
	/*
	 * No thread works on the queue any more when this returns (q NULL: on any queue of the
	 * device), and each element is pushed or dropped; no thread begins again before start or
	 * notify. (A device with I/O threads closes the kick eventfds here: the next doorbell comes
	 * as a notify, which hands the queue to its thread again.) NULL for devices that do all
	 * their work in notify.
	 */
	void (*quiesce)(VirtioDevice *vdev, VirtQueue *q);
	/* The device's own state after quiesce, for both kinds of reset. May be NULL. */
	void (*reset)(VirtioDevice *vdev);
} VirtioClass;

/* What carries a device's interrupts; machine lock held. */
typedef struct VirtioTransport {
	void (*interrupt)(VirtioDevice *vdev, VirtQueue *q); /* q NULL: the configuration changed */
	/* an eventfd came, or is going */
	void (*kick_fd)(VirtioDevice *vdev, VirtQueue *q, bool assign);
} VirtioTransport;

struct VirtioDevice {
	const VirtioClass *cls;
	Device *dev;                 /* the whole device, for its own functions */
	Board *board;
	const VirtioTransport *transport;
	struct VirtioLoop *served;   /* virtio_loop.h; NULL: the device does not use it */
	VirtQueue *queue;            /* [0, queue_count) */
	unsigned queue_count;
	uint64_t features;           /* offered to modern drivers; set in realize */
	/* offered besides to legacy ones, where VERSION_1 and up are not */
	uint64_t legacy_features;
	uint64_t driver_features;    /* what the driver took */
	uint8_t status;              /* without NEEDS_RESET, which is `broken` */
	uint8_t generation;          /* of the configuration */
	uint16_t config_vector;
	bool dma;                    /* may reach guest memory: set by the transport */
	_Atomic bool broken;
	_Atomic bool config_due;     /* an interrupt that found the machine lock taken */
	_Atomic unsigned map_generation; /* of the board's memory map */
	char *error;                 /* the first malformed ring of this device's life; NULL */
	GMutex error_lock;           /* for `error`; a leaf */
	int due_fd;                  /* eventfd: some interrupt is due */
	guint due_source;
};

/* A piece of plain RAM that a queue found before. */
typedef struct VirtqPiece { uint64_t start, end; uint8_t *host; } VirtqPiece;

struct VirtQueue {
	VirtioDevice *vdev;
	uint16_t index;
	uint16_t max;                /* entries offered */
	void *opaque;                /* the device's */
	/* as the driver set it up */
	uint16_t num;                /* entries in use */
	uint16_t vector;
	bool enabled;
	uint64_t desc, driver, device; /* guest addresses of the three parts (2.6) */
	/* positions */
	uint16_t last_avail, used;   /* split: free-running; packed: in [0, num) */
	bool avail_wrap, used_wrap;  /* packed */
	bool kicks_off;              /* virtq_set_kicks */
	uint32_t in_use;             /* elements popped and not yet back */
	uint32_t unsignalled;        /* entries used since the driver's wish was last looked at */
	/* not state: caches, and what belongs to the host */
	const struct VirtRing *ring;
	bool mapped;
	unsigned map_generation, epoch;
	uint8_t *desc_host, *driver_host, *device_host;
	VirtqPiece piece[2];
	VirtElement *spare;
	_Atomic bool interrupt_due;
	int kick_fd;                 /* -1: none */
};

/* ---- for devices ---- */

/*
 * In realize, after the transport's init: adds a queue that offers `size` entries, a power of two
 * up to VIRTQ_SIZE_MAX. Pointers to queues are stable only after the last one was added.
 */
VirtQueue *virtio_add_queue(VirtioDevice *vdev, unsigned size);
/*
 * False with *error unless size is one that virtio_add_queue takes, and at least 2; `property` is
 * its name.
 */
bool virtio_check_queue_size(const Device *dev, const char *property, unsigned size,
	GError **error);

/*
 * Takes the next buffer; NULL: none is there (the driver rings for the next one), or the device is
 * broken.
 */
VirtElement *virtq_pop(VirtQueue *q);
/*
 * Gives it back: `written` bytes (at most in_bytes), counted from the first byte of `in` to the
 * last one that was written. The element is gone. Drivers learn of it by virtq_notify.
 */
void virtq_push(VirtQueue *q, VirtElement *e, uint64_t written);
/* Forgets an element without giving it back: for quiesce, before a reset. */
void virtq_drop(VirtQueue *q, VirtElement *e);
/* Interrupts the driver if it wishes to hear of what was pushed since the last call. */
void virtq_notify(VirtQueue *q);
/*
 * Asks the driver to ring, or not to bother: for a thread that polls. True when turned on: buffers
 * came in between, pop again. On after reset.
 */
bool virtq_set_kicks(VirtQueue *q, bool on);
/* Something to pop? A hint. */
bool virtq_empty(VirtQueue *q);
/*
 * From now on doorbells of this queue signal an eventfd, which an I/O thread polls, instead of
 * calling the class's notify: without leaving the guest if the accelerator can do that. Returns the
 * descriptor, owned by the queue, the same one at each call; -1: the host has none left (notify
 * goes on).
 */
int virtq_kick_fd(VirtQueue *q);
/* Back to notify; the descriptor is closed, nobody may poll it any more. */
void virtq_close_kick_fd(VirtQueue *q);

/*
 * The driver did what makes no sense: error state until reset. The first text of the device's life
 * is logged, no other.
 */
void virtio_error(VirtioDevice *vdev, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The configuration changed by itself: tells the driver. */
void virtio_config_changed(VirtioDevice *vdev);
static inline bool virtio_has(const VirtioDevice *vdev, uint64_t feature)
{
	return vdev->driver_features & feature;
}

/*
 * Copies up to len bytes from `out`, or to `in`, at an offset in bytes. Returns how many there
 * were.
 */
size_t virt_read(const VirtElement *e, uint64_t offset, void *buf, size_t len);
size_t virt_write(const VirtElement *e, uint64_t offset, const void *buf, size_t len);
/*
 * The pieces of [offset, offset + len) of iov, into `to`, which has room for `count`; returns how
 * many. What lies behind the end is left out.
 */
unsigned virt_slice(const struct iovec *iov, unsigned count, uint64_t offset, uint64_t len,
	struct iovec *to);

/* ---- for transports; machine lock held ---- */

extern const StateField virtio_state[]; /* of VirtioDevice, queues included */

bool virtio_init(VirtioDevice *vdev, Device *dev, const VirtioClass *cls,
	const VirtioTransport *transport, GError **error);
void virtio_exit(VirtioDevice *vdev); /* quiesces; also after a failed virtio_init, or none */
void virtio_quiesce(VirtioDevice *vdev, VirtQueue *q); /* NULL: all */
void virtio_reset(VirtioDevice *vdev); /* by the driver: quiesce, state table and the rest */
/* by the board: quiesced, and the table's values are stored */
void virtio_reset_rest(VirtioDevice *vdev);

/* Status register (2.1). Reading includes NEEDS_RESET. */
uint8_t virtio_status(const VirtioDevice *vdev);
void virtio_set_status(VirtioDevice *vdev, uint8_t status);
/* 32 bits of features: select 0 or 1, others read zero and drop writes. */
uint32_t virtio_feature_word(const VirtioDevice *vdev, unsigned select);
void virtio_set_driver_word(VirtioDevice *vdev, unsigned select, uint32_t value);
/* A legacy driver's choice, limited to what it was offered. */
void virtio_set_legacy_features(VirtioDevice *vdev, uint32_t value);
static inline uint32_t virtio_legacy_offer(const VirtioDevice *vdev)
{
	return (uint32_t)(vdev->features | vdev->legacy_features);
}
/* Configuration bytes, size 1, 2 or 4; what lies beyond reads as ones. */
uint32_t virtio_config_load(VirtioDevice *vdev, uint64_t offset, unsigned size);
void virtio_config_store(VirtioDevice *vdev, uint64_t offset, uint32_t value, unsigned size);

/* The driver enables the queue with the size and addresses in it; bad ones break the device. */
void virtq_enable(VirtQueue *q);
/* Quiesces and back to the values of reset (2.6.1). */
void virtq_reset(VirtQueue *q);
/* Legacy: all parts in a row from a page on, full size (2.7.2); page 0 disables. */
void virtq_set_legacy_page(VirtQueue *q, uint32_t page);
/* The doorbell of queue `index`, whatever the driver wrote there. */
void virtio_kick(VirtioDevice *vdev, unsigned index);
/* One line for each queue that is enabled. */
void virtio_info(VirtioDevice *vdev, GString *out);

#endif
