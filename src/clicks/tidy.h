/* SPDX-License-Identifier: MIT */
#pragma once

/* What has to be done in the store from time to time, by one of all processes: partitions of
 * visits, what is too old to be kept, and keys of requests whose time is over. Private to clicks/.
 */

#include "store/store.h"

typedef struct Tidy {
        bool events;               /* partitions of visits are kept in order */
        uint64_t keep_events_usec; /* visits older than that are dropped; 0: never */
        uint64_t keep_audit_usec;  /* rows of the audit older than that are dropped; 0: never */
        uint64_t events_due_usec;  /* CLOCK_MONOTONIC; 0: at once */
        uint64_t audit_due_usec;
        uint64_t keys_due_usec;
} Tidy;

/* A step of each that is due. Sets the session's deadline. What fails is done the next time. */
void tidy_run(Tidy *tidy, StoreSession *session, uint64_t now_usec);
