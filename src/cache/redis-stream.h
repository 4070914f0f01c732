/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A stream in Redis, where hosts tell each other something that is of interest for a moment only.
 * What nobody has written to for a minute is gone, and it keeps about STREAM_ENTRIES entries.
 */

#include "cache/redis.h"

#define REDIS_STREAM_ENTRIES 512u
#define REDIS_STREAM_READ    16u          /* entries of one redis_stream_read() */
#define REDIS_STREAM_SILENT  50u          /* see redis_stream_read() */
#define REDIS_STREAM_MAX     (64u * 1024) /* bytes of an entry; larger ones are not written */

/* How far a reader is. Zero: nowhere yet. */
typedef struct RedisCursor {
        char id[48];
        unsigned n_silent; /* reads in a row that found nothing */
} RedisCursor;

/* Appends an entry; it does not wait, and nobody hears whether it worked. */
void redis_stream_write(Redis *redis, const char *name, Slice value);

/* Hands the entries behind the cursor to each(), oldest first, and moves it. The first time it only
 * looks where the end is. A stream that was lost and began anew by a clock that is behind is read
 * from its begin, after REDIS_STREAM_SILENT reads without an entry. How many there were;
 * REDIS_STREAM_READ: there may be more; -EHOSTDOWN. */
int redis_stream_read(Redis *redis, const char *name, RedisCursor *cursor,
                      void (*each)(void *userdata, Slice value), void *userdata) _must_check_;
