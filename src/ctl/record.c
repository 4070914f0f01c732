/* SPDX-License-Identifier: MIT */

/*
 * The columns, and the checks of a row. The texts of problems are those of the API where it has
 * one.
 */

#include <errno.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "basic/utf8.h"
#include "ctl/jsontext.h"
#include "ctl/record.h"
#include "ctl/rules.h"
#include "model/code.h"

#define ROW_REFUSED 1

static const char *const field_names[N_RECORD_FIELDS] = {
                [FIELD_ID] = "id",
                [FIELD_USERNAME] = "username",
                [FIELD_EMAIL] = "email",
                [FIELD_USER_ID] = "user_id",
                [FIELD_SHORT_CODE] = "short_code",
                [FIELD_ORIGINAL_URL] = "original_url",
                [FIELD_TITLE] = "title",
                [FIELD_IS_ACTIVE] = "is_active",
                [FIELD_URL_ID] = "url_id",
                [FIELD_EVENT_TYPE] = "event_type",
                [FIELD_TIMESTAMP] = "timestamp",
                [FIELD_DETAILS] = "details",
                [FIELD_CREATED_AT] = "created_at",
                [FIELD_UPDATED_AT] = "updated_at",
};

static const RecordField users_columns[] = {FIELD_ID, FIELD_USERNAME, FIELD_EMAIL,
                                            FIELD_CREATED_AT};
static const RecordField urls_columns[] = {FIELD_ID,           FIELD_USER_ID,   FIELD_SHORT_CODE,
                                           FIELD_ORIGINAL_URL, FIELD_TITLE,     FIELD_IS_ACTIVE,
                                           FIELD_CREATED_AT,   FIELD_UPDATED_AT};
static const RecordField events_columns[] = {FIELD_ID,         FIELD_URL_ID,    FIELD_USER_ID,
                                             FIELD_EVENT_TYPE, FIELD_TIMESTAMP, FIELD_DETAILS};

static const struct {
        const char *name;
        const RecordField *columns;
        size_t n_columns;
        RecordField required[2]; /* the first one tells the type */
} types[] = {
                [RECORD_USERS] = {"users",
                                  users_columns,
                                  ELEMENTSOF(users_columns),
                                  {FIELD_USERNAME, FIELD_EMAIL}},
                [RECORD_URLS] = {"urls",
                                 urls_columns,
                                 ELEMENTSOF(urls_columns),
                                 {FIELD_ORIGINAL_URL, FIELD_ORIGINAL_URL}},
                [RECORD_EVENTS] = {"events",
                                   events_columns,
                                   ELEMENTSOF(events_columns),
                                   {FIELD_EVENT_TYPE, FIELD_URL_ID}},
};

RecordType record_type(const char *name) {
        for (RecordType type = RECORD_USERS; type <= RECORD_EVENTS; type++)
                if (strcmp(types[type].name, name) == 0)
                        return type;
        return RECORD_NONE;
}

const char *record_type_name(RecordType type) {
        return types[type].name;
}

int record_field(Slice name) {
        for (int field = 0; field < N_RECORD_FIELDS; field++)
                if (slice_equal_nocase(name, slice_from_string(field_names[field])))
                        return field;
        return -1;
}

const char *record_field_name(RecordField field) {
        return field_names[field];
}

const RecordField *record_columns(RecordType type, size_t *ret_n) {
        *ret_n = types[type].n_columns;
        return types[type].columns;
}

RecordType record_type_of(const bool present[N_RECORD_FIELDS]) {
        for (RecordType type = RECORD_USERS; type <= RECORD_EVENTS; type++)
                if (present[types[type].required[0]])
                        return type;
        return RECORD_NONE;
}

const char *record_missing(RecordType type, const bool present[N_RECORD_FIELDS]) {
        for (size_t i = 0; i < ELEMENTSOF(types[type].required); i++)
                if (!present[types[type].required[i]])
                        return field_names[types[type].required[i]];
        return NULL;
}

/* ---- fields ---- */

static int refuse(const char **ret_problem, const char *problem) {
        *ret_problem = problem;
        return ROW_REFUSED;
}

static int copy(Arena *arena, Slice *text) {
        if (!text->data)
                return 0;
        *text = arena_dup(arena, *text);
        return text->data ? 0 : -ENOMEM;
}

/* A missing one is 0. */
static int parse_id(Slice text, int64_t *ret, const char *problem, const char **ret_problem) {
        if (!text.data) {
                *ret = 0;
                return 0;
        }
        if (number_parse_i64(slice_trim(text), ret) < 0 || *ret < 1 || *ret == INT64_MAX)
                return refuse(ret_problem, problem);
        return 0;
}

static int parse_time(Slice text, int64_t missing, int64_t *ret, const char *problem,
                      const char **ret_problem) {
        *ret = missing;
        text = slice_trim(text);
        if (text.len > 0 && clock_parse_iso(text, ret) < 0)
                return refuse(ret_problem, problem);
        return 0;
}

static int parse_boolean(Slice text, bool *ret, const char **ret_problem) {
        text = slice_trim(text);
        *ret = text.len == 0 || slice_equal_nocase(text, SLICE("true")) ||
               slice_equal(text, SLICE("1"));
        if (!*ret && !slice_equal_nocase(text, SLICE("false")) && !slice_equal(text, SLICE("0")))
                return refuse(ret_problem, "is_active must be a boolean");
        return 0;
}

/* ---- rows ---- */

