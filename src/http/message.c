/* SPDX-License-Identifier: MIT */

/* Requests and responses: the few things that every layer does to one. */

#include "http/message.h"

bool http_take_field(Slice *rest, Slice name, Slice *ret_value) {
        Slice line;
        size_t at;

        while (rest->len > 0) {
                for (at = rest->len - 1; at > 0 && rest->data[at - 1] != '\n'; at--)
                        ;
                line = slice_from(*rest, at);
                rest->len = at;
                if (slice_starts_with_nocase(line, name)) {
                        *ret_value = slice_trim(slice_from(line, name.len));
                        return true;
                }
        }
        return false;
}

void http_response_field(HttpResponse *response, const char *name, Slice value) {
        buffer_append(&response->head, slice_from_string(name));
        buffer_append(&response->head, SLICE(": "));
        buffer_append(&response->head, value);
        buffer_append(&response->head, SLICE("\r\n"));
}
