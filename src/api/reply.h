/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Answers: the API's objects as JSON text (keys sorted, compact, ASCII, one trailing newline), and
 * refusals. The texts are written by hand from the domain's records: their keys are fixed, and a
 * tree in between would cost more than everything else that a list does.
 */

#include "work/call.h"

/* Positive result of the helpers of this folder: the request is refused. */
#define API_REFUSED 1

/* Sets *ret_problem and returns API_REFUSED. */
int reply_problem(Problem *ret_problem, int status, const char *text) _must_check_;

/* For "r = helper(); if (r != 0) return reply_end(r);" behind helpers that filled the response. */
static inline int reply_end(int r) {
        return r > 0 ? 0 : r;
}

/* The answer to a verb's result that is not STORE_OK: a negative one as it is. */
int reply_store(Call *call, int result) _must_check_;

/* The answer to a field that was refused. What stands before it in the order of checks must exist:
 * url_id and user_id are those read so far, 0 for none. */
int reply_field(Call *call, int64_t url_id, int64_t user_id, const Problem *problem) _must_check_;

/* The representation of one row: the body of an answer with it. */
void reply_show_user(Buffer *out, const void *user);
void reply_show_url(Buffer *out, const void *url);
void reply_show_event(Buffer *out, const void *event);

/* The body was written: a representation, with ETag if there is a resource that it is of. A GET of
 * what the client has already (If-None-Match) is 304 instead, without the body. */
int reply_shown(Call *call, int status, bool has_tag) _must_check_;

/* With ETag. */
int reply_user(Call *call, int status, const User *user) _must_check_;
int reply_url(Call *call, int status, const Url *url) _must_check_;

int reply_event(Call *call, int status, const Event *event) _must_check_;
int reply_stats(Call *call, const Url *url, int64_t redirects) _must_check_;
int reply_nothing(Call *call) _must_check_; /* 204 */

/* 200 with an array. */
int reply_users(Call *call, const User *rows, size_t n) _must_check_;
int reply_urls(Call *call, const Url *rows, size_t n) _must_check_;
int reply_events(Call *call, const Event *rows, size_t n) _must_check_;

/* Ends the body that was written to the response, with its newline. */
int reply_finish(Call *call, int status) _must_check_;
