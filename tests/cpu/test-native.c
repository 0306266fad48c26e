/*
 * test-native.c - the software CPU against the host's own: random instruction sequences run in
 * both, and every register, flag, vector and x87 register and byte of memory is compared.
 *
 * usage: test-native [--jit] [--seconds N] [--seed S] [--only MNEMONIC] [--length N] [--code32]
 * Instructions are made from the opcode table, so a new row is tested without a new line here.
 */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/features.h"
#include "cpu/jit/translate.h"
#include "cpu/models.h"
#include "native.h"
#include "program.h"
#include "sequence.h"

/* ---- the interpreter's world: code and data at the child's addresses, page tables below ---- */
#define TABLES_SIZE 0x10000u

typedef struct World {
	RamArena arena;
	uint8_t *code, *data, *tables;
	Cpu *cpu;
	bool tripled;
} World;

static bool world_translate(void *opaque, uint64_t gpa, Translation *out)
{
	World *w = opaque;
	static const struct { uint64_t base, size; } areas[3] = {
		{0, TABLES_SIZE}, {NATIVE_CODE, NATIVE_CODE_SIZE}, {NATIVE_DATA, NATIVE_DATA_SIZE}};
	uint8_t *host[3] = {w->tables, w->code, w->data};

	for (int i = 0; i < 3; i++)
		if (gpa - areas[i].base < areas[i].size) {
			uint8_t *p = host[i] + (gpa - areas[i].base);
			*out = (Translation){ p, p, areas[i].size - (gpa - areas[i].base) };
			return true;
		}
	return false;
}
static uint64_t no_mmio_read(void *opaque, uint64_t gpa, unsigned size) { return UINT64_MAX; }
static void no_mmio_write(void *opaque, uint64_t gpa, uint64_t value, unsigned size) {}
static uint32_t no_io_read(void *opaque, uint16_t port, unsigned size) { return UINT32_MAX; }
static void no_io_write(void *opaque, uint16_t port, uint32_t value, unsigned size) {}
static uint64_t no_tsc(void *opaque) { return 0; }
static void tripled(void *opaque, Cpu *cpu) { ((World *)opaque)->tripled = true; }

static const CpuWorld world_ops = {
	.translate = world_translate, .mmio_read = no_mmio_read, .mmio_write = no_mmio_write,
	.io_read = no_io_read, .io_write = no_io_write, .tsc = no_tsc, .triple_fault = tripled,
};

static void put64(World *w, uint64_t at, uint64_t v) { memcpy(w->tables + at, &v, 8); }

/* Neighbouring pages of data are no neighbours in memory: an access across them that is not cut in two is found. */
static unsigned data_frame(unsigned page) { return page ^ 1; }

/* So are the two of code. */
static uint8_t *code_page(World *w, unsigned page) { return w->code + (page ^ 1) * 4096u; }

static uint8_t *data_page(World *w, unsigned page) { return w->data + data_frame(page) * 4096u; }

/* 4 KiB pages for code and data only, user accessible; everything else faults. */
static void build_tables(World *w)
{
	put64(w, 0x1000, 0x2007);
	put64(w, 0x2000, 0x3007);
	put64(w, 0x3000 + (NATIVE_CODE >> 21) * 8, 0x4007);
	put64(w, 0x3000 + (NATIVE_DATA >> 21) * 8, 0x5007);
	for (unsigned i = 0; i < NATIVE_CODE_SIZE >> 12; i++)
		put64(w, 0x4000 + i * 8, (NATIVE_CODE + (i ^ 1) * 4096ull) | 0x67);
	for (unsigned i = 0; i < NATIVE_DATA_SIZE >> 12; i++)
		put64(w, 0x5000 + i * 8, (NATIVE_DATA + data_frame(i) * 4096ull) | 0x67 | 1ull << 63);
}

