/*
 * policy.h - what every disk device does with drive=, and write-cache=, rerror= and werror=; "auto" leaves what the
 * drive says. Machine lock.
 */
#ifndef VIV_HW_BLOCK_POLICY_H
#define VIV_HW_BLOCK_POLICY_H

#include "block/blk.h"
#include "core/device.h"

typedef struct DiskPolicy {
	int write_cache;     /* index into disk_cache_words */
	int rerror, werror;  /* BlkErrorPolicy */
} DiskPolicy;

extern const char *const disk_cache_words[], *const disk_error_words[];

#define DISK_POLICY_PROPERTIES(type, field) \
	{ "write-cache", PROP_ENUM, offsetof(type, field.write_cache), "auto", \
	  "writes are done when cached (auto: as the drive's cache= says)", disk_cache_words }, \
	{ "rerror", PROP_ENUM, offsetof(type, field.rerror), "auto", \
	  "what a failed read does (auto: as the drive says)", disk_error_words }, \
	{ "werror", PROP_ENUM, offsetof(type, field.werror), "auto", \
	  "what a failed write does (auto: as the drive says)", disk_error_words }

/*
 * In realize, before the drive is attached. Without drive= an empty one called own_id takes its place, which the
 * device owns (*own); own_id NULL: there must be one. needs_media: it may not be empty.
 */
bool disk_choose_blk(Blk **blk, bool *own, const char *own_id, bool needs_media, GError **error);
/* In unrealize, with the drive detached, or after a failure: *blk is NULL then. */
void disk_release_blk(Blk **blk, bool *own);
/* In realize, with the drive attached. */
void disk_apply_policy(const DiskPolicy *p, Blk *blk);

#endif
