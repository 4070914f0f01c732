/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The files of a spool folder: names, the list of segments, locks, making one, and what is tidied
 * when a folder is taken over. There is no index: the list is the directory.
 *
 *   <uuid>.<first-seq, 20 digits>.seg  records; mode 0400 once all of them are in the store (a hint
 *                                      for MaxSize and retention, never for what to ship)
 *   <uuid>.next, <uuid>.own            allocated, not in use yet
 *   <uuid>.bad                         records that the store refused
 *   lock, ship.lock                    of the process that writes here; of the one that ships
 *
 * A spool's id is a version 7 UUID: names sort by the time of the spool's start.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "basic/check.h"

#define SPOOL_ID_SIZE      16u
#define SPOOL_ID_TEXT_SIZE 37u /* with its NUL */
#define SEGMENT_NAME_SIZE  64u /* of every file in the folder */

#define SEGMENT_LOCK_OWNER   "lock"
#define SEGMENT_LOCK_SHIPPER "ship.lock"

typedef struct Segment {
        uint8_t id[SPOOL_ID_SIZE];
        uint64_t first_seq;
        uint64_t size;         /* bytes */
        uint64_t written_usec; /* CLOCK_REALTIME: mtime */
        uint64_t changed_usec; /* CLOCK_REALTIME: ctime; of a shipped one: when it became that */
        bool shipped;
        char name[SEGMENT_NAME_SIZE];
} Segment;

typedef struct SegmentList {
        Segment *items; /* by id, then first_seq */
        size_t n;
} SegmentList;

void segment_list_done(SegmentList *list);

void segment_id_new(uint8_t ret[SPOOL_ID_SIZE]);
void segment_id_format(const uint8_t id[SPOOL_ID_SIZE], char ret[SPOOL_ID_TEXT_SIZE]);
void segment_name(const uint8_t id[SPOOL_ID_SIZE], uint64_t first_seq, char ret[SEGMENT_NAME_SIZE]);
/* <uuid>.<suffix> */
void segment_side_name(const uint8_t id[SPOOL_ID_SIZE], const char *suffix,
                       char ret[SEGMENT_NAME_SIZE]);

/* Descriptor of the folder; make: it is made (0700) if it is missing. */
int segment_folder_open(const char *path, bool make) _must_check_;
/* A descriptor that holds the lock; -EADDRINUSE: another process has it. */
int segment_folder_lock(int directory_fd, const char *name) _must_check_;

/* 1: a spool was begun in the folder: it has a file of one, or a shipper's lock; 0: none was. */
int segment_folder_known(int directory_fd) _must_check_;

/* Segments of one spool (id) or of all (NULL). Other files are ignored. */
int segment_list(int directory_fd, const uint8_t *id, SegmentList *ret) _must_check_;
/* Bytes of segments that are not shipped. */
int segment_unshipped(int directory_fd, uint64_t *ret) _must_check_;

/* After a crash: gives allocated files of old spools their name if they hold records, removes them
 * otherwise, and cuts the unused ends off old segments. The owner's lock is held. */
int segment_folder_settle(int directory_fd) _must_check_;

/* A new file of size bytes, allocated. durable: it and the directory are synced too. The
 * descriptor; on failure no file is left. */
int segment_make(int directory_fd, const char *name, uint64_t size, bool durable) _must_check_;
