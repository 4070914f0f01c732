/* SPDX-License-Identifier: MIT */
#pragma once

/* What the store's unit tests share: a folder of the test's own and stores in it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "basic/arena.h"
#include "store/ops.h"

#define S(literal) SLICE(literal)

typedef struct Place {
        char *directory;
        char *path; /* directory/test.db; nothing is there yet */
        char *url;  /* sqlite:path */
        Arena arena;
} Place;

int place_setup(void **state);
int place_teardown(void **state);
#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

Store *open_store(const char *url, bool create);
StoreSession *open_session(Store *store); /* without hooks, with a deadline that no test reaches */
void deadline_in(StoreSession *session, uint64_t usec);

int64_t add_user(StoreSession *session, Arena *arena, const char *name);
int64_t add_url(StoreSession *session, Arena *arena, const char *code);
/* One statement on the file, by a connection of its own. */
void run_sql(const Place *place, const char *sql);
int64_t query_sql(const Place *place, const char *sql);
