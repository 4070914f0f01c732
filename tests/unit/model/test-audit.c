/* SPDX-License-Identifier: MIT */

/* The fields of the audit: those that differ, by the API's names, and never a secret. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/audit.h"

static void assert_text(Buffer *out, const char *expected) {
        assert_false(out->failed);
        buffer_append_byte(out, 0);
        assert_string_equal(out->data, expected);
        buffer_done(out);
}

static void test_url(void **state _unused_) {
        const Url one = {.id = 1,
                         .user_id = 7,
                         .code = SLICE("abc"),
                         .target = SLICE("https://x.example/\xc3\xa9\\"),
                         .location = SLICE("https://x.example/%C3%A9"),
                         .is_active = true,
                         .created_sec = 1};
        Buffer out = BUFFER_EMPTY;
        Url other = one;

        audit_put_url(&out, &one, NULL);
        assert_text(&out, "{\"is_active\":true,\"original_url\":\"https://x.example/\\u00E9\\\\\","
                          "\"short_code\":\"abc\",\"user_id\":7}");
        audit_put_url(&out, &one, &other);
        assert_text(&out, "{}");
        other.updated_sec = 9; /* a change's own time is the row's */
        audit_put_url(&out, &one, &other);
        assert_text(&out, "{}");
        other.title = SLICE(""); /* not null */
        other.user_id = 0;
        other.is_active = false;
        audit_put_url(&out, &one, &other);
        assert_text(&out, "{\"is_active\":true,\"title\":null,\"user_id\":7}");
        audit_put_url(&out, &other, &one);
        assert_text(&out, "{\"is_active\":false,\"title\":\"\",\"user_id\":null}");
}

static void test_user(void **state _unused_) {
        const User one = {.username = SLICE("a\"b"), .email = SLICE("a@x.example")};
        const User other = {.username = SLICE("a"), .email = SLICE("a@x.example")};
        Buffer out = BUFFER_EMPTY;

        audit_put_user(&out, &one, NULL);
        assert_text(&out, "{\"email\":\"a@x.example\",\"username\":\"a\\\"b\"}");
        audit_put_user(&out, &one, &other);
        assert_text(&out, "{\"username\":\"a\\\"b\"}");
}

static void test_token(void **state _unused_) {
        Token one = {.id = 1,
                     .name = SLICE("n"),
                     .scopes = TOKEN_READ | TOKEN_WRITE | TOKEN_ADMIN,
                     .used_sec = 5};
        const Token revoked = {.id = 1, .revoked_sec = 1767225600};
        Buffer out = BUFFER_EMPTY;

        memset(one.digest, 'D', sizeof(one.digest));
        audit_put_token(&out, &one, NULL);
        assert_text(&out, "{\"name\":\"n\",\"scopes\":\"read,write,admin\"}");
        audit_put_token(&out, &revoked, &(Token){.id = 1});
        assert_text(&out, "{\"revoked_at\":\"2026-01-01T00:00:00\"}");
        audit_put_token(&out, &(Token){.id = 1}, &revoked);
        assert_text(&out, "{\"revoked_at\":null}");
}

static void test_event_and_counts(void **state _unused_) {
        const Event event = {.url_id = 4,
                             .user_id = 5,
                             .type = SLICE("redirect"),
                             .details = SLICE("{\"ip\":\"192.0.2.1\"}")};
        Buffer out = BUFFER_EMPTY;

        audit_put_event(&out, &event); /* a visitor's address stays with the event */
        assert_text(&out, "{\"event_type\":\"redirect\",\"url_id\":4,\"user_id\":5}");
        audit_put_counts(&out, &(AuditCounts){.users = 1, .urls = 2, .events = INT64_MAX});
        assert_text(&out, "{\"events\":9223372036854775807,\"urls\":2,\"users\":1}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_url),
                        cmocka_unit_test(test_user),
                        cmocka_unit_test(test_token),
                        cmocka_unit_test(test_event_and_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
