/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Bodies of requests: the checks that come before any field (content type, one JSON object), and
 * the fields themselves, each with the error texts of its caller. jansson builds the tree; numbers
 * are kept as the text that was sent, so that none is too large or loses digits.
 */

#include "api/reply.h"
#include "work/call.h"

#define JSON_DEPTH_MAX 16u /* objects and arrays inside each other, the outermost included */

struct json_t; /* jansson's */

typedef struct JsonBody {
        struct json_t *root; /* owned */
} JsonBody;

/* 0; API_REFUSED: the response says why; -ENOMEM. */
int json_body_read(Call *call, JsonBody *ret) _must_check_;
void json_body_done(JsonBody *body);

/* Is the field in the body, with whatever value? */
bool json_has(const JsonBody *body, const char *name);

/*
 * The getters. 0: *ret is set; API_REFUSED: *ret_problem says why; -ENOMEM where memory is needed.
 * Slices are borrowed from the body.
 */

/* A text that is trimmed, and the words for what may be wrong with it. */
typedef struct JsonText {
        const char *name;
        const char *wrong; /* missing, null or not a string */
        const char *blank; /* nothing left after trimming; NULL: missing, null and blank texts are
                            * no mistake but give SLICE_NONE */
        const char *too_long;   /* over MODEL_TEXT_MAX characters */
        const char *invalid;    /* not UTF-8, a control character, or valid() says no */
        bool (*valid)(Slice s); /* NULL: any text is */
} JsonText;
int json_get_text(const JsonBody *body, const JsonText *text, Slice *ret,
                  Problem *ret_problem) _must_check_;

/* The same for a text that is no JSON field: NULL, or what is wrong. *ret is set in every case. */
const char *json_check_text(const JsonText *text, Slice raw, Slice *ret);

/* An id: an integer or a whole float, at least 1. */
typedef struct JsonId {
        const char *name;
        const char *required; /* missing or null; NULL: that is no mistake but gives 0 */
        const char *wrong;    /* not an integer, or none that 64 bits hold */
        const char *negative; /* below 1 */
} JsonId;
extern const JsonId json_user_id; /* optional */
extern const JsonId json_url_id;  /* required */
int json_get_id(const JsonBody *body, const JsonId *id, int64_t *ret,
                Problem *ret_problem) _must_check_;

int json_get_boolean(const JsonBody *body, const char *name, const char *wrong, bool *ret,
                     Problem *ret_problem) _must_check_;

/* The untrimmed text of the first of the names whose value is neither missing nor null nor an empty
 * string; SLICE_NONE if there is none or it is not a string. */
Slice json_get_first_string(const JsonBody *body, const char *const *names, size_t n_names);

/* An object or null (and missing) as canonical JSON text in the arena; null: SLICE_NONE. */
int json_get_object(const JsonBody *body, const char *name, const char *wrong, Arena *arena,
                    Slice *ret, Problem *ret_problem) _must_check_;
