/* SPDX-License-Identifier: MIT */

/* The options of shortenerd and shortenerctl: documented defaults, and what each one refuses. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "config/options.h"

static int load(const char *assignment, Options *ret, char **ret_error) {
        const char *set[] = {assignment, NULL};
        ConfigSources sources = {.set = set};

        *ret = (Options){0};
        return options_load(&sources, ret, ret_error);
}

static void assert_good(const char *assignment) {
        Options options;
        char *error;

        if (load(assignment, &options, &error) < 0)
                fail_msg("%s: %s", assignment, error);
        config_free(options_table, n_options, &options);
}

static void assert_bad(const char *assignment) {
        Options options;
        char *error;

        if (load(assignment, &options, &error) != -EINVAL)
                fail_msg("%s was accepted", assignment);
        assert_non_null(error);
        free(error);
        config_free(options_table, n_options, &options);
}

static void test_defaults(void **state) {
        ConfigSources sources = {0};
        Options options = {0};
        char *error;

        (void)state;
        assert_int_equal(options_load(&sources, &options, &error), 0);
        assert_null(options.server.listen[0]);
        assert_string_equal(options.server.base_url, "");
        assert_int_equal(options.server.max_connections, 4096);
        assert_int_equal(options.server.workers, 4);
        assert_null(options.server.trusted_proxy[0]);
        assert_string_equal(options.server.runtime_directory, "/run/shortener");
        assert_string_equal(options.store.url, "sqlite:/var/lib/shortener/shortener.db");
        assert_int_equal(options.store.timeout_usec, 1000000);
        assert_int_equal(options.cache.size, 64 << 20);
        assert_string_equal(options.cache.redis, "");
        assert_int_equal(options.cache.redis_ttl_usec, 600 * USEC_PER_SEC);
        assert_int_equal(options.cache.redis_timeout_usec, 100 * USEC_PER_MSEC);
        assert_true(options.cache.warm_up);
        assert_string_equal(options.clicks.directory, "");
        assert_int_equal(options.clicks.sync, 0);
        assert_int_equal(options.clicks.sync_interval_usec, 20000);
        assert_int_equal(options.clicks.on_full, 0);
        assert_int_equal(options.clicks.keep_usec, 86400000000);
        assert_int_equal(options.audit.keep_usec, 0);
        assert_int_equal(options.clicks.keep_size, 2ULL << 30);
        assert_int_equal(options.clicks.max_size, 4ULL << 30);
        assert_int_equal(options.clicks.segment_size, 64 << 20);
        assert_int_equal(options.api.access, 0);
        assert_int_equal(options.links.code_length, 6);
        assert_null(options.links.blocklist[0]);
        assert_int_equal(options.links.private_targets, 0);
        assert_int_equal(options.links.mixed_scripts, 0);
        assert_int_equal(options.links.credentials, 1);
        assert_null(options.links.own_hosts[0]);
        assert_string_equal(options.limits.create, "auto");
        assert_string_equal(options.limits.read, "auto");
        assert_string_equal(options.limits.misses, "auto");
        assert_string_equal(options.limits.failed_auth, "auto");
        assert_int_equal(options.limits.size, 2 << 20);
        assert_int_equal(options.limits.links_per_user, 0);
        assert_int_equal(options.log.level, 3);
        config_free(options_table, n_options, &options);
}

static void test_good(void **state) {
        static const char *const good[] = {
                        "Server.Listen=127.0.0.1:8080",
                        "Server.Listen=0.0.0.0:0 [::1]:8080 unix:/run/x.sock",
                        "Server.Listen=",
                        "Server.BaseURL=https://s.example",
                        "Server.BaseURL=http://[::1]:8080/s",
                        "Server.MaxConnections=65536",
                        "Server.Workers=32",
                        "Server.TrustedProxy=10.0.0.0/8 ::1 fe80::/10 192.0.2.1",
                        "Server.TrustedProxy=0.0.0.0/0",
                        "Server.RuntimeDirectory=/tmp/run",
                        "Store.URL=sqlite:/tmp/x.db",
                        "Store.URL=postgresql:///shortener",
                        "Store.URL=postgres://a@db1,db2/shortener?connect_timeout=1",
                        "Store.Prepared=no",
                        "Events.Keep=90d",
                        "Audit.Keep=365d",
                        "Store.Timeout=10ms",
                        "Store.Timeout=1min",
                        "Cache.Size=256K",
                        "Cache.Redis=",
                        "Cache.Redis=unix:/run/redis/redis.sock",
                        "Cache.Redis=redis://cache.example",
                        "Cache.Redis=redis://127.0.0.1:6379",
                        "Cache.Redis=redis://127.0.0.1/",
                        "Cache.Redis=redis://[::1]:6379/3",
                        "Cache.Redis=redis://[::1]",
                        "Cache.RedisTTL=1",
                        "Cache.RedisTimeout=10s",
                        "Cache.WarmUp=no",
                        "Clicks.Directory=/tmp/spool",
                        "Clicks.Sync=always",
                        "Clicks.Sync=off",
                        "Clicks.OnFull=fail",
                        "Clicks.Keep=0",
                        "Clicks.KeepSize=0",
                        "Clicks.SegmentSize=1M",
                        "Clicks.SegmentSize=1G",
                        "API.Access=open",
                        "API.Access=token",
                        "API.Access=auto",
                        "Links.CodeLength=4",
                        "Links.CodeLength=32",
                        "Links.Blocklist=/a /b",
                        "Links.PrivateTargets=refuse",
                        "Links.MixedScripts=refuse",
                        "Links.Credentials=allow",
                        "Links.OwnHosts=s.example t.example",
                        "Limits.Create=off",
                        "Limits.Read=6000/1min",
                        "Limits.Misses=120/min:120",
                        "Limits.FailedAuth=auto",
                        "Limits.Size=64K",
                        "Log.Level=debug",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_good(good[i]);
}

static void test_bad(void **state) {
        static const char *const bad[] = {
                        "Links.Blocklist=relative",
                        "Links.PrivateTargets=yes",
                        "Links.OwnHosts=https://s.example",
                        "Limits.Create=600",
                        "Limits.Read=0/min",
                        "Limits.Misses=automatic",
                        "Limits.FailedAuth=",
                        "Limits.Size=1K",
                        "Server.Listen=8080",
                        "Server.Listen=:8080",
                        "Server.Listen=localhost:8080",
                        "Server.Listen=127.0.0.1:",
                        "Server.Listen=127.0.0.1:65536",
                        "Server.Listen=127.0.0.1:http",
                        "Server.Listen=::1:8080",
                        "Server.Listen=[127.0.0.1]:8080",
                        "Server.Listen=[::1:8080",
                        "Server.Listen=[]:8080",
                        "Server.Listen=unix:x.sock",
                        "Server.Listen=unix:",
                        "Server.BaseURL=s.example",
                        "Server.BaseURL=ftp://s.example",
                        "Server.BaseURL=http://",
                        "Server.BaseURL=http:///x",
                        "Server.BaseURL=https://s.example/?x",
                        "Server.BaseURL=https://s.example/#x",
                        "Server.BaseURL=https://me@s.example",
                        "Server.MaxConnections=0",
                        "Server.MaxConnections=65537",
                        "Server.Workers=0",
                        "Server.Workers=33",
                        "Server.Workers=4.5",
                        "Server.Workers=",
                        "Server.TrustedProxy=10.0.0.0/33",
                        "Server.TrustedProxy=::1/129",
                        "Server.TrustedProxy=10.0.0.0/",
                        "Server.TrustedProxy=10.0.0.0/-1",
                        "Server.TrustedProxy=10.0.0",
                        "Server.TrustedProxy=all",
                        "Server.RuntimeDirectory=",
                        "Server.RuntimeDirectory=run",
                        "Store.URL=",
                        "Store.URL=shortener.db",
                        "Store.URL=sqlite:shortener.db",
                        "Store.URL=sqlite:/",
                        "Store.URL=postgresql:/x",
                        "Store.URL=mysql://host/shortener",
                        "Store.Timeout=0",
                        "Store.Timeout=61",
                        "Store.Timeout=soon",
                        "Cache.Size=1K",
                        "Cache.Size=2T",
                        "Cache.Redis=unix:redis.sock",
                        "Cache.Redis=unix:/",
                        "Cache.Redis=/run/redis.sock",
                        "Cache.Redis=redis://",
                        "Cache.Redis=redis://:6379",
                        "Cache.Redis=redis://cache.example:0",
                        "Cache.Redis=redis://cache.example:65536",
                        "Cache.Redis=redis://cache.example:",
                        "Cache.Redis=redis://cache.example/one",
                        "Cache.Redis=redis://cache.example/65536",
                        "Cache.Redis=redis://user:secret@cache.example",
                        "Cache.Redis=redis://::1:6379",
                        "Cache.Redis=redis://[::1",
                        "Cache.Redis=redis://[::1]6379",
                        "Cache.Redis=redis://[]:6379",
                        "Cache.Redis=redis://two words",
                        "Cache.RedisTTL=999ms",
                        "Cache.RedisTTL=25h",
                        "Cache.RedisTimeout=0",
                        "Cache.WarmUp=maybe",
                        "Clicks.Directory=spool",
                        "Clicks.Sync=never",
                        "Clicks.SyncInterval=999us",
                        "Clicks.OnFull=panic",
                        "Clicks.Keep=366d",
                        "Clicks.MaxSize=1M",
                        "Clicks.SegmentSize=1023K",
                        "Clicks.SegmentSize=1025M",
                        "Links.CodeLength=3",
                        "Links.CodeLength=33",
                        "Log.Level=loud",
                        "Store.Prepared=maybe",
                        "Events.Keep=-1d",
                        "Audit.Keep=36501d",
                        "Store.Pool=4",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_bad(bad[i]);
}

/* The message names both, and what to do, whichever was set. */
static void test_spool_sizes(void **state) {
        static const char *const good[] = {"Clicks.MaxSize=128M", "Clicks.SegmentSize=1G"},
                                 *const bad[] = {"Clicks.MaxSize=127M", "Clicks.MaxSize=2M"};
        Options options;
        char *error;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_good(good[i]);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_bad(bad[i]);
        assert_int_equal(load("Clicks.MaxSize=32M", &options, &error), -EINVAL);
        assert_string_equal(error, "[Clicks] MaxSize=32M: less than two segments of "
                                   "SegmentSize=64M: raise MaxSize=, or lower SegmentSize=");
        free(error);
        config_free(options_table, n_options, &options);
}

