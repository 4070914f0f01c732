/* SPDX-License-Identifier: MIT */
#pragma once

/* Each verb once, in a form that may be repeated on the same store: what the fault tests drive. */

#include "unit/store/support.h"

typedef struct Operation {
        const char *name;
        int (*run)(StoreSession *session, Arena *arena); /* the verb's result */
} Operation;

extern const Operation operations[];
extern const size_t n_operations;

/* Rows that the operations work on; an empty store is expected. */
void make_base(StoreSession *session, Arena *arena);

/* Nothing drifts, the proof of the spool holds, and each change has its row of the audit. The
 * breaker is closed first. */
void assert_sound(Store *store, const char *what);
