/*
 * cipher.h - the ciphers, vectors and hashes that encrypted images name, and what is done to
 * sectors and passphrases with them. Any thread: nothing here is shared.
 */
#ifndef VIV_BLOCK_CIPHER_H
#define VIV_BLOCK_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

struct nettle_cipher;
struct nettle_hash;

enum { CIPHER_KEY_MAX = 64 };
typedef enum CipherMode { MODE_ECB, MODE_CBC, MODE_CTR, MODE_XTS } CipherMode;
typedef enum CipherVector { VECTOR_PLAIN, VECTOR_PLAIN64, VECTOR_ESSIV } CipherVector;

typedef struct CipherMethod {
	const struct nettle_cipher *block;
	int gnutls;                     /* GnuTLS's number where it has cipher and mode; else 0 */
	CipherMode mode;
	CipherVector vector;
	const struct nettle_cipher *essiv_block; /* of VECTOR_ESSIV */
	const struct nettle_hash *essiv_hash;
	const struct nettle_hash *hash; /* of passphrases */
	unsigned key_bytes;             /* both keys of XTS together */
} CipherMethod;

/*
 * From LUKS's words: cipher "aes", mode "xts-plain64" or "cbc-essiv:sha256", hash "sha256", and
 * the key's length in bytes. False: *error.
 */
bool cipher_method(CipherMethod *m, const char *cipher, const char *mode, const char *hash,
	unsigned key_bytes, GError **error);
/* qcow's own: AES-128 in CBC, the sector's number as the vector. */
CipherMethod cipher_qcow_aes(void);
/* "aes-256" as `info` says it. Caller frees. */
char *cipher_name(const CipherMethod *m);

/* Encrypts or decrypts `len` bytes, whole sectors of 512, in place; `sector` numbers the first.
 * 0 or -EIO. */
int cipher_sectors(const CipherMethod *m, const uint8_t *key, uint64_t sector, uint8_t *data,
	size_t len, bool encrypt);
/* PBKDF2 (RFC 8018, 5.2) with the HMAC of m->hash; the salt has 32 bytes. */
void cipher_derive(const CipherMethod *m, const void *pass, size_t len, const uint8_t *salt,
	uint32_t iters, uint8_t *out, size_t out_len);
/* The hash of a number (big-endian) and `len` bytes, cut to `len`, which is at most its size. */
void cipher_hash(const CipherMethod *m, uint32_t number, uint8_t *data, size_t len);
size_t cipher_hash_size(const CipherMethod *m);

#endif
