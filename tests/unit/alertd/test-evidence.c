/* SPDX-License-Identifier: MIT */

/* Bodies, names and files of evidence, the alerts log. */

#include "alertd-test.h"

#include <dirent.h>

#include "alertd/alert-log.h"
#include "alertd/evidence.h"
#include "alertd/stamp.h"

#define RECEIVED 1767323045123456

static Batch parse(Slice body) {
        Batch batch;

        assert_int_equal(batch_parse(body, &batch), 0);
        return batch;
}

static void test_stamps(void **state) {
        char text[STAMP_SIZE];

        (void)state;
        stamp_iso(RECEIVED, text);
        assert_string_equal(text, "2026-01-02T03:04:05.123456Z");
        stamp_compact(RECEIVED, text);
        assert_string_equal(text, "20260102T030405.123456Z");
        stamp_iso(7, text);
        assert_string_equal(text, "1970-01-01T00:00:00.000007Z");
}

static void assert_line(Slice body, const char *line) {
        Batch batch = parse(body);
        Buffer out = BUFFER_EMPTY;

        batch_append_line(&batch, "T", &out);
        buffer_append_byte(&out, '\0');
        assert_false(out.failed);
        assert_string_equal(out.data, line);
        buffer_done(&out);
        batch_done(&batch);
}

static void test_lines(void **state) {
        (void)state;
        assert_line(SLICE("{ \"b\": 1,\n \"a\": \"\\u00e9\" }"),
                    "{\"received_at\":\"T\",\"alerts\":{\"b\":1,\"a\":\"\u00e9\"}}\n");
        assert_line(SLICE("null"), "{\"received_at\":\"T\",\"alerts\":null}\n");
        assert_line(SLICE(""), "{\"received_at\":\"T\",\"alerts\":{\"raw\":\"\"}}\n");
        assert_line(SLICE("a\nb"), "{\"received_at\":\"T\",\"alerts\":{\"raw\":\"a\\nb\"}}\n");
        assert_line(SLICE("\0\xff"),
                    "{\"received_at\":\"T\",\"alerts\":{\"raw\":\"\\u0000\xEF\xBF\xBD\","
                    "\"raw_hex\":\"00ff\"}}\n");
        assert_line(SLICE("{\"a\":\"\\u0000\"}"),
                    "{\"received_at\":\"T\",\"alerts\":{\"a\":\"\\u0000\"}}\n");
        assert_line(SLICE("1e999"), "{\"received_at\":\"T\",\"alerts\":{\"raw\":\"1e999\"}}\n");
        assert_line(SLICE("99999999999999999999"), "{\"received_at\":\"T\",\"alerts\":1e20}\n");
}

/* BATCH_DEPTH_MAX levels are JSON, one more is not; brackets in strings do not count. */
static void test_depth(void **state) {
        (void)state;
        for (size_t depth = BATCH_DEPTH_MAX - 1; depth <= BATCH_DEPTH_MAX + 1; depth++) {
                Buffer body = BUFFER_EMPTY;
                Batch batch;

                for (size_t i = 0; i < depth; i++)
                        buffer_append(&body, i % 2 ? SLICE("{\"]}\\\"[\":") : SLICE("["));
                buffer_append(&body, SLICE("\"[[[[\\\"[[[[\""));
                for (size_t i = depth; i-- > 0;)
                        buffer_append_byte(&body, i % 2 ? '}' : ']');
                batch = parse(buffer_slice(&body));
                assert_int_equal(batch.raw, depth > BATCH_DEPTH_MAX);
                batch_done(&batch);
                buffer_done(&body);
        }
}

static void assert_name(const char *name, const char *status, const char *expected) {
        BatchAlert alert = {.name = slice_from_string(name), .status = slice_from_string(status)};
        char found[EVIDENCE_NAME_MAX + 1];

        evidence_name(&alert, RECEIVED, 3, 0, found);
        assert_string_equal(found, expected);
}

#define TIME "20260102T030405.123456Z"

static void test_evidence_names(void **state) {
        char name[EVIDENCE_NAME_MAX + 1];
        BatchAlert nul = {.name = {"a\0b", 3}, .status = SLICE("firing")},
                   wide = {.name = {NULL, 0}, .status = SLICE("firing")};
        char large[20000];

        (void)state;
        assert_name("ServiceDown", "firing", "alert_ServiceDown_firing_" TIME ".json");
        assert_name("../../x", "a/b", "alert_.._.._x_a_b_" TIME ".json");
        assert_name("..", ".", "alert_.._._" TIME ".json");
        assert_name("\xF0\x9F\x94\xA5 hot \xF0\x9F\x94\xA5", "firing",
                    "alert__hot__firing_" TIME ".json");
        assert_name("", "", "alert___" TIME ".json");
        assert_name("a\n\r\tb", "firing", "alert_a_b_firing_" TIME ".json");
        evidence_name(&nul, RECEIVED, 3, 0, name);
        assert_string_equal(name, "alert_a_b_firing_" TIME ".json");
        evidence_name(&nul, RECEIVED, 3, 2, name);
        assert_string_equal(name, "alert_a_b_firing_" TIME "-3.2.json");
        memset(large, 'x', sizeof large);
        wide.name = wide.status = slice_make(large, sizeof large);
        evidence_name(&wide, RECEIVED, SIZE_MAX, 999, name);
        assert_true(strlen(name) < 255);
        assert_non_null(strstr(name, TIME "-18446744073709551615.999.json"));
}

