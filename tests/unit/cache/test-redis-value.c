/* SPDX-License-Identifier: MIT */

/* Values in Redis: what is written is read back, and nothing else is. */

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "basic/hash.h"
#include "cache/redis-value.h"

#define NOW 1800000000
#define TTL 600

static Arena arena;

static int write_value(Buffer *out, const char *code, const char *location, int64_t read_sec) {
        Link link = {.id = 42,
                     .code = slice_from_string(code),
                     .location = slice_from_string(location),
                     .is_active = true};

        return redis_value_append(out, &arena, &link, read_sec);
}

static int parse(Slice value, const char *code, Link *ret) {
        *ret = (Link){.code = slice_from_string(code)};
        return redis_value_parse(value, NOW, TTL, &arena, ret);
}

/* A value whose checksum is right whatever is in it. */
static int parse_inside(const char *version, const char *inside) {
        char value[3 * REDIS_VALUE_MAX];
        Link link;
        int len;

        len = snprintf(value, sizeof value, "%s %08" PRIx32 " %s", version,
                       hash_crc32c(0, inside, strlen(inside)), inside);
        return parse(slice_make(value, (size_t)len), "abc", &link);
}

static void test_round_trip(void **state) {
        Buffer value = BUFFER_EMPTY;
        Link link;

        (void)state;
        assert_int_equal(write_value(&value, "abc", "https://example.com/a?b=c#d", NOW), 0);
        assert_int_equal(parse(buffer_slice(&value), "abc", &link), 0);
        assert_int_equal(link.id, 42);
        assert_true(link.is_active);
        assert_true(slice_equal(link.location, SLICE("https://example.com/a?b=c#d")));
        assert_int_equal(parse(buffer_slice(&value), "abd", &link), -EBADMSG);
        assert_int_equal(link.id, 0);
        buffer_done(&value);
}

static void test_key(void **state) {
        Buffer key = BUFFER_EMPTY;

        (void)state;
        redis_key_append(&key, SLICE("abc"));
        assert_true(slice_equal(buffer_slice(&key), SLICE("shortener:1:abc")));
        buffer_done(&key);
}

/* Each bit of it, and each shortening. */
static void test_damage(void **state) {
        Buffer value = BUFFER_EMPTY;
        Link link;

        (void)state;
        assert_int_equal(write_value(&value, "abc", "https://example.com/", NOW), 0);
        for (size_t i = 0; i < value.len; i++) {
                assert_int_equal(parse(slice_make(value.data, i), "abc", &link), -EBADMSG);
                for (unsigned bit = 0; bit < 8; bit++) {
                        value.data[i] = (char)(value.data[i] ^ (1 << bit));
                        assert_int_equal(parse(buffer_slice(&value), "abc", &link), -EBADMSG);
                        value.data[i] = (char)(value.data[i] ^ (1 << bit));
                }
        }
        buffer_append_byte(&value, ' ');
        assert_int_equal(parse(buffer_slice(&value), "abc", &link), -EBADMSG);
        buffer_done(&value);
}

static void test_age(void **state) {
        (void)state;
        assert_int_equal(parse_inside("1", "1800000000 7 abc https://example.com/"), 0);
        assert_int_equal(parse_inside("1", "1799999400 7 abc https://example.com/"), 0);
        assert_int_equal(parse_inside("1", "1799999399 7 abc https://example.com/"), -ESTALE);
        assert_int_equal(parse_inside("1", "0 7 abc https://example.com/"), -ESTALE);
        assert_int_equal(parse_inside("1", "1800000060 7 abc https://example.com/"), 0);
        assert_int_equal(parse_inside("1", "1800000061 7 abc https://example.com/"), -EBADMSG);
        assert_int_equal(parse_inside("1", "-1 7 abc https://example.com/"), -EBADMSG);
}

