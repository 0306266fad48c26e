/*
 * smbios.c - the SMBIOS structures and their entry point.
 *
 * DMTF DSP0134 (System Management BIOS) 2.8: entry point 5.2.1, structures 7.1 to
 * 7.45. Types 0 (when asked for; firmware writes its own otherwise), 1, 2, 3, 4, 11,
 * 16, 17, 19, 32, 127. Leaves out PCI slots and caches. Main thread.
 */
#include "machine/smbios.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/error.h"

#define MIB (1024ull * 1024)
#define GIB (1024 * MIB)
#define DIMM_MAX (16 * GIB)

typedef struct Build {
	const SmbiosInput *in;
	GByteArray *out;
	unsigned start;       /* of the open structure */
	GString *strings;     /* of the open structure */
	unsigned string_count;
	unsigned count, largest;
} Build;

static void put_le(GByteArray *out, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		uint8_t b = value >> (8 * i);
		g_byte_array_append(out, &b, 1);
	}
}

static void put(Build *b, uint64_t value, unsigned bytes)
{
	put_le(b->out, value, bytes);
}

static void begin(Build *b, uint8_t type, uint16_t handle)
{
	b->start = b->out->len;
	b->string_count = 0;
	g_string_truncate(b->strings, 0);
	put(b, type, 1);
	put(b, 0, 1);
	put(b, handle, 2);
}

/* A string's number in the structure's string set; empty strings are number 0. */
static void put_string(Build *b, const char *text)
{
	if (!text || !*text || b->string_count == 255) {
		put(b, 0, 1);
		return;
	}
	g_string_append_len(b->strings, text, strlen(text) + 1);
	put(b, ++b->string_count, 1);
}

static void end(Build *b)
{
	b->out->data[b->start + 1] = b->out->len - b->start;
	g_byte_array_append(b->out, (const uint8_t *)b->strings->str, b->strings->len);
	put(b, 0, b->string_count ? 1 : 2);
	b->largest = MAX(b->largest, b->out->len - b->start);
	b->count++;
}

/* The last -smbios type=N entry that has the key; NULL: none. */
static const char *field(const Build *b, int type, const char *key)
{
	const GPtrArray *list = b->in->config->smbios;
	const char *found = NULL;
	for (unsigned i = 0; i < list->len; i++) {
		const SmbiosConfig *s = g_ptr_array_index(list, i);
		const char *v = s->type == type ? smbios_config_get(s, key) : NULL;
		if (v)
			found = v;
	}
	return found;
}

static bool asked(const Build *b, int type)
{
	const GPtrArray *list = b->in->config->smbios;
	for (unsigned i = 0; i < list->len; i++)
		if (((const SmbiosConfig *)g_ptr_array_index(list, i))->type == type)
			return true;
	return false;
}

static void put_field(Build *b, int type, const char *key, const char *def)
{
	const char *v = field(b, type, key);
	put_string(b, v ? v : def);
}

static bool number(const Build *b, int type, const char *key, uint64_t max, uint64_t *out, GError **error)
{
	const char *v = field(b, type, key);
	char *rest;
	if (!v)
		return true;
	errno = 0;
	uint64_t n = g_ascii_strtoull(v, &rest, 0);
	if (errno || !*v || *rest || *v == '-' || n > max)
		return fail(error, VIV_ERROR_INVALID, "-smbios type=%d,%s=%s: a number up to %" PRIu64
			" is needed.", type, key, v, max);
	*out = n;
	return true;
}

/* 7.1 */
static bool type0(Build *b, GError **error)
{
	if (!asked(b, 0))
		return true;
	const char *release = field(b, 0, "release"), *uefi = field(b, 0, "uefi");
	unsigned major = 0, minor = 0;
	if (release && (sscanf(release, "%u.%u", &major, &minor) != 2 || major > 255 || minor > 255))
		return fail(error, VIV_ERROR_INVALID, "-smbios type=0,release=%s: MAJOR.MINOR is needed, each up "
			"to 255.", release);
	begin(b, 0, 0);
	put_field(b, 0, "vendor", NULL);
	put_field(b, 0, "version", NULL);
	put(b, 0xe800, 2);
	put_field(b, 0, "date", NULL);
	put(b, 0, 1);
	put(b, 0x08, 8); /* characteristics are not supported */
	put(b, 0, 1);
	/* 0x10: table describes a virtual machine; 0x08: UEFI; 0x04: targeted content */
	put(b, 0x14 | (uefi && (!strcmp(uefi, "on") || !strcmp(uefi, "yes")) ? 0x08 : 0), 1);
	put(b, release ? major : 0, 1);
	put(b, release ? minor : 0, 1);
	put(b, 0xffff, 2);
	end(b);
	return true;
}

