/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * CSV (RFC 4180): a reader that takes the text in pieces of any size and hands out rows, and a
 * writer. CRLF or LF; a UTF-8 byte order mark at the very start is dropped; a quoted field may
 * hold line ends. Memory is bounded by one row (CSV_ROW_MAX). A row that is broken (a stray quote,
 * too long, too many fields, a quote that is never closed) is handed out with a flag and reading
 * goes on with the line behind the one that it began on. A CR without LF, and NUL, are data.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/buffer.h"
#include "basic/slice.h"

#define CSV_ROW_MAX    (64u * 1024) /* bytes of one row's fields together */
#define CSV_FIELDS_MAX 64u

typedef struct CsvRow {
        const Slice *fields; /* borrowed until the next call of csv_next() */
        size_t n_fields;
        uint64_t line;   /* 1-based number of the line that the row began on */
        uint64_t offset; /* byte offset in the whole input of the row's first byte */
        bool broken;     /* there are no fields (n_fields is 0) */
} CsvRow;

typedef struct CsvReader CsvReader;

CsvReader *csv_reader_free(CsvReader *reader);
DEFINE_CLEANUP(CsvReader, csv_reader_free)
/* -ENOMEM. */
int csv_reader_new(CsvReader **ret) _must_check_;

/* Adds input; the bytes are copied. -ENOMEM. */
int csv_feed(CsvReader *reader, Slice piece) _must_check_;

/* No more input: the last line may lack its line end. */
void csv_finish(CsvReader *reader);

/* 1: *ret is the next row; 0: feed more (or, after csv_finish(), the end). Wholly empty lines are
 * skipped. -ENOMEM. */
int csv_next(CsvReader *reader, CsvRow *ret) _must_check_;

/* Appends one field, quoted when it must be (quote, comma, CR, LF, leading or trailing blank). */
void csv_write_field(Buffer *out, Slice field);
