/*
 * intc.h - what the board and the interrupt controllers ask of each other beyond lines.
 *
 * Machine lock held in all of them.
 */
#ifndef VIV_HW_INTC_INTC_H
#define VIV_HW_INTC_INTC_H

#include <stdint.h>

#include "core/board.h"
#include "core/device.h"

/* INTA cycle of the 8259 pair: the vector, 0..255 (a spurious one if nothing is pending). */
int i8259_ack(Device *pic);
/* A local APIC finished level-triggered `vector` (0..255). */
void ioapic_eoi(Device *ioapic, int vector);
/* Message-signalled interrupt (SDM vol. 3A, 11.11) to the local APICs; fits Board.msi. */
void apic_deliver_msi(Board *board, uint64_t addr, uint32_t data);
/* Pulses LINT1, to which PCs wire NMI sources. */
void apic_local_nmi(Device *apic);

#endif
