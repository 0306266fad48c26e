/*
 * virtio_blk.c - block device: a drive behind virtio queues.
 *
 * VIRTIO 1.2, 5.2; properties, limits and what the configuration shows as QEMU's device has them.
 * Left out: SCSI commands (legacy), secure erase, lifetime, zoned devices, merging of neighbouring
 * requests (request-merging is taken and does nothing).
 *
 * Vcpu threads and the main loop under the machine lock; or, with iothread=, that loop's thread
 * under the loop's lock. Whoever tears queues down holds the machine lock and then enters the loop.
 */
#include <errno.h>
#include <string.h>

#include "block/blk.h"
#include "core/error.h"
#include "core/trace.h"
#include "hw/block/policy.h"
#include "hw/classes.h"
#include "hw/virtio/virtio_loop.h"
#include "hw/virtio/virtio_pci.h"
#include "std/virtio_blk.h"

#define CLASS_SCSI 0x0100         /* mass storage, SCSI: what QEMU's says */
#define TRANSITIONAL_ID 0x1001
#define CONFIG_BYTES offsetof(VirtioBlkConfig, max_secure_erase_sectors)
#define QUEUES_AUTO 0xffffu
#define SECTORS_MAX (INT32_MAX / VIRTIO_BLK_SECTOR) /* of one request */
#define BLOCK_MAX (2u << 20)
#define FLAG_UNMAP 1u             /* VirtioBlkRange.flags */

typedef struct VirtioBlk {
	VirtioPci vp;             /* first */
	VirtioLoop on;
	char *label;              /* as the monitor shows who has the drive */
	bool original_cache;      /* what reset restores */
	/* properties */
	Blk *blk;
	char *serial;
	uint16_t num_queues, queue_size;
	uint64_t logical, physical;    /* block sizes in bytes */
	uint64_t min_io, opt_io, discard_granularity;
	uint32_t cyls, heads, secs;
	uint32_t max_discard, max_write_zeroes; /* sectors */
	DiskPolicy policy;
	bool config_wce, discard, write_zeroes, share_rw, seg_max_adjust, request_merging;
	bool report_granularity;
} VirtioBlk;

typedef struct Request {
	VirtQueue *q;
	VirtElement *e;
	struct iovec iov[];       /* the data, without header and status */
} Request;

/* ---- the end of a request ---- */

static void finish(VirtQueue *q, VirtElement *e, uint8_t status)
{
	virt_write(e, e->in_bytes - 1, &status, 1);
	virtq_push(q, e, e->in_bytes);
	virtq_notify(q);
}

static void done(void *opaque, int result)
{
	Request *r = opaque;
	uint8_t status = result >= 0 ? VIRTIO_BLK_S_OK :
		result == -ENOTSUP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
	trace_virtio_blk_req_complete(r->q->vdev, r, status);
	finish(r->q, r->e, status);
	g_free(r);
}

static Request *request_new(VirtQueue *q, VirtElement *e, unsigned pieces)
{
	Request *r = g_malloc(sizeof(*r) + pieces * sizeof(struct iovec));
	r->q = q;
	r->e = e;
	return r;
}

/* ---- requests by type ---- */

/* In whole logical blocks, and on the medium. */
static bool range_ok(const VirtioBlk *s, uint64_t sector, uint64_t bytes)
{
	uint64_t sectors = blk_length(s->blk) / VIRTIO_BLK_SECTOR;
	return bytes % s->logical == 0 && sector % (s->logical / VIRTIO_BLK_SECTOR) == 0 &&
		bytes / VIRTIO_BLK_SECTOR <= SECTORS_MAX && sector <= sectors &&
		bytes / VIRTIO_BLK_SECTOR <= sectors - sector;
}

static void transfer(VirtioBlk *s, VirtQueue *q, VirtElement *e, uint64_t sector, bool write)
{
	uint64_t bytes = write ? e->out_bytes - sizeof(VirtioBlkHeader) : e->in_bytes - 1;

	if (!range_ok(s, sector, bytes)) {
		finish(q, e, VIRTIO_BLK_S_IOERR);
		return;
	}
	Request *r = request_new(q, e, write ? e->out_count : e->in_count);
	uint64_t offset = sector * VIRTIO_BLK_SECTOR;
	if (write) {
		trace_virtio_blk_handle_write(q->vdev, r, sector, bytes / VIRTIO_BLK_SECTOR);
		unsigned n = virt_slice(e->out, e->out_count, sizeof(VirtioBlkHeader), bytes,
			r->iov);
		blk_write(s->blk, offset, r->iov, n, 0, done, r);
	} else {
		trace_virtio_blk_handle_read(q->vdev, r, sector, bytes / VIRTIO_BLK_SECTOR);
		unsigned n = virt_slice(e->in, e->in_count, 0, bytes, r->iov);
		blk_read(s->blk, offset, r->iov, n, done, r);
	}
}