static void test_refused(void **state) {
        static const char *const insides[] = {
                        "",
                        "1800000000",
                        "1800000000 7",
                        "1800000000 7 abc",
                        "1800000000 7 abc ",
                        "1800000000 7 abd https://example.com/",
                        "1800000000 7 ABC https://example.com/",
                        "1800000000 0 abc https://example.com/",
                        "1800000000 -7 abc https://example.com/",
                        "1800000000 x abc https://example.com/",
                        "1800000000 99999999999999999999 abc https://example.com/",
                        "x 7 abc https://example.com/",
                        "1800000000 7 abc https://example.com",
                        "1800000000 7 abc HTTPS://example.com/",
                        "1800000000 7 abc https://EXAMPLE.com/",
                        "1800000000 7 abc https://example.com/a/../b",
                        "1800000000 7 abc https://example.com:443/",
                        "1800000000 7 abc javascript:alert(1)",
                        "1800000000 7 abc ftp://example.com/",
                        "1800000000 7 abc https://me@example.com/",
                        "1800000000 7 abc https://example.com/ x",
                        "1800000000 7 abc https://example.com/\r\nSet-Cookie: a=b",
                        "1800000000 7 abc https://example.com/\t",
                        "1800000000 7 abc https://example.com/\xc3\xa4",
                        "1800000000 7 abc https://example.com/\x7f",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(insides); i++)
                if (parse_inside("1", insides[i]) != -EBADMSG)
                        fail_msg("accepted: %s", insides[i]);
        assert_int_equal(parse_inside("2", "1800000000 7 abc https://example.com/"), -EBADMSG);
        assert_int_equal(parse_inside("", "1800000000 7 abc https://example.com/"), -EBADMSG);
}

/* Locations may have three times the bytes of what was sent; only the shorter ones are kept. */
static void test_long(void **state) {
        char location[MODEL_TARGET_MAX + 2], inside[REDIS_VALUE_MAX + 64];
        Buffer value = BUFFER_EMPTY;
        Link link;

        (void)state;
        memset(location, 'a', sizeof location);
        memcpy(location, "https://example.com/", 20);
        location[MODEL_TARGET_MAX] = '\0';
        assert_int_equal(write_value(&value, "abc", location, NOW), 0);
        assert_int_equal(parse(buffer_slice(&value), "abc", &link), 0);
        assert_int_equal(link.location.len, MODEL_TARGET_MAX);
        location[MODEL_TARGET_MAX] = 'a';
        location[MODEL_TARGET_MAX + 1] = '\0';
        buffer_clear(&value);
        assert_int_equal(write_value(&value, "abc", location, NOW), -EMSGSIZE);
        (void)snprintf(inside, sizeof inside, "1800000000 7 abc %s", location);
        assert_int_equal(parse_inside("1", inside), -EBADMSG);
        buffer_clear(&value);
        assert_int_equal(write_value(&value, "abc", "https://example.com", NOW), -EMSGSIZE);
        buffer_done(&value);
}

static void test_longest_code(void **state) {
        char code[MODEL_CODE_MAX + 2];
        Buffer value = BUFFER_EMPTY;
        Link link;

        (void)state;
        memset(code, 'c', sizeof code);
        code[MODEL_CODE_MAX] = '\0';
        assert_int_equal(write_value(&value, code, "https://example.com/", NOW), 0);
        assert_int_equal(parse(buffer_slice(&value), code, &link), 0);
        code[MODEL_CODE_MAX] = 'c';
        code[MODEL_CODE_MAX + 1] = '\0';
        assert_int_equal(write_value(&value, code, "https://example.com/", NOW), -EMSGSIZE);
        buffer_done(&value);
}

static void test_no_memory(void **state) {
        Buffer value = BUFFER_EMPTY;
        Arena small;
        Link link = {.code = SLICE("abc")};

        (void)state;
        assert_int_equal(write_value(&value, "abc", "https://example.com/", NOW), 0);
        arena_init(&small, 24);
        assert_int_equal(redis_value_parse(buffer_slice(&value), NOW, TTL, &small, &link), -ENOMEM);
        assert_int_equal(link.id, 0);
        arena_done(&small);
        arena_init(&small, 40); /* for the check of the location, and no more */
        assert_int_equal(redis_value_parse(buffer_slice(&value), NOW, TTL, &small, &link), -ENOMEM);
        arena_done(&small);
        buffer_done(&value);
}

static int teardown(void **state) {
        (void)state;
        arena_done(&arena);
        arena_init(&arena, 0);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_teardown(test_round_trip, teardown),
                        cmocka_unit_test_teardown(test_key, teardown),
                        cmocka_unit_test_teardown(test_damage, teardown),
                        cmocka_unit_test_teardown(test_age, teardown),
                        cmocka_unit_test_teardown(test_refused, teardown),
                        cmocka_unit_test_teardown(test_long, teardown),
                        cmocka_unit_test_teardown(test_longest_code, teardown),
                        cmocka_unit_test_teardown(test_no_memory, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