static void enter_user(Cpu *cpu, bool code32)
{
	cpu->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_ET;
	cpu->cr3 = 0x1000;
	cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	cpu->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	cpu->xcr0 = cpu->xcr0_supported ? cpu->xcr0_supported & 0xe7 : 7;
	cpu->cpl = 3;
	for (int i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (Segment){ 0, UINT32_MAX, SEG_P | SEG_S | SEG_W | SEG_A | 3 << 5 | SEG_DB | SEG_G, 0x2b };
	cpu->seg[CS] = (Segment){ 0, UINT32_MAX, SEG_P | SEG_S | SEG_CODE | SEG_W | SEG_A | 3 << 5 | SEG_G | (code32 ? SEG_DB : SEG_L),
				code32 ? 0x23 : 0x33 };
	cpu->seg[GS].base = code32 ? 0 : NATIVE_GS;
	cpu_update_mode(cpu);
	cpu_tlb_flush(cpu, true);
}

static World *world_new(Native *native, bool jit)
{
	World *w = g_new0(World, 1);
	GError *error = NULL;

	if (!ram_arena_init(&w->arena, NATIVE_CODE_SIZE + NATIVE_DATA_SIZE + TABLES_SIZE, &error))
		g_error("%s", error->message);
	w->code = ram_arena_alloc(&w->arena, NATIVE_CODE_SIZE, NULL);
	w->data = ram_arena_alloc(&w->arena, NATIVE_DATA_SIZE, NULL);
	w->tables = ram_arena_alloc(&w->arena, TABLES_SIZE, NULL);
	build_tables(w);
	w->cpu = cpu_new(0, &world_ops, w, &w->arena);
	CpuTopology topo = { 1, 1, 1 };
	GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
	if (!cpu_model_apply(w->cpu, "max", &topo, false, warnings, &error) || !interp_init(w->cpu, &error))
		g_error("%s", error->message);
	g_ptr_array_free(warnings, true);
	if (jit && !jit_init(w->cpu, 1u << 20, &error))
		g_error("%s", error->message);
	if (jit)
		jit_set_heat(w->cpu, 0);
	cpu_reset(w->cpu);
	return w;
}

/* ---- running and comparing ---- */
static void random_state(NativeState *s)
{
	memset(s, 0, sizeof(*s));
	for (int i = 0; i < 16; i++)
		s->regs[i] = edgy();
	/* a_base()'s, and what REX.B makes of them */
	static const int pointers[] = {RBX, RSP, RBP, RSI, RDI, R11, R13, R14, R15};
	for (unsigned i = 0; i < G_N_ELEMENTS(pointers); i++)
		s->regs[pointers[i]] = NATIVE_DATA + 0x2000 + below(0xc000);
	if (below(2))
		for (unsigned i = 0; i < G_N_ELEMENTS(pointers); i++)
			s->regs[pointers[i]] &= ~63ull;
	if (sequence_frame) /* often across a page's end */
		for (unsigned i = 0; i < G_N_ELEMENTS(pointers); i++)
			s->regs[pointers[i]] = (s->regs[pointers[i]] | 0xfff) - below(400);
	if (below(8) == 0) /* near the end, behind which everything faults */
		s->regs[pointers[below(G_N_ELEMENTS(pointers))]] = NATIVE_DATA + NATIVE_DATA_SIZE - 64 + below(128);
	if (below(4) == 0)
		for (unsigned i = 0; i < G_N_ELEMENTS(pointers); i++)
			if (below(3) == 0)
				s->regs[pointers[i]] |= 0xff8;
	if (below(2))
		s->regs[RCX] = below(40);
	if (below(2)) /* indices */
		s->regs[R12] = s->regs[RDX] = below(64) * 8;
	if (sequence_looping)
		s->regs[RDX] = below(64) * 8;
	s->rflags = rand32() & FLAGS_ARITH;
	s->mxcsr = below(4) ? 0x1f80 : rand32() & 0xffff;
	for (int i = 0; i < 32; i++)
		for (int k = 0; k < 8; k++) {
			uint64_t v = edgy();
			if (below(4) == 0) { /* ordinary numbers */
				double x = (double)(int32_t)rand32() / 1000;
				memcpy(&v, &x, 8);
			} else if (below(4) == 0) {
				float x[2] = {(float)(int32_t)rand32() / 100, 1.5f};
				memcpy(&v, x, 8);
			}
			memcpy(s->zmm[i] + 8 * k, &v, 8);
		}
	for (int i = 0; i < 8; i++)
		s->k[i] = edgy();
	uint16_t fcw = below(4) ? 0x37f : (uint16_t)((rand32() & 0x0f3f) | 0x40);
	memcpy(s->fx, &fcw, 2);
	s->fx[3] = (uint8_t)(below(8) << 3);
	s->fx[4] = (uint8_t)(below(2) ? 0xff : rand32());
	for (int i = 0; i < 8; i++) {
		uint64_t m = rand64() | 1ull << 63;
		uint16_t e = (uint16_t)(below(4) ? 16383 - 40 + below(80) : rand32());
		memcpy(s->fx + 32 + 16 * i, &m, 8);
		memcpy(s->fx + 32 + 16 * i + 8, &e, 2);
	}
}

static void load_cpu(World *w, const NativeState *s)
{
	Cpu *cpu = w->cpu;

	memcpy(cpu->regs, s->regs, sizeof(s->regs));
	cpu->rip = s->rip;
	cpu_set_rflags(cpu, s->rflags | FLAGS_FIXED | FLAG_IF);
	memcpy(cpu->vec.zmm, s->zmm, sizeof(s->zmm));
	memcpy(cpu->vec.k, s->k, sizeof(s->k));
	memcpy(cpu->vec.fx, s->fx, 160);
	cpu->vec.mxcsr = s->mxcsr;
}

/* A loop whose counter was overwritten may have billions of turns before it: the host is given half a second. */
#define MOST_STEPS 10000000

/*
 * Runs until an exception; the empty IDT turns its delivery into a triple fault after the registers are known.
 * false: none came.
 */
static bool run_interp(World *w, NativeState *s)
{
	Cpu *cpu = w->cpu;

	w->tripled = false;
	cpu->halted = false;
	cpu->idtr = (TableReg){ 0, 0 };
	cpu->exc_vector = -1;
	for (int n = 0; n < MOST_STEPS && !w->tripled; n++)
		if (cpu->jit)
			interp_run(cpu);
		else
			interp_step(cpu);
	memcpy(s->regs, cpu->regs, sizeof(s->regs));
	s->rip = cpu->rip;
	s->rflags = cpu_rflags(cpu);
	memcpy(s->zmm, cpu->vec.zmm, sizeof(s->zmm));
	memcpy(s->k, cpu->vec.k, sizeof(s->k));
	memcpy(s->fx, cpu->vec.fx, 160);
	s->mxcsr = cpu->vec.mxcsr;
	return w->tripled;
}

static bool differs(const char *what, const void *a, const void *b, size_t n, GString *out)
{
	if (!memcmp(a, b, n))
		return false;
	g_string_append_printf(out, "  %s:\n    host  ", what);
	for (size_t i = 0; i < n; i++)
		g_string_append_printf(out, "%02x%s", ((const uint8_t *)a)[i], i % 8 == 7 ? " " : "");
	g_string_append(out, "\n    viv   ");
	for (size_t i = 0; i < n; i++)
		g_string_append_printf(out, "%02x%s", ((const uint8_t *)b)[i], i % 8 == 7 ? " " : "");
	g_string_append_c(out, '\n');
	return true;
}

/* The instruction that did; false: none, or none is there. */
static bool faulted(Native *n, const World *w, const NativeState *host, Decoded *d)
{
	uint64_t at = host->rip - NATIVE_CODE;

	return host->trap != 3 && at < NATIVE_CODE_SIZE - INSN_MAX &&
	       decode(native_code(n) + at, INSN_MAX, w->cpu->mode, w->cpu->features, d) == DECODE_OK;
}

/* What a faulting instruction has done already on the host, though the manuals do not say so: not compared. */
typedef struct Imprecise { bool x87, memory, regs; } Imprecise;
static Imprecise imprecise(Native *n, const World *w, const NativeState *host)
{
	Decoded d;

	if (!faulted(n, w, host, &d))
		return (Imprecise){ false, false, false };
	/* MMX turns the unit over first; FBSTP and FSTP m80 write in pieces; POPA loads one by one. */
	return (Imprecise){ d.row->vec & VEC_MMX, d.row->vec & VEC_X87 && d.row->vec & VEC_STORE && d.row->mem == 10,
			    d.row->exec == X_POPA };
}

/* MASKMOVQ and MASKMOVDQU with a mask of zeros may fault or not (SDM vol. 2B, MASKMOVDQU). */
static bool fault_is_optional(Native *n, const World *w, const NativeState *host)
{
	Decoded d;

	return faulted(n, w, host, &d) && d.row->exec == X_VEC && d.row->map == 1 && d.row->opcode == 0xf7;
}

static bool page_differs(const uint8_t *host, const uint8_t *viv, unsigned page, GString *out)
{
	unsigned at = 0;
	char name[32];

	if (!memcmp(host, viv, 4096))
		return false;
	while (host[at] == viv[at])
		at++;
	g_snprintf(name, sizeof(name), "memory at %#x", page * 4096 + (at & ~15u));
	return differs(name, host + (at & ~15u), viv + (at & ~15u), 16, out);
}

static bool compare_states(Native *n, World *w, const NativeState *host, const NativeState *viv, uint32_t flags, GString *out)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
	bool bad = false;
	Imprecise skip = imprecise(n, w, host);

	for (int i = 0; i < 16 && !skip.regs; i++)
		bad |= differs(names[i], &host->regs[i], &viv->regs[i], 8, out);
	uint32_t fa = host->rflags & flags, fb = viv->rflags & flags;
	bad |= differs("rip", &host->rip, &viv->rip, 8, out);
	bad |= differs("flags", &fa, &fb, 4, out);
	bad |= differs("mxcsr", &host->mxcsr, &viv->mxcsr, 4, out);
	unsigned width = native_has(n, 6) ? 64 : native_has(n, 2) ? 32 : 16;
	for (int i = 0; i < (native_has(n, 7) ? 32 : 16); i++) {
		char name[16];
		g_snprintf(name, sizeof(name), "zmm%d", i);
		bad |= differs(name, host->zmm[i], viv->zmm[i], width, out);
	}
	if (native_has(n, 5))
		bad |= differs("k", host->k, viv->k, 64, out);
	bool x87 = !skip.x87;
	bad |= x87 && differs("x87 control", host->fx, viv->fx, 5, out);
	for (int i = 0; i < 8 && x87; i++) {
		char name[16];
		g_snprintf(name, sizeof(name), "st%d", i);
		bad |= differs(name, host->fx + 32 + 16 * i, viv->fx + 32 + 16 * i, 10, out);
	}
	for (unsigned page = 0; page < NATIVE_DATA_SIZE >> 12 && !skip.memory; page++)
		bad |= page_differs(native_data(n) + page * 4096u, data_page(w, page), page, out);
	for (unsigned page = 0; page < NATIVE_CODE_SIZE >> 12; page++)
		bad |= page_differs(native_code(n) + page * 4096u, code_page(w, page), (unsigned)(NATIVE_CODE >> 12) + page, out);
	return bad;
}

