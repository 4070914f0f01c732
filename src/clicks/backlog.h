/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The spools of dead processes in one folder, on their way into the store one after the other, the
 * oldest first. One thread. Private to clicks/.
 */

#include "clicks/stream.h"

typedef uint8_t SpoolId[SPOOL_ID_SIZE];

typedef struct Backlog {
        int directory_fd; /* borrowed */
        SpoolId *ids; /* those that have unshipped segments, then those that seem to have none */
        size_t n;
        size_t n_urgent; /* the former */
        size_t at;       /* the one under way */
        size_t n_wanted; /* step as far as here */
        Stream stream;
        bool open; /* the stream */
} Backlog;

void backlog_done(Backlog *backlog);

/* Lists the folder's spools but `except` (or NULL). all: whatever their segments' mode says. */
int backlog_list(Backlog *backlog, int directory_fd, const uint8_t *except, bool all) _must_check_;

/* Visits in the unshipped segments of all spools but `except`: a segment holds as many as lie
 * before the next one of its spool; the number in a spool's last one is a guess from its size. 0:
 * there are none. *ret_oldest_usec: CLOCK_REALTIME of the first one's last write. */
uint64_t backlog_guess(const SegmentList *list, const uint8_t *except, uint64_t *ret_oldest_usec);

/* One step of the spool under way; segments of one that is at its end are marked as shipped.
 * STREAM_END: all that are wanted are shipped. */
int backlog_step(Backlog *backlog, StreamShared *shared, StreamMove *ret) _must_check_;

/* Sets the mode of the spool's segments: shipped are those wholly below position, or all that are
 * there when the spool has ended. */
int backlog_mark(int directory_fd, const uint8_t *id, uint64_t position, bool ended) _must_check_;

typedef struct BacklogKeep {
        uint64_t usec;       /* shipped segments are kept so long ... */
        uint64_t size;       /* ... within so many bytes */
        const uint8_t *live; /* the spool that is being written, or NULL */
} BacklogKeep;

/* Removes shipped segments that need not be kept, the oldest first, and, when no segment of a spool
 * is left, on disk, its position in the store. */
int backlog_sweep(int directory_fd, const BacklogKeep *keep, StreamShared *shared) _must_check_;
