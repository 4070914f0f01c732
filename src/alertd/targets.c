/* SPDX-License-Identifier: MIT */

/*
 * Which targets there are: those of Forward=; if it is empty, Discord, when there is a credential
 * shortener.discord-webhook or the variable DISCORD_WEBHOOK_URL. Neither is no error: alerts are
 * then kept and go nowhere.
 */

#include <errno.h>
#include <stdlib.h>

#include "alertd/manager.h"

#define USUAL "discord:@" TARGET_CREDENTIAL

static int fail(int status, const char *what, const char *why) {
        log_error("%s: %s", what, why);
        return status;
}

/* 0, or an exit status. */
static int add_target(Manager *manager, Target *target, int queue_folder) {
        char shown[TARGET_NAME_SIZE];
        int r;

        for (size_t i = 0; i < manager->n_forwards; i++)
                if (strcmp(manager->forwards[i].target.name, target->name) == 0) {
                        target_done(target);
                        return fail(EXIT_CONFIG, "[Alerts] Forward=", "names one target twice");
                }
        memcpy(shown, target->name, sizeof shown);
        r = forward_init(manager->forwards + manager->n_forwards++, &manager->context, target,
                         queue_folder);
        return r < 0 ? fail(EXIT_FAILURE, shown, strerror(-r)) : 0;
}

static int add_text(Manager *manager, const char *text, int queue_folder) {
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        Target target = {0};
        int r = target_read(text, directory, &target);

        if (r == -ENOENT) /* no URL: it has no credential */
                return fail(EXIT_CONFIG, strchr(text, '@'),
                            "no such credential; see shortener-alertd(8), CREDENTIALS");
        if (r == -EINVAL)
                return fail(EXIT_CONFIG, strchr(text, '@'),
                            "the credential is not one http:// or https:// URL");
        if (r < 0)
                return fail(EXIT_FAILURE, "[Alerts] Forward=", strerror(-r));
        return add_target(manager, &target, queue_folder);
}

static int add_variable(Manager *manager, int queue_folder) {
        const char *url = getenv("DISCORD_WEBHOOK_URL");
        Target target = {.kind = TARGET_DISCORD, .name = TARGET_USUAL_NAME};

        if (!url || !*url) {
                log_notice("nothing to forward to: alerts are kept on this host only");
                return 0;
        }
        if (target_check_url(slice_from_string(url)) < 0)
                return fail(EXIT_CONFIG, "DISCORD_WEBHOOK_URL", "no http:// or https:// URL");
        target.url = strdup(url);
        if (!target.url)
                return fail(EXIT_FAILURE, "start", strerror(ENOMEM));
        return add_target(manager, &target, queue_folder);
}

static int add_usual(Manager *manager, int queue_folder) {
        Target target = {0};
        int r = target_read(USUAL, getenv("CREDENTIALS_DIRECTORY"), &target);

        target_done(&target);
        return r == -ENOENT ? add_variable(manager, queue_folder)
                            : add_text(manager, USUAL, queue_folder);
}

int manager_start_forwards(Manager *manager, int queue_folder) {
        char **texts = manager->options.alerts.forward;
        size_t n = 0;
        int r = 0;

        while (texts[n])
                n++;
        manager->forwards = calloc(n + 1, sizeof *manager->forwards);
        if (!manager->forwards)
                return fail(EXIT_FAILURE, "start", strerror(ENOMEM));
        if (n == 0)
                return add_usual(manager, queue_folder);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = add_text(manager, texts[i], queue_folder);
        return r;
}
