/* SPDX-License-Identifier: MIT */

/* /health, /ready and /metrics: what operators and their machines ask. Answered at once, whatever
 * the store does. */

#include "front/front.h"

void front_health(Front *front, HttpExchange *exchange) {
        HttpResponse *response = &exchange->response;

        response->status = 200;
        http_response_field(response, "X-Instance", slice_from_string(front->instance));
        http_response_field(response, "Cache-Control", SLICE("no-store"));
        buffer_append(&response->body,
                      store_is_reachable(front->store)
                                      ? SLICE("{\"database\":\"connected\",\"status\":\"ok\"}\n")
                                      : SLICE("{\"database\":\"disconnected\",\"status\":"
                                              "\"degraded\"}\n"));
}

void front_ready(Front *front, HttpExchange *exchange) {
        HttpResponse *response = &exchange->response;
        bool ready = !front->draining && store_is_reachable(front->store);
        char why[STORE_WHY_SIZE];

        response->status = ready ? 200 : 503;
        http_response_field(response, "X-Instance", slice_from_string(front->instance));
        http_response_field(response, "Cache-Control", SLICE("no-store"));
        if (!ready)
                http_response_field(response, "Retry-After", SLICE("1"));
        if (!ready && !front->draining && store_unfit(front->store, why, sizeof why))
                buffer_printf(&response->body, "{\"error\":\"Service unavailable: store: %s\"}\n",
                              why);
        else
                buffer_append(&response->body,
                              ready ? SLICE("{\"status\":\"ready\"}\n")
                                    : SLICE("{\"error\":\"Service unavailable\"}\n"));
}

void front_metrics(Front *front, HttpExchange *exchange) {
        HttpResponse *response = &exchange->response;

        metrics_collect_process(front->metrics);
        response->status = 200;
        response->content_type = SLICE("text/plain; version=0.0.4; charset=utf-8");
        metrics_render(front->metrics, &response->body);
}
