/* SPDX-License-Identifier: MIT */
#pragma once

/* What the route table does not say of the API, as tables for openapi.c. */

#include <stdbool.h>
#include <stddef.h>

#define OPENAPI_FIELDS_MAX 10u

typedef enum OpenapiType {
        OPENAPI_TEXT,
        OPENAPI_ID,    /* an integer from 1 */
        OPENAPI_COUNT, /* an integer from 0 */
        OPENAPI_BOOLEAN,
        OPENAPI_TIME, /* of the API's form */
        OPENAPI_OBJECT,
        OPENAPI_FILE,
        OPENAPI_SCHEMA,  /* the schema `of` */
        OPENAPI_SCHEMAS, /* an array of it */
} OpenapiType;

typedef struct OpenapiField {
        const char *name; /* NULL: there are no more */
        OpenapiType type;
        bool optional;
        bool nullable;
        unsigned max;         /* characters of a text, rows of an array; 0: not said */
        const char *words[3]; /* of a text: there are no others */
        const char *of;
        const char *about; /* NULL: nothing */
} OpenapiField;

typedef struct OpenapiSchema {
        const char *name;
        bool sent;             /* by clients: fields that are not listed are ignored */
        const char *one_of[3]; /* of these optional fields at least one is there */
        OpenapiField fields[OPENAPI_FIELDS_MAX];
} OpenapiSchema;

enum {
        OPENAPI_LIST = 1 << 0,     /* gives an array, by pages */
        OPENAPI_ETAG = 1 << 1,     /* the answer has one */
        OPENAPI_IF_MATCH = 1 << 2, /* takes it, and If-None-Match: 412 */
        OPENAPI_METRICS = 1 << 3,  /* gives text for Prometheus */
        OPENAPI_ONCE = 1 << 4,     /* takes Idempotency-Key: 409, 422 */
        OPENAPI_KNOWN = 1 << 5,    /* takes If-None-Match: 304 */
};

typedef struct OpenapiOperation {
        const char *name; /* HttpRoute.name */
        const char *summary;
        int status;        /* when all is well */
        const char *takes; /* schema of the body; NULL: none */
        const char *gives; /* schema of the answer, or of the items of its array; NULL: no body */
        unsigned traits;
        const char *filters[4]; /* in openapi_parameters */
        int refusals[3];        /* statuses beyond those that every such route has */
} OpenapiOperation;

/* A field of a request's header. */
typedef struct OpenapiRequestField {
        unsigned trait; /* which operations take it */
        OpenapiField field;
} OpenapiRequestField;

/* A field of an answer's header. */
typedef struct OpenapiHeader {
        const char *name;
        OpenapiType type;
        const char *about;
} OpenapiHeader;

extern const OpenapiSchema openapi_schemas[];
extern const size_t n_openapi_schemas;
extern const OpenapiField openapi_parameters[]; /* of queries */
extern const size_t n_openapi_parameters;
extern const OpenapiRequestField openapi_request_fields[];
extern const size_t n_openapi_request_fields;
extern const OpenapiHeader openapi_headers[];
extern const size_t n_openapi_headers;
extern const OpenapiOperation openapi_operations[];
extern const size_t n_openapi_operations;