typedef struct Run {
	World *world;
	Native *native;
	Program program;
	uint8_t data[NATIVE_DATA_SIZE]; /* where programs begin */
	uint64_t sequences, given_up, differences;
} Run;

static void report(Run *run, const uint8_t *code, unsigned len, const GString *text, int trap)
{
	unsigned at = 0;

	printf("# difference after %" G_GUINT64_FORMAT " sequences, host exception %d\n", run->sequences, trap);
	while (at < len) {
		Decoded d;
		if (decode(code + at, len - at, run->world->cpu->mode, run->world->cpu->features, &d) != DECODE_OK) {
			printf("#   (#UD)       ");
			for (unsigned i = at; i < len; i++)
				printf(" %02x", code[i]);
			printf("\n");
			break;
		}
		bool nop = code[at] == 0x90;
		if (!nop)
			printf("# %3x %-12s", at, d.row->name);
		for (unsigned i = 0; i < d.len && !nop; i++)
			printf(" %02x", code[at + i]);
		printf("%s", nop ? "" : "\n");
		at += d.len;
	}
	gchar **lines = g_strsplit(text->str, "\n", -1);
	for (gchar **l = lines; *l; l++)
		printf("# %s\n", *l);
	g_strfreev(lines);
}

/* One instruction ran to its end: what the translator believes of its effect on the registers is true. */
static bool belied(const Run *run, const uint8_t *code, const NativeState *before, const NativeState *after, GString *out)
{
	bool bad = false;
	Decoded d;

	if (run->program.code32 || decode(code, 15, run->world->cpu->mode, run->world->cpu->features, &d) != DECODE_OK ||
	    d.row->attrs & ATTR_END || code[d.len] != 0xcc || after->rip != before->rip + d.len)
		return false;
	for (unsigned r = 0; r < 16; r++) {
		int64_t by;
		Access a = { .base = (uint8_t)r, .index = SLOT_ZERO };
		if (!share_steady(&d, &a, &by) || after->regs[r] == before->regs[r] + (uint64_t)by)
			continue;
		g_string_append_printf(out, "  register %u is believed to move by %" G_GINT64_FORMAT "\n", r, by);
		bad = true;
	}
	return bad;
}

