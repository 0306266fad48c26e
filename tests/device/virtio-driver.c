/* virtio-driver.c - see virtio-driver.h. */
#include "virtio-driver.h"

#include <string.h>

#include "core/lock.h"
#include "hw/classes.h"

/* ---- the device ---- */

static void echo_config_read(VirtioDevice *v, void *config)
{
	memcpy(config, ((Echo *)v->dev)->config, ECHO_CONFIG);
}

static void echo_config_write(VirtioDevice *v, unsigned offset, const void *data, unsigned len)
{
	g_assert_cmpuint(offset + len, <=, ECHO_CONFIG);
	memcpy(((Echo *)v->dev)->config + offset, data, len);
}

static bool echo_features_ok(VirtioDevice *v, uint64_t features)
{
	return !(features & ECHO_F_REFUSED);
}

static void echo_start(VirtioDevice *v) { ((Echo *)v->dev)->started++; }
static void echo_reset_own(VirtioDevice *v) { ((Echo *)v->dev)->resets++; }

static void echo_one(VirtElement *e, uint64_t *written)
{
	uint8_t buf[4096];
	*written = 0;
	for (size_t n; (n = virt_read(e, *written, buf, sizeof(buf)));) {
		for (size_t i = 0; i < n; i++)
			buf[i]++;
		size_t out = virt_write(e, *written, buf, n);
		*written += out;
		if (out < n || *written > 1 << 20)
			break;
	}
}

static void echo_notify(VirtioDevice *v, VirtQueue *q)
{
	Echo *s = (Echo *)v->dev;
	VirtElement *e;
	s->notified++;
	for (unsigned i = 0; i < q->num && (e = virtq_pop(q)); i++) {
		uint64_t written;
		s->popped++;
		e->next = NULL;
		if (s->hold) {
			g_ptr_array_add(s->held, e);
			continue;
		}
		echo_one(e, &written);
		virtq_push(q, e, written);
	}
	virtq_notify(q);
}

static void echo_quiesce(VirtioDevice *v, VirtQueue *q)
{
	Echo *s = (Echo *)v->dev;
	s->quiesced++;
	if (q && q->index)
		return; /* only queue 0 holds */
	for (guint i = 0; i < s->held->len; i++)
		virtq_drop(&v->queue[0], s->held->pdata[i]);
	g_ptr_array_set_size(s->held, 0);
}

static const VirtioClass echo = {
	.name = "virtio-echo", .id = 60, .features = ECHO_F_ONE | ECHO_F_REFUSED,
	.config_size = ECHO_CONFIG,
	.config_read = echo_config_read, .config_write = echo_config_write,
	.features_ok = echo_features_ok,
	.start = echo_start, .notify = echo_notify, .quiesce = echo_quiesce,
	.reset = echo_reset_own,
};

static bool echo_realize(Device *dev, GError **error)
{
	Echo *s = (Echo *)dev;
	s->held = g_ptr_array_new();
	if (!virtio_pci_init(&s->vp, &echo, error))
		return false;
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		virtio_add_queue(&s->vp.vdev, ECHO_SIZE);
	return virtio_pci_realize(&s->vp, 0x00ff, 0x1010, error);
}

static void echo_unrealize(Device *dev)
{
	virtio_pci_exit(&((Echo *)dev)->vp);
	g_ptr_array_free(((Echo *)dev)->held, TRUE);
}

static const Property props[] = { VIRTIO_PCI_PROPERTIES, { 0 } };
static const StateField state[] = { VIRTIO_PCI_STATE, { 0 } };
const DeviceClass echo_class = {
	.name = "virtio-echo-pci", .bus = "pci", .size = sizeof(Echo), .props = props,
	.state = state,
	.realize = echo_realize, .quiesce = virtio_pci_quiesce, .reset = virtio_pci_reset,
	.unrealize = echo_unrealize, .info = virtio_pci_info,
};

Harness *echo_machine(const char *properties, Echo **dev)
{
	Harness *h = harness_new();
	harness_add(h, &i440fx_pcihost_class);
	Device *d = harness_make(h, &echo_class);
	harness_set_all(d, properties);
	harness_realize(d);
	*dev = (Echo *)d;
	driver_map(h);
	return h;
}

/* ---- the driver ---- */

void driver_map(Harness *h)
{
	pci_out(h, SLOT, 0, 0x10, PORTS, 4);
	pci_out(h, SLOT, 0, 0x14, TABLE, 4);
	pci_out(h, SLOT, 0, 0x20, MODERN, 4);
	pci_out(h, SLOT, 0, 0x24, 0, 4);
	pci_out(h, SLOT, 0, 0x04, 7, 2);
}

