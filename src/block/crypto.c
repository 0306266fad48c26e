/*
 * crypto.c - see crypto.h: LUKS version 1, and qcow's old AES, with the ciphers of GnuTLS.
 *
 * Source: "LUKS On-Disk Format Specification", 1.2.3. AES in XTS or CBC, vectors plain, plain64
 * and essiv, PBKDF2 with SHA-1, SHA-256 or SHA-512. Left out: other ciphers, a change of key
 * slots. Keys are derived, and large requests enciphered, on worker threads.
 */
#include "block/crypto.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "block/blockmap.h"
#include "block/secret.h"

enum {
	L_VERSION = 6, L_CIPHER = 8, L_MODE = 40, L_HASH = 72, L_PAYLOAD = 104, L_KEY_BYTES = 108,
	L_DIGEST = 112, L_SALT = 132, L_ITERS = 164, L_UUID = 168, L_SLOTS = 208, L_HEADER = 592,
	S_ITERS = 4, S_SALT = 8, S_OFFSET = 40, S_STRIPES = 44, SLOT = 48, SLOTS = 8,
	DIGEST = 20, SALT = 32, KEY_MAX = 64, STRIPES = 4000, STRIPES_MAX = 8000,
	SLOT_ALIGN = 4096, ITERS_MAX = 1 << 26, ON_WORKER = 64 << 10,
};
#define SLOT_ON 0x00ac71f3u
#define SLOT_OFF 0x0000deadu
static const uint8_t luks_magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

typedef enum Vector { PLAIN, PLAIN64, ESSIV } Vector;
typedef struct Method {
	gnutls_cipher_algorithm_t cipher;
	gnutls_mac_algorithm_t mac;
	gnutls_digest_algorithm_t digest, essiv; /* essiv: of the vectors */
	Vector vector;
	unsigned key_bytes;
} Method;

struct BlockCrypto {
	Method method;
	bool luks, ready;
	uint8_t key[KEY_MAX];
	uint8_t header[L_HEADER];
};

/* ---- Names ------------------------------------------------------------------------------------- */

static bool hash_of(const char *name, gnutls_mac_algorithm_t *mac, gnutls_digest_algorithm_t *digest)
{
	static const struct { const char *name; int mac, digest; } known[] = {
		{ "sha1", GNUTLS_MAC_SHA1, GNUTLS_DIG_SHA1 },
		{ "sha256", GNUTLS_MAC_SHA256, GNUTLS_DIG_SHA256 },
		{ "sha512", GNUTLS_MAC_SHA512, GNUTLS_DIG_SHA512 },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
		if (!strcmp(known[i].name, name)) {
			*mac = known[i].mac;
			*digest = known[i].digest;
			return true;
		}
	return false;
}

/* "xts-plain64", "cbc-essiv:sha256" and a key's length make a method. */
static bool method_of(Method *m, const char *cipher, const char *mode, const char *hash, unsigned key,
	GError **error)
{
	bool xts = g_str_has_prefix(mode, "xts-"), cbc = g_str_has_prefix(mode, "cbc-");
	const char *vector = mode + 4;
	gnutls_mac_algorithm_t unused;
	m->key_bytes = key;
	m->cipher = xts ? (key == 64 ? GNUTLS_CIPHER_AES_256_XTS : key == 32 ? GNUTLS_CIPHER_AES_128_XTS : 0)
		: cbc ? (key == 32 ? GNUTLS_CIPHER_AES_256_CBC : key == 24 ? GNUTLS_CIPHER_AES_192_CBC
			: key == 16 ? GNUTLS_CIPHER_AES_128_CBC : 0) : 0;
	if (strcmp(cipher, "aes") || !m->cipher)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"Encryption by %.32s-%.32s with a key of %u bytes is not supported", cipher, mode, key);
	if (!hash_of(hash, &m->mac, &m->digest))
		return fail(error, VIV_ERROR_UNSUPPORTED, "Hash algorithm '%.32s' is not supported", hash);
	m->vector = !strcmp(vector, "plain") ? PLAIN : !strcmp(vector, "plain64") ? PLAIN64 : ESSIV;
	if (m->vector != ESSIV)
		return true;
	if (!g_str_has_prefix(vector, "essiv:") || !hash_of(vector + 6, &unused, &m->essiv)
		|| m->essiv == GNUTLS_DIG_SHA512)
		return fail(error, VIV_ERROR_UNSUPPORTED, "Vectors by '%.32s' are not supported", vector);
	return true;
}