static int hex_digit(char c)
{
	return g_ascii_xdigit_value(c);
}

/* "8-4-4-4-12" to bytes in text order. */
static bool uuid_parse(const char *text, uint8_t out[16])
{
	unsigned n = 0;
	for (const char *p = text; *p;) {
		if (*p == '-' && (n == 4 || n == 6 || n == 8 || n == 10)) {
			p++;
			if (*p == '-')
				return false;
		}
		if (n >= 16 || hex_digit(p[0]) < 0 || hex_digit(p[1]) < 0)
			return false;
		out[n++] = hex_digit(p[0]) << 4 | hex_digit(p[1]);
		p += 2;
	}
	return n == 16;
}

/* 7.2; the first three fields of the UUID are little endian (7.2.1) */
static bool type1(Build *b, GError **error)
{
	const MachineConfig *c = b->in->config;
	const MachineType *t = machine_type_find(c->type);
	uint8_t uuid[16];
	memcpy(uuid, c->uuid, 16);
	const char *text = field(b, 1, "uuid");
	if (text && !uuid_parse(text, uuid))
		return fail(error, VIV_ERROR_INVALID, "-smbios type=1,uuid=%s: this is no UUID.", text);
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	begin(b, 1, 0x100);
	put_field(b, 1, "manufacturer", "QEMU"); /* guests tell by it that they are virtual */
	put_field(b, 1, "product", t->desc);
	put_field(b, 1, "version", t->name);
	put_field(b, 1, "serial", NULL);
	for (unsigned i = 0; i < 16; i++)
		put(b, uuid[order[i]], 1);
	put(b, 6, 1); /* woken by the power switch */
	put_field(b, 1, "sku", NULL);
	put_field(b, 1, "family", NULL);
	end(b);
	return true;
}

/* 7.3 */
static void type2(Build *b)
{
	if (!asked(b, 2))
		return;
	begin(b, 2, 0x200);
	put_field(b, 2, "manufacturer", "QEMU");
	put_field(b, 2, "product", machine_type_find(b->in->config->type)->desc);
	put_field(b, 2, "version", machine_type_find(b->in->config->type)->name);
	put_field(b, 2, "serial", NULL);
	put_field(b, 2, "asset", NULL);
	put(b, 0x01, 1); /* hosting board */
	put_field(b, 2, "location", NULL);
	put(b, 0x300, 2);
	put(b, 0x0a, 1); /* motherboard */
	put(b, 0, 1);
	end(b);
}

/* 7.4 */
static void type3(Build *b)
{
	begin(b, 3, 0x300);
	put_field(b, 3, "manufacturer", "QEMU");
	put(b, 0x01, 1);
	put_field(b, 3, "version", machine_type_find(b->in->config->type)->name);
	put_field(b, 3, "serial", NULL);
	put_field(b, 3, "asset", NULL);
	put(b, 0x02030303, 4); /* boot-up, power, thermal: safe; security: unknown */
	put(b, 0, 4);
	put(b, 0, 1); /* height */
	put(b, 0, 1);
	put(b, 0, 2); /* no contained elements */
	put_field(b, 3, "sku", NULL);
	end(b);
}

