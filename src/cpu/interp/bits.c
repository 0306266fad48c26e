/*
 * bits.c - bit tests and scans, BMI, ADX, CRC32, POPCNT, BCD adjustments, flag toggles.
 *
 * SDM vol. 2. Where the host has the instruction, it is the host's own; BMI1, BMI2 and
 * ADX rows exist only where the CPU model has them, which is only where the host does.
 */
#include "cpu/interp/interp.h"

/* ---- BT, BTS, BTR, BTC ---- */
enum { BT, BTS, BTR, BTC };

static uint64_t bit_result(uint64_t v, unsigned bit, unsigned op)
{
	uint64_t m = 1ull << bit;

	return op == BTS ? v | m : op == BTR ? v & ~m : op == BTC ? v ^ m : v;
}

static void bit_in_memory(Cpu *cpu, const Insn *i, uint64_t linear, unsigned size, unsigned bit)
{
	unsigned op = i->aux;
	uint64_t old;

	if (op == BT) {
		old = load_lin(cpu, linear, size);
	} else {
		void *p = cpu_lin_rmw(cpu, linear, size);
		if (p && i->flags & INSN_LOCK) {
			uint8_t m = (uint8_t)(1u << (bit & 7));
			uint8_t *byte = (uint8_t *)p + bit / 8;
			uint8_t was = op == BTS ? __atomic_fetch_or(byte, m, __ATOMIC_SEQ_CST) :
				      op == BTR ? __atomic_fetch_and(byte, (uint8_t)~m, __ATOMIC_SEQ_CST) :
						  __atomic_fetch_xor(byte, m, __ATOMIC_SEQ_CST);
			old = (uint64_t)was << (bit & ~7u);
		} else {
			bool alone = i->flags & INSN_LOCK;
			if (alone)
				interp_alone_begin(cpu);
			old = load_lin(cpu, linear, size);
			store_lin(cpu, linear, bit_result(old, bit, op), size);
			if (alone)
				interp_alone_end(cpu);
		}
	}
	cpu->arith = (uint16_t)((cpu->arith & ~AR_CF) | (old >> bit & 1) << 8);
}

static const Insn *bit_reg(Cpu *cpu, const Insn *i) /* the bit number is in a register */
{
	unsigned size = i->opsize, bits = size * 8;

	cpu->cur = i;
	if (!(i->flags & INSN_MEM)) {
		unsigned bit = get_reg(cpu, i->reg, size) & (bits - 1);
		uint64_t old = get_reg(cpu, i->rm, size);
		if (i->aux != BT)
			set_reg(cpu, i->rm, bit_result(old, bit, i->aux), size);
		cpu->arith = (uint16_t)((cpu->arith & ~AR_CF) | (old >> bit & 1) << 8);
		NEXT(cpu, i);
	}
	/* A memory bit string: the signed bit number moves the address. */
	unsigned shift = 64 - bits;
	int64_t n = (int64_t)(get_reg(cpu, i->reg, size) << shift) >> shift;
	Insn moved = *i;
	moved.disp += (n >> (bits == 64 ? 6 : bits == 32 ? 5 : 4)) * (int64_t)size;
	bit_in_memory(cpu, i, linear_of(cpu, &moved, size, i->aux != BT), size, (unsigned)n & (bits - 1));
	NEXT(cpu, i);
}

static const Insn *bit_imm(Cpu *cpu, const Insn *i)
{
	unsigned size = i->opsize, bit = (unsigned)i->imm & (size * 8 - 1);

	cpu->cur = i;
	if (i->flags & INSN_MEM) {
		bit_in_memory(cpu, i, linear_of(cpu, i, size, i->aux != BT), size, bit);
	} else {
		uint64_t old = get_reg(cpu, i->rm, size);
		if (i->aux != BT)
			set_reg(cpu, i->rm, bit_result(old, bit, i->aux), size);
		cpu->arith = (uint16_t)((cpu->arith & ~AR_CF) | (old >> bit & 1) << 8);
	}
	NEXT(cpu, i);
}

