/*
 * virtio_pci.c - virtio over PCI: registers, capabilities, interrupts, doorbells.
 *
 * VIRTIO 1.2, 4.1; BARs, ids and capabilities in the places where QEMU has them. Left out:
 * shared memory, notification data, doorbells in I/O space for modern drivers. Machine lock held.
 */
#include "hw/virtio/virtio_pci.h"

#include <string.h>

#include "core/error.h"
#include "std/virtio_pci.h"

#define LEGACY_BAR 0
#define MSIX_BAR 1
#define MODERN_BAR 4
#define BLOCK 0x1000u          /* each structure of the modern BAR has a page */
#define COMMON_AT 0x0000u
#define ISR_AT 0x1000u
#define DEVICE_AT 0x2000u
#define NOTIFY_AT 0x3000u
#define DOORBELL 4u            /* bytes from one to the next; with page-per-vq: */
#define DOORBELL_PAGE 0x1000u
#define DOORBELL_PAGES 1024u   /* room for as many queues as QEMU's devices may have */

const char *const virtio_pci_on_off_auto[] = { "off", "on", "auto", NULL };
enum { LEGACY_OFF_NO, LEGACY_OFF_YES, LEGACY_OFF_AUTO };

/* An ioeventfd as the accelerator has it. */
typedef struct Doorbell {
	int fd, match;
	uint64_t addr;
	bool port;
} Doorbell;

static VirtioPci *pci_of(VirtioDevice *v)
{
	return (VirtioPci *)v->dev;
}

/* ---- the modern BAR ---- */

static uint32_t doorbell_step(const VirtioPci *p)
{
	return p->page_per_vq ? DOORBELL_PAGE : DOORBELL;
}

static uint32_t doorbells_size(const VirtioPci *p)
{
	return p->page_per_vq ? DOORBELL_PAGE * DOORBELL_PAGES : BLOCK;
}

static uint64_t power_of_two_from(uint64_t least)
{
	uint64_t size = 32;
	while (size < least)
		size *= 2;
	return size;
}

static uint64_t modern_size(const VirtioPci *p)
{
	return power_of_two_from(NOTIFY_AT + doorbells_size(p));
}

/* ---- interrupts (4.1.5) ---- */

static void interrupt(VirtioDevice *v, VirtQueue *q)
{
	VirtioPci *p = pci_of(v);

	if (msix_enabled(&p->msix)) {
		/* "no vector" is none of them */
		msix_notify(&p->msix, q ? q->vector : v->config_vector);
		return;
	}
	p->isr |= q ? VIRTIO_ISR_QUEUE : VIRTIO_ISR_CONFIG;
	pci_set_irq(&p->pci, 1);
}

static uint8_t read_isr(VirtioPci *p)
{
	uint8_t isr = p->isr;
	p->isr = 0;
	pci_set_irq(&p->pci, 0);
	return isr;
}

/* A vector that there is, or none (4.1.5.1.2). */
static uint16_t vector_or_none(const VirtioPci *p, uint32_t value)
{
	return value < p->msix.vectors ? (uint16_t)value : VIRTIO_PCI_NO_VECTOR;
}

/* ---- doorbells ---- */

static void remove_doorbells(VirtioPci *p)
{
	Board *b = p->pci.dev.board;
	for (guint i = 0; p->doorbells && i < p->doorbells->len; i++) {
		const Doorbell *d = &g_array_index(p->doorbells, Doorbell, i);
		b->ioeventfd(b, d->fd, d->addr, 2, d->port, d->match, false);
	}
	if (p->doorbells)
		g_array_set_size(p->doorbells, 0);
}

static void add_doorbell(VirtioPci *p, Doorbell d)
{
	Board *b = p->pci.dev.board;
	/* Where it fails, writes come to the region and signal the eventfd from there. */
	if (b->ioeventfd(b, d.fd, d.addr, 2, d.port, d.match, true))
		g_array_append_val(p->doorbells, d);
}

