/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Encryption of datagrams between nodes, by libsodium. Pure but for the random
 * nonces of handshakes.
 *
 *	key of a direction = BLAKE2b(cluster key,
 *		"sluice-nnm-1" | purpose | sender | receiver |
 *		sender's epoch | receiver's epoch)
 *
 * Data: ChaCha20-Poly1305 (RFC 8439), nonce = 0^32 | sequence number. A pair of
 * epochs names one life of each daemon, a sequence number is used once in it,
 * and the two directions have different keys: no nonce comes twice under a key.
 *
 * Handshake: XChaCha20-Poly1305 with 192 random bits of nonce, because its key
 * (purpose "handshake", no epochs) outlives reboots.
 *
 * The clear header is authenticated with the rest.
 */
#ifndef SLUICE_NNM_CRYPTO_H
#define SLUICE_NNM_CRYPTO_H

#include <stddef.h>
#include <stdint.h>
#include "cluster/nnm_epoch.h"
#include "cluster/nnm_keys.h"

#define NNM_TAG_BYTES 16
#define NNM_XNONCE_BYTES 24

enum nnm_purpose {
	NNM_PURPOSE_HANDSHAKE = 1,
	NNM_PURPOSE_DATA = 2,
};

/* Starts libsodium; safe to call again. 0 or -EIO. */
int nnm_crypto_init(void);

/* Key of the direction SENDER to RECEIVER. Epochs may be NULL (zeros). */
void nnm_crypto_derive(const struct nnm_key *key, enum nnm_purpose purpose,
		       uint8_t sender, uint8_t receiver,
		       const struct nnm_epoch *sender_epoch,
		       const struct nnm_epoch *receiver_epoch,
		       uint8_t ret[NNM_KEY_BYTES]);

/* Encrypts TEXT in place; the tag goes to TEXT + LEN. */
void nnm_crypto_seal(const uint8_t key[NNM_KEY_BYTES], uint64_t seq,
		     const uint8_t *header, size_t header_len,
		     uint8_t *text, size_t len);

/* Decrypts in place LEN bytes of text, followed by the tag. 0, or -EBADMSG with
 * TEXT wiped. */
int nnm_crypto_open(const uint8_t key[NNM_KEY_BYTES], uint64_t seq,
		    const uint8_t *header, size_t header_len,
		    uint8_t *text, size_t len);

/* The same for handshakes. SEAL fills in NONCE. */
void nnm_crypto_xseal(const uint8_t key[NNM_KEY_BYTES],
		      uint8_t nonce[NNM_XNONCE_BYTES],
		      const uint8_t *header, size_t header_len,
		      uint8_t *text, size_t len);
int nnm_crypto_xopen(const uint8_t key[NNM_KEY_BYTES],
		     const uint8_t nonce[NNM_XNONCE_BYTES],
		     const uint8_t *header, size_t header_len,
		     uint8_t *text, size_t len);

#endif
