/* SPDX-License-Identifier: MIT */

/* Bodies, see the header. Any thread; no state. */

#include "alertd/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "basic/utf8.h"

#define UNKNOWN SLICE("unknown")

/* jansson reads recursively, up to a depth of its own that a small stack does not bear. */
static bool too_deep(Slice text) {
        bool quoted = false;
        size_t depth = 0;

        for (size_t i = 0; i < text.len; i++) {
                char c = text.data[i];

                if (quoted) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                quoted = false;
                } else if (c == '"')
                        quoted = true;
                else if (c == '[' || c == '{') {
                        if (++depth > BATCH_DEPTH_MAX)
                                return true;
                } else if ((c == ']' || c == '}') && depth > 0)
                        depth--;
        }
        return false;
}

static json_t *load(Slice text) {
        size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
        json_error_t error;
        json_t *root;

        if (text.len == 0 || too_deep(text))
                return NULL;
        root = json_loadb(text.data, text.len, flags, &error);
        if (!root && json_error_code(&error) == json_error_numeric_overflow)
                root = json_loadb(text.data, text.len, flags | JSON_DECODE_INT_AS_REAL, &error);
        return root;
}

/* ---- what is not JSON ---- */

static void append_clean(Slice text, Buffer *out) {
        for (size_t at = 0; at < text.len;) {
                size_t start = at;
                uint32_t c;

                if (utf8_next(text, &at, &c) < 0) {
                        buffer_append(out, SLICE("\xEF\xBF\xBD")); /* U+FFFD */
                        at++;
                } else
                        buffer_append(out, slice_sub(text, start, at));
        }
}

static void append_hex(Slice bytes, Buffer *out) {
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < bytes.len; i++) {
                unsigned char byte = (unsigned char)bytes.data[i];

                buffer_append_byte(out, digits[byte >> 4]);
                buffer_append_byte(out, digits[byte & 15]);
        }
}

static int set_text(json_t *object, const char *key, Slice body, void (*append)(Slice, Buffer *)) {
        Buffer text = BUFFER_EMPTY;
        int r = -ENOMEM;

        append(body, &text);
        if (!text.failed &&
            json_object_set_new(object, key, json_stringn(text.data ? text.data : "", text.len)) ==
                            0)
                r = 0;
        buffer_done(&text);
        return r;
}

static int make_raw(Slice body, Batch *batch) {
        int r;

        batch->raw = true;
        batch->root = json_object();
        if (!batch->root)
                return -ENOMEM;
        r = set_text(batch->root, "raw", body, append_clean);
        if (r >= 0 && !utf8_valid(body))
                r = set_text(batch->root, "raw_hex", body, append_hex);
        return r;
}

/* ---- alerts ---- */

static Slice text_of(json_t *value) {
        return json_is_string(value)
                               ? slice_make(json_string_value(value), json_string_length(value))
                               : SLICE_NONE;
}

Slice batch_text(json_t *alert, const char *field, const char *name) {
        return text_of(json_object_get(json_object_get(alert, field), name));
}

Slice batch_member(json_t *alert, const char *name) {
        return text_of(json_object_get(alert, name));
}

static Slice or_unknown(Slice text) {
        return text.len > 0 ? text : UNKNOWN;
}

static int find_alerts(Batch *batch) {
        json_t *list = json_is_array(batch->root) ? batch->root
                                                  : json_object_get(batch->root, "alerts");
        size_t n = json_array_size(list);

        if (n == 0)
                return 0;
        if (n > BATCH_ALERTS_MAX)
                return -E2BIG;
        batch->alerts = calloc(n, sizeof *batch->alerts);
        if (!batch->alerts)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                json_t *alert = json_array_get(list, i);

                batch->alerts[i] = (BatchAlert){
                                .alert = alert,
                                .name = or_unknown(batch_text(alert, "labels", "alertname")),
                                .status = or_unknown(batch_member(alert, "status")),
                                .severity = or_unknown(batch_text(alert, "labels", "severity")),
                };
        }
        batch->n_alerts = n;
        return 0;
}

int batch_parse(Slice body, Batch *ret) {
        Batch batch = {.root = load(body)};
        int r = batch.root ? find_alerts(&batch) : make_raw(body, &batch);

        if (r < 0) {
                batch_done(&batch);
                return r;
        }
        *ret = batch;
        return 0;
}

void batch_done(Batch *batch) {
        json_decref(batch->root);
        free(batch->alerts);
        *batch = (Batch){0};
}

/* ---- texts ---- */

static int append_bytes(const char *data, size_t len, void *userdata) {
        Buffer *out = userdata;

        buffer_append(out, slice_make(data, len));
        return out->failed ? -1 : 0;
}

static void append_dump(json_t *value, size_t flags, Buffer *out) {
        if (json_dump_callback(value, append_bytes, out, flags) < 0)
                out->failed = true;
}

void batch_append_json(json_t *value, Buffer *out) {
        append_dump(value, JSON_COMPACT | JSON_ENCODE_ANY, out);
}

void batch_append_line(const Batch *batch, const char *received, Buffer *out) {
        buffer_printf(out, "{\"received_at\":\"%s\",\"alerts\":", received);
        batch_append_json(batch->root, out);
        buffer_append(out, SLICE("}\n"));
}

void batch_append_evidence(const BatchAlert *alert, const char *received, Buffer *out) {
        json_t *file = json_pack("{s:s, s:s%, s:s%, s:s%, s:O}", "received_at", received,
                                 "alert_name", alert->name.data, alert->name.len, "severity",
                                 alert->severity.data, alert->severity.len, "status",
                                 alert->status.data, alert->status.len, "full_alert", alert->alert);

        if (!file) {
                out->failed = true;
                return;
        }
        append_dump(file, JSON_INDENT(2), out);
        buffer_append_byte(out, '\n');
        json_decref(file);
}