/* Tells the accelerator where the doorbells are now: BARs move, queues come and go. */
static void update_doorbells(VirtioPci *p)
{
	if (!p->ioeventfd || !p->pci.dev.board->ioeventfd || !p->doorbells)
		return;
	remove_doorbells(p);
	for (unsigned i = 0; i < p->vdev.queue_count; i++) {
		const VirtQueue *q = &p->vdev.queue[i];
		if (q->kick_fd < 0)
			continue;
		if (p->modern.as)
			add_doorbell(p, (Doorbell){ q->kick_fd, -1,
				p->modern.base + NOTIFY_AT + doorbell_step(p) * i, false });
		if (p->legacy.as)
			add_doorbell(p, (Doorbell){ q->kick_fd, (int)i,
				p->legacy.base + VIRTIO_LEGACY_QUEUE_NOTIFY, true });
	}
}

/* `assign` false: the descriptor is about to be closed, but still there. */
static void kick_fd_changed(VirtioDevice *v, VirtQueue *q, bool assign)
{
	int fd = q->kick_fd;

	if (!assign)
		q->kick_fd = -1;
	update_doorbells(pci_of(v));
	q->kick_fd = fd;
}

static const VirtioTransport transport = { interrupt, kick_fd_changed };

/* ---- modern registers: common configuration (4.1.4.3) ---- */

static VirtQueue *selected(VirtioPci *p)
{
	return p->queue_select < p->vdev.queue_count ? &p->vdev.queue[p->queue_select] : NULL;
}

static uint32_t half(uint64_t value, bool high)
{
	return (uint32_t)(high ? value >> 32 : value);
}

static uint32_t queue_load(VirtioPci *p, unsigned reg)
{
	const VirtQueue *q = selected(p);

	if (!q)
		return 0; /* size 0: there is no such queue */
	switch (reg) {
	case offsetof(VirtioPciCommon, queue_size): return q->num;
	case offsetof(VirtioPciCommon, queue_msix_vector): return q->vector;
	case offsetof(VirtioPciCommon, queue_enable): return q->enabled;
	case offsetof(VirtioPciCommon, queue_notify_off): return q->index;
	case offsetof(VirtioPciCommon, queue_desc_lo): return half(q->desc, false);
	case offsetof(VirtioPciCommon, queue_desc_hi): return half(q->desc, true);
	case offsetof(VirtioPciCommon, queue_driver_lo): return half(q->driver, false);
	case offsetof(VirtioPciCommon, queue_driver_hi): return half(q->driver, true);
	case offsetof(VirtioPciCommon, queue_device_lo): return half(q->device, false);
	case offsetof(VirtioPciCommon, queue_device_hi): return half(q->device, true);
	/* queue_notify_data is not offered; queue_reset is over when it is read */
	default: return 0;
	}
}

/* A register by the offset it begins at. */
static uint32_t common_register(VirtioPci *p, unsigned reg)
{
	VirtioDevice *v = &p->vdev;

	switch (reg) {
	case offsetof(VirtioPciCommon, device_feature_select): return p->device_feature_select;
	case offsetof(VirtioPciCommon, device_feature):
		return virtio_feature_word(v, p->device_feature_select);
	case offsetof(VirtioPciCommon, driver_feature_select): return p->driver_feature_select;
	case offsetof(VirtioPciCommon, driver_feature):
		return p->driver_feature_select > 1 ? 0 :
			half(v->driver_features, p->driver_feature_select);
	case offsetof(VirtioPciCommon, config_msix_vector): return v->config_vector;
	case offsetof(VirtioPciCommon, num_queues): return v->queue_count;
	case offsetof(VirtioPciCommon, device_status): return virtio_status(v);
	case offsetof(VirtioPciCommon, config_generation): return v->generation;
	case offsetof(VirtioPciCommon, queue_select): return p->queue_select;
	default: return queue_load(p, reg);
	}
}

/* Bytes of the register at an offset, which is where one begins; 0: none does. */
static unsigned register_width(unsigned offset)
{
	if (offset < 0x10 || (offset >= 0x20 && offset < 0x38))
		return offset & 3 ? 0 : 4;
	if (offset == offsetof(VirtioPciCommon, device_status) ||
	    offset == offsetof(VirtioPciCommon, config_generation))
		return 1;
	return offset & 1 || offset >= sizeof(VirtioPciCommon) ? 0 : 2;
}

/* Drivers use each field's own width (4.1.3.1); others get what bytes there are. */
static uint32_t common_load(VirtioPci *p, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++) {
		unsigned at = offset + i, start = at;
		if (at >= sizeof(VirtioPciCommon))
			break;
		while (!register_width(start))
			start--;
		value |= (common_register(p, start) >> (8 * (at - start)) & 0xff) << (8 * i);
	}
	return value;
}

