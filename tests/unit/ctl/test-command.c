/* SPDX-License-Identifier: MIT */

/* The command line: verbs of one and two words, options before and behind them, and mistakes. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/command.h"

#define WORDS_MAX 16

static const CommandVerb verbs[] = {
                {"seed", "[DIRECTORY]", 0, 1, {{"force", NULL, "replace"}}, "Load", NULL},
                {"user list", "", 0, 0, {{"limit", "N", "at most N"}}, "List users", NULL},
                {"user add", "NAME EMAIL", 2, 2, {}, "Add a user", NULL},
                {"userdata", "", 0, 0, {}, "Not of the family user", NULL},
};

typedef struct Parsed {
        char *words[WORDS_MAX + 1];
        Command command;
        char *error;
        int result;
} Parsed;

/* Parses "shortenerctl" and the words of line. */
static void parse(Parsed *parsed, const char *line) {
        Slice rest = slice_from_string(line), word;
        int n = 0;

        *parsed = (Parsed){};
        parsed->words[n++] = strdup("shortenerctl");
        while (rest.len > 0) {
                (void)slice_cut(rest, ' ', &word, &rest);
                assert_true(n < WORDS_MAX);
                parsed->words[n] = slice_to_string(word);
                assert_non_null(parsed->words[n++]);
        }
        parsed->result = command_parse(verbs, ELEMENTSOF(verbs), n, parsed->words, &parsed->command,
                                       &parsed->error);
}

static void forget(Parsed *parsed) {
        for (size_t i = 0; i < WORDS_MAX; i++)
                free(parsed->words[i]);
        free(parsed->error);
}

static void test_verbs(void **state) {
        Parsed parsed;

        (void)state;
        parse(&parsed, "seed");
        assert_int_equal(parsed.result, 0);
        assert_ptr_equal(parsed.command.verb, &verbs[0]);
        assert_int_equal(parsed.command.n_arguments, 0);
        assert_false(command_flag(&parsed.command, "force"));
        forget(&parsed);

        parse(&parsed, "user add anna a@example.com");
        assert_int_equal(parsed.result, 0);
        assert_ptr_equal(parsed.command.verb, &verbs[2]);
        assert_int_equal(parsed.command.n_arguments, 2);
        assert_string_equal(parsed.command.arguments[0], "anna");
        assert_string_equal(parsed.command.arguments[1], "a@example.com");
        forget(&parsed);

        parse(&parsed, "userdata");
        assert_ptr_equal(parsed.command.verb, &verbs[3]);
        forget(&parsed);
}

static void test_options_stand_anywhere(void **state) {
        static const char *const lines[] = {
                        "--json --set A.B=1 user --set=C.D=2 list --limit 5",
                        "user --json list --limit=5 --set A.B=1 --set C.D=2",
                        "user list --set=A.B=1 --set=C.D=2 --json --limit=5",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                Parsed parsed;

                parse(&parsed, lines[i]);
                assert_int_equal(parsed.result, 0);
                assert_ptr_equal(parsed.command.verb, &verbs[1]);
                assert_true(parsed.command.json);
                assert_string_equal(command_value(&parsed.command, "limit"), "5");
                assert_int_equal(parsed.command.n_sets, 2);
                assert_string_equal(parsed.command.sets[0], "A.B=1");
                assert_string_equal(parsed.command.sets[1], "C.D=2");
                assert_null(parsed.command.sets[2]);
                forget(&parsed);
        }
}

static void test_arguments_and_options_mix(void **state) {
        Parsed parsed;

        (void)state;
        parse(&parsed, "seed dir --force --store=sqlite:/x --config /c");
        assert_int_equal(parsed.result, 0);
        assert_true(command_flag(&parsed.command, "force"));
        assert_string_equal(parsed.command.store, "sqlite:/x");
        assert_string_equal(parsed.command.config, "/c");
        assert_int_equal(parsed.command.n_arguments, 1);
        assert_string_equal(parsed.command.arguments[0], "dir");
        forget(&parsed);

        parse(&parsed, "seed -- --force");
        assert_int_equal(parsed.result, 0);
        assert_false(command_flag(&parsed.command, "force"));
        assert_string_equal(parsed.command.arguments[0], "--force");
        forget(&parsed);
}