/* Neither --dump-config nor the message of what is wrong shows a password. */
static void test_passwords_are_not_shown(void **state) {
        static const char *const bad[] = {
                        "Store.URL=host=h password=SECRET",
                        "Store.URL=postgresql:/h?password=SECRET",
                        "Store.URL=mysql://u:SECRET@h/db",
                        "Cache.Redis=redis://:SECRET@h",
                        "Cache.Redis=redis://h?password=SECRET",
        };
        Buffer out = BUFFER_EMPTY;
        Options options;
        char *error;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(load(bad[i], &options, &error), -EINVAL);
                assert_null(strstr(error, "SECRET"));
                free(error);
                config_free(options_table, n_options, &options);
        }
        assert_int_equal(load("Store.URL=postgresql://u:SECRET@h/db?password=SECRET&x=y", &options,
                              &error),
                         0);
        config_dump(options_table, n_options, &options, &out);
        assert_true(slice_search(buffer_slice(&out),
                                 SLICE("\nURL=postgresql://u:***@h/db?password=***&x=y\n")) >= 0);
        assert_true(slice_search(buffer_slice(&out), SLICE("SECRET")) < 0);
        buffer_done(&out);
        config_free(options_table, n_options, &options);
}

/* The path of a Unix socket must fit into its struct, NUL and all. */
static void test_unix_path_limit(void **state) {
        static const char start[] = "Server.Listen=unix:/";
        char assignment[160];
        size_t path = sizeof(start) - 2; /* where the path begins */

        (void)state;
        memset(assignment, 'x', sizeof(assignment));
        memcpy(assignment, start, sizeof(start) - 1);
        assignment[path + 107] = '\0';
        assert_good(assignment);
        assignment[path + 107] = 'x';
        assignment[path + 108] = '\0';
        assert_bad(assignment);
}

static void test_access_says_so(void **state) {
        Options options;
        char *error;

        (void)state;
        assert_int_equal(load("API.Access=closed", &options, &error), -EINVAL);
        assert_string_equal(error, "--set: [API] Access=: \"closed\" is not allowed: auto, open, "
                                   "token");
        free(error);
        config_free(options_table, n_options, &options);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_defaults),
                        cmocka_unit_test(test_good),
                        cmocka_unit_test(test_bad),
                        cmocka_unit_test(test_spool_sizes),
                        cmocka_unit_test(test_passwords_are_not_shown),
                        cmocka_unit_test(test_unix_path_limit),
                        cmocka_unit_test(test_access_says_so),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
