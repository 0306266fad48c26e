/*
 * smbios.h - the system management tables that describe the machine to its guest.
 */
#ifndef VIV_MACHINE_SMBIOS_H
#define VIV_MACHINE_SMBIOS_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "machine/config.h"

/* Borrowed for the call. */
typedef struct SmbiosInput {
	const MachineConfig *config;   /* completed: smbios, smp, ram_size, uuid, type */
	uint64_t ram_below_4g, ram_above_4g;
	uint32_t cpuid1_eax, cpuid1_edx; /* CPUID leaf 1 of the bootstrap processor */
} SmbiosInput;

/* Both owned by the caller. False with *error when a -smbios field makes no sense. */
bool smbios_build(const SmbiosInput *in, GByteArray **anchor, GByteArray **tables, GError **error);

#endif
