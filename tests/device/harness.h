/*
 * harness.h - a board without a processor, so that a device is tested through its registers.
 */
#ifndef VIV_TESTS_DEVICE_HARNESS_H
#define VIV_TESTS_DEVICE_HARNESS_H

#include "core/board.h"
#include "core/device.h"
#include "core/loop.h"

#define HARNESS_RAM (4u << 20)

typedef struct Harness {
	Board board;              /* first */
	Region ram;
	int level[BOARD_GSI_COUNT];     /* of each gsi */
	unsigned rises[BOARD_GSI_COUNT];
	unsigned msi_count;
	uint64_t msi_addr;
	uint32_t msi_data;
	RunRequest requested;     /* the last one */
	unsigned requests;
	bool frozen;              /* see harness_freeze */
} Harness;

Harness *harness_new(void);
void harness_free(Harness *h); /* frees every device, last first */
/* A device with default properties, realized; aborts the test if that fails. */
Device *harness_add(Harness *h, const DeviceClass *cls);
Device *harness_make(Harness *h, const DeviceClass *cls);
void harness_realize(Device *dev);
/* Aborts the test if it is refused. */
void harness_set(Device *dev, const char *key, const char *value);
/* "a=b,c=d" */
void harness_set_all(Device *dev, const char *properties);
/* `loop` becomes the I/O thread io0; the caller frees it after the harness. */
void harness_add_loop(Harness *h, Loop *loop);
/* As the board's reset. */
void harness_reset(Harness *h);
/* From now on the guest's clock passes in harness_run only, and exactly. */
void harness_freeze(Harness *h);
/* Runs the main loop until the guest's clock advanced by ns. */
void harness_run(Harness *h, int64_t ns);
/* ... until *value is not 0, at most a second. */
void harness_wait(Harness *h, const unsigned *value);

uint32_t inb(Harness *h, uint16_t port);
uint32_t inw(Harness *h, uint16_t port);
uint32_t inl(Harness *h, uint16_t port);
void outb(Harness *h, uint16_t port, uint32_t value);
void outw(Harness *h, uint16_t port, uint32_t value);
void outl(Harness *h, uint16_t port, uint32_t value);
uint32_t readl(Harness *h, uint64_t addr);
void writel(Harness *h, uint64_t addr, uint32_t value);
uint32_t pci_in(Harness *h, unsigned slot, unsigned fn, unsigned reg, unsigned size);
void pci_out(Harness *h, unsigned slot, unsigned fn, unsigned reg, uint32_t value, unsigned size);

#endif
