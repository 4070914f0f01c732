/* SPDX-License-Identifier: MIT */
#pragma once

/* The batches that some target has not done with, in memory. Loop thread. */

#include "alertd/journal.h"

typedef struct Queue {
        ListNode batches;
        uint64_t last_seq; /* of the newest alert ever: they are counted from 1 */
        size_t n_bytes;    /* of texts */
} Queue;

/* One alert of the queue. */
typedef struct QueueAlert {
        uint64_t seq;
        uint64_t received_usec;
        Slice text; /* JSON, the queue's */
} QueueAlert;

void queue_init(Queue *queue);
void queue_done(Queue *queue);
/* Takes the batch over. */
void queue_add(Queue *queue, AlertBatch *batch);
/* The first alert behind seq; false: none. */
bool queue_next(const Queue *queue, uint64_t seq, QueueAlert *ret);
/* Forgets batches whose alerts are all at most seq. */
void queue_pass(Queue *queue, uint64_t seq);
/* The last alert of the oldest batch; 0: there is none. */
uint64_t queue_oldest_end(const Queue *queue);
