/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Faults on demand for tests that run over "fake:". Any thread. The functions abort when the store
 * is another one.
 */

#include <stdbool.h>

#include "store/store.h"

/* The next n verbs of any session do nothing and answer result, a negative -errno. */
void store_fake_fail(Store *store, int result, unsigned n);

/* While blocked, a verb hangs until it is unblocked or its session's deadline passes (-ETIMEDOUT,
 * nothing was done), as with a frozen database. */
void store_fake_block(Store *store, bool blocked);
