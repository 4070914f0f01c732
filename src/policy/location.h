/* SPDX-License-Identifier: MIT */
#pragma once

/* Parts of a serialised target (target_parse()'s). */

#include "basic/slice.h"
#include "model/types.h"

/* The host, without credentials and port; an IPv6 address with its brackets. */
Slice location_host(Slice location);

/* What is the same for all targets that lead to the same page: without credentials, the dot at the
 * host's end, escapes of characters that need none (and those of others in capitals) and the
 * fragment. Returns the length, 0 if the location is over MODEL_LOCATION_MAX or none. */
size_t location_page(Slice location, char ret[MODEL_LOCATION_MAX]) _must_check_;