/* ---- Sectors ----------------------------------------------------------------------------------- */

typedef struct Work {
	const Method *method;
	const uint8_t *key;
	uint64_t sector;
	uint8_t *data;
	size_t len;
	bool encrypt;
} Work;

static int essiv_open(const Work *w, gnutls_cipher_hd_t *out)
{
	uint8_t salt[64] = { 0 }, none[16] = { 0 };
	gnutls_datum_t key = { salt, gnutls_hash_get_len(w->method->essiv) }, iv = { none, 16 };
	if (gnutls_hash_fast(w->method->essiv, w->key, w->method->key_bytes, salt) < 0)
		return -EIO;
	key.size = key.size > 24 ? 32 : 16;
	return gnutls_cipher_init(out, key.size == 32 ? GNUTLS_CIPHER_AES_256_CBC
		: GNUTLS_CIPHER_AES_128_CBC, &key, &iv) < 0 ? -EIO : 0;
}

static int vector_for(const Work *w, gnutls_cipher_hd_t essiv, uint64_t sector, uint8_t iv[16])
{
	uint8_t none[16] = { 0 };
	memset(iv, 0, 16);
	if (w->method->vector == PLAIN)
		set_le32(iv, (uint32_t)sector);
	else
		set_le64(iv, sector);
	if (!essiv)
		return 0;
	/* One block of CBC over a vector of zeroes is the bare cipher. */
	gnutls_cipher_set_iv(essiv, none, 16);
	return gnutls_cipher_encrypt(essiv, iv, 16) < 0 ? -EIO : 0;
}