static void set_half(uint64_t *value, bool high, uint32_t to)
{
	unsigned shift = high ? 32 : 0;
	*value = (*value & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)to << shift;
}

static void queue_store(VirtioPci *p, unsigned reg, uint32_t value)
{
	VirtQueue *q = selected(p);

	if (!q)
		return;
	if (reg == offsetof(VirtioPciCommon, queue_msix_vector)) {
		q->vector = vector_or_none(p, value);
		return;
	}
	if (reg == offsetof(VirtioPciCommon, queue_reset)) {
		if (value == 1 && virtio_has(&p->vdev, VIRTIO_F_RING_RESET)) {
			msix_forget(&p->msix, q->vector);
			virtq_reset(q);
		}
		return;
	}
	if (q->enabled)
		return; /* 4.1.4.3.2: the rest is for queues at rest */
	switch (reg) {
	case offsetof(VirtioPciCommon, queue_size): q->num = (uint16_t)value; break;
	case offsetof(VirtioPciCommon, queue_enable):
		if (value == 1)
			virtq_enable(q);
		break;
	case offsetof(VirtioPciCommon, queue_desc_lo): set_half(&q->desc, false, value); break;
	case offsetof(VirtioPciCommon, queue_desc_hi): set_half(&q->desc, true, value); break;
	case offsetof(VirtioPciCommon, queue_driver_lo): set_half(&q->driver, false, value); break;
	case offsetof(VirtioPciCommon, queue_driver_hi): set_half(&q->driver, true, value); break;
	case offsetof(VirtioPciCommon, queue_device_lo): set_half(&q->device, false, value); break;
	case offsetof(VirtioPciCommon, queue_device_hi): set_half(&q->device, true, value); break;
	}
}

/* What a driver's reset leaves of the transport: MSI-X stays as it is. */
static void driver_reset(VirtioPci *p)
{
	virtio_reset(&p->vdev);
	p->queue_select = 0;
	p->device_feature_select = p->driver_feature_select = 0;
	read_isr(p);
}

static void set_status(VirtioPci *p, uint8_t status)
{
	if (status)
		virtio_set_status(&p->vdev, status);
	else
		driver_reset(p);
}

static void common_store(VirtioPci *p, unsigned offset, uint32_t value, unsigned size)
{
	VirtioDevice *v = &p->vdev;

	if (size != register_width(offset))
		return; /* 4.1.3.1: drivers use the field's width */
	switch (offset) {
	case offsetof(VirtioPciCommon, device_feature_select):
		p->device_feature_select = value;
		break;
	case offsetof(VirtioPciCommon, driver_feature_select):
		p->driver_feature_select = value;
		break;
	case offsetof(VirtioPciCommon, driver_feature):
		virtio_set_driver_word(v, p->driver_feature_select, value);
		break;
	case offsetof(VirtioPciCommon, config_msix_vector):
		v->config_vector = vector_or_none(p, value);
		break;
	case offsetof(VirtioPciCommon, device_status): set_status(p, (uint8_t)value); break;
	case offsetof(VirtioPciCommon, queue_select): p->queue_select = (uint16_t)value; break;
	default: queue_store(p, offset, value); break;
	}
}

static uint64_t modern_read(void *opaque, uint64_t offset, unsigned size)
{
	VirtioPci *p = opaque;

	switch (offset & ~(uint64_t)(BLOCK - 1)) {
	case COMMON_AT: return common_load(p, (unsigned)offset, size);
	case ISR_AT: return offset == ISR_AT ? read_isr(p) : 0;
	case DEVICE_AT: return virtio_config_load(&p->vdev, offset - DEVICE_AT, size);
	default: return 0; /* doorbells are written */
	}
}

static void modern_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	VirtioPci *p = opaque;

	if (offset >= NOTIFY_AT) {
		if (offset - NOTIFY_AT < doorbells_size(p))
			virtio_kick(&p->vdev, (unsigned)(offset - NOTIFY_AT) / doorbell_step(p));
		return;
	}
	switch (offset & ~(uint64_t)(BLOCK - 1)) {
	case COMMON_AT: common_store(p, (unsigned)offset, (uint32_t)value, size); break;
	case DEVICE_AT:
		virtio_config_store(&p->vdev, offset - DEVICE_AT, (uint32_t)value, size);
		break;
	}
}

static const RegionOps modern_ops = { modern_read, modern_write, 1, 4 };

