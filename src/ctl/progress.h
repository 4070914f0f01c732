/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The progress bar of what takes longer than a second: one line on a terminal's standard error,
 * drawn again in place and removed at the end. Without a terminal nothing is drawn.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/buffer.h"

typedef struct Progress {
        const char *name;      /* what stands in front, e.g. the file's name */
        int fd;                /* where it is drawn; -1: nowhere */
        uint64_t total;        /* bytes (or rows, for an export) in all; 0: not known */
        uint64_t first_done;   /* of total, when this run began (a resumed import) */
        uint64_t first_rows;   /* rows, likewise */
        uint64_t started_usec; /* CLOCK_MONOTONIC */
        uint64_t drawn_usec;   /* when the line was last drawn; 0: it is not there */
} Progress;

/* fd: drawn only if it is a terminal. done and rows: where this run begins. */
void progress_begin(Progress *progress, int fd, const char *name, uint64_t total, uint64_t done,
                    uint64_t rows);

/* Cheap enough for each thousand rows. */
void progress_update(Progress *progress, uint64_t done, uint64_t rows);

/* Removes the line. */
void progress_end(Progress *progress);

/* The line, at most `columns` wide: name, bar, percent, rows, rows a second, time left. */
void progress_format(const Progress *progress, uint64_t now_usec, uint64_t done, uint64_t rows,
                     size_t columns, Buffer *out);
