/* SPDX-License-Identifier: MIT */

/*
 * Start-up: from options to running threads and sockets, in the order in which the parts need each
 * other. Every failure is logged here with what to do and becomes an exit status.
 */

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/redact.h"
#include "daemon/manager.h"
#include "store/watch.h"
#include "sys/listen.h"

#define QUEUE_MAX       1024u /* calls that may wait for a worker */
#define LOOKUPS_MAX     8192u
#define RUNTIME_DEFAULT "/run/shortener"
/* The store is waited for no longer, whatever Timeout= says: systemd is told that we are ready
 * after 5 seconds at the latest. */
#define STORE_WAIT_USEC (4 * USEC_PER_SEC)
#define SHIPPER_WRITER  (HOST_WRITERS - 1)
#define IMPORT_WRITER   (HOST_WRITERS - 2)

#define MESSAGE_BAD_SCHEMA "7d9b3c5e21f84d0a8e6f4b1790c2ad35"

static int fail(int status, const char *what, const char *why) {
        log_error("%s: %s", what, why);
        return status;
}

/* ---- places ---- */

static int find_runtime_directory(Manager *manager) {
        const char *option = manager->options.server.runtime_directory,
                   *given = getenv("RUNTIME_DIRECTORY");

        if (given && *given && strcmp(option, RUNTIME_DEFAULT) == 0)
                option = given;
        manager->runtime_directory = strdup(option);
        if (!manager->runtime_directory)
                return fail(EXIT_FAILURE, "start", strerror(ENOMEM));
        if (mkdir(manager->runtime_directory, 0755) < 0 && errno != EEXIST)
                return fail(EXIT_FAILURE, manager->runtime_directory, strerror(errno));
        return 0;
}

/* [Clicks] Directory=, else spool/ in the last entry of $STATE_DIRECTORY (a colon list). */
static int find_spool_directory(Manager *manager) {
        const char *option = manager->options.clicks.directory, *state = getenv("STATE_DIRECTORY");

        if (*option)
                manager->spool_directory = strdup(option);
        else if (state && *state) {
                const char *last = strrchr(state, ':');

                if (asprintf(&manager->spool_directory, "%s/spool", last ? last + 1 : state) < 0)
                        manager->spool_directory = NULL;
        } else
                return fail(EXIT_CONFIG, "[Clicks] Directory=",
                            "not set, and there is no $STATE_DIRECTORY to put the spool in");
        if (!manager->spool_directory)
                return fail(EXIT_FAILURE, "start", strerror(ENOMEM));
        if (strlen(manager->spool_directory) >= HOST_DIRECTORY_SIZE)
                return fail(EXIT_CONFIG, "[Clicks] Directory=", "its path has over 255 bytes");
        return 0;
}

/* ---- parts ---- */

_Static_assert(PROGRAM_INSTANCE_MAX < HOST_NAME_SIZE, "a name must fit into the host page");

static int start_page(Manager *manager) {
        char why[256];
        int r = host_page_open(manager->runtime_directory, &manager->page);

        if (r < 0) {
                (void)snprintf(why, sizeof why, "cannot map the host page in it: %s", strerror(-r));
                return fail(EXIT_FAILURE, manager->runtime_directory, why);
        }
        r = host_slot_claim(manager->page, manager->arguments->instance, manager->spool_directory,
                            &manager->slot);
        if (r == -EADDRINUSE)
                return fail(EXIT_FAILURE, manager->arguments->instance,
                            "an instance of this name is running on this host");
        if (r < 0)
                return fail(EXIT_FAILURE, host_page_path(manager->page), strerror(-r));
        return 0;
}

static int start_spool(Manager *manager) {
        SpoolOptions options = {
                        .directory = manager->spool_directory,
                        .sync = (SpoolSync)manager->options.clicks.sync,
                        .sync_interval_usec = manager->options.clicks.sync_interval_usec,
                        .on_full = (SpoolOnFull)manager->options.clicks.on_full,
                        .segment_size = manager->options.clicks.segment_size,
                        .max_size = manager->options.clicks.max_size,
        };
        int r = spool_open(&options, manager->slot, &manager->spool);

        if (r == -EADDRINUSE)
                return fail(EXIT_FAILURE, manager->spool_directory,
                            "another process uses this spool");
        if (r < 0)
                return fail(EXIT_FAILURE, manager->spool_directory, strerror(-r));
        return 0;
}