/* Runs the sequence from `from` in both and compares; false: one of them was given up. */
static bool try_sequence(Run *run, const uint8_t *code, unsigned len, const NativeState *from, GString *text, int *trap)
{
	uint32_t flags = FLAGS_ARITH | FLAG_DF;
	NativeState host = *from, viv = *from;

	memcpy(native_data(run->native), run->data, NATIVE_DATA_SIZE);
	for (unsigned page = 0; page < NATIVE_DATA_SIZE >> 12; page++)
		memcpy(data_page(run->world, page), run->data + page * 4096u, 4096);
	memset(native_code(run->native), 0, NATIVE_CODE_SIZE);
	memcpy(native_code(run->native) + run->program.at, code, len);
	for (unsigned page = 0; page < NATIVE_CODE_SIZE >> 12; page++)
		memcpy(code_page(run->world, page), native_code(run->native) + page * 4096u, 4096);
	ram_written(&run->world->arena, run->world->code, NATIVE_CODE_SIZE);
	load_cpu(run->world, from);
	if (!native_run(run->native, &host) || fault_is_optional(run->native, run->world, &host))
		return false;
	if (!run_interp(run->world, &viv))
		return false;
	*trap = host.trap;
	if (run->world->cpu->jit && host.trap != 3)
		flags = FLAG_DF; /* those that nothing reads are not kept for the frame of an exception */
	if (host.trap == 3 || host.trap == 1) /* INT3 and INT1 are traps: RIP is behind them there */
		host.rip--;
	g_string_truncate(text, 0);
	compare_states(run->native, run->world, &host, &viv, flags, text);
	if (host.trap == 3)
		belied(run, code, from, &viv, text);
	return true;
}

