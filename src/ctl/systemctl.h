/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * systemctl(1) as a child process: it reaches the service manager also without a D-Bus daemon, and
 * asks for a password where the administrator wants that.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/buffer.h"

#define SYSTEMCTL_UNITS_MAX 128u
#define SYSTEMCTL_NAME_SIZE 96u

typedef struct SystemUnit {
        char name[SYSTEMCTL_NAME_SIZE]; /* shortener@2.service */
        char active[16];                /* its ActiveState: active, inactive, failed ... */
        char file[16];                  /* its UnitFileState: enabled, disabled ...; "": no file */
} SystemUnit;

typedef struct SystemUnits {
        SystemUnit units[SYSTEMCTL_UNITS_MAX];
        size_t n;
} SystemUnits;

/* Runs systemctl with arguments (NULL terminated, without its own name); standard error is ours,
 * standard output goes to out, or nowhere. Its exit status; -ENOENT: there is none; -ETIMEDOUT: it
 * took longer than timeout_usec (0: any time) and was ended, but what it asked for may go on. */
int systemctl_run(const char *const *arguments, uint64_t timeout_usec, Buffer *out) _must_check_;

/* The units that the manager knows by these names and patterns, instance 2 before instance 10.
 * As systemctl_run(). */
int systemctl_list(const char *const *patterns, SystemUnits *ret) _must_check_;

static inline bool system_unit_is(const SystemUnit *unit, const char *state) {
        return slice_equal(slice_from_string(unit->active), slice_from_string(state));
}
bool system_unit_is_type(const SystemUnit *unit, const char *suffix) _pure_;
