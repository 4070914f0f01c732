/* SPDX-License-Identifier: MIT */
#pragma once

/* What job.c and lookups.c share about a request on its way through the daemon. Loop thread. */

#include "daemon/manager.h"

#define DEADLINE_POLL_USEC (20 * USEC_PER_MSEC)

typedef struct Job {
        Manager *manager;
        HttpExchange *exchange;
        HttpMatch match;
        ListNode node;          /* in manager->jobs, imports, waiting or parked */
        uint64_t deadline_usec; /* CLOCK_MONOTONIC */
        uint64_t sent_usec;     /* likewise, to the pool */
        uint64_t visits_until_usec;
        HostVisits visits;
        uint32_t place;      /* of its client's lookups, see front_lookup_place() */
        bool abandoned;      /* answered when its time was over; the thread is not back yet */
        CallContext context; /* as it was when the call was sent: a reload changes the manager's */
        Call call;
        Lookup lookup;
} Job;

/* Lists a job that a thread has, by its deadline; and takes it off, since it is back. */
void job_out(Job *job);
void job_back(Job *job);
/* The timer runs out in so long, if not before. */
void job_arm(sd_event_source *source, uint64_t usec);

/* lookups.c: a redirect that the quick path did not answer. */
void job_begin_lookup(Job *job);
