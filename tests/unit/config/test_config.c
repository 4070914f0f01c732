/* SPDX-License-Identifier: MIT */

/*
 * The configuration engine, over a table of its own that has each type: sources and their order,
 * syntax of files, refusals and their texts, dump and diff.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/buffer.h"
#include "basic/slice.h"
#include "config/config.h"

typedef struct Sample {
        char *name;
        char **hosts;
        bool loud;
        uint64_t count;
        uint64_t size;
        uint64_t span;
        int mode;
} Sample;

static int check_not_bad(const char *value) {
        return strcmp(value, "bad") == 0 ? -EINVAL : 0;
}

#define ROW(s, k, t, m) .section = (s), .key = (k), .type = (t), .offset = offsetof(Sample, m)

static const ConfigOption table[] = {
                {ROW("Main", "Name", CONFIG_TEXT, name), .initial = "me", .reloadable = true,
                 .check = check_not_bad, .allowed = "anything but bad", .help = "Who"},
                {ROW("Main", "Hosts", CONFIG_LIST, hosts), .initial = "a b", .check = check_not_bad,
                 .allowed = "names", .help = "Where"},
                {ROW("Main", "Loud", CONFIG_BOOL, loud), .initial = "no", .help = "How"},
                {ROW("Limits", "Count", CONFIG_NUMBER, count), .initial = "7", .min = 1, .max = 64,
                 .reloadable = true, .help = "How many"},
                {ROW("Limits", "Size", CONFIG_SIZE, size), .initial = "64M", .min = 1024,
                 .max = 1ULL << 40, .help = "How much"},
                {ROW("Limits", "Span", CONFIG_SPAN, span), .initial = "20ms", .min = 1000,
                 .max = 86400000000, .help = "How long"},
                {ROW("Limits", "Mode", CONFIG_CHOICE, mode), .initial = "slow",
                 .choices = "fast|slow", .allowed = "warp comes later", .help = "Which way"},
};
#define N_TABLE ELEMENTSOF(table)

typedef struct Fixture {
        char folder[64];
        char file[96];
        Sample sample;
        char *error;
} Fixture;

/* ---- helpers ---- */

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(Fixture));

        assert_non_null(fixture);
        (void)snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/test-config-XXXXXX");
        assert_non_null(mkdtemp(fixture->folder));
        (void)snprintf(fixture->file, sizeof(fixture->file), "%s/x.conf", fixture->folder);
        *state = fixture;
        return 0;
}

static void reset(Fixture *fixture) {
        config_free(table, N_TABLE, &fixture->sample);
        fixture->sample = (Sample){0};
        free(fixture->error);
        fixture->error = NULL;
}

static int teardown(void **state) {
        Fixture *fixture = *state;
        char command[96];

        reset(fixture);
        (void)snprintf(command, sizeof(command), "rm -rf '%s'", fixture->folder);
        assert_int_equal(system(command), 0);
        free(fixture);
        return 0;
}

static void write_at(const char *path, const char *data, size_t len) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), (ssize_t)len);
        assert_int_equal(close(fd), 0);
}

static void write_file(const Fixture *fixture, const char *text) {
        write_at(fixture->file, text, strlen(text));
}

static void write_dropin(const Fixture *fixture, const char *name, const char *text) {
        char path[192];

        (void)snprintf(path, sizeof(path), "%s.d", fixture->file);
        if (mkdir(path, 0700) < 0)
                assert_int_equal(errno, EEXIST);
        (void)snprintf(path, sizeof(path), "%s.d/%s", fixture->file, name);
        write_at(path, text, strlen(text));
}

static int load(Fixture *fixture, const char *const *environment, const char *const *set) {
        ConfigSources sources = {
                        .file = fixture->file, .environment = (char **)environment, .set = set};

        reset(fixture);
        return config_load(table, N_TABLE, &sources, &fixture->sample, &fixture->error);
}

static void load_good(Fixture *fixture, const char *text) {
        write_file(fixture, text);
        if (load(fixture, NULL, NULL) < 0)
                fail_msg("%s", fixture->error);
        assert_null(fixture->error);
}

/* The error is FILE followed by expected. */
static void load_bad(Fixture *fixture, const char *text, const char *expected) {
        write_file(fixture, text);
        assert_int_equal(load(fixture, NULL, NULL), -EINVAL);
        assert_non_null(fixture->error);
        assert_int_equal(strncmp(fixture->error, fixture->file, strlen(fixture->file)), 0);
        assert_string_equal(fixture->error + strlen(fixture->file), expected);
}