void put16(Harness *h, uint64_t addr, uint16_t v) { as_store(h->board.mem, addr, v, 2); }
void put32(Harness *h, uint64_t addr, uint32_t v) { as_store(h->board.mem, addr, v, 4); }
void put64(Harness *h, uint64_t addr, uint64_t v) { as_store(h->board.mem, addr, v, 8); }
uint16_t get16(Harness *h, uint64_t addr) { return (uint16_t)as_load(h->board.mem, addr, 2); }
static void put8(Harness *h, uint64_t addr, uint8_t v) { as_store(h->board.mem, addr, v, 1); }

uint8_t driver_status(VirtDriver *d)
{
	if (d->kind == KIND_LEGACY)
		return (uint8_t)inb(d->h, PORTS + VIRTIO_LEGACY_STATUS);
	return (uint8_t)as_load(d->h->board.mem, COMMON(device_status), 1);
}

static void set_status(VirtDriver *d, uint8_t status)
{
	if (d->kind == KIND_LEGACY)
		outb(d->h, PORTS + VIRTIO_LEGACY_STATUS, status);
	else
		put8(d->h, COMMON(device_status), status);
}

void driver_reset(VirtDriver *d)
{
	set_status(d, 0);
	g_assert_cmphex(driver_status(d), ==, 0);
}

void driver_queue(VirtDriver *d)
{
	Harness *h = d->h;
	d->num = ECHO_SIZE;
	d->next = d->seen = 0;
	d->next_wrap = d->seen_wrap = true;
	d->free_desc = 0;
	d->desc = 0x10000 + 0x10000 * d->q;
	d->avail = d->desc + 16 * d->num;
	d->used = (d->avail + 6 + 2 * d->num + 4095) & ~4095ull;
	memset(h->board.ram + d->desc, 0, 0x3000);
	if (d->kind == KIND_LEGACY) {
		outw(h, PORTS + VIRTIO_LEGACY_QUEUE_SELECT, d->q);
		g_assert_cmpuint(inw(h, PORTS + VIRTIO_LEGACY_QUEUE_SIZE), ==, ECHO_SIZE);
		outl(h, PORTS + VIRTIO_LEGACY_QUEUE_PFN, (uint32_t)(d->desc >> 12));
		return;
	}
	put16(h, COMMON(queue_select), (uint16_t)d->q);
	put16(h, COMMON(queue_size), (uint16_t)d->num);
	put64(h, COMMON(queue_desc_lo), d->desc);
	put64(h, COMMON(queue_driver_lo), d->avail);
	put64(h, COMMON(queue_device_lo), d->used);
	put16(h, COMMON(queue_enable), 1);
	g_assert_cmpuint(get16(h, COMMON(queue_enable)), ==, 1);
}

void driver_start(VirtDriver *d, Harness *h, Echo *dev, Kind kind, unsigned q, uint64_t features)
{
	*d = (VirtDriver){ .h = h, .dev = dev, .kind = kind, .q = q };
	if (kind != KIND_LEGACY)
		features |= VIRTIO_F_VERSION_1;
	if (kind == KIND_PACKED)
		features |= VIRTIO_F_RING_PACKED;
	d->features = features;
	driver_reset(d);
	set_status(d, 1);
	set_status(d, 3);
	if (kind == KIND_LEGACY) {
		outl(h, PORTS + VIRTIO_LEGACY_DRIVER_FEATURES, (uint32_t)features);
	} else {
		for (unsigned i = 0; i < 2; i++) {
			put32(h, COMMON(driver_feature_select), i);
			put32(h, COMMON(driver_feature), (uint32_t)(features >> (32 * i)));
		}
		set_status(d, 11);
		g_assert_cmphex(driver_status(d), ==, 11);
	}
	driver_queue(d);
	set_status(d, kind == KIND_LEGACY ? 7 : 15);
}

static void add_packed(VirtDriver *d, const Part *parts, unsigned count, uint16_t id)
{
	uint64_t head = 0;
	uint16_t head_flags = 0;
	d->sizes[d->next] = count;
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = d->desc + 16u * d->next;
		uint16_t flags = parts[i].flags | (i + 1 < count ? VIRTQ_DESC_NEXT : 0) |
			(d->next_wrap ? VIRTQ_DESC_AVAIL : VIRTQ_DESC_USED);
		put64(d->h, at, parts[i].addr);
		put32(d->h, at + 8, parts[i].len);
		put16(d->h, at + 12, id);
		if (i) {
			put16(d->h, at + 14, flags);
		} else {
			head = at;
			head_flags = flags;
		}
		if (++d->next == d->num) {
			d->next = 0;
			d->next_wrap = !d->next_wrap;
		}
	}
	put16(d->h, head + 14, head_flags);
}

uint16_t driver_add(VirtDriver *d, const Part *parts, unsigned count)
{
	Harness *h = d->h;
	uint16_t head = (uint16_t)(d->free_desc % d->num);
	if (d->kind == KIND_PACKED) {
		uint16_t id = (uint16_t)(d->free_desc++ + 100);
		add_packed(d, parts, count, id);
		return id;
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned slot = d->free_desc++ % d->num;
		uint64_t at = d->desc + 16u * slot;
		put64(h, at, parts[i].addr);
		put32(h, at + 8, parts[i].len);
		put16(h, at + 12, parts[i].flags | (i + 1 < count ? VIRTQ_DESC_NEXT : 0));
		put16(h, at + 14, (uint16_t)(d->free_desc % d->num));
	}
	put16(h, d->avail + 4 + 2u * (d->next % d->num), head);
	put16(h, d->avail + 2, ++d->next);
	return head;
}

