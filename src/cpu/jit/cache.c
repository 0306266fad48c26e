/*
 * cache.c - the memory of translated code: regions filled in turn, the oldest dropped when all are full.
 *
 * Each region has a stretch of host code, one of data (blocks, instructions, links) and a list of its blocks. To
 * drop one, everything outside that leads into it is led back to the loop: links, forwarded blocks, the jump
 * table, the hash. That looks at every link there is, once for each region that is filled: less than a
 * hundredth of what filling it took. The vcpu's own thread, outside of translated code.
 */
#include "cpu/jit/jit.h"

#include <errno.h>
#include <sys/mman.h>

#include "core/error.h"

#define CODE_MARGIN (64u << 10)
#define DATA_MARGIN (32u << 10)
#define DATA_FACTOR 3         /* bytes of data for each of code: more than any mix of instructions takes */
#define BLOCK_BYTES_LEAST 64  /* entrance and way out alone take more */
#define FEW_REGIONS_BELOW (4u << 20)
#define LARGE_PAGE (2u << 20)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25      /* Linux 6.1 */
#endif

static size_t large_pages(size_t bytes) { return (bytes + LARGE_PAGE - 1) & ~(size_t)(LARGE_PAGE - 1); }

/* Address space for the code, twice, and its data, each where large pages can begin. */
static bool reserve(Jit *j)
{
	j->space_size = 2 * large_pages(j->size) + large_pages(j->data_size) + LARGE_PAGE;
	j->space = mmap(NULL, j->space_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (j->space == MAP_FAILED)
		return false;
	j->write = (uint8_t *)large_pages((uintptr_t)j->space);
	j->run = j->write + large_pages(j->size);
	j->data = j->write + 2 * large_pages(j->size);
	return true;
}

/*
 * One memory, mapped twice. Not a memfd: perf(1) takes names from a process's map only for code in mappings without
 * a file (and such a one shows as /dev/zero).
 */
static bool map_code(Jit *j)
{
	return mmap(j->write, j->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) !=
		       MAP_FAILED &&
	       mremap(j->write, 0, j->size, MREMAP_MAYMOVE | MREMAP_FIXED, j->run) != MAP_FAILED && /* from 0: a second one */
	       !mprotect((void *)j->run, j->size, PROT_READ | PROT_EXEC);
}

static bool map_data(Jit *j)
{
	if (mprotect(j->data, j->data_size, PROT_READ | PROT_WRITE))
		return false;
	madvise(j->data, j->data_size, MADV_HUGEPAGE);
	return true;
}

bool cache_open(Jit *j, size_t bytes, GError **error)
{
	j->size = bytes;
	j->data_size = DATA_FACTOR * bytes;
	if (!reserve(j))
		return fail(error, VIV_ERROR_FAILED, "Cannot map memory for the JIT: %s. Make tb-size= smaller.",
			    g_strerror(errno));
	if (map_code(j) && map_data(j))
		return true;
	int err = errno;
	cache_close(j);
	return fail(error, VIV_ERROR_FAILED, "Cannot map executable memory for the JIT: %s. Allow shared mappings with "
		"PROT_EXEC for this user, or use -accel interp.", g_strerror(err));
}

void cache_close(Jit *j)
{
	munmap(j->space, j->space_size);
	for (unsigned i = 0; i < j->regions; i++)
		g_free(j->region[i].order);
}

/* Code that has been written for the first time moves into large pages, if the host has them: it is run all over the place. */
static void enlarge_pages(Jit *j)
{
	while (j->large + LARGE_PAGE <= jit_region(j)->used) {
		madvise(j->write + j->large, LARGE_PAGE, MADV_COLLAPSE);
		madvise((void *)(j->run + j->large), LARGE_PAGE, MADV_COLLAPSE);
		j->large += LARGE_PAGE;
	}
}

static void empty(JitRegion *r)
{
	r->used = r->code;
	r->data_used = r->data;
	r->ordered = 0;
}

void cache_divide(Jit *j, size_t fixed)
{
	j->regions = j->size < FEW_REGIONS_BELOW ? JIT_REGIONS / 2 : JIT_REGIONS;
	size_t code = (j->size - fixed) / j->regions & ~(size_t)63, data = j->data_size / j->regions & ~(size_t)63;
	for (unsigned i = 0; i < j->regions; i++) {
		JitRegion *r = &j->region[i];
		*r = (JitRegion){ .code = fixed + i * code, .code_end = fixed + (i + 1) * code,
				  .data = i * data, .data_end = (i + 1) * data, .order_size = code / BLOCK_BYTES_LEAST };
		r->order = g_new(JitBlock *, r->order_size);
		empty(r);
	}
}

void *jit_take(Jit *j, size_t bytes)
{
	JitRegion *r = jit_region(j);
	void *p = j->data + r->data_used;

	r->data_used += (bytes + 15) & ~(size_t)15;
	g_assert(r->data_used <= r->data_end);
	return p;
}

static bool has_room(const JitRegion *r)
{
	return r->used + CODE_MARGIN <= r->code_end && r->data_used + DATA_MARGIN <= r->data_end && r->ordered < r->order_size;
}

/* ---- dropping ---- */

static bool in_region(const Jit *j, const JitRegion *r, const uint8_t *code)
{
	return code >= j->run + r->code && code < j->run + r->code_end;
}

/* Where the jump whose rel32 stands at `site` of the writable mapping goes. */
static const uint8_t *jump_target(const Jit *j, const uint8_t *site)
{
	int32_t rel;

	memcpy(&rel, site, sizeof(rel));
	return j->run + (site - j->write) + 4 + rel;
}

static void unlink_from(Jit *j, const JitRegion *gone, JitLink *l)
{
	if (!in_region(j, gone, jump_target(j, l->jump)))
		return;
	Emit e = { l->jump, j->run - j->write };
	emit_rel(&e, l->exit);
	l->site = l->jump;
	if (l->key)
		memset(l->key, 0, sizeof(uint64_t));
}

/* A block that another one has replaced leads there; now back to the loop. */
static void forward_to_loop(Jit *j, const JitRegion *gone, JitBlock *b)
{
	if (!b->forwarded || !in_region(j, gone, b->forwarded))
		return;
	jit_forward(j, b, b->again_at);
	b->forwarded = NULL;
}

static void unlink_all(Jit *j, const JitRegion *gone)
{
	for (unsigned i = 0; i < j->regions; i++) {
		const JitRegion *r = &j->region[i];
		for (size_t n = 0; r != gone && n < r->ordered; n++) {
			JitBlock *b = r->order[n];
			for (JitLink *l = b->links; l; l = l->sibling)
				unlink_from(j, gone, l);
			forward_to_loop(j, gone, b);
		}
	}
}

bool cache_make_room(Jit *j)
{
	enlarge_pages(j);
	if (has_room(jit_region(j)))
		return false;
	JitRegion *oldest = &j->region[j->at = (j->at + 1) % j->regions];
	if (!oldest->ordered)
		return false;
	unlink_all(j, oldest);
	for (size_t i = 0; i < oldest->ordered; i++)
		jit_unfind(j, oldest->order[i]);
	empty(oldest);
	j->pending = NULL;
	j->counts.evicted++;
	return true;
}

void cache_empty(Jit *j)
{
	memset(j->hash, 0, sizeof(j->hash));
	for (unsigned i = 0; i < j->regions; i++)
		empty(&j->region[i]);
	j->at = 0;
	j->pending = NULL;
	j->counts.drops++;
}