static void test_help_and_version_need_no_arguments(void **state) {
        Parsed parsed;

        (void)state;
        parse(&parsed, "--help");
        assert_int_equal(parsed.result, 0);
        assert_true(parsed.command.help);
        assert_null(parsed.command.verb);
        forget(&parsed);

        parse(&parsed, "user add -h");
        assert_int_equal(parsed.result, 0);
        assert_true(parsed.command.help);
        assert_ptr_equal(parsed.command.verb, &verbs[2]);
        forget(&parsed);

        parse(&parsed, "user --help");
        assert_int_equal(parsed.result, 0);
        assert_null(parsed.command.verb);
        assert_string_equal(parsed.command.family, "user");
        forget(&parsed);

        parse(&parsed, "--version");
        assert_int_equal(parsed.result, 0);
        assert_true(parsed.command.version);
        forget(&parsed);
}

static void test_mistakes(void **state) {
        static const char *const lines[] = {
                        "",
                        "sow",
                        "user",
                        "user drop",
                        "use list",
                        "seed a b",
                        "user add anna",
                        "user list x",
                        "seed --limit=5",
                        "seed --force=yes",
                        "user list --limit",
                        "--set",
                        "--nonsense seed",
                        "-x seed",
                        "user --nonsense list",
                        "user list --json=yes",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                Parsed parsed;

                parse(&parsed, lines[i]);
                assert_int_equal(parsed.result, -EINVAL);
                assert_non_null(parsed.error);
                forget(&parsed);
        }
}

static void test_too_many_sets(void **state) {
        static char program[] = "shortenerctl", seed[] = "seed", set[] = "--set=A.B=1";
        char *words[COMMAND_SETS_MAX + 4];
        char *error = NULL;
        Command command;
        size_t n = 0;

        (void)state;
        words[n++] = program;
        words[n++] = seed;
        while (n < COMMAND_SETS_MAX + 2)
                words[n++] = set;
        assert_int_equal(command_parse(verbs, ELEMENTSOF(verbs), (int)n, words, &command, &error),
                         0);
        assert_int_equal(command.n_sets, COMMAND_SETS_MAX);
        words[n++] = set;
        assert_int_equal(command_parse(verbs, ELEMENTSOF(verbs), (int)n, words, &command, &error),
                         -EINVAL);
        free(error);
}

static void test_help_texts(void **state) {
        Buffer out = BUFFER_EMPTY;

        (void)state;
        command_help(verbs, ELEMENTSOF(verbs), NULL, NULL, &out);
        assert_true(slice_search(buffer_slice(&out), SLICE("\n  user add NAME EMAIL ")) > 0);
        assert_true(slice_search(buffer_slice(&out), SLICE("\n  --set=SECTION.KEY=VALUE ")) > 0);

        buffer_clear(&out);
        command_help(verbs, ELEMENTSOF(verbs), "user", NULL, &out);
        assert_true(slice_search(buffer_slice(&out), SLICE("user list")) > 0);
        assert_true(slice_search(buffer_slice(&out), SLICE("seed")) < 0);
        assert_true(slice_search(buffer_slice(&out), SLICE("userdata")) < 0);

        buffer_clear(&out);
        command_help(verbs, ELEMENTSOF(verbs), "user", &verbs[1], &out);
        assert_true(slice_starts_with(buffer_slice(&out),
                                      SLICE("Usage: shortenerctl user list [OPTION]...\n")));
        assert_true(slice_search(buffer_slice(&out), SLICE("--limit=N")) > 0);
        buffer_done(&out);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_verbs),
                        cmocka_unit_test(test_options_stand_anywhere),
                        cmocka_unit_test(test_arguments_and_options_mix),
                        cmocka_unit_test(test_help_and_version_need_no_arguments),
                        cmocka_unit_test(test_mistakes),
                        cmocka_unit_test(test_too_many_sets),
                        cmocka_unit_test(test_help_texts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