/* Without it the loop might not end. */
static bool turns(const Decoded *d) { return d->row->exec == X_JCC || names_counter(d); }

/* What does not matter for the difference becomes NOPs. */
static void shorten(Run *run, uint8_t *code, unsigned len, const NativeState *from, GString *text, int *trap)
{
	Decoded d;

	for (unsigned at = 0; at + 1 < len; at += d.len) {
		uint8_t before[INSN_MAX];
		if (decode(code + at, len - at, run->world->cpu->mode, run->world->cpu->features, &d) != DECODE_OK)
			break;
		if (sequence_counters && turns(&d))
			continue;
		memcpy(before, code + at, d.len);
		memset(code + at, 0x90, d.len);
		if (!try_sequence(run, code, len, from, text, trap) || !text->len)
			memcpy(code + at, before, d.len);
	}
	try_sequence(run, code, len, from, text, trap);
}

static void one_sequence(Run *run)
{
	uint8_t code[PROGRAM_SIZE];
	unsigned len = program_make(&run->program, code, sizeof(code)), part = run->sequences % (NATIVE_DATA_SIZE / 1024) * 1024;
	NativeState s;
	int trap;

	for (unsigned i = part; i < part + 1024; i += 8) {
		uint64_t v = edgy();
		memcpy(run->data + i, &v, 8);
	}
	random_state(&s);
	s.rip = NATIVE_CODE + run->program.at;
	s.code32 = run->program.code32;
	for (int i = 0; i < 16 && run->program.code32; i++)
		s.regs[i] = i < 8 ? (uint32_t)s.regs[i] : 0;
	GString *text = g_string_new(NULL);
	if (try_sequence(run, code, len, &s, text, &trap)) {
		run->sequences++;
		if (text->len && ++run->differences <= 20) {
			shorten(run, code, len, &s, text, &trap);
			report(run, code, len, text, trap);
		}
	} else {
		run->given_up++;
	}
	g_string_free(text, true);
}

