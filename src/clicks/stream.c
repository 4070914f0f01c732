/* SPDX-License-Identifier: MIT */
/*
 * Batches of one spool. A batch is either visits with consecutive numbers, or one run of numbers
 * that have no visit (shed, damaged, bad): so that a store which stops in the middle always knows
 * what lies before that place. What the store did not take of a batch is offered again without
 * being read again.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "clicks/io.h"
#include "clicks/stream.h"
#include "model/details.h"

#define FIRST_SEQ     1u
#define STEP_DEADLINE (2 * USEC_PER_SEC) /* for one transaction */
#define BATCH_BYTES   (4u * 1024 * 1024) /* of details, about */
#define DAY_SEC       86400
#define YEAR_2000_SEC 946684800 /* 2000-01-01T00:00:00Z */

/* ---- the batch ---- */

/* Forgets the batch; it is read again from the position. */
static void rewind_to(Stream *stream, uint64_t position) {
        stream->reader = reader_free(stream->reader);
        stream->position = position;
        stream->n_clicks = stream->n_sent = 0;
        stream->gap.n = 0;
        stream->oldest_usec = 0;
}

/* The stored time of a visit whose clock was far from now; order comes from its number. */
static int64_t stored_time(uint64_t time_usec, int64_t now_sec) {
        int64_t sec = (int64_t)(time_usec / USEC_PER_SEC);

        if (sec < YEAR_2000_SEC)
                return YEAR_2000_SEC;
        return MIN(sec, now_sec + DAY_SEC);
}

static int add_click(Stream *stream, const ReaderItem *item, int64_t now_sec) {
        StoreClick *click = &stream->clicks[stream->n_clicks];
        const Click *visit = &item->click;

        *click = (StoreClick){
                        .seq = item->seq,
                        .url_id = visit->link_id,
                        .time_sec = stored_time(visit->time_usec, now_sec),
                        .details = details_redirect(&stream->arena, visit->remote,
                                                    visit->user_agent, visit->referrer),
                        .request_id = arena_dup(&stream->arena, visit->request_id),
        };
        if (stream->arena.overflow)
                return -ENOMEM;
        if (stream->n_clicks == 0)
                stream->oldest_usec = visit->time_usec;
        stream->n_clicks++;
        return 0;
}

