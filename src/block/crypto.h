/*
 * crypto.h - encryption of sectors for image formats: LUKS, and qcow's old AES.
 *
 * A format says how the encryption header is reached (CryptoIo) and where a sector lies; keys,
 * ciphers and the header's contents are crypto.c's. Threads: fibers of one loop, several
 * requests at once.
 */
#ifndef VIV_BLOCK_CRYPTO_H
#define VIV_BLOCK_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>
#include <jansson.h>

#include "block/iov.h"
#include "block/node.h"

typedef struct BlockCrypto BlockCrypto;

/* The header's bytes, counted from its start. Results: 0 or -errno. */
typedef struct CryptoIo {
	int (*read)(void *opaque, uint64_t offset, void *buf, size_t len);
	int (*write)(void *opaque, uint64_t offset, const void *buf, size_t len);
	/* Before the first write of a new header: `len` bytes are needed. */
	int (*make_room)(void *opaque, uint64_t len);
	void *opaque;
} CryptoIo;

/*
 * Opens an encrypted image. format: "luks" or "aes" (which has no header: io may be NULL).
 * secret: the id of a secret object, NULL: none. without_key: nothing will be read or written,
 * only crypto_info is wanted. NULL: *error.
 */
BlockCrypto *crypto_open(const char *format, const char *secret, const CryptoIo *io,
	bool without_key, GError **error);
/*
 * Makes a new header. opts: creation options with their prefix ("encrypt.key-secret",
 * "encrypt.cipher-alg", ...). The result is ready to encrypt.
 */
BlockCrypto *crypto_create(const char *format, json_t *opts, const CryptoIo *io, GError **error);
void crypto_free(BlockCrypto *crypto);

/* Whole sectors, in place. offset: what the initialisation vector is made from, in bytes. */
int crypto_encrypt(BlockCrypto *crypto, uint64_t offset, Iov iov);
int crypto_decrypt(BlockCrypto *crypto, uint64_t offset, Iov iov);

/* Bytes of the header that crypto_create would make, for measure. False: *error. */
bool crypto_header_size(const char *format, json_t *opts, uint64_t *bytes, GError **error);
/* What `info` says: "cipher-alg", "slots", ..., and "format" unless NULL; caller owns. */
json_t *crypto_info(BlockCrypto *crypto, const char *format);
/* Key slots by "encrypt.state", "encrypt.new-secret", ... of opts. */
bool crypto_amend(BlockCrypto *crypto, json_t *opts, bool force, const CryptoIo *io, GError **error);

/* Entries of a format's create_options, which stand sorted: its own may come between the two. */
#define CRYPTO_CIPHER_OPTIONS(prefix) \
	{ prefix "cipher-alg", OPT_STRING, 0, NULL, "Name of encryption cipher algorithm" }, \
	{ prefix "cipher-mode", OPT_STRING, 0, NULL, "Name of encryption cipher mode" }
#define CRYPTO_KEY_OPTIONS(prefix) \
	{ prefix "hash-alg", OPT_STRING, 0, NULL, "Name of encryption hash algorithm" }, \
	{ prefix "iter-time", OPT_INT, 0, NULL, "Time to spend in PBKDF in milliseconds" }, \
	{ prefix "ivgen-alg", OPT_STRING, 0, NULL, "Name of IV generator algorithm" }, \
	{ prefix "ivgen-hash-alg", OPT_STRING, 0, NULL, "Name of IV generator hash algorithm" }
/* Entries of a format's amend_options. */
#define CRYPTO_AMEND_OPTIONS(prefix) \
	{ prefix "iter-time", OPT_INT, 0, NULL, "Time to spend in PBKDF in milliseconds" }, \
	{ prefix "keyslot", OPT_INT, 0, NULL, "Select a single keyslot to modify explicitly" }, \
	{ prefix "new-secret", OPT_STRING, 0, NULL, \
		"New secret to set in the matching keyslots. Empty string to erase" }, \
	{ prefix "old-secret", OPT_STRING, 0, NULL, \
		"Select all keyslots that match this password" }, \
	{ prefix "state", OPT_STRING, 0, NULL, \
		"Select new state of affected keyslots (active/inactive)" }

#endif