/* The serial number, at most 20 bytes; a terminating zero only if there is room (5.2.6.1). */
static void get_id(VirtioBlk *s, VirtQueue *q, VirtElement *e)
{
	char id[VIRTIO_BLK_ID_BYTES] = { 0 };
	const char *serial = s->serial ? s->serial : "";

	memcpy(id, serial, MIN(strlen(serial), sizeof(id)));
	virt_write(e, 0, id, MIN(sizeof(id), e->in_bytes - 1));
	finish(q, e, VIRTIO_BLK_S_OK);
}

/* DISCARD and WRITE_ZEROES take one range, as the configuration says. */
static void clear(VirtioBlk *s, VirtQueue *q, VirtElement *e, bool zeroes)
{
	uint64_t len = e->out_bytes - sizeof(VirtioBlkHeader);
	VirtioBlkRange range;

	if (!(zeroes ? s->write_zeroes : s->discard) || len > sizeof(range)) {
		finish(q, e, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	if (virt_read(e, sizeof(VirtioBlkHeader), &range, sizeof(range)) < sizeof(range)) {
		finish(q, e, VIRTIO_BLK_S_IOERR);
		return;
	}
	if (range.flags & ~(zeroes ? FLAG_UNMAP : 0)) { /* 5.2.6.2 */
		finish(q, e, VIRTIO_BLK_S_UNSUPP);
		return;
	}
	uint64_t offset = range.sector * VIRTIO_BLK_SECTOR;
	uint64_t bytes = (uint64_t)range.num_sectors * VIRTIO_BLK_SECTOR;
	if (!range_ok(s, range.sector, bytes) ||
	    range.num_sectors > (zeroes ? s->max_write_zeroes : s->max_discard)) {
		finish(q, e, VIRTIO_BLK_S_IOERR);
		return;
	}
	Request *r = request_new(q, e, 0);
	if (zeroes)
		blk_write_zeroes(s->blk, offset, bytes, range.flags & FLAG_UNMAP ? REQ_UNMAP : 0,
			done, r);
	else
		blk_discard(s->blk, offset, bytes, done, r);
}

/* False: the driver does not know how a request looks. */
static bool begin(VirtioBlk *s, VirtQueue *q, VirtElement *e)
{
	VirtioBlkHeader h;

	if (virt_read(e, 0, &h, sizeof(h)) < sizeof(h) || !e->in_bytes) {
		virtq_drop(q, e);
		virtio_error(q->vdev, "queue %u: a request without header or status", q->index);
		return false;
	}
	if (!virtio_has(q->vdev, VIRTIO_F_VERSION_1))
		h.type &= ~VIRTIO_BLK_T_BARRIER; /* legacy; never offered */
	switch (h.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		transfer(s, q, e, h.sector, h.type == VIRTIO_BLK_T_OUT);
		break;
	case VIRTIO_BLK_T_FLUSH:
		blk_flush(s->blk, done, request_new(q, e, 0));
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(s, q, e);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		clear(s, q, e, h.type == VIRTIO_BLK_T_WRITE_ZEROES);
		break;
	default:
		finish(q, e, VIRTIO_BLK_S_UNSUPP);
	}
	return true;
}

/* ---- queues and threads ---- */

static bool serve(VirtioDevice *vdev, VirtQueue *q)
{
	for (unsigned left = q->num; left; left--) {
		VirtElement *e = virtq_pop(q);
		if (!e || !begin((VirtioBlk *)vdev->dev, q, e))
			return false;
	}
	return true;
}

/* Requests that an error holds back end as failed: whoever resets does not wait for them. */
static void quiesce(VirtioDevice *vdev, VirtQueue *only)
{
	VirtioBlk *s = (VirtioBlk *)vdev->dev;
	virtio_loop_unwatch(&s->on, only);
	blk_drain(s->blk);
}

/* ---- configuration ---- */

static unsigned log2_of(uint64_t n)
{
	return n ? 63u - (unsigned)__builtin_clzll(n) : 0;
}

/* What the user left out: 16 heads of 63 sectors, as far as 16 bits of cylinders go. */
static void guess_geometry(const VirtioBlk *s, VirtioBlkConfig *c)
{
	uint64_t sectors = blk_length(s->blk) / VIRTIO_BLK_SECTOR;
	uint32_t heads = s->cyls ? s->heads : 16, secs = s->cyls ? s->secs : 63;
	uint32_t cyls = s->cyls ? s->cyls : (uint32_t)CLAMP(sectors / (16 * 63), 2, 16383);

	c->cylinders = (uint16_t)cyls;
	c->heads = (uint8_t)heads;
	/* Whole logical blocks in a track, unless the length divides as it is. */
	if (heads && secs && blk_length(s->blk) / heads / secs % s->logical)
		secs &= ~(uint32_t)(s->logical / VIRTIO_BLK_SECTOR - 1);
	c->sectors = (uint8_t)secs;
}

static void config_read(VirtioDevice *vdev, void *config)
{
	VirtioBlk *s = (VirtioBlk *)vdev->dev;
	uint64_t granularity = s->discard_granularity;
	VirtioBlkConfig c = {
		.capacity = blk_length(s->blk) / VIRTIO_BLK_SECTOR,
		.seg_max = s->seg_max_adjust ? s->queue_size - 2u : 126,
		.blk_size = (uint32_t)s->logical,
		.physical_block_exp = (uint8_t)(log2_of(s->physical) - log2_of(s->logical)),
		.min_io_size = (uint16_t)(s->min_io / s->logical),
		.opt_io_size = (uint32_t)(s->opt_io / s->logical),
		.writeback = blk_write_cache(s->blk),
		.num_queues = s->num_queues,
	};

	guess_geometry(s, &c);
	if (granularity == UINT32_MAX || granularity < s->logical || !s->report_granularity)
		granularity = s->logical;
	if (s->discard) {
		c.max_discard_sectors = s->max_discard;
		c.max_discard_seg = 1;
		c.discard_sector_alignment = (uint32_t)(granularity / VIRTIO_BLK_SECTOR);
	}
	if (s->write_zeroes) {
		c.max_write_zeroes_sectors = s->max_write_zeroes;
		c.max_write_zeroes_seg = 1;
		c.write_zeroes_may_unmap = 1;
	}
	memcpy(config, &c, CONFIG_BYTES);
}

static void config_write(VirtioDevice *vdev, unsigned offset, const void *data, unsigned len)
{
	VirtioBlk *s = (VirtioBlk *)vdev->dev;
	unsigned at = offsetof(VirtioBlkConfig, writeback);

	if (virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE) && offset <= at && offset + len > at)
		blk_set_write_cache(s->blk, ((const uint8_t *)data)[at - offset] & 1);
}

/* A driver that cannot flush must not depend on a cache (5.2.5.2). */
static void start(VirtioDevice *vdev)
{
	VirtioBlk *s = (VirtioBlk *)vdev->dev;
	if (!virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE))
		blk_set_write_cache(s->blk, virtio_has(vdev, VIRTIO_BLK_F_FLUSH));
}

