/*
 * keyslot.h - LUKS's header in memory, and its key slots: a passphrase opens one, fills one or
 * empties one. Fibers of the image's loop.
 */
#ifndef VIV_BLOCK_KEYSLOT_H
#define VIV_BLOCK_KEYSLOT_H

#include "block/blockmap.h"
#include "block/cipher.h"
#include "block/crypto.h"

/* Offsets in the header; S_ ones in a slot ("LUKS On-Disk Format Specification", 1.2.3, 3). */
enum {
	L_VERSION = 6, L_CIPHER = 8, L_MODE = 40, L_HASH = 72, L_PAYLOAD = 104, L_KEY_BYTES = 108,
	L_DIGEST = 112, L_SALT = 132, L_ITERS = 164, L_UUID = 168, L_SLOTS = 208, L_HEADER = 592,
	S_ITERS = 4, S_SALT = 8, S_OFFSET = 40, S_STRIPES = 44, SLOT = 48, SLOTS = 8,
	DIGEST = 20, SALT = 32, STRIPES = 4000,
	ITERS_MAX = 1 << 26, /* half a minute: no header keeps us longer */
	ITERS_MIN = 1000, ITER_TIME = 2000 /* ms */
};
#define SLOT_ON 0x00ac71f3u
#define SLOT_OFF 0x0000deadu

typedef struct Luks1 {
	CipherMethod method;
	uint8_t header[L_HEADER];
} Luks1;

uint8_t *keyslot_at(Luks1 *l, unsigned slot);
bool keyslot_on(Luks1 *l, unsigned slot);
/* Bytes of a slot's key material, of whole sectors. */
size_t keyslot_bytes(const CipherMethod *m, uint32_t stripes);
/* So many rounds of the method's hash take `ms` here. */
uint32_t keyslot_rounds(const CipherMethod *m, uint64_t ms);

/* 1: the passphrase opens the slot, *key is the master key; 0: it does not; -errno. A slot with
 * impossible numbers is -EINVAL. */
int keyslot_try(Luks1 *l, const CryptoIo *io, unsigned slot, const uint8_t *pass, size_t len,
	uint8_t *key);
/* Fills a slot: its key material first, then the header. 0 or -errno. */
int keyslot_fill(Luks1 *l, const CryptoIo *io, unsigned slot, const uint8_t *pass, size_t len,
	const uint8_t *key, uint64_t ms);
/* Empties it: the material is overwritten. */
int keyslot_erase(Luks1 *l, const CryptoIo *io, unsigned slot);
/* `amend` with opts "encrypt.state" and others; key: the master key. */
bool keyslot_amend(Luks1 *l, const uint8_t *key, json_t *opts, bool force, const CryptoIo *io,
	GError **error);

#endif
