/* SPDX-License-Identifier: MIT */
#pragma once

/* Parts of a serialised target (target_parse()'s). */

#include "basic/slice.h"

/* The host, without credentials and port; an IPv6 address with its brackets. */
Slice location_host(Slice location);