static void device_state_reset(VirtioDevice *vdev)
{
	VirtioBlk *s = (VirtioBlk *)vdev->dev;
	virtio_loop_reset(&s->on);
	blk_set_write_cache(s->blk, s->original_cache);
}

static const VirtioClass block = {
	.name = "virtio-blk", .id = VIRTIO_ID_BLOCK, .config_size = CONFIG_BYTES,
	.features = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_GEOMETRY | VIRTIO_BLK_F_BLK_SIZE |
		VIRTIO_BLK_F_TOPOLOGY,
	.config_read = config_read, .config_write = config_write, .start = start, .notify = virtio_loop_notify,
	.quiesce = quiesce, .reset = device_state_reset,
};

/* ---- the medium's side ---- */

static void resized(void *opaque)
{
	virtio_config_changed(&((VirtioBlk *)opaque)->vp.vdev);
}

/* The drive is the backend's, a device within the device. */
static bool attach(VirtioBlk *s, GError **error)
{
	const char *path = s->vp.pci.dev.path;
	s->label = path ? g_strconcat(path, "/virtio-backend", NULL) : g_strdup("virtio-blk");
	if (blk_attach(s->blk, &(BlkDevice){ .resized = resized, .name = s->label,
			.share_rw = s->share_rw }, s, error))
		return true;
	g_clear_pointer(&s->label, g_free);
	return false;
}

/* ---- life ---- */

