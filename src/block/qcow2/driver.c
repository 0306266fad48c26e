/*
 * driver.c - the qcow2 driver as the block layer sees it.
 */
#include "block/drivers.h"
#include "block/qcow2/qcow2.h"

#define AT(field) offsetof(Qcow2, opt.field)
#define SWITCH(name, field, help)                                   \
	{                                                           \
		name, OPT_ENUM, AT(field), NULL, help, qcow2_switch \
	}
#define OVERLAP(name, bit)                                 \
	SWITCH("overlap-check." name, overlap_single[bit], \
		"Check for unintended writes into this kind of metadata")

static const BlockOption options[] = {
	SWITCH("lazy-refcounts", lazy_refcounts, "Postpone refcount updates"),
	SWITCH("pass-discard-request", discard_request, "Pass guest discard requests to the layer below"),
	SWITCH("pass-discard-snapshot", discard_snapshot, "Generate discard requests when snapshot related space is freed"),
	SWITCH("pass-discard-other", discard_other, "Generate discard requests when other clusters are freed"),
	{ "overlap-check", OPT_STRING, AT(overlap), NULL,
		"Selects which overlap checks to perform from a range of templates (none, constant, cached, all)" },
	{ "overlap-check.template", OPT_STRING, AT(overlap_template), NULL,
		"Selects which overlap checks to perform from a range of templates (none, constant, cached, all)" },
	OVERLAP("main-header", 0), OVERLAP("active-l1", 1), OVERLAP("active-l2", 2), OVERLAP("refcount-table", 3),
	OVERLAP("refcount-block", 4), OVERLAP("snapshot-table", 5), OVERLAP("inactive-l1", 6),
	OVERLAP("inactive-l2", 7), OVERLAP("bitmap-directory", 8),
	{ "cache-size", OPT_SIZE, AT(cache), NULL,
		"Maximum combined metadata (L2 tables and refcount blocks) cache size" },
	{ "l2-cache-size", OPT_SIZE, AT(l2_cache), NULL, "Maximum L2 table cache size" },
	{ "l2-cache-entry-size", OPT_SIZE, AT(l2_entry), NULL, "Size of each entry in the L2 cache" },
	{ "refcount-cache-size", OPT_SIZE, AT(refcount_cache), NULL, "Maximum refcount block cache size" },
	{ "cache-clean-interval", OPT_INT, AT(clean_interval), "600",
		"Clean unused cache entries after this time (in seconds)" },
	{ "data-file", OPT_CHILD, AT(data_file), NULL, "the external data file" },
	{ "encrypt.format", OPT_STRING, AT(encrypt_format), NULL,
		"Encrypt the image, format choices: 'aes', 'luks'" },
	{ "encrypt.key-secret", OPT_STRING, AT(encrypt_secret), NULL,
		"ID of the secret that provides the AES encryption key" },
	{ 0 }
};

static int probe(const uint8_t *head, size_t len, const char *filename)
{
	if (len < QCOW2_V2_HEADER)
		return 0;
	uint64_t word = be64_at(head);
	return word >> 32 == QCOW2_MAGIC && (uint32_t)word >= 2 ? 100 : 0;
}

const Driver qcow2_driver = {
	.name = "qcow2", .desc = "QEMU's copy-on-write format, versions 2 and 3", .size = sizeof(Qcow2),
	.options = options, .create_options = qcow2_create_options, .amend_options = qcow2_amend_options,
	.backing = true, .probe = probe, .open = qcow2_open, .close = qcow2_close, .create = qcow2_create,
	.read = qcow2_read, .write = qcow2_write, .write_compressed = qcow2_write_compressed,
	.write_zeroes = qcow2_write_zeroes, .discard = qcow2_discard, .flush = qcow2_flush,
	.status = qcow2_status, .truncate = qcow2_truncate,
	.info = qcow2_info, .specific = qcow2_specific, .check = qcow2_check, .measure = qcow2_measure,
	.amend = qcow2_amend, .set_backing = qcow2_set_backing, .make_empty = qcow2_make_empty,
	.set_writable = qcow2_set_writable,
	.snapshot_create = qcow2_snapshot_create, .snapshot_apply = qcow2_snapshot_apply,
	.snapshot_delete = qcow2_snapshot_delete, .snapshot_list = qcow2_snapshot_list,
	.snapshot_load = qcow2_snapshot_load,
	.vmstate_read = qcow2_vmstate_read, .vmstate_write = qcow2_vmstate_write,
	.bitmap_list = qcow2_bitmap_list, .bitmap_add = qcow2_bitmap_add, .bitmap_remove = qcow2_bitmap_remove,
	.bitmap_clear = qcow2_bitmap_clear, .bitmap_enable = qcow2_bitmap_enable, .bitmap_merge = qcow2_bitmap_merge,
};
