/* SPDX-License-Identifier: MIT */

/*
 * The window of a list. Unparsable numbers fall back to the defaults; negative ones and those that
 * 64 bits do not hold are refused. Links are made from the request's own path and query, every byte
 * that could end a URI reference or a field escaped. Runs on a worker.
 */

#include <errno.h>
#include <stdatomic.h>

#include "api/paging.h"
#include "basic/number.h"
#include "http/query.h"

/* Bytes of other parameters. Four links repeat them, and nginx takes a head of 4 KB from us; with
 * more there is no Link. */
#define KEPT_MAX 512u
#define NO_ID    INT64_MAX /* no row has it */

/* 0; API_REFUSED: answered; -ENOMEM. *ret stays as it is unless a number was sent. */
static int read_number(Call *call, const char *name, const char *wrong, int64_t *ret) {
        Slice text;
        int64_t value;
        int r;

        r = http_query_get(&call->exchange->arena, call->exchange->request.query,
                           slice_from_string(name), &text);
        if (r <= 0)
                return r;
        r = number_parse_i64(text, &value);
        if (r == -EINVAL)
                return 0;
        if (r < 0 || value < 0) {
                r = call_problem(call, 400, wrong);
                return r < 0 ? r : API_REFUSED;
        }
        *ret = value;
        return 0;
}

/* Ids past what 64 bits hold stand beyond every row, on their side. */
static int parse_id(Slice text, int64_t *ret) {
        int r = number_parse_i64(text, ret);

        if (r == -ERANGE) {
                *ret = text.data[0] == '-' ? INT64_MIN : NO_ID;
                return 0;
        }
        return r;
}

static int read_after(Call *call, StoreQuery *query) {
        Slice text;
        int r;

        r = http_query_get(&call->exchange->arena, call->exchange->request.query, SLICE("after"),
                           &text);
        if (r <= 0)
                return r;
        query->has_after = parse_id(text, &query->after) == 0;
        return 0;
}

int paging_read(Call *call, Paging *ret) {
        Paging paging = {.page = 1, .per_page = PAGING_DEFAULT};
        int r;

        r = read_number(call, "page", "page must be a positive integer", &paging.page);
        if (r != 0)
                return r;
        r = read_number(call, "per_page", "per_page must be a positive integer", &paging.per_page);
        if (r != 0)
                return r;
        r = read_after(call, &paging.query);
        if (r < 0)
                return r;

        paging.page = MAX(paging.page, 1);
        paging.per_page = MIN(paging.per_page, PAGING_MAX);
        paging.query.limit = paging.per_page > 0 ? paging.per_page + 1 : 0;
        if (!paging.query.has_after &&
            __builtin_mul_overflow(paging.page - 1, paging.per_page, &paging.query.offset)) {
                /* No list is that long. */
                paging.query.offset = 0;
                paging.query.limit = 0;
        }
        *ret = paging;
        return 0;
}

int paging_filter_id(Call *call, const char *name, const char *wrong, bool *ret_has, int64_t *ret) {
        Slice text;
        int r;

        r = http_query_get(&call->exchange->arena, call->exchange->request.query,
                           slice_from_string(name), &text);
        if (r <= 0)
                return r;
        if (parse_id(text, ret) < 0) {
                r = call_problem(call, 400, wrong);
                return r < 0 ? r : API_REFUSED;
        }
        *ret_has = true;
        if (*ret < 1)
                *ret = NO_ID;
        return 0;
}

/* ---- pages far down ---- */

static atomic_flag walking = ATOMIC_FLAG_INIT; /* a worker is on its way to one */

static bool is_far(const Call *call, const Paging *paging) {
        return call->actor.bound && paging->query.offset > PAGING_NEAR;
}

int paging_begin(Call *call, const Paging *paging) {
        int r;

        if (!is_far(call, paging) || !atomic_flag_test_and_set(&walking))
                return 0;
        http_response_field(&call->exchange->response, "Retry-After", SLICE("1"));
        r = call_problem(call, 429, problem_generic_text(429));
        return r < 0 ? r : API_REFUSED;
}

void paging_end(const Call *call, const Paging *paging) {
        if (is_far(call, paging))
                atomic_flag_clear(&walking);
}

