/* SPDX-License-Identifier: MIT */

/* The one place where a programming error ends the process; see check.h. */

#include <stdio.h>

#include "basic/check.h"

void check_failed(const char *expression, const char *file, int line) {
        (void)fprintf(stderr, "%s:%d: check failed: %s\n", file, line, expression);
        abort();
}
