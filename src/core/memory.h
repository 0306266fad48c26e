/*
 * memory.h - guest RAM, regions, and the two address spaces (memory, I/O ports).
 *
 * A region {ops, opaque, base, size} serves port I/O and MMIO alike; the device
 * sees an offset. RAM and ROM are regions with host pointers. Regions overlap by
 * priority; the address space keeps a flat, sorted array of what is visible.
 *
 * Threads: mapping changes and device callbacks happen under the machine lock
 * (lock.h). as_translate() may be called by any thread without it.
 */
#ifndef VIV_CORE_MEMORY_H
#define VIV_CORE_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

#define GUEST_PAGE_BITS 12
#define GUEST_PAGE_SIZE 4096u

typedef struct AddressSpace AddressSpace;

/*
 * All guest-visible host memory of one machine (RAM, ROM images, video RAM) is
 * carved from one reservation, so that a host pointer gives a page number and
 * every page has a state word.
 */
typedef struct RamArena {
	uint8_t *host;              /* page aligned; [0, reserved) */
	uint64_t reserved, used;    /* bytes */
	_Atomic uint32_t *page;     /* one word a page: PAGE_CODE, PAGE_TURNING, and the generation above them */
	_Atomic uint64_t *lines;    /* one bit for each 64 bytes of the page that hold decoded code */
	/* Decoded code was written over: called by whichever thread did, after the generation moved. NULL: nobody asks. */
	void (*code_changed)(void *opaque);
	void *code_opaque;
	/* Which pages are written to, for those that somebody watches (video memory that is looked at). */
	_Atomic uint8_t *watch;     /* one byte a page: WATCH_* */
	_Atomic unsigned watched;   /* stretches that are watched; 0: nobody asks */
	/* Vcpus may hold translations by which they write unseen: they shall say so once more and give them up. */
	void (*watch_taken)(void *opaque);
	/* Marks what a hypervisor saw being written in [p, p+len); `on` false: it need not look any more. NULL: all is seen here. */
	void (*watch_sync)(void *opaque, uint8_t *p, uint64_t len, bool on);
	void *watch_opaque;         /* of both */
} RamArena;

enum { WATCH_NOT, WATCH_CLEAN, WATCH_DIRTY };

/* The page holds instructions that some vcpu keeps in decoded or translated form. */
#define PAGE_CODE 1u
/* It is about to: nobody may begin to write there without asking, and no line of it is claimed yet. */
#define PAGE_TURNING 2u
#define PAGE_GENERATION 4u      /* one step */

/* Reserves (not yet commits) `bytes` of address space. */
bool ram_arena_init(RamArena *arena, uint64_t bytes, GError **error);
void ram_arena_free(RamArena *arena);
/* Takes `bytes` (rounded up to pages) of zeroed memory; NULL with *error when it does not fit. */
uint8_t *ram_arena_alloc(RamArena *arena, uint64_t bytes, GError **error);

static inline bool ram_arena_owns(const RamArena *arena, const void *p)
{
	return (uint64_t)((const uint8_t *)p - arena->host) < arena->used;
}

static inline _Atomic uint32_t *ram_page_state(const RamArena *arena, const void *p)
{
	return &arena->page[(uint64_t)((const uint8_t *)p - arena->host) >> GUEST_PAGE_BITS];
}

static inline _Atomic uint64_t *ram_page_lines(const RamArena *arena, const void *p)
{
	return &arena->lines[(uint64_t)((const uint8_t *)p - arena->host) >> GUEST_PAGE_BITS];
}

/* The page with `p` is about to be written to, or may be from now on. Any thread. */
static inline void ram_touch(const RamArena *arena, const void *p)
{
	if (!atomic_load_explicit(&arena->watched, memory_order_relaxed))
		return;
	_Atomic uint8_t *w = &arena->watch[(uint64_t)((const uint8_t *)p - arena->host) >> GUEST_PAGE_BITS];
	if (atomic_load(w) == WATCH_CLEAN)
		atomic_store(w, WATCH_DIRTY);
}

/*
 * Watches whole pages [p, p+len): they count as dirty at first. One watcher a stretch. Machine lock held.
 * ram_take_dirty sets dirty[i] for each page i that was written to since the last time, and returns whether any was. A page
 * may be told once more than it was written to, never once less.
 */
void ram_watch(RamArena *arena, uint8_t *p, uint64_t len);
void ram_unwatch(RamArena *arena, uint8_t *p, uint64_t len);
bool ram_take_dirty(RamArena *arena, uint8_t *p, uint64_t len, bool *dirty);

/*
 * Says that [p, p+len) was written by somebody other than through a vcpu's own
 * store path (DMA, a loader, the monitor): decoded code of those pages is
 * dropped by advancing the page's generation. Any thread.
 */
