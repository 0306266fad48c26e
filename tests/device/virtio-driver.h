/*
 * virtio-driver.h - a driver and a device to try queues with: the device gives back what it reads,
 * byte by byte plus one, and the driver writes rings of either format, right or wrong.
 */
#ifndef VIV_TESTS_DEVICE_VIRTIO_DRIVER_H
#define VIV_TESTS_DEVICE_VIRTIO_DRIVER_H

#include "harness.h"
#include "hw/virtio/virtio_pci.h"
#include "std/virtio_pci.h"
#include "std/virtio_ring.h"

#define ECHO_QUEUES 2
#define ECHO_SIZE 16
#define ECHO_CONFIG 12
#define ECHO_F_ONE VIRTIO_BIT(0)
#define ECHO_F_REFUSED VIRTIO_BIT(1)   /* the device does not work with it */
#define SLOT 2
#define PORTS 0xc000u
#define TABLE 0xe0010000u
#define MODERN 0xe0000000u
#define COMMON(field) (MODERN + (unsigned)offsetof(VirtioPciCommon, field))

typedef struct Echo {
	VirtioPci vp;
	uint8_t config[ECHO_CONFIG];
	bool hold;                 /* keep what is popped */
	GPtrArray *held;
	unsigned notified, started, quiesced, resets, popped;
} Echo;

extern const DeviceClass echo_class;

typedef enum Kind { KIND_LEGACY, KIND_MODERN, KIND_PACKED, KINDS } Kind;

typedef struct VirtDriver {
	Harness *h;
	Echo *dev;
	Kind kind;
	unsigned q, num;
	uint64_t features;
	uint64_t desc, avail, used;   /* guest addresses of the parts */
	/* split: free-running; packed: positions with wrap counters */
	uint16_t next, seen;
	bool next_wrap, seen_wrap;
	/* packed: entries of the buffer that begins at each, in order of use */
	unsigned sizes[ECHO_SIZE];
	unsigned free_desc;           /* split: next descriptor to write, round and round */
} VirtDriver;

typedef struct Part { uint64_t addr; uint32_t len; uint16_t flags; } Part;

/* A machine with one echo device; properties "a=b,c=d". */
Harness *echo_machine(const char *properties, Echo **dev);
/* As firmware does: the function in SLOT at PORTS, TABLE and MODERN. */
void driver_map(Harness *h);
/* Negotiates and starts queue q; extra features besides VERSION_1 and RING_PACKED. */
void driver_start(VirtDriver *d, Harness *h, Echo *dev, Kind kind, unsigned q, uint64_t features);
/* The queue alone, of a device whose features are negotiated. */
void driver_queue(VirtDriver *d);
/* Makes a buffer available; NEXT is added to all but the last part. Returns its head, or id. */
uint16_t driver_add(VirtDriver *d, const Part *parts, unsigned count);
/* The same parts in an indirect table at `table`. */
uint16_t driver_add_indirect(VirtDriver *d, uint64_t table, const Part *parts, unsigned count);
void driver_kick(VirtDriver *d);
/* The next used buffer; false: none. */
bool driver_used(VirtDriver *d, uint32_t *id, uint32_t *len);
/* Runs the main loop until there is one, at most five seconds of the guest; its length. */
uint32_t driver_wait(VirtDriver *d);
uint8_t driver_status(VirtDriver *d);
void driver_reset(VirtDriver *d);
/* MSI-X: vector n has data 40h + n; all unmasked, configuration 0, queue q has q + 1. */
void driver_msix(VirtDriver *d);
/* The wish to be interrupted: always, never, or at the n-th buffer from now on (EVENT_IDX). */
void driver_wish_flag(VirtDriver *d, bool on);
void driver_wish_event(VirtDriver *d, unsigned ahead);

void put16(Harness *h, uint64_t addr, uint16_t v);
void put32(Harness *h, uint64_t addr, uint32_t v);
void put64(Harness *h, uint64_t addr, uint64_t v);
uint16_t get16(Harness *h, uint64_t addr);

#endif
