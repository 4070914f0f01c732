/* SPDX-License-Identifier: MIT */

/*
 * Requests that a page makes a browser send where it may not read the answers. With Host
 * an origin is compared by host and port: the scheme is the proxy's affair, and a default port may
 * be written or not. Of several fields each counts.
 */

#include "http/origin.h"

/* Host and port of an http or https URL; the default port is cut off. false: it is none. */
static bool url_authority(Slice url, Slice *ret_authority, Slice *ret_port) {
        Slice rest;

        if (slice_starts_with_nocase(url, SLICE("http://")))
                *ret_port = SLICE(":80");
        else if (slice_starts_with_nocase(url, SLICE("https://")))
                *ret_port = SLICE(":443");
        else
                return false;
        url = slice_from(url, (size_t)(slice_search(url, SLICE("://")) + 3));
        (void)slice_cut(url, '/', ret_authority, &rest);
        return true;
}

static Slice without(Slice authority, Slice port) {
        if (authority.len > port.len &&
            slice_equal(slice_from(authority, authority.len - port.len), port))
                return slice_sub(authority, 0, authority.len - port.len);
        return authority;
}

static bool is_ours(const HttpRequest *request, Slice base_url, Slice origin) {
        Slice theirs, port, ours, base_port;

        if (!url_authority(origin, &theirs, &port))
                return false; /* "null", or no origin of a page of ours */
        theirs = without(theirs, port);
        if (theirs.len == 0)
                return false;
        if (slice_equal_nocase(theirs, without(request->known[HTTP_FIELD_HOST], port)))
                return true;
        return url_authority(base_url, &ours, &base_port) && slice_equal(port, base_port) &&
               slice_equal_nocase(theirs, without(ours, base_port));
}

bool http_from_elsewhere(const HttpRequest *request, Slice base_url) {
        Slice rest = request->head, value;

        while (http_take_field(&rest, SLICE("sec-fetch-site:"), &value))
                if (slice_equal_nocase(value, SLICE("cross-site")) ||
                    slice_equal_nocase(value, SLICE("same-site")))
                        return true;
        rest = request->head;
        while (http_take_field(&rest, SLICE("origin:"), &value))
                if (!is_ours(request, base_url, value))
                        return true;
        return false;
}
