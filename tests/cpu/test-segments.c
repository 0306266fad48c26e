/*
 * test-segments.c - translated code against the interpreter, where segments count: real mode, V86 mode, 16-bit and 32-bit
 * protected mode, with bases, limits and rights at random. Random instruction sequences with jumps, loops and calls
 * run in two processors; registers, flags, segments and memory are compared.
 *
 * usage: test-segments [--mode real|v86|prot16|prot32] [--seconds N] [--seed S] [--only MNEMONIC] [--length N]
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/features.h"
#include "cpu/models.h"
#include "sequence.h"

#define RAM_SIZE 0x40000u
#define CODE_AREA 0x30000u    /* data segments begin below 0x20000 */
#define BUDGET 4000           /* instructions of one sequence; one that runs longer is given up */
#define INT3 0xcc

typedef enum Mode { REAL, V86, PROT16, PROT32, MODES } Mode;
static const char *const mode_names[MODES] = {"real", "v86", "prot16", "prot32"};

typedef struct World {
	RamArena arena;
	uint8_t *ram;
	Cpu *cpu;
	bool tripled;
} World;

static bool world_translate(void *opaque, uint64_t gpa, Translation *out)
{
	World *w = opaque;

	if (gpa >= RAM_SIZE)
		return false;
	/* Code is not written to: the oracle looks at it between two elements of a string, translated code does not. */
	bool code = gpa >= CODE_AREA;
	*out = (Translation){ w->ram + gpa, code ? NULL : w->ram + gpa, (code ? RAM_SIZE : CODE_AREA) - gpa };
	return true;
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

static World *world_new(bool jit)
{
	World *w = g_new0(World, 1);
	CpuTopology topo = { 1, 1, 1 };
	GPtrArray *warnings = g_ptr_array_new_with_free_func(g_free);
	GError *error = NULL;

	if (!ram_arena_init(&w->arena, RAM_SIZE, &error))
		g_error("%s", error->message);
	w->ram = ram_arena_alloc(&w->arena, RAM_SIZE, NULL);
	w->cpu = cpu_new(0, &world_ops, w, &w->arena);
	if (!cpu_model_apply(w->cpu, "max", &topo, false, warnings, &error) || !interp_init(w->cpu, &error) ||
	    (jit && !jit_init(w->cpu, 1u << 20, &error)))
		g_error("%s", error->message);
	g_ptr_array_free(warnings, true);
	if (jit)
		jit_set_heat(w->cpu, 0);
	return w;
}

/* ---- a state to begin with ---- */

static uint32_t a_limit(void)
{
	switch (below(10)) {
	case 0: case 1: return UINT32_MAX;
	case 2: return below(0x10000) | 0xf;
	case 3: return below(0x20000);
	default: return UINT16_MAX;
	}
}

static void random_segment(Cpu *cpu, unsigned seg, Mode mode)
{
	Segment *s = &cpu->seg[seg];

	*s = (Segment){ .limit = UINT16_MAX, .attr = SEG_P | SEG_S | SEG_W | SEG_A };
	s->sel = (uint16_t)below(0x2000);
	s->base = (uint64_t)s->sel << 4;
	if (mode == V86)
		s->attr |= 3 << 5;
	if (mode == REAL && below(3) == 0) /* as protected mode may leave it */
		s->limit = a_limit();
	if (mode < PROT16)
		return;
	s->base = below(3) ? below(0x20000) : 0;
	s->limit = a_limit();
	s->attr |= below(2) ? SEG_DB : 0;
	switch (below(seg == SS ? 80 : 40)) {
	case 0: s->attr &= ~SEG_W; break;
	case 1: s->attr |= SEG_E; break;
	case 2: s->attr |= SEG_CODE; break;
	case 3: s->attr = SEG_NULL; break;
	}
}

/* Flat, but for one or two. */
static void nearly_flat(Cpu *cpu)
{
	static const unsigned data[] = {DS, ES, SS};

	cpu->seg[CS].base = 0;
	cpu->seg[CS].limit = UINT32_MAX;
	for (unsigned i = 0; i < G_N_ELEMENTS(data); i++)
		if (below(8)) {
			cpu->seg[data[i]].base = 0;
			cpu->seg[data[i]].limit = UINT32_MAX;
			cpu->seg[data[i]].attr = SEG_P | SEG_S | SEG_W | SEG_A | SEG_DB | SEG_G;
		}
}

static void random_cs(Cpu *cpu, Mode mode, unsigned len)
{
	Segment *cs = &cpu->seg[CS];
	uint64_t at = CODE_AREA + below(0xf000), fits = MIN(at, 0xffff - len);

	if (below(2)) /* over a page's end */
		at = (at & ~0xfffull) + 0xfff - below(len);
	*cs = (Segment){ .limit = UINT16_MAX, .attr = SEG_P | SEG_S | SEG_CODE | SEG_W | SEG_A };
	cpu->rip = mode == PROT32 ? below((uint32_t)at) : below((uint32_t)fits);
	if (below(8) == 0 && mode != PROT32)
		cpu->rip = 0x10000 - below(len);
	if (mode < PROT16) {
		cs->sel = (uint16_t)((at - cpu->rip) >> 4);
		cs->base = (uint64_t)cs->sel << 4;
		if (mode == V86)
			cs->attr |= 3 << 5;
		return;
	}
	cs->base = at - cpu->rip;
	cs->attr |= mode == PROT32 ? SEG_DB : 0;
	cs->limit = below(3) ? MAX(a_limit(), (uint32_t)cpu->rip + len) : (uint32_t)cpu->rip + below(len);
}

static void random_state(Cpu *cpu, Mode mode, unsigned len)
{
	static const unsigned pointers[] = {RBX, RBP, RSI, RDI};

	cpu_reset(cpu);
	memset(cpu->regs, 0, sizeof(cpu->regs));
	random_cs(cpu, mode, len);
	for (int i = 0; i < 8; i++)
		cpu->regs[i] = below(3) ? (uint32_t)edgy() : below(0x10000);
	if (below(2))
		cpu->regs[RCX] = below(40);
	for (unsigned i = 0; i < G_N_ELEMENTS(pointers); i++)
		if (below(16))
			cpu->regs[pointers[i]] = (below(4) ? 0 : cpu->regs[pointers[i]] & ~0xffffull) |
						(below(8) ? 0x100 + below(0xfe00) : 0x10000 - below(24));
	if (below(8))
		cpu->regs[RSP] = (cpu->regs[RSP] & ~0xffffull) | (0x1000 + below(0xe000));
	cpu->cr0 = CR0_NE | CR0_MP | CR0_ET | (mode == REAL ? 0 : CR0_PE);
	cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	cpu->cpl = mode == V86 ? 3 : 0;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (i != CS)
			random_segment(cpu, i, mode);
	if (mode == PROT32 && below(2)) {
		uint64_t base = cpu->seg[CS].base;
		nearly_flat(cpu);
		cpu->rip += base;
	}
	cpu->gdtr = cpu->idtr = (TableReg){ 0, 0 };
	cpu->rflags = FLAGS_FIXED;
	cpu_set_rflags(cpu, (rand32() & FLAGS_ARITH) | FLAGS_FIXED | (mode == V86 ? FLAG_VM | (below(2) ? FLAG_IOPL : 0) : 0));
	cpu->halted = false;
	cpu_update_mode(cpu);
	cpu_tlb_flush(cpu, true);
}

/* The same in another processor: what random_state sets. */
static void copy_state(Cpu *to, const Cpu *from)
{
	cpu_reset(to);
	memcpy(to->regs, from->regs, sizeof(to->regs));
	memcpy(to->seg, from->seg, sizeof(to->seg));
	to->cr0 = from->cr0;
	to->cr4 = from->cr4;
	to->cpl = from->cpl;
	to->gdtr = to->idtr = (TableReg){ 0, 0 };
	to->rflags = from->rflags;
	to->arith = from->arith;
	to->halted = false;
	cpu_update_mode(to);
	cpu_tlb_flush(to, true);
}

/* ---- sequences ---- */

typedef struct Run {
	Mode mode;
	World *oracle, *jit;
	GPtrArray *rows, *plain;       /* of these the most common */
	unsigned length;
	uint64_t sequences, given_up, faults, differences;
} Run;

static bool common_row(const OpRow *r)
{
	return r->enc == ENC_LEGACY && (frame_row(r) || r->exec == X_LEAVE || r->exec == X_MOVZX8 || r->exec == X_XCHG ||
					r->exec == X_POP_SEG || r->exec == X_PUSH_SEG || r->exec == X_PUSHF);
}

static unsigned straight(Run *run, uint8_t *code, unsigned count)
{
	unsigned len = 0;

	for (unsigned i = 0; i < count; i++) {
		const GPtrArray *from = below(2) && run->plain->len ? run->plain : run->rows;
		const OpRow *r = from->pdata[below(from->len)];
		len += make(r, run->oracle->cpu, code + len);
		if (blurs_flags(r)) { /* TEST AL, imm8 defines them again */
			code[len++] = 0xa8;
			code[len++] = (uint8_t)rand32();
		}
	}
	return len;
}

/* Near branches take an immediate of the operand size. */
static unsigned put_near(Run *run, uint8_t *code, uint8_t opcode, unsigned distance)
{
	bool wide = run->mode == PROT32;

	code[0] = opcode;
	code[1] = (uint8_t)distance;
	code[2] = (uint8_t)(distance >> 8);
	code[3] = code[4] = 0;
	return wide ? 5 : 3;
}

/* CALL over a function that returns; perhaps a far one of a caller that pushed CS. */
static unsigned put_call(Run *run, uint8_t *code)
{
	uint8_t body[64];
	unsigned len = straight(run, body, below(2)), n = 0, jump = run->mode == PROT32 ? 5 : 3;
	bool far = below(4) == 0;

	if (far)
		code[n++] = 0x0e;
	n += put_near(run, code + n, 0xe8, jump);
	n += put_near(run, code + n, 0xe9, len + 1);
	memcpy(code + n, body, len);
	code[n + len] = far ? 0xcb : 0xc3;
	return n + len + 1;
}

static unsigned put_branch(Run *run, uint8_t *code)
{
	static const uint8_t counted[] = {0xe0, 0xe1, 0xe2, 0xe3};
	uint8_t body[64];
	unsigned len = straight(run, body, below(3)), n = 0;

	switch (below(4)) {
	case 0: /* back by LOOP, a few times unless the body has other ideas */
		code[n++] = 0xb1;
		code[n++] = (uint8_t)(1 + below(8));
		memcpy(code + n, body, len);
		n += len;
		if (below(8) == 0)
			code[n++] = 0x67, len++;
		code[n++] = counted[below(3)];
		code[n++] = (uint8_t)(-len - 2);
		return n;
	case 1:
		return put_call(run, code);
	case 2:
		code[n++] = counted[below(4)];
		break;
	default:
		code[n++] = (uint8_t)(0x70 | below(16));
	}
	code[n++] = (uint8_t)len;
	memcpy(code + n, body, len);
	return n + len;
}

static unsigned make_sequence(Run *run, uint8_t *code, unsigned room)
{
	unsigned len = 0, count = 1 + below(run->length);

	for (unsigned i = 0; i < count && len + 160 < room; i++)
		len += below(5) ? straight(run, code + len, 1) : put_branch(run, code + len);
	code[len++] = INT3;
	code[len++] = INT3;
	return len;
}

/* ---- running and comparing ---- */

static uint64_t linear_of(const Cpu *cpu) { return (uint32_t)(cpu->seg[CS].base + cpu->rip); }

/* Step by step while it stays in its code. False: it does not, or takes too long. */
static bool run_oracle(World *w, uint64_t start, unsigned len)
{
	w->tripled = false;
	cpu_post(w->cpu, CPU_EV_KICK); /* string instructions stop after each element */
	for (unsigned n = 0; n < BUDGET; n++) {
		if (linear_of(w->cpu) - start >= len)
			return false;
		interp_step(w->cpu);
		if (w->tripled)
			return true;
	}
	return false;
}

static void run_jit(World *w)
{
	w->tripled = false;
	while (!w->tripled && !w->cpu->halted)
		interp_run(w->cpu);
}

static bool differs(const char *what, uint64_t a, uint64_t b, GString *out)
{
	if (a != b)
		g_string_append_printf(out, "#   %-8s interpreter %016" G_GINT64_MODIFIER "x  translated %016" G_GINT64_MODIFIER "x\n",
				       what, a, b);
	return a != b;
}

static bool compare(Run *run, bool broke, GString *out)
{
	static const char *const regs[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"};
	static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs"};
	const Cpu *a = run->oracle->cpu, *b = run->jit->cpu;
	/* Flags that nothing reads are not kept for the frame of an exception. */
	uint32_t flags = broke ? UINT32_MAX : ~FLAGS_ARITH;
	bool bad = differs("rip", a->rip, b->rip, out);

	for (int i = 0; i < 8; i++)
		bad |= differs(regs[i], a->regs[i], b->regs[i], out);
	bad |= differs("flags", cpu_rflags(a) & flags, cpu_rflags(b) & flags, out);
	for (int i = 0; i < SEG_COUNT; i++) {
		bad |= differs(segs[i], a->seg[i].sel, b->seg[i].sel, out);
		bad |= differs("base", a->seg[i].base, b->seg[i].base, out);
		bad |= differs("limit", a->seg[i].limit, b->seg[i].limit, out);
		bad |= differs("attr", a->seg[i].attr, b->seg[i].attr, out);
	}
	bad |= differs("mode", a->mode, b->mode, out);
	for (int i = 0; i < 8; i++) {
		uint64_t x, y;
		memcpy(&x, a->vec.zmm[i], 8);
		memcpy(&y, b->vec.zmm[i], 8);
		bad |= differs("xmm", x, y, out);
	}
	for (unsigned i = 0; i < RAM_SIZE; i++)
		if (run->oracle->ram[i] != run->jit->ram[i]) {
			g_string_append_printf(out, "#   memory at %#x: %02x, %02x\n", i, run->oracle->ram[i], run->jit->ram[i]);
			return true;
		}
	return bad;
}

/* Where a sequence began, for the report. */
typedef struct Begun {
	GString *registers;
	uint64_t rip;
	uint8_t mode;
} Begun;

static void report(const Run *run, const Begun *begun, const uint8_t *code, unsigned len, const GString *text)
{
	GString *out = g_string_new(NULL);
	unsigned at = 0;

	printf("# difference after %" G_GUINT64_FORMAT " sequences\n# from:", run->sequences);
	for (const char *p = begun->registers->str; *p; p++)
		printf(*p == '\n' ? "\n# " : "%c", *p);
	printf("\n");
	while (at < len) {
		Decoded d;
		g_string_truncate(out, 0);
		if (decode(code + at, len - at, begun->mode, run->oracle->cpu->features, &d) != DECODE_OK)
			break;
		disassemble(&d, begun->rip + at, out);
		printf("#   %04x %s\n", (unsigned)begun->rip + at, out->str);
		at += d.len;
	}
	printf("%s", text->str);
	g_string_free(out, TRUE);
}

static void fill_memory(Run *run, uint64_t start, const uint8_t *code, unsigned len)
{
	unsigned part = run->sequences % 64 * (RAM_SIZE / 64);

	for (unsigned i = part; i < part + RAM_SIZE / 64; i += 8) {
		uint64_t v = edgy();
		memcpy(run->oracle->ram + i, &v, 8);
	}
	memcpy(run->oracle->ram + start, code, len);
	memcpy(run->jit->ram, run->oracle->ram, RAM_SIZE);
	for (unsigned at = 0; at < RAM_SIZE; at += 4096)
		ram_written(&run->jit->arena, run->jit->ram + at, 4096);
	for (unsigned at = 0; at < RAM_SIZE; at += 4096)
		ram_written(&run->oracle->arena, run->oracle->ram + at, 4096);
}

static void one_sequence(Run *run)
{
	uint8_t code[1024];
	Cpu *cpu = run->oracle->cpu;

	random_state(cpu, run->mode, 200); /* in its mode instructions are made */
	unsigned len = make_sequence(run, code, sizeof(code));
	uint64_t start = linear_of(cpu);
	if (start + len > RAM_SIZE)
		return;
	fill_memory(run, start, code, len);
	copy_state(run->jit->cpu, cpu);
	Begun begun = { g_string_new(NULL), cpu->rip, cpu->mode };
	cpu_append_registers(cpu, 0, begun.registers);
	run->sequences++;
	if (!run_oracle(run->oracle, start, len)) {
		run->given_up++;
		g_string_free(begun.registers, TRUE);
		return;
	}
	bool broke = run->oracle->ram[linear_of(cpu) % RAM_SIZE] == INT3;
	run->faults += !broke;
	alarm(20);
	run_jit(run->jit);
	alarm(0);
	GString *text = g_string_new(NULL);
	if (compare(run, broke, text) && ++run->differences <= 10)
		report(run, &begun, code, len, text);
	g_string_free(text, TRUE);
	g_string_free(begun.registers, TRUE);
}

static int test_mode(Mode mode, const char *only, unsigned length, double seconds, unsigned number)
{
	Run run = { .mode = mode, .oracle = world_new(false), .jit = world_new(true), .length = length };

	run.rows = rows_to_test(only, true, true);
	run.plain = g_ptr_array_new();
	for (unsigned i = 0; i < run.rows->len; i++)
		if (common_row(run.rows->pdata[i]))
			g_ptr_array_add(run.plain, run.rows->pdata[i]);
	gint64 end = g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
	while (g_get_monotonic_time() < end && run.rows->len)
		one_sequence(&run);
	bool ok = !run.differences && run.sequences > 2 * run.given_up;
	printf("# %u rows, %" G_GUINT64_FORMAT " sequences, %" G_GUINT64_FORMAT " to a fault, %" G_GUINT64_FORMAT " given up, %"
	       G_GUINT64_FORMAT " differences\n%s %u - interpreter and JIT agree, %s\n", run.rows->len, run.sequences,
	       run.faults, run.given_up, run.differences, ok ? "ok" : "not ok", number, mode_names[mode]);
	g_ptr_array_free(run.rows, true);
	g_ptr_array_free(run.plain, true);
	return !ok;
}

int main(int argc, char **argv)
{
	gint seconds = 10, length = 12;
	gint64 seed = 1;
	gchar *only = NULL, *mode = NULL;
	GOptionEntry entries[] = {
		{"mode", 0, 0, G_OPTION_ARG_STRING, &mode, "one of real, v86, prot16, prot32", "MODE"},
		{"seconds", 0, 0, G_OPTION_ARG_INT, &seconds, "how long to run", "N"},
		{"seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the random sequences", "S"},
		{"only", 0, 0, G_OPTION_ARG_STRING, &only, "one mnemonic", "NAME"},
		{"length", 0, 0, G_OPTION_ARG_INT, &length, "instructions in a sequence, at most", "N"},
		{NULL}};
	GOptionContext *c = g_option_context_new(NULL);
	GError *error = NULL;
	int failed = 0;

	g_option_context_add_main_entries(c, entries, NULL);
	if (!g_option_context_parse(c, &argc, &argv, &error) || length < 1) {
		fprintf(stderr, "%s\n", error ? error->message : "--length is at least 1");
		return 2;
	}
	sequence_seed((uint32_t)seed);
	sequence_segments = true;
	printf("1..%d\n", mode ? 1 : MODES);
	for (Mode m = 0, n = 1; m < MODES; m++)
		if (!mode || !strcmp(mode, mode_names[m]))
			failed |= test_mode(m, only, (unsigned)length, mode ? seconds : seconds / (double)MODES, n++);
	return failed;
}
