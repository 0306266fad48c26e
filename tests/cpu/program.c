/*
 * program.c - see program.h.
 */
#include "program.h"

#include <string.h>

#include "cpu/decode.h"
#include "native.h"
#include "sequence.h"

enum { FAMILY_INTEGER, FAMILY_X87, FAMILY_MMX, FAMILY_SSE, FAMILY_VEX, FAMILY_EVEX, FAMILIES };

static unsigned family_of(const OpRow *r)
{
	if (r->exec != X_VEC)
		return FAMILY_INTEGER;
	if (r->vec & (VEC_X87 | VEC_MMX))
		return r->vec & VEC_X87 ? FAMILY_X87 : FAMILY_MMX;
	return r->enc == ENC_VEX ? FAMILY_VEX : r->enc == ENC_EVEX ? FAMILY_EVEX : FAMILY_SSE;
}

/* A row by chance; in a frame sequence most are of the plain kind. */
static const OpRow *a_row(const Program *p)
{
	const GPtrArray *from = sequence_frame && below(3) && p->frame_rows->len ? p->frame_rows : p->rows;
	const OpRow *r = from->pdata[below(from->len)];

	for (int tries = 0; tries < 100 && !(p->families >> family_of(r) & 1); tries++)
		r = p->rows->pdata[below(p->rows->len)];
	return r;
}

static unsigned put(uint8_t *code, const char *bytes, unsigned n)
{
	memcpy(code, bytes, n);
	return n;
}
#define PUT(code, bytes) put(code, bytes, sizeof(bytes) - 1)

static unsigned put32(uint8_t *code, uint32_t v)
{
	memcpy(code, &v, 4);
	return 4;
}

static unsigned put_wide(const Program *p, uint8_t *code) { return p->code32 ? 0 : PUT(code, "\x48"); }

/* Of what stands `to` bytes behind the program's start. */
static uint32_t address(const Program *p, unsigned to) { return (uint32_t)NATIVE_CODE + p->at + to; }

/* ADD of a small constant to a register that addresses are made of. */
static unsigned make_move(const Program *p, uint8_t *code)
{
	static const int8_t steps[] = {1, 2, 4, 8, 16, 32, 64, 3, 24, -1, -8, -16, -64, 127};
	unsigned reg = below(4) ? a_base() : below(2) && !sequence_calling ? RSP : RDX, high = below(4) == 0;
	unsigned len = put_wide(p, code);

	if (len && high && reg != RDX && reg != RSP && !(sequence_counters >> (reg + 8) & 1))
		code[0] |= 1;
	code[len++] = 0x83;
	code[len++] = (uint8_t)(0xc0 | (below(4) ? 0 : 5) << 3 | reg); /* ADD, SUB */
	code[len++] = (uint8_t)steps[below(reg == RSP ? 7 : G_N_ELEMENTS(steps))];
	return len;
}

/* The address field of a store, which ends `rest` bytes later, names code or data at `to` behind its start. */
static void aim(const Program *p, uint8_t *field, unsigned rest, unsigned to)
{
	uint32_t at = (uint32_t)(field - p->start) + 4 + rest, v = p->code32 ? address(p, to) : to - at;

	memcpy(field, &v, 4);
}

static unsigned bytes_behind(const uint8_t *field) { return field[-2] == 0xc6; }

/* ADD, SUB, AND and so on of a constant, to EAX or ECX: stores from before lead to it. */
static unsigned make_constant(Program *p, uint8_t *code)
{
	code[0] = 0x83;
	code[1] = (uint8_t)(0xc0 | below(8) << 3 | below(2));
	code[2] = (uint8_t)below(128);
	while (p->forwards) {
		uint8_t *field = p->forward[--p->forwards];
		aim(p, field, bytes_behind(field), (unsigned)(code + 2 - p->start));
	}
	if (p->constants < PATCHES)
		p->constant[p->constants++] = code + 2;
	return 3;
}

/* A store of a byte, CL or a constant, where the code has one; ahead, behind, or near it. */
static unsigned make_patch(Program *p, uint8_t *code)
{
	bool constant = below(2);

	code[0] = constant ? 0xc6 : 0x88;
	code[1] = constant ? 0x05 : 0x0d;
	code[6] = (uint8_t)below(128);
	aim(p, code + 2, constant, 1024 + below(1024));
	if (p->constants && below(2))
		aim(p, code + 2, constant, (unsigned)(p->constant[below(p->constants)] - p->start));
	else if (p->forwards < PATCHES && below(4))
		p->forward[p->forwards++] = code + 2;
	return 6 + constant;
}

