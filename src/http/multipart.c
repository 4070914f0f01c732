/* SPDX-License-Identifier: MIT */

/*
 * multipart/form-data over a whole body. The boundary is searched with memmem(), which is linear
 * (two-way) also for bodies made to be slow. Any thread; no state but the caller's.
 */

#include "http/multipart.h"

#include <errno.h>

#define BOUNDARY_MAX 70u

static Slice unquote(Slice value) {
        if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"')
                return slice_sub(value, 1, value.len - 1);
        return value;
}

/* Cuts the next ;-separated parameter off, minding quotes. */
static Slice next_parameter(Slice *rest) {
        bool quoted = false;
        Slice parameter;
        size_t i = 0;

        for (; i < rest->len && (quoted || rest->data[i] != ';'); i++) {
                if (rest->data[i] == '\\' && quoted && i + 1 < rest->len)
                        i++;
                else if (rest->data[i] == '"')
                        quoted = !quoted;
        }
        parameter = slice_trim(slice_sub(*rest, 0, i));
        *rest = slice_from(*rest, i + 1);
        return parameter;
}

/* A field value's parameter; data == NULL when it has none of that name. */
static Slice parameter_get(Slice value, Slice name) {
        Slice rest = value, key, text;

        (void)next_parameter(&rest);
        while (rest.len > 0) {
                if (!slice_cut(next_parameter(&rest), '=', &key, &text))
                        continue;
                if (slice_equal_nocase(slice_trim(key), name))
                        return unquote(slice_trim(text));
        }
        return SLICE_NONE;
}

int http_multipart_init(HttpMultipart *multipart, Slice content_type, Slice body) {
        Slice rest = content_type, boundary;

        if (!slice_equal_nocase(next_parameter(&rest), SLICE("multipart/form-data")))
                return -EINVAL;
        boundary = parameter_get(content_type, SLICE("boundary"));
        if (!boundary.data || boundary.len == 0 || boundary.len > BOUNDARY_MAX)
                return -EINVAL;
        *multipart = (HttpMultipart){.boundary = boundary, .rest = body};
        return 0;
}

/* Behind "--boundary": 1 a part follows, 0 it was the last one ("--"), -EBADMSG neither. */
static int after_boundary(Slice *rest) {
        if (slice_starts_with(*rest, SLICE("--")))
                return 0;
        while (rest->len > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
                *rest = slice_from(*rest, 1);
        if (!slice_starts_with(*rest, SLICE("\r\n")))
                return -EBADMSG;
        *rest = slice_from(*rest, 2);
        return 1;
}

/* "\r\n--boundary" as one string to search for. */
static Slice delimiter(const HttpMultipart *multipart, char buffer[BOUNDARY_MAX + 4]) {
        memcpy(buffer, "\r\n--", 4);
        memcpy(buffer + 4, multipart->boundary.data, multipart->boundary.len);
        return slice_make(buffer, multipart->boundary.len + 4);
}

static int skip_preamble(HttpMultipart *multipart) {
        char buffer[BOUNDARY_MAX + 4];
        Slice text = delimiter(multipart, buffer);
        ptrdiff_t at;

        if (slice_starts_with(multipart->rest, slice_from(text, 2))) {
                multipart->rest = slice_from(multipart->rest, text.len - 2);
                return 0;
        }
        at = slice_search(multipart->rest, text);
        if (at < 0)
                return -EBADMSG;
        multipart->rest = slice_from(multipart->rest, (size_t)at + text.len);
        return 0;
}

static int part_field(Slice line, HttpPart *part) {
        Slice name, value;

        if (!slice_cut(line, ':', &name, &value))
                return -EBADMSG;
        value = slice_trim(value);
        if (slice_equal_nocase(name, SLICE("content-type")))
                part->content_type = value;
        if (!slice_equal_nocase(name, SLICE("content-disposition")))
                return 0;
        part->name = parameter_get(value, SLICE("name"));
        part->filename = parameter_get(value, SLICE("filename"));
        if (!part->filename.data)
                part->filename = parameter_get(value, SLICE("filename*"));
        return 0;
}

static int part_fields(Slice *rest, HttpPart *part) {
        for (;;) {
                ptrdiff_t end = slice_search(*rest, SLICE("\r\n"));
                Slice line;
                int r;

                if (end < 0)
                        return -EBADMSG;
                line = slice_sub(*rest, 0, (size_t)end);
                *rest = slice_from(*rest, (size_t)end + 2);
                if (line.len == 0)
                        return 0;
                r = part_field(line, part);
                if (r < 0)
                        return r;
        }
}

int http_multipart_next(HttpMultipart *multipart, HttpPart *ret) {
        char buffer[BOUNDARY_MAX + 4];
        Slice text = delimiter(multipart, buffer);
        HttpPart part = {.name = SLICE("")};
        ptrdiff_t end;
        int r;

        if (multipart->done)
                return 0;
        if (!multipart->begun) {
                r = skip_preamble(multipart);
                if (r < 0)
                        return r;
                multipart->begun = true;
        }
        r = after_boundary(&multipart->rest);
        if (r <= 0) {
                multipart->done = r == 0;
                return r;
        }
        r = part_fields(&multipart->rest, &part);
        if (r < 0)
                return r;
        end = slice_search(multipart->rest, text);
        if (end < 0) {
                /* A part without data: the delimiter's CRLF was the head's. */
                if (!slice_starts_with(multipart->rest, slice_from(text, 2)))
                        return -EBADMSG;
                part.data = slice_make(multipart->rest.data, 0);
                multipart->rest = slice_from(multipart->rest, text.len - 2);
        } else {
                part.data = slice_sub(multipart->rest, 0, (size_t)end);
                multipart->rest = slice_from(multipart->rest, (size_t)end + text.len);
        }
        *ret = part;
        return 1;
}
