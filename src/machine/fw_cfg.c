/*
 * fw_cfg.c - the firmware configuration table and its file directory.
 *
 * QEMU's published docs/specs/fw_cfg: keys, file directory (big endian), interface
 * version 3 (DMA). Leaves out guest-writable files. Main thread; machine lock held once
 * the guest runs.
 */
#include "machine/fw_cfg.h"

#include <string.h>

#include "core/error.h"

#define DIR_ENTRY 64
#define NAME_AT 8
#define NAME_MAX_LEN 55

FwCfgTable *fw_cfg_table_new(void)
{
	FwCfgTable *t = g_new0(FwCfgTable, 1);
	fw_cfg_set(t, FW_CFG_SIGNATURE, "QEMU", 4);
	fw_cfg_set_int(t, FW_CFG_ID, 3, 4); /* traditional and DMA interfaces */
	fw_cfg_set_int(t, FW_CFG_FILE_DIR, 0, 4);
	return t;
}

void fw_cfg_table_free(FwCfgTable *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < FW_CFG_KEYS; i++)
		g_free(t->generic[i].data);
	for (unsigned i = 0; i < FW_CFG_ARCH_KEYS; i++)
		g_free(t->arch[i].data);
	g_free(t);
}

void fw_cfg_set(FwCfgTable *t, uint16_t key, const void *data, uint32_t size)
{
	FwCfgEntry *e = fw_cfg_lookup(t, key);
	g_assert(e);
	uint8_t *old = e->data;
	e->data = g_memdup2(data, size);
	e->size = size;
	g_free(old);
}

void fw_cfg_set_int(FwCfgTable *t, uint16_t key, uint64_t value, unsigned bytes)
{
	uint8_t le[8];
	for (unsigned i = 0; i < 8; i++)
		le[i] = value >> (8 * i);
	fw_cfg_set(t, key, le, bytes);
}

static void set_be(uint8_t *p, uint32_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = v >> (8 * (n - 1 - i));
}

const char *fw_cfg_file_name(const FwCfgTable *t, uint16_t key)
{
	const FwCfgEntry *dir = &t->generic[FW_CFG_FILE_DIR];
	unsigned n = key - FW_CFG_FILE_FIRST;
	return key >= FW_CFG_FILE_FIRST && 4 + (n + 1) * DIR_ENTRY <= dir->size ?
		(const char *)dir->data + 4 + n * DIR_ENTRY + NAME_AT : NULL;
}

bool fw_cfg_add_file(FwCfgTable *t, const char *name, const void *data, uint32_t size, GError **error)
{
	FwCfgEntry *dir = fw_cfg_lookup(t, FW_CFG_FILE_DIR);
	unsigned count = (dir->size - 4) / DIR_ENTRY, n = 0;
	if (!*name || strlen(name) > NAME_MAX_LEN)
		return fail(error, VIV_ERROR_INVALID, "-fw_cfg: name '%s' is empty or longer than %d characters.",
			name, NAME_MAX_LEN);
	while (n < count && strcmp((char *)dir->data + 4 + n * DIR_ENTRY + NAME_AT, name))
		n++;
	if (n >= FW_CFG_FILE_SLOTS)
		return fail(error, VIV_ERROR_INVALID, "-fw_cfg: more than %d files.", FW_CFG_FILE_SLOTS);
	if (n == count) {
		dir->data = g_realloc(dir->data, dir->size + DIR_ENTRY);
		memset(dir->data + dir->size, 0, DIR_ENTRY);
		dir->size += DIR_ENTRY;
		set_be(dir->data, count + 1, 4);
	}
	uint8_t *e = dir->data + 4 + n * DIR_ENTRY;
	set_be(e, size, 4);
	set_be(e + 4, FW_CFG_FILE_FIRST + n, 2);
	g_strlcpy((char *)e + NAME_AT, name, DIR_ENTRY - NAME_AT);
	fw_cfg_set(t, FW_CFG_FILE_FIRST + n, data, size);
	return true;
}
