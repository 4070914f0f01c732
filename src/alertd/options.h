/* SPDX-License-Identifier: MIT */
#pragma once

/* The options of shortener-alertd: /etc/shortener/alertd.conf, shortener-alertd.conf(5). */

#include "config/config.h"

typedef struct AlertOptions {
        struct {
                char **listen;
                char *log;      /* path */
                char *evidence; /* folder; "": from $STATE_DIRECTORY */
                char *queue;    /* folder; "": from $STATE_DIRECTORY, else beside the log */
                char *grafana_url;
                char **forward; /* see target.h */
                uint64_t timeout_usec;
                uint64_t give_up_usec;
                uint64_t queue_size; /* bytes */
        } alerts;
        struct {
                int level; /* index: error, warning, notice, info, debug */
        } log;
} AlertOptions;

extern const ConfigOption alert_options_table[];
extern const size_t n_alert_options;
