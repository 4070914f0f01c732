/* SPDX-License-Identifier: MIT */
#pragma once

/* multipart/form-data (RFC 7578) over a whole body: iterates the parts, copies nothing. */

#include <stdbool.h>

#include "basic/slice.h"

typedef struct HttpPart {
        Slice name;     /* of Content-Disposition, unquoted (escapes kept) */
        Slice filename; /* data == NULL: the part is no file; raw where only filename* was sent */
        Slice content_type;
        Slice data;
} HttpPart;

typedef struct HttpMultipart {
        Slice boundary;
        Slice rest;
        bool begun; /* the first boundary was found */
        bool done;
} HttpMultipart;

/* content_type: the request's field. -EINVAL: not multipart/form-data, or no usable boundary (1 to
 * 70 bytes). */
int http_multipart_init(HttpMultipart *multipart, Slice content_type, Slice body) _must_check_;

/* 1: *ret is the next part (in the body's bytes); 0: the closing boundary was reached; -EBADMSG:
 * broken, there is no going on. */
int http_multipart_next(HttpMultipart *multipart, HttpPart *ret) _must_check_;
