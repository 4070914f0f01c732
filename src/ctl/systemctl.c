/* SPDX-License-Identifier: MIT */

/* What systemctl is asked, and what it shows. */

#include "ctl/systemctl.h"

#include <errno.h>
#include <stdio.h>

#include "ctl/process.h"

#define ARGUMENTS_MAX (SYSTEMCTL_UNITS_MAX + 16u)

int systemctl_run(const char *const *arguments, uint64_t timeout_usec, Buffer *out) {
        const char *argv[ARGUMENTS_MAX + 2] = {"systemctl"};

        for (size_t i = 0; arguments[i]; i++) {
                CHECK(i < ARGUMENTS_MAX);
                argv[i + 1] = arguments[i];
        }
        return process_run(argv, timeout_usec, out);
}

/* By the length of the name, then by the name: numbers in their order. */
static int compare_units(const void *a, const void *b) {
        const SystemUnit *left = a, *right = b;
        size_t n_left = strlen(left->name), n_right = strlen(right->name);

        if (n_left != n_right)
                return n_left < n_right ? -1 : 1;
        return strcmp(left->name, right->name);
}

static void take(Slice value, char *ret, size_t size) {
        (void)snprintf(ret, size, "%.*s", SLICE_ARG(value));
}

/* "Name=value" lines, a blank one between two units. */
static void parse_units(Slice text, SystemUnits *ret) {
        SystemUnit unit = {};
        Slice line, name, value;

        ret->n = 0;
        while (text.len > 0 && ret->n < SYSTEMCTL_UNITS_MAX) {
                (void)slice_cut(text, '\n', &line, &text);
                (void)slice_cut(line, '=', &name, &value);
                if (slice_equal(name, SLICE("Id")))
                        take(value, unit.name, sizeof unit.name);
                else if (slice_equal(name, SLICE("ActiveState")))
                        take(value, unit.active, sizeof unit.active);
                else if (slice_equal(name, SLICE("UnitFileState")))
                        take(value, unit.file, sizeof unit.file);
                if ((line.len == 0 || text.len == 0) && unit.name[0] != '\0') {
                        ret->units[ret->n++] = unit;
                        unit = (SystemUnit){};
                }
        }
        qsort(ret->units, ret->n, sizeof ret->units[0], compare_units);
}

int systemctl_list(const char *const *patterns, SystemUnits *ret) {
        const char *arguments[ARGUMENTS_MAX + 1] = {"show", "--property=Id",
                                                    "--property=ActiveState",
                                                    "--property=UnitFileState", "--"};
        Buffer out = BUFFER_EMPTY;
        int r;

        for (size_t i = 0; patterns[i]; i++) {
                CHECK(i + 5 < ARGUMENTS_MAX);
                arguments[i + 5] = patterns[i];
        }
        r = systemctl_run(arguments, 0, &out);
        if (r == 0)
                r = out.failed ? -ENOMEM : 0;
        if (r == 0)
                parse_units(buffer_slice(&out), ret);
        buffer_done(&out);
        return r;
}

bool system_unit_is_type(const SystemUnit *unit, const char *suffix) {
        size_t n = strlen(unit->name), n_suffix = strlen(suffix);

        return n >= n_suffix && strcmp(unit->name + n - n_suffix, suffix) == 0;
}
