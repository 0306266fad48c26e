/*
 * crypt.c - encrypted images: LUKS, and the old AES method. Threads: fibers of the node's loop.
 */
#include "block/qcow2/qcow2.h"

bool qcow2_crypto_open(Qcow2 *s, GError **error)
{
	if (s->crypt_method == QCOW2_CRYPT_NONE || s->node->flags & NODE_NO_IO)
		return true;
	return fail(error, VIV_ERROR_UNSUPPORTED,
		"the image is encrypted, which this program cannot read yet");
}

void qcow2_crypto_close(Qcow2 *s)
{
}

int qcow2_encrypt(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov)
{
	return -ENOTSUP;
}

int qcow2_decrypt(Qcow2 *s, uint64_t host, uint64_t guest, Iov iov)
{
	return -ENOTSUP;
}
