/* SPDX-License-Identifier: MIT */

/*
 * Connection strings: what libpq makes of the URL, our defaults for what it leaves open, and the
 * URL as it may be shown. The password is not kept here: see connection.c.
 */

#include <errno.h>
#include <stdio.h>

#include "store/postgres/session.h"

#define HIDDEN SLICE("***")

/* For what the URL does not say. A server that is frozen is found by our own deadlines; these find
 * a host that has gone while nothing is asked of it, in about ten seconds. */
static const char *const defaults[][2] = {
                {"application_name", "shortener"},
                {"client_encoding", "UTF8"},
                {"gssencmode", "disable"}, /* its library blocks */
                {"keepalives", "1"},
                {"keepalives_idle", "5"},
                {"keepalives_interval", "2"},
                {"keepalives_count", "3"},
                {"target_session_attrs", "read-write"},
                {"tcp_user_timeout", "5000"}, /* ms */
};

static int set_default(PQconninfoOption *options, const char *keyword, const char *value) {
        for (PQconninfoOption *option = options; option->keyword; option++) {
                if (strcmp(option->keyword, keyword) != 0 || (option->val && *option->val))
                        continue;
                free(option->val);
                option->val = strdup(value);
                return option->val ? 0 : -ENOMEM;
        }
        return 0;
}

/* ---- the URL as it is shown ---- */

/* "user:secret@host" loses the secret. */
static void show_authority(Buffer *out, Slice authority) {
        ptrdiff_t at = -1, colon;

        for (size_t i = 0; i < authority.len; i++)
                if (authority.data[i] == '@')
                        at = (ptrdiff_t)i;
        if (at < 0) {
                buffer_append(out, authority);
                return;
        }
        colon = slice_find(slice_sub(authority, 0, (size_t)at), ':');
        if (colon < 0)
                colon = at;
        buffer_append(out, slice_sub(authority, 0, (size_t)colon));
        buffer_append(out, slice_from(authority, (size_t)at));
}

static bool is_secret(Slice name) {
        return slice_equal_nocase(name, SLICE("password")) ||
               slice_equal_nocase(name, SLICE("sslpassword"));
}

static void show_query(Buffer *out, Slice query) {
        Slice parameter, name, value, rest = query;
        bool first = true;

        while (rest.len > 0) {
                (void)slice_cut(rest, '&', &parameter, &rest);
                buffer_append_byte(out, first ? '?' : '&');
                first = false;
                if (slice_cut(parameter, '=', &name, &value) && is_secret(name)) {
                        buffer_append(out, name);
                        buffer_append_byte(out, '=');
                        parameter = HIDDEN;
                }
                buffer_append(out, parameter);
        }
}

static char *show(Slice url) {
        Buffer out = BUFFER_EMPTY;
        Slice place, query;
        ptrdiff_t begin = slice_search(url, SLICE("://")), end;

        begin = begin < 0 ? (ptrdiff_t)url.len : begin + 3;
        buffer_append(&out, slice_sub(url, 0, (size_t)begin));
        (void)slice_cut(slice_from(url, (size_t)begin), '?', &place, &query);
        end = slice_find(place, '/');
        if (end < 0)
                end = (ptrdiff_t)place.len;
        show_authority(&out, slice_sub(place, 0, (size_t)end));
        buffer_append(&out, slice_from(place, (size_t)end));
        show_query(&out, query);
        buffer_append_byte(&out, 0);
        if (out.failed) {
                buffer_done(&out);
                return NULL;
        }
        return out.data;
}

/* ---- public ---- */

int pg_conninfo_parse(const char *url, PgStore *store) {
        char *error = NULL;

        store->conninfo = PQconninfoParse(url, &error);
        PQfreemem(error);
        if (!store->conninfo)
                return -EINVAL;
        store->shown = show(slice_from_string(url));
        if (!store->shown)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(defaults); i++) {
                int r = set_default(store->conninfo, defaults[i][0], defaults[i][1]);

                if (r < 0)
                        return r;
        }
        return 0;
}

void pg_conninfo_done(PgStore *store) {
        PQconninfoFree(store->conninfo);
        free(store->shown);
}
