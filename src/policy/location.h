/* SPDX-License-Identifier: MIT */
#pragma once

/* Parts of a serialised target (target_parse()'s). */

#include "basic/slice.h"
#include "model/types.h"

/* The host, without credentials and port; an IPv6 address with its brackets. */
Slice location_host(Slice location);

/* Dots at the end mean the same name; of more than one nobody knows what some resolver makes. */
Slice location_without_dots(Slice host);

#define LOCATION_IPV4_SIZE sizeof "255.255.255.255"

/* What is the same for all ways to write this host: without dots at its end, of an IPv6 address
 * that only stands for one of IPv4 the latter, which is written to buffer. */
Slice location_plain_host(Slice host, char buffer[LOCATION_IPV4_SIZE]);

/* A page is no longer than its location, but that [::fff:ff] becomes 15.255.0.255. */
#define LOCATION_PAGE_SIZE (MODEL_LOCATION_MAX + 2)

/* What is the same for all targets that lead to the same page: with the plain host, without
 * credentials, escapes of characters that need none (and those of others in capitals), an
 * empty query and the fragment. Returns the length, 0 if the location is over MODEL_LOCATION_MAX or
 * none. */
size_t location_page(Slice location, char ret[LOCATION_PAGE_SIZE]) _must_check_;
