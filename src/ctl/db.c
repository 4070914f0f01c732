/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl db init|migrate|status`: the store's schema.
 */

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "ctl/output.h"
#include "ctl/role.h"
#include "ctl/verbs.h"

static int get_schema(Ctl *ctl, StoreSchema *ret) {
        int r = store_schema(ctl->session, ret);

        return r == 0 ? EXIT_DONE : ctl_store_failed(ctl, r);
}

static int report(Ctl *ctl, const StoreSchema *schema, int n_applied, const char *what) {
        Buffer *out = &ctl->out;

        if (ctl->command.json) {
                buffer_printf(out, "{\"applied\":%d,\"store\":", n_applied);
                output_string_json(out, slice_from_string(store_url_shown(ctl->store)));
                buffer_printf(out, ",\"supported\":%d,\"version\":%d}\n", schema->supported,
                              schema->version);
        } else {
                buffer_printf(out, "%s: schema %d%s\n", store_url_shown(ctl->store),
                              schema->version, what);
        }
        return ctl_print(ctl);
}

/* Brings the schema to this program's version. *ret_n: how many migrations ran. */
static int migrate(Ctl *ctl, StoreSchema *schema, int *ret_n) {
        int r;

        ctl_deadline(ctl, 0); /* as long as it takes */
        r = store_migrate(ctl->session, ret_n);
        return r == 0 ? get_schema(ctl, schema) : ctl_store_failed(ctl, r);
}

static int refuse_newer(const Ctl *ctl, const StoreSchema *schema) {
        ctl_error(store_url_shown(ctl->store), "schema %d is newer than this program knows (%d)",
                  schema->version, schema->supported);
        return EXIT_CONFIG;
}

int verb_db_init(Ctl *ctl) {
        StoreSchema schema;
        bool is_new = true;
        int r, n = 0;

        r = ctl_configure(ctl);
        if (r != EXIT_DONE)
                return r;
        r = role_make(ctl);
        if (r != EXIT_DONE)
                return r;
        is_new = ctl_sqlite_missing(ctl);
        r = ctl_open(ctl, CTL_WRITE | CTL_CREATE | CTL_ANY_SCHEMA);
        if (r == EXIT_DONE)
                r = get_schema(ctl, &schema);
        if (r != EXIT_DONE)
                return r;
        if (schema.version > schema.supported)
                return refuse_newer(ctl, &schema);
        if (schema.version == 0) {
                is_new = true;
                r = migrate(ctl, &schema, &n);
                if (r != EXIT_DONE)
                        return r;
        }
        return report(ctl, &schema, n,
                      is_new                              ? ", made"
                      : schema.version < schema.supported ? ", there already: see db migrate"
                                                          : ", there already");
}

int verb_db_migrate(Ctl *ctl) {
        bool dry_run = command_flag(&ctl->command, "dry-run");
        StoreSchema schema;
        int r, n = 0;

        r = ctl_open(ctl, CTL_WRITE | CTL_ANY_SCHEMA);
        if (r == EXIT_DONE)
                r = get_schema(ctl, &schema);
        if (r != EXIT_DONE)
                return r;
        if (schema.version > schema.supported)
                return refuse_newer(ctl, &schema);
        if (!dry_run && schema.version < schema.supported) {
                r = migrate(ctl, &schema, &n);
                if (r != EXIT_DONE)
                        return r;
        }
        return report(ctl, &schema, n,
                      n > 0                               ? ", migrated"
                      : schema.version < schema.supported ? ", would be migrated"
                                                          : ", up to date");
}

/* ---- status ---- */

static void status_json(Ctl *ctl, const StoreSchema *schema, const StoreTotals *totals,
                        uint64_t size) {
        Buffer *out = &ctl->out;

        buffer_printf(out, "{\"active_urls\":%" PRId64 ",\"bytes\":%" PRIu64 ",\"events\":%" PRId64,
                      totals->active_urls, size, totals->events);
        buffer_printf(out, ",\"oldest\":%d,\"redirects\":%" PRId64 ",\"store\":", schema->oldest,
                      totals->redirects);
        output_string_json(out, slice_from_string(store_url_shown(ctl->store)));
        buffer_printf(out,
                      ",\"supported\":%d,\"urls\":%" PRId64 ",\"users\":%" PRId64
                      ",\"version\":%d}\n",
                      schema->supported, totals->urls, totals->users, schema->version);
}

static void status_lines(Ctl *ctl, const StoreSchema *schema, const StoreTotals *totals,
                         uint64_t size) {
        Buffer *out = &ctl->out;

        buffer_printf(out, "store:      %s\n", store_url_shown(ctl->store));
        buffer_printf(out, "schema:     %d (this program: %d, works from %d on)\n", schema->version,
                      schema->supported, schema->oldest);
        if (size > 0) {
                buffer_append(out, SLICE("size:       "));
                output_size(out, size);
                buffer_append_byte(out, '\n');
        }
        buffer_append(out, SLICE("users:      "));
        output_number(out, (uint64_t)totals->users);
        buffer_append(out, SLICE("\nURLs:       "));
        output_number(out, (uint64_t)totals->urls);
        buffer_append(out, SLICE(", active "));
        output_number(out, (uint64_t)totals->active_urls);
        buffer_append(out, SLICE("\nevents:     "));
        output_number(out, (uint64_t)totals->events);
        buffer_append(out, SLICE(", redirects "));
        output_number(out, (uint64_t)totals->redirects);
        buffer_append_byte(out, '\n');
}

int verb_db_status(Ctl *ctl) {
        StoreTotals totals = {};
        StoreSchema schema;
        struct stat st = {};
        const char *path;
        int r;

        r = ctl_open(ctl, CTL_READ); /* says what to do about a schema that does not fit */
        if (r == EXIT_DONE)
                r = get_schema(ctl, &schema);
        if (r != EXIT_DONE)
                return r;
        r = store_totals(ctl->session, &totals);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        path = ctl_sqlite_path(ctl);
        if (path && stat(path, &st) < 0)
                st.st_size = 0;
        if (ctl->command.json)
                status_json(ctl, &schema, &totals, (uint64_t)st.st_size);
        else
                status_lines(ctl, &schema, &totals, (uint64_t)st.st_size);
        return ctl_print(ctl);
}
