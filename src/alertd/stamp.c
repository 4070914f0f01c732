/* SPDX-License-Identifier: MIT */

#include "alertd/stamp.h"

#include <stdio.h>

#include "basic/clock.h"

void stamp_iso(uint64_t usec, char ret[STAMP_SIZE]) {
        char seconds[CLOCK_ISO_SIZE];

        clock_format_iso((int64_t)(usec / USEC_PER_SEC), 'T', seconds);
        (void)snprintf(ret, STAMP_SIZE, "%s.%06uZ", seconds, (unsigned)(usec % USEC_PER_SEC));
}

void stamp_compact(uint64_t usec, char ret[STAMP_SIZE]) {
        char text[STAMP_SIZE];
        size_t n = 0;

        stamp_iso(usec, text);
        for (const char *p = text; *p; p++)
                if (*p != '-' && *p != ':')
                        ret[n++] = *p;
        ret[n] = '\0';
}