static int fill(Stream *stream) {
        int64_t now_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
        ReaderItem item;
        int r;

        arena_reset(&stream->arena);
        stream->n_clicks = stream->n_sent = 0;
        stream->oldest_usec = 0;
        while (stream->n_clicks < STREAM_BATCH_MAX && stream->arena.n_bytes < BATCH_BYTES) {
                r = reader_next(stream->reader, &item);
                if (r <= 0)
                        return r;
                if (item.kind != READER_VISIT) {
                        stream->gap = item;
                        return 0;
                }
                r = add_click(stream, &item, now_sec);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool has_batch(const Stream *stream) {
        return stream->n_sent < stream->n_clicks || stream->gap.n > 0;
}

/* ---- the store ---- */

static uint64_t step_deadline(const StreamShared *shared) {
        uint64_t deadline = clock_monotonic_usec() + STEP_DEADLINE;

        return shared->end_usec > 0 ? MIN(deadline, shared->end_usec) : deadline;
}

int stream_ask_position(const uint8_t id[SPOOL_ID_SIZE], StreamShared *shared, uint64_t *ret) {
        StoreOffset offset;
        int r;

        store_session_deadline(shared->session, step_deadline(shared));
        atomic_store(&shared->in_store, true);
        r = store_offset_get(shared->session, id, &offset);
        atomic_store(&shared->in_store, false);
        shared->asked_store = true;
        if (r < 0)
                return r;
        *ret = r == STORE_NOT_FOUND ? FIRST_SEQ : offset.next_seq;
        return 0;
}

static int append(Stream *stream, StreamShared *shared, StoreBatch *batch, uint64_t *ret_next) {
        int r;

        memcpy(batch->spool, stream->id, SPOOL_ID_SIZE);
        batch->first_seq = FIRST_SEQ;
        batch->from_seq = stream->position;
        batch->upto_seq = stream->position + batch->n_clicks + batch->shed + batch->bad +
                          batch->damaged;
        store_session_deadline(shared->session, step_deadline(shared));
        atomic_store(&shared->in_store, true);
        r = store_clicks_append(shared->session, batch, ret_next);
        atomic_store(&shared->in_store, false);
        shared->asked_store = true;
        return r;
}

/* ---- refused rows ---- */

/* The record as it lies in the spool goes behind those that are in <uuid>.bad. */
static int keep_bad(const Stream *stream, const ReaderItem *item) {
        char name[SEGMENT_NAME_SIZE];
        struct stat st;
        ssize_t n;
        int fd, r = 0;

        segment_side_name(stream->id, "bad", name);
        fd = clicks_io.open(stream->directory_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                            0600);
        if (fd < 0)
                return -errno;
        n = fstat(fd, &st) < 0 ? -1 : clicks_io.pwrite(fd, item->raw, item->raw_len, st.st_size);
        if (n < 0 || clicks_io.sync_data(fd) < 0 ||
            (st.st_size == 0 && clicks_io.sync(stream->directory_fd) < 0))
                r = -errno;
        else if ((size_t)n != item->raw_len)
                r = -ENOSPC;
        (void)close(fd);
        return r;
}

/* The row at the position was refused alone. On disk before the position moves past it. */
static int set_aside(Stream *stream, StreamShared *shared, uint64_t *ret_next) {
        _cleanup_(reader_free_p) Reader *reader = NULL;
        StoreBatch batch = {.bad = 1};
        ReaderItem item;
        int r;

        if (shared->n_refused + 1 >= STREAM_REFUSED_MAX)
                return -ENOTRECOVERABLE;
        r = reader_open(stream->directory_fd, stream->id, stream->position, stream->live, &reader);
        if (r < 0)
                return r;
        r = reader_next(reader, &item);
        if (r < 0)
                return r;
        if (r == 0 || item.kind != READER_VISIT) {
                rewind_to(stream, stream->position); /* it is not there any more: see what is */
                return -EAGAIN;
        }
        r = keep_bad(stream, &item);
        if (r < 0)
                return r;
        r = append(stream, shared, &batch, ret_next);
        if (r == 0)
                shared->n_refused++;
        return r;
}

/* ---- public ---- */

void stream_init(Stream *stream, int directory_fd, const uint8_t id[SPOOL_ID_SIZE],
                 const Spool *live) {
        *stream = (Stream){
                        .directory_fd = directory_fd,
                        .live = live,
                        .position = live ? FIRST_SEQ : 0,
                        .limit = STREAM_BATCH_MAX,
        };
        memcpy(stream->id, id, SPOOL_ID_SIZE);
        arena_init(&stream->arena, 0);
}

void stream_done(Stream *stream) {
        stream->reader = reader_free(stream->reader);
        free(stream->clicks);
        stream->clicks = NULL;
        arena_done(&stream->arena);
}

static int prepare(Stream *stream, StreamShared *shared) {
        int r;

        if (stream->position == 0) {
                r = stream_ask_position(stream->id, shared, &stream->position);
                if (r < 0)
                        return r;
        }
        if (!stream->clicks) {
                stream->clicks = malloc(STREAM_BATCH_MAX * sizeof(*stream->clicks));
                if (!stream->clicks)
                        return -ENOMEM;
        }
        if (!stream->reader) {
                r = reader_open(stream->directory_fd, stream->id, stream->position, stream->live,
                                &stream->reader);
                if (r < 0)
                        return r;
        }
        if (has_batch(stream))
                return 0;
        r = fill(stream);
        if (r < 0)
                rewind_to(stream, stream->position);
        return r;
}

/* The store took what lies below next. */
static void advance(Stream *stream, StreamShared *shared, const StoreBatch *batch, uint64_t next,
                    StreamMove *ret) {
        ret->n = next - stream->position;
        stream->position = next;
        if (batch->n_clicks > 0) {
                stream->n_sent += ret->n;
                stream->limit = MIN(stream->limit * 2, (size_t)STREAM_BATCH_MAX);
                shared->n_refused = 0;
                ret->rows = ret->n;
        } else if (batch->bad > 0) {
                stream->n_sent++;
                ret->bad = 1;
        } else {
                stream->gap.n = 0;
                ret->shed = batch->shed;
                ret->damaged = batch->damaged;
        }
        if (!has_batch(stream))
                stream->oldest_usec = 0;
}

static StoreBatch next_batch(const Stream *stream) {
        size_t n = MIN(stream->n_clicks - stream->n_sent, stream->limit);

        if (n > 0)
                return (StoreBatch){.clicks = stream->clicks + stream->n_sent, .n_clicks = n};
        if (stream->gap.kind == READER_SHED)
                return (StoreBatch){.shed = stream->gap.n};
        return (StoreBatch){.damaged = stream->gap.n};
}

int stream_look_back(Stream *stream, StreamShared *shared, StreamMove *ret) {
        uint64_t position;
        int r;

        *ret = (StreamMove){0};
        r = stream_ask_position(stream->id, shared, &position);
        if (r < 0 || position >= stream->position)
                return r;
        ret->backwards = true;
        rewind_to(stream, position);
        return 0;
}

int stream_step(Stream *stream, StreamShared *shared, StreamMove *ret) {
        uint64_t next = 0;
        StoreBatch batch;
        int r;

        *ret = (StreamMove){0};
        r = prepare(stream, shared);
        if (r < 0)
                return r;
        if (!has_batch(stream))
                return STREAM_END;
        batch = next_batch(stream);
        r = append(stream, shared, &batch, &next);
        if (r == STORE_REFUSED && batch.n_clicks > 1) {
                stream->limit = batch.n_clicks / 2;
                return STREAM_MOVED;
        }
        if (r == STORE_REFUSED && batch.n_clicks == 1) {
                batch = (StoreBatch){.bad = 1};
                r = set_aside(stream, shared, &next);
        }
        if (r == -EAGAIN)
                return STREAM_BUSY;
        if (r < 0)
                return r;
        if (r == STORE_CONFLICT_POSITION && next != stream->position) {
                ret->backwards = next < stream->position;
                ret->n = ret->backwards ? 0 : next - stream->position;
                rewind_to(stream, next);
                return STREAM_MOVED;
        }
        if (r != 0 || next <= stream->position)
                return -EBADMSG; /* not what the store promises */
        advance(stream, shared, &batch, next, ret);
        return STREAM_MOVED;
}
