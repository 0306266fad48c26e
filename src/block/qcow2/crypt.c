/*
 * crypt.c - encrypted images: LUKS, whose header lies in clusters that a header extension
 * names, and the old AES method, which has none.
 *
 * Source: "QCOW2 disk image format", section "Full disk encryption header pointer", "Data
 * encryption": LUKS counts a sector by its place in the file, AES by its place in the disk.
 * Threads: fibers of the node's loop.
 */
#include "block/crypto.h"
#include "block/qcow2/qcow2.h"

static const char *format_of(const Qcow2 *s)
{
	return s->crypt_method == QCOW2_CRYPT_LUKS ? "luks" : "aes";
}

static bool inside(const Qcow2 *s, uint64_t offset, size_t len)
{
	return offset <= s->crypto_length && len <= s->crypto_length - offset;
}

static int header_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	Qcow2 *s = opaque;
	return inside(s, offset, len) ? node_pread(s->node->file, s->crypto_offset + offset, buf, len)
		: -EINVAL;
}

static int header_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	Qcow2 *s = opaque;
	return inside(s, offset, len) ? node_pwrite(s->node->file, s->crypto_offset + offset, buf, len)
		: -EINVAL;
}

/* Clusters of zeroes for a new header, entered in the image's own. */
static int header_room(void *opaque, uint64_t len)
{
	Qcow2 *s = opaque;
	uint64_t offset, room = q_ceil(s, len);
	qcow2_lock(s);
	int ret = refcount_alloc(s, room, &offset);
	uint8_t *zeroes = ret >= 0 ? g_try_malloc0(room) : NULL;
	if (ret >= 0)
		ret = zeroes ? qcow2_overlap(s, 0, offset, room) : -ENOMEM;
	if (ret >= 0)
		ret = node_pwrite(s->node->file, offset, zeroes, room);
	if (ret >= 0)
		ret = qcow2_write_counts(s);
	if (ret >= 0) {
		s->crypto_offset = offset;
		s->crypto_length = len;
		s->crypt_method = QCOW2_CRYPT_LUKS;
		ret = qcow2_header_commit(s);
	}
	qcow2_unlock(s);
	g_free(zeroes);
	return ret;
}

static CryptoIo io_of(Qcow2 *s)
{
	return (CryptoIo){ header_read, header_write, header_room, s };
}

bool qcow2_crypto_open(Qcow2 *s, GError **error)
{
	CryptoIo io = io_of(s);
	bool without_key = s->node->flags & (NODE_NO_IO | NODE_CHECK);
	if (s->crypt_method == QCOW2_CRYPT_NONE)
		return true;
	if (s->crypt_method == QCOW2_CRYPT_LUKS && !s->crypto_length)
		return fail(error, VIV_ERROR_FAILED,
			"the image is encrypted with LUKS, and no encryption header is named: "
			"the image is damaged");
	s->crypto = crypto_open(format_of(s), s->opt.encrypt_secret,
		s->crypt_method == QCOW2_CRYPT_LUKS ? &io : NULL, without_key, error);
	if (s->crypto)
		return true;
	if (!without_key)
		return false;
	g_clear_error(error); /* tables can be looked at without */
	return true;
}

void qcow2_crypto_close(Qcow2 *s)
{
	if (s->crypto)
		crypto_free(s->crypto);
	s->crypto = NULL;
}

bool qcow2_crypto_create(Qcow2 *s, const char *format, json_t *opts, GError **error)
{
	CryptoIo io = io_of(s);
	BlockCrypto *crypto = crypto_create(format, opts, strcmp(format, "luks") ? NULL : &io, error);
	if (!crypto)
		return false;
	if (strcmp(format, "luks")) {
		s->crypt_method = QCOW2_CRYPT_AES;
		qcow2_lock(s);
		int ret = qcow2_header_commit(s);
		qcow2_unlock(s);
		if (ret < 0) {
			crypto_free(crypto);
			return fail(error, VIV_ERROR_FAILED, "the header could not be written: %s",
				g_strerror(-ret));
		}
	}
	s->crypto = crypto;
	return true;
}

bool qcow2_crypto_amend(Qcow2 *s, json_t *opts, bool force, GError **error)
{
	CryptoIo io = io_of(s);
	if (!s->crypto)
		return fail(error, VIV_ERROR_INVALID, "The image's encryption header is not open");
	if (!crypto_amend(s->crypto, opts, force, &io, error))
		return false;
	int ret = node_flush(s->node->file);
	return ret >= 0
		|| fail(error, VIV_ERROR_FAILED, "the encryption header could not be written: %s",
			g_strerror(-ret));
}

json_t *qcow2_crypto_info(const Qcow2 *s)
{
	return s->crypto ? crypto_info(s->crypto, format_of(s))
		: json_pack("{s:s}", "format", format_of(s));
}

static uint64_t vector_of(const Qcow2 *s, uint64_t host, uint64_t guest)
{
	return s->crypt_method == QCOW2_CRYPT_AES ? guest : host;
}

int qcow2_encrypt(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov)
{
	return s->crypto ? crypto_encrypt(s->crypto, vector_of(s, host, guest), iov) : -ENOKEY;
}

int qcow2_decrypt(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov)
{
	return s->crypto ? crypto_decrypt(s->crypto, vector_of(s, host, guest), iov) : -ENOKEY;
}
