/*
 * kvm_slots.c - KVM's memory slots follow the flat view of the memory address space.
 *
 * RAM becomes a slot, ROM a read-only one (its writes exit as MMIO). Pieces that are not
 * whole pages stay without a slot, and are served as MMIO. Machine lock held.
 */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

static bool slot_of(const FlatRange *r, KvmSlot *out)
{
	const Region *g = r->region;
	uint64_t size = r->end - r->start + 1;

	if (!g->host_read || (r->start | size) & (GUEST_PAGE_SIZE - 1) || r->offset & (GUEST_PAGE_SIZE - 1))
		return false;
	*out = (KvmSlot){ r->start, size, g->host_read + r->offset, g->host_write != g->host_read };
	return true;
}

static bool same(const KvmSlot *a, const KvmSlot *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->host == b->host && a->readonly == b->readonly;
}

static void set_slot(KvmAccel *k, unsigned n, const KvmSlot *s)
{
	struct kvm_userspace_memory_region r = {
		.slot = n, .guest_phys_addr = s->gpa,
		.memory_size = s->size, .userspace_addr = (uintptr_t)s->host,
	};

	if (s->size)
		r.flags = (s->readonly ? KVM_MEM_READONLY : 0) | (s->logged ? KVM_MEM_LOG_DIRTY_PAGES : 0);
	if (ioctl(k->vm, KVM_SET_USER_MEMORY_REGION, &r) < 0)
		g_printerr("viv: KVM refused a memory slot at %#" G_GINT64_MODIFIER "x: %s\n", s->gpa, g_strerror(errno));
	else
		k->slots[n] = *s;
}

void kvm_slots_changed(void *opaque, const FlatRange *ranges, size_t count)
{
	KvmAccel *k = opaque;
	KvmSlot wanted[KVM_SLOTS_MAX];
	unsigned n = 0;
	bool have[KVM_SLOTS_MAX] = { false };

	for (size_t i = 0; i < count && n < KVM_SLOTS_MAX; i++)
		if (slot_of(&ranges[i], &wanted[n]))
			n++;
	/* What is gone goes first: slots must not overlap. */
	for (unsigned s = 0; s < KVM_SLOTS_MAX; s++) {
		bool keep = false;
		for (unsigned w = 0; w < n && k->slots[s].size; w++)
			if (same(&k->slots[s], &wanted[w]))
				keep = have[w] = true;
		if (k->slots[s].size && !keep)
			set_slot(k, s, &(KvmSlot){ .gpa = k->slots[s].gpa });
	}
	for (unsigned w = 0; w < n; w++)
		for (unsigned s = 0; s < KVM_SLOTS_MAX && !have[w]; s++)
			if (!k->slots[s].size) {
				set_slot(k, s, &wanted[w]);
				have[w] = true;
			}
}

/* Pages of the slot that the kernel saw being written since the last time. */
static void take_log(KvmAccel *k, unsigned n)
{
	const KvmSlot *s = &k->slots[n];
	uint64_t pages = s->size >> GUEST_PAGE_BITS, *map = g_new0(uint64_t, (pages + 63) / 64);
	struct kvm_dirty_log log = { .slot = n, .dirty_bitmap = map };
	bool known = ioctl(k->vm, KVM_GET_DIRTY_LOG, &log) == 0;

	for (uint64_t i = 0; i < pages; i++)
		if (!known || map[i / 64] >> i % 64 & 1)
			ram_touch(&k->base.board->arena, s->host + (i << GUEST_PAGE_BITS));
	g_free(map);
}

void kvm_watch_sync(void *opaque, uint8_t *p, uint64_t len, bool on)
{
	KvmAccel *k = opaque;

	for (unsigned n = 0; n < KVM_SLOTS_MAX; n++) {
		KvmSlot s = k->slots[n];
		if (!s.size || s.readonly || s.host >= p + len || s.host + s.size <= p)
			continue;
		if (s.logged && on)
			take_log(k, n);
		if (s.logged == on)
			continue;
		s.logged = on;
		set_slot(k, n, &s);
		/* What was written before the kernel began to note it. */
		for (uint64_t i = 0; on && i < s.size; i += GUEST_PAGE_SIZE)
			ram_touch(&k->base.board->arena, s.host + i);
	}
}
