/* SPDX-License-Identifier: MIT */
#pragma once

/* The options of shortenerd and shortenerctl: /etc/shortener/shortener.conf, shortener.conf(5). */

#include "config/config.h"

typedef struct Options {
        struct {
                char **listen;
                char *base_url;
                uint64_t max_connections;
                uint64_t workers;
                char **trusted_proxy; /* prefixes: 127.0.0.0/8, ::1 */
                char *runtime_directory;
        } server;
        struct {
                char *url;
                uint64_t timeout_usec;
                bool prepared;
        } store;
        struct {
                uint64_t keep_usec; /* 0: for ever */
        } events;
        struct {
                uint64_t keep_usec; /* 0: for ever */
        } audit;
        struct {
                uint64_t size; /* bytes */
                char *redis;   /* "": none */
                uint64_t redis_ttl_usec;
                uint64_t redis_timeout_usec;
                bool warm_up;
        } cache;
        struct {
                char *directory; /* "": from $STATE_DIRECTORY */
                int sync;        /* SpoolSync */
                uint64_t sync_interval_usec;
                int on_full; /* SpoolOnFull */
                uint64_t keep_usec;
                uint64_t keep_size;
                uint64_t max_size;
                uint64_t segment_size;
        } clicks;
        struct {
                int access; /* 0: auto, 1: open, 2: token */
        } api;
        struct {
                uint64_t code_length;
                char **blocklist;                                /* absolute paths */
                int private_targets, mixed_scripts, credentials; /* 0: allow, 1: refuse */
                char **own_hosts;
        } links;
        struct {
                char *create, *read, *misses, *failed_auth; /* "auto", or limit_rate_parse()'s */
                uint64_t size;                              /* bytes */
                uint64_t links_per_user;                    /* 0: any number */
        } limits;
        struct {
                int level; /* index: error, warning, notice, info, debug */
        } log;
} Options;

/* Sessions with the store of an instance, at most, beside its workers': importer, resolver,
 * shipper, watcher (two), warm-up. */
#define OPTIONS_SESSIONS_MORE 6u

/* config_load() of the table below, and then what no option can check alone. */
int options_load(const ConfigSources *sources, Options *options, char **ret_error) _must_check_;

extern const ConfigOption options_table[];
extern const size_t n_options;
