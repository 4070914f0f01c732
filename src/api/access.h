/* SPDX-License-Identifier: MIT */
#pragma once

/* Who may do what. A call has an actor once api_authenticate() let it through; handlers ask here.
 */

#include "work/call.h"

/* The request's token, by its looks. Of two Authorization fields, what stands in front of us may
 * have asked the other: neither is one. */
bool api_token(const HttpRequest *request, Slice *ret) _must_check_;

/* CallContext.authenticate where tokens are asked for. 0: go on; API_REFUSED: answered (401, 403);
 * negative: the store's. */
int api_authenticate(Call *call) _must_check_;

/* May the actor see and change what belongs to this user? */
static inline bool access_owns(const Call *call, int64_t user_id) {
        return !call->actor.bound || user_id == call->actor.owner;
}

/* Narrows a list to what the actor may see: of a url or user that is another's, nothing. 0, or the
 * store's. */
int access_narrow(Call *call, StoreQuery *query) _must_check_;
