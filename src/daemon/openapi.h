/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The OpenAPI 3.1 document of the API. Paths, methods, path parameters, limits of bodies, access
 * and what follows from them come from the route table; schemas, filters and words from the tables
 * of openapi-tables.c, which are by the names of routes.
 */

#include "basic/buffer.h"
#include "http/router.h"

/* Appends the document and a newline: keys sorted, the same bytes for the same tables. -ENOMEM;
 * -EINVAL: a route that no row of openapi_operations describes, or a row of no route. After an
 * error out is of no use. */
int openapi_write(const HttpRoute *routes, size_t n, Buffer *out) _must_check_;
