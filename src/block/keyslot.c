/*
 * keyslot.c - see keyslot.h.
 *
 * Source: "LUKS On-Disk Format Specification", 1.2.3, section 2.4 (anti-forensic splitting) and
 * 4 (operations). A passphrase is made into a key on a worker thread, as that is to take long.
 */
#include "block/keyslot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <gnutls/crypto.h>

#include "block/secret.h"

enum { STRIPES_MAX = 8000, ERASE_PASSES = 40 };

uint8_t *keyslot_at(Luks1 *l, unsigned slot)
{
	return l->header + L_SLOTS + slot * SLOT;
}

bool keyslot_on(Luks1 *l, unsigned slot)
{
	return be32(keyslot_at(l, slot)) == SLOT_ON;
}

size_t keyslot_bytes(const CipherMethod *m, uint32_t stripes)
{
	return ((size_t)m->key_bytes * stripes + SECTOR - 1) & ~(size_t)(SECTOR - 1);
}

/* ---- Anti-forensic splitting ---------------------------------------- */

/* Each bit of a stripe depends on all of the ones before. */
static void diffuse(const CipherMethod *m, uint8_t *block)
{
	size_t size = cipher_hash_size(m);
	for (unsigned at = 0, i = 0; at < m->key_bytes; at += size, i++)
		cipher_hash(m, i, block + at, MIN(size, m->key_bytes - at));
}

static void merge(const CipherMethod *m, const uint8_t *stripes, uint32_t count, uint8_t *key)
{
	memset(key, 0, m->key_bytes);
	for (uint32_t i = 0; i < count; i++) {
		for (unsigned k = 0; k < m->key_bytes; k++)
			key[k] ^= stripes[(size_t)i * m->key_bytes + k];
		if (i + 1 < count)
			diffuse(m, key);
	}
}

static int split(const CipherMethod *m, const uint8_t *key, uint8_t *stripes, uint32_t count)
{
	uint8_t last[CIPHER_KEY_MAX];
	size_t before = (size_t)(count - 1) * m->key_bytes;
	if (gnutls_rnd(GNUTLS_RND_KEY, stripes, before) < 0)
		return -EIO;
	memset(stripes + before, 0, m->key_bytes);
	merge(m, stripes, count, last);
	for (unsigned k = 0; k < m->key_bytes; k++)
		stripes[before + k] = last[k] ^ key[k];
	return 0;
}

/* ---- Opening a slot ---------------------------------------- */

/* One slot and a passphrase, for the worker thread. */
typedef struct Work {
	Luks1 *l;
	uint8_t *slot, *material, *key;
	const uint8_t *pass;
	size_t len;
	uint64_t ms;
} Work;

static int try_job(void *opaque)
{
	Work *w = opaque;
	const CipherMethod *m = &w->l->method;
	const uint8_t *h = w->l->header;
	uint8_t key[CIPHER_KEY_MAX], digest[DIGEST];
	uint32_t stripes = be32(w->slot + S_STRIPES);
	cipher_derive(m, w->pass, w->len, w->slot + S_SALT, be32(w->slot + S_ITERS), key, m->key_bytes);
	int ret = cipher_sectors(m, key, 0, w->material, keyslot_bytes(m, stripes), false);
	if (ret < 0)
		return ret;
	merge(m, w->material, stripes, w->key);
	cipher_derive(m, w->key, m->key_bytes, h + L_SALT, be32(h + L_ITERS), digest, DIGEST);
	return !memcmp(digest, h + L_DIGEST, DIGEST);
}

int keyslot_try(Luks1 *l, const CryptoIo *io, unsigned slot, const uint8_t *pass, size_t len,
	uint8_t *key)
{
	uint8_t *s = keyslot_at(l, slot);
	uint32_t stripes = be32(s + S_STRIPES), iters = be32(s + S_ITERS);
	if (!stripes || stripes > STRIPES_MAX || !iters || iters > ITERS_MAX)
		return -EINVAL;
	size_t bytes = keyslot_bytes(&l->method, stripes);
	g_autofree uint8_t *material = g_malloc(bytes);
	Work w = { l, s, material, key, pass, len, 0 };
	int ret = io->read(io->opaque, (uint64_t)be32(s + S_OFFSET) * SECTOR, material, bytes);
	return ret < 0 ? ret : loop_work(try_job, &w);
}

/* ---- Filling and emptying ---------------------------------------- */

