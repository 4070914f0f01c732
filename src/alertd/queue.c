/* SPDX-License-Identifier: MIT */

#include "alertd/queue.h"

void queue_init(Queue *queue) {
        *queue = (Queue){0};
        list_init(&queue->batches);
}

static AlertBatch *first(const Queue *queue) {
        ListNode *node = list_first(&queue->batches);

        return node ? LIST_ENTRY(node, AlertBatch, node) : NULL;
}

static void drop_first(Queue *queue) {
        AlertBatch *batch = first(queue);

        list_remove(&batch->node);
        queue->n_bytes -= batch->size;
        (void)alert_batch_free(batch);
}

void queue_done(Queue *queue) {
        while (first(queue))
                drop_first(queue);
}

void queue_add(Queue *queue, AlertBatch *batch) {
        list_append(&queue->batches, &batch->node);
        queue->n_bytes += batch->size;
        queue->last_seq = MAX(queue->last_seq, alert_batch_last(batch));
}

bool queue_next(const Queue *queue, uint64_t seq, QueueAlert *ret) {
        LIST_FOREACH(node, &queue->batches) {
                const AlertBatch *batch = LIST_ENTRY(node, AlertBatch, node);
                uint64_t next;

                if (alert_batch_last(batch) <= seq)
                        continue;
                next = MAX(seq + 1, batch->first_seq);
                *ret = (QueueAlert){
                                .seq = next,
                                .received_usec = batch->received_usec,
                                .text = batch->texts[next - batch->first_seq],
                };
                return true;
        }
        return false;
}

void queue_pass(Queue *queue, uint64_t seq) {
        while (first(queue) && alert_batch_last(first(queue)) <= seq)
                drop_first(queue);
}

uint64_t queue_oldest_end(const Queue *queue) {
        const AlertBatch *batch = first(queue);

        return batch ? alert_batch_last(batch) : 0;
}
