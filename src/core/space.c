/*
 * space.c - an address space: regions by priority, flattened to what is visible.
 *
 * Mapping changes run under the machine lock and rebuild the sorted array, which
 * is swapped under a reader-writer lock: translation needs no machine lock. Lock
 * order: machine lock, then AddressSpace.lock.
 */
#include "core/memory.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "core/lock.h"
#include "core/log.h"
#include "core/trace.h"

struct AddressSpace {
	char *name;
	uint64_t last;            /* highest address */
	RamArena *arena;
	GPtrArray *regions;       /* Region *, in order of mapping; machine lock */
	GArray *listeners;        /* MapListener; machine lock */
	unsigned batch;           /* as_begin calls open; machine lock */
	bool stale;               /* changed since the last rebuild; machine lock */
	pthread_rwlock_t lock;    /* guards ranges and count against translation */
	FlatRange *ranges;        /* sorted, disjoint */
	size_t count;
};

AddressSpace *as_new(const char *name, uint64_t size, RamArena *arena)
{
	AddressSpace *as = g_new0(AddressSpace, 1);
	as->name = g_strdup(name);
	as->last = size - 1; /* size 0 wraps to 2^64-1, as meant */
	as->arena = arena;
	as->regions = g_ptr_array_new();
	as->listeners = g_array_new(FALSE, FALSE, sizeof(MapListener));
	pthread_rwlock_init(&as->lock, NULL);
	return as;
}

void as_free(AddressSpace *as)
{
	if (!as)
		return;
	for (guint i = 0; i < as->regions->len; i++)
		((Region *)as->regions->pdata[i])->as = NULL;
	g_ptr_array_free(as->regions, TRUE);
	g_array_free(as->listeners, TRUE);
	pthread_rwlock_destroy(&as->lock);
	g_free(as->ranges);
	g_free(as->name);
	g_free(as);
}

RamArena *as_arena(AddressSpace *as)
{
	return as->arena;
}

/* Lays `top` over the sorted, disjoint ranges in `below`, cutting what it hides. */
static GArray *overlay(GArray *below, FlatRange top)
{
	GArray *out = g_array_sized_new(FALSE, FALSE, sizeof(FlatRange), below->len + 2);
	bool placed = false;

	for (guint i = 0; i < below->len; i++) {
		FlatRange r = g_array_index(below, FlatRange, i);
		if (r.start < top.start) {
			FlatRange left = r;
			left.end = MIN(r.end, top.start - 1);
			g_array_append_val(out, left);
		}
		if (!placed && r.end >= top.start) {
			g_array_append_val(out, top);
			placed = true;
		}
		if (r.end > top.end) {
			FlatRange right = r;
			right.start = MAX(r.start, top.end + 1);
			right.offset += right.start - r.start;
			g_array_append_val(out, right);
		}
	}
	if (!placed)
		g_array_append_val(out, top);
	g_array_free(below, TRUE);
	return out;
}

static gint by_priority(gconstpointer a, gconstpointer b)
{
	const Region *const *ra = a, *const *rb = b;
	return ((*ra)->priority > (*rb)->priority) - ((*ra)->priority < (*rb)->priority);
}

static void rebuild(AddressSpace *as)
{
	GArray *flat = g_array_new(FALSE, FALSE, sizeof(FlatRange));
	/* A stable sort (GLib's is): among equals, the region mapped last is on top. */
	GPtrArray *sorted = g_ptr_array_copy(as->regions, NULL, NULL);

	as->stale = false;
	g_ptr_array_sort(sorted, by_priority);
	for (guint i = 0; i < sorted->len; i++) {
		Region *r = sorted->pdata[i];
		if (r->size == 0 || r->base > as->last)
			continue;
		uint64_t end = r->base + (r->size - 1);
		if (end < r->base || end > as->last)
			end = as->last;
		flat = overlay(flat, (FlatRange){ r->base, end, r, 0 });
	}
	g_ptr_array_free(sorted, TRUE);

	pthread_rwlock_wrlock(&as->lock);
	g_free(as->ranges);
	as->count = flat->len;
	as->ranges = (FlatRange *)(void *)g_array_free(flat, FALSE);
	trace_flatview_new(as->ranges, as);
	pthread_rwlock_unlock(&as->lock);
	for (guint i = 0; i < as->listeners->len; i++) {
		MapListener *l = &g_array_index(as->listeners, MapListener, i);
		l->changed(l->opaque, as->ranges, as->count);
	}
}

static void changed(AddressSpace *as)
{
	as->stale = true;
	if (as->batch == 0)
		rebuild(as);
}

