// SPDX-License-Identifier: GPL-2.0-only
/* Sealing and opening of datagrams (see nnm_crypto.h). */
#include "cluster/nnm_crypto.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include "util/wire.h"

_Static_assert(NNM_TAG_BYTES == crypto_aead_chacha20poly1305_ietf_ABYTES, "tag");
_Static_assert(NNM_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
_Static_assert(NNM_KEY_BYTES == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "key");
_Static_assert(NNM_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
_Static_assert(NNM_XNONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(crypto_aead_chacha20poly1305_ietf_NPUBBYTES == 12, "nonce");

int nnm_crypto_init(void)
{
	return sodium_init() < 0 ? -EIO : 0;
}

void nnm_crypto_derive(const struct nnm_key *key, enum nnm_purpose purpose,
		       uint8_t sender, uint8_t receiver,
		       const struct nnm_epoch *sender_epoch,
		       const struct nnm_epoch *receiver_epoch,
		       uint8_t ret[NNM_KEY_BYTES])
{
	static const struct nnm_epoch none;
	uint8_t info[12 + 3 + 2 * NNM_EPOCH_BYTES];
	struct wire_writer w;
	int err;

	assert(key && ret);
	wire_writer_init(&w, info, sizeof(info));
	wire_put_bytes(&w, "sluice-nnm-1", 12);
	wire_put_u8(&w, (uint8_t)purpose);
	wire_put_u8(&w, sender);
	wire_put_u8(&w, receiver);
	nnm_epoch_put(&w, sender_epoch ? sender_epoch : &none);
	nnm_epoch_put(&w, receiver_epoch ? receiver_epoch : &none);
	assert(!w.failed && wire_room(&w) == 0);
	err = crypto_generichash(ret, NNM_KEY_BYTES, info, sizeof(info),
				 key->secret, NNM_KEY_BYTES);
	assert(err == 0);
}

static void make_nonce(uint8_t nonce[12], uint64_t seq)
{
	struct wire_writer w;

	wire_writer_init(&w, nonce, 12);
	wire_put_u32(&w, 0);
	wire_put_u64(&w, seq);
}

void nnm_crypto_seal(const uint8_t key[NNM_KEY_BYTES], uint64_t seq,
		     const uint8_t *header, size_t header_len,
		     uint8_t *text, size_t len)
{
	uint8_t nonce[12];
	int err;

	assert(seq != 0 && seq != UINT64_MAX);
	make_nonce(nonce, seq);
	err = crypto_aead_chacha20poly1305_ietf_encrypt(text, NULL, text, len, header,
							header_len, NULL, nonce, key);
	assert(err == 0);
}

int nnm_crypto_open(const uint8_t key[NNM_KEY_BYTES], uint64_t seq,
		    const uint8_t *header, size_t header_len,
		    uint8_t *text, size_t len)
{
	uint8_t nonce[12];

	assert(key && text);
	make_nonce(nonce, seq);
	/* The tag is verified before anything is written. */
	if (crypto_aead_chacha20poly1305_ietf_decrypt_detached(text, NULL, text, len, text + len,
							       header, header_len, nonce,
							       key) != 0)
		return -EBADMSG;
	return 0;
}

void nnm_crypto_xseal(const uint8_t key[NNM_KEY_BYTES],
		      uint8_t nonce[NNM_XNONCE_BYTES],
		      const uint8_t *header, size_t header_len,
		      uint8_t *text, size_t len)
{
	int err;

	assert(key && nonce);
	randombytes_buf(nonce, NNM_XNONCE_BYTES);
	err = crypto_aead_xchacha20poly1305_ietf_encrypt(text, NULL, text, len, header,
							 header_len, NULL, nonce, key);
	assert(err == 0);
}

int nnm_crypto_xopen(const uint8_t key[NNM_KEY_BYTES],
		     const uint8_t nonce[NNM_XNONCE_BYTES],
		     const uint8_t *header, size_t header_len,
		     uint8_t *text, size_t len)
{
	assert(key && nonce);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(text, NULL, text, len, text + len,
								header, header_len, nonce,
								key) != 0)
		return -EBADMSG;
	return 0;
}
