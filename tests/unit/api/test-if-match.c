/* SPDX-License-Identifier: MIT */

/* ETag and If-Match: what the tag covers, which lists fit, and in which order it is looked at. */

#include "api-test.h"

#define TAG_SIZE 35

/* The tag of the last answer. */
static void tag_of(ApiTest *t, char ret[TAG_SIZE]) {
        const char *tag = api_field(t, "ETag");

        assert_non_null(tag);
        assert_int_equal(strlen(tag), TAG_SIZE - 1);
        assert_int_equal(strspn(tag + 1, "0123456789abcdef"), TAG_SIZE - 3);
        memcpy(ret, tag, TAG_SIZE);
}

static void get_tag(ApiTest *t, const char *target, char ret[TAG_SIZE]) {
        api_get(t, target);
        assert_int_equal(t->exchange.response.status, 200);
        tag_of(t, ret);
}

static void if_match(ApiTest *t, const char *field) {
        t->fields[HTTP_FIELD_IF_MATCH] = slice_from_string(field);
}

static void if_none_match(ApiTest *t, const char *field) {
        t->fields[HTTP_FIELD_IF_NONE_MATCH] = slice_from_string(field);
}

static void test_every_answer_of_a_row_has_its_tag(void **state) {
        ApiTest *t = *state;
        char made[TAG_SIZE], read[TAG_SIZE], changed[TAG_SIZE];

        api_add_user(t, "ann", "ann@example.com");
        tag_of(t, made);
        get_tag(t, "/users/1", read);
        assert_string_equal(made, read);
        api_put(t, "/users/1", "{\"email\":\"new@example.com\"}");
        tag_of(t, changed);
        assert_string_not_equal(changed, read);
        get_tag(t, "/users/1", read);
        assert_string_equal(changed, read);

        api_add_url(t, "https://example.com/", 1, NULL);
        tag_of(t, made);
        get_tag(t, "/urls/1", read);
        assert_string_equal(made, read);
        api_put(t, "/urls/1", "{\"title\":\"x\"}");
        tag_of(t, changed);
        assert_string_not_equal(changed, read);
        api_get(t, "/urls");
        assert_null(api_field(t, "ETag"));
        api_get(t, "/urls/9");
        assert_null(api_field(t, "ETag"));
}

/* Each field that is shown moves the tag; back is back; visits and time alone do not. */
static void test_what_the_tag_covers(void **state) {
        static const char *const changes[] = {
                        "{\"title\":\"x\"}",
                        "{\"title\":null}",
                        "{\"url\":\"https://example.org/\"}",
                        "{\"url\":\"https://example.com/\"}",
                        "{\"is_active\":false}",
                        "{\"is_active\":true}",
        };
        ApiTest *t = *state;
        char first[TAG_SIZE], before[TAG_SIZE], now[TAG_SIZE];

        api_add_user(t, "ann", "ann@example.com");
        api_add_url(t, "https://example.com/", 1, NULL);
        get_tag(t, "/urls/1", first);
        memcpy(before, first, sizeof before);
        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                api_put(t, "/urls/1", changes[i]);
                get_tag(t, "/urls/1", now);
                assert_string_not_equal(now, before);
                memcpy(before, now, sizeof before);
        }
        assert_string_equal(now, first);
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":\"redirect\"}");
        assert_null(api_field(t, "ETag"));
        t->now_sec += 100;
        get_tag(t, "/urls/1", now);
        assert_string_equal(now, first);
        api_put(t, "/urls/1", "{}"); /* moves updated_at */
        get_tag(t, "/urls/1", now);
        assert_string_not_equal(now, first);
        api_delete(t, "/users/1"); /* user_id is null from now on */
        get_tag(t, "/urls/1", before);
        assert_string_not_equal(now, before);
        /* Another row that looks alike is another one. */
        api_add_url(t, "https://example.com/", 0, NULL);
        tag_of(t, first);
        api_add_url(t, "https://example.com/", 0, NULL);
        tag_of(t, now);
        assert_string_not_equal(now, first);
}

/* A copy in which each @ is the tag; malloc'ed. */
static char *expand(const char *list, const char *tag) {
        Buffer out = BUFFER_EMPTY;

        for (; *list; list++) {
                if (*list == '@')
                        buffer_append(&out, slice_from_string(tag));
                else
                        buffer_append_byte(&out, *list);
        }
        buffer_append_byte(&out, 0);
        assert_false(out.failed);
        return out.data;
}

/* For cases that are about either. */
static const char *const both[] = {"/urls/1", "/users/1"};

static void add_both(ApiTest *t) {
        api_add_user(t, "ann", "ann@example.com");
        api_add_url(t, "https://example.com/", 1, NULL);
}