static size_t count_files(const char *folder) {
        DIR *dir = opendir(folder);
        size_t n = 0;

        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));)
                n += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
        (void)closedir(dir);
        return n;
}

/* Two batches of the same moment: nothing is overwritten; what is removed is one's own. */
static void test_files(void **state) {
        Batch batch = parse(SLICE("[{\"labels\":{\"alertname\":\"A\"}},"
                                  "{\"labels\":{\"alertname\":\"A\"}},7]"));
        Buffer names = BUFFER_EMPTY, more = BUFFER_EMPTY;
        char path[256];
        Evidence *evidence;

        assert_true(snprintf(path, sizeof path, "%s/evidence", (char *)*state) > 0);
        assert_int_equal(evidence_open(path, &evidence), 0);
        assert_int_equal(batch.n_alerts, 3);
        assert_int_equal(evidence_write(evidence, &batch, RECEIVED, &names), 0);
        assert_int_equal(evidence_write(evidence, &batch, RECEIVED, &more), 0);
        assert_int_equal(count_files(path), 6);
        for (int i = 0; i < 5; i++) {
                assert_int_equal(evidence_sync(evidence), 0);
                assert_int_equal(evidence_write(evidence, &batch, RECEIVED + 1, &more), 0);
                evidence_remove(evidence, &more);
        }
        assert_int_equal(count_files(path), 6);
        evidence_remove(evidence, &names);
        assert_int_equal(count_files(path), 3);
        buffer_done(&names);
        buffer_done(&more);
        (void)evidence_free(evidence);
        batch_done(&batch);
}

static void test_no_folder(void **state) {
        char path[256];
        Evidence *evidence;
        AlertLog *log;

        assert_true(snprintf(path, sizeof path, "%s/a/b", (char *)*state) > 0);
        assert_int_equal(evidence_open(path, &evidence), -ENOENT);
        assert_true(snprintf(path, sizeof path, "%s/a/b/c", (char *)*state) > 0);
        assert_int_equal(alert_log_open(path, &log), -ENOENT);
        assert_int_equal(alert_log_open(*state, &log), -EISDIR);
        assert_true(snprintf(path, sizeof path, "%s/link", (char *)*state) > 0);
        assert_int_equal(symlink("/tmp/elsewhere", path), 0);
        assert_int_equal(alert_log_open(path, &log), -ELOOP);
}

/* ---- the log ---- */

static void assert_content(const char *path, const char *expected) {
        char found[256] = "";
        FILE *file = fopen(path, "re");

        assert_non_null(file);
        found[fread(found, 1, sizeof found - 1, file)] = '\0';
        (void)fclose(file);
        assert_string_equal(found, expected);
}

static void test_log(void **state) {
        char path[256], other[256];
        AlertLog *log;
        off_t end;

        assert_true(snprintf(path, sizeof path, "%s/folder/log", (char *)*state) > 0);
        assert_true(snprintf(other, sizeof other, "%s/folder/log.1", (char *)*state) > 0);
        assert_int_equal(alert_log_open(path, &log), 0);
        assert_int_equal(alert_log_append(log, SLICE("one\n")), 0);
        end = alert_log_end(log);
        assert_int_equal(alert_log_append(log, SLICE("two\n")), 0);
        alert_log_cut(log, end);
        assert_int_equal(alert_log_append(log, SLICE("three\n")), 0);
        assert_int_equal(alert_log_sync(log), 0);
        assert_content(path, "one\nthree\n");

        assert_int_equal(rename(path, other), 0);
        assert_int_equal(alert_log_follow(log), 0);
        assert_int_equal(alert_log_append(log, SLICE("four\n")), 0);
        assert_content(path, "four\n");
        assert_int_equal(truncate(path, 0), 0);
        assert_int_equal(alert_log_follow(log), 0);
        assert_int_equal(alert_log_append(log, SLICE("five\n")), 0);
        end = alert_log_end(log);
        assert_int_equal(end, 5);
        (void)alert_log_free(log);
        assert_content(path, "five\n");
        assert_content(other, "one\nthree\n");
}

/* A crash left half a line: what comes next begins on a line of its own. */
static void test_half_line(void **state) {
        char path[256];
        AlertLog *log;
        FILE *file;

        assert_true(snprintf(path, sizeof path, "%s/log", (char *)*state) > 0);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs("whole\nhal", file) >= 0);
        (void)fclose(file);
        assert_int_equal(alert_log_open(path, &log), 0);
        assert_int_equal(alert_log_append(log, SLICE("next\n")), 0);
        (void)alert_log_free(log);
        assert_content(path, "whole\nhal\nnext\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_stamps),
                        cmocka_unit_test(test_lines),
                        cmocka_unit_test(test_depth),
                        cmocka_unit_test(test_evidence_names),
                        cmocka_unit_test_setup_teardown(test_files, folder_setup, folder_teardown),
                        cmocka_unit_test_setup_teardown(test_no_folder, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test_setup_teardown(test_log, folder_setup, folder_teardown),
                        cmocka_unit_test_setup_teardown(test_half_line, folder_setup,
                                                        folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
