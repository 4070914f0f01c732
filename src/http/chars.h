/* SPDX-License-Identifier: MIT */
#pragma once

/* Classes of bytes (RFC 9110 5.6.2, RFC 9112), one table of bits. */

#include <stdbool.h>
#include <stdint.h>

enum {
        HTTP_CHAR_TOKEN = 1 << 0,
        HTTP_CHAR_DIGIT = 1 << 1,
        HTTP_CHAR_TARGET = 1 << 2, /* visible ASCII but '#' */
        HTTP_CHAR_TEXT = 1 << 3,   /* what a line may hold: HT, blank, visible, obs-text */
        HTTP_CHAR_HOST = 1 << 4,   /* visible ASCII but @ / # ? and blanks */
        HTTP_CHAR_HEX = 1 << 5,
};

extern const uint8_t http_chars[256];

static inline bool http_is(char c, unsigned class) {
        return http_chars[(unsigned char)c] & class;
}
static inline bool http_is_token(char c) {
        return http_is(c, HTTP_CHAR_TOKEN);
}
static inline bool http_is_digit(char c) {
        return c >= '0' && c <= '9';
}
static inline bool http_is_target(char c) {
        return http_is(c, HTTP_CHAR_TARGET);
}
static inline bool http_is_text(char c) {
        return http_is(c, HTTP_CHAR_TEXT);
}
static inline bool http_is_host(char c) {
        return http_is(c, HTTP_CHAR_HOST);
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
