/*
 * program.c - see program.h.
 */
#include "program.h"

#include <string.h>

#include "cpu/decode.h"
#include "native.h"
#include "sequence.h"

/* A row by chance; in a frame sequence most are of the plain kind. */
static const OpRow *a_row(const Program *p)
{
	const GPtrArray *from = sequence_frame && below(3) && p->frame_rows->len ? p->frame_rows : p->rows;

	return from->pdata[below(from->len)];
}

/* ADD of a small constant to RBX, RSI, RDI, RBP or RDX. */
static unsigned make_move(uint8_t *code)
{
	static const int8_t steps[] = {1, 2, 4, 8, 16, 32, 64, 3, 24, -1, -8, -16, -64, 127};

	code[0] = 0x48;
	code[1] = 0x83;
	code[2] = (uint8_t)(0xc0 | (below(3) ? a_base() : RDX));
	code[3] = (uint8_t)steps[below(G_N_ELEMENTS(steps))];
	return 4;
}

/* The address field of a store, which ends `rest` bytes later, names code or data at `to` of the code's page. */
static void aim(const Program *p, uint8_t *field, unsigned rest, unsigned to)
{
	uint32_t at = (uint32_t)(field - p->start) + 4 + rest, v = p->code32 ? (uint32_t)NATIVE_CODE + to : to - at;

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

/* `count` instructions; some can be jumped over. */
static unsigned make_straight(Program *p, uint8_t *code, unsigned count, unsigned room)
{
	unsigned len = 0;

	for (unsigned i = 0; i < count && len + 40 < room; i++) {
		if (sequence_looping && below(3) == 0)
			len += make_move(code + len);
		if (p->patching && below(4) == 0)
			len += below(2) ? make_constant(p, code + len) : make_patch(p, code + len);
		const OpRow *r = a_row(p);
		unsigned jump = below(8) == 0 ? len : 0;
		if (jump) {
			code[len++] = (uint8_t)(0x70 | below(16));
			code[len++] = 0;
		}
		len += make(r, p->cpu, code + len);
		if (blurs_flags(r)) { /* TEST AL, imm8 defines them again */
			code[len++] = 0xa8;
			code[len++] = (uint8_t)rand32();
		}
		if (jump)
			code[jump + 1] = (uint8_t)(len - jump - 2);
	}
	return len;
}

static unsigned put(uint8_t *code, const uint8_t *bytes, unsigned n)
{
	memcpy(code, bytes, n);
	return n;
}

static unsigned put32(uint8_t *code, uint32_t v)
{
	memcpy(code, &v, 4);
	return 4;
}

/* A pair of instructions around a body, by which RBX goes there and back; or goes far, and RDX as far the other way. */
typedef struct Detour {
	uint8_t before[16], after[16];
	unsigned before_bytes, after_bytes;
} Detour;
static const Detour detours[] = {
	{ {0}, {0}, 0, 0 },
	/* add rbx, 8; sub rbx, 8 */
	{ {0x48, 0x83, 0xc3, 0x08}, {0x48, 0x83, 0xeb, 0x08}, 4, 4 },
	/* mov rax, [rbx+rdx]; add rbx, 7ffffff8h, sub rdx, 7ffffff0h */
	{ {0x48, 0x8b, 0x04, 0x13},
	  {0x48, 0x81, 0xc3, 0xf8, 0xff, 0xff, 0x7f, 0x48, 0x81, 0xea, 0xf0, 0xff, 0xff, 0x7f}, 4, 14 },
};

/* The loop's head is at `head`: sub reg, 1; jne head. */
static unsigned put_turn(uint8_t *code, unsigned len, unsigned head, uint8_t reg)
{
	const uint8_t turn[] = {0x49, 0x83, (uint8_t)(0xe8 | (reg & 7)), 0x01, 0x0f, 0x85};

	len += put(code + len, turn, sizeof(turn));
	return len + put32(code + len, head - len - 4);
}

/* As many turns as a loop needs to be watched, checked, and to leave its pages; or a few turns, many times. */
static unsigned make_loop(Program *p, uint8_t *code, unsigned room)
{
	static const uint8_t load_r12[] = {0x41, 0xbc}, load_r15[] = {0x41, 0xbf};
	const Detour *d = &detours[below(2) ? 0 : below(G_N_ELEMENTS(detours))];
	bool nested = below(3) == 0;
	unsigned len = 0;

	if (nested) {
		len += put(code, load_r12, sizeof(load_r12));
		len += put32(code + len, 2 + below(60));
	}
	unsigned outer = len;
	len += put(code + len, load_r15, sizeof(load_r15));
	len += put32(code + len, 2 + below(nested ? 6 : 200));
	unsigned inner = len;
	len += put(code + len, d->before, d->before_bytes);
	len += make_straight(p, code + len, 1 + below(8), room - len - 60);
	len += put(code + len, d->after, d->after_bytes);
	len = put_turn(code, len, inner, R15);
	return nested ? put_turn(code, len, outer, R12) : len;
}

/* A call of a function that stands behind the sequence's end; it leaves the stack pointer alone. */
static unsigned make_call(Program *p, uint8_t *code, unsigned room)
{
	unsigned len = make_straight(p, code, below(4), room / 4), call = len;

	bool indirect = !p->code32 && below(2); /* LEA RAX, [RIP+distance]; CALL RAX */
	unsigned from = call + (indirect ? 7 : 5), back = from + (indirect ? 2 : 0);
	len = back + make_straight(p, code + back, below(8), room / 4);
	code[len++] = 0xcc;
	uint32_t distance = len - from;
	memcpy(code + call, indirect ? "\x48\x8d\x05" : "\xe8", indirect ? 3 : 1);
	memcpy(code + from - 4, &distance, 4);
	memcpy(code + from, "\xff\xd0", back - from);
	sequence_calling = true;
	len += make_straight(p, code + len, 1 + below(6), room / 4);
	sequence_calling = false;
	code[len++] = below(4) ? 0xc3 : 0xc2;
	code[len++] = (uint8_t)(below(4) * 8); /* of C2; else not reached */
	code[len++] = 0;
	return len;
}

unsigned program_make(Program *p, uint8_t *code, unsigned room)
{
	unsigned len, shape = below(8);

	p->patching = below(4) == 0;
	p->constants = p->forwards = 0;
	p->start = code;
	sequence_looping = !p->code32 && shape < 2;
	sequence_frame = sequence_looping || below(2);
	if (sequence_looping)
		len = make_loop(p, code, room - 2);
	else if (shape == 2)
		len = make_call(p, code, room - 2);
	else
		len = make_straight(p, code, 1 + below(p->length), room - 2);
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
