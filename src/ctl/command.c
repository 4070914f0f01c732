/* SPDX-License-Identifier: MIT */

/*
 * Parsing of the command line with getopt_long(3), and the help texts. Options of every verb may
 * stand before and behind the verb; those of one verb behind it. Prints nothing itself.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "ctl/command.h"

/* What getopt returns for the options of every verb; those of the verb follow from OWN_FIRST. */
enum {
        GLOBAL_CONFIG = 256,
        GLOBAL_STORE,
        GLOBAL_SET,
        GLOBAL_JSON,
        GLOBAL_HELP,
        GLOBAL_VERSION,
        OWN_FIRST,
};

static const CommandOption global_options[] = {
                {"config", "FILE", "read FILE, not /etc/shortener/shortener.conf"},
                {"store", "URL", "use this store, e.g. sqlite:/var/lib/shortener/shortener.db"},
                {"set", "SECTION.KEY=VALUE", "set an option of shortener.conf(5); repeatable"},
                {"json", NULL, "print results as JSON"},
                {"help", NULL, "print this help, or that of a verb"},
                {"version", NULL, "print the version"},
};

#define N_GLOBALS ELEMENTSOF(global_options)

static int usage_error(char **ret_error, const char *what, const char *why) {
        if (asprintf(ret_error, "%s: %s", what, why) < 0)
                return -ENOMEM;
        return -EINVAL;
}

/* Fills options with the global ones and the verb's; returns how many. */
static size_t collect_options(const CommandVerb *verb, struct option *options) {
        size_t n = 0;

        for (size_t i = 0; i < N_GLOBALS; i++)
                options[n++] = (struct option){global_options[i].name,
                                               global_options[i].argument ? required_argument
                                                                          : no_argument,
                                               NULL, GLOBAL_CONFIG + (int)i};
        for (size_t i = 0; verb && i < COMMAND_OPTIONS_MAX && verb->options[i].name; i++)
                options[n++] = (struct option){verb->options[i].name,
                                               verb->options[i].argument ? required_argument
                                                                         : no_argument,
                                               NULL, OWN_FIRST + (int)i};
        options[n] = (struct option){NULL, 0, NULL, 0};
        return n;
}

static int apply_option(Command *command, int option, const char *value, char **ret_error) {
        switch (option) {
        case GLOBAL_CONFIG:
                command->config = value;
                return 0;
        case GLOBAL_STORE:
                command->store = value;
                return 0;
        case GLOBAL_SET:
                if (command->n_sets == COMMAND_SETS_MAX)
                        return usage_error(ret_error, "--set", "given too often");
                command->sets[command->n_sets++] = value;
                return 0;
        case GLOBAL_JSON:
                command->json = true;
                return 0;
        case GLOBAL_HELP:
                command->help = true;
                return 0;
        case GLOBAL_VERSION:
                command->version = true;
                return 0;
        default:
                CHECK(option >= OWN_FIRST && option < OWN_FIRST + (int)COMMAND_OPTIONS_MAX);
                command->values[option - OWN_FIRST] = value ? value : "";
                return 0;
        }
}

/*
 * Takes the options out of argv, from its second word on: all of them when permute, else those
 * before the first word that is no option. Returns the index of the first such word.
 */
static int take_options(Command *command, const CommandVerb *verb, bool permute, int argc,
                        char **argv, char **ret_error) {
        struct option options[N_GLOBALS + COMMAND_OPTIONS_MAX + 1];
        int option;

        (void)collect_options(verb, options);
        opterr = 0;
        optind = 0;
        while ((option = getopt_long(argc, argv, permute ? ":h" : "+:h", options, NULL)) != -1) {
                int r;

                if (option == ':')
                        return usage_error(ret_error, argv[optind - 1], "needs a value");
                if (option == '?')
                        return usage_error(ret_error, argv[optind - 1],
                                           "no such option here, or it takes no value");
                r = apply_option(command, option == 'h' ? GLOBAL_HELP : option, optarg, ret_error);
                if (r < 0)
                        return r;
        }
        return optind;
}

static bool has_family(const CommandVerb *verb, const char *family) {
        size_t len = strlen(family);

        return strncmp(verb->name, family, len) == 0 && verb->name[len] == ' ';
}

/* The verb of one word, or of two. *ret_is_family: word is the first of several verbs. */
static const CommandVerb *find_verb(const CommandVerb *verbs, size_t n_verbs, const char *word,
                                    const char *second, bool *ret_is_family) {
        *ret_is_family = false;
        for (size_t i = 0; i < n_verbs; i++) {
                if (strcmp(verbs[i].name, word) == 0)
                        return &verbs[i];
                if (has_family(&verbs[i], word)) {
                        *ret_is_family = true;
                        if (second && strcmp(verbs[i].name + strlen(word) + 1, second) == 0)
                                return &verbs[i];
                }
        }
        return NULL;
}

