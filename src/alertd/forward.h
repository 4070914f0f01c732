/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One target: its alerts in order, one message at a time, tried again until it is taken or too old.
 * The next message goes out when the disk has the progress of the last one: what a crash can make
 * the target get twice is at most the one message that was under way. Loop thread.
 */

#include "alertd/keeper.h"
#include "alertd/queue.h"
#include "alertd/target.h"
#include "alertd/transfer.h"

typedef enum ForwardState {
        FORWARD_IDLE,
        FORWARD_SENDING,
        FORWARD_RECORDING, /* progress is on its way to the disk */
        FORWARD_WAITING,   /* until its timer; then again */
} ForwardState;

/* What all targets have in common. */
typedef struct ForwardContext {
        sd_event *event;
        Transfers *transfers;
        Queue *queue;
        Keeper *keeper;
        const char *grafana_url; /* "": none */
        uint64_t timeout_usec;
        uint64_t give_up_usec;
        bool draining; /* nothing new is sent */
        /* A target has moved on: what all have done with may go. */
        void (*moved)(void *userdata);
        void *userdata;
} ForwardContext;

typedef struct Forward {
        const ForwardContext *context;
        Target target;
        Position position;
        Transfer *transfer;
        sd_event_source *timer;
        ForwardState state;
        Buffer message;
        size_t n_message;     /* alerts in it */
        uint64_t message_seq; /* the last of them */
        size_t n_most;        /* alerts in the next message: 1 after a refusal */
        unsigned n_failures;  /* in a row */
        uint64_t n_attempts, n_failed_attempts;
        uint64_t n_position_errors;
        KeepJob job; /* of FORWARD_RECORDING */
} Forward;

/* Takes the target. Its position file is in the folder; a new one begins behind the queue's last
 * alert. */
int forward_init(Forward *forward, const ForwardContext *context, Target *target,
                 int folder) _must_check_;
void forward_done(Forward *forward);

/* Sends if there is something to send and nothing under way. */
void forward_go_on(Forward *forward);
/* forward->job is back from the keeper. */
void forward_recorded(Forward *forward);
/* Alerts up to seq are no longer to be sent, because the queue is too long. */
void forward_drop(Forward *forward, uint64_t seq);

uint64_t forward_pending(const Forward *forward);
/* A message is under way, or its progress. */
bool forward_busy(const Forward *forward);

/* usec until the next try after n failures in a row; pure but for chance, a value below 2^32. */
uint64_t forward_delay(unsigned n_failures, uint64_t retry_after_usec, uint32_t chance);
