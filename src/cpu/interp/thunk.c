/*
 * thunk.c - emits thunks: see thunk.h.
 *
 * SDM vol. 2, 2.1 to 2.7 (encodings). Code is written through one mapping and run through
 * another, so no page is ever writable and executable. Register use inside a thunk: RDI
 * CpuVector, RSI memory operand, R9 ThunkRegs; RAX, RCX, RDX are the instruction's.
 */
#include "cpu/interp/thunk.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/error.h"
#include "cpu/interp/recode.h"

#define POOL_CODE (2u << 20)
#define THUNK_BYTES_MAX 512u

struct ThunkPool {
	uint8_t *write;       /* the same memory as */
	const uint8_t *run;
	size_t used;
	GHashTable *by_bytes; /* GBytes of the instruction -> Thunk */
	bool avx512;
};

static void host_level(ThunkPool *p)
{
	unsigned a, b, c, d;
	uint32_t xcr0 = 0;

	__cpuid(1, a, b, c, d);
	if (c & bit_OSXSAVE)
		asm volatile("xgetbv" : "=a"(xcr0), "=d"(d) : "c"(0));
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
		p->avx512 = b & bit_AVX512F && b & bit_AVX512BW && (xcr0 & 0xe6) == 0xe6;
}

/* ---- SIMD exceptions that the guest has unmasked come as SIGFPE ---- */
static _Thread_local const Thunk *trapping;
static _Thread_local volatile bool trapped;
static struct sigaction sigfpe_before;

static void on_sigfpe(int sig, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	const Thunk *t = trapping;

	if (t && (uintptr_t)*rip >= (uintptr_t)t->code && (uintptr_t)*rip < t->resume) {
		*rip = (greg_t)t->resume;
		trapped = true;
		return;
	}
	sigaction(SIGFPE, &sigfpe_before, NULL); /* not ours: it comes again */
}