uint32_t keyslot_rounds(const CipherMethod *m, uint64_t ms)
{
	uint8_t out[CIPHER_KEY_MAX], salt[SALT] = { 0 };
	uint32_t probe = 1 << 15;
	int64_t start = g_get_monotonic_time();
	cipher_derive(m, "test", 4, salt, probe, out, m->key_bytes);
	int64_t us = MAX(g_get_monotonic_time() - start, 1);
	return (uint32_t)CLAMP((double)probe * ms * 1000 / us, ITERS_MIN, ITERS_MAX / 2);
}

static int fill_job(void *opaque)
{
	Work *w = opaque;
	const CipherMethod *m = &w->l->method;
	uint8_t key[CIPHER_KEY_MAX];
	uint32_t rounds = keyslot_rounds(m, w->ms);
	if (gnutls_rnd(GNUTLS_RND_RANDOM, w->slot + S_SALT, SALT) < 0)
		return -EIO;
	set_be32(w->slot, SLOT_ON);
	set_be32(w->slot + S_ITERS, rounds);
	set_be32(w->slot + S_STRIPES, STRIPES);
	cipher_derive(m, w->pass, w->len, w->slot + S_SALT, rounds, key, m->key_bytes);
	int ret = split(m, w->key, w->material, STRIPES);
	return ret < 0 ? ret
		: cipher_sectors(m, key, 0, w->material, keyslot_bytes(m, STRIPES), true);
}

int keyslot_fill(Luks1 *l, const CryptoIo *io, unsigned slot, const uint8_t *pass, size_t len,
	const uint8_t *key, uint64_t ms)
{
	uint8_t fresh[SLOT], *s = keyslot_at(l, slot);
	size_t bytes = keyslot_bytes(&l->method, STRIPES);
	g_autofree uint8_t *material = g_malloc0(bytes);
	memcpy(fresh, s, SLOT);
	Work w = { l, fresh, material, (uint8_t *)key, pass, len, ms };
	int ret = loop_work(fill_job, &w);
	if (ret >= 0)
		ret = io->write(io->opaque, (uint64_t)be32(s + S_OFFSET) * SECTOR, material, bytes);
	if (ret < 0)
		return ret;
	memcpy(s, fresh, SLOT);
	return io->write(io->opaque, 0, l->header, L_HEADER);
}

/* The header first: a slot that is half gone is not to look sound. */
int keyslot_erase(Luks1 *l, const CryptoIo *io, unsigned slot)
{
	uint8_t *s = keyslot_at(l, slot);
	size_t bytes = keyslot_bytes(&l->method, MIN(be32(s + S_STRIPES), STRIPES_MAX));
	uint64_t offset = (uint64_t)be32(s + S_OFFSET) * SECTOR;
	g_autofree uint8_t *noise = g_malloc(MAX(bytes, 1));
	set_be32(s, SLOT_OFF);
	set_be32(s + S_ITERS, 0);
	memset(s + S_SALT, 0, SALT);
	int ret = io->write(io->opaque, 0, l->header, L_HEADER);
	for (unsigned i = 0; i < ERASE_PASSES && ret >= 0; i++)
		ret = gnutls_rnd(GNUTLS_RND_RANDOM, noise, bytes) < 0 ? -EIO
			: io->write(io->opaque, offset, noise, bytes);
	return ret;
}

/* ---- amend ---------------------------------------- */

typedef struct Amend {
	Luks1 *l;
	const CryptoIo *io;
	const uint8_t *key;
	const char *new_secret, *old_secret;
	int64_t keyslot; /* -1: not said */
	bool force;
	GError **error;
} Amend;

static bool written(int ret, GError **error)
{
	return ret >= 0 || fail(error, VIV_ERROR_FAILED, "the key slot could not be written: %s",
		g_strerror(-ret));
}

static bool activate(const Amend *a, uint64_t ms)
{
	size_t len;
	unsigned slot = 0;
	if (!a->new_secret)
		return fail(a->error, VIV_ERROR_INVALID, "'new-secret' is required to activate a keyslot");
	if (a->old_secret)
		return fail(a->error, VIV_ERROR_INVALID,
			"'old-secret' must not be given when activating keyslots");
	if (a->keyslot >= 0) {
		slot = (unsigned)a->keyslot;
		if (keyslot_on(a->l, slot) && !a->force)
			return fail(a->error, VIV_ERROR_INVALID,
				"Refusing to overwrite active keyslot %u - please erase it first", slot);
	} else {
		while (slot < SLOTS && keyslot_on(a->l, slot))
			slot++;
		if (slot == SLOTS)
			return fail(a->error, VIV_ERROR_INVALID,
				"Can't add a keyslot - all keyslots are in use");
	}
	const uint8_t *pass = secret_lookup(a->new_secret, &len, a->error);
	return pass && written(keyslot_fill(a->l, a->io, slot, pass, len, a->key, ms), a->error);
}

