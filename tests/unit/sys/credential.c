/* SPDX-License-Identifier: MIT */

/* Secrets from files. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys/credential.h"

static char folder[64], path[96];

static void write_file(const char *text, size_t len) {
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, len, file), len);
        assert_int_equal(fclose(file), 0);
}

static int setup(void **state) {
        (void)state;
        (void)snprintf(folder, sizeof folder, "/tmp/shortener-credential-XXXXXX");
        assert_non_null(mkdtemp(folder));
        (void)snprintf(path, sizeof path, "%s/shortener.redis-password", folder);
        (void)unsetenv("CREDENTIALS_DIRECTORY");
        (void)unsetenv("SHORTENER_REDIS_PASSWORD_FILE");
        return 0;
}

static int teardown(void **state) {
        (void)state;
        (void)unlink(path);
        (void)rmdir(folder);
        return 0;
}

static int read_secret(char **ret) {
        return credential_read("shortener.redis-password", "SHORTENER_REDIS_PASSWORD_FILE", ret);
}

static void assert_secret(const char *wanted) {
        char *secret = NULL;

        assert_int_equal(read_secret(&secret), wanted ? 0 : -ENOENT);
        if (wanted)
                assert_string_equal(secret, wanted);
        free(secret);
}

static void test_none(void **state) {
        (void)state;
        assert_secret(NULL);
        (void)setenv("CREDENTIALS_DIRECTORY", folder, 1);
        assert_secret(NULL);
        (void)setenv("CREDENTIALS_DIRECTORY", "", 1);
        (void)setenv("SHORTENER_REDIS_PASSWORD_FILE", "", 1);
        assert_secret(NULL);
}

static void test_credential(void **state) {
        (void)state;
        (void)setenv("CREDENTIALS_DIRECTORY", folder, 1);
        write_file("secret\n", 7);
        assert_secret("secret");
        write_file("sec ret", 7);
        assert_secret("sec ret");
        write_file("\n", 1);
        assert_secret("");
        write_file("", 0);
        assert_secret("");
}

static void test_named_file(void **state) {
        char *secret;

        (void)state;
        (void)setenv("CREDENTIALS_DIRECTORY", "/nonexistent", 1);
        (void)setenv("SHORTENER_REDIS_PASSWORD_FILE", path, 1);
        assert_int_equal(read_secret(&secret), -ENOENT);
        write_file("named\n", 6);
        assert_secret("named");
}

static void test_unreadable(void **state) {
        static char large[CREDENTIAL_MAX + 1];
        char *secret;

        (void)state;
        (void)setenv("SHORTENER_REDIS_PASSWORD_FILE", path, 1);
        write_file(large, sizeof large);
        assert_int_equal(read_secret(&secret), -E2BIG);
        (void)setenv("SHORTENER_REDIS_PASSWORD_FILE", folder, 1);
        assert_int_equal(read_secret(&secret), -EISDIR);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_none, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_credential, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_named_file, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
