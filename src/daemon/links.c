/* SPDX-License-Identifier: MIT */

/*
 * [Links]: which targets are taken, and the blocklist. A cached redirect was held against the list
 * when it was filled; so a new list empties the cache, and a hit costs nothing.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager.h"
#include "model/host.h"
#include "policy/blocklist.h"
#include "policy/location.h"

/* In the form that targets have, malloc'ed; *ret NULL: it is no host. */
static int own_host(Slice text, char **ret) {
        char host[HOST_SIZE];
        size_t len;
        int r = host_parse(text, host, &len);

        *ret = NULL;
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        *ret = slice_to_string(slice_make(host, len));
        return *ret ? 0 : -ENOMEM;
}

static int find_own_hosts(Manager *manager) {
        char **given = manager->options.links.own_hosts;
        size_t n = 0, n_own = 0;
        Slice base_url; /* none: it has no host */
        int r;

        while (given[n])
                n++;
        manager->own_hosts = calloc(n + 2, sizeof *manager->own_hosts);
        if (!manager->own_hosts)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r = own_host(slice_from_string(given[i]), manager->own_hosts + n_own);
                if (r < 0)
                        return r;
                if (manager->own_hosts[n_own])
                        n_own++;
                else
                        log_warning("[Links] OwnHosts=: %s is no host name", given[i]);
        }
        base_url = slice_from_string(manager->options.server.base_url);
        return own_host(location_host(base_url), manager->own_hosts + n_own);
}

static void apply_policy(Manager *manager) {
        manager->context.policy = (Policy){
                        .refuse_private = manager->options.links.private_targets,
                        .refuse_mixed = manager->options.links.mixed_scripts,
                        .own_hosts = manager->own_hosts,
        };
        manager->context.credentials = !manager->options.links.credentials;
        manager->context.blocklists = manager->blocklists;
        manager->front.blocklists = manager->blocklists;
}

/* Says which of the files (NULL terminated) cannot be read. */
static int blocklist_failed(char *const *files, size_t bad, int r) {
        log_error("[Links] Blocklist=: %s: %s", files[bad] ? files[bad] : "start",
                  r == -ESPIPE ? "a pipe cannot be read twice, as a list is" : strerror(-r));
        return EXIT_CONFIG;
}

int manager_check_links(const Options *options) {
        Blocklist *blocklist = NULL;
        size_t bad = 0;
        int r = blocklist_load(options->links.blocklist, &blocklist, &bad);

        (void)blocklist_free(blocklist);
        return r < 0 ? blocklist_failed(options->links.blocklist, bad, r) : EXIT_SUCCESS;
}

static int open_blocklists(Manager *manager) {
        char **files = manager->options.links.blocklist;
        size_t bad = 0;
        int r;

        if (!files[0])
                return 0;
        r = blocklists_new(files, &manager->blocklists, &bad);
        if (r < 0)
                return blocklist_failed(files, bad, r);
        manager_watch_links(manager); /* before the warm-up, whose links it must not forget */
        return 0;
}

int manager_start_links(Manager *manager) {
        int r = find_own_hosts(manager);

        if (r < 0) {
                log_error("start: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        r = open_blocklists(manager);
        if (r != 0)
                return r;
        apply_policy(manager);
        return 0;
}

void manager_reload_links(Manager *manager) {
        char *const *files = manager->options.links.blocklist, *const none[] = {NULL};
        size_t bad;
        int r = 0;

        /* The thread reads, however long it takes. */
        if (!manager->blocklists && files[0])
                r = blocklists_new(none, &manager->blocklists, &bad);
        if (r == 0 && manager->blocklists)
                r = blocklists_set(manager->blocklists, files);
        if (r < 0)
                log_error("configuration: [Links] Blocklist=: %s", strerror(-r));
        apply_policy(manager);
}

static void log_state(const BlocklistsState *state) {
        if (state->error < 0)
                log_error("[Links] Blocklist=: %s: %s: the list that was read before stays in use",
                          state->file, strerror(-state->error));
        else
                log_notice("blocklist read: %zu entries, %zu lines that are none",
                           state->list.n_entries, state->list.n_bad);
}

void manager_watch_links(Manager *manager) {
        BlocklistsState state;

        if (!manager->blocklists)
                return;
        blocklists_state(manager->blocklists, &state);
        if (state.generation == manager->blocklists_seen &&
            state.error == manager->blocklists_error)
                return;
        log_state(&state);
        manager->blocklists_error = state.error;
        if (state.generation != manager->blocklists_seen)
                redirect_cache_clear(manager->cache);
        manager->blocklists_seen = state.generation;
}

void manager_collect_links(Manager *manager) {
        BlocklistsState state;

        if (!manager->blocklists)
                return;
        blocklists_state(manager->blocklists, &state);
        metric_set(manager->metrics, METRIC_BLOCKLIST_ENTRIES, (double)state.list.n_entries);
        metric_set(manager->metrics, METRIC_BLOCKLIST_BYTES, (double)state.list.n_bytes);
        metric_set(manager->metrics, METRIC_BLOCKLIST_FAILED, state.error < 0 ? 1 : 0);
}

void manager_done_links(Manager *manager) {
        manager->blocklists = blocklists_free(manager->blocklists);
        for (size_t i = 0; manager->own_hosts && manager->own_hosts[i]; i++)
                free(manager->own_hosts[i]);
        free(TAKE_PTR(manager->own_hosts));
}
