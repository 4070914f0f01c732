/* SPDX-License-Identifier: MIT */

/*
 * Targets, see the header. `settle` moves the position on; everything else decides when.
 *
 * 2xx: taken. 429 and any Retry-After: when the target says. 400 and its kind: the message itself
 * is bad; its alerts are sent one by one, and one that is refused alone is given up. The rest, 401
 * and 404 of a webhook that was deleted among them: tried again, ever more slowly.
 */

#include "alertd/forward.h"

#include <errno.h>
#include <sys/random.h>

#include "alertd/message.h"
#include "basic/clock.h"
#include "sys/log.h"

#define DELAY_FIRST_USEC (1 * USEC_PER_SEC)
#define DELAY_MAX_USEC   (300 * USEC_PER_SEC)
#define AFTER_MAX_USEC   (3600 * USEC_PER_SEC)
#define ACCURACY_USEC    (10 * USEC_PER_MSEC)

#define MESSAGE_AWAY "8f0f5f0e7b7a4e0c9a52d31c3f3e6a01"
#define MESSAGE_BACK "1c8de4f2a9f84b4cb2bb0a4d76d6e902"
#define MESSAGE_LOST "5b3a90c1d2e34f7f8a9dd0c7a1e4f703"

uint64_t forward_delay(unsigned n_failures, uint64_t retry_after_usec, uint32_t chance) {
        uint64_t delay = DELAY_FIRST_USEC;

        if (retry_after_usec > 0) {
                retry_after_usec = MIN(retry_after_usec, AFTER_MAX_USEC);
                return retry_after_usec + (retry_after_usec / 10 * chance >> 32);
        }
        for (unsigned i = 1; i < n_failures && delay < DELAY_MAX_USEC; i++)
                delay *= 2;
        delay = MIN(delay, DELAY_MAX_USEC);
        return delay / 2 + (delay * chance >> 32);
}

uint64_t forward_pending(const Forward *forward) {
        return forward->context->queue->last_seq - forward->position.seq;
}

bool forward_busy(const Forward *forward) {
        return forward->state == FORWARD_SENDING || forward->state == FORWARD_RECORDING;
}

/* ---- progress ---- */

/* The page cache has it at once, so that a kill repeats nothing; the disk gets it by the keeper. */
static void record(Forward *forward) {
        int r = position_store(&forward->position);

        if (r < 0) {
                forward->n_position_errors++;
                log_error("%s: progress not kept, after a restart it may get alerts again: %s",
                          forward->target.name, strerror(-r));
        }
        forward->job.position = &forward->position;
        forward->state = FORWARD_RECORDING;
        forward->context->moved(forward->context->userdata);
        if (keeper_push(forward->context->keeper, &forward->job) < 0)
                forward_recorded(forward); /* as full as that, the next one will do */
}

void forward_recorded(Forward *forward) {
        if (forward->job.result < 0) {
                forward->n_position_errors++;
                log_error("%s: progress not synced: %s", forward->target.name,
                          strerror(-forward->job.result));
                forward->job.result = 0;
        }
        forward->state = FORWARD_IDLE;
        forward_go_on(forward);
}

static void lose(Forward *forward, uint64_t n, const char *why) {
        log_entry(LOG_ERR, MESSAGE_LOST, NULL, 0,
                  "%s: %ju alerts given up: %s; they are in the alerts log", forward->target.name,
                  (uintmax_t)n, why);
        forward->position.n_failed += n;
}

/* forward_drop() may have overtaken the message. */
static void settle(Forward *forward, bool taken, const char *why) {
        if (forward->message_seq > forward->position.seq) {
                forward->position.seq = forward->message_seq;
                if (taken)
                        forward->position.n_forwarded += forward->n_message;
                else
                        lose(forward, forward->n_message, why);
        }
        record(forward);
}

void forward_drop(Forward *forward, uint64_t seq) {
        if (forward->position.seq >= seq)
                return;
        lose(forward, seq - forward->position.seq, "the queue is longer than QueueSize=");
        forward->position.seq = seq;
        if (position_store(&forward->position) < 0)
                forward->n_position_errors++;
}

/* Whether something was too old. */
static bool drop_old(Forward *forward) {
        uint64_t now = clock_realtime_usec(), seq = forward->position.seq, n = 0;
        QueueAlert next;

        while (queue_next(forward->context->queue, seq, &next) &&
               next.received_usec + forward->context->give_up_usec < now) {
                seq = next.seq;
                n++;
        }
        if (n == 0)
                return false;
        lose(forward, n, "older than GiveUp=");
        forward->position.seq = seq;
        return true;
}

/* ---- sending ---- */

static void wait_for(Forward *forward, uint64_t retry_after_usec) {
        uint32_t chance = 0;

        (void)!getrandom(&chance, sizeof chance, 0);
        forward->state = FORWARD_WAITING;
        (void)sd_event_source_set_time_relative(
                        forward->timer,
                        forward_delay(forward->n_failures, retry_after_usec, chance));
        (void)sd_event_source_set_enabled(forward->timer, SD_EVENT_ONESHOT);
}

