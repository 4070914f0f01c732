/* SPDX-License-Identifier: MIT */
#pragma once

/* What the verbs about one link share. */

#include "ctl/context.h"

/*
 * Finds the link that a person named: by its id, by its short code, or by "id:N" and "code:TEXT"
 * where a code looks like an id. In ctl->arena.
 */
int link_find(Ctl *ctl, const char *name, Url *ret) _must_check_;

/* Prints it, as JSON or as lines. */
int link_print(Ctl *ctl, const Url *url) _must_check_;