static int check_schema(StoreSession *session, const Manager *manager) {
        StoreSchema schema;
        char why[STORE_WHY_SIZE];
        int r = store_schema(session, &schema);

        if (r == STORE_BAD_SCHEMA)
                (void)snprintf(why, sizeof why, "%s", store_session_error(session));
        else if (r < 0 && !store_unfit(manager->store, why, sizeof why)) {
                log_warning("%s: away: %s", store_url_shown(manager->store),
                            store_session_error(session));
                return 0; /* the breaker and /health tell */
        }
        if (r == 0 && store_schema_fits(&schema, false, why, sizeof why))
                return 0;
        log_entry(LOG_ERR, MESSAGE_BAD_SCHEMA, NULL, 0, "%s: %s", store_url_shown(manager->store),
                  why);
        return EXIT_CONFIG;
}

static int open_store(const char *url, const StoreOptions *options, Store **ret) {
        Buffer shown = BUFFER_EMPTY;
        int r = store_new(url, options, ret);

        if (r == 0)
                return 0;
        if (r == -ELIBACC)
                return fail(EXIT_FAILURE, "libpq.so.5",
                            "cannot be loaded: install libpq5 (Debian) or libpq (Fedora)");
        if (r == -ENOMEM)
                return fail(EXIT_FAILURE, "start", strerror(ENOMEM));
        redact_append(&shown, slice_from_string(url));
        log_error("[Store] URL=: \"%.*s\" %s", SLICE_ARG(buffer_slice(&shown)), store_refusal(r));
        buffer_done(&shown);
        return EXIT_CONFIG;
}

int manager_check_store(const Options *options) {
        Store *store = NULL;
        int r = open_store(options->store.url, &(StoreOptions){0}, &store);

        (void)store_free(store);
        return r;
}

static int start_store(Manager *manager) {
        StoreOptions options = {
                        .connect_usec = manager->options.store.timeout_usec,
                        .create = true,
                        .unprepared = !manager->options.store.prepared,
                        .check_fit = true,
                        .timeline_folders = {manager->runtime_directory, manager->spool_directory}};
        _cleanup_(store_session_free_p) StoreSession *session = NULL;
        int r = open_store(manager->options.store.url, &options, &manager->store);

        if (r != 0)
                return r;
        if (manager->options.events.keep_usec > 0 && !store_can_drop(manager->store))
                log_warning("[Events] Keep=: this store has no partitions, so all visits are kept");
        r = store_session_new(manager->store, NULL, &session);
        if (r != 0) {
                log_warning("%s: away: %s", store_url_shown(manager->store),
                            r > 0 ? "bad schema" : strerror(-r));
                return 0;
        }
        store_session_deadline(session,
                               clock_monotonic_usec() + MIN(manager->options.store.timeout_usec,
                                                            (uint64_t)STORE_WAIT_USEC));
        return check_schema(session, manager);
}

static int start_server(Manager *manager) {
        HttpServerOptions options = {.max_connections = manager->options.server.max_connections};
        HttpServerOps ops;
        int r = manager_apply_trusted(manager);

        if (r < 0)
                return fail(EXIT_CONFIG, "[Server] TrustedProxy=", strerror(-r));
        manager_divide_descriptors(manager, &options);
        options.trusted = manager->trusted;
        options.n_trusted = manager->n_trusted;
        job_ops(manager, &ops);
        r = http_server_new(&options, &ops, &manager->server);
        return r < 0 ? fail(EXIT_FAILURE, "server", strerror(-r)) : 0;
}

/* Ours are called http (FileDescriptorName=); "unknown" is what has no name at all. */
static bool is_ours(const char *name) {
        return strcmp(name, "http") == 0 || strcmp(name, "unknown") == 0;
}

static int listen_activated(Manager *manager, unsigned *ret_n) {
        char **names = NULL;
        int n = sd_listen_fds_with_names(1, &names), status = 0;

        if (n < 0)
                return fail(EXIT_FAILURE, "socket activation", strerror(-n));
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i, r = is_ours(names[i]) ? socket_adopt(fd) : -ESRCH;

                if (r == -ESRCH || r == -ENOTSOCK)
                        log_warning("socket activation: descriptor %d, called %s, is %s, ignored",
                                    fd, names[i],
                                    r == -ESRCH ? "not for us: ours are called http"
                                                : "no listening stream socket");
                else
                        r = http_server_listen(manager->server, fd);
                if (r >= 0)
                        (*ret_n)++;
                else if (status == 0 && r != -ESRCH && r != -ENOTSOCK)
                        status = fail(EXIT_FAILURE, "socket activation", strerror(-r));
                free(names[i]);
        }
        free(names);
        return status;
}