/* ---- legacy registers (4.1.4.10) ---- */

static uint32_t legacy_register(VirtioPci *p, unsigned reg)
{
	VirtioDevice *v = &p->vdev;
	const VirtQueue *q = selected(p);

	switch (reg) {
	case VIRTIO_LEGACY_DEVICE_FEATURES: return virtio_legacy_offer(v);
	case VIRTIO_LEGACY_DRIVER_FEATURES: return (uint32_t)v->driver_features;
	case VIRTIO_LEGACY_QUEUE_PFN: return q && q->enabled ? (uint32_t)(q->desc / 4096) : 0;
	case VIRTIO_LEGACY_QUEUE_SIZE: return q ? q->max : 0;
	case VIRTIO_LEGACY_QUEUE_SELECT: return p->queue_select;
	case VIRTIO_LEGACY_STATUS: return virtio_status(v);
	case VIRTIO_LEGACY_ISR: return read_isr(p);
	case VIRTIO_LEGACY_CONFIG_VECTOR: return v->config_vector;
	case VIRTIO_LEGACY_QUEUE_VECTOR: return q ? q->vector : VIRTIO_PCI_NO_VECTOR;
	default: return 0;
	}
}

static unsigned legacy_width(unsigned reg)
{
	if (reg < VIRTIO_LEGACY_QUEUE_SIZE)
		return 4;
	return reg == VIRTIO_LEGACY_STATUS || reg == VIRTIO_LEGACY_ISR ? 1 : 2;
}

static uint64_t legacy_read(void *opaque, uint64_t offset, unsigned size)
{
	VirtioPci *p = opaque;
	unsigned config = VIRTIO_LEGACY_CONFIG(msix_enabled(&p->msix)), at = (unsigned)offset;
	uint32_t value = 0;

	if (at >= config)
		return virtio_config_load(&p->vdev, at - config, size);
	/* Registers in a row, if the access is wider than the first of them. */
	for (unsigned done = 0, width; done < size && at + done < config; done += width) {
		unsigned reg = at + done;
		width = legacy_width(reg);
		reg &= ~(width - 1);
		uint32_t part = legacy_register(p, reg) >> (8 * (at + done - reg));
		width -= at + done - reg;
		value |= (width < 4 ? part & ((1u << 8 * width) - 1) : part) << (8 * done);
	}
	return value;
}

static void legacy_queue_store(VirtioPci *p, unsigned reg, uint32_t value)
{
	VirtQueue *q = selected(p);

	if (q && reg == VIRTIO_LEGACY_QUEUE_PFN)
		virtq_set_legacy_page(q, value);
	else if (q && reg == VIRTIO_LEGACY_QUEUE_VECTOR)
		q->vector = vector_or_none(p, value);
}

static void legacy_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	VirtioPci *p = opaque;
	VirtioDevice *v = &p->vdev;
	unsigned config = VIRTIO_LEGACY_CONFIG(msix_enabled(&p->msix));

	if (offset >= config) {
		virtio_config_store(v, offset - config, (uint32_t)value, size);
		return;
	}
	switch (offset) {
	case VIRTIO_LEGACY_DRIVER_FEATURES:
		/* Once the driver is ready they are settled. */
		if (size == 4 && !(v->status & VIRTIO_STATUS_DRIVER_OK))
			virtio_set_legacy_features(v, (uint32_t)value);
		break;
	case VIRTIO_LEGACY_QUEUE_SELECT: p->queue_select = (uint16_t)value; break;
	case VIRTIO_LEGACY_QUEUE_NOTIFY: virtio_kick(v, (uint16_t)value); break;
	case VIRTIO_LEGACY_STATUS: set_status(p, (uint8_t)value); break;
	case VIRTIO_LEGACY_CONFIG_VECTOR:
		v->config_vector = vector_or_none(p, (uint16_t)value);
		break;
	case VIRTIO_LEGACY_QUEUE_PFN:
	case VIRTIO_LEGACY_QUEUE_VECTOR:
		if (size == legacy_width((unsigned)offset))
			legacy_queue_store(p, (unsigned)offset, (uint32_t)value);
		break;
	}
}

static const RegionOps legacy_ops = { legacy_read, legacy_write, 1, 4 };

/* ---- configuration space ---- */

