/* SPDX-License-Identifier: MIT */

/* Options and targets: documented defaults, what each one refuses, and that no URL of a webhook is
 * shown. */

#include "alertd-test.h"

#include "alertd/options.h"
#include "alertd/target.h"

static int load(const char *assignment, AlertOptions *ret, char **ret_error) {
        const char *set[] = {assignment, NULL};
        ConfigSources sources = {.set = set};

        *ret = (AlertOptions){0};
        return config_load(alert_options_table, n_alert_options, &sources, ret, ret_error);
}

static void test_defaults(void **state) {
        AlertOptions options;
        char *error;

        (void)state;
        assert_int_equal(load(NULL, &options, &error), 0);
        assert_string_equal(options.alerts.listen[0], "127.0.0.1:9097");
        assert_null(options.alerts.listen[1]);
        assert_string_equal(options.alerts.log, "/var/log/shortener/alerts.log");
        assert_string_equal(options.alerts.evidence, "");
        assert_string_equal(options.alerts.queue, "");
        assert_string_equal(options.alerts.grafana_url, "");
        assert_null(options.alerts.forward[0]);
        assert_int_equal(options.alerts.timeout_usec, 10000000);
        assert_int_equal(options.alerts.give_up_usec, 86400000000);
        assert_int_equal(options.alerts.queue_size, 64 << 20);
        assert_int_equal(options.log.level, 3);
        config_free(alert_options_table, n_alert_options, &options);
}

static void test_good(void **state) {
        static const char *const good[] = {
                        "Alerts.Listen=",
                        "Alerts.Listen=[::1]:9097 unix:/run/a.sock",
                        "Alerts.Log=/a",
                        "Alerts.Evidence=/e",
                        "Alerts.GrafanaURL=https://g.example/grafana",
                        "Alerts.Forward=discord:https://discord.com/api/webhooks/1/x-y_z?wait=true",
                        "Alerts.Forward=json:http://127.0.0.1:1/ json:@pager discord:@a.b-c_d",
                        "Alerts.Timeout=100ms",
                        "Alerts.GiveUp=365d",
                        "Alerts.QueueSize=1M",
                        "Log.Level=debug",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                AlertOptions options;
                char *error;

                if (load(good[i], &options, &error) < 0)
                        fail_msg("%s: %s", good[i], error);
                config_free(alert_options_table, n_alert_options, &options);
        }
}

static void test_bad(void **state) {
        static const char *const bad[] = {
                        "Alerts.Listen=localhost:80",
                        "Alerts.Log=",
                        "Alerts.Log=relative",
                        "Alerts.Evidence=relative",
                        "Alerts.GrafanaURL=g.example",
                        "Alerts.GrafanaURL=http://a b",
                        "Alerts.Forward=https://discord.com/",
                        "Alerts.Forward=slack:https://example.com/",
                        "Alerts.Forward=discord:",
                        "Alerts.Forward=discord:ftp://secret",
                        "Alerts.Forward=discord:https:///secret",
                        "Alerts.Forward=discord:https://a/\"secret",
                        "Alerts.Forward=json:@",
                        "Alerts.Forward=json:@../secret",
                        "Alerts.Forward=json:@.secret",
                        "Alerts.Timeout=99ms",
                        "Alerts.Timeout=61s",
                        "Alerts.GiveUp=0",
                        "Alerts.QueueSize=5G",
                        "Alerts.None=1",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                AlertOptions options;
                char *error;

                if (load(bad[i], &options, &error) != -EINVAL)
                        fail_msg("%s was accepted", bad[i]);
                assert_non_null(error);
                assert_null(strstr(error, "secret"));
                free(error);
                config_free(alert_options_table, n_alert_options, &options);
        }
}

static void test_not_dumped(void **state) {
        Buffer out = BUFFER_EMPTY;
        AlertOptions options;
        char *error;

        (void)state;
        assert_int_equal(load("Alerts.Forward=json:http://secret/", &options, &error), 0);
        config_dump(alert_options_table, n_alert_options, &options, &out);
        buffer_append_byte(&out, '\0');
        assert_non_null(strstr(out.data, "\n# Forward= is set, and not shown\n"));
        assert_null(strstr(out.data, "secret"));
        buffer_done(&out);
        config_free(alert_options_table, n_alert_options, &options);

        assert_int_equal(load(NULL, &options, &error), 0);
        config_dump(alert_options_table, n_alert_options, &options, &out);
        buffer_append_byte(&out, '\0');
        assert_non_null(strstr(out.data, "\nForward=\n"));
        buffer_done(&out);
        config_free(alert_options_table, n_alert_options, &options);
}

/* ---- targets ---- */

static void test_target_names(void **state) {
        Target one, two;

        (void)state;
        assert_int_equal(target_read("discord:http://h/secret", NULL, &one), 0);
        assert_int_equal(target_read("json:http://h/secret2", NULL, &two), 0);
        assert_int_equal(one.kind, TARGET_DISCORD);
        assert_int_equal(two.kind, TARGET_JSON);
        assert_string_equal(one.url, "http://h/secret");
        assert_int_equal(strncmp(one.name, "discord-", 8), 0);
        assert_int_equal(strlen(one.name), strlen("discord-0123456789abcdef"));
        assert_string_not_equal(one.name + 8, two.name + 5);
        assert_null(strstr(one.name, "secret"));
        target_done(&one);
        target_done(&two);
}

static void write_file(const char *folder, const char *name, const char *text) {
        char path[256];
        FILE *file;

        assert_true(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
}

static void test_credentials(void **state) {
        static const struct {
                const char *text;
                int result;
        } contents[] = {{"https://h/x\n", 0},
                        {" https://h/x \r\n", 0},
                        {"", -EINVAL},
                        {"\n", -EINVAL},
                        {"https://h/\nhttps://i/", -EINVAL},
                        {"h/x", -EINVAL}};
        Target target = {0};

        for (size_t i = 0; i < ELEMENTSOF(contents); i++) {
                write_file(*state, "shortener.discord-webhook", contents[i].text);
                assert_int_equal(target_read("discord:@" TARGET_CREDENTIAL, *state, &target),
                                 contents[i].result);
                if (contents[i].result < 0)
                        continue;
                assert_string_equal(target.name, TARGET_USUAL_NAME);
                assert_string_equal(target.url, "https://h/x");
                target_done(&target);
        }
        assert_int_equal(target_read("json:@pager", *state, &target), -ENOENT);
        assert_int_equal(target_read("json:@pager", NULL, &target), -ENOENT);
        write_file(*state, "pager", "http://p/");
        assert_int_equal(target_read("json:@pager", *state, &target), 0);
        assert_string_equal(target.name, "json-pager");
        target_done(&target);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_defaults),
                        cmocka_unit_test(test_good),
                        cmocka_unit_test(test_bad),
                        cmocka_unit_test(test_not_dumped),
                        cmocka_unit_test(test_target_names),
                        cmocka_unit_test_setup_teardown(test_credentials, folder_setup,
                                                        folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
