/*
 * bus.h - between a PCI function (pci.c) and its bus (bus.c); for the host bridge too.
 * Machine lock held.
 */
#ifndef VIV_HW_PCI_BUS_H
#define VIV_HW_PCI_BUS_H

#include "hw/pci/pci.h"

void pci_bus_reset(PciBus *bus);
/* Puts a function at devfn, or takes it away (NULL). */
void pci_bus_set(PciBus *bus, uint8_t devfn, PciDevice *dev);
/* devfn of the first free slot behind the chip set's, or -1. */
int pci_bus_free_slot(PciBus *bus);
/*
 * Byte accesses of port CF9h go to the region's ops, unmapped as it is: a mapping of its
 * own would cut the dword at CF8h in two. NULL: none.
 */
void pci_bus_set_reset_port(PciBus *bus, const Region *region);
/* A function's pin (1..4) went up or down. */
void pci_bus_intx(PciBus *bus, uint8_t devfn, unsigned pin, bool level);

#endif