size_t paging_cut(Paging *paging, size_t n) {
        paging->has_next = n > (size_t)paging->per_page;
        return paging->has_next ? (size_t)paging->per_page : n;
}

/* ---- Link ---- */

typedef struct Links {
        Buffer field;
        const Call *call;
        const Paging *paging;
        Slice kept; /* the other parameters, escaped, each with a '&' behind it */
} Links;

/* Copies what is part of a path or query as it was sent; '%' and what it escapes stay. */
static void append_escaped(Buffer *out, Slice s) {
        static const char hex[] = "0123456789ABCDEF";

        for (size_t i = 0; i < s.len; i++) {
                unsigned char c = (unsigned char)s.data[i];

                if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c != '\0' && strchr("-._~/%+=:@", c))) {
                        buffer_append_byte(out, (char)c);
                        continue;
                }
                buffer_append_byte(out, '%');
                buffer_append_byte(out, hex[c >> 4]);
                buffer_append_byte(out, hex[c & 15]);
        }
}

/* Is this "name=value" one of those that a link sets itself? -ENOMEM. */
static int is_window_parameter(Arena *arena, Slice pair) {
        static const char *const names[] = {"page", "per_page", "after"};
        Slice value;
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(names) && r == 0; i++)
                r = http_query_get(arena, pair, slice_from_string(names[i]), &value);
        return r;
}

/* The other parameters; out->len may pass KEPT_MAX by one of them. */
static int keep_parameters(Call *call, Buffer *out) {
        Slice rest = call->exchange->request.query, pair;
        int r;

        while (rest.len > 0 && out->len <= KEPT_MAX) {
                (void)slice_cut(rest, '&', &pair, &rest);
                if (pair.len == 0)
                        continue;
                r = is_window_parameter(&call->exchange->arena, pair);
                if (r < 0)
                        return r;
                if (r > 0)
                        continue;
                append_escaped(out, pair);
                buffer_append_byte(out, '&');
        }
        return 0;
}

static void append_link(Links *links, const char *relation, const char *name, int64_t value) {
        Buffer *out = &links->field;

        if (out->len > 0)
                buffer_append(out, SLICE(", "));
        buffer_append_byte(out, '<');
        append_escaped(out, links->call->exchange->request.path);
        buffer_append_byte(out, '?');
        buffer_append(out, links->kept);
        buffer_printf(out, "%s=%lld&per_page=%lld>; rel=\"%s\"", name, (long long)value,
                      (long long)links->paging->per_page, relation);
}

static void append_links(Links *links, int64_t last_id, int64_t total) {
        const Paging *paging = links->paging;
        int64_t last_page = MAX(1, total / paging->per_page + (total % paging->per_page != 0));

        append_link(links, "first", "page", 1);
        if (paging->query.has_after) {
                if (paging->has_next)
                        append_link(links, "next", "after", last_id);
                return;
        }
        if (paging->page > 1)
                append_link(links, "prev", "page",
                            total >= 0 ? MIN(paging->page - 1, last_page) : paging->page - 1);
        if (paging->has_next)
                append_link(links, "next", "page", paging->page + 1);
        if (total >= 0)
                append_link(links, "last", "page", last_page);
}

int paging_fields(Call *call, const Paging *paging, int64_t last_id, int64_t total) {
        HttpResponse *response = &call->exchange->response;
        _cleanup_(buffer_done) Buffer kept = BUFFER_EMPTY;
        Links links = {.field = BUFFER_EMPTY, .call = call, .paging = paging};
        char digits[NUMBER_U64_SIZE];
        int r;

        if (total >= 0)
                http_response_field(response, "X-Total-Count",
                                    slice_make(digits, number_format_u64((uint64_t)total, digits)));
        if (paging->per_page == 0)
                return 0;

        r = keep_parameters(call, &kept);
        if (r < 0)
                return r;
        if (kept.len > KEPT_MAX)
                return 0;
        links.kept = buffer_slice(&kept);
        append_links(&links, last_id, total);
        if (links.field.failed || kept.failed)
                response->head.failed = true;
        else
                http_response_field(response, "Link", buffer_slice(&links.field));
        buffer_done(&links.field);
        return response->head.failed ? -ENOMEM : 0;
}
