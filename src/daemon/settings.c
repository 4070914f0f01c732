/* SPDX-License-Identifier: MIT */

/* Configuration as the daemon uses it: loading, what a reload may change, what follows from it. */

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/clock.h"
#include "daemon/manager.h"

#define MESSAGE_RELOADED   "5fd1a6a1b1f34b0fb6a1ac8d5d4a7e3c"
#define MESSAGE_BAD_CONFIG "c2a2cf4e7c2c4d3fa31df8d3b8e0a0b7"

int manager_load_options(const Arguments *arguments, Options *ret, char **ret_error) {
        ConfigSources sources = {
                        .file = arguments->config,
                        .file_required = arguments->config_required,
                        .environment = environ,
                        .set = arguments->set,
        };
        Options options = {0};
        int r = options_load(&sources, &options, ret_error);

        if (r < 0) {
                config_free(options_table, n_options, &options);
                return r;
        }
        *ret = options;
        return 0;
}

/* Options.log.level counts from error up; syslog's numbers from 3. */
int manager_log_level(const Options *options) {
        return LOG_ERR + options->log.level;
}

int manager_apply_trusted(Manager *manager) {
        char **texts = manager->options.server.trusted_proxy;
        AddressPrefix *trusted;
        size_t n = 0;

        while (texts[n])
                n++;
        trusted = calloc(n + 1, sizeof *trusted);
        if (!trusted)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = address_prefix_parse(slice_from_string(texts[i]), trusted + i);

                if (r < 0) {
                        free(trusted);
                        return r;
                }
        }
        if (manager->server)
                http_server_trust(manager->server, trusted, n);
        free(manager->trusted);
        manager->trusted = trusted;
        manager->n_trusted = n;
        return 0;
}

static void log_differences(const Options *old, const Options *new) {
        Buffer names = BUFFER_EMPTY;

        config_diff(options_table, n_options, old, new, false, &names);
        if (names.len > 0)
                log_warning("configuration: needs a restart: %.*s",
                            SLICE_ARG(buffer_slice(&names)));
        buffer_clear(&names);
        config_diff(options_table, n_options, old, new, true, &names);
        log_entry(LOG_NOTICE, MESSAGE_RELOADED, NULL, 0, "configuration reloaded, changed: %.*s",
                  SLICE_ARG(names.len > 0 ? buffer_slice(&names) : SLICE("nothing")));
        buffer_done(&names);
}

static void swap_text(char **a, char **b) {
        char *text = *a;

        *a = *b;
        *b = text;
}

static void swap_list(char ***a, char ***b) {
        char **list = *a;

        *a = *b;
        *b = list;
}

/* Takes what may change while running out of new; the rest of new is freed with the old values. */
static void swap_reloadable(Options *current, Options *new) {
        swap_list(&current->server.trusted_proxy, &new->server.trusted_proxy);
        swap_text(&current->server.base_url, &new->server.base_url);
        swap_text(&current->limits.create, &new->limits.create);
        swap_text(&current->limits.read, &new->limits.read);
        swap_text(&current->limits.misses, &new->limits.misses);
        swap_text(&current->limits.failed_auth, &new->limits.failed_auth);
        current->store.timeout_usec = new->store.timeout_usec;
        swap_list(&current->links.blocklist, &new->links.blocklist);
        current->links.private_targets = new->links.private_targets;
        current->links.mixed_scripts = new->links.mixed_scripts;
        current->links.credentials = new->links.credentials;
        current->links.code_length = new->links.code_length;
        current->limits.links_per_user = new->limits.links_per_user;
        current->log.level = new->log.level;
}

void manager_reload(Manager *manager) {
        _cleanup_free_ char *error = NULL;
        Options options;
        int r;

        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%ju", (uintmax_t)clock_monotonic_usec());
        r = manager_load_options(manager->arguments, &options, &error);
        if (r < 0) {
                log_entry(LOG_ERR, MESSAGE_BAD_CONFIG, NULL, 0,
                          "configuration not reloaded, the old one stays: %s",
                          error ? error : strerror(-r));
                (void)sd_notify(0, "READY=1");
                return;
        }
        log_differences(&manager->options, &options);
        swap_reloadable(&manager->options, &options);
        config_free(options_table, n_options, &options);
        log_set_max_level(manager_log_level(&manager->options));
        manager->context.code_length = manager->options.links.code_length;
        manager->context.user_links_max = (int64_t)manager->options.limits.links_per_user;
        resolver_set_timeout(manager->resolver, manager->options.store.timeout_usec);
        r = manager_apply_trusted(manager);
        if (r < 0)
                log_error("configuration: TrustedProxy=: %s", strerror(-r));
        manager_reload_links(manager);
        r = manager_apply_limits(manager);
        if (r < 0)
                log_error("configuration: [Limits]: %s", strerror(-r));
        r = manager_share_limits(manager);
        if (r < 0)
                log_error("limits are this host's alone until the next reload: Redis=: %s",
                          strerror(-r));
        (void)sd_notify(0, "READY=1");
}