void as_begin(AddressSpace *as)
{
	as->batch++;
}

void as_commit(AddressSpace *as)
{
	if (--as->batch == 0 && as->stale)
		rebuild(as);
}

void as_add_listener(AddressSpace *as, MapListener listener)
{
	g_array_append_val(as->listeners, listener);
	listener.changed(listener.opaque, as->ranges, as->count);
}

void as_remove_listener(AddressSpace *as, void *opaque)
{
	for (guint i = 0; i < as->listeners->len; i++)
		if (g_array_index(as->listeners, MapListener, i).opaque == opaque)
			g_array_remove_index(as->listeners, i--);
}

const FlatRange *as_ranges(AddressSpace *as, size_t *count)
{
	*count = as->count;
	return as->ranges;
}

void region_init_io(Region *r, const char *name, const RegionOps *ops, void *opaque, uint64_t size)
{
	*r = (Region){ .name = name, .ops = ops, .opaque = opaque, .size = size };
}

void region_init_ram(Region *r, const char *name, uint8_t *host, uint64_t size, bool readonly)
{
	*r = (Region){ .name = name, .size = size, .host_read = host,
		.host_write = readonly ? NULL : host };
}

void as_map(AddressSpace *as, Region *r, uint64_t base, int priority)
{
	if (r->as == as && r->base == base && r->priority == priority)
		return;
	as_begin(as);
	as_unmap(r);
	r->as = as;
	r->base = base;
	r->priority = priority;
	trace_memory_region_map(as->name, r->name, base, r->size, priority);
	g_ptr_array_add(as->regions, r);
	changed(as);
	as_commit(as);
}

void as_unmap(Region *r)
{
	AddressSpace *as = r->as;
	if (!as)
		return;
	r->as = NULL;
	trace_memory_region_unmap(as->name, r->name, r->base, r->size);
	g_ptr_array_remove(as->regions, r);
	/* In a batch the view still shows it: whoever frees a region does so after the commit. */
	changed(as);
}

void as_set_host(Region *r, uint8_t *host_read, uint8_t *host_write)
{
	if (r->host_read == host_read && r->host_write == host_write)
		return;
	if (!r->as) {
		r->host_read = host_read;
		r->host_write = host_write;
		return;
	}
	/* Translation reads the pointers of regions it finds in the view. */
	pthread_rwlock_wrlock(&r->as->lock);
	r->host_read = host_read;
	r->host_write = host_write;
	pthread_rwlock_unlock(&r->as->lock);
	changed(r->as);
}

/* The range that holds `addr`; NULL if none. Lock held (either kind). */
static const FlatRange *find(const AddressSpace *as, uint64_t addr)
{
	size_t low = 0, high = as->count;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const FlatRange *r = &as->ranges[mid];
		if (addr < r->start)
			high = mid;
		else if (addr > r->end)
			low = mid + 1;
		else
			return r;
	}
	return NULL;
}

bool as_translate(AddressSpace *as, uint64_t addr, Translation *out)
{
	*out = (Translation){ 0 };
	pthread_rwlock_rdlock(&as->lock);
	const FlatRange *r = find(as, addr);
	if (r) {
		uint64_t offset = addr - r->start + r->offset;
		if (r->region->host_read)
			out->host_read = r->region->host_read + offset;
		if (r->region->host_write)
			out->host_write = r->region->host_write + offset;
		uint64_t rest = r->end - addr;
		out->contiguous = rest == UINT64_MAX ? rest : rest + 1;
	}
	pthread_rwlock_unlock(&as->lock);
	return r != NULL;
}

static uint64_t ones(unsigned size)
{
	return UINT64_MAX >> (64 - 8 * size);
}

static unsigned min_access(const RegionOps *ops)
{
	return ops->min_access ? ops->min_access : 1;
}

static unsigned max_access(const RegionOps *ops)
{
	return ops->max_access ? ops->max_access : 4;
}

static uint64_t read_pieces(const Region *r, uint64_t offset, unsigned size)
{
	const RegionOps *ops = r->ops;
	uint64_t value = 0;

	if (!ops || !ops->read)
		return ones(size);
	if (size < min_access(ops)) {
		unsigned width = min_access(ops), in = offset & (width - 1);
		value = ops->read(r->opaque, offset - in, width) >> (8 * in);
		if (in + size > width) /* the tail lies in the next unit */
			value |= ops->read(r->opaque, offset - in + width, width) << (8 * (width - in));
		return value & ones(size);
	}
	unsigned step = MIN(size, max_access(ops));
	for (unsigned i = 0; i < size; i += step)
		value |= (ops->read(r->opaque, offset + i, step) & ones(step)) << (8 * i);
	return value;
}

