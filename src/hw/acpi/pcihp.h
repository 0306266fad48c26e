/*
 * pcihp.h - what the board has to say to pcihp.c.
 *
 * Machine lock held.
 */
#ifndef VIV_HW_ACPI_PCIHP_H
#define VIV_HW_ACPI_PCIHP_H

#include "core/device.h"

#define PCIHP_BASE 0xae00

/* The guest lets go of these slots (bit n: slot n); on the vcpu's thread, from inside a port write. */
typedef void PciEjectFn(void *opaque, uint32_t slots);
void pcihp_on_eject(Device *hp, PciEjectFn *fn, void *opaque);
/* A device came (it is realized), or its user wants it back. */
void pcihp_plugged(Device *hp, const Device *dev);
void pcihp_unplug_request(Device *hp, const Device *dev);
/* Is it one that a user added to a slot? */
bool pcihp_can_unplug(const Device *dev);

#endif
