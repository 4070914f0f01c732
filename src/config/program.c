/* SPDX-License-Identifier: MIT */

/* The command line of the daemons, see the header. */

#include "config/program.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* What getopt_long() returns; a letter would be that of a short option, of which we have none. */
enum {
        OPTION_INSTANCE = 256,
        OPTION_CONFIG,
        OPTION_SET,
        OPTION_LOG_FORMAT,
        OPTION_CHECK_CONFIG,
        OPTION_DUMP_CONFIG,
        OPTION_DUMP_OPENAPI,
        OPTION_HELP,
        OPTION_VERSION,
};

static int parse_log_format(const char *text, LogFormat *ret) {
        static const struct {
                const char *text;
                LogFormat format;
        } formats[] = {{"auto", LOG_FORMAT_AUTO},
                       {"text", LOG_FORMAT_TEXT},
                       {"json", LOG_FORMAT_JSON}};

        for (size_t i = 0; i < ELEMENTSOF(formats); i++)
                if (strcmp(text, formats[i].text) == 0) {
                        *ret = formats[i].format;
                        return 0;
                }
        return -EINVAL;
}

/* The name goes into a header, the journal and the host page as it is. */
static bool is_instance_name(const char *name) {
        size_t len = strspn(name,
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

        return len > 0 && len <= PROGRAM_INSTANCE_MAX && name[len] == '\0';
}

static int usage_error(const Program *program, Slice what, const char *why) {
        (void)fprintf(stderr, "%s: %.*s: %s; see %s --help\n", program->name, SLICE_ARG(what), why,
                      program->name);
        return EXIT_USAGE;
}

/* A full disk behind standard output is seen when it is flushed. */
static int print(const Program *program, Slice text) {
        if (fwrite(text.data, 1, text.len, stdout) == text.len && fflush(stdout) == 0)
                return EXIT_SUCCESS;
        (void)fprintf(stderr, "%s: standard output: %s\n", program->name, strerror(errno));
        return EXIT_FAILURE;
}

static int print_version(const Program *program) {
        char text[64];
        int n = snprintf(text, sizeof text, "%s " SHORTENER_VERSION "\n", program->name);

        return print(program, slice_make(text, (size_t)n));
}

/* Ends out. */
static int print_buffer(const Program *program, Buffer *out) {
        int status = EXIT_FAILURE;

        if (out->failed)
                (void)fprintf(stderr, "%s: out of memory\n", program->name);
        else
                status = print(program, buffer_slice(out));
        buffer_done(out);
        return status;
}

static int print_openapi(const Program *program) {
        Buffer out = BUFFER_EMPTY;
        int r = program->openapi(&out);

        if (r >= 0)
                return print_buffer(program, &out);
        buffer_done(&out);
        (void)fprintf(stderr, "%s: OpenAPI: %s\n", program->name, strerror(-r));
        return EXIT_FAILURE;
}

/* An option with a value; -1, or the exit status. */
static int take_value(const Program *program, int option, const char *value, Arguments *arguments,
                      size_t *n_sets) {
        switch (option) {
        case OPTION_INSTANCE:
                if (!is_instance_name(value))
                        return usage_error(program, SLICE("--instance"),
                                           "not 1 to 31 of A-Z, a-z, 0-9, '.', '_', '-'");
                arguments->instance = value;
                break;
        case OPTION_CONFIG:
                arguments->config = value;
                arguments->config_required = true;
                break;
        case OPTION_SET:
                if (*n_sets == PROGRAM_SETS_MAX)
                        return usage_error(program, SLICE("--set"), "given too often");
                arguments->set[(*n_sets)++] = value;
                break;
        default:
                if (parse_log_format(value, &arguments->log_format) < 0)
                        return usage_error(program, SLICE("--log-format"),
                                           "not auto, text or json");
                break;
        }
        return -1;
}

/* What getopt_long() has not understood, without a value, which may be a secret. */
static int bad_option(const Program *program, int option, const char *word) {
        const char letter[] = {'-', (char)optopt, '\0'};
        Slice name, value;

        if (optopt > 0 && optopt < OPTION_INSTANCE)
                word = letter; /* of a word of several that getopt_long() is not through with */
        (void)slice_cut(slice_from_string(word), '=', &name, &value);
        return usage_error(program, name,
                           option == ':' ? "needs a value"
                                         : "no such option here, or it takes no value");
}

int program_parse(const Program *program, int argc, char **argv, Arguments *ret) {
        static const struct option options[] = {
                        /* the first two not for all, see below */
                        {"dump-openapi", no_argument, NULL, OPTION_DUMP_OPENAPI},
                        {"instance", required_argument, NULL, OPTION_INSTANCE},
                        {"config", required_argument, NULL, OPTION_CONFIG},
                        {"set", required_argument, NULL, OPTION_SET},
                        {"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
                        {"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
                        {"dump-config", no_argument, NULL, OPTION_DUMP_CONFIG},
                        {"help", no_argument, NULL, OPTION_HELP},
                        {"version", no_argument, NULL, OPTION_VERSION},
                        {0},
        };
        const struct option *ours = options + !program->openapi + !program->has_instances;
        size_t n_sets = 0;
        int c, status;

        CHECK(program->has_instances || !program->openapi);
        *ret = (Arguments){.instance = "1", .config = program->config};
        opterr = 0; /* its own messages name us by our path */
        while ((c = getopt_long(argc, argv, ":", ours, NULL)) >= 0)
                switch (c) {
                case OPTION_CHECK_CONFIG:
                        ret->check_config = true;
                        break;
                case OPTION_DUMP_CONFIG:
                        ret->dump_config = true;
                        break;
                case OPTION_DUMP_OPENAPI:
                        return print_openapi(program);
                case OPTION_HELP:
                        return print(program, slice_from_string(program->help));
                case OPTION_VERSION:
                        return print_version(program);
                case ':':
                case '?':
                        return bad_option(program, c, argv[optind - 1]);
                default:
                        status = take_value(program, c, optarg, ret, &n_sets);
                        if (status >= 0)
                                return status;
                        break;
                }
        return optind < argc ? usage_error(program, slice_from_string(argv[optind]),
                                           "unexpected argument")
                             : -1;
}

int program_bad_config(const Program *program, const char *why) {
        (void)fprintf(stderr, "%s: %s\n", program->name, why ? why : "out of memory");
        return EXIT_CONFIG;
}

int program_dump(const Program *program, const ConfigOption *table, size_t n, const void *options) {
        Buffer out = BUFFER_EMPTY;

        config_dump(table, n, options, &out);
        return print_buffer(program, &out);
}

/* sd-event takes these by signalfd: they must be blocked before the first thread starts. */
static void block_signals(void) {
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGHUP);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        (void)signal(SIGPIPE, SIG_IGN);
}

void program_begin(const Program *program, const Arguments *arguments, int log_level) {
        block_signals();
        log_open(program->name, arguments->log_format, log_level);
}
