/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl doctor`: is each part up, and if not, what is to be done. Changes nothing.
 */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "basic/clock.h"
#include "cache/redis.h"
#include "config/instances.h"
#include "ctl/output.h"
#include "ctl/systemctl.h"
#include "ctl/verbs.h"

#define HEARTBEAT_LATE_USEC (5 * USEC_PER_SEC) /* an instance beats once a second */
#define REDIS_WAIT_USEC     USEC_PER_SEC
#define OWN_PREFIX          "shortenerctl-"

typedef struct Doctor {
        Ctl *ctl;
        Buffer lines; /* part, state, text between tabs; or the members of the JSON array */
        size_t n_down;
        size_t n_parts;
        unsigned n_instances; /* of this host: as configured, or running, if that is more */
        unsigned n_running;
} Doctor;

static void add_part(Doctor *doctor, const char *part, bool up, const char *format, ...)
                _printf_(4, 5);

static void add_part(Doctor *doctor, const char *part, bool up, const char *format, ...) {
        char text[1024];
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        if (doctor->ctl->command.json) {
                buffer_append(&doctor->lines,
                              doctor->n_parts == 0 ? SLICE("{\"part\":") : SLICE(",{\"part\":"));
                output_string_json(&doctor->lines, slice_from_string(part));
                buffer_append(&doctor->lines, SLICE(",\"text\":"));
                output_string_json(&doctor->lines, slice_from_string(text));
                buffer_printf(&doctor->lines, ",\"up\":%s}", up ? "true" : "false");
        } else {
                buffer_printf(&doctor->lines, "%s\t%s\t%s\n", part, up ? "up" : "DOWN", text);
        }
        doctor->n_parts++;
        doctor->n_down += !up;
}

/* ---- parts ---- */

/* What ctl_open() had to say becomes the text of the part. */
static void check_store(Doctor *doctor) {
        Buffer message = BUFFER_EMPTY;
        Ctl *ctl = doctor->ctl;
        StoreTotals totals;
        int r;

        ctl_keep_errors(&message);
        r = ctl_open(ctl, CTL_READ);
        if (r == EXIT_DONE) {
                r = store_totals(ctl->session, &totals);
                if (r != 0)
                        r = ctl_store_failed(ctl, r);
        }
        ctl_keep_errors(NULL);
        if (r == EXIT_DONE)
                add_part(doctor, "store", true,
                         "%s: %" PRId64 " users, %" PRId64 " URLs, %" PRId64 " events",
                         store_url_shown(ctl->store), totals.users, totals.urls, totals.events);
        else
                add_part(doctor, "store", false, "%.*s",
                         SLICE_ARG(slice_trim(buffer_slice(&message))));
        buffer_done(&message);
}

/* Do the instances' sessions fit into what the server takes? Each keeps its own, and one is for
 * shortenerctl. Other hosts' are not known here, but in what is in use. */
static void check_sessions(Doctor *doctor) {
        const Options *options = &doctor->ctl->options;
        int64_t each = (int64_t)options->server.workers + OPTIONS_SESSIONS_MORE, wanted, room;
        unsigned n = MAX(doctor->n_instances, doctor->n_running);
        StoreCapacity server;

        if (!doctor->ctl->session || store_capacity(doctor->ctl->session, &server) != 0)
                return; /* it is away, which check_store() says, or has no limits */
        wanted = n * each + 1;
        room = server.max - server.reserved;
        if (server.limit >= 0)
                room = MIN(room, server.limit);
        if (wanted > room)
                add_part(doctor, "sessions", false,
                         "%u instances may need %" PRId64 " connections, the server takes %" PRId64
                         " of us: %s, or lower Workers= (%" PRIu64 ")",
                         n, wanted, room,
                         room == server.limit ? "raise the CONNECTION LIMIT of the role or database"
                                              : "raise max_connections in postgresql.conf",
                         options->server.workers);
        else if (server.in_use >= room)
                add_part(doctor, "sessions", false,
                         "all %" PRId64 " connections that the server takes are in use: see "
                         "pg_stat_activity for whose they are, or raise max_connections",
                         room);
        else
                add_part(doctor, "sessions", true,
                         "%u instances may need %" PRId64 " of %" PRId64 " connections, %" PRId64
                         " are in use",
                         n, wanted, room, server.in_use);
}

static bool open_redis(Doctor *doctor, Redis **ret) {
        const Options *options = &doctor->ctl->options;
        _cleanup_free_ char *password = NULL;
        RedisOptions redis = {
                        .place = options->cache.redis,
                        .ttl_usec = options->cache.redis_ttl_usec,
                        .timeout_usec = REDIS_WAIT_USEC,
        };
        int r = redis_password(&password);

        if (r < 0) {
                add_part(doctor, "redis", false, "its password cannot be read: %s", strerror(-r));
                return false;
        }
        redis.password = password;
        r = redis_new(&redis, ret);
        if (r < 0)
                add_part(doctor, "redis", false, "%s: %s", redis.place, strerror(-r));
        return r == 0;
}

static void check_redis(Doctor *doctor) {
        _cleanup_(redis_free_p) Redis *redis = NULL;
        const char *place = doctor->ctl->options.cache.redis;
        unsigned major = 0, minor = 0;
        RedisStats stats;
        int r = 0;

        if (!*place || !open_redis(doctor, &redis))
                return;
        if (redis_wants_address(redis) && redis_look_up(redis) < 0) {
                add_part(doctor, "redis", false, "%s: there is no host of this name", place);
                return;
        }
        (void)signal(SIGPIPE, SIG_IGN); /* hiredis writes without MSG_NOSIGNAL */
        r = redis_connect(redis, REDIS_WAIT_USEC);
        if (r == 0)
                r = redis_version(redis, &major, &minor);
        redis_stats(redis, &stats);
        if (r == -EHOSTDOWN)
                add_part(doctor, "redis", false,
                         "%s: %s: redirects that are not cached go to the store; see its journal",
                         place, *redis_why(redis) ? redis_why(redis) : "no answer");
        else if (r < 0 || major < 6 || (major == 6 && minor < 2))
                add_part(doctor, "redis", false,
                         "%s: version %u.%u: install 6.2 or newer, which can keep links", place,
                         major, minor);
        else
                add_part(doctor, "redis", true, "%s: version %u.%u, answers in %.1f ms", place,
                         major, minor, (double)stats.latency_usec / (double)USEC_PER_MSEC);
}

static void check_spool(Doctor *doctor, const HostSlotInfo *slot) {
        uint64_t wanted = 2 * doctor->ctl->options.clicks.segment_size, n_free;
        Buffer text = BUFFER_EMPTY;
        struct statvfs disk;
        char part[HOST_NAME_SIZE + 16];

        (void)snprintf(part, sizeof(part), "spool %s", slot->name);
        if (access(slot->directory, F_OK) < 0 || statvfs(slot->directory, &disk) < 0) {
                add_part(doctor, part, false, "%s: %s: make the folder, or mount its disk",
                         slot->directory, strerror(errno));
                return;
        }
        n_free = (uint64_t)disk.f_bavail * disk.f_frsize;
        output_size(&text, n_free);
        if (n_free < wanted)
                add_part(doctor, part, false,
                         "%s: %.*s free, too little for new segments: make "
                         "room there",
                         slot->directory, SLICE_ARG(buffer_slice(&text)));
        else
                add_part(doctor, part, true, "%s: %.*s free", slot->directory,
                         SLICE_ARG(buffer_slice(&text)));
        buffer_done(&text);
}

static void check_instance(Doctor *doctor, const HostSlotInfo *slot) {
        uint64_t now = clock_monotonic_usec(), n_pending = slot->appended - slot->shipped;
        uint64_t age = now > slot->heartbeat_usec ? now - slot->heartbeat_usec : 0;
        char part[HOST_NAME_SIZE + 16];

        (void)snprintf(part, sizeof(part), "instance %s", slot->name);
        if (!slot->alive)
                add_part(doctor, part, false,
                         "not running, %" PRIu64 " visits wait: start it, or "
                         "bring them in with \"shortenerctl clicks ship\"",
                         n_pending);
        else if (age > HEARTBEAT_LATE_USEC)
                add_part(doctor, part, false,
                         "no heartbeat for %" PRIu64 " s: see its journal; "
                         "the watchdog restarts it",
                         (uint64_t)(age / USEC_PER_SEC));
        else
                add_part(doctor, part, true,
                         "heartbeat %.1f s ago, %" PRIu64 " visits pending, "
                         "%" PRIu64 " shed",
                         (double)age / (double)USEC_PER_SEC, n_pending, slot->shed);
        if (slot->directory[0] != '\0')
                check_spool(doctor, slot);
}

static void check_instances(Doctor *doctor, HostPage *page) {
        HostSlotInfo slots[HOST_SLOTS];
        size_t n = 0;

        host_page_slots(page, slots);
        for (size_t i = 0; i < HOST_SLOTS; i++) {
                if (!slots[i].used || strncmp(slots[i].name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
                        continue;
                check_instance(doctor, &slots[i]);
                doctor->n_running += slots[i].alive;
                n++;
        }
        if (n == 0)
                add_part(doctor, "instances", false,
                         "none is running: systemctl start shortener.target");
}

static void check_page(Doctor *doctor) {
        const char *folder = doctor->ctl->options.server.runtime_directory;
        _cleanup_(host_page_free_p) HostPage *page = NULL;
        char path[4096];
        int r;

        (void)snprintf(path, sizeof(path), "%s/page", folder);
        if (access(path, F_OK) < 0) {
                add_part(doctor, "host page", false,
                         "%s: %s: an instance makes it: systemctl start shortener.target", path,
                         strerror(errno));
                add_part(doctor, "instances", false, "none has run here");
                return;
        }
        r = host_page_open(folder, &page);
        if (r < 0) {
                add_part(doctor, "host page", false,
                         "%s: %s: run this as the service's user or "
                         "root",
                         path, strerror(-r));
                return;
        }
        add_part(doctor, "host page", true, "%s", path);
        check_instances(doctor, page);
}

/* ---- the rest of the stack ---- */

static const char *const stack[] = {"nginx.service",
                                    "prometheus.service",
                                    "prometheus-alertmanager.service",
                                    "prometheus-node-exporter.service",
                                    "prometheus-postgres-exporter.service",
                                    "prometheus-redis-exporter.service",
                                    "prometheus-nginx-exporter.service",
                                    "prometheus-blackbox-exporter.service",
                                    "shortener-alertd.service",
                                    NULL};

/* Of this host's own service only, and of what is installed: a unit that is enabled is to be
 * active; one that is neither is somebody's wish. */
static void check_stack(Doctor *doctor) {
        const Command *command = &doctor->ctl->command;
        SystemUnits units;
        int r;

        if (command->config || command->store || access("/run/systemd/system", F_OK) < 0)
                return;
        r = systemctl_list(stack, &units);
        if (r != 0) {
                add_part(doctor, "units", false, "systemctl does not say how they are");
                return;
        }
        for (size_t i = 0; i < units.n; i++) {
                const SystemUnit *unit = units.units + i;
                char part[SYSTEMCTL_NAME_SIZE];

                (void)snprintf(part, sizeof part, "%.*s",
                               (int)(strlen(unit->name) - strlen(".service")), unit->name);
                if (system_unit_is(unit, "active"))
                        add_part(doctor, part, true, "active");
                else if (system_unit_is(unit, "failed") || strcmp(unit->file, "enabled") == 0)
                        add_part(doctor, part, false, "%s: systemctl status %s", unit->active,
                                 unit->name);
        }
}

static int report(Doctor *doctor) {
        Buffer *out = &doctor->ctl->out;

        if (doctor->ctl->command.json) {
                buffer_append_byte(out, '[');
                buffer_append(out, buffer_slice(&doctor->lines));
                buffer_append(out, SLICE("]\n"));
        } else {
                output_align(out, buffer_slice(&doctor->lines), 0);
        }
        if (doctor->lines.failed)
                out->failed = true;
        buffer_done(&doctor->lines);
        return ctl_print(doctor->ctl);
}

int verb_doctor(Ctl *ctl) {
        Doctor doctor = {.ctl = ctl, .lines = BUFFER_EMPTY, .n_instances = INSTANCES_DEFAULT};
        Buffer message = BUFFER_EMPTY;
        int r, configured;

        if (!command_value(&ctl->command, "instances"))
                ctl_keep_errors(&message);
        r = ctl_instances(ctl, "", &doctor.n_instances);
        ctl_keep_errors(NULL);
        if (r == EXIT_USAGE)
                return r;
        if (r != EXIT_DONE)
                add_part(&doctor, "number of instances", false, "%.*s",
                         SLICE_ARG(slice_trim(buffer_slice(&message))));
        buffer_done(&message);

        ctl_keep_errors(&message);
        configured = ctl_configure(ctl);
        ctl_keep_errors(NULL);
        if (configured == EXIT_DONE) {
                add_part(&doctor, "configuration", true, "read");
                check_store(&doctor);
                check_redis(&doctor);
                check_page(&doctor);
                check_sessions(&doctor);
        } else {
                add_part(&doctor, "configuration", false, "%.*s",
                         SLICE_ARG(slice_trim(buffer_slice(&message))));
        }
        buffer_done(&message);
        check_stack(&doctor);
        r = report(&doctor);
        if (r != EXIT_DONE)
                return r;
        if (configured != EXIT_DONE)
                return configured;
        return doctor.n_down > 0 ? EXIT_FAILED : EXIT_DONE;
}
