/* SPDX-License-Identifier: MIT */

/* Calls: the few things that every handler does to one. Runs on workers; keeps nothing. */

#include "work/call.h"

#include <errno.h>

#include "model/details.h"

int call_problem(Call *call, int status, const char *text) {
        HttpResponse *response = &call->exchange->response;

        response->status = status;
        buffer_clear(&response->body);
        buffer_append(&response->body, SLICE("{\"error\":"));
        details_append_string(&response->body, slice_from_string(text));
        buffer_append(&response->body, SLICE("}\n"));
        return response->body.failed ? -ENOMEM : 0;
}