static void test_lists(void **state) {
        static const struct {
                const char *list; /* @: the tag of the row */
                int status;
        } cases[] = {
                        {"@", 200},          {"\"a\", @", 200},
                        {"@,\"b\"", 200},    {", ,\"a\" ,\t@ , ", 200},
                        {"\"\", @", 200},    {"W/\"a\", @", 200},
                        {"\"a,b\", @", 200}, {"*", 200},
                        {"W/@", 412},        {"\"a\"", 412},
                        {"\"\"", 412},       {"\"a\", W/@, \"b\"", 412},
                        {"\"*\"", 412},      {"", 400},
                        {",", 400},          {"a", 400},
                        {"\"a", 400},        {"@ @", 400},
                        {"@, *", 400},       {"*, @", 400},
                        {"w/@", 400},        {"W/ @", 400},
                        {"W/", 400},         {"\"a b\"", 400},
        };
        ApiTest *t = *state;
        char tag[TAG_SIZE];

        add_both(t);
        for (size_t i = 0; i < 2 * ELEMENTSOF(cases); i++) {
                const char *path = both[i % 2];
                char *field;

                if_match(t, NULL);
                get_tag(t, path, tag);
                field = expand(cases[i / 2].list, tag);
                if_match(t, field);
                api_put(t, path, "{}");
                if (t->exchange.response.status != cases[i / 2].status)
                        fail_msg("%s: %s: %d", path, field, t->exchange.response.status);
                free(field);
        }
        if_match(t, NULL);
        get_tag(t, "/urls/1", tag);
        if_match(t, tag);
        t->repeated[HTTP_FIELD_IF_MATCH] = true;
        api_put(t, "/urls/1", "{}");
        assert_problem(t, 400, "Bad request");
}

static void test_a_stale_tag_changes_nothing(void **state) {
        ApiTest *t = *state;
        char url[TAG_SIZE], user[TAG_SIZE], now[TAG_SIZE];

        api_add_user(t, "ann", "ann@example.com");
        tag_of(t, user);
        api_add_url(t, "https://example.com/", 1, NULL);
        tag_of(t, url);
        api_put(t, "/urls/1", "{\"title\":\"theirs\"}");
        api_put(t, "/users/1", "{\"username\":\"theirs\"}");
        get_tag(t, "/urls/1", now);

        if_match(t, url);
        api_put(t, "/urls/1", "{\"title\":\"mine\"}");
        assert_problem(t, 412, "Precondition failed");
        api_delete(t, "/urls/1");
        assert_problem(t, 412, "Precondition failed");
        if_match(t, user);
        api_put(t, "/users/1", "{\"username\":\"mine\"}");
        assert_problem(t, 412, "Precondition failed");
        api_delete(t, "/users/1");
        assert_problem(t, 412, "Precondition failed");

        if_match(t, NULL);
        get_tag(t, "/urls/1", url);
        assert_string_equal(url, now);
        api_get(t, "/urls/1/events");
        assert_int_equal(api_count(t), 2);
        if_match(t, now);
        api_delete(t, "/urls/1");
        assert_answer(t, 204, "");
        if_match(t, NULL);
        get_tag(t, "/users/1", user);
        if_match(t, user);
        api_delete(t, "/users/1");
        assert_answer(t, 204, "");
}

/* What would be refused anyway is refused for that. */
static void test_order(void **state) {
        ApiTest *t = *state;

        api_add_url(t, "https://example.com/", 0, NULL);
        if_match(t, "\"stale\"");
        api_put(t, "/urls/1", "[");
        assert_problem(t, 400, "Request body must be a JSON object");
        api_put(t, "/urls/1", "{\"is_active\":1}");
        assert_problem(t, 400, "is_active must be a boolean");
        api_put(t, "/urls/9", "{}");
        assert_problem(t, 404, "URL not found");
        api_delete(t, "/urls/9");
        assert_problem(t, 404, "URL not found");
        api_put(t, "/users/9", "{}");
        assert_problem(t, 404, "User not found");
        api_delete(t, "/users/0");
        assert_problem(t, 404, "User not found");
        if_match(t, "*");
        api_put(t, "/urls/9", "{}");
        assert_problem(t, 404, "URL not found");
        api_delete(t, "/urls/1");
        assert_answer(t, 204, "");
        if_match(t, "\"stale\"");
        api_delete(t, "/urls/1");
        assert_problem(t, 404, "URL not found");
}

