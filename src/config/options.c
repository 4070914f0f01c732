/* SPDX-License-Identifier: MIT */

/*
 * The one table of shortenerd's and shortenerctl's options. --dump-config, shortener.conf(5),
 * etc/shortener.conf and the lint that compares them follow it. It knows how values look, not what
 * they do: the folders that use them do not include this file.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "basic/slice.h"
#include "config/options.h"
#include "config/redis-place.h"
#include "limit/rate.h"

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define TIB (1ULL << 40)

#define LIMIT_ALLOWED "auto, off, N/SPAN or N/SPAN:BURST, at most a million a second"

#define UNIX_PATH_MAX 107u /* bytes of sun_path without its NUL */

/* ---- checks ---- */

static bool is_ip(const char *text, int *ret_bits) {
        unsigned char address[sizeof(struct in6_addr)];

        if (inet_pton(AF_INET, text, address) == 1)
                *ret_bits = 32;
        else if (inet_pton(AF_INET6, text, address) == 1)
                *ret_bits = 128;
        else
                return false;
        return true;
}

static int check_absolute(const char *value) {
        return value[0] == '/' ? 0 : -EINVAL;
}

static int check_absolute_or_empty(const char *value) {
        return value[0] == '\0' ? 0 : check_absolute(value);
}

static int check_port(Slice text) {
        uint64_t port;

        if (number_parse_u64(text, &port) < 0 || port > 65535)
                return -EINVAL;
        return 0;
}

/* 127.0.0.1:8080, [::1]:8080, unix:/path */
static int check_listen(const char *value) {
        const char *colon = strrchr(value, ':');
        _cleanup_free_ char *host = NULL;
        Slice inside;
        int bits, r;

        if (slice_starts_with(slice_from_string(value), SLICE("unix:"))) {
                value += strlen("unix:");
                return strlen(value) <= UNIX_PATH_MAX ? check_absolute(value) : -EINVAL;
        }
        if (!colon)
                return -EINVAL;
        r = check_port(slice_from_string(colon + 1));
        if (r < 0)
                return r;
        inside = slice_make(value, (size_t)(colon - value));
        if (inside.len >= 2 && value[0] == '[' && colon[-1] == ']')
                inside = slice_sub(inside, 1, inside.len - 1);
        else if (slice_find(inside, ':') >= 0)
                return -EINVAL;
        host = slice_to_string(inside);
        if (!host)
                return -ENOMEM;
        return is_ip(host, &bits) && (bits == 128) == (value[0] == '[') ? 0 : -EINVAL;
}

/* 10.0.0.0/8, ::1 */
static int check_prefix(const char *value) {
        _cleanup_free_ char *address = NULL;
        Slice head, tail;
        uint64_t length;
        bool has_length;
        int bits;

        has_length = slice_cut(slice_from_string(value), '/', &head, &tail);
        address = slice_to_string(head);
        if (!address)
                return -ENOMEM;
        if (!is_ip(address, &bits))
                return -EINVAL;
        if (has_length && (number_parse_u64(tail, &length) < 0 || length > (uint64_t)bits))
                return -EINVAL;
        return 0;
}

static int check_base_url(const char *value) {
        Slice rest = slice_from_string(value);

        if (rest.len == 0)
                return 0;
        if (slice_starts_with(rest, SLICE("https://")))
                rest = slice_from(rest, strlen("https://"));
        else if (slice_starts_with(rest, SLICE("http://")))
                rest = slice_from(rest, strlen("http://"));
        else
                return -EINVAL;
        if (rest.len == 0 || rest.data[0] == '/' || strpbrk(rest.data, " ?#@\\\"<>"))
                return -EINVAL;
        return 0;
}

static int check_store_url(const char *value) {
        const Slice prefixes[] = {SLICE("sqlite:/"), SLICE("postgresql://"), SLICE("postgres://")};
        Slice url = slice_from_string(value);

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (slice_starts_with(url, prefixes[i]) && url.len > prefixes[i].len)
                        return 0;
        return -EINVAL;
}

static int check_host_name(const char *value) {
        return value[0] == '\0' || strpbrk(value, "/:?#@") ? -EINVAL : 0;
}