/* MXCSR or the x87 control word becomes one that may be loaded; now and then exceptions are unmasked. */
static unsigned make_control(uint8_t *code)
{
	uint8_t place = (uint8_t)below(124);
	bool x87 = below(2), unmask = below(3) == 0;
	unsigned len = PUT(code, "\xc7\x43"); /* MOV [RBX+place], value */

	code[len++] = place;
	if (x87)
		len += put32(code + len, (rand32() & (unmask ? 0xf3f : 0xf00)) | (unmask ? 0x40 : 0x7f));
	else
		len += put32(code + len, (rand32() & (unmask ? 0xffff : 0xe07f)) | (unmask ? 0 : 0x1f80));
	if (x87 && below(2))
		len += PUT(code + len, "\xdb\xe2"); /* FNCLEX */
	len += x87 ? PUT(code + len, "\xd9\x6b") : below(4) ? PUT(code + len, "\x0f\xae\x53") : PUT(code + len, "\xc5\xf8\xae\x53");
	code[len++] = place;
	return len;
}

/* Repeated string instructions, up or down, on areas that overlap: what one has stored the next one compares. */
static unsigned make_strings(const Program *p, uint8_t *code)
{
	static const uint8_t ops[] = {0xa4, 0xa4, 0xa6, 0xaa, 0xac, 0xae};
	static const int16_t near[] = {0, 1, 2, 3, 4, 8, 16, 64, -1, -2, -4, -8, -31, 0xff8, -0xff8, 0x1800};
	bool down = below(4) == 0;
	unsigned len = down ? PUT(code, "\xfd") : 0;

	for (unsigned n = 1 + below(3); n; n--) {
		if (below(2)) { /* LEA RDI, [RSI+near] */
			len += put_wide(p, code + len);
			len += PUT(code + len, "\x8d\xbe");
			len += put32(code + len, (uint32_t)near[below(G_N_ELEMENTS(near))]);
		}
		if (below(2)) { /* MOV ECX, count */
			len += PUT(code + len, "\xb9");
			len += put32(code + len, below(sequence_looping || below(2) ? 20 : 700));
		}
		if (!p->code32 && below(8) == 0)
			code[len++] = 0x67;
		if (below(5))
			code[len++] = (uint8_t)(0xf2 | below(2));
		if (below(4) == 0)
			code[len++] = 0x66;
		if (below(2))
			len += put_wide(p, code + len);
		code[len++] = (uint8_t)(ops[below(G_N_ELEMENTS(ops))] | below(2));
	}
	return len + (down ? PUT(code + len, "\xfc") : 0);
}

/* RAX or EAX: the address of what stands `rest` bytes behind this instruction. */
static unsigned put_address(const Program *p, uint8_t *code, unsigned rest)
{
	if (p->code32) {
		unsigned len = PUT(code, "\xb8");
		return len + put32(code + len, address(p, (unsigned)(code - p->start) + 5 + rest));
	}
	unsigned len = PUT(code, "\x48\x8d\x05");
	return len + put32(code + len, rest);
}

/* Jumps that a compiler would not make: a RET of what was pushed, through memory, a call that is not returned from. */
static unsigned make_jump(const Program *p, uint8_t *code)
{
	unsigned len = 0, junk = below(8);

	switch (below(3)) {
	case 0:
		len = put_address(p, code, 2 + junk);
		len += PUT(code + len, "\x50\xc3");
		break;
	case 1:
		len = put_address(p, code, (p->code32 ? 6 : 7) + junk);
		len += put_wide(p, code + len);
		len += PUT(code + len, "\x89\x43\x18\xff\x63\x18"); /* MOV [RBX+24], RAX; JMP [RBX+24] */
		break;
	default:
		len = PUT(code, "\xe8");
		len += put32(code + len, junk);
		memset(code + len, 0xcc, junk);
		len += junk;
		code[len++] = 0x58; /* POP RAX */
		return len;
	}
	memset(code + len, 0xcc, junk);
	return len + junk;
}

/* CALL rel32, CALL RAX or CALL [RBX+24] of a function that is made later. */
static unsigned make_call(Program *p, uint8_t *code)
{
	unsigned len = 0, kind = below(4);

	if (kind < 2) {
		len = PUT(code, "\xe8");
		p->call[p->calls++] = code + 1;
		return len + put32(code + len, 0);
	}
	len = put_address(p, code, 0);
	p->call[p->calls++] = code + len - 4;
	if (kind == 2)
		return len + PUT(code + len, "\xff\xd0");
	len += put_wide(p, code + len);
	return len + PUT(code + len, "\x89\x43\x18\xff\x53\x18");
}