static void fail_attempt(Forward *forward, const TransferResult *result) {
        char status[32];
        const char *why = result->error;

        if (result->status > 0) {
                (void)snprintf(status, sizeof status, "HTTP status %d", result->status);
                why = status;
        }
        forward->n_failed_attempts++;
        if (forward->n_failures++ == 0)
                log_entry(LOG_WARNING, MESSAGE_AWAY, NULL, 0,
                          "%s: not taken: %s; tried again, %ju alerts wait", forward->target.name,
                          why, (uintmax_t)forward_pending(forward));
        else
                log_debug("%s: not taken: %s", forward->target.name, why);
        if (drop_old(forward))
                record(forward);
        else
                wait_for(forward, result->retry_after_usec);
}

static void refused(Forward *forward, const TransferResult *result) {
        char why[64];

        forward->n_failed_attempts++;
        if (forward->n_message > 1) {
                log_warning("%s: a message was refused with HTTP status %d; its alerts one by one",
                            forward->target.name, result->status);
                forward->n_most = 1;
                forward->state = FORWARD_IDLE;
                forward_go_on(forward);
                return;
        }
        (void)snprintf(why, sizeof why, "refused with HTTP status %d", result->status);
        settle(forward, false, why);
}

static bool is_refusal(const TransferResult *result) {
        return result->retry_after_usec == 0 && (result->status == 400 || result->status == 413 ||
                                                 result->status == 415 || result->status == 422);
}

static void on_done(void *userdata, const TransferResult *result) {
        Forward *forward = userdata;

        if (is_refusal(result)) {
                refused(forward, result);
                return;
        }
        if (result->status < 200 || result->status > 299) {
                fail_attempt(forward, result);
                return;
        }
        if (forward->n_failures > 0)
                log_entry(LOG_NOTICE, MESSAGE_BACK, NULL, 0, "%s: takes alerts again",
                          forward->target.name);
        forward->n_failures = 0;
        forward->n_most = SIZE_MAX;
        settle(forward, true, NULL);
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Forward *forward = userdata;

        if (forward->state != FORWARD_WAITING)
                return 0;
        forward->state = FORWARD_IDLE;
        forward_go_on(forward);
        return 0;
}

static size_t make_message(Forward *forward) {
        const ForwardContext *context = forward->context;

        if (forward->target.kind == TARGET_DISCORD)
                return discord_message(context->queue, forward->position.seq, forward->n_most,
                                       context->grafana_url, &forward->message,
                                       &forward->message_seq);
        return webhook_message(context->queue, forward->position.seq, forward->n_most,
                               &forward->message, &forward->message_seq);
}

void forward_go_on(Forward *forward) {
        static const TransferResult no_memory = {.error = "out of memory"};

        if (forward->state != FORWARD_IDLE || forward->context->draining ||
            forward_pending(forward) == 0)
                return;
        /* What became old while we were stopped; later only what a try has failed for, so that a
         * clock which is set right loses nothing. */
        if (forward->n_attempts == 0 && drop_old(forward)) {
                record(forward);
                return;
        }
        forward->n_message = make_message(forward);
        if (forward->n_message == 0 && !forward->message.failed) {
                /* Only numbers of a damaged journal are left: nothing to send is behind them. */
                forward->position.seq = forward->context->queue->last_seq;
                return;
        }
        forward->n_attempts++;
        forward->state = FORWARD_SENDING;
        if (forward->n_message == 0 ||
            transfer_post(forward->transfer, buffer_slice(&forward->message)) < 0)
                fail_attempt(forward, &no_memory);
}

/* ---- life ---- */

int forward_init(Forward *forward, const ForwardContext *context, Target *target, int folder) {
        uint64_t last = context->queue->last_seq;
        int r;

        *forward = (Forward){
                        .context = context,
                        .target = *target,
                        .position.fd = -1,
                        .n_most = SIZE_MAX,
                        .job = {.kind = KEEP_POSITION, .owner = forward},
        };
        *target = (Target){0};
        r = position_open(folder, forward->target.name, last, &forward->position);
        if (r >= 0 && forward->position.seq > last) {
                log_warning("%s: its progress is ahead of the queue, which was emptied",
                            forward->target.name);
                forward->position.seq = last;
        }
        if (r >= 0)
                r = transfer_new(context->transfers, forward->target.url, context->timeout_usec,
                                 on_done, forward, &forward->transfer);
        if (r >= 0)
                r = sd_event_add_time_relative(context->event, &forward->timer, CLOCK_MONOTONIC, 0,
                                               ACCURACY_USEC, on_timer, forward);
        if (r >= 0)
                r = sd_event_source_set_enabled(forward->timer, SD_EVENT_OFF);
        return r;
}

void forward_done(Forward *forward) {
        forward->transfer = transfer_free(forward->transfer);
        forward->timer = sd_event_source_disable_unref(forward->timer);
        position_close(&forward->position);
        buffer_done(&forward->message);
        target_done(&forward->target);
}