static int check_limit(const char *value) {
        LimitRate rate;

        return strcmp(value, "auto") == 0 ? 0 : limit_rate_parse(slice_from_string(value), &rate);
}

static int check_redis(const char *value) {
        RedisPlace place;

        return value[0] == '\0' ? 0 : redis_place_parse(value, &place);
}

/* ---- the table ---- */

/* The choices are in the order of SpoolSync and SpoolOnFull in clicks/spool.h, and of the levels in
 * daemon/. */
const ConfigOption options_table[] = {
                {
                                .section = "Server",
                                .key = "Listen",
                                .type = CONFIG_LIST,
                                .offset = offsetof(Options, server.listen),
                                .initial = "",
                                .check = check_listen,
                                .allowed = "ADDRESS:PORT, [ADDRESS]:PORT or unix:/path",
                                .help = "Where to listen when no socket was passed by activation",
                },
                {
                                .section = "Server",
                                .key = "BaseURL",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(Options, server.base_url),
                                .initial = "",
                                .reloadable = true,
                                .check = check_base_url,
                                .allowed = "http://HOST or https://HOST, without ? and #",
                                .help = "How short URLs are shown; empty: as the request named us",
                },
                {
                                .section = "Server",
                                .key = "MaxConnections",
                                .type = CONFIG_NUMBER,
                                .offset = offsetof(Options, server.max_connections),
                                .initial = "4096",
                                .min = 1,
                                .max = 65536,
                                .help = "Client connections at a time",
                },
                {
                                .section = "Server",
                                .key = "Workers",
                                .type = CONFIG_NUMBER,
                                .offset = offsetof(Options, server.workers),
                                .initial = "4",
                                .min = 1,
                                .max = 32,
                                .help = "Threads that answer API requests",
                },
                {
                                .section = "Server",
                                .key = "TrustedProxy",
                                .type = CONFIG_LIST,
                                .offset = offsetof(Options, server.trusted_proxy),
                                .initial = "",
                                .reloadable = true,
                                .check = check_prefix,
                                .allowed = "ADDRESS or ADDRESS/BITS",
                                .help = "Whose X-Forwarded-For counts, besides Unix sockets",
                },
                {
                                .section = "Server",
                                .key = "RuntimeDirectory",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(Options, server.runtime_directory),
                                .initial = "/run/shortener",
                                .check = check_absolute,
                                .allowed = "an absolute path",
                                .help = "Holds the page that the instances of a host share",
                },
                {
                                .section = "Store",
                                .key = "URL",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(Options, store.url),
                                .initial = "sqlite:/var/lib/shortener/shortener.db",
                                .redact = true,
                                .check = check_store_url,
                                .allowed = "sqlite:/absolute/path or postgresql://..., as libpq "
                                           "has it",
                                .help = "The store of all instances and of shortenerctl",
                },
                {
                                .section = "Store",
                                .key = "Timeout",
                                .type = CONFIG_SPAN,
                                .offset = offsetof(Options, store.timeout_usec),
                                .initial = "1s",
                                .min = 10 * USEC_PER_MSEC,
                                .max = 60 * USEC_PER_SEC,
                                .reloadable = true,
                                .help = "Deadline of an API call, its time in the queue included",
                },
                {
                                .section = "Store",
                                .key = "Prepared",
                                .type = CONFIG_BOOL,
                                .offset = offsetof(Options, store.prepared),
                                .initial = "yes",
                                .help = "Prepared statements in PostgreSQL; no: for a pooler that "
                                        "pools transactions",
                },
                {
                                .section = "Events",
                                .key = "Keep",
                                .type = CONFIG_SPAN,
                                .offset = offsetof(Options, events.keep_usec),
                                .initial = "0",
                                .max = 36500ULL * 86400 * USEC_PER_SEC,
                                .help = "Visits older than this are dropped, their totals stay "
                                        "(PostgreSQL); 0: never",
                },
                {
                                .section = "Audit",
                                .key = "Keep",
                                .type = CONFIG_SPAN,
                                .offset = offsetof(Options, audit.keep_usec),
                                .initial = "0",
                                .max = 36500ULL * 86400 * USEC_PER_SEC,
                                .help = "Rows of the audit older than this are dropped; 0: never",
                },
                {
                                .section = "Cache",
                                .key = "Size",
                                .type = CONFIG_SIZE,
                                .offset = offsetof(Options, cache.size),
                                .initial = "64M",
                                .min = 256 * KIB,
                                .max = TIB,
                                .help = "Memory of the redirect cache",
                },
                {
                                .section = "Cache",
                                .key = "Redis",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(Options, cache.redis),
                                .initial = "",
                                .redact = true,
                                .check = check_redis,
                                .allowed = "unix:/path, redis://HOST or redis://HOST:PORT/DATABASE",
                                .help = "A Redis that all hosts share as a second cache; empty: "
                                        "none",
                },
                {
                                .section = "Cache",
                                .key = "RedisTTL",
                                .type = CONFIG_SPAN,
                                .offset = offsetof(Options, cache.redis_ttl_usec),
                                .initial = "600s",
                                .min = USEC_PER_SEC,
                                .max = 24 * 3600 * USEC_PER_SEC,
                                .help = "How long a link stays in Redis",
                },
                {
                                .section = "Cache",
                                .key = "RedisTimeout",
                                .type = CONFIG_SPAN,
                                .offset = offsetof(Options, cache.redis_timeout_usec),
                                .initial = "100ms",
                                .min = USEC_PER_MSEC,
                                .max = 10 * USEC_PER_SEC,
                                .help = "How long Redis is waited for",
                },
                {
                                .section = "Cache",
                                .key = "WarmUp",
                                .type = CONFIG_BOOL,
                                .offset = offsetof(Options, cache.warm_up),
                                .initial = "yes",
                                .help = "Fill the caches at the start, in the background",
                },
                {
                                .section = "Clicks",
                                .key = "Directory",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(Options, clicks.directory),
                                .initial = "",
                                .check = check_absolute_or_empty,
                                .allowed = "an absolute path",
                                .help = "The spool's folder, one for each instance; empty: spool/ "
                                        "in the state directory",
                },
                {
                                .section = "Clicks",
                                .key = "Sync",
                                .type = CONFIG_CHOICE,
                                .offset = offsetof(Options, clicks.sync),
                                .initial = "interval",
                                .choices = "interval|always|off",
                                .help = "When a visit is safe from a power cut",
                },
                {
                                .section = "Clicks",
                                .key = "SyncInterval",
                                .type = CONFIG_SPAN,
                                .offset = offsetof(Options, clicks.sync_interval_usec),
                                .initial = "20ms",
                                .min = USEC_PER_MSEC,
                                .max = 10 * USEC_PER_SEC,
                                .help = "With Sync=interval: between two syncs",
                },
                {
                                .section = "Clicks",
                                .key = "OnFull",
                                .type = CONFIG_CHOICE,
                                .offset = offsetof(Options, clicks.on_full),
                                .initial = "shed",
                                .choices = "shed|fail",
                                .help = "Disk full: answer and count the visit as shed, or 503",
                },
                {
                                .section = "Clicks",
                                .key = "Keep",
                                .type = CONFIG_SPAN,
                                .offset = offsetof(Options, clicks.keep_usec),
                                .initial = "24h",
                                .min = 0,
                                .max = 365 * 24 * 3600 * USEC_PER_SEC,
                                .help = "How long segments stay after they were shipped",
                },
                {
                                .section = "Clicks",
                                .key = "KeepSize",
                                .type = CONFIG_SIZE,
                                .offset = offsetof(Options, clicks.keep_size),
                                .initial = "2G",
                                .min = 0,
                                .max = 1024 * TIB,
                                .help = "How many bytes of shipped segments stay",
                },
                {
                                .section = "Clicks",
                                .key = "MaxSize",
                                .type = CONFIG_SIZE,
                                .offset = offsetof(Options, clicks.max_size),
                                .initial = "4G",
                                .min = 2 * MIB,
                                .max = 1024 * TIB,
                                .help = "How many bytes may wait to be shipped; beyond: OnFull",
                },
                {
                                .section = "Clicks",
                                .key = "SegmentSize",
                                .type = CONFIG_SIZE,
                                .offset = offsetof(Options, clicks.segment_size),
                                .initial = "64M",
                                .min = MIB,
                                .max = GIB,
                                .help = "Bytes of one file of the spool",
                },
                {
                                .section = "API",
                                .key = "Access",
                                .type = CONFIG_CHOICE,
                                .offset = offsetof(Options, api.access),
                                .initial = "auto",
                                .choices = "auto|open|token",
                                .help = "Who may use the API: all who can reach it, or by token",
                },
                {
                                .section = "Links",
                                .key = "CodeLength",
                                .type = CONFIG_NUMBER,
                                .offset = offsetof(Options, links.code_length),
                                .initial = "6",
                                .min = 4,
                                .max = 32,
                                .reloadable = true,
                                .help = "Characters of a new short code",
                },
                {
                                .section = "Links",
                                .key = "Blocklist",
                                .type = CONFIG_LIST,
                                .offset = offsetof(Options, links.blocklist),
                                .initial = "",
                                .reloadable = true,
                                .check = check_absolute,
                                .allowed = "absolute paths",
                                .help = "Files of hosts, domains and URLs that are no targets",
                },
                {
                                .section = "Links",
                                .key = "PrivateTargets",
                                .type = CONFIG_CHOICE,
                                .offset = offsetof(Options, links.private_targets),
                                .initial = "allow",
                                .choices = "allow|refuse",
                                .reloadable = true,
                                .help = "Targets on private and other special addresses and names",
                },
                {
                                .section = "Links",
                                .key = "MixedScripts",
                                .type = CONFIG_CHOICE,
                                .offset = offsetof(Options, links.mixed_scripts),
                                .initial = "allow",
                                .choices = "allow|refuse",
                                .reloadable = true,
                                .help = "Targets whose host mixes scripts",
                },
                {
                                .section = "Links",
                                .key = "Credentials",
                                .type = CONFIG_CHOICE,
                                .offset = offsetof(Options, links.credentials),
                                .initial = "refuse",
                                .choices = "allow|refuse",
                                .reloadable = true,
                                .help = "Targets with a user name or password",
                },
                {
                                .section = "Links",
                                .key = "OwnHosts",
                                .type = CONFIG_LIST,
                                .offset = offsetof(Options, links.own_hosts),
                                .initial = "",
                                .check = check_host_name,
                                .allowed = "host names, without port",
                                .help = "Our own names, which are no targets, besides BaseURL's",
                },
                {
                                .section = "Limits",
                                .key = "Create",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(Options, limits.create),
                                .initial = "auto",
                                .reloadable = true,
                                .check = check_limit,
                                .allowed = LIMIT_ALLOWED,
                                .help = "Changes by the API of one client",
                },
                {
                                .section = "Limits",
                                .key = "Read",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(Options, limits.read),
                                .initial = "auto",
                                .reloadable = true,
                                .check = check_limit,
                                .allowed = LIMIT_ALLOWED,
                                .help = "Other requests to the API of one client",
                },
                {
                                .section = "Limits",
                                .key = "Misses",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(Options, limits.misses),
                                .initial = "auto",
                                .reloadable = true,
                                .check = check_limit,
                                .allowed = LIMIT_ALLOWED,
                                .help = "Redirects of unknown codes of one client",
                },
                {
                                .section = "Limits",
                                .key = "FailedAuth",
                                .type = CONFIG_TEXT,
                                .offset = offsetof(Options, limits.failed_auth),
                                .initial = "auto",
                                .reloadable = true,
                                .check = check_limit,
                                .allowed = LIMIT_ALLOWED,
                                .help = "Refused tokens of one client",
                },
                {
                                .section = "Limits",
                                .key = "Size",
                                .type = CONFIG_SIZE,
                                .offset = offsetof(Options, limits.size),
                                .initial = "2M",
                                .min = 64 * KIB,
                                .max = GIB,
                                .help = "Memory of the limits, shared by the instances of a host",
                },
                {
                                .section = "Log",
                                .key = "Level",
                                .type = CONFIG_CHOICE,
                                .offset = offsetof(Options, log.level),
                                .initial = "info",
                                .choices = "error|warning|notice|info|debug",
                                .reloadable = true,
                                .help = "The least important messages that are logged",
                },
};

const size_t n_options = ELEMENTSOF(options_table);