/* Weak comparison; whatever is no list, or comes twice, is as none. */
static void test_who_has_it_already(void **state) {
        static const struct {
                const char *list; /* @: the tag of the row */
                int status;
        } cases[] = {
                        {"@", 304},          {"W/@", 304},        {"*", 304},
                        {"\"a\", @", 304},   {"@,\"b\"", 304},    {", ,\"a\" ,\tW/@ , ", 304},
                        {"\"a,b\", @", 304}, {"\"\", W/@", 304},  {"\"a\"", 200},
                        {"W/\"a\"", 200},    {"\"*\"", 200},      {"\"\"", 200},
                        {"", 200},           {",", 200},          {"a", 200},
                        {"\"a", 200},        {"@ @", 200},        {"@, *", 200},
                        {"*, @", 200},       {"w/@", 200},        {"W/ @", 200},
                        {"@, \"a", 200},     {"\"a b\", @", 200}, {"W/", 200},
        };
        ApiTest *t = *state;
        char tag[TAG_SIZE], again[TAG_SIZE];

        add_both(t);
        for (size_t i = 0; i < 2 * ELEMENTSOF(cases); i++) {
                const char *path = both[i % 2];
                char *field;

                t->fields[HTTP_FIELD_IF_NONE_MATCH] = SLICE_NONE;
                get_tag(t, path, tag);
                field = expand(cases[i / 2].list, tag);
                t->fields[HTTP_FIELD_IF_NONE_MATCH] = slice_from_string(field);
                api_get(t, path);
                if (t->exchange.response.status != cases[i / 2].status)
                        fail_msg("%s: %s: %d", path, field, t->exchange.response.status);
                assert_int_equal(t->exchange.response.body.len > 0, cases[i / 2].status == 200);
                tag_of(t, again);
                assert_string_equal(again, tag);
                free(field);
        }
        t->fields[HTTP_FIELD_IF_NONE_MATCH] = SLICE("*");
        t->repeated[HTTP_FIELD_IF_NONE_MATCH] = true;
        get_tag(t, "/urls/1", tag);
}

static void test_of_what_nobody_has_it(void **state) {
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        api_add_url(t, "https://example.com/", 1, NULL);
        t->fields[HTTP_FIELD_IF_NONE_MATCH] = SLICE("*");
        api_get(t, "/urls/9");
        assert_problem(t, 404, "URL not found");
        api_get(t, "/users/0");
        assert_problem(t, 404, "User not found");
        api_get(t, "/urls");
        assert_int_equal(api_count(t), 1);
        api_get(t, "/urls/1/stats");
        assert_int_equal(t->exchange.response.status, 200);
        api_add_url(t, "https://example.com/", 1, NULL); /* wants a 201 */
}

/* Weak comparison, and a change that would be made although its condition cannot be read is none.
 */
static void test_a_change_of_what_must_not_be_there(void **state) {
        static const struct {
                const char *list, *match; /* @: the tag of the row */
                int status;
        } cases[] = {
                        {"@", NULL, 412},        {"W/@", NULL, 412},   {"*", NULL, 412},
                        {"\"a\", @", NULL, 412}, {"\"a\"", NULL, 200}, {"\"*\"", NULL, 200},
                        {"", NULL, 400},         {"a", NULL, 400},     {"@, *", NULL, 400},
                        {"\"a\"", "@", 200},     {"\"a\"", "*", 200},  {"\"a\"", "\"a\"", 412},
                        {"@", "@", 412},         {"*", "*", 412},      {"a", "@", 400},
        };
        ApiTest *t = *state;
        char tag[TAG_SIZE];

        add_both(t);
        for (size_t i = 0; i < 2 * ELEMENTSOF(cases); i++) {
                const char *path = both[i % 2];
                char *field, *match;

                if_none_match(t, NULL);
                if_match(t, NULL);
                get_tag(t, path, tag);
                field = expand(cases[i / 2].list, tag);
                match = cases[i / 2].match ? expand(cases[i / 2].match, tag) : NULL;
                if_none_match(t, field);
                if_match(t, match);
                api_put(t, path, "{}");
                if (t->exchange.response.status != cases[i / 2].status)
                        fail_msg("%s: %s: %d", path, field, t->exchange.response.status);
                if (cases[i / 2].status != 200) {
                        api_delete(t, path);
                        assert_int_equal(t->exchange.response.status, cases[i / 2].status);
                }
                free(field);
                free(match);
        }
        if_match(t, NULL);
        if_none_match(t, "*");
        api_delete(t, "/urls/9");
        assert_problem(t, 404, "URL not found");
        t->repeated[HTTP_FIELD_IF_NONE_MATCH] = true;
        api_delete(t, "/urls/1");
        assert_problem(t, 400, "Bad request");
        t->repeated[HTTP_FIELD_IF_NONE_MATCH] = false;
        if_none_match(t, "\"a\"");
        api_delete(t, "/urls/1");
        assert_answer(t, 204, "");
        api_delete(t, "/users/1");
        assert_answer(t, 204, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        API_TEST(test_every_answer_of_a_row_has_its_tag),
                        API_TEST(test_what_the_tag_covers),
                        API_TEST(test_lists),
                        API_TEST(test_a_stale_tag_changes_nothing),
                        API_TEST(test_order),
                        API_TEST(test_who_has_it_already),
                        API_TEST(test_of_what_nobody_has_it),
                        API_TEST(test_a_change_of_what_must_not_be_there),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