static void catch_sigfpe(void)
{
	static gsize done;
	struct sigaction sa = { .sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	if (g_once_init_enter(&done)) {
		sigaction(SIGFPE, &sa, &sigfpe_before);
		g_once_init_leave(&done, 1);
	}
}

bool thunk_run_trapping(const Thunk *t, CpuVector *vec, void *mem, ThunkRegs *regs)
{
	trapped = false;
	trapping = t;
	atomic_signal_fence(memory_order_seq_cst);
	t->code(vec, mem, 0, 0, 0, regs);
	atomic_signal_fence(memory_order_seq_cst);
	trapping = NULL;
	return trapped;
}

static guint bytes_hash(gconstpointer key) { return g_bytes_hash(key); }

ThunkPool *thunk_pool_new(GError **error)
{
	ThunkPool *p = g_new0(ThunkPool, 1);
	int fd = memfd_create("viv-thunks", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, POOL_CODE) == 0) {
		p->write = mmap(NULL, POOL_CODE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		p->run = mmap(NULL, POOL_CODE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	}
	int err = errno;
	if (fd >= 0)
		close(fd);
	if (!p->write || p->write == MAP_FAILED || p->run == MAP_FAILED) {
		g_free(p);
		fail(error, VIV_ERROR_FAILED, "Cannot map executable memory for the software CPU: %s. "
		     "Allow memfd mappings with PROT_EXEC for this user.", g_strerror(err));
		return NULL;
	}
	p->by_bytes = g_hash_table_new_full(bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, g_free);
	host_level(p);
	catch_sigfpe();
	return p;
}

void thunk_pool_free(ThunkPool *p)
{
	if (!p)
		return;
	munmap(p->write, POOL_CODE);
	munmap((void *)p->run, POOL_CODE);
	g_hash_table_destroy(p->by_bytes);
	g_free(p);
}

bool thunk_pool_room(const ThunkPool *p, unsigned n)
{
	return p->used + n * THUNK_BYTES_MAX <= POOL_CODE;
}

void thunk_pool_reset(ThunkPool *p)
{
	p->used = 0;
	g_hash_table_remove_all(p->by_bytes);
}

/* ---- emitting ---- */
typedef struct Emit {
	ThunkPool *pool;
	uint8_t *p;
	const Decoded *d;
	uint32_t vregs, vdest; /* vector registers involved, and written */
	uint8_t kregs, kdest;
	uint32_t first_v;      /* the first operand's register */
	uint8_t first_k;
	bool g, e;        /* general registers involved: modrm.reg in RAX, modrm.rm in RCX */
} Emit;

static void b1(Emit *m, unsigned v) { *m->p++ = (uint8_t)v; }
static void b4(Emit *m, uint32_t v)
{
	memcpy(m->p, &v, 4);
	m->p += 4;
}
static void bytes(Emit *m, const char *s, unsigned n)
{
	memcpy(m->p, s, n);
	m->p += n;
}

/*
 * A vector register to or from CpuVector. Legacy instructions touch the low 16 bytes only; of others as much is
 * loaded as counts (wider loads would wait for narrow stores before them), and all that the host has is stored.
 */
static void move_vector(Emit *m, unsigned reg, bool store)
{
	const Decoded *d = m->d;
	uint32_t at = (uint32_t)(offsetof(CpuVector, zmm) + 64 * reg);
	unsigned not_r = reg & 8 ? 0 : 0x80;
	unsigned wide = d->row->l == LEN_IGNORED ? 0 : d->evex_b && !d->is_mem ? 2 : d->vl;

	if (d->row->enc == ENC_LEGACY) {
		if (reg & 8)
			b1(m, 0x44);
		b1(m, 0x0f);
	} else if (reg > 15 || (m->pool->avx512 && (store || wide == 2))) {
		b1(m, 0x62);
		b1(m, not_r | 0x60 | (reg & 16 ? 0 : 0x10) | 1);
		b1(m, 0x7c);
		b1(m, 0x48);
	} else {
		b1(m, 0xc5);
		b1(m, not_r | 0x78 | (store || wide ? 4 : 0));
	}
	b1(m, store ? 0x11 : 0x10);
	b1(m, 0x87 | (reg & 7) << 3);
	b4(m, at);
}

static void move_mask(Emit *m, unsigned k, bool store)
{
	bytes(m, "\xc4\xe1\xf8", 3);
	b1(m, store ? 0x91 : 0x90);
	b1(m, 0x87 | k << 3);
	b4(m, (uint32_t)(offsetof(CpuVector, k) + 8 * k));
}

/* MOV between a general register (RAX 0, RCX 1, RDX 2) and [R9 + at]. */
static void move_gpr(Emit *m, unsigned reg, size_t at, bool store)
{
	b1(m, 0x49);
	b1(m, store ? 0x89 : 0x8b);
	b1(m, 0x41 | reg << 3);
	b1(m, (unsigned)at);
}

static unsigned modrm_reg(const Decoded *d) { return d->reg | (d->evex_reg_hi ? 16u : 0); }
static unsigned modrm_rm(const Decoded *d)
{
	return d->rm | (d->row->enc == ENC_EVEX && d->rex & 2 ? 16u : 0);
}

/* The register in imm8[7:4]; the top bit counts in 64-bit mode only. */
static unsigned is4(const Decoded *d)
{
	return (uint8_t)d->imm >> 4 & (d->code64 ? 15 : 7);
}

static void note_operand(Emit *m, uint8_t opnd)
{
	const Decoded *d = m->d;

	switch (opnd_letter(opnd)) {
	case 'V': m->vregs |= 1u << modrm_reg(d); break;
	case 'W': case 'U':
		if (!d->is_mem)
			m->vregs |= 1u << modrm_rm(d);
		break;
	case 'H': m->vregs |= 1u << (d->vvvv | (d->evex_v_hi ? 16 : 0)); break;
	case 'L': m->vregs |= 1u << is4(d); break;
	case 'G': m->g = true; break;
	case 'E': case 'R':
		if (!d->is_mem)
			m->e = true;
		break;
	case 'K': /* r/m ignores the extension bits */
		if (opnd_size(opnd) == 'r')
			m->kregs |= 1u << (d->reg & 7);
		else if (opnd_size(opnd) == 'v')
			m->kregs |= 1u << (d->vvvv & 7);
		else if (!d->is_mem)
			m->kregs |= 1u << (d->rm & 7);
		break;
	}
}

/* Registers that no operand names. */
static void note_implicit(Emit *m)
{
	const Decoded *d = m->d;

	if (!(d->row->vec & VEC_FLAGS)) {
		m->vdest = m->first_v;
		m->kdest = m->first_k;
	}
	if (d->evex_aaa)
		m->kregs |= 1u << d->evex_aaa;
	/* PBLENDVB, BLENDVPx, SHA256RNDS2; PCMPxSTRM's result */
	if (d->row->vec & VEC_SPECIAL && (d->row->enc == ENC_LEGACY || (d->row->map == 3 && !(d->opcode & 1))))
		m->vregs |= 1;
	if (d->row->vec & VEC_SPECIAL && d->row->map == 3 && d->row->vec & VEC_FLAGS && !(d->opcode & 1))
		m->vdest |= 1;
}

/* RAX is modrm.reg, RCX modrm.rm, RSI where the memory operand is. */
static void put_instruction(Emit *m)
{
	static const Recode with = { .g = 0, .e = 1, .mem = 6, .index = -1 };

	m->p = recode(m->p, m->d, &with);
}

static void put_loads(Emit *m)
{
	uint32_t vec = m->d->row->vec;

	if (vec & (VEC_X87 | VEC_MMX)) {
		bytes(m, "\x48\x0f\xae\x8f", 4); /* fxrstor64 */
		b4(m, offsetof(CpuVector, fx));
	}
	for (unsigned i = 0; i < 32; i++)
		if (m->vregs >> i & 1)
			move_vector(m, i, false);
	for (unsigned i = 0; i < 8; i++)
		if (m->kregs >> i & 1)
			move_mask(m, i, false);
	if (vec & VEC_FP) {
		bytes(m, "\x0f\xae\x97", 3); /* ldmxcsr */
		b4(m, offsetof(CpuVector, mxcsr));
	}
	if (vec & VEC_X87) { /* FCMOVcc reads the flags */
		move_gpr(m, 0, offsetof(ThunkRegs, arith), false);
		bytes(m, "\x04\x7f\x9e", 3); /* add al, 127; sahf */
	}
	if (m->g || vec & VEC_SPECIAL)
		move_gpr(m, 0, offsetof(ThunkRegs, g), false);
	if (m->e)
		move_gpr(m, 1, offsetof(ThunkRegs, e), false);
	if (vec & VEC_SPECIAL)
		move_gpr(m, 2, offsetof(ThunkRegs, dx), false);
}

static void put_stores(Emit *m)
{
	uint32_t vec = m->d->row->vec;

	if (m->g || vec & VEC_GPR)
		move_gpr(m, 0, offsetof(ThunkRegs, g), true);
	if (m->e || vec & VEC_SPECIAL)
		move_gpr(m, 1, offsetof(ThunkRegs, e), true);
	if (vec & VEC_FLAGS) {
		bytes(m, "\x9f\x0f\x90\xc0", 4); /* lahf; seto al */
		move_gpr(m, 0, offsetof(ThunkRegs, arith), true);
	}
	for (unsigned i = 0; i < 32; i++)
		if (m->vdest >> i & 1)
			move_vector(m, i, true);
	for (unsigned i = 0; i < 8; i++)
		if (m->kdest >> i & 1)
			move_mask(m, i, true);
}

/* What happens after a SIMD exception too. */
static void put_end(Emit *m)
{
	uint32_t vec = m->d->row->vec;

	if (vec & VEC_FP) {
		bytes(m, "\x0f\xae\x9f", 3); /* stmxcsr */
		b4(m, offsetof(CpuVector, mxcsr));
	}
	if (vec & (VEC_X87 | VEC_MMX)) {
		bytes(m, "\x48\x0f\xae\x87", 4); /* fxsave64 */
		b4(m, offsetof(CpuVector, fx));
		bytes(m, "\xdb\xe3", 2); /* fninit: C code finds an empty unit */
	}
	if (vec & (VEC_FP | VEC_X87 | VEC_MMX)) {
		bytes(m, "\x41\x0f\xae\x51", 4); /* ldmxcsr [r9 + host_mxcsr] */
		b1(m, offsetof(ThunkRegs, host_mxcsr));
	}
	if (m->d->row->enc != ENC_LEGACY)
		bytes(m, "\xc5\xf8\x77", 3); /* vzeroupper */
	b1(m, 0xc3);
}

/* ---- facts of one encoding ---- */
static void describe_mask(const Decoded *d, Thunk *t)
{
	const OpRow *r = d->row;
	unsigned vl = 16u << d->vl;
	unsigned elem = r->vec & VEC_ELEM1 ? 1 : r->vec & VEC_ELEM2 ? 2 : r->vec & VEC_ELEM4 ? 4 : 8;
	bool store = r->vec & VEC_STORE;

	if (!d->evex_aaa || !d->is_mem || (r->vec & VEC_NF && !store))
		return;
	t->mask = d->evex_aaa;
	if (r->l == LEN_IGNORED) { /* a scalar */
		t->lanes = 1;
		t->step = (uint8_t)t->mem;
	} else if (r->vec & VEC_VL && !d->evex_b) {
		t->lanes = (uint8_t)(vl / elem);
		t->step = (uint8_t)(t->mem / t->lanes);
	} else {
		t->lanes = (uint8_t)(store ? t->mem / elem : vl / elem);
		t->step = (uint8_t)(store ? elem : 0);
	}
}

static void describe(const Emit *m, Thunk *t)
{
	const Decoded *d = m->d;

	t->row = d->row;
	t->vec = d->row->vec;
	t->enc = m->kregs ? ENC_EVEX : d->row->enc;
	t->mem = (uint16_t)decoded_mem_bytes(d);
	if (t->enc == ENC_EVEX)
		describe_mask(d, t);
	if (t->vec & VEC_GPR)
		t->gpr_out = t->vec & VEC_X87 ? THUNK_OUT_AX : m->g ? THUNK_OUT_G : m->e ? THUNK_OUT_E : THUNK_OUT_NONE;
}

const Thunk *thunk_get(ThunkPool *pool, const Decoded *d)
{
	Emit m = { .pool = pool, .d = d };
	uint8_t code[THUNK_BYTES_MAX];

	for (unsigned k = 0; k < 5 && d->row->operands[k]; k++) {
		note_operand(&m, d->row->operands[k]);
		if (k == 0) {
			m.first_v = m.vregs;
			m.first_k = m.kregs;
		}
	}
	note_implicit(&m);
	m.p = code;
	put_loads(&m);
	put_instruction(&m);
	put_stores(&m);
	size_t resume = (size_t)(m.p - code);
	put_end(&m);
	GBytes *key = g_bytes_new(code, (gsize)(m.p - code));
	Thunk *t = g_hash_table_lookup(pool->by_bytes, key);
	if (t) {
		g_bytes_unref(key);
		return t;
	}
	t = g_new0(Thunk, 1);
	describe(&m, t);
	memcpy(pool->write + pool->used, code, (size_t)(m.p - code));
	t->code = (ThunkCode)(uintptr_t)(pool->run + pool->used);
	t->resume = (uintptr_t)(pool->run + pool->used + resume);
	pool->used += ((size_t)(m.p - code) + 15) & ~(size_t)15;
	g_hash_table_insert(pool->by_bytes, key, t);
	return t;
}