/* Finds the verb; *ret_at is the index of its last word. Options may stand between its two words.
 */
static int parse_verb(const CommandVerb *verbs, size_t n_verbs, int argc, char **argv,
                      Command *command, int *ret_at, char **ret_error) {
        bool is_family;
        int first, second;

        first = take_options(command, NULL, false, argc, argv, ret_error);
        if (first < 0)
                return first;
        *ret_at = first;
        if (first == argc)
                return command->help || command->version
                                       ? 0
                                       : usage_error(ret_error, "no verb", "say what to do");
        command->verb = find_verb(verbs, n_verbs, argv[first], NULL, &is_family);
        if (command->verb)
                return 0;
        if (!is_family)
                return usage_error(ret_error, argv[first], "no such verb");

        command->family = argv[first];
        second = take_options(command, NULL, false, argc - first, argv + first, ret_error);
        if (second < 0)
                return second;
        second += first;
        if (second == argc)
                return command->help ? 0 : usage_error(ret_error, argv[first], "what about it?");
        command->verb = find_verb(verbs, n_verbs, argv[first], argv[second], &is_family);
        if (!command->verb)
                return usage_error(ret_error, argv[second], "no such verb");
        *ret_at = second;
        return 0;
}

int command_parse(const CommandVerb *verbs, size_t n_verbs, int argc, char **argv, Command *ret,
                  char **ret_error) {
        int r, at, first;

        *ret = (Command){};
        r = parse_verb(verbs, n_verbs, argc, argv, ret, &at, ret_error);
        if (r < 0 || !ret->verb)
                return r;

        first = take_options(ret, ret->verb, true, argc - at, argv + at, ret_error);
        if (first < 0)
                return first;
        ret->arguments = argv + at + first;
        ret->n_arguments = argc - at - first;
        if (ret->help || ret->version)
                return 0;
        if (ret->n_arguments < ret->verb->min)
                return usage_error(ret_error, ret->verb->name, "an argument is missing");
        if (ret->n_arguments > ret->verb->max)
                return usage_error(ret_error, ret->arguments[ret->verb->max],
                                   "one argument too many");
        return 0;
}

const char *command_value(const Command *command, const char *name) {
        for (size_t i = 0; i < COMMAND_OPTIONS_MAX && command->verb->options[i].name; i++)
                if (strcmp(command->verb->options[i].name, name) == 0)
                        return command->values[i];
        check_failed(name, __FILE__, __LINE__);
}

static void help_option(const CommandOption *option, Buffer *out) {
        char left[64];

        (void)snprintf(left, sizeof(left), "--%s%s%s", option->name, option->argument ? "=" : "",
                       option->argument ? option->argument : "");
        buffer_printf(out, "  %-26s %s\n", left, option->help);
}

static void help_verb(const CommandVerb *verb, Buffer *out) {
        buffer_printf(out, "Usage: shortenerctl %s%s%s%s\n\n%s.\n", verb->name,
                      verb->options[0].name ? " [OPTION]..." : "", *verb->arguments ? " " : "",
                      verb->arguments, verb->help);
        if (verb->options[0].name)
                buffer_append(out, SLICE("\nOptions:\n"));
        for (size_t i = 0; i < COMMAND_OPTIONS_MAX && verb->options[i].name; i++)
                help_option(&verb->options[i], out);
}

static void help_verbs(const CommandVerb *verbs, size_t n_verbs, const char *family, Buffer *out) {
        for (size_t i = 0; i < n_verbs; i++) {
                char left[64];

                if (family && !has_family(&verbs[i], family))
                        continue;
                (void)snprintf(left, sizeof(left), "%s%s%s", verbs[i].name,
                               *verbs[i].arguments ? " " : "", verbs[i].arguments);
                buffer_printf(out, "  %-26s %s\n", left, verbs[i].help);
        }
}

void command_help(const CommandVerb *verbs, size_t n_verbs, const char *family,
                  const CommandVerb *verb, Buffer *out) {
        if (verb) {
                help_verb(verb, out);
        } else {
                buffer_printf(out, "Usage: shortenerctl [OPTION]... %s%s [ARGUMENT]...\n\nVerbs:\n",
                              family ? family : "", family ? " VERB" : "VERB");
                help_verbs(verbs, n_verbs, family, out);
        }
        buffer_append(out, SLICE("\nOptions of every verb:\n"));
        for (size_t i = 0; i < N_GLOBALS; i++)
                help_option(&global_options[i], out);
        buffer_append(out, SLICE("\nshortenerctl(1) says more.\n"));
}
