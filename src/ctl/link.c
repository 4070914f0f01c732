/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl link list|show` and `stats`: looking at links.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "basic/utf8.h"
#include "ctl/link.h"
#include "ctl/list.h"
#include "ctl/output.h"
#include "ctl/verbs.h"

#define VISITS_WAIT_USEC (250 * USEC_PER_MSEC) /* for visits to be shipped, as the API waits */
#define VISITS_LOOK_USEC (5 * USEC_PER_MSEC)
#define TITLE_WIDTH      40 /* bytes of a title in a table */

/* ---- finding ---- */

static int by_id(Ctl *ctl, Slice text, Url *ret) {
        int64_t id;

        if (number_parse_i64(text, &id) < 0 || id < 1)
                return STORE_NOT_FOUND;
        return store_url_get(ctl->session, &ctl->arena, id, ret);
}

/* A word of digits may be both: then it names neither. */
static int by_either(Ctl *ctl, const char *name, Url *ret) {
        Slice text = slice_from_string(name);
        Url other;
        int r, other_r;

        r = by_id(ctl, text, ret);
        if (r < 0)
                return r;
        other_r = store_url_get_by_code(ctl->session, &ctl->arena, text,
                                        r == STORE_OK ? &other : ret);
        if (r == STORE_OK && other_r == STORE_OK && other.id != ret->id) {
                ctl_error(name,
                          "it is the id of one URL and the code of another: write id:%s or "
                          "code:%s",
                          name, name);
                return -EEXIST;
        }
        return r == STORE_OK && other_r >= 0 ? STORE_OK : other_r;
}

int link_find(Ctl *ctl, const char *name, Url *ret) {
        Slice text = slice_from_string(name);
        int r;

        if (slice_starts_with(text, SLICE("id:")))
                r = by_id(ctl, slice_from(text, 3), ret);
        else if (slice_starts_with(text, SLICE("code:")))
                r = store_url_get_by_code(ctl->session, &ctl->arena, slice_from(text, 5), ret);
        else
                r = by_either(ctl, name, ret);
        if (r == -EEXIST)
                return EXIT_FAILED;
        if (r == STORE_NOT_FOUND || r == STORE_NO_URL) {
                ctl_error(name, "URL not found");
                return EXIT_FAILED;
        }
        return r == 0 ? EXIT_DONE : ctl_store_failed(ctl, r);
}

int link_print(Ctl *ctl, const Url *url) {
        Buffer *out = &ctl->out;

        if (ctl->command.json) {
                output_url_json(out, url);
                buffer_append_byte(out, '\n');
                return ctl_print(ctl);
        }
        buffer_printf(out, "id:         %" PRId64 "\n", url->id);
        buffer_printf(out, "short code: %.*s\n", SLICE_ARG(url->code));
        buffer_printf(out, "URL:        %.*s\n", SLICE_ARG(url->target));
        buffer_printf(out, "title:      %.*s\n", SLICE_ARG(url->title));
        buffer_printf(out, "active:     %s\n", url->is_active ? "yes" : "no");
        if (url->user_id > 0)
                buffer_printf(out, "user:       %" PRId64 "\n", url->user_id);
        else
                buffer_append(out, SLICE("user:       none\n"));
        buffer_append(out, SLICE("created:    "));
        output_time(out, url->created_sec);
        buffer_append(out, SLICE("\nupdated:    "));
        output_time(out, url->updated_sec);
        buffer_append_byte(out, '\n');
        return ctl_print(ctl);
}

/* ---- list, show ---- */

static void add_line(Buffer *lines, const Url *url) {
        buffer_printf(lines, "%" PRId64 "\t%.*s\t%s\t", url->id, SLICE_ARG(url->code),
                      url->is_active ? "yes" : "no");
        if (url->user_id > 0)
                buffer_append_i64(lines, url->user_id);
        buffer_append_byte(lines, '\t');
        output_time(lines, url->created_sec);
        buffer_append_byte(lines, '\t');
        buffer_append(lines,
                      utf8_valid(url->title) ? utf8_cut(url->title, TITLE_WIDTH) : SLICE("?"));
        buffer_append_byte(lines, '\t');
        buffer_append(lines, url->target);
        buffer_append_byte(lines, '\n');
}

static int list_page(Ctl *ctl, const StoreQuery *query, Buffer *lines, size_t *ret_n,
                     int64_t *ret_last) {
        Url *urls;
        size_t n;
        int r;

        r = store_url_list(ctl->session, &ctl->arena, query, &urls, &n, NULL);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        for (size_t i = 0; i < n; i++) {
                if (ctl->command.json) {
                        list_separate(ctl);
                        output_url_json(&ctl->out, &urls[i]);
                } else {
                        add_line(lines, &urls[i]);
                }
        }
        *ret_n = n;
        *ret_last = n > 0 ? urls[n - 1].id : 0;
        return EXIT_DONE;
}

int verb_link_list(Ctl *ctl) {
        static const ListKind kind = {"ID\tCODE\tACTIVE\tUSER\tCREATED\tTITLE\tURL\n", list_page};
        const char *user = command_value(&ctl->command, "user");
        bool active = command_flag(&ctl->command, "active");
        bool inactive = command_flag(&ctl->command, "inactive");
        StoreQuery query = {.has_active = active || inactive, .is_active = active};
        int r;

        if (active && inactive)
                return ctl_usage(ctl, "--active and --inactive exclude each other");
        query.has_user_id = user != NULL;
        if (user &&
            (number_parse_i64(slice_from_string(user), &query.user_id) < 0 || query.user_id < 1))
                return ctl_usage(ctl, "--user=%s: user_id must be a positive integer", user);
        r = list_window(ctl, &query);
        if (r == EXIT_DONE)
                r = ctl_open(ctl, CTL_READ);
        return r == EXIT_DONE ? list_print(ctl, &kind, &query) : r;
}

int verb_link_show(Ctl *ctl) {
        Url url;
        int r;

        r = ctl_open(ctl, CTL_READ);
        if (r == EXIT_DONE)
                r = link_find(ctl, ctl->command.arguments[0], &url);
        return r == EXIT_DONE ? link_print(ctl, &url) : r;
}

/* ---- stats ---- */

/* Waits a moment until the visits that instances have answered so far are in the store; returns how
 * many are not. */
static uint64_t wait_for_visits(Ctl *ctl) {
        uint64_t until = clock_monotonic_usec() + VISITS_WAIT_USEC, n_pending;
        HostVisits visits;

        if (!ctl->slot)
                return 0;
        host_page_note_visits(ctl->page, &visits);
        while ((n_pending = host_page_visits_pending(ctl->page, &visits)) > 0 &&
               clock_monotonic_usec() < until)
                host_slot_wait(ctl->slot, VISITS_LOOK_USEC);
        return n_pending;
}

static int print_totals(Ctl *ctl) {
        Buffer *out = &ctl->out;
        StoreTotals totals;
        int r;

        r = store_totals(ctl->session, &totals);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        buffer_printf(out,
                      ctl->command.json ? "{\"active_urls\":%" PRId64 ",\"events\":%" PRId64
                                          ",\"redirects\":%" PRId64 ",\"urls\":%" PRId64
                                          ",\"users\":%" PRId64 "}\n"
                                        : "active URLs: %" PRId64 "\nevents:      %" PRId64
                                          "\nredirects:   %" PRId64 "\nURLs:        %" PRId64
                                          "\nusers:       %" PRId64 "\n",
                      totals.active_urls, totals.events, totals.redirects, totals.urls,
                      totals.users);
        return ctl_print(ctl);
}

static int print_link_stats(Ctl *ctl, int64_t id) {
        Buffer *out = &ctl->out;
        int64_t n_redirects;
        Url url;
        int r;

        r = store_url_stats(ctl->session, &ctl->arena, id, &url, &n_redirects);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        if (ctl->command.json) {
                buffer_printf(out, "{\"redirect_count\":%" PRId64 ",\"url\":", n_redirects);
                output_url_json(out, &url);
                buffer_append(out, SLICE("}\n"));
                return ctl_print(ctl);
        }
        buffer_printf(out, "redirects:  %" PRId64 "\n", n_redirects);
        return link_print(ctl, &url);
}

int verb_stats(Ctl *ctl) {
        uint64_t n_pending;
        Url url;
        int r;

        r = ctl_open(ctl, CTL_READ);
        if (r == EXIT_DONE && ctl->command.n_arguments > 0)
                r = link_find(ctl, ctl->command.arguments[0], &url);
        if (r != EXIT_DONE)
                return r;
        ctl_try_page(ctl);
        n_pending = wait_for_visits(ctl);
        if (n_pending > 0)
                ctl_error("stats", "%" PRIu64 " visits of this host are not in the store yet",
                          n_pending);
        return ctl->command.n_arguments > 0 ? print_link_stats(ctl, url.id) : print_totals(ctl);
}
