/* SPDX-License-Identifier: MIT */

/*
 * Limits on the loop: who the client is, what is taken of its budgets, and the answer 429 with the
 * fields that say when to come again (RFC 6585, draft-ietf-httpapi-ratelimit-headers).
 */

#include <stdio.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "front/front.h"
#include "model/problem.h"
#include "sys/listen.h"

#define FIELD_MAX 96u /* bytes of a field's value */

/* A process on a Unix socket that names no client is of this host: nobody limits it. Names that are
 * no addresses cannot be told apart. */
static bool find_client(Slice remote, LimitClient *ret) {
        unsigned char address[16];

        if (remote.len == 0)
                return false;
        *ret = address_parse(remote, address) < 0 ? limit_client_unknown()
                                                  : limit_client_address(address);
        return true;
}

static uint64_t seconds_up(uint64_t usec) {
        return (usec + USEC_PER_SEC - 1) / USEC_PER_SEC;
}

static void add_fields(HttpResponse *response, LimitBudget budget, const LimitAnswer *answer) {
        const char *name = limit_budget_name(budget);
        char text[FIELD_MAX];
        int n;

        n = snprintf(text, sizeof text, "\"%s\";q=%ju;w=%ju", name, (uintmax_t)answer->limit,
                     (uintmax_t)seconds_up(answer->span_usec));
        http_response_field(response, "RateLimit-Policy", slice_make(text, (size_t)n));
        n = snprintf(text, sizeof text, "\"%s\";r=%ju;t=%ju", name, (uintmax_t)answer->remaining,
                     (uintmax_t)seconds_up(answer->reset_usec));
        http_response_field(response, "RateLimit", slice_make(text, (size_t)n));
}

static void refuse(Front *front, HttpExchange *exchange, LimitBudget budget,
                   const LimitAnswer *answer) {
        uint64_t now = http_server_now(front->server), until = now + answer->retry_usec;
        HttpResponse *response = &exchange->response;
        char text[NUMBER_U64_SIZE];

        if (budget == LIMIT_MISSES)
                front_redirect_error(exchange, 429, problem_generic_text(429));
        else {
                response->status = 429;
                buffer_clear(&response->head);
                buffer_clear(&response->body);
                buffer_printf(&response->body, "{\"error\":\"%s\"}\n", problem_generic_text(429));
        }
        http_response_field(
                        response, "Retry-After",
                        slice_make(text, number_format_u64(MAX(seconds_up(answer->retry_usec), 1u),
                                                           text)));
        add_fields(response, budget, answer);
        if (budget == LIMIT_MISSES)
                limiter_refuse(front->limiter, until);
}

static bool limited(const Front *front, LimitBudget budget) {
        return front->limiter && limiter_limits(front->limiter, budget);
}

bool front_limit_take(Front *front, HttpExchange *exchange, LimitBudget budget,
                      const unsigned char *token) {
        LimitClient client;
        LimitAnswer answer;

        if (!limited(front, budget))
                return true;
        if (token)
                client = limit_client_token(token);
        else if (!find_client(exchange->request.remote, &client))
                return true;
        if (!limiter_take(front->limiter, budget, &client, http_server_now(front->server),
                          &answer)) {
                refuse(front, exchange, budget, &answer);
                return false;
        }
        if (budget == LIMIT_CREATE || budget == LIMIT_READ)
                add_fields(&exchange->response, budget, &answer);
        return true;
}

bool front_limit_owe(Front *front, HttpExchange *exchange, LimitBudget budget) {
        LimitClient client;
        LimitAnswer answer;

        if (!limited(front, budget) || !find_client(exchange->request.remote, &client) ||
            limiter_owe(front->limiter, budget, &client, http_server_now(front->server), &answer))
                return true;
        refuse(front, exchange, budget, &answer);
        return false;
}

bool front_limit_look(Front *front, HttpExchange *exchange, LimitBudget budget) {
        LimitClient client;
        LimitAnswer answer;

        if (!limited(front, budget) || !find_client(exchange->request.remote, &client))
                return true;
        if (limiter_look(front->limiter, budget, &client, http_server_now(front->server), &answer))
                return true;
        refuse(front, exchange, budget, &answer);
        return false;
}

bool front_limit_hit(Front *front, const HttpConn *conn, const HttpHead *head, const char *base) {
        uint64_t now = http_server_now(front->server);
        LimitClient client;
        LimitAnswer answer;

        if (!limited(front, LIMIT_MISSES))
                return false;
        limiter_forget_refused(front->limiter, now);
        return find_client(http_conn_remote(conn, head, base), &client) &&
               !limiter_peek(front->limiter, LIMIT_MISSES, &client, now, &answer);
}

/* ---- lookups that are out ---- */

uint32_t front_lookup_place(const Front *front, const HttpExchange *exchange) {
        LimitClient client;

        if (!limited(front, LIMIT_MISSES) || !find_client(exchange->request.remote, &client))
                return FRONT_NO_PLACE;
        return (uint32_t)(hash_keyed(&front->lookups_key,
                                     slice_make((const char *)client.bytes, sizeof client.bytes)) %
                          FRONT_LOOKUP_PLACES);
}

bool front_lookup_has_room(const Front *front, const HttpExchange *exchange, uint32_t place) {
        LimitClient client;
        LimitAnswer answer;

        if (place == FRONT_NO_PLACE || front->n_lookups[place] == 0 ||
            !limited(front, LIMIT_MISSES) || !find_client(exchange->request.remote, &client))
                return true;
        return !limiter_peek(front->limiter, LIMIT_MISSES, &client, http_server_now(front->server),
                             &answer) ||
               answer.remaining > front->n_lookups[place];
}

void front_lookup_count(Front *front, uint32_t place, int delta) {
        if (place != FRONT_NO_PLACE)
                front->n_lookups[place] += (uint32_t)delta;
}