static int crypt_job(void *opaque)
{
	Work *w = opaque;
	uint8_t iv[16] = { 0 };
	gnutls_datum_t key = { (uint8_t *)w->key, w->method->key_bytes }, start = { iv, 16 };
	gnutls_cipher_hd_t handle, essiv = NULL;
	if (gnutls_cipher_init(&handle, w->method->cipher, &key, &start) < 0)
		return -EIO;
	int ret = w->method->vector == ESSIV ? essiv_open(w, &essiv) : 0;
	for (size_t at = 0; at < w->len && ret >= 0; at += SECTOR) {
		ret = vector_for(w, essiv, w->sector + at / SECTOR, iv);
		if (ret < 0)
			break;
		gnutls_cipher_set_iv(handle, iv, 16);
		if ((w->encrypt ? gnutls_cipher_encrypt(handle, w->data + at, SECTOR)
			: gnutls_cipher_decrypt(handle, w->data + at, SECTOR)) < 0)
			ret = -EIO;
	}
	gnutls_cipher_deinit(handle);
	if (essiv)
		gnutls_cipher_deinit(essiv);
	return ret;
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
	Work w = { &c->method, c->key, offset / SECTOR, flat ? flat : copy, iov.len, encrypt };
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

/* ---- Keys -------------------------------------------------------------------------------------- */

static bool derive(const Method *m, const void *pass, size_t len, const uint8_t *salt, uint32_t iters,
	uint8_t *out, size_t out_len)
{
	gnutls_datum_t key = { (void *)pass, (unsigned)len }, s = { (void *)salt, SALT };
	return gnutls_pbkdf2(m->mac, &key, &s, iters, out, out_len) >= 0;
}

/* Each bit of a stripe depends on all of the ones before. */
static void diffuse(const Method *m, uint8_t *block)
{
	unsigned size = gnutls_hash_get_len(m->digest);
	for (unsigned at = 0, i = 0; at < m->key_bytes; at += size, i++) {
		uint8_t in[4 + 64], out[64];
		unsigned n = MIN(size, m->key_bytes - at);
		set_be32(in, i);
		memcpy(in + 4, block + at, n);
		gnutls_hash_fast(m->digest, in, 4 + n, out);
		memcpy(block + at, out, n);
	}
}

static void merge(const Method *m, const uint8_t *stripes, uint32_t count, uint8_t *key)
{
	memset(key, 0, m->key_bytes);
	for (uint32_t i = 0; i < count; i++) {
		for (unsigned k = 0; k < m->key_bytes; k++)
			key[k] ^= stripes[(size_t)i * m->key_bytes + k];
		if (i + 1 < count)
			diffuse(m, key);
	}
}

static void split(const Method *m, const uint8_t *key, uint8_t *stripes, uint32_t count)
{
	uint8_t last[KEY_MAX];
	gnutls_rnd(GNUTLS_RND_KEY, stripes, (size_t)(count - 1) * m->key_bytes);
	memset(stripes + (size_t)(count - 1) * m->key_bytes, 0, m->key_bytes);
	merge(m, stripes, count, last);
	for (unsigned k = 0; k < m->key_bytes; k++)
		stripes[(size_t)(count - 1) * m->key_bytes + k] = last[k] ^ key[k];
}

static size_t material_bytes(const Method *m, uint32_t stripes)
{
	return ((size_t)m->key_bytes * stripes + SECTOR - 1) & ~(size_t)(SECTOR - 1);
}

/* One slot and a passphrase: is this the key? */
typedef struct Try {
	BlockCrypto *c;
	const uint8_t *slot, *pass;
	size_t pass_len;
	uint8_t *material;
} Try;

static int try_job(void *opaque)
{
	Try *t = opaque;
	const Method *m = &t->c->method;
	uint8_t key[KEY_MAX], digest[DIGEST];
	uint32_t stripes = be32(t->slot + S_STRIPES);
	if (!derive(m, t->pass, t->pass_len, t->slot + S_SALT, be32(t->slot + S_ITERS), key, m->key_bytes))
		return -EIO;
	Work w = { m, key, 0, t->material, material_bytes(m, stripes), false };
	int ret = crypt_job(&w);
	if (ret < 0)
		return ret;
	merge(m, t->material, stripes, t->c->key);
	if (!derive(m, t->c->key, m->key_bytes, t->c->header + L_SALT, be32(t->c->header + L_ITERS), digest,
		DIGEST))
		return -EIO;
	return !memcmp(digest, t->c->header + L_DIGEST, DIGEST);
}

static bool unlock(BlockCrypto *c, const CryptoIo *io, const uint8_t *pass, size_t len, GError **error)
{
	for (unsigned i = 0; i < SLOTS && !c->ready; i++) {
		const uint8_t *slot = c->header + L_SLOTS + i * SLOT;
		uint32_t stripes = be32(slot + S_STRIPES), iters = be32(slot + S_ITERS);
		if (be32(slot) != SLOT_ON)
			continue;
		if (!stripes || stripes > STRIPES_MAX || !iters || iters > ITERS_MAX)
			return fail(error, VIV_ERROR_INVALID, "LUKS key slot %u is damaged", i);
		size_t bytes = material_bytes(&c->method, stripes);
		g_autofree uint8_t *material = g_malloc(bytes);
		Try t = { c, slot, pass, len, material };
		int ret = io->read(io->opaque, (uint64_t)be32(slot + S_OFFSET) * SECTOR, material, bytes);
		if (ret >= 0)
			ret = loop_work(try_job, &t);
		if (ret < 0)
			return fail(error, VIV_ERROR_FAILED, "LUKS key slot %u could not be read: %s", i,
				g_strerror(-ret));
		c->ready = ret > 0;
	}
	return c->ready || fail(error, VIV_ERROR_INVALID, "Invalid password, cannot unlock any keyslot");
}

/* ---- Opening ----------------------------------------------------------------------------------- */

static bool read_header(BlockCrypto *c, const CryptoIo *io, GError **error)
{
	uint8_t *h = c->header;
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
	return method_of(&c->method, (char *)h + L_CIPHER, (char *)h + L_MODE, (char *)h + L_HASH,
		be32(h + L_KEY_BYTES), error);
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
	c->method = (Method){ GNUTLS_CIPHER_AES_128_CBC, 0, 0, 0, PLAIN64, 16 };
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

static bool plan(json_t *opts, BlockCrypto *c, GError **error)
{
	const char *alg = word(opts, "cipher-alg", "aes-256"), *mode = word(opts, "cipher-mode", "xts");
	const char *gen = word(opts, "ivgen-alg", "plain64"), *hash = word(opts, "hash-alg", "sha256");
	const char *iv_hash = word(opts, "ivgen-hash-alg", "sha256");
	unsigned bits = g_str_has_prefix(alg, "aes-") ? strtoul(alg + 4, NULL, 10) : 0;
	bool essiv = !strcmp(gen, "essiv");
	g_autofree char *full = g_strdup_printf("%s-%s%s%s", mode, gen, essiv ? ":" : "", essiv ? iv_hash : "");
	unsigned key = strcmp(mode, "xts") ? bits / 8 : bits / 4;
	if (strlen(full) > 31 || !method_of(&c->method, bits ? "aes" : alg, full, hash, key, error))
		return error && *error ? false
			: fail(error, VIV_ERROR_UNSUPPORTED, "the cipher's mode has too long a name");
	strcpy((char *)c->header + L_CIPHER, "aes");
	strcpy((char *)c->header + L_MODE, full);
	strcpy((char *)c->header + L_HASH, hash);
	return true;
}

static uint64_t slot_bytes(const Method *m)
{
	return ((uint64_t)m->key_bytes * STRIPES + SLOT_ALIGN - 1) & ~(uint64_t)(SLOT_ALIGN - 1);
}

static uint64_t header_bytes(const Method *m)
{
	return SLOT_ALIGN + SLOTS * slot_bytes(m);
}

/* So many rounds take `ms` here. */
static uint32_t rounds_for(const Method *m, uint64_t ms)
{
	uint8_t out[KEY_MAX], salt[SALT] = { 0 };
	uint32_t probe = 1 << 15;
	int64_t start = g_get_monotonic_time();
	derive(m, "test", 4, salt, probe, out, m->key_bytes);
	int64_t us = MAX(g_get_monotonic_time() - start, 1);
	return (uint32_t)CLAMP((double)probe * ms * 1000 / us, 1000, ITERS_MAX / 2);
}

typedef struct Make {
	BlockCrypto *c;
	const uint8_t *pass;
	size_t pass_len;
	uint64_t ms;
	uint8_t *material;
} Make;

/* A random key, its digest, and the first slot's stripes. */
static int make_job(void *opaque)
{
	Make *k = opaque;
	BlockCrypto *c = k->c;
	const Method *m = &c->method;
	uint8_t *h = c->header, *slot = h + L_SLOTS, key[KEY_MAX];
	uint32_t rounds = rounds_for(m, k->ms);
	if (gnutls_rnd(GNUTLS_RND_KEY, c->key, m->key_bytes) < 0
		|| gnutls_rnd(GNUTLS_RND_RANDOM, h + L_SALT, SALT) < 0
		|| gnutls_rnd(GNUTLS_RND_RANDOM, slot + S_SALT, SALT) < 0)
		return -EIO;
	set_be32(h + L_ITERS, MAX(rounds / 8, 1000));
	set_be32(slot, SLOT_ON);
	set_be32(slot + S_ITERS, rounds);
	if (!derive(m, c->key, m->key_bytes, h + L_SALT, be32(h + L_ITERS), h + L_DIGEST, DIGEST)
		|| !derive(m, k->pass, k->pass_len, slot + S_SALT, rounds, key, m->key_bytes))
		return -EIO;
	split(m, c->key, k->material, STRIPES);
	Work w = { m, key, 0, k->material, material_bytes(m, STRIPES), true };
	return crypt_job(&w);
}

static bool create_luks(BlockCrypto *c, json_t *opts, const CryptoIo *io, GError **error)
{
	size_t len;
	const uint8_t *pass = plan(opts, c, error)
		? passphrase(word(opts, "key-secret", NULL), &len, error) : NULL;
	if (!pass)
		return false;
	const Method *m = &c->method;
	uint8_t *h = c->header;
	memcpy(h, luks_magic, 6);
	set_be16(h + L_VERSION, 1);
	set_be32(h + L_PAYLOAD, (uint32_t)(header_bytes(m) / SECTOR));
	set_be32(h + L_KEY_BYTES, m->key_bytes);
	g_autofree char *uuid = g_uuid_string_random();
	g_strlcpy((char *)h + L_UUID, uuid, 40);
	for (unsigned i = 0; i < SLOTS; i++) {
		uint8_t *slot = h + L_SLOTS + i * SLOT;
		set_be32(slot, SLOT_OFF);
		set_be32(slot + S_OFFSET, (uint32_t)((SLOT_ALIGN + i * slot_bytes(m)) / SECTOR));
		set_be32(slot + S_STRIPES, STRIPES);
	}
	g_autofree uint8_t *material = g_malloc0(material_bytes(m, STRIPES));
	Make k = { c, pass, len, opt_size(opts, "encrypt.iter-time", 2000), material };
	int ret = loop_work(make_job, &k);
	if (ret >= 0)
		ret = io->make_room(io->opaque, header_bytes(m));
	if (ret >= 0)
		ret = io->write(io->opaque, SLOT_ALIGN, material, material_bytes(m, STRIPES));
	if (ret >= 0)
		ret = io->write(io->opaque, 0, h, L_HEADER);
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
	*bytes = header_bytes(&c.method);
	return true;
}

/* ---- Information ------------------------------------------------------------------------------- */

json_t *crypto_info(BlockCrypto *crypto)
{
	const uint8_t *h = crypto->header;
	json_t *info = json_object(), *slots = json_array();
	g_auto(GStrv) mode = g_strsplit_set((const char *)h + L_MODE, "-:", 3);
	g_autofree char *alg = g_strdup_printf("aes-%u", crypto->method.key_bytes
		* (g_str_has_prefix((const char *)h + L_MODE, "xts") ? 4 : 8));
	for (unsigned i = 0; i < SLOTS && crypto->luks; i++) {
		const uint8_t *slot = h + L_SLOTS + i * SLOT;
		bool on = be32(slot) == SLOT_ON;
		json_t *o = json_pack("{s:b, s:I}", "active", on, "key-offset",
			(json_int_t)be32(slot + S_OFFSET) * SECTOR);
		if (on) {
			json_object_set_new(o, "iters", json_integer(be32(slot + S_ITERS)));
			json_object_set_new(o, "stripes", json_integer(be32(slot + S_STRIPES)));
		}
		json_array_append_new(slots, o);
	}
	if (crypto->luks) {
		json_object_set_new(info, "ivgen-alg", json_string(mode[1]));
		json_object_set_new(info, "hash-alg", json_string((const char *)h + L_HASH));
		json_object_set_new(info, "cipher-alg", json_string(alg));
		json_object_set_new(info, "uuid", json_string((const char *)h + L_UUID));
		json_object_set_new(info, "cipher-mode", json_string(mode[0]));
		json_object_set(info, "slots", slots);
		json_object_set_new(info, "payload-offset",
			json_integer((json_int_t)be32(h + L_PAYLOAD) * SECTOR));
		json_object_set_new(info, "master-key-iters", json_integer(be32(h + L_ITERS)));
		if (mode[1] && mode[2])
			json_object_set_new(info, "ivgen-hash-alg", json_string(mode[2]));
	}
	json_decref(slots);
	return info;
}

bool crypto_amend(BlockCrypto *crypto, json_t *opts, bool force, const CryptoIo *io, GError **error)
{
	return fail(error, VIV_ERROR_UNSUPPORTED, "LUKS key slots cannot be changed by this build");
}
