/*
 * cipher.c - see cipher.h.
 *
 * Source: "LUKS On-Disk Format Specification", 1.2.3, appendix B (names of ciphers, modes and
 * hashes). GnuTLS does AES in CBC and XTS, as it is the fastest at that; Nettle, which is below
 * it, does the rest. Left out: the vectors of other programs (benbi, lmk).
 */
#include "block/cipher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <gnutls/crypto.h>
#include <nettle/cbc.h>
#include <nettle/ctr.h>
#include <nettle/hmac.h>
#include <nettle/nettle-meta.h>
#include <nettle/pbkdf2.h>
#include <nettle/ripemd160.h>
#include <nettle/xts.h>

#include "block/blockmap.h"
#include "core/error.h"

enum { CONTEXT_MAX = 8192, HASH_CONTEXT_MAX = 512, SALT = 32, BLOCK_MAX = 16 };

/* ---- Names ---------------------------------------- */

static const struct nettle_hash *hash_of(const char *name)
{
	const struct { const char *name; const struct nettle_hash *hash; } known[] = {
		{ "md5", &nettle_md5 }, { "ripemd160", &nettle_ripemd160 }, { "sha1", &nettle_sha1 },
		{ "sha224", &nettle_sha224 }, { "sha256", &nettle_sha256 }, { "sha384", &nettle_sha384 },
		{ "sha512", &nettle_sha512 },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
		if (!strcmp(known[i].name, name))
			return known[i].hash;
	return NULL;
}

/* The block cipher of a family whose key has so many bytes. */
static const struct nettle_cipher *block_of(const char *family, unsigned key_bytes)
{
	const struct { const char *family; const struct nettle_cipher *block; } known[] = {
		{ "aes", &nettle_aes128 }, { "aes", &nettle_aes192 }, { "aes", &nettle_aes256 },
		{ "cast5", &nettle_cast128 },
		{ "serpent", &nettle_serpent128 }, { "serpent", &nettle_serpent192 },
		{ "serpent", &nettle_serpent256 },
		{ "twofish", &nettle_twofish128 }, { "twofish", &nettle_twofish192 },
		{ "twofish", &nettle_twofish256 },
	};
	for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
		if (!strcmp(known[i].family, family) && known[i].block->key_size == key_bytes)
			return known[i].block;
	return NULL;
}

static int gnutls_number(const CipherMethod *m)
{
	if (m->mode == MODE_XTS)
		return m->block == &nettle_aes256 ? GNUTLS_CIPHER_AES_256_XTS
			: m->block == &nettle_aes128 ? GNUTLS_CIPHER_AES_128_XTS : 0;
	if (m->mode != MODE_CBC)
		return 0;
	return m->block == &nettle_aes256 ? GNUTLS_CIPHER_AES_256_CBC
		: m->block == &nettle_aes192 ? GNUTLS_CIPHER_AES_192_CBC
		: m->block == &nettle_aes128 ? GNUTLS_CIPHER_AES_128_CBC : 0;
}

static bool mode_of(CipherMethod *m, const char *word, GError **error)
{
	static const char *const known[] = { "ecb-", "cbc-", "ctr-", "xts-" };
	for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
		if (!strncmp(word, known[i], 4)) {
			m->mode = i;
			return true;
		}
	return fail(error, VIV_ERROR_UNSUPPORTED, "Cipher mode '%.32s' is not supported", word);
}

/* ESSIV enciphers the vector under the hash of the key: that must be as long as a key. */
static bool vector_of(CipherMethod *m, const char *family, const char *word, GError **error)
{
	m->vector = VECTOR_ESSIV;
	if (!strcmp(word, "plain"))
		m->vector = VECTOR_PLAIN;
	else if (!strcmp(word, "plain64"))
		m->vector = VECTOR_PLAIN64;
	else if (!g_str_has_prefix(word, "essiv:") || !(m->essiv_hash = hash_of(word + 6)))
		return fail(error, VIV_ERROR_UNSUPPORTED, "Vectors by '%.32s' are not supported", word);
	if (m->vector != VECTOR_ESSIV)
		return true;
	m->essiv_block = block_of(family, m->essiv_hash->digest_size);
	if (m->essiv_block)
		return true;
	g_autofree char *upper = g_ascii_strup(family, -1);
	return fail(error, VIV_ERROR_UNSUPPORTED, "No %s cipher with key size %u available", upper,
		m->essiv_hash->digest_size);
}

bool cipher_method(CipherMethod *m, const char *cipher, const char *mode, const char *hash,
	unsigned key_bytes, GError **error)
{
	*m = (CipherMethod){ .key_bytes = key_bytes };
	if (!mode_of(m, mode, error))
		return false;
	m->block = key_bytes > CIPHER_KEY_MAX || (m->mode == MODE_XTS && key_bytes % 2) ? NULL
		: block_of(cipher, m->mode == MODE_XTS ? key_bytes / 2 : key_bytes);
	if (!m->block)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"Encryption by %.32s-%.32s with a key of %u bytes is not supported", cipher, mode,
			key_bytes);
	if (m->mode == MODE_XTS && m->block->block_size != XTS_BLOCK_SIZE)
		return fail(error, VIV_ERROR_UNSUPPORTED,
			"XTS mode needs a cipher with blocks of 128 bits, and %s's have %u", cipher,
			m->block->block_size * 8);
	m->hash = hash_of(hash);
	if (!m->hash)
		return fail(error, VIV_ERROR_UNSUPPORTED, "Hash algorithm '%.32s' is not supported", hash);
	m->gnutls = gnutls_number(m);
	return vector_of(m, cipher, mode + 4, error);
}

