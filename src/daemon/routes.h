/* SPDX-License-Identifier: MIT */
#pragma once

/* The route table: the only list of routes. Router, metrics' labels, reserved words, the manual's
 * check and the OpenAPI document come from it. */

#include "http/router.h"

/* Handlers that run on the loop (HttpRoute.loop). */
enum {
        ROUTE_HEALTH,
        ROUTE_READY,
        ROUTE_METRICS,
};

extern const HttpRoute routes[];
extern const size_t n_routes;