/* A function begins here: which of the calls so far lead to it. */
static void take_calls(Program *p, unsigned from, uint8_t *code)
{
	for (unsigned i = from; i < p->calls; i++) {
		uint8_t *field = p->call[i];
		bool absolute = p->code32 && field[-1] == 0xb8;
		put32(field, absolute ? address(p, (unsigned)(code - p->start)) : (uint32_t)(code - field - 4));
	}
}

static unsigned make_row(const Program *p, uint8_t *code)
{
	const OpRow *r = a_row(p);
	unsigned len = make(r, p->cpu, code);

	return len + (blurs_flags(r) ? put(code + len, (char[]){ '\xa8', (char)rand32() }, 2) : 0); /* TEST AL defines them again */
}

/* One instruction, or a few that belong together. */
static unsigned make_element(Program *p, uint8_t *code)
{
	if (sequence_frame && below(sequence_looping ? 4 : 8) == 0)
		return make_move(p, code);
	if (p->patching && below(5) == 0)
		return below(2) ? make_constant(p, code) : make_patch(p, code);
	if (p->controls && below(6) == 0)
		return make_control(code);
	if (p->strings && below(6) == 0)
		return make_strings(p, code);
	if (p->jumps && below(6) == 0)
		return make_jump(p, code);
	if (p->functions && p->calls < PROGRAM_CALLS && below(4) == 0)
		return make_call(p, code);
	return make_row(p, code);
}

#define ELEMENT_MAX 64

/* `count` elements; some can be jumped over. */
static unsigned make_straight(Program *p, uint8_t *code, unsigned count, unsigned room)
{
	unsigned len = 0, over = 0;
	uint8_t *jump = NULL;

	for (unsigned i = 0; i < count && len + ELEMENT_MAX + 2 < room; i++) {
		if (!jump && below(8) == 0) {
			over = i + below(3);
			code[len++] = (uint8_t)(0x70 | below(16));
			jump = code + len++;
		}
		len += make_element(p, code + len);
		if (jump && (i >= over || code + len - jump > 127 - ELEMENT_MAX)) {
			*jump = (uint8_t)(code + len - jump - 1);
			jump = NULL;
		}
	}
	if (jump)
		*jump = (uint8_t)(code + len - jump - 1);
	return len;
}

/* MOV counter, turns: a register from R8 on, or in 32-bit code a place in memory. */
static unsigned put_counter(const Program *p, uint8_t *code, unsigned counter, uint32_t turns)
{
	unsigned len = 0;

	if (p->code32) {
		len = PUT(code, "\xc7\x05");
		len += put32(code + len, (uint32_t)NATIVE_DATA + 8 * counter);
	} else {
		code[len++] = 0x41;
		code[len++] = (uint8_t)(0xb8 | (counter & 7));
	}
	return len + put32(code + len, turns);
}

/* One turn less, and the way back to `start` if there are any left. */
static unsigned put_turn(const Program *p, uint8_t *code, unsigned counter, const uint8_t *start)
{
	static const uint8_t on[] = {0x85, 0x85, 0x87, 0x8f}; /* JNE, JNE, JA, JG */
	uint8_t cc = on[below(G_N_ELEMENTS(on))];
	unsigned len = 0;

	if (p->code32) {
		len = PUT(code, "\x83\x2d");
		len += put32(code + len, (uint32_t)NATIVE_DATA + 8 * counter);
		code[len++] = 1;
	} else if (cc != 0x87 && below(2)) { /* DEC */
		len = PUT(code, "\x49\xff");
		code[len++] = (uint8_t)(0xc8 | (counter & 7));
	} else {
		len = PUT(code, "\x49\x83");
		code[len++] = (uint8_t)(0xe8 | (counter & 7));
		code[len++] = 1;
	}
	if (code + len + 2 - start <= 128 && below(2)) {
		code[len] = cc - 0x10;
		code[len + 1] = (uint8_t)(start - (code + len + 2));
		return len + 2;
	}
	code[len++] = 0x0f;
	code[len++] = cc;
	return len + put32(code + len, (uint32_t)(start - (code + len + 4)));
}

/* What stands around a loop's body: RBX goes there and back, or (64-bit code) far, and RDX as far the other way. */
static unsigned put_step(const Program *p, uint8_t *code, unsigned kind, bool after)
{
	unsigned len = 0;

	if (kind == 2 && !p->code32) /* ADD RBX, 7ffffff8h; SUB RDX, 7ffffff0h; MOV RAX, [RBX+RDX] */
		return after ? PUT(code, "\x48\x81\xc3\xf8\xff\xff\x7f\x48\x81\xea\xf0\xff\xff\x7f") : PUT(code, "\x48\x8b\x04\x13");
	if (kind == 1) {
		len = put_wide(p, code);
		len += after ? PUT(code + len, "\x83\xeb\x08") : PUT(code + len, "\x83\xc3\x08");
	}
	return len;
}