static int listen_configured(Manager *manager) {
        char **addresses = manager->options.server.listen;

        if (!addresses[0])
                return fail(EXIT_CONFIG, "[Server] Listen=",
                            "not set, and no socket was passed: nothing to listen on");
        for (size_t i = 0; addresses[i]; i++) {
                bool loopback;
                int fd, r = socket_listen(addresses[i], &fd, &loopback);

                if (r < 0)
                        return fail(EXIT_FAILURE, addresses[i], strerror(-r));
                if (!loopback && !manager->asks_tokens)
                        log_warning("%s: reachable from other hosts, and the API asks for no token",
                                    addresses[i]);
                r = http_server_listen(manager->server, fd);
                if (r < 0)
                        return fail(EXIT_FAILURE, addresses[i], strerror(-r));
        }
        return 0;
}

static int start_listening(Manager *manager) {
        unsigned n = 0;
        int r = listen_activated(manager, &n);

        if (r != 0 || n > 0)
                return r;
        return listen_configured(manager);
}

/* ---- threads ---- */

static void run_log(void *userdata _unused_) {
        log_run();
}

static void run_spool(void *userdata) {
        spool_helper(userdata);
}

static void run_shipper(void *userdata) {
        shipper_run(userdata);
}

static int start_shipper(Manager *manager) {
        ShipperOptions options = {
                        .directory = manager->spool_directory,
                        .keep_usec = manager->options.clicks.keep_usec,
                        .keep_size = manager->options.clicks.keep_size,
                        .adopt_neighbours = true,
                        .tidy_events = true,
                        .keep_events_usec = manager->options.events.keep_usec,
                        .keep_audit_usec = manager->options.audit.keep_usec,
        };
        StoreHooks hooks;

        manager->shipper_writer = (HostWriter){manager->page, manager->slot, SHIPPER_WRITER};
        hooks = host_writer_hooks(&manager->shipper_writer);
        return shipper_new(&options, manager->store, &hooks, manager->page, manager->slot,
                           manager->spool, &manager->shipper);
}

static int start_redis(Manager *manager) {
        _cleanup_free_ char *password = NULL;
        RedisOptions options = {
                        .place = manager->options.cache.redis,
                        .ttl_usec = manager->options.cache.redis_ttl_usec,
                        .timeout_usec = manager->options.cache.redis_timeout_usec,
        };
        int r;

        if (!*options.place)
                return 0;
        r = redis_password(&password);
        if (r < 0)
                return fail(EXIT_CONFIG, "credential redis-password", strerror(-r));
        options.password = password;
        r = redis_new(&options, &manager->redis);
        if (r == 0 && manager->options.cache.warm_up)
                r = redis_new(&options, &manager->warm_redis);
        return r < 0 ? fail(EXIT_FAILURE, "[Cache] Redis=", strerror(-r)) : 0;
}

static int start_resolver(Manager *manager) {
        ResolverOptions options = {
                        .queue_max = LOOKUPS_MAX,
                        .timeout_usec = manager->options.store.timeout_usec,
                        .store = manager->store,
                        .page = manager->page,
                        .done = manager->lookups,
                        .redis = manager->redis,
                        .redis_ttl_usec = manager->options.cache.redis_ttl_usec,
        };

        return resolver_new(&options, &manager->resolver);
}

/* Not needed where nothing is to be warmed, and no name to be looked up. */
static int start_warmer(Manager *manager) {
        WarmerOptions options = {
                        .store = manager->store,
                        .page = manager->page,
                        .done = manager->warm,
                        .fill_cache = manager->options.cache.warm_up,
                        .redis = manager->warm_redis,
                        .redis_of_misses = manager->redis,
                        .redis_ttl_usec = manager->options.cache.redis_ttl_usec,
                        .instance = manager->arguments->instance,
        };

        if (!options.fill_cache && !(manager->redis && redis_wants_address(manager->redis)))
                return 0;
        return warmer_new(&options, &manager->warmer);
}

