/* SPDX-License-Identifier: MIT */

/*
 * The keeper, see the header. The order of what it writes is evidence, line, journal: the journal
 * is the promise that an alert will be forwarded, and it is given last. If anything fails, what the
 * job has written so far is taken back, and the client is told 503 and will send it again.
 */

#include "alertd/keeper.h"

#include <errno.h>
#include <stdlib.h>

#include "alertd/stamp.h"

#define JOBS_MAX  1024u
#define GROUP_MAX 64u

struct Keeper {
        KeeperParts parts;
        Inbox *jobs;
        Outbox *done;
        atomic_uint_fast64_t passed_seq;
};

int keeper_new(const KeeperParts *parts, Outbox *done, Keeper **ret) {
        _cleanup_(keeper_free_p) Keeper *keeper = calloc(1, sizeof *keeper);
        int r;

        if (!keeper) {
                (void)alert_log_free(parts->log);
                (void)evidence_free(parts->evidence);
                (void)journal_free(parts->journal);
                return -ENOMEM;
        }
        keeper->parts = *parts;
        keeper->done = done;
        r = inbox_new(JOBS_MAX, &keeper->jobs);
        if (r >= 0)
                *ret = TAKE_PTR(keeper);
        return r;
}

Keeper *keeper_free(Keeper *keeper) {
        if (keeper) {
                (void)inbox_free(keeper->jobs);
                (void)alert_log_free(keeper->parts.log);
                (void)evidence_free(keeper->parts.evidence);
                (void)journal_free(keeper->parts.journal);
        }
        free(keeper);
        return NULL;
}

void keeper_stop(Keeper *keeper) {
        inbox_close(keeper->jobs);
}

int keeper_push(Keeper *keeper, KeepJob *job) {
        return inbox_push(keeper->jobs, &job->node);
}

void keeper_passed(Keeper *keeper, uint64_t seq) {
        atomic_store(&keeper->passed_seq, seq);
}

/* ---- one batch ---- */

static int make_batch(const Batch *from, const KeepJob *job, AlertBatch **ret) {
        _cleanup_(alert_batch_free_p) AlertBatch *batch = calloc(1, sizeof *batch);
        _cleanup_free_ uint32_t *lengths = calloc(from->n_alerts, sizeof *lengths);
        Buffer bytes = BUFFER_EMPTY;
        int r;

        if (!batch || !lengths)
                return -ENOMEM;
        for (size_t i = 0; i < from->n_alerts; i++) {
                size_t start = bytes.len;

                batch_append_json(from->alerts[i].alert, &bytes);
                lengths[i] = (uint32_t)(bytes.len - start);
        }
        *batch = (AlertBatch){
                        .received_usec = job->received_usec,
                        .body_hash = job->body_hash,
                        .body_size = job->body.len,
                        .n_alerts = (uint32_t)from->n_alerts,
                        .bytes = bytes.data,
                        .size = bytes.len,
        };
        if (bytes.failed)
                return -ENOMEM;
        r = alert_batch_slice(batch, lengths);
        if (r >= 0)
                *ret = TAKE_PTR(batch);
        return r;
}

static int append_line(Keeper *keeper, const Batch *batch, uint64_t received_usec) {
        char received[STAMP_SIZE];
        Buffer line = BUFFER_EMPTY;
        int r;

        stamp_iso(received_usec, received);
        batch_append_line(batch, received, &line);
        r = line.failed ? -ENOMEM : alert_log_append(keeper->parts.log, buffer_slice(&line));
        buffer_done(&line);
        return r;
}

/* Writes all of a parsed batch; job->what says which part failed. */
static int write_batch(Keeper *keeper, KeepJob *job, const Batch *batch) {
        off_t end = alert_log_end(keeper->parts.log);
        int r;

        job->what = "evidence";
        r = evidence_write(keeper->parts.evidence, batch, job->received_usec, &job->names);
        if (r < 0)
                return r;
        job->what = "alerts log";
        r = append_line(keeper, batch, job->received_usec);
        if (r >= 0 && batch->n_alerts > 0 && !job->repetition) {
                job->what = "queue";
                r = make_batch(batch, job, &job->batch);
                if (r >= 0)
                        r = journal_append(keeper->parts.journal, job->batch);
        }
        if (r < 0) {
                alert_log_cut(keeper->parts.log, end);
                evidence_remove(keeper->parts.evidence, &job->names);
                buffer_clear(&job->names);
                job->batch = alert_batch_free(job->batch);
        }
        return r;
}

