/*
 * i8257.h - what a device on an ISA DMA channel needs. Machine lock held.
 */
#ifndef VIV_HW_ISA_I8257_H
#define VIV_HW_ISA_I8257_H

#include "core/device.h"

/*
 * Moves up to `len` bytes between `buf` and guest memory as channel 0..7 is programmed. Returns
 * how many: fewer when the channel is masked or set up for the other direction (none), or reaches
 * its terminal count (*tc, true also if that comes with the last byte).
 */
size_t i8257_transfer(Device *dma, unsigned channel, void *buf, size_t len, bool to_memory,
	bool *tc);
/* fn(opaque) is called when the guest has unmasked the channel: a device that waits goes on. */
void i8257_on_unmask(Device *dma, unsigned channel, void (*fn)(void *opaque), void *opaque);

#endif
