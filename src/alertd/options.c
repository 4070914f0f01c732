/* SPDX-License-Identifier: MIT */

/* The one table of shortener-alertd's options. shortener-alertd.conf(5), etc/alertd.conf and the
 * lint that compares them follow it. */

#include "alertd/options.h"

#include <errno.h>
#include <string.h>

#include "alertd/target.h"
#include "basic/clock.h"
#include "config/option-checks.h"
#include "sys/listen.h"

#define MIB (1ULL << 20)

static int check_url_or_empty(const char *value) {
        return value[0] == '\0' ? 0 : target_check_url(slice_from_string(value));
}

const ConfigOption alert_options_table[] = {
                {
                                .section = "Alerts",
                                .key = "Listen",
                                .type = CONFIG_LIST,
                                .offset = offsetof(AlertOptions, alerts.listen),
                                .initial = "127.0.0.1:9097",
                                .check = socket_listen_check,
                                .allowed = "ADDRESS:PORT, [ADDRESS]:PORT or unix:/path",
                                .help = "Where to listen when no socket was passed by activation",
                },
                {
                                .section = "Alerts",
                                .key = "Log",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(AlertOptions, alerts.log),
                                .initial = "/var/log/shortener/alerts.log",
                                .check = option_check_absolute,
                                .allowed = "an absolute path",
                                .help = "Where each request is kept as a line of JSON",
                },
                {
                                .section = "Alerts",
                                .key = "Evidence",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(AlertOptions, alerts.evidence),
                                .initial = "",
                                .check = option_check_absolute_or_empty,
                                .allowed = "an absolute path",
                                .help = "Folder of one file for each alert; empty: evidence/ in "
                                        "the "
                                        "state directory",
                },
                {
                                .section = "Alerts",
                                .key = "Queue",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(AlertOptions, alerts.queue),
                                .initial = "",
                                .check = option_check_absolute_or_empty,
                                .allowed = "an absolute path",
                                .help = "Folder of what is still to be forwarded; empty: queue/ in "
                                        "the state directory",
                },
                {
                                .section = "Alerts",
                                .key = "GrafanaURL",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(AlertOptions, alerts.grafana_url),
                                .initial = "",
                                .reloadable = true,
                                .check = check_url_or_empty,
                                .allowed = "http://HOST or https://HOST",
                                .help = "What the Dashboard link of a message leads to; empty: no "
                                        "link",
                },
                {
                                .section = "Alerts",
                                .key = "Forward",
                                .type = CONFIG_LIST,
                                .offset = offsetof(AlertOptions, alerts.forward),
                                .initial = "",
                                .secret = true,
                                .check = target_check,
                                .allowed = "discord:URL, json:URL, discord:@CREDENTIAL or "
                                           "json:@CREDENTIAL",
                                .help = "Where alerts go; empty: Discord, if there is a credential "
                                        "shortener.discord-webhook",
                },
                {
                                .section = "Alerts",
                                .key = "Timeout",
                                .type = CONFIG_SPAN,
                                .offset = offsetof(AlertOptions, alerts.timeout_usec),
                                .initial = "10s",
                                .min = 100 * USEC_PER_MSEC,
                                .max = 60 * USEC_PER_SEC,
                                .help = "How long one attempt to forward may take",
                },
                {
                                .section = "Alerts",
                                .key = "GiveUp",
                                .type = CONFIG_SPAN,
                                .offset = offsetof(AlertOptions, alerts.give_up_usec),
                                .initial = "1d",
                                .min = USEC_PER_SEC,
                                .max = 365 * 24 * 3600 * USEC_PER_SEC,
                                .help = "How old an alert gets before it is no longer forwarded",
                },
                {
                                .section = "Alerts",
                                .key = "QueueSize",
                                .type = CONFIG_SIZE,
                                .offset = offsetof(AlertOptions, alerts.queue_size),
                                .initial = "64M",
                                .min = MIB,
                                .max = 4096 * MIB,
                                .help = "How many bytes of alerts may wait to be forwarded; "
                                        "beyond: "
                                        "the oldest are given up",
                },
                {
                                .section = "Log",
                                .key = "Level",
                                .type = CONFIG_CHOICE,
                                .offset = offsetof(AlertOptions, log.level),
                                .initial = "info",
                                .choices = "error|warning|notice|info|debug",
                                .reloadable = true,
                                .help = "The least important messages that are logged",
                },
};

const size_t n_alert_options = ELEMENTSOF(alert_options_table);