static void set_bad(Fixture *fixture, const char *assignment, const char *expected) {
        const char *set[] = {assignment, NULL};

        assert_int_equal(load(fixture, NULL, set), -EINVAL);
        assert_string_equal(fixture->error, expected);
}

static void assert_hosts(const Fixture *fixture, const char *expected) {
        char all[128] = "";

        for (char **host = fixture->sample.hosts; *host; host++) {
                size_t len = strlen(all);

                (void)snprintf(all + len, sizeof(all) - len, "%s%s", len ? " " : "", *host);
        }
        assert_string_equal(all, expected);
}

/* ---- tests ---- */

static void test_defaults(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(load(fixture, NULL, NULL), 0); /* a missing file is none */
        assert_string_equal(fixture->sample.name, "me");
        assert_hosts(fixture, "a b");
        assert_false(fixture->sample.loud);
        assert_int_equal(fixture->sample.count, 7);
        assert_int_equal(fixture->sample.size, 64 << 20);
        assert_int_equal(fixture->sample.span, 20000);
        assert_int_equal(fixture->sample.mode, 1);
}

static void test_no_sources(void **state) {
        Fixture *fixture = *state;
        ConfigSources sources = {0};

        assert_int_equal(config_load(table, N_TABLE, &sources, &fixture->sample, &fixture->error),
                         0);
        assert_string_equal(fixture->sample.name, "me");
}

static void test_required_file(void **state) {
        Fixture *fixture = *state;
        ConfigSources sources = {.file = fixture->file, .file_required = true};

        assert_int_equal(config_load(table, N_TABLE, &sources, &fixture->sample, &fixture->error),
                         -ENOENT);
        assert_non_null(strstr(fixture->error, "x.conf: No such file or directory"));
}

static void test_unreadable_file(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(mkdir(fixture->file, 0700), 0);
        assert_int_equal(load(fixture, NULL, NULL), -EISDIR);
        assert_non_null(strstr(fixture->error, "Is a directory"));
}

static void test_huge_file(void **state) {
        Fixture *fixture = *state;

        write_file(fixture, "");
        assert_int_equal(truncate(fixture->file, 4 << 20), 0);
        assert_int_equal(load(fixture, NULL, NULL), -EFBIG);
        assert_non_null(strstr(fixture->error, "File too large"));
}

static void test_syntax(void **state) {
        Fixture *fixture = *state;

        load_good(fixture, "# comment\n; comment\n\n  [Main]  \nName = you ; not a comment\n"
                           "Loud=on\r\n[Limits]\n\tCount=9\nSize=3K\nSpan=1min 30s\nMode=fast");
        assert_string_equal(fixture->sample.name, "you ; not a comment");
        assert_true(fixture->sample.loud);
        assert_int_equal(fixture->sample.count, 9);
        assert_int_equal(fixture->sample.size, 3072);
        assert_int_equal(fixture->sample.span, 90000000);
        assert_int_equal(fixture->sample.mode, 0);

        load_good(fixture, "\xEF\xBB\xBF[Main]\nName=a=b:c\n");
        assert_string_equal(fixture->sample.name, "a=b:c");
        load_good(fixture, "[Main]\nName=\n");
        assert_string_equal(fixture->sample.name, "");
        load_good(fixture, "");
        load_good(fixture, "\n");
}

static void test_bools(void **state) {
        static const char *const words[] = {"yes", "true",  "on",  "1", "YES",
                                            "no",  "false", "off", "0", "Off"};
        Fixture *fixture = *state;

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                char text[64];

                (void)snprintf(text, sizeof(text), "[Main]\nLoud=%s\n", words[i]);
                load_good(fixture, text);
                assert_int_equal(fixture->sample.loud, i < 5);
        }
}

static void test_continuation(void **state) {
        Fixture *fixture = *state;

        load_good(fixture, "[Main]\nName=one \\\n# between\n   two \\\nthree\nLoud=yes\n");
        assert_string_equal(fixture->sample.name, "one two three");
        assert_true(fixture->sample.loud);
        load_good(fixture, "[Main]\nName=one \\\n\nLoud=yes\n");
        assert_string_equal(fixture->sample.name, "one");
        assert_true(fixture->sample.loud);
        load_good(fixture, "[Main]\nName=one\\");
        assert_string_equal(fixture->sample.name, "one");
        load_good(fixture, "# a comment does not go on \\\n[Main]\nName=x\n");
        assert_string_equal(fixture->sample.name, "x");
        load_bad(fixture, "[Main]\nName=one \\\ntwo\n\nLoud=maybe\n",
                 ":5: [Main] Loud=: \"maybe\" is not allowed: yes or no");
}

