/* SPDX-License-Identifier: MIT */
#pragma once

/* A client's mistake as data: the status and the text of {"error": text}. text is static or lives
 * in the request's arena. A zeroed Problem is none. */

#include <stdbool.h>

typedef struct Problem {
        int status; /* 0: no problem */
        const char *text;
} Problem;

static inline bool problem_is(const Problem *problem) {
        return problem->status != 0;
}

/* The generic text of a status (api.md, General); "Internal server error" for unknown ones. */
const char *problem_generic_text(int status);
