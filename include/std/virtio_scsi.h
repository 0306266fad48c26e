/*
 * virtio_scsi.h - SCSI host: features, configuration, requests, events.
 *
 * VIRTIO 1.2, 5.6. The sense and CDB sizes are those of the configuration's default values.
 */
#ifndef STD_VIRTIO_SCSI_H
#define STD_VIRTIO_SCSI_H

#include <stdint.h>

#include "std/virtio.h"

#define VIRTIO_SCSI_F_INOUT VIRTIO_BIT(0)
#define VIRTIO_SCSI_F_HOTPLUG VIRTIO_BIT(1)
#define VIRTIO_SCSI_F_CHANGE VIRTIO_BIT(2)
#define VIRTIO_SCSI_F_T10_PI VIRTIO_BIT(3)

#define VIRTIO_SCSI_CDB_DEFAULT 32u
#define VIRTIO_SCSI_SENSE_DEFAULT 96u
enum { VIRTIO_SCSI_QUEUE_CONTROL = 0, VIRTIO_SCSI_QUEUE_EVENT = 1, VIRTIO_SCSI_QUEUE_REQUEST = 2 };

/* 5.6.4 */
typedef struct VirtioScsiConfig {
	uint32_t num_queues;        /* request queues */
	uint32_t seg_max, max_sectors, cmd_per_lun;
	uint32_t event_info_size, sense_size, cdb_size;
	uint16_t max_channel, max_target;
	uint32_t max_lun;
} VirtioScsiConfig;

/* 5.6.6.1: the readable part, then the writable one; data follow each */
typedef struct VirtioScsiCmd {
	uint8_t lun[8];
	uint64_t id;
	uint8_t task_attr, prio, crn;
	uint8_t cdb[VIRTIO_SCSI_CDB_DEFAULT];
} __attribute__((packed)) VirtioScsiCmd;

typedef struct VirtioScsiCmdAnswer {
	uint32_t sense_len, residual;
	uint16_t status_qualifier;
	uint8_t status, response;
	uint8_t sense[VIRTIO_SCSI_SENSE_DEFAULT];
} VirtioScsiCmdAnswer;

enum {
	VIRTIO_SCSI_S_OK = 0, VIRTIO_SCSI_S_OVERRUN = 1, VIRTIO_SCSI_S_ABORTED = 2,
	VIRTIO_SCSI_S_BAD_TARGET = 3, VIRTIO_SCSI_S_RESET = 4, VIRTIO_SCSI_S_BUSY = 5,
	VIRTIO_SCSI_S_TRANSPORT_FAILURE = 6, VIRTIO_SCSI_S_TARGET_FAILURE = 7,
	VIRTIO_SCSI_S_NEXUS_FAILURE = 8, VIRTIO_SCSI_S_FAILURE = 9,
	VIRTIO_SCSI_S_FUNCTION_SUCCEEDED = 10, VIRTIO_SCSI_S_FUNCTION_REJECTED = 11,
	VIRTIO_SCSI_S_INCORRECT_LUN = 12,
};

/* Control queue (5.6.6.2) */
enum { VIRTIO_SCSI_T_TMF = 0, VIRTIO_SCSI_T_AN_QUERY = 1, VIRTIO_SCSI_T_AN_SUBSCRIBE = 2 };
enum {
	VIRTIO_SCSI_TMF_ABORT_TASK = 0, VIRTIO_SCSI_TMF_ABORT_TASK_SET = 1,
	VIRTIO_SCSI_TMF_CLEAR_ACA = 2, VIRTIO_SCSI_TMF_CLEAR_TASK_SET = 3,
	VIRTIO_SCSI_TMF_I_T_NEXUS_RESET = 4, VIRTIO_SCSI_TMF_LOGICAL_UNIT_RESET = 5,
	VIRTIO_SCSI_TMF_QUERY_TASK = 6, VIRTIO_SCSI_TMF_QUERY_TASK_SET = 7,
};

typedef struct VirtioScsiTmf {
	uint32_t type, subtype;
	uint8_t lun[8];
	uint64_t id;
} VirtioScsiTmf;

typedef struct VirtioScsiAn {
	uint32_t type;
	uint8_t lun[8];
	uint32_t event_requested;
} VirtioScsiAn;

typedef struct VirtioScsiAnAnswer {
	uint32_t event_actual;
	uint8_t response;
} __attribute__((packed)) VirtioScsiAnAnswer;

/* Event queue (5.6.6.3) */
#define VIRTIO_SCSI_T_EVENTS_MISSED 0x80000000u
enum {
	VIRTIO_SCSI_T_NO_EVENT = 0, VIRTIO_SCSI_T_TRANSPORT_RESET = 1,
	VIRTIO_SCSI_T_ASYNC_NOTIFY = 2,
	VIRTIO_SCSI_T_PARAM_CHANGE = 3,
};
enum {
	VIRTIO_SCSI_EVT_RESET_HARD = 0, VIRTIO_SCSI_EVT_RESET_RESCAN = 1,
	VIRTIO_SCSI_EVT_RESET_REMOVED = 2,
};

typedef struct VirtioScsiEvent {
	uint32_t event;
	uint8_t lun[8];
	uint32_t reason;
} VirtioScsiEvent;

_Static_assert(sizeof(VirtioScsiConfig) == 36, "5.6.4");
_Static_assert(sizeof(VirtioScsiCmd) == 51, "5.6.6.1");
_Static_assert(sizeof(VirtioScsiCmdAnswer) == 108, "5.6.6.1");
_Static_assert(sizeof(VirtioScsiTmf) == 24, "5.6.6.2");
_Static_assert(sizeof(VirtioScsiAn) == 16, "5.6.6.2");
_Static_assert(sizeof(VirtioScsiAnAnswer) == 5, "5.6.6.2");
_Static_assert(sizeof(VirtioScsiEvent) == 16, "5.6.6.3");

#endif
