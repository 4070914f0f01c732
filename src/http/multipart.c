/* SPDX-License-Identifier: MIT */

/*
 * multipart/form-data over a whole body. The boundary is searched with memmem(), which is linear
 * also for bodies made to be slow. Strict about what a line is (CRLF) and what a delimiter is;
 * lenient about parameters, where browsers and tools differ. Any thread; no state but the caller's.
 */

#include "http/multipart.h"

#include <errno.h>

#include "http/chars.h"

#define BOUNDARY_MAX  70u
#define DELIMITER_MAX (BOUNDARY_MAX + 4) /* CRLF, "--", boundary */

static bool all_of(Slice s, unsigned class) {
        for (size_t i = 0; i < s.len; i++)
                if (!http_is(s.data[i], class))
                        return false;
        return true;
}

/* ---- parameters ---- */

static Slice unquote(Slice value) {
        if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"')
                return slice_sub(value, 1, value.len - 1);
        return value;
}

/* Cuts off what stands before the next ';' outside quotes. */
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
static Slice find_parameter(Slice value, Slice name) {
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
        boundary = find_parameter(content_type, SLICE("boundary"));
        if (boundary.len == 0 || boundary.len > BOUNDARY_MAX ||
            !all_of(boundary, HTTP_CHAR_BOUNDARY) || boundary.data[boundary.len - 1] == ' ')
                return -EINVAL;
        *multipart = (HttpMultipart){.boundary = boundary, .rest = body};
        return 0;
}

/* ---- delimiters ---- */

/* "\r\n--boundary" as one string to search for. */
static Slice make_delimiter(const HttpMultipart *multipart, char buffer[DELIMITER_MAX]) {
        memcpy(buffer, "\r\n--", 4);
        memcpy(buffer + 4, multipart->boundary.data, multipart->boundary.len);
        return slice_make(buffer, multipart->boundary.len + 4);
}

/* What stands before the next delimiter; rest goes on behind it. At the start of a line the
 * delimiter does without its CRLF, which was the line's before. */
static int take_until_delimiter(HttpMultipart *multipart, Slice *ret) {
        char buffer[DELIMITER_MAX];
        Slice delimiter = make_delimiter(multipart, buffer), rest = multipart->rest;
        ptrdiff_t at;

        if (slice_starts_with(rest, slice_from(delimiter, 2))) {
                *ret = slice_sub(rest, 0, 0);
                multipart->rest = slice_from(rest, delimiter.len - 2);
                return 0;
        }
        at = slice_search(rest, delimiter);
        if (at < 0)
                return -EBADMSG;
        *ret = slice_sub(rest, 0, (size_t)at);
        multipart->rest = slice_from(rest, (size_t)at + delimiter.len);
        return 0;
}

/* Behind a delimiter: 1 a part follows; 0 it was the last one; -EBADMSG neither. */
static int take_delimiter_end(Slice *rest) {
        bool last = slice_starts_with(*rest, SLICE("--"));

        if (last)
                *rest = slice_from(*rest, 2);
        while (rest->len > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
                *rest = slice_from(*rest, 1);
        if (last && rest->len == 0)
                return 0;
        if (!slice_starts_with(*rest, SLICE("\r\n")))
                return -EBADMSG;
        *rest = slice_from(*rest, 2);
        return last ? 0 : 1;
}

/* ---- parts ---- */

static int parse_part_field(Slice line, HttpPart *part) {
        Slice name, value, rest;

        if (!slice_cut(line, ':', &name, &value) || name.len == 0 ||
            !all_of(name, HTTP_CHAR_TOKEN) || !all_of(value, HTTP_CHAR_TEXT))
                return -EBADMSG;
        value = rest = slice_trim(value);
        if (slice_equal_nocase(name, SLICE("content-type")))
                part->content_type = value;
        if (!slice_equal_nocase(name, SLICE("content-disposition")) ||
            !slice_equal_nocase(next_parameter(&rest), SLICE("form-data")))
                return 0;
        part->name = find_parameter(value, SLICE("name"));
        part->filename = find_parameter(value, SLICE("filename"));
        if (!part->filename.data)
                part->filename = find_parameter(value, SLICE("filename*"));
        return 0;
}

static int take_part_fields(Slice *rest, HttpPart *part) {
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
                r = parse_part_field(line, part);
                if (r < 0)
                        return r;
        }
}

int http_multipart_next(HttpMultipart *multipart, HttpPart *ret) {
        HttpPart part = {.name = SLICE("")};
        Slice preamble;
        int r = 0;

        if (multipart->done)
                return 0;
        if (!multipart->begun)
                r = take_until_delimiter(multipart, &preamble);
        if (r < 0)
                return r;
        multipart->begun = true;
        r = take_delimiter_end(&multipart->rest);
        multipart->done = r == 0;
        if (r <= 0)
                return r;
        r = take_part_fields(&multipart->rest, &part);
        if (r < 0)
                return r;
        r = take_until_delimiter(multipart, &part.data);
        if (r < 0)
                return r;
        *ret = part;
        return 1;
}