static bool check_blocks(VirtioBlk *s, GError **error)
{
	const char *name = s->vp.pci.dev.cls->name;
	uint64_t a = s->logical, b = s->physical, max = UINT32_MAX;

	if (a < VIRTIO_BLK_SECTOR || a > BLOCK_MAX || (a & (a - 1)) || b > BLOCK_MAX ||
		(b & (b - 1)))
		return fail(error, VIV_ERROR_INVALID, "Device '%s': "
			"logical_block_size and physical_block_size are powers of two from "
			"512 to 2 MiB.", name);
	if (b < a)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': "
			"physical_block_size must not be less than logical_block_size.", name);
	if (s->min_io % a || s->opt_io % a || s->min_io / a > UINT16_MAX || s->opt_io > max)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': min_io_size and "
			"opt_io_size are multiples of logical_block_size, min_io_size "
			"of 65535 at most.", name);
	if (s->cyls && (s->cyls > 65535 || !s->heads || s->heads > 255 || !s->secs ||
	    s->secs > 255))
		return fail(error, VIV_ERROR_INVALID, "Device '%s': cyls goes up to "
			"65535 and needs heads and secs, 1 to 255 each.", name);
	return true;
}

static bool check(VirtioBlk *s, GError **error)
{
	Device *dev = &s->vp.pci.dev;
	const char *name = dev->cls->name;

	if (!s->blk)
		return fail(error, VIV_ERROR_INVALID,
			"Device '%s': drive property not set. Name one with drive=ID.", name);
	if (!blk_inserted(s->blk))
		return fail(error, VIV_ERROR_INVALID,
			"Device '%s': Device needs media, but drive is empty.", name);
	if (s->num_queues == QUEUES_AUTO)
		s->num_queues = (uint16_t)CLAMP(dev->board->cpu_count, 1, VIRTIO_QUEUES_MAX);
	if (!s->num_queues || s->num_queues > VIRTIO_QUEUES_MAX)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': num-queues "
			"is 1 to %u, not %u.", name, VIRTIO_QUEUES_MAX, s->num_queues);
	if (!virtio_check_queue_size(dev, "queue-size", s->queue_size, error))
		return false;
	if (s->seg_max_adjust && s->queue_size <= 2)
		return fail(error, VIV_ERROR_INVALID, "Device '%s': queue-size must "
			"be above 2 with seg-max-adjust=on.", name);
	return check_blocks(s, error) && virtio_loop_init(&s->on, &s->vp.vdev, dev, serve, error);
}

static void offer_features(VirtioBlk *s)
{
	uint64_t *f = &s->vp.vdev.features;

	if (s->original_cache || s->config_wce)
		*f |= VIRTIO_BLK_F_FLUSH;
	if (s->config_wce)
		*f |= VIRTIO_BLK_F_CONFIG_WCE;
	if (blk_read_only(s->blk))
		*f |= VIRTIO_BLK_F_RO;
	if (s->num_queues > 1)
		*f |= VIRTIO_BLK_F_MQ;
	if (s->discard)
		*f |= VIRTIO_BLK_F_DISCARD;
	if (s->write_zeroes)
		*f |= VIRTIO_BLK_F_WRITE_ZEROES;
}

/* The drive goes back as it was. */
static void release(VirtioBlk *s)
{
	if (s->on.loop != loop_main())
		blk_set_loop(s->blk, loop_main());
	blk_detach(s->blk, s);
	g_clear_pointer(&s->label, g_free);
}

static bool realize(Device *dev, GError **error)
{
	VirtioBlk *s = (VirtioBlk *)dev;

	if (!check(s, error) || !attach(s, error))
		return false;
	disk_apply_policy(&s->policy, s->blk);
	s->original_cache = blk_write_cache(s->blk);
	if (s->on.loop != loop_main())
		blk_set_loop(s->blk, s->on.loop);
	if (virtio_pci_init(&s->vp, &block, error)) {
		offer_features(s);
		for (unsigned i = 0; i < s->num_queues; i++)
			virtio_add_queue(&s->vp.vdev, s->queue_size);
		if (virtio_pci_realize(&s->vp, CLASS_SCSI, TRANSITIONAL_ID, error))
			return true;
	}
	release(s);
	return false;
}

static bool realize_modern(Device *dev, GError **error)
{
	virtio_pci_modern_only(dev);
	return realize(dev, error);
}

static void unrealize(Device *dev)
{
	VirtioBlk *s = (VirtioBlk *)dev;
	virtio_pci_exit(&s->vp);
	virtio_loop_exit(&s->on);
	release(s);
}

static char *boot_path(Device *dev)
{
	const PciDevice *pci = (const PciDevice *)dev;
	GString *path = g_string_new("");

	g_string_printf(path, "/pci@i0cf8/scsi@%x", pci->devfn >> 3);
	if (pci->devfn & 7)
		g_string_append_printf(path, ",%x", pci->devfn & 7);
	g_string_append(path, "/disk@0,0");
	return g_string_free(path, FALSE);
}

