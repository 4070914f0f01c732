/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The command line as data: a verb is a row with its words, options and help, and from that row
 * come the parsing, --help, and the checks that man page and completion know it too.
 */

#include <stdbool.h>
#include <stddef.h>

#include "basic/buffer.h"

#define COMMAND_OPTIONS_MAX 8u  /* of one verb, beside those of every verb */
#define COMMAND_SETS_MAX    64u /* --set and --store together */

/* Exit statuses; shortenerctl(1) has the same list. */
typedef enum ExitStatus {
        EXIT_DONE = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_AGAIN = 75, /* a part is away */
        EXIT_CONFIG = 78,
} ExitStatus;

typedef struct CommandOption {
        const char *name;
        const char *argument; /* as --help shows it; NULL: the option takes none */
        const char *help;
} CommandOption;

typedef struct Ctl Ctl; /* ctl/context.h */

typedef struct CommandVerb {
        const char *name;      /* "db init": one word or two */
        const char *arguments; /* as --help shows them: "USERNAME EMAIL"; "" for none */
        int min, max;          /* number of arguments */
        CommandOption options[COMMAND_OPTIONS_MAX]; /* ends with a row without a name */
        const char *help;                           /* one line */
        int (*run)(Ctl *ctl); /* prints what there is to say; returns an ExitStatus */
} CommandVerb;

/* What a command line asked for. Texts are borrowed from argv. */
typedef struct Command {
        const CommandVerb *verb;
        const char *family; /* with help: the first word, when no second one was given; or NULL */
        bool json;
        bool help;
        bool version;
        const char *config; /* --config=; NULL: the default */
        const char *store;  /* --store=; NULL: the configured one */
        const char *sets[COMMAND_SETS_MAX +
                         2]; /* "Section.Key=VALUE", room for --store and a NULL */
        size_t n_sets;       /* in use */
        const char *values[COMMAND_OPTIONS_MAX]; /* by option of the verb; "" for one without
                                                    argument; NULL: not given */
        char *const *arguments;
        int n_arguments;
} Command;

/* 0; -EINVAL: *ret_error (malloc'ed) says what is wrong with the usage. argv is permuted. */
int command_parse(const CommandVerb *verbs, size_t n_verbs, int argc, char **argv, Command *ret,
                  char **ret_error) _must_check_;

/* The value of a verb's option; NULL when it was not given. The verb must have the option. */
const char *command_value(const Command *command, const char *name) _pure_;
static inline bool command_flag(const Command *command, const char *name) {
        return command_value(command, name) != NULL;
}

/* --help of everything (family NULL, verb NULL), of a family ("user"), or of one verb. */
void command_help(const CommandVerb *verbs, size_t n_verbs, const char *family,
                  const CommandVerb *verb, Buffer *out);
