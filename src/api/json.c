/* SPDX-License-Identifier: MIT */

/*
 * Bodies of requests. The tree is jansson's and lives as long as its JsonBody. A number is a string
 * with a mark (json-scan.h), so nothing but kind_of() may ask jansson what a value is. Which field
 * is checked when, and with which words, is the caller's. Runs on a worker.
 */

#include <errno.h>
#include <jansson.h>

#include "api/json-scan.h"
#include "api/json.h"
#include "basic/utf8.h"
#include "model/details.h"
#include "model/text.h"
#include "model/types.h"

typedef enum Kind {
        KIND_MISSING,
        KIND_NULL,
        KIND_BOOLEAN,
        KIND_NUMBER,
        KIND_STRING,
        KIND_ARRAY,
        KIND_OBJECT,
} Kind;

const JsonId json_user_id = {
                .name = "user_id",
                .wrong = "user_id must be an integer",
                .negative = "user_id must be a positive integer",
};

const JsonId json_url_id = {
                .name = "url_id",
                .required = "url_id is required",
                .wrong = "url_id must be an integer",
                .negative = "url_id must be a positive integer",
};

static bool is_marked_number(const json_t *string) {
        return json_string_length(string) > 0 && json_string_value(string)[0] == JSON_NUMBER_MARK;
}

static Kind kind_of(const json_t *value) {
        if (!value)
                return KIND_MISSING;
        switch (json_typeof(value)) {
        case JSON_OBJECT:
                return KIND_OBJECT;
        case JSON_ARRAY:
                return KIND_ARRAY;
        case JSON_STRING:
                return is_marked_number(value) ? KIND_NUMBER : KIND_STRING;
        case JSON_TRUE:
        case JSON_FALSE:
                return KIND_BOOLEAN;
        case JSON_INTEGER: /* the scan leaves none */
        case JSON_REAL:
        case JSON_NULL:
        default:
                return KIND_NULL;
        }
}

static Slice text_of(const json_t *value) {
        Slice s = slice_make(json_string_value(value), json_string_length(value));

        return kind_of(value) == KIND_NUMBER ? slice_from(s, 1) : s;
}

/* ---- the body as a whole ---- */

/* A subtype's characters (RFC 6838, section 4.2). */
static bool is_subtype(Slice s) {
        for (size_t i = 0; i < s.len; i++) {
                char c = s.data[i];
                bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                    (c >= 'A' && c <= 'Z');

                if (!alphanumeric && (c == '\0' || !strchr("!#$&-^_.+", c)))
                        return false;
        }
        return s.len > 0;
}

/* application/json or application/...+json, with or without parameters. */
static bool is_json_type(Slice field) {
        const Slice prefix = SLICE("application/"), suffix = SLICE("+json");
        Slice type, parameters, subtype;

        (void)slice_cut(field, ';', &type, &parameters);
        type = slice_trim(type);
        if (!slice_starts_with_nocase(type, prefix))
                return false;
        subtype = slice_from(type, prefix.len);
        if (slice_equal_nocase(subtype, SLICE("json")))
                return true;
        return subtype.len > suffix.len && is_subtype(subtype) &&
               slice_equal_nocase(slice_from(subtype, subtype.len - suffix.len), suffix);
}

static int refuse(Call *call, const char *text) {
        int r = call_problem(call, 400, text);

        return r < 0 ? r : API_REFUSED;
}

static int load(Slice text, json_t **ret) {
        json_error_t error;
        json_t *root = json_loadb(text.data ? text.data : "", text.len, JSON_ALLOW_NUL, &error);

        if (root) {
                *ret = root;
                return 0;
        }
        /* jansson does not name every allocation that failed: "unknown" is one, too. */
        if (json_error_code(&error) == json_error_out_of_memory ||
            json_error_code(&error) == json_error_unknown)
                return -ENOMEM;
        return -EINVAL;
}

int json_body_read(Call *call, JsonBody *ret) {
        const HttpRequest *request = &call->exchange->request;
        _cleanup_(buffer_done) Buffer copy = BUFFER_EMPTY;
        json_t *root = NULL;
        bool bad_text = false;
        int r;

        if (!is_json_type(request->known[HTTP_FIELD_CONTENT_TYPE]))
                return refuse(call, "Content-Type must be application/json");

        if (json_scan(request->body, JSON_DEPTH_MAX, &copy, &bad_text)) {
                if (copy.failed)
                        return -ENOMEM;
                r = load(buffer_slice(&copy), &root);
                if (r == -ENOMEM)
                        return r;
        }
        if (kind_of(root) != KIND_OBJECT || bad_text) {
                bool is_object = kind_of(root) == KIND_OBJECT;

                json_decref(root);
                return refuse(call, is_object ? problem_generic_text(400)
                                              : "Request body must be a JSON object");
        }
        ret->root = root;
        return 0;
}

