/* SPDX-License-Identifier: MIT */

/*
 * Rules for single fields. The judgements are model/'s; the texts are those of shortener-api(7).
 */

#include <errno.h>

#include "ctl/rules.h"
#include "model/target.h"
#include "model/text.h"

#define INVALID " must be UTF-8 without control characters"

/* First segments of routes. */
static const char *const reserved[] = {"events", "health", "metrics", "ready", "urls", "users"};

typedef struct TextRule {
        const char *blank;
        const char *too_long;
        const char *invalid;
} TextRule;

static const TextRule username_rule = {"username is required",
                                       "username must be 255 characters or fewer",
                                       "username" INVALID};
static const TextRule email_rule = {"email is required", "email must be 255 characters or fewer",
                                    "email" INVALID};
static const TextRule title_rule = {NULL, "title must be 255 characters or fewer", "title" INVALID};
static const TextRule event_type_rule = {"event_type is required", "event_type is required",
                                         "event_type" INVALID};

static const char *check_text(const TextRule *rule, Slice text, Slice *ret) {
        switch (text_check(text, ret)) {
        case TEXT_OK:
                return NULL;
        case TEXT_BLANK:
                return rule->blank;
        case TEXT_TOO_LONG:
                return rule->too_long;
        case TEXT_INVALID:
                return rule->invalid;
        }
        check_failed("TextResult", __FILE__, __LINE__);
}

const char *rules_username(Slice text, Slice *ret) {
        return check_text(&username_rule, text, ret);
}

const char *rules_email(Slice text, Slice *ret) {
        const char *problem = check_text(&email_rule, text, ret);

        if (problem)
                return problem;
        return text_email_valid(*ret) ? NULL : "Invalid email format";
}

const char *rules_title(Slice text, Slice *ret) {
        const char *problem = check_text(&title_rule, text, ret);

        if (ret->len == 0)
                *ret = SLICE_NONE;
        return problem;
}

const char *rules_event_type(Slice text, Slice *ret) {
        return check_text(&event_type_rule, text, ret);
}

int rules_target(Slice text, bool credentials, Arena *arena, Url *ret, const char **ret_problem) {
        Slice target;
        int r = -EINVAL;

        *ret_problem = NULL;
        if (text_check(text, &target) == TEXT_BLANK) {
                *ret_problem = "url is required";
                return 0;
        }
        if (target.len <= MODEL_TARGET_MAX)
                r = credentials ? target_parse_credentials(arena, target, &ret->location)
                                : target_parse(arena, target, &ret->location);
        if (r == -EINVAL) {
                *ret_problem = "A valid HTTP or HTTPS URL is required";
                return 0;
        }
        ret->target = target;
        return r;
}

bool rules_code_reserved(Slice code) {
        for (size_t i = 0; i < ELEMENTSOF(reserved); i++)
                if (slice_equal(code, slice_from_string(reserved[i])))
                        return true;
        return false;
}
