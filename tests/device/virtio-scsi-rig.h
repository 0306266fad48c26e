/*
 * virtio-scsi-rig.h - a driver of the SCSI host behind virtio queues: requests by number, each with
 * a place of its own in memory for header, answer and data.
 */
#ifndef VIV_TESTS_DEVICE_VIRTIO_SCSI_RIG_H
#define VIV_TESTS_DEVICE_VIRTIO_SCSI_RIG_H

#include "hw/scsi/scsi.h"
#include "scsi-rig.h"
#include "std/virtio_scsi.h"
#include "virtio-driver.h"

#define REQUEST(n) (0x100000u + 0x400u * (n))
#define ANSWER(n) (REQUEST(n) + 0x200u)
#define DATA(n) (0x200000u + 0x10000u * (n))
#define TASK_FUNCTION 0x180000u
#define TASK_ANSWER 0x180100u
#define W VIRTQ_DESC_WRITE
#define QUEUES 5                /* control, event, three for requests */
#define FIRST VIRTIO_SCSI_QUEUE_REQUEST
#define ID 1000u                /* the driver's name of request n: ID + n */
#define RESPONSE(code) ((uint32_t)VIRTIO_SCSI_S_##code << 24)
#define SECTOR 512u

typedef struct VsRig {
	ScsiRig s;
	Harness *h;
	uint8_t *ram;
	VirtDriver q[QUEUES];
	uint32_t sense, cdb;    /* sizes as negotiated */
	uint32_t used_bytes;    /* as the device says, of the last vs_one() */
} VsRig;

typedef struct Address { uint8_t byte[8]; } Address;
typedef struct Cdb { uint8_t byte[16]; } Cdb;
#define CDB(...) ((Cdb){ { __VA_ARGS__ } })
#define TEST_UNIT_READY CDB(0)
extern const Address vs_disk, vs_cd;

/* Properties of the adapter begin with a comma; those of the first disk do not. */
void vs_make(VsRig *r, const char *properties, const char *disk, Kind kind, Loop *loop);
/* Resets, negotiates, starts all queues. */
void vs_start(VsRig *r, Kind kind, uint64_t features);
/* Past the attention after power on. */
void vs_settle(VsRig *r);
Cdb vs_read(unsigned lba, unsigned blocks);
Cdb vs_write(unsigned lba, unsigned blocks);
/* Adds request n with data of `in` and `out` bytes at DATA(n); no kick. */
void vs_add(VsRig *r, unsigned queue, unsigned n, Address to, Cdb c, uint32_t in, uint32_t out);
/* Waits for a used buffer; how many bytes the device says it wrote. */
uint32_t vs_wait(VsRig *r, unsigned queue);
/* Some milliseconds later, is there one? */
bool vs_is_used(VsRig *r, unsigned queue);
const VirtioScsiCmdAnswer *vs_answer(VsRig *r, unsigned n);
/* The response << 24 | sense key, code and qualifier. */
uint32_t vs_result(VsRig *r, unsigned n);
/* Request 0 from beginning to end: its result. */
uint32_t vs_one(VsRig *r, Address to, Cdb c, uint32_t in, uint32_t out);
/* A task management function on the control queue, kicked; its answer goes to TASK_ANSWER. */
void vs_task_function(VsRig *r, unsigned subtype, Address to, unsigned n);
/* Does it stand still until it is reset? A legacy driver is not told. */
bool vs_broken(VsRig *r);
void vs_test_kinds(const char *name, void (*fn)(gconstpointer));

#endif
