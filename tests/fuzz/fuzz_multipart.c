/* SPDX-License-Identifier: MIT */

/*
 * multipart/form-data: the first line is the request's Content-Type, the rest its body. Every part
 * lies in the body, behind the one before, and holds no delimiter.
 */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/buffer.h"
#include "http/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_in(Slice part, Slice whole) {
        return !part.data || part.len == 0 ||
               (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_body(Slice type, Slice body) {
        Buffer delimiter = BUFFER_EMPTY;
        HttpMultipart multipart;
        HttpPart part;
        Slice rest = body;
        int r = http_multipart_init(&multipart, type, body);

        CHECK(r == 0 || r == -EINVAL);
        if (r < 0)
                return;
        CHECK(multipart.boundary.len >= 1 && multipart.boundary.len <= 70);
        buffer_printf(&delimiter, "\r\n--%.*s", SLICE_ARG(multipart.boundary));
        CHECK(!delimiter.failed);
        while ((r = http_multipart_next(&multipart, &part)) == 1) {
                CHECK(lies_in(part.data, rest) && lies_in(part.name, rest));
                CHECK(lies_in(part.filename, rest) && lies_in(part.content_type, rest));
                CHECK(part.data.len == 0 || slice_search(part.data, buffer_slice(&delimiter)) < 0);
                CHECK(multipart.rest.len < rest.len);
                rest = multipart.rest;
        }
        CHECK(r == 0 || r == -EBADMSG);
        if (r == 0)
                CHECK(http_multipart_next(&multipart, &part) == 0);
        buffer_done(&delimiter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice input = slice_make((const char *)data, size), type, body;

        (void)slice_cut(input, '\n', &type, &body);
        check_body(type, body);
        check_body(SLICE("multipart/form-data; boundary=b"), input);
        return 0;
}
