/* SPDX-License-Identifier: BSD-2-Clause */
/* SipHash-2-4 and SipHash-1-3 (Aumasson, Bernstein 2012): keyed hashes that a peer who does not
 * know the key cannot steer. 2-4 for secrets on the wire (ISN, cookies), 1-3 for hash tables. */
#ifndef LASTACK_BASE_SIPHASH_H
#define LASTACK_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash24(const uint64_t key[2], const void *data, size_t len);
uint64_t siphash13(const uint64_t key[2], const void *data, size_t len);

#endif
