/*
 * acpi.h - the ACPI tables of the PC, and the script by which firmware installs them.
 *
 * Plain functions from facts to bytes; nothing here touches a device. One thread.
 */
#ifndef VIV_MACHINE_ACPI_ACPI_H
#define VIV_MACHINE_ACPI_ACPI_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#include "machine/config.h"

#define ACPI_GPE0_BASE 0xafe0
#define ACPI_SCI_IRQ 9

/* What the tables tell. Borrowed for the call. */
typedef struct AcpiInput {
	const MachineConfig *config;  /* numa, serial, oem ids */
	uint64_t ram_below_4g, ram_above_4g; /* bytes */
	uint64_t reserved_end;        /* first address above RAM and hot-plug area; where 64-bit BARs may go */
	uint8_t phys_bits;
	const uint32_t *apic_ids;     /* [0, cpu_max) */
	unsigned cpu_count, cpu_max;  /* present, possible */
	bool hpet;
	bool pci_hotplug;             /* slots 2 to 31 through hw/acpi/pcihp.c */
	uint16_t pm_base;             /* I/O ports of the PIIX4's PM block */
	uint16_t pvpanic_port;        /* 0: none */
	unsigned serials, parallels;  /* bit n: COMn+1, LPTn+1 exists */
} AcpiInput;

/* The three fw_cfg files; each owned by the caller. */
typedef struct AcpiFiles {
	GByteArray *tables;  /* etc/acpi/tables */
	GByteArray *rsdp;    /* etc/acpi/rsdp */
	GByteArray *loader;  /* etc/table-loader */
} AcpiFiles;

void acpi_build(const AcpiInput *in, AcpiFiles *out);
void acpi_files_free(AcpiFiles *files);

/* The DSDT's AML, without table header; the caller owns it. */
GByteArray *acpi_dsdt(const AcpiInput *in);

#endif
