/* SPDX-License-Identifier: MIT */

/* The log's forms, read back from a pipe in the place of standard error; and that a full queue
 * drops and counts instead of blocking. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "sys/log.h"

static int saved_stderr, pipe_fds[2];

static int capture(void **state _unused_) {
        saved_stderr = dup(STDERR_FILENO);
        return pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC) < 0 || dup2(pipe_fds[1], STDERR_FILENO) < 0;
}

static int release(void **state _unused_) {
        (void)dup2(saved_stderr, STDERR_FILENO);
        (void)close(saved_stderr);
        (void)close(pipe_fds[0]);
        (void)close(pipe_fds[1]);
        return 0;
}

static const char *captured(void) {
        static char text[65536];
        ssize_t n = read(pipe_fds[0], text, sizeof text - 1);

        text[n > 0 ? n : 0] = '\0';
        return text;
}

static void test_text(void **state _unused_) {
        const LogField fields[] = {{"SHORTENER_STATUS", SLICE("200")}, {"OTHER", SLICE("a\nb")}};

        log_open("prog", LOG_FORMAT_TEXT, LOG_INFO);
        log_entry(LOG_INFO, "0123", fields, 2, "hello %d", 5);
        assert_string_equal(captured(), "prog: hello 5 status=200 other=a?b\n");
        log_debug("not seen");
        assert_string_equal(captured(), "");
        log_set_max_level(LOG_DEBUG);
        log_debug("seen");
        assert_string_equal(captured(), "prog: seen\n");
}

static void test_json(void **state _unused_) {
        const LogField fields[] = {{"SHORTENER_CODE", SLICE("a\"b")}, {"BAD", SLICE("\xff")}};
        json_t *json;

        log_open("prog", LOG_FORMAT_JSON, LOG_INFO);
        log_entry(LOG_WARNING, NULL, fields, 2, "hello");
        json = json_loads(captured(), 0, NULL);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "message")), "hello");
        assert_string_equal(json_string_value(json_object_get(json, "level")), "warning");
        assert_string_equal(json_string_value(json_object_get(json, "code")), "a\"b");
        assert_string_equal(json_string_value(json_object_get(json, "bad")), "?");
        json_decref(json);
}

static void test_long_entries_are_cut(void **state _unused_) {
        char value[6000];
        const LogField fields[] = {{"A", {value, sizeof value}}, {"B", SLICE("lost")}};

        memset(value, 'x', sizeof value);
        log_open("prog", LOG_FORMAT_TEXT, LOG_INFO);
        log_entry(LOG_INFO, NULL, fields, 2, "hello");
        assert_true(strlen(captured()) < 4200);
}

static void test_queue(void **state _unused_) {
        uint64_t n_before = log_drops();

        log_open("prog", LOG_FORMAT_TEXT, LOG_INFO);
        assert_int_equal(log_queue_open(), 0);
        log_info("one");
        log_info("two");
        assert_string_equal(captured(), "");
        for (unsigned i = 0; i < 20000 && log_drops() == n_before; i++)
                log_info("nobody reads this meanwhile, and nobody waits for it");
        assert_true(log_drops() > n_before);
        log_stop();
        log_run();
        assert_true(strncmp(captured(), "prog: one\nprog: two\n", 20) == 0);
        log_info("direct again");
        log_stop();
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_text, capture, release),
                        cmocka_unit_test_setup_teardown(test_json, capture, release),
                        cmocka_unit_test_setup_teardown(test_long_entries_are_cut, capture,
                                                        release),
                        cmocka_unit_test_setup_teardown(test_queue, capture, release),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