static void test_long_value(void **state) {
        Fixture *fixture = *state;
        char text[6000] = "[Main]\nName=";
        size_t len = strlen(text);

        memset(text + len, 'x', sizeof(text) - len - 1);
        text[sizeof(text) - 1] = '\0';
        load_good(fixture, text);
        assert_string_equal(fixture->sample.name, text + len);
}

static void test_bad_syntax(void **state) {
        static const char both[] = ": expected [Section] or Key=Value";
        static const char *const lines[] = {"Name",     "=x",    "Na me=x",      "Name: x",
                                            "Name:a=x", "a;b=c", "N\xC3\xA4me=x"};
        static const char *const sections[] = {"[",     "[]",      "[Main", "[Main] x",
                                               "[a b]", "[Main]]", "[x=]",  "[Main] ; x"};
        Fixture *fixture = *state;
        char text[128], expected[128];

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                (void)snprintf(text, sizeof(text), "[Main]\nName=x\n%s\nLoud=yes\n", lines[i]);
                (void)snprintf(expected, sizeof(expected), ":3%s", both);
                load_bad(fixture, text, expected);
        }
        for (size_t i = 0; i < ELEMENTSOF(sections); i++) {
                (void)snprintf(text, sizeof(text), "\n%s\n", sections[i]);
                load_bad(fixture, text, ":2: expected [Section]");
        }
        load_bad(fixture, "[Main]\nThisKeyIsLongerThanTheFortyEightBytesThatAreAllowedHere=x\n",
                 ":2: expected [Section] or Key=Value");
        load_bad(fixture, "[Main]\nName=\xFF\n", ":2: not UTF-8 text");
        load_bad(fixture, "[Main]\nName=a\tb\x01\n",
                 ":2: [Main] Name=: this value has a control character");
}

static void test_nul_in_file(void **state) {
        static const char text[] = "[Main]\nLoud=yes\nName=a\0b\n";
        Fixture *fixture = *state;

        write_at(fixture->file, text, sizeof(text) - 1);
        assert_int_equal(load(fixture, NULL, NULL), -EINVAL);
        assert_non_null(strstr(fixture->error, ":3: not UTF-8 text"));
}

static void test_bad_values(void **state) {
        Fixture *fixture = *state;

        load_bad(fixture, "[Main]\nName=bad\n",
                 ":2: [Main] Name=: \"bad\" is not allowed: anything but bad");
        load_bad(fixture, "[Main]\nHosts=c bad d\n",
                 ":2: [Main] Hosts=: \"c bad d\" is not allowed: names");
        load_bad(fixture, "[Limits]\nCount=0\n",
                 ":2: [Limits] Count=: \"0\" is not allowed: a number from 1 to 64");
        load_bad(fixture, "[Limits]\nCount=-1\n",
                 ":2: [Limits] Count=: \"-1\" is not allowed: a number from 1 to 64");
        load_bad(fixture, "[Limits]\nCount=99999999999999999999999\n",
                 ":2: [Limits] Count=: \"99999999999999999999999\" is not allowed: a number from "
                 "1 to 64");
        load_bad(fixture, "[Limits]\nSize=1023\n",
                 ":2: [Limits] Size=: \"1023\" is not allowed: a size from 1K to 1T (bytes, or "
                 "with K, M, G, T)");
        load_bad(fixture, "[Limits]\nSpan=2d\n",
                 ":2: [Limits] Span=: \"2d\" is not allowed: a span from 1ms to 1d (seconds, or "
                 "with us, ms, s, min, h, d)");
        load_bad(fixture, "[Limits]\nMode=warp\n",
                 ":2: [Limits] Mode=: \"warp\" is not allowed: fast, slow (warp comes later)");
        load_bad(fixture, "[Limits]\nMode=\n",
                 ":2: [Limits] Mode=: \"\" is not allowed: fast, slow (warp comes later)");
}

static void test_password_is_not_shown(void **state) {
        set_bad(*state, "Main.Hosts=pw@host bad",
                "--set: [Main] Hosts=: this value is not allowed: names");
}

static void test_unknown(void **state) {
        Fixture *fixture = *state;

        load_bad(fixture, "[Main]\nNome=x\n",
                 ":2: [Main] Nome=: unknown key: this section has Name= Hosts= Loud=");
        load_bad(fixture, "[main]\nName=x\n",
                 ":2: [main] unknown section: there are [Main] [Limits]");
        load_bad(fixture, "Name=x\n", ":1: unknown section: there are [Main] [Limits]");
}

