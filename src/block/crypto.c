/*
 * crypto.c - see crypto.h: LUKS version 1, and qcow's old AES. Ciphers are cipher.c's, key slots
 * keyslot.c's.
 *
 * Source: "LUKS On-Disk Format Specification", 1.2.3, section 3. Large requests are enciphered
 * on worker threads.
 */
#include "block/crypto.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <gnutls/crypto.h>

#include "block/keyslot.h"
#include "block/secret.h"

enum { SLOT_ALIGN = 4096, ON_WORKER = 64 << 10 };
static const uint8_t luks_magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

struct BlockCrypto {
	Luks1 l; /* AES: only its method */
	bool luks, ready;
	uint8_t key[CIPHER_KEY_MAX];
};

/* ---- Sectors ----------------------------------------------------------------------------------- */

typedef struct Work {
	const BlockCrypto *c;
	uint64_t sector;
	uint8_t *data;
	size_t len;
	bool encrypt;
} Work;

static int crypt_job(void *opaque)
{
	Work *w = opaque;
	return cipher_sectors(&w->c->l.method, w->c->key, w->sector, w->data, w->len, w->encrypt);
}

static int crypt_sectors(BlockCrypto *c, uint64_t offset, Iov iov, bool encrypt)
{
	if (!c->ready)
		return -ENOKEY;
	if ((offset | iov.len) % SECTOR)
		return -EINVAL;
	uint8_t *flat = iov_flat(iov), *copy = flat ? NULL : g_try_malloc(MAX(iov.len, 1));
	if (!flat && !copy)
		return -ENOMEM;
	Work w = { c, offset / SECTOR, flat ? flat : copy, iov.len, encrypt };
	if (copy)
		iov_copy_out(iov, 0, copy, iov.len);
	int ret = iov.len >= ON_WORKER ? loop_work(crypt_job, &w) : crypt_job(&w);
	if (copy && ret >= 0)
		iov_copy_in(iov, 0, copy, iov.len);
	g_free(copy);
	return ret;
}

int crypto_encrypt(BlockCrypto *crypto, uint64_t offset, Iov iov)
{
	return crypt_sectors(crypto, offset, iov, true);
}

int crypto_decrypt(BlockCrypto *crypto, uint64_t offset, Iov iov)
{
	return crypt_sectors(crypto, offset, iov, false);
}

/* ---- Opening ----------------------------------------------------------------------------------- */

static bool unlock(BlockCrypto *c, const CryptoIo *io, const uint8_t *pass, size_t len, GError **error)
{
	for (unsigned i = 0; i < SLOTS && !c->ready; i++) {
		if (!keyslot_on(&c->l, i))
			continue;
		int ret = keyslot_try(&c->l, io, i, pass, len, c->key);
		if (ret == -EINVAL)
			return fail(error, VIV_ERROR_INVALID, "LUKS key slot %u is damaged", i);
		if (ret < 0)
			return fail(error, VIV_ERROR_FAILED, "LUKS key slot %u could not be read: %s", i,
				g_strerror(-ret));
		c->ready = ret > 0;
	}
	return c->ready || fail(error, VIV_ERROR_INVALID, "Invalid password, cannot unlock any keyslot");
}

/* Where key material lies: behind the header, before the data, nobody else's. */
static bool check_slots(BlockCrypto *c, GError **error)
{
	uint64_t payload = (uint64_t)be32(c->l.header + L_PAYLOAD) * SECTOR;
	uint64_t bytes = keyslot_bytes(&c->l.method, STRIPES);
	for (unsigned i = 0; i < SLOTS; i++) {
		const uint8_t *slot = keyslot_at(&c->l, i);
		uint64_t start = (uint64_t)be32(slot + S_OFFSET) * SECTOR;
		if (be32(slot) != SLOT_ON && be32(slot) != SLOT_OFF)
			return fail(error, VIV_ERROR_INVALID, "Keyslot %u state (active/disable) is corrupted", i);
		if (be32(slot + S_STRIPES) != STRIPES)
			return fail(error, VIV_ERROR_INVALID, "Keyslot %u is corrupted (stripes %" PRIu32
				" != %d)", i, be32(slot + S_STRIPES), STRIPES);
		if (start < L_HEADER || start + bytes > payload)
			return fail(error, VIV_ERROR_INVALID,
				"Keyslot %u is overlapping with the LUKS header or the data", i);
		for (unsigned k = 0; k < i; k++) {
			uint64_t other = (uint64_t)be32(keyslot_at(&c->l, k) + S_OFFSET) * SECTOR;
			if (start < other + bytes && other < start + bytes)
				return fail(error, VIV_ERROR_INVALID,
					"Keyslots %u and %u are overlapping in the header", k, i);
		}
	}
	return true;
}

