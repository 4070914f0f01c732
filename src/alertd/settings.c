/* SPDX-License-Identifier: MIT */

/* Configuration as the daemon uses it: loading, the environment's old names, reloading. */

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "alertd/manager.h"
#include "basic/clock.h"

#define MESSAGE_RELOADED   "7a7e55c1f6a54be4bf18f0c5b0cf9804"
#define MESSAGE_BAD_CONFIG "d4c1b8a27e9f4f6f8d5be2a1f3b0aa05"

/* Variables that older receivers had; --set comes behind them and wins. */
static const struct {
        const char *variable, *option;
        bool path;
} aliases[] = {
                {"ALERT_LOG", "Alerts.Log", true},
                {"EVIDENCE_DIR", "Alerts.Evidence", true},
                {"GRAFANA_URL", "Alerts.GrafanaURL", false},
};

#define ALIASES ELEMENTSOF(aliases)

/* "Alerts.Log=/path"; a path may be relative to the working directory. */
static int make_assignment(const char *option, const char *value, bool path, char **ret) {
        _cleanup_free_ char *folder = NULL;
        int n;

        if (path && value[0] != '/') {
                folder = getcwd(NULL, 0);
                if (!folder)
                        return -errno;
        }
        n = asprintf(ret, "%s=%s%s%s", option, folder ? folder : "", folder ? "/" : "", value);
        if (n < 0)
                *ret = NULL;
        return n < 0 ? -ENOMEM : 0;
}

static int collect_aliases(char *made[ALIASES + 1]) {
        size_t n = 0;

        for (size_t i = 0; i < ALIASES; i++) {
                const char *value = getenv(aliases[i].variable);
                int r;

                if (!value || !*value)
                        continue;
                r = make_assignment(aliases[i].option, value, aliases[i].path, made + n);
                if (r < 0)
                        return r;
                n++;
        }
        return 0;
}

static int load_with(const Arguments *arguments, char *const *made, AlertOptions *options,
                     char **ret_error) {
        _cleanup_free_ const char **set = NULL;
        size_t n = 0, n_set = 0;
        ConfigSources sources = {
                        .file = arguments->config,
                        .file_required = arguments->config_required,
                        .environment = environ,
        };

        while (arguments->set[n_set])
                n_set++;
        set = calloc(ALIASES + n_set + 1, sizeof *set);
        if (!set)
                return -ENOMEM;
        for (; made[n]; n++)
                set[n] = made[n];
        for (size_t i = 0; i < n_set; i++)
                set[n++] = arguments->set[i];
        sources.set = set;
        return config_load(alert_options_table, n_alert_options, &sources, options, ret_error);
}

int manager_load_options(const Arguments *arguments, AlertOptions *ret, char **ret_error) {
        char *made[ALIASES + 1] = {NULL};
        AlertOptions options = {0};
        int r = collect_aliases(made);

        *ret_error = NULL;
        if (r >= 0)
                r = load_with(arguments, made, &options, ret_error);
        for (size_t i = 0; i < ALIASES; i++)
                free(made[i]);
        if (r < 0) {
                config_free(alert_options_table, n_alert_options, &options);
                return r;
        }
        *ret = options;
        return 0;
}

/* AlertOptions.log.level counts from error up; syslog's numbers from 3. */
int manager_log_level(const AlertOptions *options) {
        return LOG_ERR + options->log.level;
}

static void log_differences(const AlertOptions *old, const AlertOptions *new) {
        Buffer names = BUFFER_EMPTY;

        config_diff(alert_options_table, n_alert_options, old, new, false, &names);
        if (names.len > 0)
                log_warning("configuration: needs a restart: %.*s",
                            SLICE_ARG(buffer_slice(&names)));
        buffer_clear(&names);
        config_diff(alert_options_table, n_alert_options, old, new, true, &names);
        log_entry(LOG_NOTICE, MESSAGE_RELOADED, NULL, 0, "configuration reloaded, changed: %.*s",
                  SLICE_ARG(names.len > 0 ? buffer_slice(&names) : SLICE("nothing")));
        buffer_done(&names);
}

static void reload_options(Manager *manager) {
        _cleanup_free_ char *error = NULL;
        AlertOptions options;
        char *url = manager->options.alerts.grafana_url;
        int r = manager_load_options(manager->arguments, &options, &error);

        if (r < 0) {
                log_entry(LOG_ERR, MESSAGE_BAD_CONFIG, NULL, 0,
                          "configuration not reloaded, the old one stays: %s",
                          error ? error : strerror(-r));
                return;
        }
        log_differences(&manager->options, &options);
        manager->options.alerts.grafana_url = options.alerts.grafana_url;
        options.alerts.grafana_url = url;
        manager->options.log.level = options.log.level;
        config_free(alert_options_table, n_alert_options, &options);
        manager->context.grafana_url = manager->options.alerts.grafana_url;
        log_set_max_level(manager_log_level(&manager->options));
}

/* READY=1 follows when the keeper has opened the alerts log again. */
void manager_reload(Manager *manager) {
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%ju", (uintmax_t)clock_monotonic_usec());
        reload_options(manager);
        if (manager->reopening)
                return;
        manager->reopen = (KeepJob){.kind = KEEP_REOPEN};
        manager->reopening = keeper_push(manager->keeper, &manager->reopen) >= 0;
        if (!manager->reopening)
                (void)sd_notify(0, "READY=1");
}
