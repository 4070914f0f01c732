/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl link add|edit|disable|enable|delete`: what the API does for a POST, a PUT and a
 * DELETE, events included.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "ctl/link.h"
#include "ctl/output.h"
#include "ctl/rules.h"
#include "ctl/verbs.h"
#include "model/code.h"
#include "model/details.h"

#define CODE_ATTEMPTS 32u

static int64_t now_sec(void) {
        return (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
}

static int refuse(const Ctl *ctl, const char *problem) {
        ctl_error(ctl->command.verb->name, "%s", problem);
        return EXIT_FAILED;
}

/* ---- add ---- */

static int parse_user(Ctl *ctl, Url *url) {
        const char *user = command_value(&ctl->command, "user");

        if (!user)
                return EXIT_DONE;
        if (number_parse_i64(slice_from_string(user), &url->user_id) < 0)
                return refuse(ctl, "user_id must be an integer");
        return url->user_id < 1 ? refuse(ctl, "user_id must be a positive integer") : EXIT_DONE;
}

static int parse_code(Ctl *ctl, Url *url) {
        url->code = slice_from_string(command_value(&ctl->command, "code"));
        if (!url->code.data)
                return EXIT_DONE;
        if (!code_valid(url->code))
                return refuse(ctl, "a code is 1 to 64 characters of A-Z, a-z, 0-9, - and _");
        if (rules_code_reserved(url->code))
                return refuse(ctl, "this code is the name of a route and would not be reached");
        return EXIT_DONE;
}

/* *ret_problem as rules_target()'s. */
static int parse_target(Ctl *ctl, const char *text, Url *url, const char **ret_problem) {
        bool credentials;
        int r = ctl_takes_credentials(ctl, &credentials);

        if (r != EXIT_DONE)
                return r;
        r = rules_target(slice_from_string(text), credentials, &ctl->arena, url, ret_problem);
        return r < 0 ? ctl_store_failed(ctl, r) : EXIT_DONE;
}

static int parse_new(Ctl *ctl, Url *url) {
        const char *title = command_value(&ctl->command, "title");
        const char *problem;
        int r;

        r = parse_target(ctl, ctl->command.arguments[0], url, &problem);
        if (r != EXIT_DONE)
                return r;
        if (problem)
                return refuse(ctl, problem);
        r = parse_user(ctl, url);
        if (r != EXIT_DONE)
                return r;
        problem = title ? rules_title(slice_from_string(title), &url->title) : NULL;
        if (problem)
                return refuse(ctl, problem);
        return parse_code(ctl, url);
}

static int create(Ctl *ctl, Url *url, bool made_code) {
        Url created;
        int r = STORE_CODE_TAKEN;

        for (unsigned i = 0; i < (made_code ? CODE_ATTEMPTS : 1) && r == STORE_CODE_TAKEN; i++) {
                Slice details;

                if (made_code)
                        url->code = code_generate(&ctl->arena, ctl->options.links.code_length);
                if (made_code && url->code.data && rules_code_reserved(url->code))
                        continue;
                details = details_created(&ctl->arena, url->target, url->code);
                if (!url->code.data || !details.data)
                        return -ENOMEM;
                r = store_url_create(ctl->session, url, details, &created);
        }
        if (r == STORE_OK)
                url->id = created.id;
        return r;
}

int verb_link_add(Ctl *ctl) {
        Url url = {.is_active = true, .created_sec = now_sec()};
        bool made_code;
        int r;

        url.updated_sec = url.created_sec;
        r = parse_new(ctl, &url);
        if (r == EXIT_DONE)
                r = ctl_open(ctl, CTL_WRITE);
        if (r != EXIT_DONE)
                return r;
        made_code = !url.code.data;
        r = create(ctl, &url, made_code);
        if (r == STORE_NO_USER)
                return refuse(ctl, "User not found");
        if (r == STORE_CODE_TAKEN)
                return refuse(ctl, made_code ? "no code is free: raise [Links] CodeLength="
                                             : "short_code already exists");
        return r == 0 ? link_print(ctl, &url) : ctl_store_failed(ctl, r);
}

/* ---- edit ---- */

static int set_details(Arena *arena, const char *field, Slice value, Slice *ret) {
        *ret = details_updated(arena, field, value);
        return ret->data ? 0 : -ENOMEM;
}

static int set_target(Ctl *ctl, const char *text, StoreUrlChange *change) {
        const char *problem;
        Url url = {};
        int r = parse_target(ctl, text, &url, &problem);

        if (r != EXIT_DONE)
                return r;
        if (problem)
                return refuse(ctl, "A valid HTTP or HTTPS URL is required");
        change->has_target = true;
        change->target = url.target;
        change->location = url.location;
        r = set_details(&ctl->arena, "original_url", url.target, &change->target_details);
        return r < 0 ? ctl_store_failed(ctl, r) : EXIT_DONE;
}

static int set_title(Ctl *ctl, const char *text, StoreUrlChange *change) {
        const char *problem = rules_title(slice_from_string(text), &change->title);
        int r;

        if (problem)
                return refuse(ctl, problem);
        change->has_title = true;
        r = set_details(&ctl->arena, "title", change->title.data ? change->title : SLICE("None"),
                        &change->title_details);
        return r < 0 ? ctl_store_failed(ctl, r) : EXIT_DONE;
}

static int set_active(Ctl *ctl, bool active, StoreUrlChange *change) {
        int r;

        change->has_active = true;
        change->is_active = active;
        r = set_details(&ctl->arena, "is_active", active ? SLICE("True") : SLICE("False"),
                        &change->active_details);
        return r < 0 ? ctl_store_failed(ctl, r) : EXIT_DONE;
}

/* Changes the link that the first argument names. */
static int change_link(Ctl *ctl, StoreUrlChange *change) {
        Url url;
        int r;

        r = ctl_open(ctl, CTL_WRITE);
        if (r == EXIT_DONE)
                r = link_find(ctl, ctl->command.arguments[0], &url);
        if (r != EXIT_DONE)
                return r;
        change->now_sec = now_sec();
        r = store_url_update(ctl->session, &ctl->arena, url.id, change, &url);
        if (r == STORE_NOT_FOUND)
                return refuse(ctl, "URL not found");
        return r == 0 ? link_print(ctl, &url) : ctl_store_failed(ctl, r);
}

int verb_link_edit(Ctl *ctl) {
        const char *target = command_value(&ctl->command, "url");
        const char *title = command_value(&ctl->command, "title");
        StoreUrlChange change = {};
        int r = EXIT_DONE;

        if (!target && !title)
                return ctl_usage(ctl, "say what to change: --url= or --title=");
        if (target)
                r = set_target(ctl, target, &change);
        if (r == EXIT_DONE && title)
                r = set_title(ctl, title, &change);
        return r == EXIT_DONE ? change_link(ctl, &change) : r;
}

static int switch_link(Ctl *ctl, bool active) {
        StoreUrlChange change = {};
        int r = set_active(ctl, active, &change);

        return r == EXIT_DONE ? change_link(ctl, &change) : r;
}

int verb_link_disable(Ctl *ctl) {
        return switch_link(ctl, false);
}

int verb_link_enable(Ctl *ctl) {
        return switch_link(ctl, true);
}

/* ---- delete ---- */

static int report_deleted(Ctl *ctl, Url *url, bool done) {
        Buffer *out = &ctl->out;

        if (ctl->command.json) {
                buffer_printf(out, "{\"deleted\":%s,\"url\":", done ? "true" : "false");
                output_url_json(out, url);
                buffer_append(out, SLICE("}\n"));
                return ctl_print(ctl);
        }
        buffer_printf(out, "%s URL %" PRId64 " (%.*s); it redirects no more and stays listed\n",
                      done ? "Deleted" : "Would delete", url->id, SLICE_ARG(url->code));
        return ctl_print(ctl);
}

static int retire(Ctl *ctl, Url *url) {
        Slice details = details_deleted(&ctl->arena, "user_requested");
        int64_t now = now_sec();
        int r;

        r = ctl_confirm(ctl, "yes", "Delete URL %" PRId64 " (%.*s -> %.*s)?", url->id,
                        SLICE_ARG(url->code), SLICE_ARG(url->target));
        if (r != EXIT_DONE)
                return r;
        ctl_deadline(ctl, CTL_DEADLINE_USEC);
        r = details.data ? store_url_retire(ctl->session, url->id, now, details) : -ENOMEM;
        if (r == STORE_NOT_FOUND)
                return refuse(ctl, "URL not found");
        if (r != 0)
                return ctl_store_failed(ctl, r);
        url->is_active = false;
        url->updated_sec = now;
        return EXIT_DONE;
}

int verb_link_delete(Ctl *ctl) {
        bool dry_run = command_flag(&ctl->command, "dry-run");
        Url url;
        int r;

        r = ctl_open(ctl, CTL_WRITE);
        if (r == EXIT_DONE)
                r = link_find(ctl, ctl->command.arguments[0], &url);
        if (r != EXIT_DONE)
                return r;
        if (!url.is_active)
                return refuse(ctl, "URL not found: it is inactive already");
        if (!dry_run) {
                r = retire(ctl, &url);
                if (r != EXIT_DONE)
                        return r;
        }
        return report_deleted(ctl, &url, !dry_run);
}