static bool read_header(BlockCrypto *c, const CryptoIo *io, GError **error)
{
	uint8_t *h = c->l.header;
	int ret = io->read(io->opaque, 0, h, L_HEADER);
	if (ret < 0)
		return fail(error, VIV_ERROR_FAILED, "Unable to read LUKS header: %s", g_strerror(-ret));
	if (memcmp(h, luks_magic, 6))
		return fail(error, VIV_ERROR_INVALID, "Volume is not in LUKS format");
	if (be16(h + L_VERSION) != 1)
		return fail(error, VIV_ERROR_UNSUPPORTED, "LUKS version %u is not supported",
			be16(h + L_VERSION));
	h[L_MODE - 1] = h[L_HASH - 1] = h[L_PAYLOAD - 1] = h[L_SLOTS - 1] = 0;
	if (!be32(h + L_ITERS) || be32(h + L_ITERS) > ITERS_MAX)
		return fail(error, VIV_ERROR_INVALID, "the LUKS header is damaged: %" PRIu32
			" rounds for the master key", be32(h + L_ITERS));
	return cipher_method(&c->l.method, (char *)h + L_CIPHER, (char *)h + L_MODE, (char *)h + L_HASH,
		be32(h + L_KEY_BYTES), error) && check_slots(c, error);
}

static const uint8_t *passphrase(const char *secret, size_t *len, GError **error)
{
	if (secret)
		return secret_lookup(secret, len, error);
	fail(error, VIV_ERROR_INVALID, "Parameter 'key-secret' is required for cipher");
	return NULL;
}

/* qcow's own method: the passphrase is the key. */
static bool open_aes(BlockCrypto *c, const char *secret, bool without_key, GError **error)
{
	size_t len;
	c->l.method = cipher_qcow_aes();
	if (without_key)
		return true;
	const uint8_t *pass = passphrase(secret, &len, error);
	if (pass)
		memcpy(c->key, pass, MIN(len, 16));
	c->ready = pass != NULL;
	return c->ready;
}

static bool open_luks(BlockCrypto *c, const char *secret, const CryptoIo *io, bool without_key,
	GError **error)
{
	size_t len;
	c->luks = true;
	if (!read_header(c, io, error))
		return false;
	if (without_key)
		return true;
	const uint8_t *pass = passphrase(secret, &len, error);
	return pass && unlock(c, io, pass, len, error);
}

BlockCrypto *crypto_open(const char *format, const char *secret, const CryptoIo *io,
	bool without_key, GError **error)
{
	BlockCrypto *c = g_new0(BlockCrypto, 1);
	if (strcmp(format, "luks") ? open_aes(c, secret, without_key, error)
		: open_luks(c, secret, io, without_key, error))
		return c;
	crypto_free(c);
	return NULL;
}

void crypto_free(BlockCrypto *crypto)
{
	if (crypto)
		gnutls_memset(crypto, 0, sizeof(*crypto));
	g_free(crypto);
}

/* ---- Creating ---------------------------------------------------------------------------------- */

static const char *word(json_t *opts, const char *name, const char *def)
{
	g_autofree char *key = g_strconcat("encrypt.", name, NULL);
	const char *text = opt_text(opts, key);
	return text ? text : def;
}

/* A word that is not in `known` (which NULL ends) is refused as qemu-img refuses it. */
static bool is_known(const char *name, const char *value, const char *const *known, GError **error)
{
	return g_strv_contains(known, value) || fail(error, VIV_ERROR_INVALID,
		"Parameter '%s' does not accept value '%s'", name, value);
}