CipherMethod cipher_qcow_aes(void)
{
	return (CipherMethod){ .block = &nettle_aes128, .gnutls = GNUTLS_CIPHER_AES_128_CBC,
		.mode = MODE_CBC, .vector = VECTOR_PLAIN64, .hash = &nettle_sha256, .key_bytes = 16 };
}

char *cipher_name(const CipherMethod *m)
{
	static const char *const families[] = { "aes", "cast5", "serpent", "twofish" };
	for (unsigned i = 0; i < G_N_ELEMENTS(families); i++)
		if (block_of(families[i], m->block->key_size) == m->block)
			return g_strdup_printf("%s-%u", families[i], m->block->key_size * 8);
	return g_strdup("unknown");
}

/* ---- Vectors ---------------------------------------- */

typedef union Context {
	uint8_t bytes[CONTEXT_MAX];
	max_align_t align;
} Context;

/* The key under which ESSIV enciphers sector numbers. */
static void essiv_key(const CipherMethod *m, const uint8_t *key, Context *out)
{
	Context hash;
	uint8_t digest[64];
	m->essiv_hash->init(&hash);
	m->essiv_hash->update(&hash, m->key_bytes, key);
	m->essiv_hash->digest(&hash, m->essiv_hash->digest_size, digest);
	m->essiv_block->set_encrypt_key(out, digest);
}

static void vector_for(const CipherMethod *m, const Context *essiv, uint64_t sector,
	uint8_t iv[BLOCK_MAX])
{
	memset(iv, 0, BLOCK_MAX);
	if (m->vector == VECTOR_PLAIN)
		set_le32(iv, (uint32_t)sector);
	else
		set_le64(iv, sector);
	if (m->vector == VECTOR_ESSIV)
		m->essiv_block->encrypt(essiv, m->essiv_block->block_size, iv, iv);
}

/* ---- Sectors ---------------------------------------- */

static int by_gnutls(const CipherMethod *m, const uint8_t *key, const Context *essiv, uint64_t sector,
	uint8_t *data, size_t len, bool encrypt)
{
	uint8_t iv[BLOCK_MAX] = { 0 };
	gnutls_datum_t k = { (uint8_t *)key, m->key_bytes }, start = { iv, BLOCK_MAX };
	gnutls_cipher_hd_t handle;
	int ret = 0;
	if (gnutls_cipher_init(&handle, m->gnutls, &k, &start) < 0)
		return -EIO;
	for (size_t at = 0; at < len && ret >= 0; at += SECTOR) {
		vector_for(m, essiv, sector + at / SECTOR, iv);
		gnutls_cipher_set_iv(handle, iv, BLOCK_MAX);
		ret = encrypt ? gnutls_cipher_encrypt(handle, data + at, SECTOR)
			: gnutls_cipher_decrypt(handle, data + at, SECTOR);
	}
	gnutls_cipher_deinit(handle);
	return ret < 0 ? -EIO : 0;
}