void json_body_done(JsonBody *body) {
        json_decref(body->root);
        body->root = NULL;
}

bool json_has(const JsonBody *body, const char *name) {
        return json_object_get(body->root, name);
}

/* ---- texts ---- */

const char *json_check_text(const JsonText *text, Slice raw, Slice *ret) {
        switch (text_check(raw, ret)) {
        case TEXT_OK:
                return !text->valid || text->valid(*ret) ? NULL : text->invalid;
        case TEXT_BLANK:
                *ret = SLICE_NONE;
                return text->blank;
        case TEXT_TOO_LONG:
                return text->too_long;
        case TEXT_INVALID:
        default:
                return text->invalid;
        }
}

int json_get_text(const JsonBody *body, const JsonText *text, Slice *ret, Problem *ret_problem) {
        const json_t *value = json_object_get(body->root, text->name);
        Kind kind = kind_of(value);
        const char *mistake;
        Slice checked;

        if (!text->blank && (kind == KIND_MISSING || kind == KIND_NULL)) {
                *ret = SLICE_NONE;
                return 0;
        }
        mistake = kind == KIND_STRING ? json_check_text(text, text_of(value), &checked)
                                      : text->wrong;
        if (mistake)
                return reply_problem(ret_problem, 400, mistake);
        *ret = checked;
        return 0;
}

Slice json_get_first_string(const JsonBody *body, const char *const *names, size_t n_names) {
        for (size_t i = 0; i < n_names; i++) {
                const json_t *value = json_object_get(body->root, names[i]);
                Kind kind = kind_of(value);

                if (kind == KIND_MISSING || kind == KIND_NULL)
                        continue;
                if (kind != KIND_STRING)
                        return SLICE_NONE;
                if (json_string_length(value) > 0)
                        return text_of(value);
        }
        return SLICE_NONE;
}

int json_get_boolean(const JsonBody *body, const char *name, const char *wrong, bool *ret,
                     Problem *ret_problem) {
        const json_t *value = json_object_get(body->root, name);

        if (kind_of(value) != KIND_BOOLEAN)
                return reply_problem(ret_problem, 400, wrong);
        *ret = json_is_true(value);
        return 0;
}

/* ---- integers ---- */

/* value * 10^zeros * 10 + digit; false: too large. */
static bool append_digit(uint64_t *value, size_t zeros, uint64_t digit) {
        if (*value == 0)
                zeros = 0;
        for (; zeros > 0; zeros--) {
                if (__builtin_mul_overflow(*value, 10u, value))
                        return false;
        }
        return !__builtin_mul_overflow(*value, 10u, value) &&
               !__builtin_add_overflow(*value, digit, value);
}

/* The exponent behind an 'e', held at bounds that no value survives. */
static int64_t parse_exponent(Slice s) {
        const int64_t limit = INT32_MAX;
        bool negative = slice_starts_with(s, SLICE("-"));
        int64_t value = 0;

        for (size_t i = 0; i < s.len; i++) {
                if (s.data[i] >= '0' && s.data[i] <= '9')
                        value = MIN(limit, value * 10 + (s.data[i] - '0'));
        }
        return negative ? -value : value;
}

/* A JSON number (valid ones only) as an integer, exactly: 100e-2 is 1. -EINVAL: it has a fraction;
 * -ERANGE: 64 bits do not hold it. */
static int parse_whole(Slice number, int64_t *ret) {
        bool negative = slice_starts_with(number, SLICE("-")), in_fraction = false;
        int64_t scale = 0; /* of value: powers of ten that are still to be applied */
        size_t zeros = 0;  /* read, but not yet in value */
        uint64_t value = 0;

        for (size_t i = negative; i < number.len; i++) {
                char c = number.data[i];

                if (c == 'e' || c == 'E') {
                        scale += parse_exponent(slice_from(number, i + 1));
                        break;
                }
                if (c == '.') {
                        in_fraction = true;
                        continue;
                }
                scale -= in_fraction;
                if (c == '0') {
                        zeros++;
                        continue;
                }
                if (!append_digit(&value, zeros, (uint64_t)(c - '0')))
                        return -ERANGE;
                zeros = 0;
        }
        scale += (int64_t)zeros;
        if (value != 0 && scale < 0)
                return -EINVAL;
        for (; value != 0 && scale > 0; scale--) {
                if (__builtin_mul_overflow(value, 10u, &value))
                        return -ERANGE;
        }
        if (value > (uint64_t)INT64_MAX + negative)
                return -ERANGE;
        *ret = (int64_t)(negative ? 0 - value : value);
        return 0;
}