static bool plan(json_t *opts, BlockCrypto *c, GError **error)
{
	static const char *const algs[] = { "aes-128", "aes-192", "aes-256", "cast5-128", "serpent-128",
		"serpent-192", "serpent-256", "twofish-128", "twofish-192", "twofish-256", NULL };
	static const char *const modes[] = { "ecb", "cbc", "xts", "ctr", NULL };
	static const char *const gens[] = { "plain", "plain64", "essiv", NULL };
	static const char *const hashes[] = { "md5", "sha1", "sha224", "sha256", "sha384", "sha512",
		"ripemd160", NULL };
	const char *alg = word(opts, "cipher-alg", "aes-256"), *mode = word(opts, "cipher-mode", "xts");
	const char *gen = word(opts, "ivgen-alg", "plain64"), *hash = word(opts, "hash-alg", "sha256");
	const char *iv_hash = word(opts, "ivgen-hash-alg", "sha256");
	if (!is_known("cipher-alg", alg, algs, error) || !is_known("cipher-mode", mode, modes, error)
		|| !is_known("ivgen-alg", gen, gens, error) || !is_known("hash-alg", hash, hashes, error)
		|| !is_known("ivgen-hash-alg", iv_hash, hashes, error))
		return false;
	bool essiv = !strcmp(gen, "essiv");
	g_autofree char *full = g_strdup_printf("%s-%s%s%s", mode, gen, essiv ? ":" : "",
		essiv ? iv_hash : "");
	g_auto(GStrv) family = g_strsplit(alg, "-", 2);
	unsigned bits = strtoul(family[1], NULL, 10), key = strcmp(mode, "xts") ? bits / 8 : bits / 4;
	g_strlcpy((char *)c->l.header + L_CIPHER, family[0], 32);
	g_strlcpy((char *)c->l.header + L_MODE, full, 32);
	g_strlcpy((char *)c->l.header + L_HASH, hash, 32);
	return cipher_method(&c->l.method, family[0], full, hash, key, error);
}

static uint64_t slot_bytes(const CipherMethod *m)
{
	return ((uint64_t)m->key_bytes * STRIPES + SLOT_ALIGN - 1) & ~(uint64_t)(SLOT_ALIGN - 1);
}

static uint64_t header_bytes(const CipherMethod *m)
{
	return SLOT_ALIGN + SLOTS * slot_bytes(m);
}

/* A random master key, and its digest. */
static int key_job(void *opaque)
{
	BlockCrypto *c = opaque;
	const CipherMethod *m = &c->l.method;
	uint8_t *h = c->l.header;
	if (gnutls_rnd(GNUTLS_RND_KEY, c->key, m->key_bytes) < 0
		|| gnutls_rnd(GNUTLS_RND_RANDOM, h + L_SALT, SALT) < 0)
		return -EIO;
	set_be32(h + L_ITERS, keyslot_rounds(m, be32(h + L_ITERS)));
	cipher_derive(m, c->key, m->key_bytes, h + L_SALT, be32(h + L_ITERS), h + L_DIGEST, DIGEST);
	return 0;
}

static void build_header(BlockCrypto *c)
{
	const CipherMethod *m = &c->l.method;
	uint8_t *h = c->l.header;
	g_autofree char *uuid = g_uuid_string_random();
	memcpy(h, luks_magic, 6);
	set_be16(h + L_VERSION, 1);
	set_be32(h + L_PAYLOAD, (uint32_t)(header_bytes(m) / SECTOR));
	set_be32(h + L_KEY_BYTES, m->key_bytes);
	g_strlcpy((char *)h + L_UUID, uuid, 40);
	for (unsigned i = 0; i < SLOTS; i++) {
		uint8_t *slot = keyslot_at(&c->l, i);
		set_be32(slot, SLOT_OFF);
		set_be32(slot + S_OFFSET, (uint32_t)((SLOT_ALIGN + i * slot_bytes(m)) / SECTOR));
		set_be32(slot + S_STRIPES, STRIPES);
	}
}