static int start_threads(Manager *manager) {
        PoolOptions pool = {.n_workers = (unsigned)manager->options.server.workers,
                            .queue_max = QUEUE_MAX};
        PoolOptions importers = {.n_workers = 1,
                                 .queue_max = QUEUE_MAX,
                                 .first_writer = IMPORT_WRITER,
                                 .name = "importer"};
        int r = outbox_new(&manager->calls);

        if (r == 0)
                r = outbox_new(&manager->lookups);
        if (r == 0)
                r = outbox_new(&manager->warm);
        if (r == 0)
                r = start_shipper(manager);
        if (r == 0)
                r = thread_start("spool", run_spool, manager->spool, &manager->spool_thread);
        if (r == 0)
                r = thread_start("shipper", run_shipper, manager->shipper,
                                 &manager->shipper_thread);
        if (r == 0)
                r = pool_new(&pool, manager->store, manager->page, manager->slot, manager->calls,
                             &manager->pool);
        if (r == 0)
                r = pool_new(&importers, manager->store, manager->page, manager->slot,
                             manager->calls, &manager->importers);
        if (r == 0)
                r = start_resolver(manager);
        if (r == 0 && store_can_watch(manager->store))
                r = watcher_new(manager->store, manager->page, manager->slot, &manager->watcher);
        if (r == 0)
                r = start_warmer(manager);
        return r < 0 ? fail(EXIT_FAILURE, "threads", strerror(-r)) : 0;
}

static bool code_reserved(void *userdata, Slice code) {
        return http_router_reserved(userdata, code);
}

static int start_tables(Manager *manager) {
        int r = http_router_new(routes, n_routes, &manager->router);

        CHECK(n_routes < MANAGER_ROUTES_MAX);
        for (size_t i = 0; i < n_routes; i++)
                manager->endpoints[i] = routes[i].name;
        manager->endpoints[n_routes] = "unknown";
        manager->n_endpoints = n_routes + 1;
        for (int i = 0; i < HTTP_METHODS; i++)
                manager->methods[i] = http_method_name((HttpMethod)i);
        if (r == 0)
                r = metrics_new(manager->endpoints, manager->n_endpoints, manager->methods,
                                HTTP_METHODS, &manager->metrics);
        if (r == 0)
                r = redirect_cache_new(manager->options.cache.size, &manager->cache);
        if (r < 0)
                return fail(EXIT_FAILURE, "start", strerror(-r));
        manager->context = (CallContext){
                        .code_length = manager->options.links.code_length,
                        .user_links_max = (int64_t)manager->options.limits.links_per_user,
                        .code_reserved = code_reserved,
                        .userdata = manager->router,
        };
        return 0;
}

static void start_front(Manager *manager) {
        manager->front = (Front){
                        .server = manager->server,
                        .cache = manager->cache,
                        .page = manager->page,
                        .spool = manager->spool,
                        .store = manager->store,
                        .metrics = manager->metrics,
                        .instance = manager->arguments->instance,
                        .lookups_key = hash_key_random(),
        };
        for (size_t i = 0; i < n_routes; i++)
                if (routes[i].flags & HTTP_ROUTE_REDIRECT)
                        manager->front.endpoint = (unsigned)i;
}

int manager_start(Manager *manager, const Arguments *arguments) {
        static int (*const steps[])(Manager *) = {
                        start_tables,         find_runtime_directory,
                        find_spool_directory, start_page,
                        start_spool,          start_store,
                        start_server,         start_redis,
                        start_threads,
        };
        int r;

        manager->arguments = arguments;
        manager->store_was_up = true;
        list_init(&manager->jobs);
        list_init(&manager->imports);
        list_init(&manager->waiting);
        list_init(&manager->parked);
        /* Few arenas: the workers' allocations are short and small, memory is worth more. */
        (void)mallopt(M_ARENA_MAX, 2);
        r = log_queue_open();
        if (r == 0)
                r = thread_start("log", run_log, NULL, &manager->log_thread);
        if (r < 0)
                return fail(EXIT_FAILURE, "log", strerror(-r));
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                r = steps[i](manager);
                if (r != 0)
                        return r;
        }
        start_front(manager);
        manager_find_access(manager);
        r = manager_apply_limits(manager);
        if (r == 0)
                r = manager_share_limits(manager);
        if (r < 0)
                return fail(EXIT_FAILURE, "[Limits]", strerror(-r));
        r = manager_start_links(manager);
        if (r != 0)
                return r;
        return start_listening(manager);
}
