/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the contract tests share: a fresh, empty store for each test, of the kind that the
 * environment names in SHORTENER_CONTRACT_STORE (fake, sqlite, postgres), sessions on it, hooks
 * that keep a diary, and short ways to make rows.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "basic/arena.h"
#include "store/store.h"

#define NOW_SEC       1767225600 /* 2026-01-01, the time of most rows */
#define MISSING_ID    999999
#define FAR_USEC      (20 * 1000000ULL) /* a deadline that no test reaches */
#define MAX_REDIRECTS 16u

/* What the hooks were called with, in order: "w+ C(a,b) c w- ", or M(a,b) of links that are made.
 */
typedef struct Diary {
        char text[512];
        unsigned n_waiting; /* what n_waiting() answers */
} Diary;

typedef struct Fixture {
        char *directory;      /* of the database file; NULL for others */
        const char *database; /* of PostgreSQL; NULL for others */
        bool one_writer;      /* the store has one write lock: shippers hold it shortly */
        Store *store;
        StoreSession *session; /* with hooks into the diary */
        StoreSession *other;   /* without hooks */
        Diary diary;
        Arena arena;
} Fixture;

int fixture_setup(void **state);
int fixture_teardown(void **state);
#define CONTRACT_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* A further session on the fixture's store, with its hooks when diary. */
StoreSession *fixture_session(Fixture *f, bool with_hooks);
void diary_clear(Fixture *f);
void assert_diary(Fixture *f, const char *expected);

/* "..." literals and strings as slices, and back. */
#define S(literal) SLICE(literal)
void assert_slice(Slice s, const char *expected);

int64_t make_user(Fixture *f, const char *username);              /* email is username@x.example */
int64_t make_url(Fixture *f, const char *code, int64_t user_id);  /* https://x.example/CODE */
int64_t make_event(Fixture *f, int64_t url_id, const char *type); /* without user */
Url get_url(Fixture *f, int64_t id);
int64_t redirects_of(Fixture *f, int64_t url_id);
StoreTotals totals_of(Fixture *f);
/* The newest n events of the url, which must be all there are; *ret in the arena. */
void get_events(Fixture *f, int64_t url_id, size_t n, Event **ret);
void list_all_events(Fixture *f, Event **ret, size_t *ret_n);
/* Nothing drifts. */
void assert_audit_clean(Fixture *f);

/* The groups. */
int run_users(void);
int run_urls(void);
int run_url_changes(void);
int run_lists(void);
int run_events(void);
int run_clicks(void);
int run_positions(void);
int run_imports(void);
int run_loads(void);
int run_sessions(void);
int run_tokens(void);
int run_conditions(void);
int run_audit(void);
int run_keys(void);
int run_parallel(void);