int json_get_id(const JsonBody *body, const JsonId *id, int64_t *ret, Problem *ret_problem) {
        const json_t *value = json_object_get(body->root, id->name);
        Kind kind = kind_of(value);
        int64_t parsed;

        if (kind == KIND_MISSING || kind == KIND_NULL) {
                if (id->required)
                        return reply_problem(ret_problem, 400, id->required);
                *ret = 0;
                return 0;
        }
        if (kind != KIND_NUMBER || parse_whole(text_of(value), &parsed) < 0)
                return reply_problem(ret_problem, 400, id->wrong);
        if (parsed < 1)
                return reply_problem(ret_problem, 400, id->negative);
        *ret = parsed;
        return 0;
}

/* ---- objects ---- */

static int compare_names(const void *a, const void *b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int write_value(Buffer *out, Arena *arena, json_t *value);

static int write_string(Buffer *out, Slice s) {
        if (utf8_has_control(s))
                return -EINVAL;
        details_append_string(out, s);
        return 0;
}

static int write_array(Buffer *out, Arena *arena, json_t *array) {
        json_t *value;
        size_t i;
        int r;

        buffer_append_byte(out, '[');
        json_array_foreach(array, i, value) {
                if (i > 0)
                        buffer_append_byte(out, ',');
                r = write_value(out, arena, value);
                if (r < 0)
                        return r;
        }
        buffer_append_byte(out, ']');
        return 0;
}

static int write_object(Buffer *out, Arena *arena, json_t *object) {
        size_t n = json_object_size(object), i = 0;
        const char **names = arena_new(arena, const char *, n);
        const char *name;
        json_t *value;
        int r;

        if (!names)
                return -ENOMEM;
        json_object_foreach(object, name, value) {
                names[i++] = name;
        }
        qsort(names, n, sizeof(*names), compare_names);

        buffer_append_byte(out, '{');
        for (i = 0; i < n; i++) {
                if (i > 0)
                        buffer_append_byte(out, ',');
                r = write_string(out, slice_from_string(names[i]));
                if (r < 0)
                        return r;
                buffer_append_byte(out, ':');
                r = write_value(out, arena, json_object_get(object, names[i]));
                if (r < 0)
                        return r;
        }
        buffer_append_byte(out, '}');
        return 0;
}

/* Recursion ends at JSON_DEPTH_MAX. -EINVAL: a string has a control character. */
static int write_value(Buffer *out, Arena *arena, json_t *value) {
        switch (kind_of(value)) {
        case KIND_OBJECT:
                return write_object(out, arena, value);
        case KIND_ARRAY:
                return write_array(out, arena, value);
        case KIND_STRING:
                return write_string(out, text_of(value));
        case KIND_NUMBER:
                buffer_append(out, text_of(value));
                return 0;
        case KIND_BOOLEAN:
                buffer_append(out, json_is_true(value) ? SLICE("true") : SLICE("false"));
                return 0;
        case KIND_MISSING:
        case KIND_NULL:
        default:
                buffer_append(out, SLICE("null"));
                return 0;
        }
}

int json_get_object(const JsonBody *body, const char *name, const char *wrong, Arena *arena,
                    Slice *ret, Problem *ret_problem) {
        _cleanup_(buffer_done) Buffer text = BUFFER_EMPTY;
        json_t *value = json_object_get(body->root, name);
        Kind kind = kind_of(value);
        Slice canonical;
        int r;

        if (kind == KIND_MISSING || kind == KIND_NULL) {
                *ret = SLICE_NONE;
                return 0;
        }
        if (kind != KIND_OBJECT)
                return reply_problem(ret_problem, 400, wrong);
        r = write_object(&text, arena, value);
        if (r == -EINVAL || (r == 0 && text.len > MODEL_DETAILS_MAX))
                return reply_problem(ret_problem, 400, problem_generic_text(400));
        if (r < 0 || text.failed)
                return -ENOMEM;
        canonical = arena_dup(arena, buffer_slice(&text));
        if (!canonical.data)
                return -ENOMEM;
        *ret = canonical;
        return 0;
}