/* The window of 4.1.4.9: where it points; false: nowhere. */
static bool window(const VirtioPci *p, uint64_t *offset, unsigned *len)
{
	const uint8_t *c = p->pci.config + p->cfg_cap;
	*offset = pci_get32(c + offsetof(VirtioPciCap, offset));
	*len = pci_get32(c + offsetof(VirtioPciCap, length));
	return c[offsetof(VirtioPciCap, bar)] == MODERN_BAR &&
	       (*len == 1 || *len == 2 || *len == 4) &&
	       !(*offset & (*len - 1)) && *offset < modern_size(p);
}

static bool touches_window(const VirtioPci *p, unsigned offset, unsigned len)
{
	unsigned data = p->cfg_cap + (unsigned)offsetof(VirtioPciCfgCap, pci_cfg_data);
	return p->cfg_cap && offset < data + 4 && offset + len > data;
}

static void config_read(PciDevice *pci, unsigned offset, unsigned len)
{
	VirtioPci *p = (VirtioPci *)pci;
	uint64_t at;
	unsigned size;

	if (touches_window(p, offset, len) && window(p, &at, &size))
		pci_put32(pci->config + p->cfg_cap + offsetof(VirtioPciCfgCap, pci_cfg_data),
			(uint32_t)modern_read(p, at, size));
}

static void config_written(PciDevice *pci, unsigned offset, unsigned len)
{
	VirtioPci *p = (VirtioPci *)pci;
	uint64_t at;
	unsigned size;

	msix_config_written(&p->msix, offset, len);
	if (offset < PCI_BAR0 + 24) {
		if (p->vdev.dma && !pci_master(pci))
			virtio_quiesce(&p->vdev, NULL);
		p->vdev.dma = pci_master(pci);
		update_doorbells(p);
	}
	if (touches_window(p, offset, len) && window(p, &at, &size)) {
		const uint8_t *data = pci->config + p->cfg_cap +
			offsetof(VirtioPciCfgCap, pci_cfg_data);
		uint32_t value = pci_get32(data);
		modern_write(p, at, size < 4 ? value & ((1u << 8 * size) - 1) : value, size);
	}
}

/* ---- life ---- */

static void add_structure(VirtioPci *p, uint8_t type, uint8_t size, uint32_t offset,
	uint32_t length)
{
	uint8_t at = pci_add_capability(&p->pci, VIRTIO_PCI_CAP_VENDOR, size);
	uint8_t *c = p->pci.config + at;

	c[offsetof(VirtioPciCap, cap_len)] = size;
	c[offsetof(VirtioPciCap, cfg_type)] = type;
	c[offsetof(VirtioPciCap, bar)] = type == VIRTIO_PCI_CAP_PCI ? 0 : MODERN_BAR;
	pci_put32(c + offsetof(VirtioPciCap, offset), offset);
	pci_put32(c + offsetof(VirtioPciCap, length), length);
	if (type == VIRTIO_PCI_CAP_NOTIFY)
		pci_put32(c + offsetof(VirtioPciNotifyCap, notify_off_multiplier),
			doorbell_step(p));
	if (type != VIRTIO_PCI_CAP_PCI)
		return;
	p->cfg_cap = at;
	uint8_t *w = p->pci.writable + at;
	w[offsetof(VirtioPciCap, bar)] = 0xff;
	memset(w + offsetof(VirtioPciCap, offset), 0xff, 12); /* offset, length, data */
}

static void add_modern(VirtioPci *p)
{
	add_structure(p, VIRTIO_PCI_CAP_COMMON, sizeof(VirtioPciCap), COMMON_AT, BLOCK);
	add_structure(p, VIRTIO_PCI_CAP_ISR, sizeof(VirtioPciCap), ISR_AT, BLOCK);
	add_structure(p, VIRTIO_PCI_CAP_DEVICE, sizeof(VirtioPciCap), DEVICE_AT, BLOCK);
	add_structure(p, VIRTIO_PCI_CAP_NOTIFY, sizeof(VirtioPciNotifyCap), NOTIFY_AT,
		doorbells_size(p));
	add_structure(p, VIRTIO_PCI_CAP_PCI, sizeof(VirtioPciCfgCap), 0, 0);
	region_init_io(&p->modern, "virtio-pci-modern", &modern_ops, p, modern_size(p));
	pci_bar(&p->pci, MODERN_BAR, PCI_BAR_MEM64_PREFETCH, &p->modern);
}

