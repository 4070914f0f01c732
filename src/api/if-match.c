/* SPDX-License-Identifier: MIT */

/* Entity tags, see the header. Whether one fits is found out by the store, in the transaction of
 * the change: it calls holds(). Runs on a worker. */

#include <errno.h>

#include "api/if-match.h"
#include "api/reply.h"
#include "token/token.h"

#define TAG_BYTES ((ENTITY_TAG_SIZE - 2) / 2)

void entity_tag(Slice representation, char ret[ENTITY_TAG_SIZE]) {
        static const char digits[] = "0123456789abcdef";
        uint8_t digest[TOKEN_DIGEST_SIZE];

        token_digest(representation, digest);
        ret[0] = ret[ENTITY_TAG_SIZE - 1] = '"';
        for (size_t i = 0; i < TAG_BYTES; i++) {
                ret[1 + 2 * i] = digits[digest[i] >> 4];
                ret[2 + 2 * i] = digits[digest[i] & 15];
        }
}

/* ---- lists of tags ---- */

static bool is_tag_character(char c) {
        return c == '!' || (c > '"' && c != 0x7f) || (unsigned char)c >= 0x80;
}

/* Takes the next tag off the list, a weak one without its W/. 1: *ret is set; 0: the list is at its
 * end; -EINVAL. */
static int next_tag(Slice *list, Slice *ret, bool *ret_weak) {
        size_t end;

        while (list->len > 0 &&
               (list->data[0] == ' ' || list->data[0] == '\t' || list->data[0] == ','))
                *list = slice_from(*list, 1);
        if (list->len == 0)
                return 0;
        *ret_weak = slice_starts_with(*list, SLICE("W/"));
        if (*ret_weak)
                *list = slice_from(*list, 2);
        if (list->len == 0 || list->data[0] != '"')
                return -EINVAL;
        for (end = 1; end < list->len && is_tag_character(list->data[end]);)
                end++;
        if (end == list->len || list->data[end] != '"')
                return -EINVAL;
        *ret = slice_sub(*list, 0, end + 1);
        *list = slice_trim(slice_from(*list, end + 1));
        return list->len == 0 || list->data[0] == ',' ? 1 : -EINVAL;
}

static bool is_list(Slice list) {
        unsigned n = 0;
        Slice tag;
        bool weak;
        int r;

        while ((r = next_tag(&list, &tag, &weak)) > 0)
                n++;
        return r == 0 && n > 0;
}

/* A weak tag is equal to ours only if the comparison is a weak one. */
static bool has_tag(Slice list, Slice wanted, bool weak_too) {
        Slice tag;
        bool weak;

        while (next_tag(&list, &tag, &weak) > 0)
                if ((weak_too || !weak) && slice_equal(tag, wanted))
                        return true;
        return false;
}

bool entity_tag_is_known(const HttpRequest *request, const char tag[ENTITY_TAG_SIZE]) {
        Slice field = request->known[HTTP_FIELD_IF_NONE_MATCH];

        if (!field.data || request->repeated[HTTP_FIELD_IF_NONE_MATCH])
                return false;
        return slice_equal(field, SLICE("*")) ||
               (is_list(field) && has_tag(field, slice_make(tag, ENTITY_TAG_SIZE), true));
}

/* ---- the condition ---- */

static bool is_any(Slice field) {
        return slice_equal(field, SLICE("*"));
}

static int holds(void *userdata, const void *row) {
        _cleanup_(buffer_done) Buffer shown = BUFFER_EMPTY;
        const IfMatch *match = userdata;
        char tag[ENTITY_TAG_SIZE];
        Slice ours;

        match->show(&shown, row);
        if (shown.failed)
                return -ENOMEM;
        entity_tag(buffer_slice(&shown), tag);
        ours = slice_make(tag, sizeof tag);
        if (match->wanted.data && !is_any(match->wanted) && !has_tag(match->wanted, ours, false))
                return false;
        return !match->unwanted.data ||
               (!is_any(match->unwanted) && !has_tag(match->unwanted, ours, true));
}

/* A field that is "*", a list of tags or not there. */
static bool read_tags(const HttpRequest *request, HttpFieldName field, Slice *ret) {
        *ret = request->known[field];
        return !ret->data || (!request->repeated[field] && (is_any(*ret) || is_list(*ret)));
}

int if_match_read(Call *call, IfMatchShow show, IfMatch *match, const StoreCondition **ret) {
        const HttpRequest *request = &call->exchange->request;
        int r;

        *ret = NULL;
        *match = (IfMatch){.condition = {holds, match}, .show = show};
        if (!read_tags(request, HTTP_FIELD_IF_MATCH, &match->wanted) ||
            !read_tags(request, HTTP_FIELD_IF_NONE_MATCH, &match->unwanted)) {
                r = call_problem(call, 400, problem_generic_text(400));
                return r < 0 ? r : API_REFUSED;
        }
        if (match->unwanted.data || (match->wanted.data && !is_any(match->wanted)))
                *ret = &match->condition;
        return 0;
}
