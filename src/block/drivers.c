/*
 * drivers.c - the list of block drivers. Any thread.
 */
#include "block/drivers.h"

#include <string.h>

const Driver *const block_drivers[] = {
	&file_driver, &host_device_driver, &host_cdrom_driver, &null_co_driver,
	&raw_driver, &qcow2_driver,
	&bochs_driver, &cloop_driver, &copy_on_read_driver, &dmg_driver, &luks_driver, &parallels_driver, &qcow_driver,
	&qed_driver, &vdi_driver, &vhdx_driver, &vmdk_driver,
	&vpc_driver,
	NULL
};

const Driver *driver_find(const char *name)
{
	for (const Driver *const *d = block_drivers; *d; d++)
		if (!strcmp((*d)->name, name))
			return *d;
	return NULL;
}

const Driver *driver_probe(const uint8_t *head, size_t len, const char *filename)
{
	const Driver *best = &raw_driver;
	int score = 0;
	for (const Driver *const *d = block_drivers; *d; d++) {
		int s = (*d)->probe ? (*d)->probe(head, len, filename) : 0;
		if (s > score) {
			best = *d;
			score = s;
		}
	}
	return best;
}
