/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Rows out of a file of any size: CSV with a header line, or JSON lines. Memory is bounded by one
 * row. A row that is wrong is handed out with its problem and reading goes on behind it.
 */

#include "ctl/record.h"

#define ROW_READER_LINE_MAX (64u * 1024) /* bytes of one JSON line, as CSV_ROW_MAX is for CSV */

typedef struct ReadRow {
        uint64_t line;       /* 1-based, where it begins */
        uint64_t offset;     /* bytes before it in the file */
        const char *problem; /* static; NULL: record is good */
        Record record;       /* texts in the arena of row_reader_next() */
} ReadRow;

typedef struct RowReader RowReader;

/* fd is borrowed and read from where it stands. -ENOMEM. */
int row_reader_new(int fd, bool json_lines, RowReader **ret) _must_check_;
RowReader *row_reader_free(RowReader *reader);
DEFINE_CLEANUP(RowReader, row_reader_free)

/* From now on targets with credentials are good ([Links] Credentials=allow). */
void row_reader_take_credentials(RowReader *reader);

/* Reads the header line, or looks at the first JSON object. wanted: RECORD_NONE to take what the
 * columns say. -EINVAL: *ret_problem (malloc'ed) says why this file is none; or -errno. */
int row_reader_begin(RowReader *reader, RecordType wanted, char **ret_problem) _must_check_;

RecordType row_reader_type(const RowReader *reader);
bool row_reader_has(const RowReader *reader, RecordField field);

/* Goes on at a row that an earlier run had as offset and line. fd must be a file. */
int row_reader_seek(RowReader *reader, uint64_t offset, uint64_t line) _must_check_;

/* 1: *ret is the next row; 0: the end; -errno of read(2), -ENOMEM. */
int row_reader_next(RowReader *reader, Arena *arena, int64_t now_sec, ReadRow *ret) _must_check_;
