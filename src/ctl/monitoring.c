/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl monitoring`: makes Prometheus, Alertmanager and the exporters of the distribution
 * use the configuration in /etc/shortener/monitoring, and takes that back. A drop-in beside each
 * installed unit names a file of flags; the targets of Prometheus follow the instances. Packages'
 * own files stay as they are. What is to be done is a list of steps, which a dry run only prints.
 */

#include <stdio.h>

#include "ctl/install.h"
#include "ctl/verbs.h"

#define MONITORING_DIRECTORY "/etc/shortener/monitoring"
#define UNIT_DIRECTORY       "/etc/systemd/system"
#define NGINX_LINK           "/etc/nginx/conf.d/shortener-status.conf"
#define HTTPS                "https://"

static const struct {
        const char *unit;
        const char *group; /* whose socket it must reach; NULL: none */
        const char *port;  /* where it is scraped as one of the exporters; NULL: elsewhere */
        const char *part;  /* what it watches */
} parts[] = {
                {"prometheus", NULL, NULL, NULL},
                {"prometheus-alertmanager", NULL, NULL, NULL},
                {"prometheus-node-exporter", NULL, NULL, NULL},
                {"prometheus-postgres-exporter", NULL, "9187", "postgresql"},
                {"prometheus-redis-exporter", "shortener", "9121", "redis"},
                {"prometheus-nginx-exporter", NULL, "9113", "nginx"},
                {"prometheus-blackbox-exporter", NULL, NULL, NULL},
};

/* Packages put units into one of these. */
static const char *const unit_directories[] = {"/usr/lib/systemd/system", "/lib/systemd/system",
                                               UNIT_DIRECTORY};

static bool is_installed(const Install *install, const char *unit) {
        for (size_t i = 0; i < ELEMENTSOF(unit_directories); i++) {
                char path[256];

                (void)snprintf(path, sizeof(path), "%s/%s.service", unit_directories[i], unit);
                if (install_exists(install, path))
                        return true;
        }
        return false;
}

/* ---- targets ---- */

static void instance_targets(unsigned n, Buffer *out) {
        buffer_append(out, SLICE("[\n"));
        for (unsigned i = 1; i <= n; i++)
                buffer_printf(out,
                              "  {\"targets\": [\"127.0.0.1:500%u\"], "
                              "\"labels\": {\"instance\": \"%u\"}}%s\n",
                              i, i, i < n ? "," : "");
        buffer_append(out, SLICE("]\n"));
}

static void exporter_targets(const Install *install, Buffer *out) {
        bool first = true;

        buffer_append(out, SLICE("["));
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                if (!parts[i].port || !is_installed(install, parts[i].unit))
                        continue;
                buffer_printf(out,
                              "%s\n  {\"targets\": [\"127.0.0.1:%s\"], "
                              "\"labels\": {\"instance\": \"host\", \"part\": \"%s\"}}",
                              first ? "" : ",", parts[i].port, parts[i].part);
                first = false;
        }
        buffer_append(out, SLICE("\n]\n"));
}

/* The certificate that visitors see is that of BaseURL=, if it is https. Its characters were
 * checked when the configuration was read; a port follows the last colon behind any bracket. */
static void certificate_targets(const char *base_url, Buffer *out) {
        Slice host = slice_from_string(base_url);
        ptrdiff_t end;

        if (!slice_starts_with(host, SLICE(HTTPS))) {
                buffer_append(out, SLICE("[]\n"));
                return;
        }
        host = slice_from(host, strlen(HTTPS));
        end = slice_find(host, '/');
        if (end >= 0)
                host = slice_sub(host, 0, (size_t)end);
        end = slice_find(host, ']');
        buffer_printf(out, "[\n  {\"targets\": [\"%.*s%s\"]}\n]\n", SLICE_ARG(host),
                      slice_find(slice_from(host, (size_t)(end + 1)), ':') < 0 ? ":443" : "");
}

static void write_targets(Ctl *ctl, Install *install, unsigned n_instances) {
        Buffer text = BUFFER_EMPTY;

        instance_targets(n_instances, &text);
        install_write(install, MONITORING_DIRECTORY "/targets/shortener.json", &text);
        buffer_clear(&text);
        exporter_targets(install, &text);
        install_write(install, MONITORING_DIRECTORY "/targets/exporters.json", &text);
        buffer_clear(&text);
        certificate_targets(ctl->options.server.base_url, &text);
        install_write(install, MONITORING_DIRECTORY "/targets/certificates.json", &text);
        buffer_done(&text);
}

/* ---- units ---- */

static void drop_in_path(const char *unit, char *ret, size_t size) {
        (void)snprintf(ret, size, UNIT_DIRECTORY "/%s.service.d/shortener.conf", unit);
}

static void write_drop_in(Install *install, size_t part) {
        Buffer text = BUFFER_EMPTY;
        char path[256];

        buffer_printf(&text,
                      "# Written by \"shortenerctl monitoring enable\"; \"... disable\" removes "
                      "it.\n"
                      "[Service]\nEnvironmentFile=" MONITORING_DIRECTORY "/flags/%s.env\n",
                      parts[part].unit);
        if (parts[part].group)
                buffer_printf(&text, "SupplementaryGroups=%s\n", parts[part].group);
        drop_in_path(parts[part].unit, path, sizeof(path));
        install_write(install, path, &text);
        buffer_done(&text);
}

/* systemctl VERB UNIT... with the units that are installed. */
static void control_units(Install *install, const char *verb) {
        const char *words[ELEMENTSOF(parts) + 2] = {verb};
        size_t n = 1;

        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                if (is_installed(install, parts[i].unit))
                        words[n++] = parts[i].unit;
        if (n > 1)
                install_systemctl(install, words);
}

static void reload_nginx(Install *install) {
        if (is_installed(install, "nginx"))
                install_systemctl(install,
                                  (const char *const[]){"try-reload-or-restart", "nginx", NULL});
}

static void enable(Ctl *ctl, Install *install, unsigned n_instances) {
        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                if (is_installed(install, parts[i].unit))
                        write_drop_in(install, i);
                else
                        install_note(install, "skip", parts[i].unit, "it is not installed");
        write_targets(ctl, install, n_instances);
        if (install_exists(install, "/etc/nginx/conf.d")) {
                install_link(install, NGINX_LINK, MONITORING_DIRECTORY "/nginx-status.conf");
                reload_nginx(install);
        }
        install_systemctl(install, (const char *const[]){"daemon-reload", NULL});
        control_units(install, "enable");
        control_units(install, "restart");
        install_systemctl(install,
                          (const char *const[]){"enable", "--now", "shortener-targets.path", NULL});
}

static void disable(Install *install) {
        install_systemctl(install, (const char *const[]){"disable", "--now",
                                                         "shortener-targets.path", NULL});
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                char path[256];

                drop_in_path(parts[i].unit, path, sizeof(path));
                install_remove(install, path);
        }
        install_remove(install, MONITORING_DIRECTORY "/targets/shortener.json");
        install_remove(install, MONITORING_DIRECTORY "/targets/exporters.json");
        install_remove(install, MONITORING_DIRECTORY "/targets/certificates.json");
        if (install_exists(install, NGINX_LINK)) {
                install_remove(install, NGINX_LINK);
                reload_nginx(install);
        }
        install_systemctl(install, (const char *const[]){"daemon-reload", NULL});
        control_units(install, "try-restart");
}

/* ---- verbs ---- */

static int print_steps(Ctl *ctl, Install *install) {
        int r = install_finish(install, ctl->command.json, &ctl->out), printed = ctl_print(ctl);

        return r == EXIT_DONE ? printed : r;
}

int verb_monitoring_enable(Ctl *ctl) {
        Install install;
        unsigned n_instances = 0;
        int r;

        r = ctl_configure(ctl);
        if (r != EXIT_DONE)
                return r;
        install_init(&install, command_value(&ctl->command, "root"),
                     command_flag(&ctl->command, "dry-run"));
        if (!is_installed(&install, "prometheus")) {
                ctl_error("prometheus", "it is not installed: apt install prometheus "
                                        "prometheus-alertmanager prometheus-node-exporter");
                return EXIT_FAILED;
        }
        if (!install_exists(&install, MONITORING_DIRECTORY "/prometheus.yml")) {
                ctl_error(MONITORING_DIRECTORY "/prometheus.yml",
                          "it is not there: install the package shortener-monitoring");
                return EXIT_FAILED;
        }
        r = ctl_instances(ctl, install.root, &n_instances);
        if (r != EXIT_DONE)
                return r;
        enable(ctl, &install, n_instances);
        return print_steps(ctl, &install);
}

int verb_monitoring_disable(Ctl *ctl) {
        Install install;

        install_init(&install, command_value(&ctl->command, "root"),
                     command_flag(&ctl->command, "dry-run"));
        disable(&install);
        return print_steps(ctl, &install);
}

int verb_monitoring_targets(Ctl *ctl) {
        Install install;
        unsigned n_instances = 0;
        int r;

        r = ctl_configure(ctl);
        if (r != EXIT_DONE)
                return r;
        install_init(&install, command_value(&ctl->command, "root"),
                     command_flag(&ctl->command, "dry-run"));
        r = ctl_instances(ctl, install.root, &n_instances);
        if (r != EXIT_DONE)
                return r;
        write_targets(ctl, &install, n_instances);
        return print_steps(ctl, &install);
}