static void info(Device *dev, GString *out)
{
	VirtioBlk *s = (VirtioBlk *)dev;
	g_string_append_printf(out, "drive %s, %u requests in flight\n", blk_id(s->blk),
		blk_in_flight(s->blk));
	virtio_pci_info(dev, out);
}

static const Property props[] = {
	VIRTIO_PCI_PROPERTIES,
	{ "drive", PROP_DRIVE, offsetof(VirtioBlk, blk), NULL, "drive or block node" },
	{ "serial", PROP_STRING, offsetof(VirtioBlk, serial), NULL,
	  "serial number; guests see 20 bytes" },
	VIRTIO_LOOP_PROPERTY(VirtioBlk, on, "the drive"),
	{ "num-queues", PROP_U16, offsetof(VirtioBlk, num_queues), "65535",
	  "queues (default: one a vcpu)" },
	{ "queue-size", PROP_U16, offsetof(VirtioBlk, queue_size), "256", "entries of a queue" },
	{ "seg-max-adjust", PROP_BOOL, offsetof(VirtioBlk, seg_max_adjust), "on",
	  "pieces of a request follow queue-size" },
	{ "request-merging", PROP_BOOL, offsetof(VirtioBlk, request_merging), "on",
	  "taken for compatibility: requests are never merged" },
	{ "logical_block_size", PROP_SIZE, offsetof(VirtioBlk, logical), "512",
	  "bytes; requests are whole blocks", .min = 512, .max = BLOCK_MAX },
	{ "physical_block_size", PROP_SIZE, offsetof(VirtioBlk, physical), "512",
	  "bytes that the medium writes at once", .min = 512, .max = BLOCK_MAX },
	{ "min_io_size", PROP_SIZE, offsetof(VirtioBlk, min_io), "0", "least sensible request" },
	{ "opt_io_size", PROP_SIZE, offsetof(VirtioBlk, opt_io), "0", "best request" },
	{ "discard_granularity", PROP_SIZE, offsetof(VirtioBlk, discard_granularity),
	  "4294967295", "alignment of discards (default: logical_block_size)" },
	{ "report-discard-granularity", PROP_BOOL, offsetof(VirtioBlk, report_granularity), "on",
	  "show discard_granularity to the guest" },
	{ "cyls", PROP_U32, offsetof(VirtioBlk, cyls), "0", "geometry (default: by the length)" },
	{ "heads", PROP_U32, offsetof(VirtioBlk, heads), "0", "geometry" },
	{ "secs", PROP_U32, offsetof(VirtioBlk, secs), "0", "geometry" },
	DISK_POLICY_PROPERTIES(VirtioBlk, policy),
	{ "config-wce", PROP_BOOL, offsetof(VirtioBlk, config_wce), "on",
	  "the guest may change write-cache" },
	{ "discard", PROP_BOOL, offsetof(VirtioBlk, discard), "on", "offer discard" },
	{ "write-zeroes", PROP_BOOL, offsetof(VirtioBlk, write_zeroes), "on",
	  "offer writing of zeroes" },
	{ "max-discard-sectors", PROP_U32, offsetof(VirtioBlk, max_discard), "4194303",
	  "of one request", .min = 1, .max = SECTORS_MAX },
	{ "max-write-zeroes-sectors", PROP_U32, offsetof(VirtioBlk, max_write_zeroes), "4194303",
	  "of one request", .min = 1, .max = SECTORS_MAX },
	{ "share-rw", PROP_BOOL, offsetof(VirtioBlk, share_rw), "off",
	  "others may write to the image too: it is not locked against them" },
	{ 0 }
};

static const StateField state[] = {
	VIRTIO_PCI_STATE,
	VIRTIO_LOOP_STATE(VirtioBlk, on),
	{ 0 }
};

#define CLASS(kind, props_, realize_) \
	.name = "virtio-blk-pci" kind, .props = props_, .realize = realize_, \
	.desc = "disk", .bus = "pci", .category = DEVICE_STORAGE, .size = sizeof(VirtioBlk), .user_creatable = true, \
	.version = 1, .state = state, .quiesce = virtio_pci_quiesce, .reset = virtio_pci_reset, \
	.unrealize = unrealize, .boot_path = boot_path, .info = info

const DeviceClass virtio_blk_pci_class = { CLASS("", props, realize), .alias = "virtio-blk" };
const DeviceClass virtio_blk_pci_transitional_class = {
	CLASS("-transitional", VIRTIO_PCI_FIXED(props), realize)
};
const DeviceClass virtio_blk_pci_non_transitional_class = {
	CLASS("-non-transitional", VIRTIO_PCI_FIXED(props), realize_modern)
};
