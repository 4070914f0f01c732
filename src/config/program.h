/* SPDX-License-Identifier: MIT */
#pragma once

/* What main() of both daemons does before anything else: the command line, --help and its like,
 * signals, the log. Messages go to standard error and begin with the program's name. */

#include "config/config.h"
#include "sys/log.h"

#define EXIT_USAGE  2
#define EXIT_CONFIG 78

#define PROGRAM_SETS_MAX     64u
#define PROGRAM_INSTANCE_MAX 31u /* bytes of an instance's name */

typedef struct Program {
        const char *name;   /* of the messages, --version and the journal */
        const char *help;   /* all of --help */
        const char *config; /* the file that is read without --config= */
        bool has_instances; /* takes --instance= */
        /* Of --dump-openapi, which only programs with instances have; NULL: it is no option.
         * A negative errno when the document could not be made. */
        int (*openapi)(Buffer *out);
} Program;

/* What the command line said; borrowed from argv. */
typedef struct Arguments {
        const char *instance; /* "1" without --instance= */
        const char *config;
        bool config_required;
        const char *set[PROGRAM_SETS_MAX + 1]; /* "SECTION.KEY=VALUE", NULL terminated */
        LogFormat log_format;
        bool check_config, dump_config;
} Arguments;

/* -1: go on; else the exit status, and all has been said. */
int program_parse(const Program *program, int argc, char **argv, Arguments *ret) _must_check_;

/* The configuration could not be loaded (why may be NULL: no memory); returns the exit status. */
int program_bad_config(const Program *program, const char *why);

/* --dump-config; returns the exit status. */
int program_dump(const Program *program, const ConfigOption *table, size_t n, const void *options);

/* Before the first thread: blocks the signals that the loop takes, and opens the log. */
void program_begin(const Program *program, const Arguments *arguments, int log_level);
