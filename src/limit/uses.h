/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What was taken of budgets in a short time, to be told to other hosts: how many requests of which
 * client, in memory of fixed size, and as bytes. Bytes are checked like input when they are read.
 */

#include "basic/buffer.h"
#include "limit/limiter.h"

#define LIMIT_USES_MAX   2048u    /* clients and budgets of one collection */
#define LIMIT_USE_N_MAX  1000000u /* requests of one use */
#define LIMIT_USES_BYTES 23u      /* of each use */

typedef struct LimitUse {
        LimitBudget budget;
        LimitClient client;
        uint32_t n; /* requests */
} LimitUse;

typedef struct LimitUses LimitUses;

int limit_uses_new(LimitUses **ret) _must_check_; /* -ENOMEM */
LimitUses *limit_uses_free(LimitUses *uses);
DEFINE_CLEANUP(LimitUses, limit_uses_free)

/* false: there is no room for it; it is left out. */
bool limit_uses_note(LimitUses *uses, LimitBudget budget, const LimitClient *client);
size_t limit_uses_length(const LimitUses *uses);
/* Appends all to out and begins anew. What out has no memory for is lost, see out->failed. */
void limit_uses_take(LimitUses *uses, Buffer *out);

/* Takes the next one off the bytes. 1: *ret is set; 0: that was all; -EBADMSG: these are none. */
int limit_use_read(Slice *bytes, LimitUse *ret) _must_check_;