static bool create_luks(BlockCrypto *c, json_t *opts, const CryptoIo *io, GError **error)
{
	size_t len;
	const uint8_t *pass = plan(opts, c, error)
		? passphrase(word(opts, "key-secret", NULL), &len, error) : NULL;
	if (!pass)
		return false;
	uint64_t ms = opt_size(opts, "encrypt.iter-time", ITER_TIME);
	build_header(c);
	set_be32(c->l.header + L_ITERS, MIN(ms / 8, UINT32_MAX)); /* time, for key_job */
	int ret = loop_work(key_job, c);
	if (ret >= 0)
		ret = io->make_room(io->opaque, header_bytes(&c->l.method));
	if (ret >= 0)
		ret = keyslot_fill(&c->l, io, 0, pass, len, c->key, ms);
	c->ready = c->luks = true;
	return ret >= 0 || fail(error, VIV_ERROR_FAILED, "the LUKS header could not be made: %s",
		g_strerror(-ret));
}

BlockCrypto *crypto_create(const char *format, json_t *opts, const CryptoIo *io, GError **error)
{
	BlockCrypto *c = g_new0(BlockCrypto, 1);
	if (strcmp(format, "luks") ? open_aes(c, word(opts, "key-secret", NULL), false, error)
		: create_luks(c, opts, io, error))
		return c;
	crypto_free(c);
	return NULL;
}

bool crypto_header_size(const char *format, json_t *opts, uint64_t *bytes, GError **error)
{
	BlockCrypto c = { 0 };
	*bytes = 0;
	if (strcmp(format, "luks"))
		return true;
	if (!plan(opts, &c, error))
		return false;
	*bytes = header_bytes(&c.l.method);
	return true;
}

/* ---- Information ------------------------------------------------------------------------------- */

static json_t *slots_info(Luks1 *l)
{
	json_t *slots = json_array();
	for (unsigned i = 0; i < SLOTS; i++) {
		const uint8_t *slot = keyslot_at(l, i);
		json_t *o = json_pack("{s:b}", "active", keyslot_on(l, i));
		if (keyslot_on(l, i))
			json_object_set_new(o, "iters", json_integer(be32(slot + S_ITERS)));
		json_object_set_new(o, "key-offset",
			json_integer((json_int_t)be32(slot + S_OFFSET) * SECTOR));
		if (keyslot_on(l, i))
			json_object_set_new(o, "stripes", json_integer(be32(slot + S_STRIPES)));
		json_array_append_new(slots, o);
	}
	return slots;
}

json_t *crypto_info(BlockCrypto *crypto, const char *format)
{
	const char *h = (const char *)crypto->l.header;
	json_t *info = json_object();
	if (!crypto->luks) {
		if (format)
			json_object_set_new(info, "format", json_string(format));
		return info;
	}
	g_auto(GStrv) mode = g_strsplit_set(h + L_MODE, "-:", 3);
	g_autofree char *alg = cipher_name(&crypto->l.method);
	json_object_set_new(info, "ivgen-alg", json_string(mode[1]));
	json_object_set_new(info, "hash-alg", json_string(h + L_HASH));
	json_object_set_new(info, "cipher-alg", json_string(alg));
	json_object_set_new(info, "uuid", json_stringn(h + L_UUID, strnlen(h + L_UUID, 40)));
	if (mode[1] && mode[2])
		json_object_set_new(info, "ivgen-hash-alg", json_string(mode[2]));
	if (format)
		json_object_set_new(info, "format", json_string(format));
	json_object_set_new(info, "cipher-mode", json_string(mode[0]));
	json_object_set_new(info, "slots", slots_info(&crypto->l));
	json_object_set_new(info, "payload-offset",
		json_integer((json_int_t)be32(h + L_PAYLOAD) * SECTOR));
	json_object_set_new(info, "master-key-iters", json_integer(be32(h + L_ITERS)));
	return info;
}

bool crypto_amend(BlockCrypto *crypto, json_t *opts, bool force, const CryptoIo *io, GError **error)
{
	if (!crypto->luks || !crypto->ready)
		return fail(error, VIV_ERROR_INVALID, "Parameter 'key-secret' is required for cipher");
	return keyslot_amend(&crypto->l, crypto->key, opts, force, io, error);
}