static void test_lists(void **state) {
        Fixture *fixture = *state;

        load_good(fixture, "[Main]\nHosts=c\nHosts=d   e\n");
        assert_hosts(fixture, "a b c d e");
        load_good(fixture, "[Main]\nHosts=c\nHosts=\nHosts=d\n");
        assert_hosts(fixture, "d");
        load_good(fixture, "[Main]\nHosts=\n");
        assert_hosts(fixture, "");
}

static void test_dropins(void **state) {
        Fixture *fixture = *state;

        write_dropin(fixture, "20-b.conf", "[Main]\nName=twenty\nHosts=d\n");
        write_dropin(fixture, "10-a.conf", "[Main]\nName=ten\nLoud=yes\n");
        write_dropin(fixture, "30-c.conf.bak", "[Main]\nName=thirty\n");
        write_dropin(fixture, ".40.conf", "[Main]\nName=forty\n");
        load_good(fixture, "[Main]\nName=zero\nHosts=\nHosts=c\n");
        assert_string_equal(fixture->sample.name, "twenty");
        assert_true(fixture->sample.loud);
        assert_hosts(fixture, "c d");

        write_dropin(fixture, "50-bad.conf", "[Main]\nLoud=?\n");
        assert_int_equal(load(fixture, NULL, NULL), -EINVAL);
        assert_non_null(strstr(fixture->error,
                               "x.conf.d/50-bad.conf:2: [Main] Loud=: \"?\" is not allowed"));
}

static void test_dropins_unreadable(void **state) {
        Fixture *fixture = *state;
        char path[192];

        /* A drop-in that vanished in between or dangles is named, not passed over. */
        write_dropin(fixture, "a.conf", "");
        (void)snprintf(path, sizeof(path), "%s.d/b.conf", fixture->file);
        assert_int_equal(symlink("nowhere", path), 0);
        assert_int_equal(load(fixture, NULL, NULL), -ENOENT);
        assert_non_null(strstr(fixture->error, "b.conf: No such file"));

        /* FILE.d that loops. */
        assert_int_equal(unlink(path), 0);
        (void)snprintf(path, sizeof(path), "%s.d/a.conf", fixture->file);
        assert_int_equal(unlink(path), 0);
        (void)snprintf(path, sizeof(path), "%s.d", fixture->file);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(symlink(path, path), 0);
        assert_int_equal(load(fixture, NULL, NULL), -ELOOP);
}

static void test_environment(void **state) {
        const char *environment[] = {"PATH=/bin",
                                     "SHORTENER_MAIN_NAME=from environment",
                                     "SHORTENER_MAIN_HOSTS=x y",
                                     "SHORTENER_LIMITS_COUNT=10",
                                     "SHORTENER_INSTANCE=3",
                                     "SHORTENER_",
                                     "odd",
                                     NULL};
        const char *unknown[] = {"SHORTENER_MAIN_NOME=x", NULL};
        const char *bad[] = {"SHORTENER_LIMITS_COUNT=many", NULL};
        const char *control[] = {"SHORTENER_MAIN_NAME=a\nb", NULL};
        const char *backslash[] = {"SHORTENER_MAIN_NAME=a\\", NULL};
        const char *encoding[] = {"SHORTENER_MAIN_NAME=\xFF", NULL};
        Fixture *fixture = *state;

        write_file(fixture, "[Main]\nName=file\nHosts=c\n");
        assert_int_equal(load(fixture, environment, NULL), 0);
        assert_string_equal(fixture->sample.name, "from environment");
        assert_hosts(fixture, "x y");
        assert_int_equal(fixture->sample.count, 10);

        assert_int_equal(load(fixture, unknown, NULL), -EINVAL);
        assert_string_equal(fixture->error, "SHORTENER_MAIN_NOME: [Main] unknown key: this section "
                                            "has Name= Hosts= Loud=");
        assert_int_equal(load(fixture, bad, NULL), -EINVAL);
        assert_string_equal(fixture->error, "SHORTENER_LIMITS_COUNT: [Limits] Count=: \"many\" is "
                                            "not allowed: a number from 1 to 64");
        assert_int_equal(load(fixture, control, NULL), -EINVAL);
        assert_string_equal(fixture->error, "SHORTENER_MAIN_NAME: [Main] Name=: this value has a "
                                            "control character");
        assert_int_equal(load(fixture, backslash, NULL), -EINVAL);
        assert_string_equal(fixture->error, "SHORTENER_MAIN_NAME: [Main] Name=: a value cannot end "
                                            "with a backslash");
        assert_int_equal(load(fixture, encoding, NULL), -EINVAL);
        assert_string_equal(fixture->error,
                            "SHORTENER_MAIN_NAME: [Main] Name=: this value is not valid UTF-8");
}

