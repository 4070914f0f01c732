/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Rows out of a file of any size: CSV with a header line, or JSON lines. Memory is bounded by one
 * row. A row that is wrong is handed out with its problem and reading goes on behind it.
 */

#include "ctl/record.h"

#define READER_LINE_MAX (64u * 1024) /* bytes of one JSON line, as CSV_ROW_MAX is for CSV */

typedef struct ReaderRow {
        uint64_t line;       /* 1-based, where it begins */
        uint64_t offset;     /* bytes before it in the file */
        const char *problem; /* static; NULL: record is good */
        Record record;       /* texts in the arena of reader_next() */
} ReaderRow;

typedef struct Reader Reader;

/* fd is borrowed and read from where it stands. -ENOMEM. */
int reader_new(int fd, bool json_lines, Reader **ret) _must_check_;
Reader *reader_free(Reader *reader);
DEFINE_CLEANUP(Reader, reader_free)

/* Reads the header line, or looks at the first JSON object. wanted: RECORD_NONE to take what the
 * columns say. -EINVAL: *ret_problem (malloc'ed) says why this file is none; or -errno. */
int reader_begin(Reader *reader, RecordType wanted, char **ret_problem) _must_check_;

RecordType reader_type(const Reader *reader);
bool reader_has(const Reader *reader, RecordField field);

/* Goes on at a row that an earlier run had as offset and line. fd must be a file. */
int reader_seek(Reader *reader, uint64_t offset, uint64_t line) _must_check_;

/* 1: *ret is the next row; 0: the end; -errno of read(2), -ENOMEM. */
int reader_next(Reader *reader, Arena *arena, int64_t now_sec, ReaderRow *ret) _must_check_;
