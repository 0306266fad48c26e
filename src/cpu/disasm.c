/*
 * disasm.c - one decoded instruction as Intel-syntax text, from the opcode table.
 *
 * SDM vol. 2 for mnemonics and operand order. Leaves out EVEX rounding control. Pure
 * functions; any thread.
 */
#include <inttypes.h>
#include <string.h>

#include "cpu/decode.h"

static const char *const reg64[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi" };
static const char *const reg8_old[] = { "al", "cl", "dl", "bl", "ah", "ch", "dh", "bh" };
static const char *const reg8_new[] = { "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil" };
static const char *const segs[] = { "es", "cs", "ss", "ds", "fs", "gs", "?", "?" };

static void append_gpr(GString *out, unsigned n, unsigned size, bool rex)
{
	if (n >= 8)
		g_string_append_printf(out, "r%u%s", n, size == 1 ? "b" : size == 2 ? "w"
			: size == 4 ? "d" : "");
	else if (size == 1)
		g_string_append(out, (rex ? reg8_new : reg8_old)[n]);
	else if (size == 8)
		g_string_append(out, reg64[n]);
	else
		g_string_append_printf(out, "%s%s", size == 4 ? "e" : "", reg64[n] + 1);
}

/* Bytes of an operand by its size letter. */
static unsigned operand_bytes(const Decoded *d, const char *o)
{
	const char *letter = o[0] == 's' ? o + 2 : o + 1;
	switch (*letter) {
	case 'b': return 1;
	case 'w': return 2;
	case 'd': return 4;
	case 'q': return 8;
	case 'z': return MIN(d->opsize, 4);
	case 'y': return d->opsize == 8 ? 8 : 4;
	case 'v': return d->opsize;
	default: return 0;
	}
}

static void append_hex(GString *out, int64_t value, unsigned bytes)
{
	uint64_t mask = bytes && bytes < 8 ? (1ull << (8 * bytes)) - 1 : UINT64_MAX;
	g_string_append_printf(out, "0x%" PRIx64, (uint64_t)value & mask);
}

static const char *size_word(unsigned bytes)
{
	switch (bytes) {
	case 1: return "byte ptr ";
	case 2: return "word ptr ";
	case 4: return "dword ptr ";
	case 8: return "qword ptr ";
	case 10: return "tbyte ptr ";
	case 16: return "xmmword ptr ";
	case 32: return "ymmword ptr ";
	case 64: return "zmmword ptr ";
	default: return "";
	}
}

static bool is_vector_index(const Decoded *d)
{
	return strstr(d->row->name, "gather") || strstr(d->row->name, "scatter");
}

static void append_address(GString *out, const Decoded *d, uint64_t rip)
{
	bool any = false;
	if (d->has_seg_prefix && d->seg < SEG_COUNT)
		g_string_append_printf(out, "%s:", segs[d->seg]);
	g_string_append_c(out, '[');
	if (d->base == SLOT_RIP) {
		append_hex(out, (int64_t)(rip + (uint64_t)d->disp), d->asize);
		g_string_append_c(out, ']');
		return;
	}
	if (d->base < 16) {
		append_gpr(out, d->base, d->asize, false);
		any = true;
	}
	if (d->index < 16) {
		g_string_append(out, any ? "+" : "");
		if (is_vector_index(d))
			g_string_append_printf(out, "%cmm%u", "xyz"[d->vl % 3], d->index);
		else
			append_gpr(out, d->index, d->asize, false);
		if (d->scale)
			g_string_append_printf(out, "*%u", 1u << d->scale);
		any = true;
	}
	if (!any)
		append_hex(out, d->disp, d->asize);
	else if (d->disp)
		g_string_append_printf(out, "%c0x%" PRIx64, d->disp < 0 ? '-' : '+',
			d->disp < 0 ? -(uint64_t)d->disp : (uint64_t)d->disp);
	g_string_append_c(out, ']');
}

static void append_memory(GString *out, const Decoded *d, uint64_t rip, unsigned bytes)
{
	if (d->row->mem) {
		bytes = d->row->mem;
		if (d->row->vec & VEC_VL)
			bytes <<= d->vl;
	}
	if (strcmp(d->row->name, "lea") && strncmp(d->row->name, "nop", 3) &&
		strcmp(d->row->name, "invlpg"))
		g_string_append(out, size_word(bytes));
	append_address(out, d, rip);
}

static void append_vector(GString *out, const Decoded *d, unsigned n)
{
	bool wide = d->row->enc != ENC_LEGACY;
	g_string_append_printf(out, "%cmm%u", wide ? "xyz"[d->vl % 3] : 'x', n);
}

/* Operands that are a register or memory, by modrm.r/m. */
static void append_rm(GString *out, const Decoded *d, const char *o, uint64_t rip)
{
	if (d->is_mem) {
		append_memory(out, d, rip, operand_bytes(d, o));
		return;
	}
	switch (o[0]) {
	case 'W': case 'U':
		append_vector(out, d, d->rm + (d->row->enc == ENC_EVEX && d->rex & 2 ? 16 : 0));
		break;
	case 'Q': case 'N':
		g_string_append_printf(out, "mm%u", d->rm & 7);
		break;
	default: {
		unsigned bytes = operand_bytes(d, o);
		append_gpr(out, d->rm, bytes ? bytes : d->opsize, d->rex_present);
		break;
	}
	}
}

static void append_relative(GString *out, const Decoded *d, uint64_t rip)
{
	uint64_t target = rip + d->len + (uint64_t)d->imm;
	append_hex(out, (int64_t)target, d->opsize == 2 ? 2 : d->opsize);
}

static void append_register(GString *out, const Decoded *d, const char *o)
{
	switch (o[0]) {
	case 'G': case 'B': {
		unsigned bytes = operand_bytes(d, o);
		append_gpr(out, o[0] == 'B' ? d->vvvv : d->reg, bytes ? bytes : d->opsize,
			d->rex_present);
		break;
	}
	case 'Z':
		append_gpr(out, (d->opcode & 7) | (d->rex & 1 ? 8 : 0), operand_bytes(d, o),
			d->rex_present);
		break;
	case 'V': append_vector(out, d, d->reg + (d->evex_reg_hi ? 16 : 0)); break;
	case 'H': append_vector(out, d, d->vvvv + (d->evex_v_hi ? 16 : 0)); break;
	case 'L': append_vector(out, d, (unsigned)d->imm >> 4 & 15); break;
	case 'P': g_string_append_printf(out, "mm%u", d->reg & 7); break;
	case 'S': g_string_append(out, segs[d->reg & 7]); break;
	case 'C': g_string_append_printf(out, "cr%u", d->reg); break;
	case 'D': g_string_append_printf(out, "dr%u", d->reg); break;
	case 'K':
		g_string_append_printf(out, "k%u", (o[1] == 'r' ? d->reg : o[1] == 'v' ? d->vvvv
			: d->rm) & 7);
		break;
	}
}

static void append_operand(GString *out, const Decoded *d, const char *o, uint64_t rip)
{
	if (o[0] == 'K' && o[1] == 'm' && d->is_mem) {
		append_memory(out, d, rip, 0);
	} else if (strchr("EWQMNUR", o[0])) {
		append_rm(out, d, o, rip);
	} else if (strchr("GBZVHLPSCDK", o[0])) {
		append_register(out, d, o);
	} else if (o[0] == 'J') {
		append_relative(out, d, rip);
	} else if (o[0] == 'A') {
		g_string_append_printf(out, "0x%x:0x%" PRIx64, d->imm2,
			(uint64_t)d->imm & (d->opsize == 2 ? 0xffff : ~0u));
	} else if (o[0] == 'O') {
		append_memory(out, d, rip, operand_bytes(d, o));
	} else if (!strcmp(o, "Ib") && d->row->exec == X_ENTER) {
		g_string_append_printf(out, "0x%x", d->imm2);
	} else if (o[0] == 'I') {
		append_hex(out, d->imm, !strcmp(o, "Iz") && d->opsize == 8 ? 8
			: operand_bytes(d, o));
	} else if (!strcmp(o, "sIb")) {
		append_hex(out, d->imm, d->opsize);
	} else if (!strcmp(o, "rax") || !strcmp(o, "eax")) {
		append_gpr(out, RAX, o[0] == 'e' ? 4 : d->opsize, false);
	} else {
		g_string_append(out, o); /* a fixed register, or the 1 of shifts */
	}
}

static bool string_row(const OpRow *row)
{
	return row->attrs & ATTR_REP;
}

static void append_name(GString *out, const Decoded *d)
{
	const OpRow *row = d->row;
	const char *first = row->operands[0] ? optab_operand_names[row->operands[0]] : "";
	if (d->lock)
		g_string_append(out, "lock ");
	if (string_row(row) && (d->rep || d->repne)) {
		bool compares = !strcmp(row->name, "cmps") || !strcmp(row->name, "scas");
		g_string_append(out, d->repne ? "repne " : compares ? "repe " : "rep ");
	}
	/* One row serves all widths of these; the mnemonic says which it is. */
	if (!strcmp(row->name, "cbw"))
		g_string_append(out, d->opsize == 2 ? "cbw" : d->opsize == 4 ? "cwde" : "cdqe");
	else if (!strcmp(row->name, "cwd"))
		g_string_append(out, d->opsize == 2 ? "cwd" : d->opsize == 4 ? "cdq" : "cqo");
	else if (!strcmp(row->name, "iret"))
		g_string_append(out, d->opsize == 2 ? "iret" : d->opsize == 4 ? "iretd" : "iretq");
	else if (!strcmp(row->name, "jcxz"))
		g_string_append(out, d->asize == 2 ? "jcxz" : d->asize == 4 ? "jecxz" : "jrcxz");
	else if (row->exec == X_XCHG_ACC && d->opcode == 0x90 && !(d->rex & 1))
		g_string_append(out, "nop");
	else
		g_string_append(out, row->name);
	if (!strcmp(first, "b"))
		g_string_append_c(out, 'b');
	else if (!strcmp(first, "v") && string_row(row))
		g_string_append_c(out, d->opsize == 2 ? 'w' : d->opsize == 4 ||
			row->exec == X_INS || row->exec == X_OUTS ? 'd' : 'q');
}

void disassemble(const Decoded *d, uint64_t rip, GString *out)
{
	bool first = true;
	append_name(out, d);
	if (d->row->exec == X_XCHG_ACC && d->opcode == 0x90 && !(d->rex & 1))
		return;
	for (unsigned i = 0; i < G_N_ELEMENTS(d->row->operands) && d->row->operands[i]; i++) {
		const char *o = optab_operand_names[d->row->operands[i]];
		if (!strcmp(o, "b") || !strcmp(o, "v"))
			continue; /* a width, not an operand */
		g_string_append(out, first ? " " : ", ");
		first = false;
		append_operand(out, d, o, rip);
		if (i == 0 && d->evex_aaa)
			g_string_append_printf(out, "{k%u}%s", d->evex_aaa, d->evex_z ? "{z}" : "");
	}
	/* x87 register forms keep their operand in the opcode alone. */
	if (d->row->vec & VEC_X87 && !d->is_mem && !d->row->exact && first && d->has_modrm &&
		d->row->form == FORM_REG &&
	    strcmp(d->row->name, "fnstsw"))
		g_string_append_printf(out, " st(%u)", d->rm & 7);
}
