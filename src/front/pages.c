/* SPDX-License-Identifier: MIT */

/* /health, /ready and /metrics: what operators and their machines ask. Answered at once, whatever
 * the store does. */

#include "front/front.h"

/* The breaker is closed, and not because nobody has asked since the server fell silent. */
static bool is_connected(const Front *front) {
        return store_is_up(front->store) && store_sight(front->store) != STORE_SIGHT_NONE;
}

void front_health(Front *front, HttpExchange *exchange) {
        HttpResponse *response = &exchange->response;

        response->status = 200;
        http_response_field(response, "X-Instance", slice_from_string(front->instance));
        http_response_field(response, "Cache-Control", SLICE("no-store"));
        buffer_append(&response->body,
                      is_connected(front)
                                      ? SLICE("{\"database\":\"connected\",\"status\":\"ok\"}\n")
                                      : SLICE("{\"database\":\"disconnected\",\"status\":"
                                              "\"degraded\"}\n"));
}

void front_ready(Front *front, HttpExchange *exchange) {
        HttpResponse *response = &exchange->response;
        bool ready = !front->draining && is_connected(front);

        response->status = ready ? 200 : 503;
        http_response_field(response, "X-Instance", slice_from_string(front->instance));
        http_response_field(response, "Cache-Control", SLICE("no-store"));
        if (!ready)
                http_response_field(response, "Retry-After", SLICE("1"));
        buffer_append(&response->body, ready ? SLICE("{\"status\":\"ready\"}\n")
                                             : SLICE("{\"error\":\"Service unavailable\"}\n"));
}

void front_metrics(Front *front, HttpExchange *exchange) {
        HttpResponse *response = &exchange->response;

        metrics_collect_process(front->metrics);
        response->status = 200;
        response->content_type = SLICE("text/plain; version=0.0.4; charset=utf-8");
        metrics_render(front->metrics, &response->body);
}
