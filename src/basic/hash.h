/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Three hashes, each for one purpose. hash_keyed: SipHash-1-3 (Aumasson and Bernstein, 2012) for
 * tables whose keys a stranger chooses. hash_plain: the same in every process and build, for the
 * counters of the host page; not for tables. hash_crc32c: Castagnoli CRC (RFC 3720), with the
 * SSE 4.2 instruction where the CPU has it.
 */

#include <stddef.h>
#include <stdint.h>

#include "basic/slice.h"

typedef struct HashKey {
        uint64_t k0, k1;
} HashKey;

/* A key from getrandom(2); aborts if the kernel has none to give. */
HashKey hash_key_random(void);

uint64_t hash_keyed(const HashKey *key, Slice s) _pure_;

/* FNV-1a 64 with a final avalanche (murmur3's fmix64); stable for ever: it is in the host page's
 * layout. */
uint64_t hash_plain(Slice s) _pure_;

/* Running CRC: start with 0, feed pieces in order. crc32c("123456789") = 0xE3069283. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t len);

/* The same by tables (slicing by 8), for CPUs without the instruction; public for tests. */
uint32_t hash_crc32c_portable(uint32_t crc, const void *data, size_t len);
