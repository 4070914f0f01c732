/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One record of a spool, as it lies in the file (little endian, no padding):
 *
 *   len u32        bytes of the whole record
 *   crc u32        CRC32C over the spool's id and everything behind this field
 *   seq u64        1, 2, 3, ... in a spool
 *   time u64       CLOCK_REALTIME usec
 *   kind u8
 *   visit:  link u64, lengths of address u8, request id u8, referrer u16 (0xFFFF: not sent),
 *           agent u16, then these texts in the same order
 *   shed:   count u64: the numbers [seq, seq + count) were answered and not recorded
 *   '\n'           so that the last byte of a whole record is never zero; no text has one
 *
 * The CRC covers the spool's id, so that a record of another spool in recycled blocks never counts.
 */

#include "clicks/spool.h"

#define RECORD_HEAD_SIZE 25u
#define RECORD_SHED_SIZE (RECORD_HEAD_SIZE + 8u + 1u)
#define RECORD_TEXT_MAX  512u /* bytes of a referrer or user agent */
#define RECORD_NAME_MAX  64u  /* bytes of an address or request id */
#define RECORD_BODY_HEAD 14u
#define RECORD_MIN_SIZE  RECORD_SHED_SIZE
#define RECORD_MAX_SIZE \
 (RECORD_HEAD_SIZE + RECORD_BODY_HEAD + 2u * RECORD_NAME_MAX + 2u * RECORD_TEXT_MAX + 1u)
#define RECORD_SEQ_END (1ULL << 55) /* sequence numbers lie below it */

typedef enum RecordKind {
        RECORD_VISIT = 1,
        RECORD_SHED = 2,
} RecordKind;

typedef struct Record {
        uint64_t seq;
        uint64_t n; /* sequence numbers that it stands for: 1, or a shed marker's count */
        RecordKind kind;
        Click click; /* of a visit; for a shed marker only time_usec. Slices into the input */
} Record;

/* What the length and the numbers of a record's head say, unchecked. */
typedef struct RecordHead {
        uint32_t len;
        uint32_t crc;
        uint64_t seq;
        uint8_t kind;
} RecordHead;

/* The start of every CRC of this spool. */
uint32_t record_crc_start(const uint8_t spool_id[16]);

/* Room for RECORD_MAX_SIZE bytes at out; returns the bytes written. Texts are cut and cleaned. */
size_t record_encode_visit(uint32_t crc_start, uint64_t seq, const Click *click, uint8_t *out);
/* RECORD_SHED_SIZE bytes. */
size_t record_encode_shed(uint32_t crc_start, uint64_t seq, uint64_t count, uint64_t time_usec,
                          uint8_t *out);

/* The size of the valid record at data, or -EBADMSG: there is none (or not whole). */
int record_decode(uint32_t crc_start, const uint8_t *data, size_t len, Record *ret) _must_check_;

/* False if there is no room for a head or its length is none that a record has. */
bool record_head(const uint8_t *data, size_t len, RecordHead *ret) _must_check_;
