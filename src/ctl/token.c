/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl token ...`. The text of a token is printed once, when it is made: the store has
 * only its digest.
 */

#include <inttypes.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "ctl/list.h"
#include "ctl/output.h"
#include "ctl/verbs.h"
#include "model/audit.h"
#include "model/text.h"
#include "token/token.h"

static int64_t now_sec(void) {
        return (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
}

static const char *state_of(const Token *token) {
        if (token->revoked_sec != 0)
                return "revoked";
        return token->expires_sec != 0 && token->expires_sec <= now_sec() ? "expired" : "good";
}

static void time_or_dash(Buffer *out, int64_t seconds) {
        if (seconds != 0)
                output_time(out, seconds);
        else
                buffer_append_byte(out, '-');
}

static void time_json(Buffer *out, const char *name, int64_t seconds) {
        char text[CLOCK_ISO_SIZE];

        clock_format_iso(seconds, 'T', text);
        if (seconds != 0)
                buffer_printf(out, ",\"%s\":\"%s\"", name, text);
        else
                buffer_printf(out, ",\"%s\":null", name);
}

static void token_json(Buffer *out, const Token *token, Slice text) {
        buffer_printf(out, "{\"id\":%" PRId64 ",\"name\":", token->id);
        output_string_json(out, token->name);
        buffer_append(out, SLICE(",\"scopes\":\""));
        audit_put_scopes(out, token->scopes);
        buffer_printf(out, "\",\"state\":\"%s\"", state_of(token));
        time_json(out, "created_at", token->created_sec);
        time_json(out, "expires_at", token->expires_sec);
        time_json(out, "used_at", token->used_sec);
        time_json(out, "revoked_at", token->revoked_sec);
        if (text.data)
                buffer_printf(out, ",\"token\":\"%.*s\"", SLICE_ARG(text));
        if (token->user_id != 0)
                buffer_printf(out, ",\"user_id\":%" PRId64 "}", token->user_id);
        else
                buffer_append(out, SLICE(",\"user_id\":null}"));
}

/* ---- create ---- */

static int read_scopes(const Ctl *ctl, unsigned *ret) {
        const char *text = command_value(&ctl->command, "scopes");
        Slice rest = slice_from_string(text ? text : "read,write"), word;
        unsigned scopes = 0;

        while (rest.len > 0) {
                (void)slice_cut(rest, ',', &word, &rest);
                if (slice_equal(word, SLICE("read")))
                        scopes |= TOKEN_READ;
                else if (slice_equal(word, SLICE("write")))
                        scopes |= TOKEN_WRITE;
                else if (slice_equal(word, SLICE("admin")))
                        scopes |= TOKEN_ADMIN;
                else
                        return ctl_usage(ctl, "--scopes=%s: a list of read, write and admin", text);
        }
        *ret = scopes;
        return scopes != 0 ? EXIT_DONE : ctl_usage(ctl, "--scopes=: a list of read, write, admin");
}

static int read_expiry(const Ctl *ctl, int64_t *ret) {
        const char *text = command_value(&ctl->command, "expires");
        uint64_t usec;

        *ret = 0;
        if (!text)
                return EXIT_DONE;
        if (number_parse_span(slice_from_string(text), &usec) < 0 || usec < USEC_PER_SEC)
                return ctl_usage(ctl, "--expires=%s: a span such as 90d or 12h", text);
        *ret = now_sec() + (int64_t)(usec / USEC_PER_SEC);
        return EXIT_DONE;
}

static int read_token(const Ctl *ctl, Token *token) {
        const char *user = command_value(&ctl->command, "user");
        int r;

        if (text_check(slice_from_string(ctl->command.arguments[0]), &token->name) != TEXT_OK)
                return ctl_usage(ctl, "NAME: a text of at most 255 characters");
        r = read_scopes(ctl, &token->scopes);
        if (r == EXIT_DONE)
                r = read_expiry(ctl, &token->expires_sec);
        if (r != EXIT_DONE)
                return r;
        if (user &&
            (number_parse_i64(slice_from_string(user), &token->user_id) < 0 || token->user_id < 1))
                return ctl_usage(ctl, "--user=%s: a user is named by the number of its id", user);
        if (!user && !(token->scopes & TOKEN_ADMIN))
                return ctl_usage(ctl, "say whose token it is: --user=, or --scopes=admin");
        return EXIT_DONE;
}

static int print_new(Ctl *ctl, const Token *token, Slice text) {
        if (ctl->command.json) {
                token_json(&ctl->out, token, text);
                buffer_append_byte(&ctl->out, '\n');
                return ctl_print(ctl);
        }
        buffer_printf(&ctl->out, "%.*s\n", SLICE_ARG(text));
        ctl_error(NULL, "token %" PRId64 ": this is the only time that it is shown", token->id);
        return ctl_print(ctl);
}

int verb_token_create(Ctl *ctl) {
        Token token = {.created_sec = now_sec()};
        char text[TOKEN_SIZE];
        int r;

        r = read_token(ctl, &token);
        if (r == EXIT_DONE)
                r = ctl_open(ctl, CTL_WRITE);
        if (r != EXIT_DONE)
                return r;
        token_make(text);
        token_digest(slice_make(text, sizeof text), token.digest);
        r = store_token_create(ctl->session, &token, &token.id);
        if (r == STORE_NO_USER) {
                ctl_error(command_value(&ctl->command, "user"), "User not found");
                return EXIT_FAILED;
        }
        return r != 0 ? ctl_store_failed(ctl, r)
                      : print_new(ctl, &token, slice_make(text, sizeof text));
}

/* ---- list, revoke ---- */

static int list_page(Ctl *ctl, const StoreQuery *query, Buffer *lines, size_t *ret_n,
                     int64_t *ret_last) {
        Token *tokens;
        size_t n;
        int r = store_token_list(ctl->session, &ctl->arena, query, &tokens, &n);

        if (r != 0)
                return ctl_store_failed(ctl, r);
        for (size_t i = 0; i < n; i++) {
                const Token *token = &tokens[i];

                if (ctl->command.json) {
                        list_separate(ctl);
                        token_json(&ctl->out, token, SLICE_NONE);
                        continue;
                }
                buffer_printf(lines, "%" PRId64 "\t%.*s\t", token->id, SLICE_ARG(token->name));
                if (token->user_id != 0)
                        buffer_printf(lines, "%" PRId64, token->user_id);
                else
                        buffer_append_byte(lines, '-');
                buffer_append_byte(lines, '\t');
                audit_put_scopes(lines, token->scopes);
                buffer_printf(lines, "\t%s\t", state_of(token));
                time_or_dash(lines, token->expires_sec);
                buffer_append_byte(lines, '\t');
                time_or_dash(lines, token->used_sec);
                buffer_append_byte(lines, '\n');
        }
        *ret_n = n;
        *ret_last = n > 0 ? tokens[n - 1].id : 0;
        return EXIT_DONE;
}

int verb_token_list(Ctl *ctl) {
        static const ListKind kind = {"ID\tNAME\tUSER\tSCOPES\tSTATE\tEXPIRES\tUSED\n", list_page};
        StoreQuery query = {};
        int r;

        r = list_window(ctl, &query);
        if (r == EXIT_DONE)
                r = ctl_open(ctl, CTL_READ);
        return r == EXIT_DONE ? list_print(ctl, &kind, &query) : r;
}

int verb_token_revoke(Ctl *ctl) {
        const char *text = ctl->command.arguments[0];
        int64_t id;
        int r;

        if (number_parse_i64(slice_from_string(text), &id) < 0 || id < 1)
                return ctl_usage(ctl, "%s: a token is named by the number of its id", text);
        r = ctl_open(ctl, CTL_WRITE);
        if (r != EXIT_DONE)
                return r;
        r = store_token_revoke(ctl->session, id, now_sec());
        if (r == STORE_NOT_FOUND) {
                ctl_error(text, "no such token, or it is revoked already");
                return EXIT_FAILED;
        }
        return r != 0 ? ctl_store_failed(ctl, r) : EXIT_DONE;
}
