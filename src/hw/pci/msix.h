/*
 * msix.h - MSI-X: interrupts of a PCI function as messages, each with a mask of its own.
 *
 * A function with MSI-X has a struct Msix in its own, calls msix_init() in realize,
 * msix_config_written() from its config_written, msix_reset() in reset, after pci_reset(), and
 * msix_exit() in unrealize before pci_exit(); its state table has STATE_STRUCT(..., msix_state).
 * Machine lock held in all functions.
 */
#ifndef VIV_HW_PCI_MSIX_H
#define VIV_HW_PCI_MSIX_H

#include "hw/pci/pci.h"

#define MSIX_VECTORS_MAX 2048u

/* A table entry and its bit of the pending array (PCI 6.8.2.6 to 6.8.2.10). */
typedef struct MsixVector {
	uint32_t addr_low, addr_high, data, control;
	bool pending;
} MsixVector;

typedef struct Msix {
	PciDevice *pci;      /* NULL: not initialised, the function has no MSI-X */
	unsigned vectors;
	MsixVector *vector;  /* [0, vectors) */
	uint32_t pba;        /* offset of the pending array in the region */
	uint8_t cap;         /* offset of the capability */
	bool enabled, masked; /* message control, as the guest wrote it last */
	Region region;
} Msix;

extern const StateField msix_state[];

/*
 * Adds the capability, and BAR `bar` with table and pending array: 32-bit memory, a page unless
 * more than 128 vectors need more. vectors is 1..MSIX_VECTORS_MAX. False with *error: the
 * configuration space is full, or too many vectors; nothing was claimed then.
 */
bool msix_init(Msix *m, PciDevice *pci, unsigned vectors, unsigned bar, GError **error);
void msix_exit(Msix *m);
void msix_reset(Msix *m);
/* After the guest wrote the configuration space: sends what became unmasked. */
void msix_config_written(Msix *m, unsigned offset, unsigned len);
/* Does the function signal with MSI-X now, and not with its pin? */
static inline bool msix_enabled(const Msix *m) { return m->enabled; }
/*
 * Sends the vector's message, or marks it pending while masked. Vectors that there are not:
 * nothing.
 */
void msix_notify(Msix *m, unsigned vector);
/* Forgets a pending message, for a function that takes the vector out of use. */
void msix_forget(Msix *m, unsigned vector);

#endif