/* ---- one source, one destination, flags by the host ---- */
#define DEF_SCAN(op, n, s) \
	static uint64_t op##_##n(Cpu *cpu, uint64_t old, uint64_t src) \
	{ \
		uint##n##_t v = (uint##n##_t)old; \
		uint16_t ar = cpu->arith; \
		asm("add $127, %%al\n\tsahf\n\t" #op s " %2, %0\n\tlahf\n\tseto %%al" \
		    : "+&r"(v), "+&a"(ar) : "r"((uint##n##_t)src) : "cc"); \
		cpu->arith = ar; \
		return v; \
	}
#define SCAN_ALL(op) DEF_SCAN(op, 16, "w") DEF_SCAN(op, 32, "l") DEF_SCAN(op, 64, "q")
SCAN_ALL(bsf)
SCAN_ALL(bsr)
SCAN_ALL(tzcnt)
SCAN_ALL(lzcnt)
SCAN_ALL(popcnt)
#define SCAN_ROW(op) {op##_16, op##_32, op##_64}
enum { SCAN_BSF, SCAN_BSR, SCAN_TZCNT, SCAN_LZCNT, SCAN_POPCNT };
static uint64_t (*const scan_fn[5][3])(Cpu *, uint64_t, uint64_t) = {
	SCAN_ROW(bsf), SCAN_ROW(bsr), SCAN_ROW(tzcnt), SCAN_ROW(lzcnt), SCAN_ROW(popcnt)};

static const Insn *scan(Cpu *cpu, const Insn *i)
{
	unsigned log = i->opsize == 8 ? 2 : i->opsize == 4;
	uint64_t src = load_rm(cpu, i, i->opsize);
	uint64_t v = scan_fn[i->aux][log](cpu, get_reg(cpu, i->reg, i->opsize), src);

	/* BSF and BSR of zero leave the destination, upper half included. */
	if (i->aux <= SCAN_BSR && cpu->arith & AR_ZF)
		NEXT(cpu, i);
	set_reg(cpu, i->reg, v, i->opsize);
	NEXT(cpu, i);
}

/* CRC-32C (iSCSI) in software: the guest may have it where the host's table says so too. */
static const Insn *crc32(Cpu *cpu, const Insn *i) /* aux: source bytes */
{
	uint32_t crc = REG32(cpu, i->reg);
	uint64_t v = load_rm(cpu, i, i->aux);

	for (unsigned n = 0; n < i->aux; n++) {
		crc ^= (uint8_t)(v >> (8 * n));
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
	}
	REG64(cpu, i->reg) = crc;
	NEXT(cpu, i);
}

/* ---- BMI1, BMI2: y operands; i->imm2 is the register offset of VEX.vvvv ---- */
#define BMI(name, n, body) \
	static void name##n(Cpu *cpu, uint64_t s1, uint64_t s2, uint64_t *out) \
	{ \
		uint##n##_t G_GNUC_UNUSED a = (uint##n##_t)s1, b = (uint##n##_t)s2, r = 0; \
		uint16_t ar = cpu->arith; \
		body; \
		*out = r; \
		cpu->arith = ar; \
	}
#define BMI_FLAGS(name, s, n, operands, ...) \
	BMI(name, n, asm(#name s " " operands "\n\tlahf\n\tseto %%al" : "=&r"(r), "=&a"(ar) : __VA_ARGS__ : "cc"))
#define BMI_QUIET(name, s, n, operands, ...) BMI(name, n, asm(#name s " " operands : "=r"(r) : __VA_ARGS__))
#define BMI_PAIR(kind, name, operands, ...) kind(name, "l", 32, operands, __VA_ARGS__) kind(name, "q", 64, operands, __VA_ARGS__)

/* s1: first source in table order (vvvv for ANDN, PEXT, PDEP; r/m for shifts), s2: the other. */
BMI_PAIR(BMI_FLAGS, andn, "%3, %2, %0", "r"(a), "r"(b))
BMI_PAIR(BMI_FLAGS, bzhi, "%3, %2, %0", "r"(a), "r"(b))
BMI_PAIR(BMI_FLAGS, bextr, "%3, %2, %0", "r"(a), "r"(b))
BMI_PAIR(BMI_FLAGS, blsr, "%2, %0", "r"(b))
BMI_PAIR(BMI_FLAGS, blsmsk, "%2, %0", "r"(b))
BMI_PAIR(BMI_FLAGS, blsi, "%2, %0", "r"(b))
BMI_PAIR(BMI_QUIET, pext, "%2, %1, %0", "r"(a), "r"(b))
BMI_PAIR(BMI_QUIET, pdep, "%2, %1, %0", "r"(a), "r"(b))
BMI_PAIR(BMI_QUIET, shlx, "%2, %1, %0", "r"(a), "r"(b))
BMI_PAIR(BMI_QUIET, sarx, "%2, %1, %0", "r"(a), "r"(b))
BMI_PAIR(BMI_QUIET, shrx, "%2, %1, %0", "r"(a), "r"(b))

typedef void (*BmiFn)(Cpu *cpu, uint64_t s1, uint64_t s2, uint64_t *out);
static const struct { uint16_t exec; uint8_t dest_v, rm_first; BmiFn fn[2]; } bmi_table[] = {
	{X_ANDN, 0, 0, {andn32, andn64}}, {X_BZHI, 0, 1, {bzhi32, bzhi64}}, {X_BEXTR, 0, 1, {bextr32, bextr64}},
	{X_BLSR, 1, 0, {blsr32, blsr64}}, {X_BLSMSK, 1, 0, {blsmsk32, blsmsk64}}, {X_BLSI, 1, 0, {blsi32, blsi64}},
	{X_PEXT, 0, 0, {pext32, pext64}}, {X_PDEP, 0, 0, {pdep32, pdep64}},
	{X_SHLX, 0, 1, {shlx32, shlx64}}, {X_SARX, 0, 1, {sarx32, sarx64}}, {X_SHRX, 0, 1, {shrx32, shrx64}},
};

static const Insn *bmi(Cpu *cpu, const Insn *i) /* aux: row */
{
	unsigned size = i->opsize;
	uint64_t rm = load_rm(cpu, i, size), v = get_reg(cpu, i->imm2, size), out;
	bool first = bmi_table[i->aux].rm_first;

	bmi_table[i->aux].fn[size == 8](cpu, first ? rm : v, first ? v : rm, &out);
	set_reg(cpu, bmi_table[i->aux].dest_v ? i->imm2 : i->reg, out, size);
	NEXT(cpu, i);
}
static const Insn *mulx(Cpu *cpu, const Insn *i)
{
	unsigned size = i->opsize;
	unsigned __int128 p = (unsigned __int128)load_rm(cpu, i, size) * get_reg(cpu, RDX * 8, size);

	set_reg(cpu, i->imm2, (uint64_t)p, size);
	set_reg(cpu, i->reg, (uint64_t)(p >> (size * 8)), size);
	NEXT(cpu, i);
}
static const Insn *rorx(Cpu *cpu, const Insn *i)
{
	unsigned size = i->opsize, bits = size * 8, n = (unsigned)i->imm & (bits - 1);
	uint64_t v = load_rm(cpu, i, size);

	if (n)
		v = v >> n | v << (bits - n);
	set_reg(cpu, i->reg, v, size);
	NEXT(cpu, i);
}
static const Insn *adx(Cpu *cpu, const Insn *i) /* aux: 1 ADOX */
{
	unsigned size = i->opsize, bits = size * 8;
	uint16_t flag = i->aux ? AR_OF : AR_CF;
	unsigned __int128 sum = (unsigned __int128)load_rm(cpu, i, size) + get_reg(cpu, i->reg, size) + !!(cpu->arith & flag);

	set_reg(cpu, i->reg, (uint64_t)sum, size);
	cpu->arith = (uint16_t)((cpu->arith & ~flag) | (sum >> bits & 1 ? flag : 0));
	NEXT(cpu, i);
}

/* ---- decimal adjustment (not in 64-bit mode, so computed) ---- */
static void flags_of(Cpu *cpu, uint8_t v, bool cf, bool af)
{
	uint16_t ar = 0;

	if (v == 0) ar |= AR_ZF;
	if (v & 0x80) ar |= AR_SF;
	if (!__builtin_parity(v)) ar |= AR_PF;
	if (cf) ar |= AR_CF;
	if (af) ar |= AR_AF;
	cpu->arith = ar;
}
static const Insn *daa_das(Cpu *cpu, const Insn *i) /* aux: 1 DAS */
{
	uint8_t al = REG8(cpu, 0), old = al;
	bool cf = cpu->arith & AR_CF, af = cpu->arith & AR_AF, carry = false;

	if ((al & 15) > 9 || af) {
		carry = cf || (i->aux ? al < 6 : al > 0xf9);
		al = (uint8_t)(i->aux ? al - 6 : al + 6);
		af = true;
	}
	if (old > 0x99 || cf) {
		al = (uint8_t)(i->aux ? al - 0x60 : al + 0x60);
		carry = true;
	}
	REG8(cpu, 0) = al;
	flags_of(cpu, al, carry, af);
	NEXT(cpu, i);
}
static const Insn *aaa_aas(Cpu *cpu, const Insn *i) /* aux: 1 AAS */
{
	uint16_t ax = REG16(cpu, 0);
	bool adjust = (ax & 15) > 9 || cpu->arith & AR_AF;

	if (adjust)
		ax = (uint16_t)(i->aux ? ax - 0x106 : ax + 0x106);
	REG16(cpu, 0) = ax & 0xff0f;
	flags_of(cpu, (uint8_t)ax & 15, adjust, adjust);
	NEXT(cpu, i);
}
static const Insn *aam(Cpu *cpu, const Insn *i)
{
	uint8_t al = REG8(cpu, 0), base = (uint8_t)i->imm;

	cpu->cur = i;
	if (!base)
		cpu_exception(cpu, EXC_DE);
	REG16(cpu, 0) = (uint16_t)((al / base) << 8 | al % base);
	flags_of(cpu, REG8(cpu, 0), false, false);
	NEXT(cpu, i);
}
static const Insn *aad(Cpu *cpu, const Insn *i)
{
	REG16(cpu, 0) = (uint8_t)(REG8(cpu, 0) + REG8(cpu, 1) * (uint8_t)i->imm);
	flags_of(cpu, REG8(cpu, 0), false, false);
	NEXT(cpu, i);
}

/* ---- flags ---- */
static const Insn *carry(Cpu *cpu, const Insn *i) /* aux: 0 CLC, 1 STC, 2 CMC */
{
	if (i->aux == 2)
		cpu->arith ^= AR_CF;
	else
		cpu->arith = (uint16_t)((cpu->arith & ~AR_CF) | (i->aux ? AR_CF : 0));
	NEXT(cpu, i);
}
static const Insn *direction(Cpu *cpu, const Insn *i) /* aux: 1 STD */
{
	cpu->rflags = i->aux ? cpu->rflags | FLAG_DF : cpu->rflags & ~FLAG_DF;
	NEXT(cpu, i);
}

static InsnFn bmi_handler(Binder *b)
{
	switch (b->d->row->exec) {
	case X_MULX: return mulx;
	case X_RORX: return rorx;
	case X_ADCX: return adx;
	case X_ADOX: b->i->aux = 1; return adx;
	}
	for (unsigned k = 0; k < G_N_ELEMENTS(bmi_table); k++)
		if (bmi_table[k].exec == b->d->row->exec) {
			b->i->aux = (uint8_t)k;
			return bmi;
		}
	return NULL;
}

static InsnFn bind_bmi(Binder *b)
{
	const Decoded *d = b->d;
	InsnFn fn = bmi_handler(b);

	if (fn) {
		b->i->opsize = d->w && (b->cpu->mode & MODE_CODE_MASK) == MODE_CODE64 ? 8 : 4;
		b->i->imm2 = (uint16_t)(d->vvvv * 8);
	}
	return fn;
}

static InsnFn with_aux(Binder *b, uint8_t aux, InsnFn fn)
{
	b->i->aux = aux;
	return fn;
}

InsnFn bind_bits(Binder *b)
{
	switch (b->d->row->exec) {
	case X_BT: return with_aux(b, BT, bit_reg);
	case X_BTS: return with_aux(b, BTS, bit_reg);
	case X_BTR: return with_aux(b, BTR, bit_reg);
	case X_BTC: return with_aux(b, BTC, bit_reg);
	case X_BT_IMM: return with_aux(b, BT, bit_imm);
	case X_BTS_IMM: return with_aux(b, BTS, bit_imm);
	case X_BTR_IMM: return with_aux(b, BTR, bit_imm);
	case X_BTC_IMM: return with_aux(b, BTC, bit_imm);
	case X_BSF: return with_aux(b, SCAN_BSF, scan);
	case X_BSR: return with_aux(b, SCAN_BSR, scan);
	case X_TZCNT: return with_aux(b, SCAN_TZCNT, scan);
	case X_LZCNT: return with_aux(b, SCAN_LZCNT, scan);
	case X_POPCNT: return with_aux(b, SCAN_POPCNT, scan);
	case X_CRC32_8: return with_aux(b, 1, crc32);
	case X_CRC32: return with_aux(b, b->d->opsize, crc32);
	case X_DAA: return with_aux(b, 0, daa_das);
	case X_DAS: return with_aux(b, 1, daa_das);
	case X_AAA: return with_aux(b, 0, aaa_aas);
	case X_AAS: return with_aux(b, 1, aaa_aas);
	case X_AAM: return aam;
	case X_AAD: return aad;
	case X_CLC: return with_aux(b, 0, carry);
	case X_STC: return with_aux(b, 1, carry);
	case X_CMC: return with_aux(b, 2, carry);
	case X_CLD: return with_aux(b, 0, direction);
	case X_STD: return with_aux(b, 1, direction);
	}
	return bind_bmi(b);
}
