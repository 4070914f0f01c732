/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One spool on its way into the store: reader, batch, position. The position is the store's; what
 * is kept here is only what it answered last. One thread. Private to clicks/.
 */

#include <stdatomic.h>

#include "basic/arena.h"
#include "clicks/reader.h"
#include "store/store.h"

#define STREAM_BATCH_MAX   10000u /* rows offered to the store at once */
#define STREAM_REFUSED_MAX 100u   /* in a row: then something is wrong that no waiting mends */

/* What the streams of one shipper share. */
typedef struct StreamShared {
        StoreSession *session;
        HostPage *page;       /* or NULL: nobody else ships */
        uint64_t end_usec;    /* CLOCK_MONOTONIC: no verb goes on behind it; 0: none */
        unsigned n_refused;   /* rows refused in a row */
        bool asked_store;     /* the last step's last word was the store's */
        atomic_bool in_store; /* for the watchdog: inside a verb of the store */
} StreamShared;

typedef struct Stream {
        uint8_t id[SPOOL_ID_SIZE];
        int directory_fd; /* borrowed */
        const Spool *live;
        Reader *reader;
        uint64_t position; /* next number to ship; 0: the store was not asked yet */
        Arena arena;       /* of the batch */
        StoreClick *clicks;
        size_t n_clicks;
        size_t n_sent;        /* of these, in the store */
        size_t limit;         /* rows offered at once; falls when the store refuses */
        ReaderItem gap;       /* behind the clicks: shed or damaged; n 0: none */
        uint64_t oldest_usec; /* time of the batch's first visit; 0: no batch */
} Stream;

/* What one step did. */
typedef struct StreamMove {
        uint64_t n; /* numbers the position moved by, forwards */
        uint64_t rows, shed, bad, damaged;
        bool backwards; /* the store knows less than it did: restored from a backup */
} StreamMove;

enum {
        STREAM_END = 0,   /* nothing left, of a live spool: now */
        STREAM_MOVED = 1, /* call again */
        STREAM_BUSY = 2,  /* another process ships at this moment */
};

/* A live spool's position is 1 until the store contradicts: its id is new. */
void stream_init(Stream *stream, int directory_fd, const uint8_t id[SPOOL_ID_SIZE],
                 const Spool *live);
void stream_done(Stream *stream);

/* The next number that the store wants of a spool. */
int stream_ask_position(const uint8_t id[SPOOL_ID_SIZE], StreamShared *shared,
                        uint64_t *ret) _must_check_;

/* Asks how far the store is, of a stream that has nothing to ship and so would not hear. When that
 * is less than it said, ret->backwards is set, and the next step begins there. */
int stream_look_back(Stream *stream, StreamShared *shared, StreamMove *ret) _must_check_;

/* One transaction at most. STREAM_..., the store's or the folder's negative result (then what is
 * not known to be done stays, and the next step tries it again), or -ENOTRECOVERABLE: too many rows
 * refused in a row. */
int stream_step(Stream *stream, StreamShared *shared, StreamMove *ret) _must_check_;
