/*
 * aml.c - the AML encoder behind aml.h.
 *
 * ACPI Specification 6.4, chapter 20 (AML grammar) and 6.4 (resource data types).
 * Only the terms that Vivarium's tables use are here. One thread.
 */
#include "machine/acpi/aml.h"

#include <string.h>

enum {
	OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b, OP_DWORD = 0x0c, OP_STRING = 0x0d, OP_QWORD = 0x0e,
	OP_SCOPE = 0x10, OP_BUFFER = 0x11, OP_PACKAGE = 0x12, OP_METHOD = 0x14, OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f, OP_EXT = 0x5b, OP_LOCAL0 = 0x60, OP_ARG0 = 0x68, OP_IF = 0xa0, OP_ELSE = 0xa1,
	EXT_REGION = 0x80, EXT_FIELD = 0x81, EXT_DEVICE = 0x82, EXT_PROCESSOR = 0x83,
};

static void put(Aml *a, const void *data, unsigned len)
{
	g_byte_array_append(a->out, data, len);
}

static void put_le(Aml *a, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		uint8_t b = value >> (8 * i);
		put(a, &b, 1);
	}
}

void aml_init(Aml *a)
{
	memset(a, 0, sizeof(*a));
	a->out = g_byte_array_new();
}

GByteArray *aml_finish(Aml *a)
{
	g_assert(a->depth == 0);
	GByteArray *out = a->out;
	a->out = NULL;
	return out;
}

static void open_package(Aml *a, bool buffer)
{
	g_assert(a->depth < AML_DEPTH);
	a->open[a->depth].at = a->out->len;
	a->open[a->depth++].buffer = buffer;
}

/* PkgLength (20.2.4) counts itself; bits 7:6 of its first byte say how many bytes follow. */
static unsigned encode_length(uint8_t out[4], unsigned contents)
{
	unsigned bytes = contents + 1 < 64 ? 1 : contents + 2 < 1u << 12 ? 2 : contents + 3 < 1u << 20 ? 3 : 4;
	unsigned total = contents + bytes;
	g_assert(total < 1u << 28);
	if (bytes == 1) {
		out[0] = total;
		return 1;
	}
	out[0] = (bytes - 1) << 6 | (total & 15);
	for (unsigned i = 1; i < bytes; i++)
		out[i] = total >> (8 * i - 4);
	return bytes;
}

static void insert(Aml *a, unsigned at, const uint8_t *data, unsigned len)
{
	unsigned old = a->out->len;
	g_byte_array_set_size(a->out, old + len);
	memmove(a->out->data + at + len, a->out->data + at, old - at);
	memcpy(a->out->data + at, data, len);
}

/* Integers are written shortest first (20.2.3). */
static unsigned encode_int(uint8_t out[9], uint64_t value)
{
	static const struct { uint8_t op, bytes; } forms[] = {
		{ OP_BYTE, 1 }, { OP_WORD, 2 }, { OP_DWORD, 4 }, { OP_QWORD, 8 },
	};
	if (value <= 1) {
		out[0] = value;
		return 1;
	}
	unsigned f = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= UINT32_MAX ? 2 : 3;
	out[0] = forms[f].op;
	for (unsigned i = 0; i < forms[f].bytes; i++)
		out[1 + i] = value >> (8 * i);
	return 1 + forms[f].bytes;
}

void aml_end(Aml *a)
{
	g_assert(a->depth > 0);
	a->depth--;
	unsigned at = a->open[a->depth].at;
	uint8_t bytes[9];
	if (a->open[a->depth].buffer)
		insert(a, at, bytes, encode_int(bytes, a->out->len - at));
	insert(a, at, bytes, encode_length(bytes, a->out->len - at));
}

void aml_op(Aml *a, uint8_t opcode)
{
	put(a, &opcode, 1);
}

