/*
 * luks.c - a disk encrypted by LUKS, nothing else: the header, then the sectors. What is in the
 * header is crypto.c's business. Threads: see node.h.
 */
#include <errno.h>
#include <string.h>

#include "block/blockmap.h"
#include "block/crypto.h"
#include "block/drivers.h"

typedef struct Luks {
	char *secret;          /* option */
	BlockCrypto *crypto;
	uint64_t payload;
} Luks;

static const BlockOption options[] = {
	{ "key-secret", OPT_STRING, offsetof(Luks, secret), NULL,
		"ID of the secret that provides the keyslot passphrase" },
	{ 0 }
};
static const BlockOption create_options[] = {
	CRYPTO_CIPHER_OPTIONS(""),
	CRYPTO_KEY_OPTIONS(""),
	{ "key-secret", OPT_STRING, 0, NULL,
		"ID of the secret that provides the keyslot passphrase" },
	{ "size", OPT_SIZE, 0, NULL, "Virtual disk size" },
	{ 0 }
};

static const BlockOption amend_options[] = {
	CRYPTO_AMEND_OPTIONS(""),
	{ 0 }
};

static int header_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	return node_pread(opaque, offset, buf, len);
}

static int header_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	return node_pwrite(opaque, offset, buf, len);
}

static int header_room(void *opaque, uint64_t len)
{
	Node *file = opaque;
	/* The file was made as long as the disk: the header comes on top. */
	return node_truncate(file, file->length + len, true, PREALLOC_OFF, NULL) ? 0 : -ENOSPC;
}

static int luks_probe(const uint8_t *head, size_t len, const char *filename)
{
	return len >= 8 && !memcmp(head, "LUKS\xba\xbe\0\1", 8) ? 100 : 0;
}

static bool luks_open(Node *node, GError **error)
{
	Luks *s = node->state;
	CryptoIo io = { header_read, header_write, NULL, node->file };
	s->crypto = crypto_open("luks", s->secret, &io, node->flags & NODE_NO_IO, error);
	if (!s->crypto)
		return false;
	json_t *info = crypto_info(s->crypto, NULL);
	s->payload = (uint64_t)json_integer_value(json_object_get(info, "payload-offset"));
	json_decref(info);
	node->align = SECTOR;
	if (s->payload <= node->file->length) {
		node->length = (node->file->length - s->payload) & ~(uint64_t)(SECTOR - 1);
		return true;
	}
	crypto_free(s->crypto);
	return fail(error, VIV_ERROR_INVALID, "the LUKS image ends before its data starts");
}

static void luks_close(Node *node)
{
	crypto_free(NODE_STATE(node, Luks)->crypto);
}

static int luks_read(Node *node, uint64_t offset, Iov iov)
{
	Luks *s = node->state;
	int ret = node_read(node->file, s->payload + offset, iov);
	return ret < 0 ? ret : crypto_decrypt(s->crypto, offset, iov);
}

/* Enciphered in a copy, in parts: the buffer is the guest's. */
static int luks_write(Node *node, uint64_t offset, Iov iov, unsigned flags)
{
	Luks *s = node->state;
	size_t most = MIN(iov.len, 1u << 20);
	g_autofree uint8_t *buf = g_try_malloc(MAX(most, 1));
	int ret = buf ? 0 : -ENOMEM;
	for (size_t done = 0; done < iov.len && ret >= 0; done += most) {
		struct iovec v = { buf, MIN(most, iov.len - done) };
		iov_copy_out(iov, done, buf, v.iov_len);
		ret = crypto_encrypt(s->crypto, offset + done, iov_one(&v));
		if (ret >= 0)
			ret = node_write(node->file, s->payload + offset + done, iov_one(&v), flags);
	}
	return ret;
}

static bool luks_truncate(Node *node, uint64_t length, bool exact, Prealloc prealloc, GError **error)
{
	Luks *s = node->state;
	if (length > (uint64_t)NODE_LENGTH_MAX - s->payload)
		return fail(error, VIV_ERROR_INVALID, "The requested file size is too large");
	if (!node_truncate(node->file, s->payload + length, exact, prealloc, error))
		return false;
	node->length = length;
	return true;
}

static void luks_info(Node *node, NodeInfo *out)
{
	out->encrypted = true;
}

static json_t *luks_specific(Node *node)
{
	return json_pack("{s:s, s:o}", "type", "luks", "data",
		crypto_info(NODE_STATE(node, Luks)->crypto, NULL));
}

/* crypto.c knows options by the names that other formats give them. Caller's reference. */
static json_t *with_prefix(json_t *opts)
{
	const char *key;
	json_t *value, *words = json_object();
	json_object_foreach(opts, key, value) {
		g_autofree char *name = g_strconcat("encrypt.", key, NULL);
		json_object_set(words, name, value);
	}
	return words;
}

static bool luks_amend(Node *node, json_t *opts, bool force, ProgressFn *progress, void *opaque,
	GError **error)
{
	CryptoIo io = { header_read, header_write, NULL, node->file };
	json_t *words = with_prefix(opts);
	bool ok = crypto_amend(NODE_STATE(node, Luks)->crypto, words, force, &io, error);
	json_decref(words);
	int ret = ok ? node_flush(node->file) : 0;
	return ret < 0 ? fail(error, VIV_ERROR_FAILED, "the LUKS header could not be written: %s",
		g_strerror(-ret)) : ok;
}

static bool luks_create(const char *filename, json_t *opts, GError **error)
{
	json_t *words = with_prefix(opts);
	Node *file = node_create_file(filename, blockmap_size(opts), error)
		? node_open_file(filename, NODE_WRITE | NODE_EXCLUSIVE, error) : NULL;
	CryptoIo io = { header_read, header_write, header_room, file };
	BlockCrypto *crypto = file ? crypto_create("luks", words, &io, error) : NULL;
	bool ok = crypto;
	crypto_free(crypto);
	node_unref(file);
	json_decref(words);
	return ok;
}

const Driver luks_driver = {
	.name = "luks", .desc = "a disk encrypted by LUKS", .size = sizeof(Luks), .options = options,
	.create_options = create_options, .amend_options = amend_options, .amend = luks_amend,
	.probe = luks_probe, .open = luks_open, .close = luks_close,
	.create = luks_create, .read = luks_read, .write = luks_write, .truncate = luks_truncate,
	.info = luks_info, .specific = luks_specific, .set_writable = blockmap_set_writable,
};