static void test_set(void **state) {
        const char *environment[] = {"SHORTENER_MAIN_NAME=environment", NULL};
        const char *set[] = {"Main.Name=set", "Main.Hosts=x", "Main.Hosts=y z", "Limits.Count= 11 ",
                             NULL};
        Fixture *fixture = *state;

        write_file(fixture, "[Main]\nName=file\nHosts=c\n");
        assert_int_equal(load(fixture, environment, set), 0);
        assert_string_equal(fixture->sample.name, "set");
        assert_hosts(fixture, "x y z");
        assert_int_equal(fixture->sample.count, 11);

        set_bad(fixture, "Main.Name", "--set: expected SECTION.KEY=VALUE");
        set_bad(fixture, "Name=x", "--set: expected SECTION.KEY=VALUE");
        set_bad(fixture, "", "--set: expected SECTION.KEY=VALUE");
        set_bad(fixture, "Main.Nome=x",
                "--set: [Main] Nome=: unknown key: this section has Name= Hosts= Loud=");
        set_bad(fixture, "Limits.Mode=warp",
                "--set: [Limits] Mode=: \"warp\" is not allowed: fast, slow (warp comes later)");
}

static void test_dump(void **state) {
        static const char *const texts[] = {
                        "",
                        "[Main]\nName=\nHosts=\nLoud=yes\n[Limits]\nCount=64\nMode=fast\n",
                        "[Limits]\nSize=1025\nSpan=86400\n",
                        "[Main]\nName=x ; y \\\n z\nHosts=c d\n[Limits]\nSize=3G\nSpan=1001us\n",
        };
        Fixture *fixture = *state;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Buffer first = BUFFER_EMPTY, second = BUFFER_EMPTY;

                load_good(fixture, texts[i]);
                config_dump(table, N_TABLE, &fixture->sample, &first);
                buffer_append_byte(&first, '\0');
                load_good(fixture, first.data);
                config_dump(table, N_TABLE, &fixture->sample, &second);
                buffer_append_byte(&second, '\0');
                assert_string_equal(first.data, second.data);
                buffer_done(&first);
                buffer_done(&second);
        }
}

static void test_dump_text(void **state) {
        Fixture *fixture = *state;
        Buffer out = BUFFER_EMPTY;

        load_good(fixture, "[Limits]\nSpan=90s\n");
        config_dump(table, 2, &fixture->sample, &out);
        config_dump(&table[5], 1, &fixture->sample, &out);
        buffer_append_byte(&out, '\0');
        assert_string_equal(out.data,
                            "[Main]\n# Who\n# anything but bad; default: me; reloadable\nName=me\n"
                            "# Where\n# names; default: a b\nHosts=\nHosts=a\nHosts=b\n"
                            "[Limits]\n# How long\n# a span from 1ms to 1d (seconds, or with us, "
                            "ms, s, min, h, d); default: 20ms\nSpan=90s\n");
        buffer_done(&out);
}

static void assert_diff(const Sample *old, const Sample *new, bool reloadable,
                        const char *expected) {
        Buffer out = BUFFER_EMPTY;

        config_diff(table, N_TABLE, old, new, reloadable, &out);
        buffer_append_byte(&out, '\0');
        assert_string_equal(out.data, expected);
        buffer_done(&out);
}

static void test_diff(void **state) {
        Fixture *fixture = *state;
        Sample old;

        load_good(fixture, "");
        old = fixture->sample;
        fixture->sample = (Sample){0};
        load_good(fixture, "[Main]\nName=me\nHosts=\nHosts=a b\nLoud=no\n");
        assert_diff(&old, &fixture->sample, true, "");
        assert_diff(&old, &fixture->sample, false, "");

        load_good(fixture, "[Main]\nName=you\nHosts=c\nLoud=yes\n"
                           "[Limits]\nCount=8\nSize=2K\nSpan=1\nMode=fast\n");
        assert_diff(&old, &fixture->sample, true, "Main.Name, Limits.Count");
        assert_diff(&old, &fixture->sample, false,
                    "Main.Hosts, Main.Loud, Limits.Size, Limits.Span, Limits.Mode");
        load_good(fixture, "[Main]\nHosts=\nHosts=a c\n");
        assert_diff(&old, &fixture->sample, false, "Main.Hosts");
        config_free(table, N_TABLE, &old);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_no_sources, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_required_file, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_unreadable_file, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_huge_file, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_syntax, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_bools, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_continuation, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_long_value, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_bad_syntax, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_nul_in_file, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_bad_values, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_password_is_not_shown, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_dropins, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_dropins_unreadable, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_set, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_dump, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_dump_text, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_diff, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
