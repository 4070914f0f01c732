/* SPDX-License-Identifier: MIT */

/*
 * What can be said of a request before a worker is taken: whether the API asks for tokens at all,
 * whether one was sent, or a page of another site did, and whether the client's or the token's
 * budget has something left.
 */

#include <systemd/sd-daemon.h>

#include "api/access.h"
#include "daemon/manager.h"
#include "http/origin.h"
#include "model/problem.h"
#include "sys/listen.h"
#include "token/token.h"

enum {
        ACCESS_AUTO, /* the order of [API] Access='s choices */
        ACCESS_OPEN,
        ACCESS_TOKEN,
};

/* Only this host can reach what we listen on, and nobody stands between. */
static bool only_local(const Manager *manager) {
        char *const *listen = manager->options.server.listen;

        if (sd_listen_fds(0) > 0)
                return false;
        for (size_t i = 0; listen[i]; i++)
                if (!socket_listen_local(listen[i]))
                        return false;
        return true;
}

void manager_find_access(Manager *manager) {
        int access = manager->options.api.access;

        if (access == ACCESS_AUTO)
                access = only_local(manager) ? ACCESS_OPEN : ACCESS_TOKEN;
        manager->asks_tokens = access == ACCESS_TOKEN;
        manager->context.authenticate = manager->asks_tokens ? api_authenticate : NULL;
        log_notice("the API is %s", manager->asks_tokens ? "for those who have a token"
                                                         : "open to all who can reach it");
}

static Slice authorization(const HttpExchange *exchange) {
        return exchange->request.known[HTTP_FIELD_AUTHORIZATION];
}

/* A change that a page of another site makes somebody's browser ask for, who happens to be where no
 * token is needed. Forms need nobody's consent for that (no preflight of CORS). */
static bool is_foreign(const Manager *manager, const HttpExchange *exchange,
                       const HttpRoute *route) {
        Slice base_url = slice_from_string(manager->options.server.base_url);

        return !manager->asks_tokens && route->method != HTTP_GET &&
               http_from_elsewhere(&exchange->request, base_url);
}

bool manager_takes_large(const Manager *manager, const HttpExchange *exchange,
                         const HttpRoute *route) {
        Slice text;

        return manager->asks_tokens ? api_token(&exchange->request, &text)
                                    : !is_foreign(manager, exchange, route);
}

static void challenge(HttpExchange *exchange) {
        HttpResponse *response = &exchange->response;

        response->status = 401;
        http_response_field(response, "WWW-Authenticate", SLICE("Bearer"));
        buffer_printf(&response->body, "{\"error\":\"%s\"}\n", problem_generic_text(401));
}

static void forbid(HttpExchange *exchange) {
        exchange->response.status = 403;
        buffer_printf(&exchange->response.body, "{\"error\":\"%s\"}\n", problem_generic_text(403));
}

bool manager_is_guarded(const Manager *manager, const HttpExchange *exchange,
                        const HttpRoute *route) {
        unsigned char address[16];
        AddressPrefix loopback[2] = {{.bits = 104}, {.bits = 128}};
        Slice remote = exchange->request.remote;

        if (!manager->asks_tokens || !(route->flags & HTTP_ROUTE_GUARDED) || remote.len == 0)
                return false;
        if (address_parse(remote, address) < 0)
                return true;
        CHECK(address_parse(SLICE("127.0.0.1"), loopback[0].bytes) == 0 &&
              address_parse(SLICE("::1"), loopback[1].bytes) == 0);
        return !address_prefix_has(loopback, remote) && !address_prefix_has(loopback + 1, remote);
}

bool manager_admits(Manager *manager, HttpExchange *exchange, const HttpRoute *route) {
        LimitBudget budget = route->method == HTTP_GET ? LIMIT_READ : LIMIT_CREATE;
        uint8_t digest[TOKEN_DIGEST_SIZE];
        Front *front = &manager->front;
        Slice text;

        if (is_foreign(manager, exchange, route)) {
                forbid(exchange);
                return false;
        }
        if (!manager->asks_tokens)
                return front_limit_take(front, exchange, budget, NULL);
        if (!front_limit_look(front, exchange, LIMIT_FAILED_AUTH))
                return false;
        if (!api_token(&exchange->request, &text)) {
                /* What is no token by its looks was a try, too. */
                if (authorization(exchange).len == 0 ||
                    front_limit_take(front, exchange, LIMIT_FAILED_AUTH, NULL))
                        challenge(exchange);
                return false;
        }
        token_digest(text, digest);
        return front_limit_take(front, exchange, budget, digest);
}
