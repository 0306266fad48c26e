/*
 * crypto.c - see crypto.h. This build knows no cipher yet: every call says so.
 */
#include "block/crypto.h"

#include <errno.h>

static bool unknown(GError **error)
{
	return fail(error, VIV_ERROR_UNSUPPORTED,
		"Encrypted images are not supported by this build. An unencrypted image can be made "
		"with qemu-img convert.");
}

BlockCrypto *crypto_open(const char *format, const char *secret, const CryptoIo *io,
	bool without_key, GError **error)
{
	unknown(error);
	return NULL;
}

BlockCrypto *crypto_create(const char *format, json_t *opts, const CryptoIo *io, GError **error)
{
	unknown(error);
	return NULL;
}

void crypto_free(BlockCrypto *crypto)
{
}

int crypto_encrypt(BlockCrypto *crypto, uint64_t offset, Iov iov)
{
	return -ENOTSUP;
}

int crypto_decrypt(BlockCrypto *crypto, uint64_t offset, Iov iov)
{
	return -ENOTSUP;
}

bool crypto_header_size(const char *format, json_t *opts, uint64_t *bytes, GError **error)
{
	return unknown(error);
}

json_t *crypto_info(BlockCrypto *crypto)
{
	return json_object();
}

bool crypto_amend(BlockCrypto *crypto, json_t *opts, bool force, const CryptoIo *io, GError **error)
{
	return unknown(error);
}