/* 7.5: one a socket */
static bool type4(Build *b, GError **error)
{
	const SmpConfig *s = &b->in->config->smp;
	uint64_t max_speed = 2000, speed = 2000;
	uint64_t id = (uint64_t)b->in->cpuid1_edx << 32 | b->in->cpuid1_eax;
	if (!number(b, 4, "max-speed", 0xffff, &max_speed, error) ||
	    !number(b, 4, "current-speed", 0xffff, &speed, error) ||
	    !number(b, 4, "processor-id", UINT64_MAX, &id, error))
		return false;
	const char *prefix = field(b, 4, "sock_pfx");
	unsigned cores = s->cores * s->dies, threads = cores * s->threads;
	for (unsigned i = 0; i < s->sockets; i++) {
		char *socket = g_strdup_printf("%s%2x", prefix ? prefix : "CPU", i);
		begin(b, 4, 0x400 + i);
		put_string(b, socket);
		put(b, 0x03, 1); /* central processor */
		put(b, 0x01, 1);
		put_field(b, 4, "manufacturer", "QEMU");
		put(b, id, 8);
		put_field(b, 4, "version", machine_type_find(b->in->config->type)->name);
		put(b, 0, 1);
		put(b, 0, 2);
		put(b, max_speed, 2);
		put(b, speed, 2);
		put(b, 0x41, 1); /* socket populated, enabled */
		put(b, 0x01, 1);
		put(b, 0xffffffffffffull, 6); /* no cache structures */
		put_field(b, 4, "serial", NULL);
		put_field(b, 4, "asset", NULL);
		put_field(b, 4, "part", NULL);
		put(b, MIN(cores, 255), 1);
		put(b, MIN(cores, 255), 1);
		put(b, MIN(threads, 255), 1);
		put(b, 0x02, 2);
		put(b, 0x01, 2);
		put(b, cores, 2);
		put(b, cores, 2);
		put(b, threads, 2);
		end(b);
		g_free(socket);
	}
	return true;
}

/* 7.12: OEM strings */
static bool type11(Build *b, GError **error)
{
	if (!asked(b, 11))
		return true;
	begin(b, 11, 0xe00);
	put(b, 0, 1);
	for (unsigned i = 0; i < b->in->config->smbios->len; i++) {
		const SmbiosConfig *s = g_ptr_array_index(b->in->config->smbios, i);
		for (unsigned k = 0; s->type == 11 && k < s->fields->len; k++) {
			const KeyValue *kv = &g_array_index(s->fields, KeyValue, k);
			char *text = NULL;
			if (!strcmp(kv->key, "path") && !g_file_get_contents(kv->value, &text, NULL, NULL))
				return fail(error, VIV_ERROR_FAILED, "-smbios type=11,path=%s: the file cannot be read.",
					kv->value);
			const char *value = text ? text : kv->value;
			if (*value && b->string_count < 255) {
				g_string_append_len(b->strings, value, strlen(value) + 1);
				b->string_count++;
			}
			g_free(text);
		}
	}
	b->out->data[b->start + 4] = b->string_count;
	end(b);
	return true;
}

/* 7.17, 7.18, 7.20: the memory array, its modules, where they are mapped */
static bool memory(Build *b, GError **error)
{
	uint64_t size = b->in->config->ram_size, speed = 0;
	if (!number(b, 17, "speed", 0xffff, &speed, error))
		return false;
	unsigned dimms = (size + DIMM_MAX - 1) / DIMM_MAX;
	const char *prefix = field(b, 17, "loc_pfx");
	begin(b, 16, 0x1000);
	put(b, 0x01, 1); /* other location */
	put(b, 0x03, 1); /* system memory */
	put(b, 0x06, 1); /* multi-bit ECC */
	put(b, size < 2048 * GIB ? size / 1024 : 0x80000000u, 4);
	put(b, 0xfffe, 2);
	put(b, dimms, 2);
	put(b, size < 2048 * GIB ? 0 : size, 8);
	end(b);
	for (unsigned i = 0; i < dimms && i < 0x200; i++) {
		uint64_t mib = (MIN(size - i * DIMM_MAX, DIMM_MAX) + MIB - 1) / MIB;
		char *place = g_strdup_printf("%s %u", prefix ? prefix : "DIMM", i);
		begin(b, 17, 0x1100 + i);
		put(b, 0x1000, 2);
		put(b, 0xfffe, 2);
		put(b, 0xffff, 2); /* widths unknown */
		put(b, 0xffff, 2);
		put(b, mib, 2);    /* 16384 MiB at most: below the escape value */
		put(b, 0x09, 1);   /* DIMM */
		put(b, 0, 1);
		put_string(b, place);
		put_field(b, 17, "bank", NULL);
		put(b, 0x07, 1);   /* RAM */
		put(b, 0x02, 2);
		put(b, speed, 2);
		put_field(b, 17, "manufacturer", "QEMU");
		put_field(b, 17, "serial", NULL);
		put_field(b, 17, "asset", NULL);
		put_field(b, 17, "part", NULL);
		put(b, 0, 1);
		put(b, 0, 4);
		put(b, speed, 2);
		put(b, 0, 6);      /* voltages */
		end(b);
		g_free(place);
	}
	const uint64_t base[2] = { 0, 4 * GIB }, length[2] = { b->in->ram_below_4g, b->in->ram_above_4g };
	for (unsigned i = 0; i < 2; i++) {
		if (!length[i])
			continue;
		uint64_t first = base[i] / 1024, last = (base[i] + length[i]) / 1024 - 1;
		bool narrow = last < UINT32_MAX;
		begin(b, 19, 0x1300 + i);
		put(b, narrow ? first : UINT32_MAX, 4);
		put(b, narrow ? last : UINT32_MAX, 4);
		put(b, 0x1000, 2);
		put(b, 1, 1);
		put(b, narrow ? 0 : base[i], 8);
		put(b, narrow ? 0 : base[i] + length[i] - 1, 8);
		end(b);
	}
	return true;
}