int main(int argc, char **argv)
{
	gint seconds = 10, length = 4;
	gint64 seed = 1;
	gchar *only = NULL;
	gboolean code32 = FALSE, jit = FALSE;
	GOptionEntry entries[] = {
		{"seconds", 0, 0, G_OPTION_ARG_INT, &seconds, "how long to run", "N"},
		{"seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the random sequences", "S"},
		{"only", 0, 0, G_OPTION_ARG_STRING, &only, "one mnemonic", "NAME"},
		{"length", 0, 0, G_OPTION_ARG_INT, &length, "instructions in a sequence, at most", "N"},
		{"jit", 0, 0, G_OPTION_ARG_NONE, &jit, "translated code, not the interpreter", NULL},
		{"code32", 0, 0, G_OPTION_ARG_NONE, &code32, "32-bit code", NULL},
		{NULL}};
	GOptionContext *c = g_option_context_new(NULL);
	g_option_context_add_main_entries(c, entries, NULL);
	GError *error = NULL;
	if (!g_option_context_parse(c, &argc, &argv, &error)) {
		fprintf(stderr, "%s\n", error->message);
		return 2;
	}
	sequence_seed((uint32_t)seed);
	sequence_data = code32 ? 0 : (uint32_t)(NATIVE_DATA - NATIVE_CODE);
	static Run run;
	run.native = native_new();
	run.world = world_new(run.native, jit);
	enter_user(run.world->cpu, code32);
	program_init(&run.program, run.world->cpu, only, (unsigned)length);
	unsigned rows = run.program.rows->len;
	gint64 end = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
	while (g_get_monotonic_time() < end && rows)
		one_sequence(&run);
	/* Too many without an end would be a loop that ours does not leave. */
	bool ok = !run.differences && run.sequences && (only || run.given_up < run.sequences / 128 + 16);
	printf("1..1\n# %u rows, %" G_GUINT64_FORMAT " sequences, %" G_GUINT64_FORMAT " given up, %" G_GUINT64_FORMAT
	       " differences\n%s 1 - host and %s agree\n",
	       rows, run.sequences, run.given_up, run.differences, ok ? "ok" : "not ok", jit ? "JIT" : "interpreter");
	native_free(run.native);
	return !ok;
}
