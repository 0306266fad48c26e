/*
 * decode.c - the instruction decoder: prefixes, VEX and EVEX, ModRM, SIB, immediates.
 *
 * SDM vol. 2, chapter 2; the facts of each opcode come from the tables (*.tab).
 * Pure functions; any thread.
 */
#include "cpu/decode.h"
#include "cpu/features.h"

#include <string.h>

typedef struct Cursor {
	const uint8_t *p;
	unsigned avail, at;
	bool over; /* ran past avail */
} Cursor;

static uint64_t take(Cursor *c, unsigned n)
{
	uint64_t v = 0;

	if (c->at + n > c->avail || c->at + n > INSN_MAX) {
		c->over = true;
		return 0;
	}
	memcpy(&v, c->p + c->at, n);
	c->at += n;
	return v;
}

static int64_t take_signed(Cursor *c, unsigned n)
{
	uint64_t v = take(c, n);
	unsigned shift = 64 - 8 * n;

	return (int64_t)(v << shift) >> shift;
}

/* Legacy prefixes and REX; returns the first opcode byte. */
static uint8_t prefixes(Cursor *c, bool code64, Decoded *d, bool *asz67)
{
	for (;;) {
		uint8_t b = (uint8_t)take(c, 1);

		if (c->over)
			return 0;
		switch (b) {
		case 0x26: case 0x2e: case 0x36: case 0x3e:
			if (!code64 || (d->seg != FS && d->seg != GS)) {
				d->seg = (b >> 3) & 3;
				d->has_seg_prefix = true;
			}
			break;
		case 0x64: case 0x65: d->seg = FS + (b & 1); d->has_seg_prefix = true; break;
		case 0x66: d->opsz66 = true; break;
		case 0x67: *asz67 = true; break;
		case 0xf0: d->lock = true; break;
		case 0xf2: d->repne = true; d->rep = false; break;
		case 0xf3: d->rep = true; d->repne = false; break;
		default:
			if (code64 && (b & 0xf0) == 0x40) {
				d->rex = b & 15;
				d->rex_present = true;
				b = (uint8_t)take(c, 1);
				/* REX counts only right before the opcode. */
				if (!c->over && ((b & 0xf0) == 0x40 || strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", b))) {
					if (b) {
						d->rex = 0;
						d->rex_present = false;
						c->at--;
						continue;
					}
				}
			}
			return b;
		}
	}
}

/* C4, C5 and 62: VEX and EVEX (vol. 2, 2.3 and 2.7). False: #UD. */
static bool vex(Cursor *c, uint8_t first, bool code64, Decoded *d, uint8_t *enc, uint8_t *map, uint8_t *pfx)
{
	static const uint8_t pp[4] = {PFX_NP, PFX_66, PFX_F3, PFX_F2};

	if (d->lock || d->rep || d->repne || d->opsz66 || d->rex_present)
		return false;
	*enc = first == 0x62 ? ENC_EVEX : ENC_VEX;
	uint8_t p0 = (uint8_t)take(c, 1);
	if (first == 0xc5) {
		d->rex = (uint8_t)(~p0 >> 5 & 4);
		*map = 1;
		d->vvvv = ~p0 >> 3 & 15;
		d->vl = p0 >> 2 & 1;
		*pfx = pp[p0 & 3];
	} else {
		uint8_t p1 = (uint8_t)take(c, 1);
		d->rex = (uint8_t)((~p0 >> 5 & 7) | (p1 >> 4 & 8));
		d->w = p1 >> 7;
		d->vvvv = ~p1 >> 3 & 15;
		*pfx = pp[p1 & 3];
		if (first == 0xc4) {
			*map = p0 & 31;
			d->vl = p1 >> 2 & 1;
		} else {
			uint8_t p2 = (uint8_t)take(c, 1);
			*map = p0 & 7;
			if ((p0 & 8) || !(p1 & 4))
				return c->over;
			d->evex_reg_hi = !(p0 & 16);
			d->evex_z = p2 >> 7;
			d->vl = p2 >> 5 & 3;
			d->evex_b = p2 >> 4 & 1;
			d->evex_v_hi = !(p2 & 8);
			d->evex_aaa = p2 & 7;
		}
	}
	if (!code64) { /* of vvvv: see fields_ok */
		d->rex &= 8;
		d->evex_reg_hi = 0;
	}
	return *map < OPTAB_MAPS && *map != 0;
}

/* Register-form EVEX.b is rounding control: the length bits are not a length then. */
static bool rounding(const OpRow *r, const Decoded *d)
{
	return r->enc == ENC_EVEX && d->evex_b && d->mod == 3 && r->vec & (VEC_ER | VEC_SAE);
}

static bool length_fits(const OpRow *r, const Decoded *d)
{
	if (rounding(r, d) || r->l == LEN_IGNORED)
		return true;
	if (r->l == LEN_256UP)
		return d->vl == 1 || d->vl == 2;
	return r->l == LEN_ANY ? d->vl <= 2 : r->l == d->vl;
}

static bool has(const uint32_t *features, unsigned feat)
{
	return feat == FEAT_NONE || features[feat >> 5] >> (feat & 31) & 1;
}

/* The row's feature, and what every vector instruction of its encoding needs. */
static bool offered(const OpRow *r, const Decoded *d, const uint32_t *features)
{
	if (!has(features, r->feat))
		return false;
	if (r->exec != X_VEC || r->enc == ENC_LEGACY)
		return true;
	if (r->enc == ENC_VEX)
		return has(features, FEAT_AVX);
	bool any_length = (r->l == LEN_ANY || r->l == LEN_256UP) && !rounding(r, d);
	return has(features, FEAT_AVX512F) && (!any_length || d->vl == 2 || has(features, FEAT_AVX512VL));
}

static const OpRow *match(const Decoded *d, uint8_t enc, uint8_t map, uint8_t pfx, unsigned mode,
			  const uint32_t *features)
{
	OpSlot slot = optab_index[enc][map][d->opcode];
	bool code64 = (mode & MODE_CODE_MASK) == MODE_CODE64;

	for (unsigned i = 0; i < slot.count; i++) {
		const OpRow *r = &optab_rows[optab_order[slot.first + i]];

		if (r->pfx == PFX_NO_REP ? pfx > PFX_66 : r->pfx != PFX_ANY && r->pfx != pfx)
			continue;
		if (r->exact ? r->exact != d->modrm : (r->reg >= 0 && r->reg != (d->modrm >> 3 & 7)))
			continue;
		if ((r->form == FORM_MEM && d->mod == 3) || (r->form == FORM_REG && d->mod != 3))
			continue;
		if ((r->attrs & ATTR_I64 && code64) || (r->attrs & ATTR_O64 && !code64))
			continue;
		if (enc != ENC_LEGACY && ((r->w >= 0 && r->w != d->w) || !length_fits(r, d)))
			continue;
		if (features && !offered(r, d, features))
			continue;
		return r;
	}
	return NULL;
}

/* Does the opcode have a ModRM byte? Every row of a slot agrees, except 90h and the like, which have none. */
static bool slot_has_modrm(uint8_t enc, uint8_t map, uint8_t opcode)
{
	OpSlot slot = optab_index[enc][map][opcode];

	if (enc != ENC_LEGACY)
		return !(map == 1 && opcode == 0x77 && enc == ENC_VEX);
	if (map >= 2)
		return true;
	if (map == 0 && opcode >= 0xd8 && opcode <= 0xdf)
		return true;
	for (unsigned i = 0; i < slot.count; i++) {
		const OpRow *r = &optab_rows[optab_order[slot.first + i]];
		if (r->exact || r->reg >= 0 || r->form != FORM_ANY)
			return true;
		for (unsigned k = 0; k < 5 && r->operands[k]; k++)
			if (strchr("EGMSCDRVWHPQUNK", opnd_letter(r->operands[k])) && strlen(optab_operand_names[r->operands[k]]) > 1)
				return true;
	}
	return false;
}

unsigned decoded_mem_bytes(const Decoded *d)
{
	const OpRow *r = d->row;

	if (d->evex_b && r->vec & (VEC_BCST2 | VEC_BCST4 | VEC_BCST8))
		return r->vec & VEC_BCST2 ? 2 : r->vec & VEC_BCST4 ? 4 : 8;
	if (!r->mem) /* a y operand */
		return d->w ? 8 : 4;
	return r->vec & VEC_VL ? (unsigned)r->mem << d->vl : r->mem;
}

/* EVEX counts it in memory operands (vol. 2A, 2.7.5). */
static int64_t disp8(Cursor *c, const Decoded *d)
{
	int64_t disp = take_signed(c, 1);

	return d->row->enc == ENC_EVEX ? disp * decoded_mem_bytes(d) : disp;
}

static void sib(Cursor *c, Decoded *d)
{
	uint8_t b = (uint8_t)take(c, 1);
	uint8_t base = b & 7, index = (b >> 3 & 7) | (d->rex & 2 ? 8 : 0);

	d->scale = b >> 6;
	d->index = index == 4 ? SLOT_ZERO : index;
	if (d->row->vec & VEC_VSIB)
		d->index = (uint8_t)(index | (d->evex_v_hi ? 16 : 0));
	if (base == 5 && d->mod == 0) {
		d->base = SLOT_ZERO;
		d->disp = take_signed(c, 4);
	} else {
		d->base = base | (d->rex & 1 ? 8 : 0);
	}
}

static void modrm16(Cursor *c, Decoded *d)
{
	static const uint8_t base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
	static const uint8_t index[4] = {RSI, RDI, RSI, RDI};
	uint8_t rm = d->modrm & 7;

	d->base = base[rm];
	if (rm < 4)
		d->index = index[rm];
	if (d->mod == 0 && rm == 6) {
		d->base = SLOT_ZERO;
		d->disp = take_signed(c, 2);
	} else if (d->mod) {
		d->disp = d->mod == 1 ? disp8(c, d) : take_signed(c, 2);
	}
}

/* The memory operand. RIP-relative: disp is relative to the instruction's start (see SLOT_RIP). */
static bool modrm_mem(Cursor *c, Decoded *d, bool code64)
{
	bool rip = false;

	d->base = d->index = SLOT_ZERO;
	if (d->asize == 2) {
		modrm16(c, d);
	} else {
		uint8_t rm = d->modrm & 7;
		if (rm == 4) {
			sib(c, d);
		} else if (rm == 5 && d->mod == 0) {
			d->disp = take_signed(c, 4);
			rip = code64;
			if (rip)
				d->base = SLOT_RIP;
		} else {
			d->base = rm | (d->rex & 1 ? 8 : 0);
		}
		if (d->mod == 1)
			d->disp = disp8(c, d);
		else if (d->mod == 2)
			d->disp = take_signed(c, 4);
	}
	if (!d->has_seg_prefix)
		d->seg = d->base == RBP || d->base == RSP ? SS : DS;
	return rip;
}

static void immediates(Cursor *c, Decoded *d)
{
	const OpRow *r = d->row;

	for (unsigned k = 0; k < 5 && r->operands[k]; k++) {
		const char *o = optab_operand_names[r->operands[k]];
		unsigned z = d->opsize == 2 ? 2 : 4;

		if (!strcmp(o, "Ib")) {
			if (r->exec == X_ENTER)
				d->imm2 = (uint16_t)take(c, 1);
			else
				d->imm = take_signed(c, 1);
		} else if (!strcmp(o, "sIb") || !strcmp(o, "Jb")) {
			d->imm = take_signed(c, 1);
		} else if (!strcmp(o, "Iw")) {
			d->imm = (int64_t)take(c, 2);
		} else if (!strcmp(o, "Iz") || !strcmp(o, "Jz")) {
			d->imm = take_signed(c, z);
		} else if (!strcmp(o, "Iv")) {
			d->imm = take_signed(c, d->opsize);
		} else if (!strcmp(o, "Ap")) {
			d->imm = (int64_t)take(c, z);
			d->imm2 = (uint16_t)take(c, 2);
		} else if (o[0] == 'O') {
			d->disp = (int64_t)take(c, d->asize);
			d->base = d->index = SLOT_ZERO;
			d->is_mem = true;
			if (!d->has_seg_prefix)
				d->seg = DS;
		} else if (o[0] == 'L') {
			d->imm = take_signed(c, 1);
		}
	}
}

static unsigned operand_size(const Decoded *d, unsigned code)
{
	if (code != MODE_CODE64)
		return (code == MODE_CODE32) != d->opsz66 ? 4 : 2;
	if (d->rex & 8 || d->row->attrs & ATTR_F64)
		return 8;
	if (d->opsz66)
		return 2;
	return d->row->attrs & ATTR_D64 ? 8 : 4;
}

static bool names_operand(const OpRow *r, const char *letters, char size)
{
	for (unsigned k = 0; k < 5 && r->operands[k]; k++)
		if (strchr(letters, opnd_letter(r->operands[k])) && (!size || opnd_size(r->operands[k]) == size))
			return true;
	return false;
}

/* General registers of 32 or 64 bits, the implicit ones of VPCMPESTRx included. */
static bool sized_by_w(const OpRow *r)
{
	return names_operand(r, "EG", 'y') || (r->vec & VEC_SPECIAL && r->vec & VEC_FLAGS);
}

/* A vector index: SIB only, and no two registers alike (vol. 2, VGATHERDPS and others). */
static bool vsib_ok(const Decoded *d)
{
	unsigned reg = d->reg | (d->evex_reg_hi ? 16u : 0);

	if (d->asize == 2 || (d->modrm & 7) != 4)
		return false;
	if (d->row->enc == ENC_VEX)
		return d->reg != d->index && d->reg != d->vvvv && d->index != d->vvvv;
	return d->evex_aaa && (d->row->vec & VEC_STORE || reg != d->index);
}

/* The #UD rules of VEX and EVEX fields (vol. 2A, 2.4 and 2.7.11). */
static bool fields_ok(Decoded *d)
{
	const OpRow *r = d->row;
	bool k_dest = opnd_letter(r->operands[0]) == 'K';

	if (!names_operand(r, "HB", 0) && !names_operand(r, "K", 'v') &&
	    (d->vvvv || (d->evex_v_hi && !(r->vec & VEC_VSIB))))
		return false;
	if (!d->code64) {
		if (d->evex_v_hi)
			return false;
		d->vvvv &= 7;
	}
	if ((names_operand(r, "K", 'v') && d->vvvv > 7) ||
	    (names_operand(r, "K", 'r') && (d->reg > 7 || d->evex_reg_hi)))
		return false;
	if (r->vec & VEC_VSIB && !vsib_ok(d))
		return false;
	if (names_operand(r, "G", 'd') && d->evex_reg_hi)
		return false;
	if (r->enc == ENC_VEX)
		return true;
	if (d->evex_b && !(r->vec & (d->mod == 3 ? VEC_ER | VEC_SAE : VEC_BCST2 | VEC_BCST4 | VEC_BCST8)))
		return false;
	if (d->evex_aaa && !(r->vec & (VEC_ELEM1 | VEC_ELEM2 | VEC_ELEM4 | VEC_ELEM8)))
		return false;
	if (!d->evex_z)
		return true;
	return d->evex_aaa && !k_dest && !(r->vec & VEC_VSIB) && !(r->vec & VEC_STORE && d->mod != 3);
}

/* The opcode proper: which map, which byte. False: #UD. */
static bool opcode_bytes(Cursor *c, uint8_t b, unsigned mode, Decoded *d, uint8_t *enc, uint8_t *map, uint8_t *pfx)
{
	bool code64 = (mode & MODE_CODE_MASK) == MODE_CODE64;
	bool maybe_vex = b == 0xc4 || b == 0xc5 || b == 0x62;

	*enc = ENC_LEGACY;
	*map = 0;
	*pfx = d->repne ? PFX_F2 : d->rep ? PFX_F3 : d->opsz66 ? PFX_66 : PFX_NP;
	if (maybe_vex && !code64) {
		/* LES, LDS and BOUND have no register form; in real and V86 mode there is no VEX. */
		if (c->at >= c->avail)
			return c->over = true;
		maybe_vex = c->p[c->at] >= 0xc0 && mode & MODE_PROT;
	}
	if (maybe_vex) {
		if (!vex(c, b, code64, d, enc, map, pfx))
			return c->over;
		b = (uint8_t)take(c, 1);
	} else if (b == 0x0f) {
		*map = 1;
		b = (uint8_t)take(c, 1);
		if (b == 0x38 || b == 0x3a) {
			*map = b == 0x38 ? 2 : 3;
			b = (uint8_t)take(c, 1);
		}
	}
	d->opcode = b;
	d->opcode_at = (uint8_t)(c->at - 1);
	return true;
}

static DecodeResult ran_out(const Cursor *c, Decoded *d)
{
	d->len = (uint8_t)c->at;
	return c->avail >= INSN_MAX ? DECODE_TOO_LONG : DECODE_MORE;
}

DecodeResult decode(const uint8_t *bytes, unsigned avail, unsigned mode, const uint32_t *features,
		    Decoded *d)
{
	Cursor c = {bytes, MIN(avail, INSN_MAX), 0, false};
	unsigned code = mode & MODE_CODE_MASK;
	bool code64 = code == MODE_CODE64, asz67 = false, rip = false;
	uint8_t enc, map, pfx;

	memset(d, 0, sizeof(*d));
	d->seg = SEG_NONE;
	d->code64 = code64;
	uint8_t b = prefixes(&c, code64, d, &asz67);
	if (c.over)
		return ran_out(&c, d);
	if (!opcode_bytes(&c, b, mode, d, &enc, &map, &pfx)) {
		d->len = (uint8_t)c.at;
		return DECODE_UD;
	}
	if (c.over)
		return ran_out(&c, d);
	d->asize = code64 ? (asz67 ? 4 : 8) : (code == MODE_CODE32) != asz67 ? 4 : 2;
	if (enc == ENC_LEGACY)
		d->w = d->rex >> 3;
	if (slot_has_modrm(enc, map, d->opcode)) {
		d->has_modrm = true;
		d->modrm_at = (uint8_t)c.at;
		d->modrm = (uint8_t)take(&c, 1);
		if (c.over)
			return ran_out(&c, d);
		d->mod = d->modrm >> 6;
		d->reg = (d->modrm >> 3 & 7) | (d->rex & 4 ? 8 : 0);
		d->rm = (d->modrm & 7) | (d->rex & 1 ? 8 : 0);
	}
	d->row = match(d, enc, map, pfx, mode, features);
	if (!d->row || (d->row->attrs & ATTR_PROT && !(mode & MODE_PROT))) {
		d->len = (uint8_t)c.at;
		return DECODE_UD;
	}
	d->opsize = (uint8_t)operand_size(d, code);
	if (!code64 && enc != ENC_LEGACY && sized_by_w(d->row)) /* W counts in 64-bit mode only */
		d->w = 0;
	/* MOV to and from CR and DR ignore mod: always registers. */
	bool reg_only = map == 1 && d->opcode >= 0x20 && d->opcode <= 0x23 && enc == ENC_LEGACY;
	if (d->has_modrm && d->mod != 3 && !reg_only) {
		d->is_mem = true;
		rip = modrm_mem(&c, d, code64);
	}
	immediates(&c, d);
	if (c.over)
		return ran_out(&c, d);
	if (enc != ENC_LEGACY && !fields_ok(d)) {
		d->len = (uint8_t)c.at;
		return DECODE_UD;
	}
	d->len = (uint8_t)c.at;
	memcpy(d->bytes, bytes, d->len);
	if (rip)
		d->disp += d->len;
	if (code64 && d->seg != FS && d->seg != GS)
		d->seg = SEG_NONE;
	if (!code64 && d->seg == SEG_NONE)
		d->seg = DS;
	if (d->lock && !(d->row->attrs & ATTR_LOCK && d->is_mem))
		return DECODE_UD;
	return DECODE_OK;
}
