/* SPDX-License-Identifier: MIT */

/* shortenerd(8): the command line, then the manager. */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/manager.h"

#ifndef SHORTENER_CONFIG_FILE
# define SHORTENER_CONFIG_FILE "/etc/shortener/shortener.conf"
#endif

#define EXIT_USAGE  2
#define EXIT_CONFIG 78
#define SETS_MAX    64u

static const char help[] =
                "Usage: shortenerd [OPTION]...\n"
                "Serve short links: redirects, the API, health and metrics.\n"
                "\n"
                "  --instance=NAME            name of this instance on the host (default: 1)\n"
                "  --config=FILE              configuration (default: " SHORTENER_CONFIG_FILE ")\n"
                "  --set=SECTION.KEY=VALUE    override one option; repeatable\n"
                "  --check-config             check the configuration and exit\n"
                "  --dump-config              print the effective configuration and exit\n"
                "  --log-format=auto|text|json\n"
                "  --help, --version\n"
                "\n"
                "Sockets come by activation, or from [Server] Listen=. See shortenerd(8).\n";

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

        return len > 0 && len < HOST_NAME_SIZE && name[len] == '\0';
}

static int usage_error(const char *what, const char *why) {
        (void)fprintf(stderr, "shortenerd: %s: %s; see shortenerd --help\n", what, why);
        return EXIT_USAGE;
}

/* -1: go on; else the exit status. */
static int parse_arguments(int argc, char **argv, Arguments *ret) {
        static const struct option options[] = {
                        {"instance", required_argument, NULL, 'i'},
                        {"config", required_argument, NULL, 'c'},
                        {"set", required_argument, NULL, 's'},
                        {"check-config", no_argument, NULL, 'k'},
                        {"dump-config", no_argument, NULL, 'd'},
                        {"log-format", required_argument, NULL, 'l'},
                        {"help", no_argument, NULL, 'h'},
                        {"version", no_argument, NULL, 'v'},
                        {0},
        };
        static const char *sets[SETS_MAX + 1];
        size_t n_sets = 0;
        int c;

        *ret = (Arguments){.instance = "1", .config = SHORTENER_CONFIG_FILE, .set = sets};
        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'i':
                        if (!is_instance_name(optarg))
                                return usage_error("--instance",
                                                   "not 1 to 31 of A-Z, a-z, 0-9, '.', '_', '-'");
                        ret->instance = optarg;
                        break;
                case 'c':
                        ret->config = optarg;
                        ret->config_required = true;
                        break;
                case 's':
                        if (n_sets == SETS_MAX)
                                return usage_error("--set", "given too often");
                        sets[n_sets++] = optarg;
                        break;
                case 'k':
                        ret->check_config = true;
                        break;
                case 'd':
                        ret->dump_config = true;
                        break;
                case 'l':
                        if (parse_log_format(optarg, &ret->log_format) < 0)
                                return usage_error("--log-format", "not auto, text or json");
                        break;
                case 'h':
                        (void)fputs(help, stdout);
                        return EXIT_SUCCESS;
                case 'v':
                        (void)puts("shortenerd " SHORTENER_VERSION);
                        return EXIT_SUCCESS;
                default:
                        return EXIT_USAGE; /* getopt_long() has said why */
                }
        return optind < argc ? usage_error(argv[optind], "unexpected argument") : -1;
}

static int dump(const Options *options) {
        Buffer out = BUFFER_EMPTY;
        int status = EXIT_SUCCESS;

        config_dump(options_table, n_options, options, &out);
        if (out.failed || fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
                status = EXIT_FAILURE;
        buffer_done(&out);
        return status;
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

int main(int argc, char **argv) {
        _cleanup_free_ char *error = NULL;
        Manager manager = {0};
        Arguments arguments;
        int status = parse_arguments(argc, argv, &arguments);

        if (status >= 0)
                return status;
        if (manager_load_options(&arguments, &manager.options, &error) < 0) {
                (void)fprintf(stderr, "shortenerd: %s\n", error ? error : "out of memory");
                return EXIT_CONFIG;
        }
        if (arguments.check_config || arguments.dump_config) {
                status = arguments.dump_config ? dump(&manager.options) : EXIT_SUCCESS;
                config_free(options_table, n_options, &manager.options);
                return status;
        }
        block_signals();
        log_open("shortenerd", arguments.log_format, manager_log_level(&manager.options));
        status = manager_start(&manager, &arguments);
        if (status == 0)
                status = manager_run(&manager);
        manager_done(&manager);
        return status;
}
