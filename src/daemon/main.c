/* SPDX-License-Identifier: MIT */

/* shortenerd(8): the command line, then the manager. */

#include <stdlib.h>

#include "daemon/manager.h"
#include "daemon/openapi.h"
#include "sys/fd.h"
#include "sys/log.h"

#ifndef SHORTENER_CONFIG_FILE
# define SHORTENER_CONFIG_FILE "/etc/shortener/shortener.conf"
#endif

static const char help[] =
                "Usage: shortenerd [OPTION]...\n"
                "Serve short links: redirects, the API, health and metrics.\n"
                "\n"
                "  --instance=NAME            name of this instance on the host (default: 1)\n"
                "  --config=FILE              configuration (default: " SHORTENER_CONFIG_FILE ")\n"
                "  --set=SECTION.KEY=VALUE    override one option; repeatable\n"
                "  --check-config             check the configuration and exit\n"
                "  --dump-config              print the effective configuration and exit\n"
                "  --dump-openapi             print the API's OpenAPI document and exit\n"
                "  --log-format=auto|text|json\n"
                "  --help, --version\n"
                "\n"
                "Sockets come by activation, or from [Server] Listen=. See shortenerd(8).\n";

static int write_openapi(Buffer *out) {
        return openapi_write(routes, n_routes, out);
}

static const Program program = {
                .name = "shortenerd",
                .help = help,
                .config = SHORTENER_CONFIG_FILE,
                .has_instances = true,
                .openapi = write_openapi,
};

int main(int argc, char **argv) {
        _cleanup_free_ char *error = NULL;
        Manager manager = {0};
        Arguments arguments;
        int status;

        fd_keep_standard();
        status = program_parse(&program, argc, argv, &arguments);
        if (status >= 0)
                return status;
        if (manager_load_options(&arguments, &manager.options, &error) < 0)
                return program_bad_config(&program, error);
        if (arguments.check_config || arguments.dump_config) {
                status = EXIT_SUCCESS;
                log_open(program.name, arguments.log_format, LOG_ERR);
                if (arguments.check_config)
                        status = manager_check_links(&manager.options);
                if (arguments.check_config && status == EXIT_SUCCESS)
                        status = manager_check_store(&manager.options);
                if (arguments.dump_config && status == EXIT_SUCCESS)
                        status = program_dump(&program, options_table, n_options, &manager.options);
                config_free(options_table, n_options, &manager.options);
                return status;
        }
        program_begin(&program, &arguments, manager_log_level(&manager.options));
        status = manager_start(&manager, &arguments);
        if (status == 0)
                status = manager_run(&manager);
        manager_done(&manager);
        return status;
}
