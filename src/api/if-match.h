/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Entity tags, the conditions of a change (RFC 9110, 8.8.3, 13.1.1 and 13.1.2), and the reader who
 * has the state already (13.1.2). The tag of a user or a url is a digest of the bytes of its
 * representation: it is strong, the same on every instance, and changes with all that is shown and
 * with nothing else. Visits are not shown, so they do not move it.
 */

#include "work/call.h"

#define ENTITY_TAG_SIZE 34u /* characters: 128 bits in hexadecimal, and the quotes */

/* Not terminated. */
void entity_tag(Slice representation, char ret[ENTITY_TAG_SIZE]);

/* Does If-None-Match name this tag, or "*"? Weak comparison. A field that is no list of tags, or
 * was sent twice, is as none: the whole answer is never wrong. */
bool entity_tag_is_known(const HttpRequest *request, const char tag[ENTITY_TAG_SIZE]);

/* Writes the representation of a row. */
typedef void (*IfMatchShow)(Buffer *out, const void *row);

/* The condition that If-Match and If-None-Match make. Must stay where it is while the condition is
 * in use. */
typedef struct IfMatch {
        StoreCondition condition;
        IfMatchShow show;
        Slice wanted, unwanted; /* as sent, and well-formed; SLICE_NONE: not sent */
} IfMatch;

/* *ret: NULL when there is none, which is also what If-Match: * makes: a change of what is not
 * there is a 404 anyway. If-None-Match: * lets nothing that is there be changed. 0; API_REFUSED:
 * answered (400); -ENOMEM. */
int if_match_read(Call *call, IfMatchShow show, IfMatch *match,
                  const StoreCondition **ret) _must_check_;
