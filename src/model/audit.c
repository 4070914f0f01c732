/* SPDX-License-Identifier: MIT */

/* The fields of the audit as JSON text. Keys are given in sorted order. Any thread. */

#include "model/audit.h"

#include "basic/clock.h"
#include "model/details.h"

static void begin(Buffer *out) {
        buffer_append_byte(out, '{');
}

static void end(Buffer *out) {
        buffer_append_byte(out, '}');
}

/* Names are ours: nothing in them is to be escaped. */
static void key(Buffer *out, const char *name) {
        if (out->len > 0 && out->data[out->len - 1] != '{')
                buffer_append_byte(out, ',');
        buffer_append_byte(out, '"');
        buffer_append(out, slice_from_string(name));
        buffer_append(out, SLICE("\":"));
}

static void put_text(Buffer *out, const char *name, Slice text) {
        key(out, name);
        if (text.data)
                details_append_string(out, text);
        else
                buffer_append(out, SLICE("null"));
}

static void put_number(Buffer *out, const char *name, int64_t value) {
        key(out, name);
        buffer_append_i64(out, value);
}

/* Where 0 stands for null. */
static void put_id(Buffer *out, const char *name, int64_t id) {
        key(out, name);
        if (id != 0)
                buffer_append_i64(out, id);
        else
                buffer_append(out, SLICE("null"));
}

static void put_time(Buffer *out, const char *name, int64_t seconds) {
        char text[CLOCK_ISO_SIZE];

        if (seconds != 0)
                clock_format_iso(seconds, 'T', text);
        put_text(out, name, seconds != 0 ? slice_from_string(text) : SLICE_NONE);
}

static bool text_moved(Slice row, const Slice *other) {
        if (!other)
                return row.data != NULL;
        return !row.data != !other->data || !slice_equal(row, *other);
}

static bool number_moved(int64_t row, const int64_t *other) {
        return row != (other ? *other : 0);
}

void audit_put_url(Buffer *out, const Url *row, const Url *other) {
        begin(out);
        if (!other || row->is_active != other->is_active) {
                key(out, "is_active");
                buffer_append(out, row->is_active ? SLICE("true") : SLICE("false"));
        }
        if (text_moved(row->target, other ? &other->target : NULL))
                put_text(out, "original_url", row->target);
        if (text_moved(row->code, other ? &other->code : NULL))
                put_text(out, "short_code", row->code);
        if (text_moved(row->title, other ? &other->title : NULL))
                put_text(out, "title", row->title);
        if (number_moved(row->user_id, other ? &other->user_id : NULL))
                put_id(out, "user_id", row->user_id);
        end(out);
}

void audit_put_user(Buffer *out, const User *row, const User *other) {
        begin(out);
        if (text_moved(row->email, other ? &other->email : NULL))
                put_text(out, "email", row->email);
        if (text_moved(row->username, other ? &other->username : NULL))
                put_text(out, "username", row->username);
        end(out);
}

void audit_put_scopes(Buffer *out, unsigned scopes) {
        static const char *const names[] = {"read", "write", "admin"};
        bool first = true;

        for (unsigned i = 0; i < ELEMENTSOF(names); i++)
                if (scopes & 1u << i) {
                        buffer_printf(out, "%s%s", first ? "" : ",", names[i]);
                        first = false;
                }
}

void audit_put_token(Buffer *out, const Token *row, const Token *other) {
        begin(out);
        if (number_moved(row->expires_sec, other ? &other->expires_sec : NULL))
                put_time(out, "expires_at", row->expires_sec);
        if (text_moved(row->name, other ? &other->name : NULL))
                put_text(out, "name", row->name);
        if (number_moved(row->revoked_sec, other ? &other->revoked_sec : NULL))
                put_time(out, "revoked_at", row->revoked_sec);
        if (!other || row->scopes != other->scopes) {
                key(out, "scopes");
                buffer_append_byte(out, '"');
                audit_put_scopes(out, row->scopes);
                buffer_append_byte(out, '"');
        }
        if (number_moved(row->user_id, other ? &other->user_id : NULL))
                put_id(out, "user_id", row->user_id);
        end(out);
}

void audit_put_event(Buffer *out, const Event *row) {
        begin(out);
        put_text(out, "event_type", row->type);
        put_number(out, "url_id", row->url_id);
        if (row->user_id != 0)
                put_number(out, "user_id", row->user_id);
        end(out);
}

void audit_put_counts(Buffer *out, const AuditCounts *counts) {
        begin(out);
        put_number(out, "events", counts->events);
        put_number(out, "urls", counts->urls);
        put_number(out, "users", counts->users);
        end(out);
}
