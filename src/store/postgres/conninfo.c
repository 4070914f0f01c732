/* SPDX-License-Identifier: MIT */

/*
 * Connection strings: what libpq makes of the URL, our defaults for what it leaves open, and the
 * URL as it may be shown. The password is not kept here: see connection.c.
 */

#include <errno.h>
#include <stdio.h>

#include "basic/redact.h"
#include "store/postgres/session.h"

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

static size_t count_hosts(const PgStore *store) {
        size_t n = 1;

        for (const PQconninfoOption *option = store->conninfo; option->keyword; option++) {
                size_t items = 1;

                if (!option->val || !pg_conninfo_is_list(option->keyword))
                        continue;
                for (const char *c = option->val; *c; c++)
                        items += *c == ',';
                n = MAX(n, items);
        }
        return n;
}

static char *show(const char *url) {
        Buffer out = BUFFER_EMPTY;

        redact_append(&out, slice_from_string(url));
        buffer_append_byte(&out, 0);
        if (out.failed) {
                buffer_done(&out);
                return NULL;
        }
        return out.data;
}

/* ---- public ---- */

bool pg_conninfo_is_list(const char *keyword) {
        return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
               strcmp(keyword, "port") == 0;
}

int pg_conninfo_parse(const char *url, PgStore *store) {
        char *error = NULL;

        store->conninfo = PQconninfoParse(url, &error);
        PQfreemem(error);
        if (!store->conninfo)
                return -EINVAL;
        store->shown = show(url);
        if (!store->shown)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(defaults); i++) {
                int r = set_default(store->conninfo, defaults[i][0], defaults[i][1]);

                if (r < 0)
                        return r;
        }
        store->n_hosts = count_hosts(store);
        /* The first connection of several asks all of them. */
        atomic_store(&store->n_outages, store->n_hosts > 1);
        return 0;
}

void pg_conninfo_done(PgStore *store) {
        PQconninfoFree(store->conninfo);
        free(store->shown);
}
