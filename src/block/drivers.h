/*
 * drivers.h - the driver of each format and protocol; drivers.c lists them.
 */
#ifndef VIV_BLOCK_DRIVERS_H
#define VIV_BLOCK_DRIVERS_H

#include "block/node.h"

extern const Driver file_driver, host_device_driver, host_cdrom_driver, null_co_driver;
extern const Driver raw_driver, qcow2_driver;
extern const Driver bochs_driver, cloop_driver, copy_on_read_driver, dmg_driver, qcow_driver;
extern const Driver luks_driver, parallels_driver, qed_driver, vdi_driver, vhdx_driver, vmdk_driver,
	vpc_driver;

/* A raw image is made by the same words as the file that it is. */
extern const BlockOption file_create_options[];

#endif
