/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a handler sees: the request, whole, and the response that it fills. Both live in an
 * HttpExchange, which a connection makes for everything but a cached redirect, lends to a worker
 * and takes back.
 */

#include "basic/arena.h"
#include "basic/buffer.h"
#include "http/types.h"

typedef struct HttpRequest {
        HttpMethod method;
        Slice head;       /* raw: the request line and all fields */
        Slice path;       /* raw, as sent, without the query */
        Slice query;      /* raw, without '?' */
        Slice body;       /* whole; bodies over 64 KB are a mapped temporary file */
        Slice remote;     /* text of the client's address (see design http.md), "" when unknown */
        Slice request_id; /* the client's valid one, or ours */
        Slice known[HTTP_FIELD_NAMES];   /* data == NULL where the field was not sent */
        bool repeated[HTTP_FIELD_NAMES]; /* it came again; known has the first value */
} HttpRequest;

typedef struct HttpResponse {
        int status;         /* 0: not answered yet */
        Slice content_type; /* data == NULL: application/json when there is a body */
        Buffer head;        /* further field lines, each with its CRLF */
        Buffer body;
} HttpResponse;

typedef struct HttpExchange {
        HttpRequest request;
        HttpResponse response;
        Arena arena;
        void *owner; /* the server's owner keeps what it likes here, e.g. its Call */
} HttpExchange;

/* The last field of *rest, a head's first bytes, which become those before it. name is in any case
 * and has its colon. false: there is none. */
bool http_take_field(Slice *rest, Slice name, Slice *ret_value) _must_check_;

/* One more response field; name and value are the caller's to have checked. */
void http_response_field(HttpResponse *response, const char *name, Slice value);
