/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the audit keeps of an object: a canonical JSON object (keys sorted, compact, ASCII) of the
 * fields that a change moved, by the API's names. Never a secret: of a token neither its text nor
 * its digest.
 *
 * Each appends the fields of `row` that differ from those of `other`; with other NULL all that are
 * set. Memory: see Buffer.failed.
 */

#include "basic/buffer.h"
#include "model/types.h"

/* is_active, original_url, short_code, title, user_id */
void audit_put_url(Buffer *out, const Url *row, const Url *other);
/* email, username */
void audit_put_user(Buffer *out, const User *row, const User *other);
/* expires_at, name, revoked_at, scopes, user_id */
void audit_put_token(Buffer *out, const Token *row, const Token *other);
/* event_type, url_id, user_id. Not the details, which may name a visitor: the event has them. */
void audit_put_event(Buffer *out, const Event *row);

/* Rows of an import. */
typedef struct AuditCounts {
        int64_t users, urls, events;
} AuditCounts;
void audit_put_counts(Buffer *out, const AuditCounts *counts);

/* "read,write" */
void audit_put_scopes(Buffer *out, unsigned scopes);