void ram_written(RamArena *arena, const void *p, uint64_t len);

/*
 * read and write get an offset into the region and a size of 1, 2, 4 or 8 that
 * lies within [min_access, max_access]; the dispatcher splits wider accesses
 * (low address first) and performs narrower reads as min_access wide, aligned
 * ones. Zero means 1 for min_access and 4 for max_access. A NULL read gives all
 * ones, a NULL write is dropped. Values beyond `size` bytes are ignored.
 */
typedef struct RegionOps {
	uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
	void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
	uint8_t min_access, max_access;
} RegionOps;

typedef struct Region {
	const char *name;      /* static or owned by the device; shown by `info mtree` */
	const RegionOps *ops;  /* NULL for plain RAM and ROM */
	void *opaque;
	uint64_t base, size;   /* base is set by as_map */
	int priority;          /* higher hides lower */
	uint8_t *host_read;    /* non-NULL: reads and fetches are plain memory */
	uint8_t *host_write;   /* non-NULL: writes are plain memory */
	AddressSpace *as;      /* non-NULL while mapped */
} Region;

void region_init_io(Region *r, const char *name, const RegionOps *ops, void *opaque, uint64_t size);
/* `host` is from the arena. A read-only region drops writes (or hands them to ops, if set later). */
void region_init_ram(Region *r, const char *name, uint8_t *host, uint64_t size, bool readonly);

/* A visible piece of a region: [start, end], inclusive so that the last byte can be 2^64-1. */
typedef struct FlatRange {
	uint64_t start, end;
	Region *region;
	uint64_t offset; /* of start in the region */
} FlatRange;

typedef struct MapListener {
	void (*changed)(void *opaque, const FlatRange *ranges, size_t count);
	void *opaque;
} MapListener;

/* What a guest-physical page is. Host pointers are to the byte asked for. */
typedef struct Translation {
	uint8_t *host_read;  /* NULL: reads go to the device */
	uint8_t *host_write; /* NULL: writes go to the device (or are dropped) */
	uint64_t contiguous; /* bytes from the address on for which the pointers hold */
} Translation;

AddressSpace *as_new(const char *name, uint64_t size, RamArena *arena); /* size 0: 2^64 */
void as_free(AddressSpace *as);
/* Maps `r` at `base`. Under the machine lock. Mapping a mapped region moves it. */
void as_map(AddressSpace *as, Region *r, uint64_t base, int priority);
void as_unmap(Region *r);
/* Changes a mapped region's host pointers (shadow RAM switches); same effect as map. */
void as_set_host(Region *r, uint8_t *host_read, uint8_t *host_write);
/* Between begin and commit (nesting counts) the flat view is not rebuilt. */
void as_begin(AddressSpace *as);
void as_commit(AddressSpace *as);
/* `changed` is called after each rebuild, machine lock held; and once at once. */
void as_add_listener(AddressSpace *as, MapListener listener);
void as_remove_listener(AddressSpace *as, void *opaque); /* those added with this opaque; machine lock held */
/* The present flat view, machine lock held; for `info mtree`. */
const FlatRange *as_ranges(AddressSpace *as, size_t *count);

/* Any thread, no lock needed. False: nothing is mapped there (*out is all zero). */
bool as_translate(AddressSpace *as, uint64_t addr, Translation *out);

/*
 * One access of a vcpu or a device: size 1, 2, 4 or 8. Takes the machine lock
 * if this thread does not hold it. Unmapped: reads give all ones, writes vanish.
 */
uint64_t as_load(AddressSpace *as, uint64_t addr, unsigned size);
void as_store(AddressSpace *as, uint64_t addr, uint64_t value, unsigned size);

/*
 * Checked access of devices, loaders and the monitor to guest memory, of any
 * length, crossing regions. False: some byte was not RAM or ROM (reads: those
 * bytes are 0xff; writes: they are dropped; device registers are not touched).
 */
bool guest_read(AddressSpace *as, uint64_t addr, void *buf, uint64_t len);
bool guest_write(AddressSpace *as, uint64_t addr, const void *buf, uint64_t len);
/* Like guest_write, but ROM is written too: for loaders. */
bool guest_write_rom(AddressSpace *as, uint64_t addr, const void *buf, uint64_t len);
/*
 * A direct pointer to [addr, addr+len), or NULL if that is not one piece of RAM
 * (use guest_read then). Valid until the mapping changes. After writing through
 * it, call ram_written().
 */
void *guest_map(AddressSpace *as, uint64_t addr, uint64_t len, bool write);
RamArena *as_arena(AddressSpace *as);

#endif
