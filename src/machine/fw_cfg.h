/*
 * fw_cfg.h - fills the firmware configuration table that hw's fw_cfg_io serves.
 *
 * Data is copied in; setting a key or file again replaces it. Set-up on the main
 * thread, changes while the guest runs under the machine lock.
 */
#ifndef VIV_MACHINE_FW_CFG_H
#define VIV_MACHINE_FW_CFG_H

#include "core/fw_cfg.h"

/* Keys (QEMU's docs/specs/fw_cfg) */
enum {
	FW_CFG_SIGNATURE = 0x00, FW_CFG_ID = 0x01, FW_CFG_UUID = 0x02, FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_NOGRAPHIC = 0x04, FW_CFG_NB_CPUS = 0x05, FW_CFG_MACHINE_ID = 0x06,
	FW_CFG_KERNEL_ADDR = 0x07, FW_CFG_KERNEL_SIZE = 0x08, FW_CFG_INITRD_ADDR = 0x0a,
	FW_CFG_INITRD_SIZE = 0x0b, FW_CFG_NUMA = 0x0d, FW_CFG_BOOT_MENU = 0x0e, FW_CFG_MAX_CPUS = 0x0f,
	FW_CFG_KERNEL_ENTRY = 0x10, FW_CFG_KERNEL_DATA = 0x11, FW_CFG_INITRD_DATA = 0x12,
	FW_CFG_CMDLINE_ADDR = 0x13, FW_CFG_CMDLINE_SIZE = 0x14, FW_CFG_CMDLINE_DATA = 0x15,
	FW_CFG_SETUP_ADDR = 0x16, FW_CFG_SETUP_SIZE = 0x17, FW_CFG_SETUP_DATA = 0x18,
	FW_CFG_FILE_DIR = 0x19,
	FW_CFG_IRQ0_OVERRIDE = 0x8002, FW_CFG_HPET = 0x8004,
};

FwCfgTable *fw_cfg_table_new(void);
void fw_cfg_table_free(FwCfgTable *t);
void fw_cfg_set(FwCfgTable *t, uint16_t key, const void *data, uint32_t size);
void fw_cfg_set_int(FwCfgTable *t, uint16_t key, uint64_t value, unsigned bytes); /* little endian */
/* Name: at most 55 characters. False: too many files or too long a name. */
bool fw_cfg_add_file(FwCfgTable *t, const char *name, const void *data, uint32_t size, GError **error);
/* The file's name behind a key, valid until the next is added; NULL: not a file's. */
const char *fw_cfg_file_name(const FwCfgTable *t, uint16_t key);

#endif
