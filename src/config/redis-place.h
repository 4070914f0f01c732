/* SPDX-License-Identifier: MIT */
#pragma once

/* [Cache] Redis= taken apart. */

#include <stdint.h>

#include "basic/check.h"

#define REDIS_PORT 6379u

typedef struct RedisPlace {
        char path[108]; /* of a Unix socket; "": */
        char host[256]; /* an address, or a name */
        uint16_t port;
        unsigned database;
} RedisPlace;

/* "unix:/path", "redis://host", "redis://host:port", "redis://[address]:port/database". -EINVAL. */
int redis_place_parse(const char *text, RedisPlace *ret) _must_check_;
