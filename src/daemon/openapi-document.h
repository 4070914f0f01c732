/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The OpenAPI document while it is made: what openapi.c and openapi-schemas.c write with. Whoever
 * runs out of memory notes it, and openapi_write() looks at the end.
 */

#include <stdio.h>

#include <jansson.h>

#include "basic/check.h"
#include "daemon/openapi-tables.h"
#include "http/router.h"

#define REFERENCE_MAX 96u /* bytes */

typedef struct Document {
        json_t *root;
        const HttpRoute *routes;
        size_t n_routes;
        bool failed; /* memory */
} Document;

/* Takes value over. */
static inline void put(Document *document, json_t *object, const char *key, json_t *value) {
        if (json_object_set_new(object, key, value) < 0)
                document->failed = true;
}

static inline void put_text(Document *document, json_t *object, const char *key, const char *text) {
        put(document, object, key, json_string(text));
}

static inline void add(Document *document, json_t *array, json_t *value) {
        if (json_array_append_new(array, value) < 0)
                document->failed = true;
}

/* {"$ref": "#/components/KIND/NAME"} */
static inline json_t *reference(const char *kind, const char *name) {
        char text[REFERENCE_MAX];
        int n = snprintf(text, sizeof text, "#/components/%s/%s", kind, name);

        CHECK(n > 0 && (size_t)n < sizeof text);
        return json_pack("{s:s}", "$ref", text);
}

/* Both give what may be NULL, as jansson's functions do, and take it. */
json_t *openapi_field_schema(Document *document, const OpenapiField *field);
json_t *openapi_schema(Document *document, const OpenapiSchema *row);
