/* SPDX-License-Identifier: MIT */

/* Responses: the few things that handlers of every layer do to one. */

#include "http/message.h"

void http_response_field(HttpResponse *response, const char *name, Slice value) {
        buffer_append(&response->head, slice_from_string(name));
        buffer_append(&response->head, SLICE(": "));
        buffer_append(&response->head, value);
        buffer_append(&response->head, SLICE("\r\n"));
}
