/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl audit`: who changed what, newest first. A change is a line, and a line for each
 * field below it, cut so that 80 columns hold it; --json has all of it, a line for each change.
 * Values are shown as JSON writes them, in ASCII: nothing in them can move the terminal's cursor.
 */

#include <inttypes.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "ctl/output.h"
#include "ctl/verbs.h"

#define LIMIT_USUAL  100
#define PAGE_ROWS    500
#define COLUMNS      ((size_t)80)
#define INDENT       4
#define ACTOR_MIN    ((size_t)16) /* columns */
#define NAME_COLUMNS 14           /* of a field's name and the blanks behind it */
#define ARROW        " -> "

/* ---- what is asked for ---- */

static int64_t now_sec(void) {
        return (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
}

/* "2026-01-02", "2026-01-02 03:04:05", or a span before now. */
static int read_time(const Ctl *ctl, const char *name, int64_t *ret) {
        const char *text = command_value(&ctl->command, name);
        uint64_t usec;

        if (!text || clock_parse_iso(slice_from_string(text), ret) == 0)
                return EXIT_DONE;
        if (number_parse_span(slice_from_string(text), &usec) < 0)
                return ctl_usage(ctl, "--%s=%s: a time such as \"2026-01-02 03:04\", or a span: 2h",
                                 name, text);
        *ret = now_sec() - (int64_t)(usec / USEC_PER_SEC);
        return EXIT_DONE;
}

static bool read_id(Slice text, Slice prefix, int64_t *ret) {
        int64_t id;

        if (!slice_starts_with(text, prefix) ||
            number_parse_i64(slice_from(text, prefix.len), &id) < 0 || id < 1)
                return false;
        *ret = id;
        return true;
}

static int read_actor(const Ctl *ctl, StoreAuditQuery *query) {
        const char *value = command_value(&ctl->command, "actor");
        Slice text = value ? slice_from_string(value) : SLICE_NONE;

        if (!value || read_id(text, SLICE("token:"), &query->token_id) ||
            read_id(text, SLICE("user:"), &query->user_id))
                return EXIT_DONE;
        if (text.len == 0 || slice_starts_with(text, SLICE("token:")) ||
            slice_starts_with(text, SLICE("user:")))
                return ctl_usage(ctl, "--actor=%s: token:ID, user:ID, open or shortenerctl:LOGIN",
                                 value);
        query->actor = text;
        return EXIT_DONE;
}

static int read_object(const Ctl *ctl, StoreAuditQuery *query) {
        static const char *const kinds[] = {"url", "user", "token", "event"};
        const char *value = command_value(&ctl->command, "object");
        Slice kind, id;

        if (!value)
                return EXIT_DONE;
        (void)slice_cut(slice_from_string(value), ':', &kind, &id);
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (slice_equal(kind, slice_from_string(kinds[i])) &&
                    read_id(id, SLICE(""), &query->object_id))
                        query->kind = kind;
        return query->kind.data ? EXIT_DONE
                                : ctl_usage(ctl,
                                            "--object=%s: url:ID, user:ID, token:ID or event:ID",
                                            value);
}

static int read_query(const Ctl *ctl, StoreAuditQuery *query) {
        const char *limit = command_value(&ctl->command, "limit");
        const char *request = command_value(&ctl->command, "request");
        int r;

        query->limit = LIMIT_USUAL;
        if (limit &&
            (number_parse_i64(slice_from_string(limit), &query->limit) < 0 || query->limit < 0))
                return ctl_usage(ctl, "--limit=%s: a number is wanted", limit);
        if (request)
                query->request_id = slice_from_string(request);
        r = read_time(ctl, "since", &query->since_sec);
        if (r == EXIT_DONE)
                r = read_time(ctl, "until", &query->until_sec);
        if (r == EXIT_DONE)
                r = read_actor(ctl, query);
        return r == EXIT_DONE ? read_object(ctl, query) : r;
}

/* ---- JSON ---- */

static void put_actor(Buffer *out, const Audit *row) {
        buffer_append(out, row->actor);
        if (row->token_id != 0)
                buffer_printf(out, ":%" PRId64, row->token_id);
}

static void put_object(Buffer *out, const Audit *row) {
        buffer_append(out, row->kind);
        if (row->object_id != 0)
                buffer_printf(out, ":%" PRId64, row->object_id);
}

static void put_word_json(Buffer *out, const char *name, void (*put)(Buffer *out, const Audit *row),
                          const Audit *row) {
        Buffer word = BUFFER_EMPTY;

        put(&word, row);
        out->failed = out->failed || word.failed;
        buffer_printf(out, ",\"%s\":", name);
        output_string_json(out, buffer_slice(&word));
        buffer_done(&word);
}

static void put_fields_json(Buffer *out, const char *name, Slice fields) {
        buffer_printf(out, ",\"%s\":", name);
        buffer_append(out, fields.data ? fields : SLICE("null"));
}

static void put_json(Buffer *out, const Audit *row) {
        char time[CLOCK_ISO_SIZE];

        clock_format_iso(row->time_sec, 'T', time);
        buffer_append(out, SLICE("{\"action\":"));
        output_string_json(out, row->action);
        put_word_json(out, "actor", put_actor, row);
        buffer_printf(out, ",\"id\":%" PRId64, row->id);
        put_fields_json(out, "new", row->new_fields);
        put_word_json(out, "object", put_object, row);
        put_fields_json(out, "old", row->old_fields);
        buffer_append(out, SLICE(",\"request_id\":"));
        output_string_json(out, row->request_id);
        buffer_printf(out, ",\"time\":\"%s\",\"user_id\":", time);
        if (row->user_id != 0)
                buffer_append_i64(out, row->user_id);
        else
                buffer_append(out, SLICE("null"));
        buffer_append(out, SLICE("}\n"));
}

/* ---- for people ---- */

/* Where a string or another value of a flat JSON object ends. */
static size_t value_length(Slice text) {
        bool quoted = text.len > 0 && text.data[0] == '"';
        size_t n = quoted;

        for (; n < text.len; n++) {
                if (quoted && text.data[n] == '\\')
                        n++;
                else if (quoted && text.data[n] == '"')
                        return n + 1;
                else if (!quoted && (text.data[n] == ',' || text.data[n] == '}'))
                        return n;
        }
        return text.len;
}

static Slice unquoted(Slice value) {
        if (value.len >= 2 && value.data[0] == '"')
                return slice_sub(value, 1, value.len - 1);
        return value;
}

/* Takes the next field off the front of what is left of a flat object. */
static bool next_field(Slice *rest, Slice *ret_name, Slice *ret_value) {
        size_t n;

        if (rest->len < 2 || rest->data[1] != '"') /* behind "{" or "," */
                return false;
        *rest = slice_from(*rest, 1);
        n = value_length(*rest);
        *ret_name = unquoted(slice_sub(*rest, 0, n));
        *rest = slice_from(*rest, MIN(n + 1, rest->len)); /* and the colon */
        n = value_length(*rest);
        *ret_value = unquoted(slice_sub(*rest, 0, n));
        *rest = slice_from(*rest, n);
        return true;
}

static Slice find_field(Slice fields, Slice wanted) {
        Slice name, value;

        while (next_field(&fields, &name, &value))
                if (slice_equal(name, wanted))
                        return value;
        return SLICE_NONE;
}

static void put_cut(Buffer *out, Slice text, size_t columns) {
        if (text.len <= columns)
                buffer_append(out, text);
        else
                buffer_printf(out, "%.*s...", (int)columns - 3, text.data);
}

/* old and new share what is left of the line; what one does not need is the other's. */
static void put_values(Buffer *out, Slice old, Slice new) {
        const size_t room = COLUMNS - INDENT - NAME_COLUMNS - strlen(ARROW), half = room / 2;
        size_t for_old = new.len < half ? room - new.len : half;
        size_t for_new = old.len < half ? room - old.len : half;

        put_cut(out, old, for_old);
        buffer_append(out, SLICE(ARROW));
        put_cut(out, new, for_new);
}

static void put_field(Buffer *out, const Audit *row, Slice name, Slice value) {
        buffer_printf(out, "%*s%-*.*s", INDENT, "", NAME_COLUMNS, SLICE_ARG(name));
        if (!row->old_fields.data)
                put_cut(out, value, COLUMNS - INDENT - NAME_COLUMNS);
        else if (!row->new_fields.data)
                put_values(out, value, SLICE("-"));
        else
                put_values(out, find_field(row->old_fields, name), value);
        buffer_append_byte(out, '\n');
}

static void put_head(Buffer *out, const Audit *row) {
        Buffer actor = BUFFER_EMPTY;
        size_t begin = out->len, used;

        output_time(out, row->time_sec);
        buffer_printf(out, "  %.*s ", SLICE_ARG(row->action));
        put_object(out, row);
        buffer_append(out, SLICE("  by "));
        put_actor(&actor, row);
        if (row->user_id != 0)
                buffer_printf(&actor, " (user:%" PRId64 ")", row->user_id);
        out->failed = out->failed || actor.failed;
        used = out->len - begin;
        put_cut(out, buffer_slice(&actor), used + ACTOR_MIN < COLUMNS ? COLUMNS - used : ACTOR_MIN);
        buffer_append_byte(out, '\n');
        buffer_done(&actor);
}

static void put_text(Buffer *out, const Audit *row) {
        Slice fields = row->new_fields.data ? row->new_fields : row->old_fields, name, value;

        put_head(out, row);
        while (next_field(&fields, &name, &value))
                put_field(out, row, name, value);
        if (row->request_id.data)
                buffer_printf(out, "%*s%-*s%.*s\n", INDENT, "", NAME_COLUMNS - 6, "request",
                              SLICE_ARG(row->request_id));
}

/* ---- the verb ---- */

/* *ret_n: of the rows of one page, which are printed. */
static int print_page(Ctl *ctl, StoreAuditQuery *query, size_t *ret_n) {
        Audit *rows;
        int r;

        ctl_deadline(ctl, CTL_LONG_DEADLINE_USEC);
        r = store_audit_list(ctl->session, &ctl->arena, query, &rows, ret_n);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        for (size_t i = 0; i < *ret_n; i++) {
                if (ctl->command.json)
                        put_json(&ctl->out, &rows[i]);
                else
                        put_text(&ctl->out, &rows[i]);
                query->has_after = true;
                query->after_sec = rows[i].time_sec;
                query->after_id = rows[i].id;
        }
        arena_reset(&ctl->arena);
        return ctl_print(ctl);
}

static int print_pages(Ctl *ctl, StoreAuditQuery *query) {
        int64_t limit = query->limit, n_printed = 0;
        size_t n = 0;
        int r;

        do {
                query->limit = limit == 0 ? PAGE_ROWS : MIN(limit - n_printed, (int64_t)PAGE_ROWS);
                r = print_page(ctl, query, &n);
                if (r != EXIT_DONE)
                        return r;
                n_printed += (int64_t)n;
        } while ((int64_t)n == query->limit && n_printed != limit);
        if (!ctl->command.json && n_printed == limit)
                (void)fputs("There may be more: --limit=0 for all.\n", stderr);
        return EXIT_DONE;
}

int verb_audit(Ctl *ctl) {
        StoreAuditQuery query = {.limit = 0};
        int r;

        r = read_query(ctl, &query);
        if (r == EXIT_DONE)
                r = ctl_open(ctl, CTL_READ);
        return r == EXIT_DONE ? print_pages(ctl, &query) : r;
}
