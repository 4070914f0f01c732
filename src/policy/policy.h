/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which valid targets this service takes: rules of the operator over what model/target.h accepts.
 * Names are not looked up: a name that points to a private address is the browser's business.
 */

#include <stdbool.h>

#include "basic/slice.h"

typedef struct Policy {
        bool refuse_private;    /* special addresses (loopback, private, link-local), and names that
                                   only exist inside: localhost, .local, .internal, one label */
        bool refuse_mixed;      /* hosts whose labels mix scripts (UTS #39, highly restrictive) */
        char *const *own_hosts; /* NULL terminated: our own names, so that no redirect loops */
} Policy;

/* location: what target_parse() made. */
bool policy_allows(const Policy *policy, Slice location);

/* Is this host, in ASCII form, one of those? For tests. */
bool policy_host_private(Slice host);
bool policy_host_mixed(Slice host);