static void put_segment(Aml *a, const char *seg, size_t len)
{
	g_assert(len >= 1 && len <= 4);
	char padded[4] = { '_', '_', '_', '_' };
	for (size_t i = 0; i < len; i++) {
		g_assert(g_ascii_isupper(seg[i]) || seg[i] == '_' || (i && g_ascii_isdigit(seg[i])));
		padded[i] = seg[i];
	}
	put(a, padded, 4);
}

void aml_path(Aml *a, const char *path)
{
	if (*path == '\\')
		aml_op(a, *path++);
	while (*path == '^')
		aml_op(a, *path++);
	if (!*path) {
		aml_op(a, 0); /* NullName */
		return;
	}
	char **segs = g_strsplit(path, ".", 0);
	unsigned count = g_strv_length(segs);
	g_assert(count < 256);
	if (count == 2)
		aml_op(a, OP_DUAL_NAME);
	if (count > 2) {
		aml_op(a, OP_MULTI_NAME);
		aml_op(a, count);
	}
	for (unsigned i = 0; i < count; i++)
		put_segment(a, segs[i], strlen(segs[i]));
	g_strfreev(segs);
}

void aml_begin_scope(Aml *a, const char *path)
{
	aml_op(a, OP_SCOPE);
	open_package(a, false);
	aml_path(a, path);
}

void aml_begin_device(Aml *a, const char *name)
{
	aml_op(a, OP_EXT);
	aml_op(a, EXT_DEVICE);
	open_package(a, false);
	aml_path(a, name);
}

void aml_begin_method(Aml *a, const char *name, unsigned args, bool serialized)
{
	g_assert(args <= 7);
	aml_op(a, OP_METHOD);
	open_package(a, false);
	aml_path(a, name);
	aml_op(a, args | (serialized ? 8 : 0));
}

void aml_begin_processor(Aml *a, const char *name, uint8_t uid)
{
	aml_op(a, OP_EXT);
	aml_op(a, EXT_PROCESSOR);
	open_package(a, false);
	aml_path(a, name);
	aml_op(a, uid);
	put_le(a, 0, 4); /* no P_BLK: C1 only */
	aml_op(a, 0);
}

void aml_begin_package(Aml *a, uint8_t elements)
{
	aml_op(a, OP_PACKAGE);
	open_package(a, false);
	aml_op(a, elements);
}

void aml_begin_if(Aml *a)
{
	aml_op(a, OP_IF);
	open_package(a, false);
}

void aml_begin_else(Aml *a)
{
	aml_op(a, OP_ELSE);
	open_package(a, false);
}

void aml_begin_buffer(Aml *a)
{
	aml_op(a, OP_BUFFER);
	open_package(a, true);
}

void aml_begin_field(Aml *a, const char *region)
{
	aml_op(a, OP_EXT);
	aml_op(a, EXT_FIELD);
	open_package(a, false);
	aml_path(a, region);
	aml_op(a, 1); /* ByteAcc, NoLock, Preserve */
}

void aml_field_unit(Aml *a, const char *name, unsigned bits)
{
	g_assert(bits < 64);
	put_segment(a, name, strlen(name));
	aml_op(a, bits); /* a PkgLength of one byte */
}

void aml_int(Aml *a, uint64_t value)
{
	uint8_t bytes[9];
	put(a, bytes, encode_int(bytes, value));
}

void aml_string(Aml *a, const char *text)
{
	aml_op(a, OP_STRING);
	put(a, text, strlen(text) + 1);
}

/* Three letters of 5 bits and four hex digits, big endian (19.3.4). */
void aml_eisa_id(Aml *a, const char *id)
{
	g_assert(strlen(id) == 7);
	uint32_t v = (uint32_t)(id[0] - 0x40) << 26 | (uint32_t)(id[1] - 0x40) << 21 |
	             (uint32_t)(id[2] - 0x40) << 16;
	for (unsigned i = 0; i < 4; i++)
		v |= (uint32_t)g_ascii_xdigit_value(id[3 + i]) << (12 - 4 * i);
	aml_op(a, OP_DWORD);
	put_le(a, GUINT32_SWAP_LE_BE(v), 4);
}

