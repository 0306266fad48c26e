/*
 * policy.c - drive=, write-cache=, rerror= and werror= of disk devices.
 */
#include "hw/block/policy.h"

#include "core/error.h"

enum { CACHE_AUTO, CACHE_ON };

const char *const disk_cache_words[] = { "auto", "on", "off", NULL };
/* in the order of BlkErrorPolicy */
const char *const disk_error_words[] = { "auto", "report", "ignore", "stop", "enospc", NULL };

static BlkErrorPolicy chosen(int word, const Blk *blk, bool write)
{
	return word == ERROR_AUTO ? blk_error_policy(blk, write) : (BlkErrorPolicy)word;
}

void disk_apply_policy(const DiskPolicy *p, Blk *blk)
{
	if (p->write_cache != CACHE_AUTO)
		blk_set_write_cache(blk, p->write_cache == CACHE_ON);
	blk_set_error_policy(blk, chosen(p->rerror, blk, false), chosen(p->werror, blk, true));
}

bool disk_choose_blk(Blk **blk, bool *own, const char *own_id, bool needs_media, GError **error)
{
	if (!*blk && !own_id)
		return fail(error, VIV_ERROR_INVALID, "drive property not set");
	if (!*blk) {
		*blk = blk_new(own_id);
		*own = true;
	}
	if (needs_media && !blk_inserted(*blk))
		return fail(error, VIV_ERROR_INVALID, "Device needs media, but drive is empty");
	return true;
}

void disk_release_blk(Blk **blk, bool *own)
{
	if (*own)
		blk_free(*blk);
	*blk = NULL;
	*own = false;
}
