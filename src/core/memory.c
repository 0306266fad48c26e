/*
 * memory.c - the arena, and checked access to guest memory of any length.
 *
 * mmap(2). The address spaces themselves are in space.c. Threads: as memory.h says.
 */
#include "core/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "core/error.h"

static uint64_t page_up(uint64_t bytes)
{
	return (bytes + GUEST_PAGE_SIZE - 1) & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
}

static void *reserve(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static uint64_t page_words(const RamArena *arena)
{
	return page_up((arena->reserved >> GUEST_PAGE_BITS) * sizeof(*arena->page));
}

bool ram_arena_init(RamArena *arena, uint64_t bytes, GError **error)
{
	*arena = (RamArena){ .reserved = page_up(bytes) };
	arena->host = reserve(arena->reserved);
	if (arena->host)
		arena->page = reserve(page_words(arena));
	if (arena->page)
		arena->lines = reserve(2 * page_words(arena));
	if (arena->lines)
		arena->watch = reserve(page_up(arena->reserved >> GUEST_PAGE_BITS));
	if (arena->watch) {
		/* Advice only: a kernel without huge pages or merging runs guests as well. */
		madvise(arena->host, arena->reserved, MADV_HUGEPAGE);
		madvise(arena->host, arena->reserved, MADV_DONTFORK);
		return true;
	}
	int err = errno;
	ram_arena_free(arena);
	return fail(error, VIV_ERROR_FAILED, "Cannot reserve %" G_GUINT64_FORMAT " MiB for the guest: "
		"%s. Ask for less memory with -m, or raise the limit (ulimit -v).",
		bytes >> 20, g_strerror(err));
}

void ram_arena_free(RamArena *arena)
{
	if (arena->host)
		munmap(arena->host, arena->reserved);
	if (arena->page)
		munmap(arena->page, page_words(arena));
	if (arena->lines)
		munmap(arena->lines, 2 * page_words(arena));
	if (arena->watch)
		munmap((void *)arena->watch, page_up(arena->reserved >> GUEST_PAGE_BITS));
	*arena = (RamArena){ 0 };
}

uint8_t *ram_arena_alloc(RamArena *arena, uint64_t bytes, GError **error)
{
	uint64_t need = page_up(bytes);
	if (need < bytes || need > arena->reserved - arena->used) {
		fail(error, VIV_ERROR_FAILED, "Guest memory of %" G_GUINT64_FORMAT
			" bytes does not fit what was reserved for the machine.", bytes);
		return NULL;
	}
	uint8_t *p = arena->host + arena->used;
	arena->used += need;
	return p;
}

void ram_written(RamArena *arena, const void *p, uint64_t len)
{
	if (!arena || len == 0 || !ram_arena_owns(arena, p))
		return;
	uint64_t first = (uint64_t)((const uint8_t *)p - arena->host) >> GUEST_PAGE_BITS;
	uint64_t end = (uint64_t)((const uint8_t *)p - arena->host) + len;
	uint64_t last = (MIN(end, arena->used) - 1) >> GUEST_PAGE_BITS;

	bool changed = false;

	/* The bytes are visible before the page is seen to be changed. */
	atomic_thread_fence(memory_order_seq_cst);
	for (uint64_t i = first; i <= last; i++) {
		ram_touch(arena, arena->host + (i << GUEST_PAGE_BITS));
		uint32_t state = atomic_load_explicit(&arena->page[i], memory_order_relaxed);
		while (state & PAGE_CODE)
			if (atomic_compare_exchange_weak(&arena->page[i], &state, (state & ~PAGE_CODE) + PAGE_GENERATION)) {
				changed = true;
				break;
			}
	}
	if (changed && arena->code_changed)
		arena->code_changed(arena->code_opaque);
}

/* ---- watching ---- */

static _Atomic uint8_t *watch_of(const RamArena *arena, const uint8_t *p)
{
	return &arena->watch[(uint64_t)(p - arena->host) >> GUEST_PAGE_BITS];
}

static void set_watch(RamArena *arena, uint8_t *p, uint64_t len, uint8_t state)
{
	for (uint64_t i = 0; i < len; i += GUEST_PAGE_SIZE)
		atomic_store(watch_of(arena, p + i), state);
}

void ram_watch(RamArena *arena, uint8_t *p, uint64_t len)
{
	set_watch(arena, p, len, WATCH_DIRTY);
	atomic_fetch_add(&arena->watched, 1);
}

void ram_unwatch(RamArena *arena, uint8_t *p, uint64_t len)
{
	atomic_fetch_sub(&arena->watched, 1);
	if (arena->watch_sync)
		arena->watch_sync(arena->watch_opaque, p, len, false);
	set_watch(arena, p, len, WATCH_NOT);
}

bool ram_take_dirty(RamArena *arena, uint8_t *p, uint64_t len, bool *dirty)
{
	bool any = false;

	if (arena->watch_sync)
		arena->watch_sync(arena->watch_opaque, p, len, true);
	for (uint64_t i = 0; i < len; i += GUEST_PAGE_SIZE) {
		uint8_t state = WATCH_DIRTY;
		bool taken = atomic_compare_exchange_strong(watch_of(arena, p + i), &state, WATCH_CLEAN);
		dirty[i >> GUEST_PAGE_BITS] = taken;
		any |= taken;
	}
	/* Before the caller looks at the bytes: who writes after that marks the page again. */
	if (any && arena->watch_taken)
		arena->watch_taken(arena->watch_opaque);
	return any;
}

bool guest_read(AddressSpace *as, uint64_t addr, void *buf, uint64_t len)
{
	uint8_t *to = buf;
	bool all = true;

	while (len > 0) {
		Translation t;
		as_translate(as, addr, &t);
		/* Nothing is there: go on byte by byte would be slow, pages are what maps hold. */
		uint64_t step = t.contiguous ? t.contiguous : GUEST_PAGE_SIZE - addr % GUEST_PAGE_SIZE;
		step = MIN(step, len);
		if (t.host_read)
			memcpy(to, t.host_read, step);
		else
			memset(to, 0xff, step);
		all = all && t.host_read;
		to += step;
		addr += step;
		len -= step;
	}
	return all;
}

static bool write_all(AddressSpace *as, uint64_t addr, const void *buf, uint64_t len, bool rom)
{
	const uint8_t *from = buf;
	bool all = true;

	while (len > 0) {
		Translation t;
		as_translate(as, addr, &t);
		uint64_t step = t.contiguous ? t.contiguous : GUEST_PAGE_SIZE - addr % GUEST_PAGE_SIZE;
		step = MIN(step, len);
		uint8_t *host = t.host_write || !rom ? t.host_write : t.host_read;
		if (host) {
			memcpy(host, from, step);
			ram_written(as_arena(as), host, step);
		} else {
			all = false;
		}
		from += step;
		addr += step;
		len -= step;
	}
	return all;
}

bool guest_write(AddressSpace *as, uint64_t addr, const void *buf, uint64_t len)
{
	return write_all(as, addr, buf, len, false);
}

bool guest_write_rom(AddressSpace *as, uint64_t addr, const void *buf, uint64_t len)
{
	return write_all(as, addr, buf, len, true);
}

void *guest_map(AddressSpace *as, uint64_t addr, uint64_t len, bool write)
{
	Translation t;
	if (!as_translate(as, addr, &t) || t.contiguous < len)
		return NULL;
	return write ? t.host_write : t.host_read;
}