static void keep_batch(Keeper *keeper, KeepJob *job) {
        Batch batch;

        job->what = "memory";
        job->result = batch_parse(job->body, &batch);
        if (job->result < 0)
                return;
        job->raw = batch.raw;
        job->result = write_batch(keeper, job, &batch);
        batch_done(&batch);
}

/* ---- a group ---- */

static int begin_group(Keeper *keeper, const char **ret_what) {
        int r;

        *ret_what = "alerts log";
        r = alert_log_follow(keeper->parts.log);
        if (r < 0)
                return r;
        *ret_what = "evidence";
        r = evidence_follow(keeper->parts.evidence);
        if (r < 0)
                return r;
        *ret_what = "queue";
        return journal_rotate(keeper->parts.journal);
}

static int sync_group(Keeper *keeper, const char **ret_what) {
        int r;

        *ret_what = "evidence";
        r = evidence_sync(keeper->parts.evidence);
        if (r < 0)
                return r;
        *ret_what = "alerts log";
        r = alert_log_sync(keeper->parts.log);
        if (r < 0)
                return r;
        *ret_what = "queue";
        return journal_sync(keeper->parts.journal);
}

static void fail_group(Keeper *keeper, ListNode *jobs, int r, const char *what) {
        LIST_FOREACH(node, jobs) {
                KeepJob *job = LIST_ENTRY(node, KeepJob, node);

                if (job->kind != KEEP_BATCH || job->result < 0)
                        continue;
                evidence_remove(keeper->parts.evidence, &job->names);
                job->batch = alert_batch_free(job->batch);
                job->result = r;
                job->what = what;
        }
}

static void keep_batches(Keeper *keeper, ListNode *jobs) {
        const char *what;
        JournalMark mark;
        size_t n_kept = 0;
        off_t end;
        int r = begin_group(keeper, &what);

        if (r < 0) {
                fail_group(keeper, jobs, r, what);
                return;
        }
        end = alert_log_end(keeper->parts.log);
        mark = journal_mark(keeper->parts.journal);
        LIST_FOREACH(node, jobs) {
                KeepJob *job = LIST_ENTRY(node, KeepJob, node);

                if (job->kind != KEEP_BATCH)
                        continue;
                keep_batch(keeper, job);
                n_kept += job->result >= 0;
        }
        r = n_kept > 0 ? sync_group(keeper, &what) : 0;
        if (r < 0) {
                fail_group(keeper, jobs, r, what);
                alert_log_cut(keeper->parts.log, end);
                journal_cut(keeper->parts.journal, mark);
        }
}

static void keep_others(Keeper *keeper, ListNode *jobs) {
        LIST_FOREACH(node, jobs) {
                KeepJob *job = LIST_ENTRY(node, KeepJob, node);

                if (job->kind == KEEP_POSITION)
                        job->result = position_sync(job->position);
                else if (job->kind == KEEP_REOPEN)
                        job->result = alert_log_reopen(keeper->parts.log);
        }
}

/* What the targets have done comes first: the less time passes between a 2xx and its record on the
 * disk, the less a power cut makes them send again. */
static void keep_group(Keeper *keeper, ListNode *jobs) {
        bool any = false;

        LIST_FOREACH(node, jobs)
                any |= LIST_ENTRY(node, KeepJob, node)->kind == KEEP_BATCH;
        keep_others(keeper, jobs);
        if (any)
                keep_batches(keeper, jobs);
        journal_trim(keeper->parts.journal, atomic_load(&keeper->passed_seq));
        while (!list_empty(jobs)) {
                KeepJob *job = LIST_ENTRY(list_first(jobs), KeepJob, node);

                list_remove(&job->node);
                buffer_done(&job->names);
                outbox_push(keeper->done, &job->node);
        }
}

void keeper_run(void *userdata) {
        Keeper *keeper = userdata;
        ListNode *node;

        while ((node = inbox_take(keeper->jobs, 0))) {
                ListNode group;
                size_t n = 1;

                list_init(&group);
                list_append(&group, node);
                while (n < GROUP_MAX && inbox_length(keeper->jobs) > 0) {
                        list_append(&group, inbox_take(keeper->jobs, 0));
                        n++;
                }
                keep_group(keeper, &group);
        }
}