static void add_legacy(VirtioPci *p)
{
	uint64_t need = VIRTIO_LEGACY_CONFIG(p->vectors > 0) + p->vdev.cls->config_size;
	region_init_io(&p->legacy, "virtio-pci", &legacy_ops, p, power_of_two_from(need));
	pci_bar(&p->pci, LEGACY_BAR, PCI_BAR_IO, &p->legacy);
}

static bool check_properties(VirtioPci *p, GError **error)
{
	const char *name = p->pci.dev.cls->name;

	p->has_legacy = p->disable_legacy != LEGACY_OFF_YES;
	p->has_modern = !p->disable_modern;
	if (!p->has_legacy && !p->has_modern)
		return fail(error, VIV_ERROR_INVALID,
			"Device '%s': device cannot work as neither modern nor legacy mode is "
			"enabled. Set either disable-modern or disable-legacy to off.", name);
	if (p->iommu_platform)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"Device '%s': this machine has no IOMMU; leave "
			"iommu_platform=off.", name);
	return true;
}

void virtio_pci_modern_only(Device *dev)
{
	((VirtioPci *)dev)->disable_legacy = LEGACY_OFF_YES;
}

bool virtio_pci_init(VirtioPci *p, const VirtioClass *cls, GError **error)
{
	VirtioDevice *v = &p->vdev;

	if (!check_properties(p, error))
		return false;
	v->features = VIRTIO_F_VERSION_1 | (p->packed ? VIRTIO_F_RING_PACKED : 0) |
		(p->event_idx ? VIRTIO_F_EVENT_IDX : 0) |
		(p->indirect_desc ? VIRTIO_F_INDIRECT_DESC : 0) |
		(p->queue_reset ? VIRTIO_F_RING_RESET : 0);
	v->legacy_features = VIRTIO_F_LEGACY_PROBE | (p->any_layout ? VIRTIO_F_ANY_LAYOUT : 0) |
		(p->notify_on_empty ? VIRTIO_F_NOTIFY_ON_EMPTY : 0);
	if (virtio_init(v, &p->pci.dev, cls, &transport, error))
		return true;
	virtio_exit(v);
	return false;
}

bool virtio_pci_realize(VirtioPci *p, uint16_t class_code, uint16_t transitional_id, GError **error)
{
	const VirtioClass *cls = p->vdev.cls;
	PciIdentity id = { VIRTIO_PCI_VENDOR, transitional_id, class_code, .int_pin = 1 };

	if (p->has_legacy) {
		id.subvendor = VIRTIO_PCI_VENDOR;
		id.subsystem = cls->id; /* 4.1.2.3 */
	} else {
		id.device = (uint16_t)(VIRTIO_PCI_MODERN_BASE + cls->id);
		id.revision = 1;
	}
	if (p->vectors == VIRTIO_PCI_VECTORS_DEFAULT)
		p->vectors = p->vdev.queue_count + 1;
	if (!pci_init(&p->pci, &id, error)) {
		virtio_exit(&p->vdev);
		return false;
	}
	p->doorbells = g_array_new(FALSE, FALSE, sizeof(Doorbell));
	p->pci.config_written = config_written;
	p->pci.config_read = config_read;
	if (p->has_legacy)
		add_legacy(p);
	if (p->has_modern)
		add_modern(p);
	if (!p->vectors || msix_init(&p->msix, &p->pci, p->vectors, MSIX_BAR, error))
		return true;
	virtio_pci_exit(p);
	return false;
}

void virtio_pci_exit(VirtioPci *p)
{
	virtio_exit(&p->vdev); /* closes the kick eventfds, and with them the doorbells */
	g_array_free(p->doorbells, TRUE);
	p->doorbells = NULL;
	msix_exit(&p->msix);
	pci_exit(&p->pci);
}

void virtio_pci_quiesce(Device *dev)
{
	virtio_quiesce(&((VirtioPci *)dev)->vdev, NULL);
}

void virtio_pci_reset(Device *dev)
{
	VirtioPci *p = (VirtioPci *)dev;

	pci_reset(&p->pci);
	msix_reset(&p->msix);
	p->vdev.dma = pci_master(&p->pci);
	update_doorbells(p);
	virtio_reset_rest(&p->vdev);
}

void virtio_pci_info(Device *dev, GString *out)
{
	virtio_info(&((VirtioPci *)dev)->vdev, out);
}
