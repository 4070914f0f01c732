/* SPDX-License-Identifier: MIT */

/* The classes of every byte, spelled as the RFCs' rules and computed by the compiler. */

#include "http/chars.h"

#define IS(c, first, last) ((c) >= (first) && (c) <= (last))
#define ALPHA(c)           (IS(c, 'a', 'z') || IS(c, 'A', 'Z'))
#define DIGIT(c)           IS(c, '0', '9')
#define ALNUM(c)           (ALPHA(c) || DIGIT(c))

#define TOKEN(c)                                                                          \
 (ALNUM(c) || (c) == '!' || IS(c, '#', '\'') || (c) == '*' || (c) == '+' || (c) == '-' || \
  (c) == '.' || IS(c, '^', '`') || (c) == '|' || (c) == '~')
#define TARGET(c) (IS(c, '!', '~') && (c) != '#')
#define TEXT(c)   ((c) == '\t' || ((c) >= ' ' && (c) != 0x7f))
#define HOST(c)                                                                                   \
 (ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' || (c) == '!' || (c) == '$' || \
  IS(c, '&', '+') || (c) == ';' || (c) == '=')
#define HEX(c) (DIGIT(c) || IS(c, 'a', 'f') || IS(c, 'A', 'F'))
#define BOUNDARY(c)                                                                            \
 (ALNUM(c) || IS(c, '\'', ')') || IS(c, '+', '/') || (c) == ' ' || (c) == ':' || (c) == '=' || \
  (c) == '?' || (c) == '_')

#define CLASSES(c)                                                                                 \
 ((TOKEN(c) ? HTTP_CHAR_TOKEN : 0) | (TARGET(c) ? HTTP_CHAR_TARGET : 0) |                          \
  (TEXT(c) ? HTTP_CHAR_TEXT : 0) | (HOST(c) ? HTTP_CHAR_HOST : 0) | (HEX(c) ? HTTP_CHAR_HEX : 0) | \
  (BOUNDARY(c) ? HTTP_CHAR_BOUNDARY : 0))
#define FOUR(c)    CLASSES(c), CLASSES((c) + 1), CLASSES((c) + 2), CLASSES((c) + 3)
#define SIXTEEN(c) FOUR(c), FOUR((c) + 4), FOUR((c) + 8), FOUR((c) + 12)

const uint8_t http_chars[256] = {
                SIXTEEN(0x00), SIXTEEN(0x10), SIXTEEN(0x20), SIXTEEN(0x30),
                SIXTEEN(0x40), SIXTEEN(0x50), SIXTEEN(0x60), SIXTEEN(0x70),
                SIXTEEN(0x80), SIXTEEN(0x90), SIXTEEN(0xa0), SIXTEEN(0xb0),
                SIXTEEN(0xc0), SIXTEEN(0xd0), SIXTEEN(0xe0), SIXTEEN(0xf0),
};
