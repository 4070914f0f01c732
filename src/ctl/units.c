/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl start|stop|reload|rolling-restart|recover`: the units of the instances. What
 * systemctl does in one word it does here too; these verbs know what belongs together, in which
 * order, and when to stop.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "basic/clock.h"
#include "ctl/output.h"
#include "ctl/systemctl.h"
#include "ctl/verbs.h"

#define ALERTD            "shortener-alertd.service"
#define ACTIVE_USEC       (10 * USEC_PER_SEC) /* until an instance must be active again */
#define STOP_USEC         (15 * USEC_PER_SEC) /* TimeoutStopSec= of the unit */
#define POLL_MSEC         100
#define INSTANCE_NAME_MAX 31u /* as shortenerd --instance= */

typedef struct Instance {
        char name[INSTANCE_NAME_MAX + 1];
        char service[SYSTEMCTL_NAME_SIZE];
        char socket[SYSTEMCTL_NAME_SIZE];
} Instance;

typedef struct Instances {
        Instance list[SYSTEMCTL_UNITS_MAX];
        size_t n;
} Instances;

/* ---- names ---- */

static void instance_set(Instance *ret, Slice name) {
        /* Each from the slice, not from ret->name: gcc sees an overlap within the struct there. */
        (void)snprintf(ret->name, sizeof ret->name, "%.*s", SLICE_ARG(name));
        (void)snprintf(ret->service, sizeof ret->service, "shortener@%.*s.service",
                       SLICE_ARG(name));
        (void)snprintf(ret->socket, sizeof ret->socket, "shortener@%.*s.socket", SLICE_ARG(name));
}

/* What stands between "@" and the type; false for a unit that is no instance's. */
static bool instance_of(const char *unit, Slice *ret) {
        Slice rest = slice_from_string(unit), name;
        ptrdiff_t dot = -1;

        if (!slice_cut(rest, '@', &name, &rest))
                return false;
        for (size_t i = 0; i < rest.len; i++)
                if (rest.data[i] == '.')
                        dot = (ptrdiff_t)i;
        if (dot <= 0 || (size_t)dot > INSTANCE_NAME_MAX)
                return false;
        *ret = slice_sub(rest, 0, (size_t)dot);
        return true;
}

static bool good_name(const char *name) {
        size_t len = strlen(name);

        if (len == 0 || len > INSTANCE_NAME_MAX || name[0] == '-')
                return false;
        for (size_t i = 0; i < len; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-",
                            name[i]))
                        return false;
        return true;
}

static void instances_add(Instances *instances, Slice name) {
        if (instances->n == SYSTEMCTL_UNITS_MAX)
                return;
        for (size_t i = 0; i < instances->n; i++)
                if (slice_equal(slice_from_string(instances->list[i].name), name))
                        return;
        instance_set(&instances->list[instances->n++], name);
}

/* ---- systemctl, and what went wrong with it ---- */

static int failed(int r) {
        if (r == -ENOENT)
                ctl_error("systemctl", "not found: this host is not run by systemd");
        else if (r < 0)
                ctl_error("systemctl", "%s", strerror(-r));
        else
                ctl_error("systemctl", "exit status %d", r);
        return r == -ENOMEM ? EXIT_AGAIN : EXIT_FAILED;
}

static int list(const char *const *patterns, SystemUnits *ret) {
        int r = systemctl_list(patterns, ret);

        return r == 0 ? EXIT_DONE : failed(r);
}

static const SystemUnit *find(const SystemUnits *units, const char *name) {
        for (size_t i = 0; i < units->n; i++)
                if (strcmp(units->units[i].name, name) == 0)
                        return &units->units[i];
        return NULL;
}

static bool is_active(const SystemUnits *units, const char *name) {
        const SystemUnit *unit = find(units, name);

        return unit && (system_unit_is(unit, "active") || system_unit_is(unit, "reloading"));
}

/* One word of systemctl for one or two units. */
static int run(const char *word, const char *first, const char *second) {
        const char *arguments[] = {word, "--", first, second, NULL};

        return systemctl_run(arguments, 0, NULL);
}

static void say(Ctl *ctl, const char *unit, const char *what) {
        Buffer *out = &ctl->out;

        if (!ctl->command.json) {
                buffer_printf(out, "%s: %s\n", unit, what);
                return;
        }
        buffer_append(out, ctl->n_listed++ == 0 ? SLICE("[") : SLICE(","));
        buffer_append(out, SLICE("{\"result\":"));
        output_string_json(out, slice_from_string(what));
        buffer_append(out, SLICE(",\"unit\":"));
        output_string_json(out, slice_from_string(unit));
        buffer_append(out, SLICE("}"));
}

static int finish(Ctl *ctl, int status) {
        int r;

        if (ctl->command.json)
                buffer_append(&ctl->out, ctl->n_listed == 0 ? SLICE("[]\n") : SLICE("]\n"));
        r = ctl_print(ctl);
        return status != EXIT_DONE ? status : r;
}

static int unit_failed(const char *unit, const char *what) {
        ctl_error(unit, "%s: see \"journalctl -xeu %s\"", what, unit);
        return EXIT_FAILED;
}

/* The instances that were named, or without a name those that are active. */
static int wanted_instances(Ctl *ctl, Instances *ret) {
        static const char *const patterns[] = {"shortener@*.service", NULL};
        const Command *command = &ctl->command;
        SystemUnits units;
        int r;

        *ret = (Instances){};
        for (int i = 0; i < command->n_arguments; i++) {
                if (!good_name(command->arguments[i]))
                        return ctl_usage(ctl, "\"%s\" is no name of an instance",
                                         command->arguments[i]);
                instances_add(ret, slice_from_string(command->arguments[i]));
        }
        if (ret->n > 0)
                return EXIT_DONE;
        r = list(patterns, &units);
        if (r != EXIT_DONE)
                return r;
        for (size_t i = 0; i < units.n; i++) {
                Slice name;

                if (system_unit_is_type(&units.units[i], ".service") &&
                    is_active(&units, units.units[i].name) &&
                    instance_of(units.units[i].name, &name))
                        instances_add(ret, name);
        }
        if (ret->n > 0)
                return EXIT_DONE;
        ctl_error("shortener@*.service", "no instance is active: systemctl start shortener.target");
        return EXIT_FAILED;
}

/* ---- start and stop ---- */

/* systemd starts no socket whose service runs, so a service without its socket is stopped first. */
static int start_instance(const Instance *instance) {
        const char *const patterns[] = {instance->service, instance->socket, NULL};
        SystemUnits units;
        int r = systemctl_list(patterns, &units);

        if (r == 0 && is_active(&units, instance->service) && !is_active(&units, instance->socket))
                r = run("stop", instance->service, NULL);
        return r == 0 ? run("start", instance->socket, instance->service) : r;
}

int verb_start(Ctl *ctl) {
        Instances instances;
        int status = wanted_instances(ctl, &instances);

        for (size_t i = 0; status == EXIT_DONE && i < instances.n; i++) {
                int r = start_instance(&instances.list[i]);

                if (r < 0)
                        status = failed(r);
                else if (r > 0)
                        status = unit_failed(instances.list[i].service, "not started");
                else
                        say(ctl, instances.list[i].service, "started");
        }
        return finish(ctl, status);
}

/* Stopped means for `recover` too: what has failed is forgotten. The socket goes with the service,
 * which the next connection would start again. */
int verb_stop(Ctl *ctl) {
        Instances instances;
        int status = wanted_instances(ctl, &instances);

        for (size_t i = 0; status == EXIT_DONE && i < instances.n; i++) {
                const Instance *instance = &instances.list[i];
                int r = run("stop", instance->socket, instance->service);

                if (r < 0)
                        status = failed(r);
                else if (r > 0)
                        status = unit_failed(instance->service, "not stopped");
                else {
                        (void)run("reset-failed", instance->socket, instance->service);
                        say(ctl, instance->service, "stopped");
                }
        }
        return finish(ctl, status);
}

/* ---- reload and restart ---- */

int verb_reload(Ctl *ctl) {
        int r, status = ctl_configure(ctl); /* a bad file is refused before anyone is asked */
        Instances instances;

        if (status == EXIT_DONE)
                status = wanted_instances(ctl, &instances);
        if (status != EXIT_DONE)
                return status;
        for (size_t i = 0; i < instances.n; i++) {
                r = run("reload", instances.list[i].service, NULL);
                if (r < 0)
                        return failed(r);
                if (r > 0)
                        status = unit_failed(instances.list[i].service, "not reloaded");
                else
                        say(ctl, instances.list[i].service, "reloaded");
        }
        return finish(ctl, status);
}

/* A start that failed may be tried again by the manager: until it gives up, or it has taken too
 * long. 1: active, 0: not, or -errno. */
static int wait_active(const char *service, uint64_t until_usec) {
        const char *const patterns[] = {service, NULL};

        for (;;) {
                SystemUnits units;
                int r = systemctl_list(patterns, &units);

                if (r != 0)
                        return r < 0 ? r : -EIO;
                if (is_active(&units, service))
                        return 1;
                if (units.n == 0 || system_unit_is(&units.units[0], "failed") ||
                    clock_monotonic_usec() >= until_usec)
                        return 0;
                (void)poll(NULL, 0, POLL_MSEC);
        }
}

static int restart_instance(Ctl *ctl, const Instance *instance) {
        const char *const arguments[] = {"restart", "--", instance->service, NULL};
        uint64_t until = clock_monotonic_usec() + STOP_USEC + ACTIVE_USEC;
        int r = systemctl_run(arguments, STOP_USEC + ACTIVE_USEC, NULL);

        if (r > 0)
                until = MIN(until, clock_monotonic_usec() + ACTIVE_USEC);
        if (r < 0 && r != -ETIMEDOUT)
                return failed(r);
        r = wait_active(instance->service, until);
        if (r < 0)
                return failed(r);
        if (r == 0)
                return unit_failed(instance->service,
                                   "not active after 10 s, the instances behind it "
                                   "were not restarted");
        say(ctl, instance->service, "restarted");
        return ctl->command.json ? EXIT_DONE : ctl_print(ctl);
}

int verb_rolling_restart(Ctl *ctl) {
        int status = ctl_configure(ctl); /* with a bad file none would come back */
        Instances instances;

        if (status == EXIT_DONE)
                status = wanted_instances(ctl, &instances);
        if (status != EXIT_DONE)
                return status;
        for (size_t i = 0; status == EXIT_DONE && i < instances.n; i++)
                status = restart_instance(ctl, &instances.list[i]);
        return finish(ctl, status);
}

/* ---- recover ---- */

static int recover_unit(Ctl *ctl, const char *unit, int r) {
        if (r < 0)
                return failed(r);
        if (r > 0)
                return unit_failed(unit, "failed, and not started again");
        say(ctl, unit, "had failed, started again");
        return EXIT_DONE;
}

int verb_recover(Ctl *ctl) {
        static const char *const patterns[] = {"shortener@*.service", "shortener@*.socket", ALERTD,
                                               NULL};
        Instances instances = {};
        bool alertd = false;
        SystemUnits units;
        int r, status = list(patterns, &units);

        for (size_t i = 0; status == EXIT_DONE && i < units.n; i++) {
                const SystemUnit *unit = &units.units[i];
                Slice name;

                if (!system_unit_is(unit, "failed"))
                        continue;
                if (instance_of(unit->name, &name))
                        instances_add(&instances, name);
                else
                        alertd = true;
                r = run("reset-failed", unit->name, NULL);
                if (r != 0)
                        status = failed(r);
        }
        if (status != EXIT_DONE)
                return status;
        for (size_t i = 0; i < instances.n; i++) {
                r = recover_unit(ctl, instances.list[i].service,
                                 start_instance(&instances.list[i]));
                status = MAX(status, r);
        }
        if (alertd)
                status = MAX(status, recover_unit(ctl, ALERTD, run("start", ALERTD, NULL)));
        return finish(ctl, status);
}