/* Encrypting and decrypting keys, and the one for XTS's tweaks. */
typedef struct Keys { Context encrypt, decrypt, tweak; } Keys;

static void set_keys(const CipherMethod *m, const uint8_t *key, Keys *k)
{
	m->block->set_encrypt_key(&k->encrypt, key);
	m->block->set_decrypt_key(&k->decrypt, key);
	if (m->mode == MODE_XTS)
		m->block->set_encrypt_key(&k->tweak, key + m->block->key_size);
}

static void one_sector(const CipherMethod *m, const Keys *k, uint8_t *iv, uint8_t *data, bool encrypt)
{
	const struct nettle_cipher *b = m->block;
	switch (m->mode) {
	case MODE_ECB:
		if (encrypt)
			b->encrypt(&k->encrypt, SECTOR, data, data);
		else
			b->decrypt(&k->decrypt, SECTOR, data, data);
		break;
	case MODE_CBC:
		if (encrypt)
			cbc_encrypt(&k->encrypt, b->encrypt, b->block_size, iv, SECTOR, data, data);
		else
			cbc_decrypt(&k->decrypt, b->decrypt, b->block_size, iv, SECTOR, data, data);
		break;
	case MODE_CTR:
		ctr_crypt(&k->encrypt, b->encrypt, b->block_size, iv, SECTOR, data, data);
		break;
	case MODE_XTS:
		if (encrypt)
			xts_encrypt_message(&k->encrypt, &k->tweak, b->encrypt, iv, SECTOR,
				data, data);
		else
			xts_decrypt_message(&k->decrypt, &k->tweak, b->decrypt, b->encrypt, iv, SECTOR,
				data, data);
		break;
	}
}

int cipher_sectors(const CipherMethod *m, const uint8_t *key, uint64_t sector, uint8_t *data,
	size_t len, bool encrypt)
{
	g_assert(m->block->context_size <= CONTEXT_MAX);
	Context essiv;
	if (m->vector == VECTOR_ESSIV)
		essiv_key(m, key, &essiv);
	if (m->gnutls)
		return by_gnutls(m, key, &essiv, sector, data, len, encrypt);
	Keys keys;
	set_keys(m, key, &keys);
	for (size_t at = 0; at < len; at += SECTOR) {
		uint8_t iv[BLOCK_MAX];
		vector_for(m, &essiv, sector + at / SECTOR, iv);
		one_sector(m, &keys, iv, data + at, encrypt);
	}
	gnutls_memset(&keys, 0, sizeof(keys));
	return 0;
}

/* ---- Hashes ---------------------------------------- */

typedef struct Hmac {
	const struct nettle_hash *hash;
	struct { _Alignas(max_align_t) uint8_t bytes[HASH_CONTEXT_MAX]; } outer, inner, state;
} Hmac;

static void hmac_more(void *opaque, size_t len, const uint8_t *data)
{
	Hmac *h = opaque;
	hmac_update(&h->state, h->hash, len, data);
}

static void hmac_end(void *opaque, size_t len, uint8_t *out)
{
	Hmac *h = opaque;
	hmac_digest(&h->outer, &h->inner, &h->state, h->hash, len, out);
}

void cipher_derive(const CipherMethod *m, const void *pass, size_t len, const uint8_t *salt,
	uint32_t iters, uint8_t *out, size_t out_len)
{
	Hmac h = { .hash = m->hash };
	g_assert(m->hash->context_size <= HASH_CONTEXT_MAX);
	hmac_set_key(&h.outer, &h.inner, &h.state, m->hash, len, pass);
	pbkdf2(&h, hmac_more, hmac_end, m->hash->digest_size, iters, SALT, salt, out_len, out);
	gnutls_memset(&h, 0, sizeof(h));
}

void cipher_hash(const CipherMethod *m, uint32_t number, uint8_t *data, size_t len)
{
	Context context;
	uint8_t head[4];
	set_be32(head, number);
	m->hash->init(&context);
	m->hash->update(&context, 4, head);
	m->hash->update(&context, len, data);
	m->hash->digest(&context, len, data);
}

size_t cipher_hash_size(const CipherMethod *m)
{
	return m->hash->digest_size;
}
