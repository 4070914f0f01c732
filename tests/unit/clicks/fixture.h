/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of clicks/ share: a folder of its own per test, visits whose link id tells their
 * number, a helper thread, reading a spool back, and system calls that fail on demand. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clicks/io.h"
#include "clicks/reader.h"
#include "clicks/spool.h"

#define MIB (1024u * 1024)

typedef struct Folder {
        char path[64];
        int fd;
} Folder;

/* Where folders are made: in memory if possible, for nothing here pulls the plug and syncing takes
 * most of the time. Absolute. */
const char *folder_base(void);

/* CMocka's setup and teardown: *state is a Folder. */
int folder_setup(void **state);
int folder_teardown(void **state);

/* The name of the i-th segment in the folder, by name; -1 counts from the end. Static memory. */
const char *folder_segment(const Folder *folder, int i);
unsigned folder_count(const Folder *folder, const char *suffix);
/* The whole file; free() it. */
uint8_t *file_read(const Folder *folder, const char *name, size_t *ret_len);
void file_patch(const Folder *folder, const char *name, size_t at, const void *data, size_t len);
void file_write(const Folder *folder, const char *name, const void *data, size_t len);

SpoolOptions spool_options(const Folder *folder);
Spool *spool_start(const SpoolOptions *options);

/* A visit of link `link`, with a browser's agent. */
Click click_of(int64_t link);
/* Adds and flushes n visits whose links are first, first + 1, ...; must succeed. */
void spool_visits(Spool *spool, int64_t first, unsigned n);

/* The helper on a thread; ended by helper_end(). */
typedef struct Helper Helper;
Helper *helper_begin(Spool *spool);
void helper_end(Helper *helper);
/* Waits until the condition holds, 10 s at most; fails the test after that. */
#define wait_for(condition)                                                   \
 do {                                                                         \
  uint64_t _end = clock_monotonic_usec() + 10 * USEC_PER_SEC;                 \
  while (!(condition)) {                                                      \
   if (clock_monotonic_usec() > _end)                                         \
    fail_msg("%s:%d: waited in vain for %s", __FILE__, __LINE__, #condition); \
   (void)poll(NULL, 0, 1);                                                    \
  }                                                                           \
 } while (0)

/* What a spool holds. */
typedef struct Content {
        uint64_t visits, shed, damaged;
        uint64_t next_seq;
        int64_t *links; /* links[seq]: 0: none; of seq below n_links */
        size_t n_links;
} Content;

/* Reads from seq 1 to its end; checks that items follow each other without gap or overlap. */
void content_read(const Folder *folder, const uint8_t id[SPOOL_ID_SIZE], const Spool *live,
                  Content *ret);
void content_done(Content *content);

/* From the n-th call (1 is the next) of any function in clicks_io on, count calls fail with error
 * (a pwrite with error 0: is short). */
void io_fail(unsigned n, unsigned count, int error);
/* Calls since io_fail(). */
unsigned io_calls(void);
void io_restore(void);
