/* SPDX-License-Identifier: MIT */

/*
 * The rows of the audit as all drivers write them: who, from the session's actor; when; and what
 * changed, as JSON in two buffers that the session keeps, so that a change costs no allocation.
 */

#include <errno.h>

#include "basic/clock.h"
#include "store/verb.h"

static int note(StoreSession *session, const char *action, const char *kind, int64_t object_id,
                Audit *ret) {
        const StoreActor *actor = &session->actor;
        const Buffer *old = &session->old_fields, *new = &session->new_fields;

        if (old->failed || new->failed)
                return -ENOMEM;
        *ret = (Audit){
                        .time_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC),
                        .token_id = actor->token_id,
                        .user_id = actor->user_id,
                        .actor = actor->name.data ? actor->name : SLICE("unknown"),
                        .action = slice_from_string(action),
                        .kind = slice_from_string(kind),
                        .object_id = object_id,
                        .old_fields = old->len > 0 ? buffer_slice(old) : SLICE_NONE,
                        .new_fields = new->len > 0 ? buffer_slice(new) : SLICE_NONE,
                        .request_id = actor->request_id,
        };
        return 0;
}

static void clear(StoreSession *session) {
        buffer_clear(&session->old_fields);
        buffer_clear(&session->new_fields);
}

int store_note_url(StoreSession *session, const char *action, const Url *old, const Url *new,
                   Audit *ret) {
        CHECK(old || new);
        clear(session);
        if (old)
                audit_put_url(&session->old_fields, old, new);
        if (new)
                audit_put_url(&session->new_fields, new, old);
        return note(session, action, "url", new ? new->id : old->id, ret);
}

int store_note_user(StoreSession *session, const char *action, const User *old, const User *new,
                    Audit *ret) {
        CHECK(old || new);
        clear(session);
        if (old)
                audit_put_user(&session->old_fields, old, new);
        if (new)
                audit_put_user(&session->new_fields, new, old);
        return note(session, action, "user", new ? new->id : old->id, ret);
}

int store_note_token(StoreSession *session, const char *action, const Token *old, const Token *new,
                     Audit *ret) {
        CHECK(old || new);
        clear(session);
        if (old)
                audit_put_token(&session->old_fields, old, new);
        if (new)
                audit_put_token(&session->new_fields, new, old);
        return note(session, action, "token", new ? new->id : old->id, ret);
}

int store_note_event(StoreSession *session, const Event *event, Audit *ret) {
        clear(session);
        audit_put_event(&session->new_fields, event);
        return note(session, "create", "event", event->id, ret);
}

int store_note_import(StoreSession *session, const AuditCounts *more, Audit *ret) {
        StoreImport *next = &session->import_next;
        int r;

        *next = session->import;
        next->counts.users += more->users;
        next->counts.urls += more->urls;
        next->counts.events += more->events;
        clear(session);
        audit_put_counts(&session->new_fields, &next->counts);
        r = note(session, "import", "store", 0, ret);
        if (r == 0)
                ret->id = next->audit_id;
        return r;
}

int store_note_load(StoreSession *session, const StoreTotals *was, Audit *ret) {
        const AuditCounts old = {was->users, was->urls, was->events};

        session->import_next = (StoreImport){.audit_id = 0};
        clear(session);
        audit_put_counts(&session->old_fields, &old);
        audit_put_counts(&session->new_fields, &session->import_next.counts);
        return note(session, "load", "store", 0, ret);
}

/* ---- the verbs ---- */

int store_audit_list(StoreSession *session, Arena *arena, const StoreAuditQuery *query,
                     Audit **ret_rows, size_t *ret_n) {
        StoreAuditQuery from = *query;

        /* What is behind a time's first row is before that time: ids begin with 1. */
        if (!from.has_after || (from.until_sec != 0 && from.until_sec < from.after_sec)) {
                from.has_after = true;
                from.after_sec = from.until_sec != 0 ? from.until_sec : INT64_MAX;
                from.after_id = 0;
        }
        return VERB(session, audit_list(session, arena, &from, ret_rows, ret_n));
}

int store_audit_tidy(StoreSession *session, int64_t before_sec, bool *ret_more) {
        *ret_more = false;
        return VERB(session, audit_tidy(session, before_sec, ret_more));
}