/* An access that lies within one range of a device. */
static uint64_t ops_read(const Region *r, uint64_t offset, unsigned size)
{
	uint64_t value = read_pieces(r, offset, size);
	trace_memory_region_ops_read(r, r->base + offset, value, size, r->name);
	return value;
}

static void ops_write(const Region *r, uint64_t offset, uint64_t value, unsigned size)
{
	const RegionOps *ops = r->ops;

	trace_memory_region_ops_write(r, r->base + offset, value, size, r->name);
	if (!ops || !ops->write)
		return;
	if (size < min_access(ops)) {
		/* The rest of the unit is written as zero, as a bus without byte enables would. */
		unsigned width = min_access(ops), in = offset & (width - 1);
		ops->write(r->opaque, offset - in, (value << (8 * in)) & ones(width), width);
		return;
	}
	unsigned step = MIN(size, max_access(ops));
	for (unsigned i = 0; i < size; i += step)
		ops->write(r->opaque, offset + i, value >> (8 * i) & ones(step), step);
}

static uint64_t load_le(const uint8_t *p, unsigned size)
{
	switch (size) {
	case 1: return *p;
	case 2: { uint16_t v; memcpy(&v, p, 2); return v; }
	case 4: { uint32_t v; memcpy(&v, p, 4); return v; }
	default: { uint64_t v; memcpy(&v, p, 8); return v; }
	}
}

static void store_le(uint8_t *p, uint64_t value, unsigned size)
{
	switch (size) {
	case 1: *p = (uint8_t)value; break;
	case 2: { uint16_t v = (uint16_t)value; memcpy(p, &v, 2); break; }
	case 4: { uint32_t v = (uint32_t)value; memcpy(p, &v, 4); break; }
	default: memcpy(p, &value, 8); break;
	}
}

/* Ports are not worth a word: everybody probes them. */
static void log_nowhere(AddressSpace *as, uint64_t addr, unsigned size, const char *what)
{
	Translation t;

	if (as->last > UINT16_MAX && !as_translate(as, addr, &t))
		log_printf("Invalid %s at addr 0x%" PRIX64 ", size %u, region '(null)', reason: rejected\n", what, addr, size);
}

static uint64_t load(AddressSpace *as, uint64_t addr, unsigned size)
{
	Translation t;
	uint64_t value;

	if (as_translate(as, addr, &t) && t.host_read && t.contiguous >= size)
		return load_le(t.host_read, size);
	if (size > 1 && t.contiguous < size) {
		/* Across ranges, or from nothing into something: each byte for itself. */
		value = 0;
		for (unsigned i = 0; i < size; i++)
			value |= load(as, addr + i, 1) << (8 * i);
		return value;
	}
	machine_lock();
	/* Found again: the map may have changed before the lock was ours. */
	const FlatRange *r = find(as, addr);
	if (!r)
		value = ones(size);
	else if (r->region->host_read)
		value = load_le(r->region->host_read + (addr - r->start + r->offset), size);
	else
		value = ops_read(r->region, addr - r->start + r->offset, size);
	machine_unlock();
	return value;
}

uint64_t as_load(AddressSpace *as, uint64_t addr, unsigned size)
{
	if (log_on(LOG_GUEST_ERRORS))
		log_nowhere(as, addr, size, "read");
	return load(as, addr, size);
}

static void store(AddressSpace *as, uint64_t addr, uint64_t value, unsigned size)
{
	Translation t;

	if (as_translate(as, addr, &t) && t.host_write && t.contiguous >= size) {
		store_le(t.host_write, value, size);
		ram_written(as->arena, t.host_write, size);
		return;
	}
	if (size > 1 && t.contiguous < size) {
		for (unsigned i = 0; i < size; i++)
			store(as, addr + i, value >> (8 * i) & 0xff, 1);
		return;
	}
	machine_lock();
	const FlatRange *r = find(as, addr);
	if (r && r->region->host_write) {
		uint8_t *host = r->region->host_write + (addr - r->start + r->offset);
		store_le(host, value, size);
		ram_written(as->arena, host, size);
	} else if (r) {
		ops_write(r->region, addr - r->start + r->offset, value & ones(size), size);
	}
	machine_unlock();
}

void as_store(AddressSpace *as, uint64_t addr, uint64_t value, unsigned size)
{
	if (log_on(LOG_GUEST_ERRORS))
		log_nowhere(as, addr, size, "write");
	store(as, addr, value, size);
}
