/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads the visits of one spool in the order of their numbers, from its segment files (design:
 * clicks). Nothing in a file is trusted: a record counts when its CRC over spool id and number
 * fits, what is between records is searched byte by byte for the next one, and a number that no
 * record has is reported as damaged. Zeros at the end of a segment are room that was never used.
 *
 * The end of a spool that is being written by this process is what its writer says; a spool of a
 * dead process ends with the last whole record, and a torn one behind it, whose end is missing in
 * zeros, was never answered: it is no damage.
 */

#include "clicks/record.h"
#include "clicks/segment.h"

typedef enum ReaderKind {
        READER_VISIT,
        READER_SHED,    /* n visits were answered and not recorded */
        READER_DAMAGED, /* n numbers whose records are lost */
} ReaderKind;

typedef struct ReaderItem {
        ReaderKind kind;
        uint64_t seq;
        uint64_t n;         /* numbers: [seq, seq + n) */
        Click click;        /* of a visit; valid until the next call */
        const uint8_t *raw; /* the record's bytes; NULL for damaged; until the next call */
        size_t raw_len;
} ReaderItem;

typedef struct Reader Reader;

/* directory_fd is borrowed. from_seq: numbers below it are not handed out. live: the writer if this
 * process writes the spool, else NULL. */
int reader_open(int directory_fd, const uint8_t id[SPOOL_ID_SIZE], uint64_t from_seq,
                const Spool *live, Reader **ret) _must_check_;
Reader *reader_free(Reader *reader);
DEFINE_CLEANUP(Reader, reader_free)

/* 1: *ret is the next; 0: nothing more, of a live spool: now. Items follow each other without gap
 * or overlap. Negative: the folder cannot be read, -ENOMEM. */
int reader_next(Reader *reader, ReaderItem *ret) _must_check_;

/* The number that the next item begins with. */
uint64_t reader_seq(const Reader *reader);
