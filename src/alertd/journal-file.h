/* SPDX-License-Identifier: MIT */
#pragma once

/* The bytes of the journal's segments. Used by journal.c only, and by tests. */

#include "alertd/journal.h"

#define JOURNAL_NAME_SIZE 24 /* "0123456789abcdef.alerts" and a NUL */

void journal_file_name(uint64_t first, char ret[JOURNAL_NAME_SIZE]);
bool journal_file_first(const char *name, uint64_t *ret_first);

/* The record of a batch behind what is in out. */
void journal_file_record(const AlertBatch *batch, Buffer *out);

/* Reads a segment: its batches behind found's, last_seq and the next number brought up to date.
 * *ret_good: bytes of whole records; *ret_rest: bytes behind them. */
int journal_file_load(int fd, JournalFound *found, uint64_t *next_number, uint64_t *ret_good,
                      uint64_t *ret_rest) _must_check_;
