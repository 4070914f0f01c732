/* SPDX-License-Identifier: MIT */
#pragma once

/* Whose page a browser sends a request for. */

#include "http/message.h"

/* Has a page of another site sent it? Browsers say so (Sec-Fetch-Site), or name the page's origin,
 * which is then neither the request's Host nor the authority of base_url (may be empty). false for
 * what no browser has sent. Walks the head: not for what has to be fast. */
bool http_from_elsewhere(const HttpRequest *request, Slice base_url) _must_check_;