void aml_local(Aml *a, unsigned n)
{
	g_assert(n < 8);
	aml_op(a, OP_LOCAL0 + n);
}

void aml_arg(Aml *a, unsigned n)
{
	g_assert(n < 7);
	aml_op(a, OP_ARG0 + n);
}

void aml_name(Aml *a, const char *name)
{
	aml_op(a, OP_NAME);
	aml_path(a, name);
}

void aml_name_int(Aml *a, const char *name, uint64_t value)
{
	aml_name(a, name);
	aml_int(a, value);
}

void aml_name_string(Aml *a, const char *name, const char *text)
{
	aml_name(a, name);
	aml_string(a, text);
}

void aml_name_eisa_id(Aml *a, const char *name, const char *id)
{
	aml_name(a, name);
	aml_eisa_id(a, id);
}

void aml_region(Aml *a, const char *name, uint8_t space, uint32_t offset, uint32_t length)
{
	aml_op(a, OP_EXT);
	aml_op(a, EXT_REGION);
	aml_path(a, name);
	aml_op(a, space);
	aml_int(a, offset);
	aml_int(a, length);
}

/* 6.4.2.5 I/O port descriptor, 16-bit decode */
void aml_res_io(Aml *a, uint16_t port, uint8_t length)
{
	put_le(a, 0x0147, 2);
	put_le(a, port, 2);
	put_le(a, port, 2);
	aml_op(a, 1);
	aml_op(a, length);
}

/* 6.4.2.1 IRQ descriptor without flags */
void aml_res_irq(Aml *a, unsigned irq)
{
	aml_op(a, 0x22);
	put_le(a, 1u << irq, 2);
}

/* 6.4.3.6 extended interrupt descriptor: consumer, level, active high, shared */
void aml_res_ext_irq(Aml *a, const uint32_t *irqs, uint8_t count)
{
	aml_op(a, 0x89);
	put_le(a, 2 + 4u * count, 2);
	aml_op(a, 0x09);
	aml_op(a, count);
	for (unsigned i = 0; i < count; i++)
		put_le(a, irqs[i], 4);
}

/* 6.4.3.4 32-bit fixed memory range */
void aml_res_mem32(Aml *a, uint32_t base, uint32_t length, bool writable)
{
	aml_op(a, 0x86);
	put_le(a, 9, 2);
	aml_op(a, writable);
	put_le(a, base, 4);
	put_le(a, length, 4);
}

/* 6.4.3.5 address space descriptors; min and max fixed, positive decode, producer */
static void window(Aml *a, unsigned width, uint8_t type, uint8_t flags, uint64_t first, uint64_t last)
{
	static const uint8_t tag[] = { [2] = 0x88, [4] = 0x87, [8] = 0x8a };
	aml_op(a, tag[width]);
	put_le(a, 3 + 5 * width, 2);
	aml_op(a, type);
	aml_op(a, 0x0c);
	aml_op(a, flags);
	put_le(a, 0, width);
	put_le(a, first, width);
	put_le(a, last, width);
	put_le(a, 0, width);
	put_le(a, last - first + 1, width);
}

void aml_res_bus(Aml *a, uint16_t first, uint16_t last)
{
	window(a, 2, 2, 0, first, last);
}

void aml_res_io_window(Aml *a, uint16_t first, uint16_t last)
{
	window(a, 2, 1, 3, first, last);
}

void aml_res_mem_window(Aml *a, uint64_t first, uint64_t last, bool cacheable)
{
	window(a, last > UINT32_MAX ? 8 : 4, 0, cacheable ? 3 : 1, first, last);
}

/* 6.4.2.9 end tag; checksum 0 means "not used" */
void aml_res_end(Aml *a)
{
	put_le(a, 0x0079, 2);
}