/* 7.33, 7.45 */
static void tail(Build *b)
{
	begin(b, 32, 0x2000);
	put(b, 0, 6);
	put(b, 0, 1); /* no errors detected */
	end(b);
	begin(b, 127, 0x7f00);
	end(b);
}

/* file=: structures as they are; their shape is checked, since guests walk them. */
static bool append_files(Build *b, GError **error)
{
	for (unsigned i = 0; i < b->in->config->smbios->len; i++) {
		const SmbiosConfig *s = g_ptr_array_index(b->in->config->smbios, i);
		char *data;
		gsize len;
		if (!s->file)
			continue;
		if (!g_file_get_contents(s->file, &data, &len, NULL))
			return fail(error, VIV_ERROR_FAILED, "-smbios file=%s: the file cannot be read.", s->file);
		/* One structure: formatted part, strings, two zero bytes. */
		uint8_t formatted = len >= 6 ? (uint8_t)data[1] : 0;
		bool ok = formatted >= 4 && len >= formatted + 2u && len < 65536 && !data[len - 1] && !data[len - 2];
		if (ok) {
			g_byte_array_append(b->out, (const uint8_t *)data, len);
			b->largest = MAX(b->largest, len);
			b->count++;
		}
		g_free(data);
		if (!ok)
			return fail(error, VIV_ERROR_INVALID, "-smbios file=%s: this is no SMBIOS structure (header, "
				"strings, two zero bytes).", s->file);
	}
	return true;
}

static uint8_t checksum(const uint8_t *p, unsigned len)
{
	uint8_t sum = 0;
	while (len--)
		sum += *p++;
	return -sum;
}

/* 5.2.1; firmware puts the table's address in and mends the checksums */
static GByteArray *build_anchor(const Build *b)
{
	GByteArray *a = g_byte_array_new();
	g_byte_array_append(a, (const uint8_t *)"_SM_", 4);
	put_le(a, 0, 1);
	put_le(a, 31, 1);
	put_le(a, 0x0802, 2); /* 2.8 */
	put_le(a, b->largest, 2);
	put_le(a, 0, 1);
	put_le(a, 0, 5);
	g_byte_array_append(a, (const uint8_t *)"_DMI_", 5);
	put_le(a, 0, 1);
	put_le(a, b->out->len, 2);
	put_le(a, 0, 4);
	put_le(a, b->count, 2);
	put_le(a, 0x28, 1);
	a->data[21] = checksum(a->data + 16, 15);
	a->data[4] = checksum(a->data, 31);
	return a;
}

bool smbios_build(const SmbiosInput *in, GByteArray **anchor, GByteArray **tables, GError **error)
{
	Build b = { .in = in, .out = g_byte_array_new(), .strings = g_string_new("") };
	bool ok = type0(&b, error) && type1(&b, error);
	if (ok) {
		type2(&b);
		type3(&b);
	}
	ok = ok && type4(&b, error) && type11(&b, error) && memory(&b, error) && append_files(&b, error);
	if (ok)
		tail(&b);
	if (ok && b.out->len > 0xffff)
		ok = fail(error, VIV_ERROR_INVALID, "-smbios: the tables are larger than 64 KiB.");
	g_string_free(b.strings, TRUE);
	if (!ok) {
		g_byte_array_free(b.out, TRUE);
		return false;
	}
	*anchor = build_anchor(&b);
	*tables = b.out;
	return true;
}