static unsigned active(Luks1 *l)
{
	unsigned n = 0;
	for (unsigned i = 0; i < SLOTS; i++)
		n += keyslot_on(l, i);
	return n;
}

static bool erase_one(const Amend *a)
{
	unsigned slot = (unsigned)a->keyslot;
	if (!a->force && !keyslot_on(a->l, slot))
		return fail(a->error, VIV_ERROR_INVALID, "Given keyslot %u is already erased (inactive) ",
			slot);
	if (!a->force && active(a->l) == 1)
		return fail(a->error, VIV_ERROR_INVALID, "Attempt to erase the only active keyslot %u "
			"which will erase all the data in the image irreversibly - refusing operation", slot);
	return written(keyslot_erase(a->l, a->io, slot), a->error);
}

/* All slots that the old passphrase opens, or keyslot= alone if it opens that. */
static bool erase_matching(const Amend *a)
{
	size_t len;
	uint8_t key[CIPHER_KEY_MAX];
	unsigned found = 0, match[SLOTS];
	const uint8_t *pass = secret_lookup(a->old_secret, &len, a->error);
	for (unsigned i = 0; pass && i < SLOTS; i++) {
		if (!keyslot_on(a->l, i) || (a->keyslot >= 0 && a->keyslot != i))
			continue;
		int ret = keyslot_try(a->l, a->io, i, pass, len, key);
		if (ret < 0)
			return fail(a->error, VIV_ERROR_FAILED, "LUKS key slot %u could not be read: %s", i,
				g_strerror(-ret));
		if (ret)
			match[found++] = i;
	}
	gnutls_memset(key, 0, sizeof(key));
	if (!pass)
		return false;
	if (!found)
		return fail(a->error, VIV_ERROR_INVALID,
			"No keyslots match given (old) password for erase operation");
	if (!a->force && found == active(a->l))
		return fail(a->error, VIV_ERROR_INVALID, "All the active keyslots match the (old) password "
			"that was given and erasing them will erase all the data in the image irreversibly "
			"- refusing operation");
	for (unsigned i = 0; i < found; i++)
		if (!written(keyslot_erase(a->l, a->io, match[i]), a->error))
			return false;
	return true;
}

static bool deactivate(const Amend *a, bool with_time)
{
	if (a->new_secret)
		return fail(a->error, VIV_ERROR_INVALID,
			"'new-secret' must not be given when erasing keyslots");
	if (with_time)
		return fail(a->error, VIV_ERROR_INVALID,
			"'iter-time' must not be given when erasing keyslots");
	/* As qemu-img: a slot's number with a passphrase that does not matter for the last one. */
	if (a->keyslot >= 0 && (!a->old_secret || active(a->l) == 1 || !keyslot_on(a->l, a->keyslot)))
		return erase_one(a);
	if (a->old_secret)
		return erase_matching(a);
	return fail(a->error, VIV_ERROR_INVALID, "To erase keyslot(s), either explicit keyslot index or "
		"the password currently contained in them must be given");
}

bool keyslot_amend(Luks1 *l, const uint8_t *key, json_t *opts, bool force, const CryptoIo *io,
	GError **error)
{
	const char *state = opt_text(opts, "encrypt.state");
	bool with_time = opt_has(opts, "encrypt.iter-time");
	Amend a = { l, io, key, opt_text(opts, "encrypt.new-secret"),
		opt_text(opts, "encrypt.old-secret"), -1, force, error };
	if (!state)
		return fail(error, VIV_ERROR_INVALID, "Parameter 'state' is missing");
	if (strcmp(state, "active") && strcmp(state, "inactive"))
		return fail(error, VIV_ERROR_INVALID, "Parameter 'state' does not accept value '%s'", state);
	if (opt_has(opts, "encrypt.keyslot")) {
		a.keyslot = (int64_t)opt_size(opts, "encrypt.keyslot", 0);
		if (a.keyslot < 0 || a.keyslot >= SLOTS)
			return fail(error, VIV_ERROR_INVALID, "Invalid keyslot %" PRIi64 " specified, must be "
				"between 0 and %d", a.keyslot, SLOTS - 1);
	}
	return !strcmp(state, "active") ? activate(&a, opt_size(opts, "encrypt.iter-time", ITER_TIME))
		: deactivate(&a, with_time);
}
