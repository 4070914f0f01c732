/* SPDX-License-Identifier: MIT */
#pragma once

/* The bracket around each verb: see verb.c. For the files beside it alone. */

#include "store/ops.h"

/* 0: the driver may be called; else the verb's result. */
int store_verb_begin(StoreSession *session) _must_check_;
/* What the breaker learns from a verb's result. Any thread. */
void store_note(Store *store, int result);
/* Around store->cause and store->unfit; for the time of a copy. */
void store_lock_cause(Store *store);
void store_unlock_cause(Store *store);
/* Has it no connection because others of this process have them all? */
bool store_session_is_crowded(const StoreSession *session);
/* The verb's result, which was the driver's. */
int store_verb_end(StoreSession *session, int result);

#define VERB(session, call)                                              \
 __extension__({                                                         \
int _result = store_verb_begin(session);                                      \
_result < 0 ? _result : store_verb_end(session, (session)->store->ops->call); \
 })
