/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Libraries that are loaded when they are first needed (dlopen(3)): what an instance never uses,
 * with all that it brings along, then costs it no memory and no code that could be attacked.
 */

#include <stddef.h>

#include "basic/check.h"

typedef struct LibrarySymbol {
        const char *name;
        void *place; /* of a pointer to the function */
} LibrarySymbol;

/* Loads soname for good and finds all symbols. Any thread, and again: it does the same. -ELIBACC:
 * there is no such library here, or it lacks one of them. */
int library_load(const char *soname, const LibrarySymbol *symbols, size_t n) _must_check_;