/* As many turns as a loop needs to be watched, checked, and to leave its pages; or with a loop in it, of a few turns. */
static unsigned make_loop(Program *p, uint8_t *code, unsigned room, bool inner)
{
	static const uint8_t counters[] = {8, 9, 10, 12, 15};
	unsigned counter = counters[below(G_N_ELEMENTS(counters))], step = below(2) ? 0 : below(3);
	bool nested = !inner && below(3) == 0;

	while (sequence_counters >> counter & 1)
		counter = counters[below(G_N_ELEMENTS(counters))];
	sequence_counters |= (uint16_t)(1u << counter);
	unsigned len = put_counter(p, code, counter, 2 + below(inner ? (below(2) ? 6 : 30) : nested ? 60 : 200));
	const uint8_t *start = code + len;
	len += put_step(p, code + len, step, false);
	len += make_straight(p, code + len, 1 + below(nested ? 4 : 8), room / (nested ? 3 : 1) - len - 60);
	if (nested) {
		len += make_loop(p, code + len, room / 2, true);
		len += make_straight(p, code + len, below(3), room - len - 60);
	}
	len += put_step(p, code + len, step, true);
	return len + put_turn(p, code + len, counter, start);
}

/* It leaves the stack pointer alone, or has a frame and gives it back. */
static unsigned make_function(Program *p, uint8_t *code, unsigned room)
{
	bool frame = below(2), leave = below(2);
	uint8_t bytes = (uint8_t)(8 * below(8));
	unsigned len = 0;

	if (frame) { /* PUSH RBP; MOV RBP, RSP; SUB RSP, bytes */
		len = PUT(code, "\x55");
		len += put_wide(p, code + len);
		len += PUT(code + len, "\x89\xe5");
		len += put_wide(p, code + len);
		len += PUT(code + len, "\x83\xec");
		code[len++] = bytes;
	}
	sequence_calling = true;
	len += make_straight(p, code + len, 1 + below(6), room - len - 16);
	sequence_calling = false;
	if (frame && leave) {
		code[len++] = 0xc9;
	} else if (frame) {
		len += put_wide(p, code + len);
		len += PUT(code + len, "\x83\xc4");
		code[len++] = bytes;
		code[len++] = 0x5d;
	}
	code[len++] = below(4) ? 0xc3 : 0xc2;
	code[len++] = (uint8_t)(below(4) * 8); /* of C2; else not reached */
	code[len++] = 0;
	return len;
}

/* Each is called by those before it. */
static unsigned make_functions(Program *p, uint8_t *code, unsigned room)
{
	unsigned len = 0, from = 0;

	while (p->functions) {
		take_calls(p, from, code + len);
		from = below(2) ? p->calls : 0; /* those that are left alone go to this one */
		p->functions--;
		len += make_function(p, code + len, (room - len) / (p->functions + 1));
	}
	return len;
}

/* What it is going to be made of. */
static void choose(Program *p)
{
	p->at = below(3) ? 0 : 4096 - below(200); /* often across a page's end */
	p->constants = p->forwards = p->calls = 0;
	p->patching = below(5) == 0;
	p->controls = below(5) == 0;
	p->strings = below(6) == 0;
	p->jumps = below(6) == 0;
	p->functions = below(5) ? 0 : 1 + below(3);
	p->families = UINT32_MAX;
	if (below(3) == 0)
		p->families = 1u << FAMILY_INTEGER | 1u << below(FAMILIES) | 1u << below(FAMILIES);
	sequence_counters = 0;
	sequence_looping = below(4) == 0;
	sequence_frame = sequence_looping || below(2);
	sequence_gs = !p->code32;
}

unsigned program_make(Program *p, uint8_t *code, unsigned room)
{
	unsigned len;

	p->start = code;
	choose(p);
	room -= 4;
	unsigned own = p->functions ? room / 2 : room;
	if (sequence_looping)
		len = make_loop(p, code, own, false);
	else
		len = make_straight(p, code, 1 + below(p->length), own);
	code[len++] = 0xcc;
	len += make_functions(p, code + len, room - len);
	code[len++] = 0xcc;
	code[len++] = 0xcc;
	return len;
}

void program_init(Program *p, const Cpu *cpu, const char *only, unsigned length)
{
	*p = (Program){ .cpu = cpu, .length = length, .code32 = !cpu_code64(cpu) };
	p->rows = rows_to_test(only, p->code32, false);
	p->frame_rows = g_ptr_array_new();
	for (unsigned i = 0; i < p->rows->len; i++)
		if (frame_row(p->rows->pdata[i]))
			g_ptr_array_add(p->frame_rows, p->rows->pdata[i]);
}
