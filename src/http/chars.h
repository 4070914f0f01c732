/* SPDX-License-Identifier: MIT */
#pragma once

/* Classes of bytes (RFC 9110 5.6.2, RFC 9112, RFC 3986), one table of bits. */

#include <stdbool.h>
#include <stdint.h>

enum {
        HTTP_CHAR_TOKEN = 1 << 0,  /* of methods and field names */
        HTTP_CHAR_TARGET = 1 << 1, /* visible ASCII but '#' */
        HTTP_CHAR_TEXT = 1 << 2,   /* what a field value may hold: HT, blank, visible, obs-text */
        HTTP_CHAR_HOST = 1 << 3,   /* of a host name: reg-name without '%' and ',' */
        HTTP_CHAR_HEX = 1 << 4,
        HTTP_CHAR_BOUNDARY = 1 << 5, /* of a multipart boundary; a blank may not be its last */
};

extern const uint8_t http_chars[256];

static inline bool http_is(char c, unsigned class) {
        return http_chars[(unsigned char)c] & class;
}

static inline bool http_is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* 0 to 15, or -1. */
static inline int http_hex(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}
