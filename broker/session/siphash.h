// SPDX-License-Identifier: MIT
/* siphash.h - SipHash-2-4 with 128 bits of output: a keyed digest for secrets.
 *
 * bytes_hash is for tables; this is for answers that must not be forged by one
 * who does not know the key.  Source: Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF", and its reference vectors. */
#ifndef SESSION_SIPHASH_H
#define SESSION_SIPHASH_H

#include "base/bytes.h"

void siphash(const uint8_t key[16], struct bytes in, uint8_t out[16]);

#endif
