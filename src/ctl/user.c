/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl user ...`: the API's rules and texts, on the store itself.
 */

#include <inttypes.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "ctl/list.h"
#include "ctl/output.h"
#include "ctl/rules.h"
#include "ctl/verbs.h"

static int parse_id(const Ctl *ctl, const char *text, int64_t *ret) {
        if (number_parse_i64(slice_from_string(text), ret) < 0 || *ret < 1)
                return ctl_usage(ctl, "%s: a user is named by the number of its id", text);
        return EXIT_DONE;
}

static int print_user(Ctl *ctl, const User *user) {
        Buffer *out = &ctl->out;

        if (ctl->command.json) {
                output_user_json(out, user);
                buffer_append_byte(out, '\n');
                return ctl_print(ctl);
        }
        buffer_printf(out, "id:         %" PRId64 "\n", user->id);
        buffer_printf(out, "username:   %.*s\n", SLICE_ARG(user->username));
        buffer_printf(out, "email:      %.*s\n", SLICE_ARG(user->email));
        buffer_append(out, SLICE("created:    "));
        output_time(out, user->created_sec);
        buffer_append_byte(out, '\n');
        return ctl_print(ctl);
}

static int user_failed(const Ctl *ctl, int r, bool is_new) {
        const char *name = ctl->command.arguments[0];

        switch (r) {
        case STORE_NOT_FOUND:
                ctl_error(name, "User not found");
                return EXIT_FAILED;
        case STORE_USERNAME_TAKEN:
                ctl_error(name,
                          is_new ? "Username already exists" : "Username or email already exists");
                return EXIT_FAILED;
        case STORE_EMAIL_TAKEN:
                ctl_error(name,
                          is_new ? "Email already exists" : "Username or email already exists");
                return EXIT_FAILED;
        default:
                return ctl_store_failed(ctl, r);
        }
}

/* ---- list ---- */

static int list_page(Ctl *ctl, const StoreQuery *query, Buffer *lines, size_t *ret_n,
                     int64_t *ret_last) {
        User *users;
        size_t n;
        int r;

        r = store_user_list(ctl->session, &ctl->arena, query, &users, &n, NULL);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        for (size_t i = 0; i < n; i++) {
                const User *user = &users[i];

                if (ctl->command.json) {
                        list_separate(ctl);
                        output_user_json(&ctl->out, user);
                        continue;
                }
                buffer_printf(lines, "%" PRId64 "\t%.*s\t%.*s\t", user->id,
                              SLICE_ARG(user->username), SLICE_ARG(user->email));
                output_time(lines, user->created_sec);
                buffer_append_byte(lines, '\n');
        }
        *ret_n = n;
        *ret_last = n > 0 ? users[n - 1].id : 0;
        return EXIT_DONE;
}

int verb_user_list(Ctl *ctl) {
        static const ListKind kind = {"ID\tUSERNAME\tEMAIL\tCREATED\n", list_page};
        StoreQuery query = {};
        int r;

        r = list_window(ctl, &query);
        if (r == EXIT_DONE)
                r = ctl_open(ctl, CTL_READ);
        return r == EXIT_DONE ? list_print(ctl, &kind, &query) : r;
}

/* ---- one user ---- */

static int get_user(Ctl *ctl, int64_t id, User *ret) {
        int r = store_user_get(ctl->session, &ctl->arena, id, ret);

        return r == 0 ? EXIT_DONE : user_failed(ctl, r, false);
}

int verb_user_show(Ctl *ctl) {
        int64_t id;
        User user;
        int r;

        r = parse_id(ctl, ctl->command.arguments[0], &id);
        if (r == EXIT_DONE)
                r = ctl_open(ctl, CTL_READ);
        if (r == EXIT_DONE)
                r = get_user(ctl, id, &user);
        return r == EXIT_DONE ? print_user(ctl, &user) : r;
}

int verb_user_add(Ctl *ctl) {
        Slice username, email;
        const char *problem;
        User user;
        int r;

        problem = rules_username(slice_from_string(ctl->command.arguments[0]), &username);
        if (!problem)
                problem = rules_email(slice_from_string(ctl->command.arguments[1]), &email);
        if (problem) {
                ctl_error("user add", "%s", problem);
                return EXIT_FAILED;
        }
        r = ctl_open(ctl, CTL_WRITE);
        if (r != EXIT_DONE)
                return r;
        r = store_user_create(ctl->session, &ctl->arena, username, email,
                              (int64_t)(clock_realtime_usec() / USEC_PER_SEC), &user);
        return r == 0 ? print_user(ctl, &user) : user_failed(ctl, r, true);
}

/* The API's texts for a change differ from those for a new user where the field is blank. */
static const char *changed_field(const char *value, const char *blank,
                                 const char *(*rule)(Slice text, Slice *ret), Slice *ret) {
        Slice text = slice_from_string(value);
        const char *problem;

        *ret = SLICE_NONE;
        if (!value)
                return NULL;
        problem = rule(text, ret);
        return problem && ret->len == 0 ? blank : problem;
}

int verb_user_edit(Ctl *ctl) {
        const char *username = command_value(&ctl->command, "username");
        const char *email = command_value(&ctl->command, "email");
        StoreUserChange change = {};
        const char *problem;
        int64_t id;
        User user;
        int r;

        r = parse_id(ctl, ctl->command.arguments[0], &id);
        if (r != EXIT_DONE)
                return r;
        if (!username && !email)
                return ctl_usage(ctl, "say what to change: --username= or --email=");
        problem = changed_field(username, "username cannot be empty", rules_username,
                                &change.username);
        if (!problem)
                problem = changed_field(email, "email cannot be empty", rules_email, &change.email);
        if (problem) {
                ctl_error("user edit", "%s", problem);
                return EXIT_FAILED;
        }
        r = ctl_open(ctl, CTL_WRITE);
        if (r != EXIT_DONE)
                return r;
        r = store_user_update(ctl->session, &ctl->arena, id, &change, &user);
        return r == 0 ? print_user(ctl, &user) : user_failed(ctl, r, false);
}

/* ---- delete ---- */

static int report_deleted(Ctl *ctl, const User *user, int64_t n_urls, bool done) {
        Buffer *out = &ctl->out;

        if (ctl->command.json) {
                buffer_printf(out, "{\"deleted\":%s,\"urls\":%" PRId64 ",\"user\":",
                              done ? "true" : "false", n_urls);
                output_user_json(out, user);
                buffer_append(out, SLICE("}\n"));
                return ctl_print(ctl);
        }
        buffer_printf(out, "%s user %" PRId64 " (%.*s)", done ? "Deleted" : "Would delete",
                      user->id, SLICE_ARG(user->username));
        if (n_urls >= 0)
                buffer_printf(out, "; %" PRId64 " URLs go on without an owner\n", n_urls);
        else
                buffer_append(out, SLICE("; its URLs go on without an owner\n"));
        return ctl_print(ctl);
}

static int count_urls(Ctl *ctl, int64_t user_id, int64_t *ret) {
        StoreQuery query = {.has_user_id = true, .user_id = user_id};
        Url *urls;
        size_t n;
        int r = store_url_list(ctl->session, &ctl->arena, &query, &urls, &n, ret);

        return r == 0 ? EXIT_DONE : ctl_store_failed(ctl, r);
}

int verb_user_delete(Ctl *ctl) {
        bool dry_run = command_flag(&ctl->command, "dry-run");
        int64_t id, n_urls;
        User user;
        int r;

        r = parse_id(ctl, ctl->command.arguments[0], &id);
        if (r == EXIT_DONE)
                r = ctl_open(ctl, CTL_WRITE);
        if (r == EXIT_DONE)
                r = get_user(ctl, id, &user);
        if (r == EXIT_DONE)
                r = count_urls(ctl, id, &n_urls);
        if (r != EXIT_DONE)
                return r;
        if (!dry_run) {
                r = ctl_confirm(ctl, "yes", "Delete user %" PRId64 " (%.*s)?", id,
                                SLICE_ARG(user.username));
                if (r != EXIT_DONE)
                        return r;
                ctl_deadline(ctl, CTL_DEADLINE_USEC);
                r = store_user_delete(ctl->session, id);
                if (r != 0)
                        return user_failed(ctl, r, false);
        }
        return report_deleted(ctl, &user, n_urls, !dry_run);
}
