/* SPDX-License-Identifier: MIT */

/* Parts of targets. The form is known, so nothing is parsed again. */

#include "policy/location.h"

Slice location_host(Slice location) {
        ptrdiff_t at = slice_search(location, SLICE("://"));
        Slice authority, host, rest;
        size_t end = 0;

        if (at < 0)
                return SLICE("");
        authority = slice_from(location, (size_t)at + 3);
        while (end < authority.len && !strchr("/?#", authority.data[end]))
                end++;
        authority.len = end;
        for (end = authority.len; end > 0; end--)
                if (authority.data[end - 1] == '@') {
                        authority = slice_from(authority, end);
                        break;
                }
        if (slice_starts_with(authority, SLICE("["))) {
                ptrdiff_t bracket = slice_find(authority, ']');

                return slice_sub(authority, 0, (size_t)(bracket + 1));
        }
        (void)slice_cut(authority, ':', &host, &rest);
        return host;
}