static int parse_user(const RecordTexts *row, int64_t now_sec, Arena *arena, User *ret,
                      const char **ret_problem) {
        const char *problem;
        int r;

        *ret = (User){};
        problem = rules_username(row->texts[FIELD_USERNAME], &ret->username);
        if (!problem)
                problem = rules_email(row->texts[FIELD_EMAIL], &ret->email);
        if (problem)
                return refuse(ret_problem, problem);
        r = parse_id(row->texts[FIELD_ID], &ret->id, "id must be a positive integer", ret_problem);
        if (r == 0)
                r = parse_time(row->texts[FIELD_CREATED_AT], now_sec, &ret->created_sec,
                               "created_at is no date", ret_problem);
        if (r == 0)
                r = copy(arena, &ret->username);
        if (r == 0)
                r = copy(arena, &ret->email);
        return r;
}

static int parse_url_texts(const RecordTexts *row, Arena *arena, Url *ret,
                           const char **ret_problem) {
        const char *problem;
        int r;

        r = rules_target(row->texts[FIELD_ORIGINAL_URL], row->credentials, arena, ret, &problem);
        if (r < 0)
                return r;
        if (!problem)
                problem = rules_title(row->texts[FIELD_TITLE], &ret->title);
        ret->code = slice_trim(row->texts[FIELD_SHORT_CODE]);
        if (ret->code.len == 0)
                ret->code = SLICE_NONE;
        else if (!problem && !code_valid(ret->code))
                problem = "short_code must be 1 to 64 characters of A-Z, a-z, 0-9, - and _";
        else if (!problem && rules_code_reserved(ret->code))
                problem = "short_code is the name of a route and would not be reached";
        if (problem)
                return refuse(ret_problem, problem);
        r = copy(arena, &ret->target);
        if (r == 0)
                r = copy(arena, &ret->title);
        if (r == 0)
                r = copy(arena, &ret->code);
        return r;
}

static int parse_url(const RecordTexts *row, int64_t now_sec, Arena *arena, Url *ret,
                     const char **ret_problem) {
        int r;

        *ret = (Url){};
        r = parse_url_texts(row, arena, ret, ret_problem);
        if (r == 0)
                r = parse_id(row->texts[FIELD_ID], &ret->id, "id must be a positive integer",
                             ret_problem);
        if (r == 0)
                r = parse_id(row->texts[FIELD_USER_ID], &ret->user_id,
                             "user_id must be a positive integer", ret_problem);
        if (r == 0)
                r = parse_boolean(row->texts[FIELD_IS_ACTIVE], &ret->is_active, ret_problem);
        if (r == 0)
                r = parse_time(row->texts[FIELD_CREATED_AT], now_sec, &ret->created_sec,
                               "created_at is no date", ret_problem);
        if (r == 0)
                r = parse_time(row->texts[FIELD_UPDATED_AT], ret->created_sec, &ret->updated_sec,
                               "updated_at is no date", ret_problem);
        return r;
}

/* A row of an export may be an event of our own, with a target in its details. */
static int parse_details(Slice text, Slice event_type, Arena *arena, Slice *ret,
                         const char **ret_problem) {
        bool own = slice_equal(event_type, SLICE("created")) ||
                   slice_equal(event_type, SLICE("updated"));
        int r;

        text = slice_trim(text);
        *ret = SLICE_NONE;
        if (text.len == 0 || slice_equal(text, SLICE("null")))
                return 0;
        r = jsontext_canonical(text, arena, ret);
        if (r == -EINVAL)
                return refuse(ret_problem, "details must be a JSON object");
        if (r == 0 && ret->len > (own ? MODEL_DETAILS_OWN_MAX : MODEL_DETAILS_MAX))
                return refuse(ret_problem, own ? "details must be 6400 bytes or fewer"
                                               : "details must be 4096 bytes or fewer");
        return r;
}

static int parse_event(const RecordTexts *row, int64_t now_sec, Arena *arena, Event *ret,
                       const char **ret_problem) {
        const char *problem;
        int r;

        *ret = (Event){};
        if (!row->texts[FIELD_URL_ID].data)
                return refuse(ret_problem, "url_id is required");
        r = parse_id(row->texts[FIELD_URL_ID], &ret->url_id, "url_id must be a positive integer",
                     ret_problem);
        if (r == 0 && (problem = rules_event_type(row->texts[FIELD_EVENT_TYPE], &ret->type)))
                return refuse(ret_problem, problem);
        if (r == 0)
                r = parse_id(row->texts[FIELD_ID], &ret->id, "id must be a positive integer",
                             ret_problem);
        if (r == 0)
                r = parse_id(row->texts[FIELD_USER_ID], &ret->user_id,
                             "user_id must be a positive integer", ret_problem);
        if (r == 0)
                r = parse_time(row->texts[FIELD_TIMESTAMP], now_sec, &ret->timestamp_sec,
                               "timestamp is no date", ret_problem);
        if (r == 0)
                r = parse_details(row->texts[FIELD_DETAILS], ret->type, arena, &ret->details,
                                  ret_problem);
        if (r == 0)
                r = copy(arena, &ret->type);
        return r;
}

int record_parse(RecordType type, const RecordTexts *row, int64_t now_sec, Arena *arena,
                 Record *ret, const char **ret_problem) {
        switch (type) {
        case RECORD_USERS:
                return parse_user(row, now_sec, arena, &ret->user, ret_problem);
        case RECORD_URLS:
                return parse_url(row, now_sec, arena, &ret->url, ret_problem);
        case RECORD_EVENTS:
                return parse_event(row, now_sec, arena, &ret->event, ret_problem);
        case RECORD_NONE:
                break;
        }
        check_failed("type", __FILE__, __LINE__);
}
