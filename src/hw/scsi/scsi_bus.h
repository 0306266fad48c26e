/*
 * scsi_bus.h - a SCSI bus: what a host adapter offers to the units that are plugged into it.
 *
 * An adapter makes one in realize with scsi_bus_init(); scsi-hd and scsi-cd add their unit to it.
 * Units are found by channel, target and logical unit number (SAM-5 4.6). The list changes with the
 * machine lock held and the bus's loop entered; one of both is enough to read it.
 */
#ifndef VIV_HW_SCSI_BUS_H
#define VIV_HW_SCSI_BUS_H

#include "hw/pci/pci.h"
#include "hw/scsi/scsi.h"

typedef struct ScsiBus {
	Bus *bus;
	const ScsiHost *host;
	void *opaque;         /* the adapter's: of every unit and of every request's unit */
	Loop *loop;           /* where the units' drives are served */
	uint32_t max_channel, max_target, max_lun; /* the highest of each */
	/* A unit came, or is about to go. Machine lock held, loop entered. May be NULL. */
	void (*plugged)(struct ScsiBus *b, ScsiUnit *u, bool in);
	GPtrArray *units;     /* ScsiUnit *, not owned */
	ScsiUnit nobody;      /* answers for what a target lacks */
} ScsiBus;

/* Adds a bus named after its adapter. The fields from max_channel on are the caller's to set
 * before. */
void scsi_bus_init(ScsiBus *b, PciDevice *adapter, const ScsiHost *host, void *opaque, Loop *loop);
/* Frees the devices on it. Nothing if scsi_bus_init() was not called. */
void scsi_bus_exit(ScsiBus *b);
/* Where the unit goes: finds what is ~0 (target, lun). False with *error: taken, or no such place.
 */
bool scsi_bus_place(ScsiBus *b, uint32_t channel, uint32_t *target, uint32_t *lun, GError **error);
void scsi_bus_add(ScsiBus *b, ScsiUnit *u);
void scsi_bus_remove(ScsiBus *b, ScsiUnit *u);
ScsiUnit *scsi_bus_find(ScsiBus *b, uint32_t channel, uint32_t target, uint32_t lun);
bool scsi_bus_has_target(ScsiBus *b, uint32_t channel, uint32_t target);
/*
 * scsi_request_new() for an address. A target answers for units that it does not have (SPC-4 6.6.2,
 * SAM-5 4.6.4); NULL: there is no such target.
 */
ScsiRequest *scsi_bus_request(ScsiBus *b, uint32_t channel, uint32_t target, uint32_t lun,
	const uint8_t *cdb, unsigned len, void *opaque);
/* Waits until no unit has a request with its drive. Machine lock held, loop not entered. */
void scsi_bus_drain(ScsiBus *b);

#endif