uint16_t driver_add_indirect(VirtDriver *d, uint64_t table, const Part *parts, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t at = table + 16u * i;
		put64(d->h, at, parts[i].addr);
		put32(d->h, at + 8, parts[i].len);
		if (d->kind == KIND_PACKED) {
			put16(d->h, at + 12, 0);
			put16(d->h, at + 14, parts[i].flags);
		} else {
			put16(d->h, at + 12,
				parts[i].flags | (i + 1 < count ? VIRTQ_DESC_NEXT : 0));
			put16(d->h, at + 14, (uint16_t)(i + 1));
		}
	}
	return driver_add(d, &(Part){ table, 16 * count, VIRTQ_DESC_INDIRECT }, 1);
}

void driver_kick(VirtDriver *d)
{
	if (d->kind == KIND_LEGACY)
		outw(d->h, PORTS + VIRTIO_LEGACY_QUEUE_NOTIFY, d->q);
	else
		put16(d->h, MODERN + 0x3000 + (d->dev->vp.page_per_vq ? 4096 : 4) * d->q, (uint16_t)d->q);
}

bool driver_used(VirtDriver *d, uint32_t *id, uint32_t *len)
{
	Harness *h = d->h;
	if (d->kind == KIND_PACKED) {
		uint64_t at = d->desc + 16u * d->seen;
		uint16_t flags = get16(h, at + 14);
		if (!(flags & VIRTQ_DESC_AVAIL) != !d->seen_wrap ||
		    !(flags & VIRTQ_DESC_USED) != !d->seen_wrap)
			return false;
		*id = get16(h, at + 12);
		*len = readl(h, at + 8);
		unsigned next = d->seen + d->sizes[d->seen];
		d->seen_wrap ^= next >= d->num;
		d->seen = (uint16_t)(next % d->num);
		return true;
	}
	if (get16(h, d->used + 2) == d->seen)
		return false;
	*id = readl(h, d->used + 4 + 8u * (d->seen % d->num));
	*len = readl(h, d->used + 8 + 8u * (d->seen % d->num));
	d->seen++;
	return true;
}

void driver_msix(VirtDriver *d)
{
	Harness *h = d->h;
	pci_out(h, SLOT, 0, d->dev->vp.msix.cap + 2u, 0x8000, 2);
	for (unsigned i = 0; i <= ECHO_QUEUES; i++) {
		writel(h, TABLE + 16 * i, 0xfee00000);
		writel(h, TABLE + 16 * i + 8, 0x40 + i);
		writel(h, TABLE + 16 * i + 12, 0);
	}
	if (d->kind == KIND_LEGACY) {
		outw(h, PORTS + VIRTIO_LEGACY_CONFIG_VECTOR, 0);
		outw(h, PORTS + VIRTIO_LEGACY_QUEUE_SELECT, d->q);
		outw(h, PORTS + VIRTIO_LEGACY_QUEUE_VECTOR, d->q + 1);
	} else {
		put16(h, COMMON(config_msix_vector), 0);
		put16(h, COMMON(queue_select), (uint16_t)d->q);
		put16(h, COMMON(queue_msix_vector), (uint16_t)(d->q + 1));
	}
}

void driver_wish_flag(VirtDriver *d, bool on)
{
	if (d->kind == KIND_PACKED)
		put16(d->h, d->avail + 2, on ? VIRTQ_EVENT_ENABLE : VIRTQ_EVENT_DISABLE);
	else
		put16(d->h, d->avail, on ? 0 : VIRTQ_AVAIL_NO_INTERRUPT);
}

void driver_wish_event(VirtDriver *d, unsigned ahead)
{
	if (d->kind == KIND_PACKED) {
		unsigned off = d->seen + ahead;
		bool wrap = d->seen_wrap;
		if (off >= d->num) {
			off -= d->num;
			wrap = !wrap;
		}
		put16(d->h, d->avail, (uint16_t)(off | (unsigned)wrap << 15));
		put16(d->h, d->avail + 2, VIRTQ_EVENT_DESC);
	} else {
		put16(d->h, d->avail + 4 + 2 * d->num, (uint16_t)(d->seen + ahead));
	}
}

uint32_t driver_wait(VirtDriver *d)
{
	uint32_t id, len;
	for (int i = 0; i < 5000; i++) {
		machine_lock();
		bool used = driver_used(d, &id, &len);
		machine_unlock();
		if (used)
			return len;
		harness_run(d->h, 1000000);
	}
	g_assert_not_reached();
}
