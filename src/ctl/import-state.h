/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How far an import is: FILE.state beside the file. Two slots are written in turns, each with a
 * checksum, so that one of them is whole whenever the process dies.
 *
 * The state names the row that the next transaction begins with. Whoever resumes cannot know
 * whether that transaction was committed; import.c says how it finds out.
 */

#include "basic/hash.h"
#include "ctl/record.h"

typedef struct ImportState {
        /* What is imported, and where to: a resumed import must find the same. */
        uint64_t file_size; /* bytes */
        uint32_t file_head; /* CRC of its first bytes */
        uint32_t store;     /* CRC of the store's URL */
        RecordType type;

        /* How far. */
        uint64_t offset; /* of the next row */
        uint64_t line;
        uint64_t n_rows, n_imported, n_skipped;
        uint64_t errors_size; /* bytes of the errors' file that are true */
        int64_t last_id;      /* before the next transaction: rows that it brought, and that had no
                                 id of their own, have higher ones */
        HashKey key;          /* codes of links that have none are made from it ... */
        uint64_t code_length; /* ... with so many characters */
        int64_t now_sec;      /* when the import began: the time of rows that have none */
} ImportState;

typedef struct ImportFile ImportFile;

/* Opens and locks path. 0: a new one, whose name is on disk where its folder can be synced; 1:
 * *ret_state is what an import left. -EEXIST: an import left one, and resume is false. -ENOENT:
 * resume, but there is none. -EWOULDBLOCK: an import is running. -EBADMSG: it is damaged. */
int import_file_open(const char *path, bool resume, ImportFile **ret,
                     ImportState *ret_state) _must_check_;
ImportFile *import_file_close(ImportFile *file);
DEFINE_CLEANUP(ImportFile, import_file_close)

/* sync: on disk before this returns. */
int import_file_write(ImportFile *file, const ImportState *state, bool sync) _must_check_;

/* The import is complete: nothing is left to resume. */
int import_file_remove(ImportFile *file) _must_check_;
