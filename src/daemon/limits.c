/* SPDX-License-Identifier: MIT */

/* [Limits]: from texts to budgets, and what of them shows in the metrics. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/manager.h"

typedef struct Setting {
        LimitBudget budget;
        const char *text;
        const char *automatic; /* where the API asks for tokens; else off */
} Setting;

#define SETTINGS 4u

static void find_settings(const Manager *manager, Setting ret[SETTINGS]) {
        const Options *options = &manager->options;
        const Setting settings[SETTINGS] = {
                        {LIMIT_CREATE, options->limits.create, "600/1min"},
                        {LIMIT_READ, options->limits.read, "6000/1min"},
                        {LIMIT_MISSES, options->limits.misses, "120/1min"},
                        {LIMIT_FAILED_AUTH, options->limits.failed_auth, "30/1min"},
        };

        memcpy(ret, settings, sizeof settings);
}

static int find_rate(const Setting *setting, bool open, LimitRate *ret) {
        const char *text = setting->text;

        if (strcmp(text, "auto") == 0)
                text = open ? "off" : setting->automatic;
        return limit_rate_parse(slice_from_string(text), ret);
}

/* With a connection of its own: the resolver's and the warmer's are theirs. Of one that cannot be
 * made the limits do not depend; the next reload tries again. */
int manager_share_limits(Manager *manager) {
        _cleanup_free_ char *password = NULL;
        RedisOptions options = {
                        .place = manager->options.cache.redis,
                        .timeout_usec = manager->options.cache.redis_timeout_usec,
        };
        Redis *redis;
        int r;

        if (!*options.place || !manager->front.limiter || manager->limit_share)
                return 0;
        r = redis_password(&password);
        options.password = password;
        if (r == 0)
                r = redis_new(&options, &redis);
        if (r < 0)
                return r;
        return limit_share_new(manager->limiter, redis, options.timeout_usec,
                               &manager->limit_share);
}

/* The memory is only taken once something is limited; then it stays. */
static int open_limiter(Manager *manager) {
        _cleanup_free_ char *path = NULL;

        if (manager->limiter)
                return 0;
        if (asprintf(&path, "%s/limits", manager->runtime_directory) < 0)
                return -ENOMEM;
        return limiter_new(manager->options.limits.size, path, &manager->limiter);
}

int manager_apply_limits(Manager *manager) {
        Setting settings[SETTINGS];
        LimitRate rates[SETTINGS];
        bool any = false;
        int r = 0;

        find_settings(manager, settings);
        for (size_t i = 0; i < SETTINGS && r == 0; i++) {
                r = find_rate(settings + i, !manager->asks_tokens, rates + i);
                any = any || rates[i].n > 0;
        }
        if (r == 0 && any)
                r = open_limiter(manager);
        if (r < 0)
                return r;
        manager->front.limiter = any ? manager->limiter : NULL;
        if (any)
                manager->front.limited_until_usec = limiter_refused_until(manager->limiter);
        for (size_t i = 0; i < SETTINGS && manager->limiter; i++)
                limiter_set(manager->limiter, settings[i].budget, rates + i);
        return 0;
}

void manager_collect_limits(Manager *manager) {
        static const Metric metrics[LIMIT_BUDGETS] = {
                        [LIMIT_CREATE] = METRIC_LIMITED_CREATE,
                        [LIMIT_READ] = METRIC_LIMITED_READ,
                        [LIMIT_MISSES] = METRIC_LIMITED_MISSES,
                        [LIMIT_FAILED_AUTH] = METRIC_LIMITED_AUTH,
        };
        LimitShareStats share = {.up = false};
        LimitStats stats;

        if (!manager->limiter)
                return;
        limiter_stats(manager->limiter, &stats);
        for (size_t i = 0; i < LIMIT_BUDGETS; i++)
                metric_set(manager->metrics, metrics[i], (double)stats.n_refused[i]);
        metric_set(manager->metrics, METRIC_LIMIT_EVICTIONS, (double)stats.n_evicted);
        metric_set(manager->metrics, METRIC_LIMIT_BYTES, (double)stats.n_bytes);
        if (manager->limit_share)
                limit_share_stats(manager->limit_share, &share);
        metric_set(manager->metrics, METRIC_LIMITS_SHARED, share.up ? 1 : 0);
        metric_set(manager->metrics, METRIC_LIMITS_TOLD, (double)share.n_told);
        metric_set(manager->metrics, METRIC_LIMITS_UNTOLD, (double)share.n_untold);
        metric_set(manager->metrics, METRIC_LIMITS_HEARD, (double)share.n_heard);
        metric_set(manager->metrics, METRIC_LIMITS_BAD, (double)share.n_bad);
}
