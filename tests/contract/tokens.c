/* SPDX-License-Identifier: MIT */

/* Tokens: made, found by their digest, used, revoked, listed; and what becomes of a user's. */

#include "contract/fixture.h"

static Token make(Fixture *f, uint8_t first, int64_t user_id) {
        Token token = {.user_id = user_id,
                       .digest = {first, 2, 3, [31] = 9},
                       .name = S("deploy"),
                       .scopes = TOKEN_READ | TOKEN_WRITE,
                       .created_sec = 1000,
                       .expires_sec = first % 2 ? 5000 : 0};

        assert_int_equal(store_token_create(f->session, &token, &token.id), 0);
        assert_true(token.id > 0);
        return token;
}

static int find(Fixture *f, uint8_t first, Token *ret) {
        uint8_t digest[TOKEN_DIGEST_SIZE] = {first, 2, 3, [31] = 9};

        return store_token_find(f->session, &f->arena, digest, ret);
}

static void test_found_by_digest(void **state) {
        Fixture *f = *state;
        int64_t user = make_user(f, "one");
        Token made = make(f, 1, user), other = make(f, 2, 0), found;

        assert_int_equal(find(f, 1, &found), 0);
        assert_int_equal(found.id, made.id);
        assert_int_equal(found.user_id, user);
        assert_memory_equal(found.digest, made.digest, sizeof made.digest);
        assert_true(slice_equal(found.name, S("deploy")));
        assert_int_equal(found.scopes, TOKEN_READ | TOKEN_WRITE);
        assert_int_equal(found.created_sec, 1000);
        assert_int_equal(found.expires_sec, 5000);
        assert_int_equal(found.used_sec, 0);
        assert_int_equal(found.revoked_sec, 0);
        assert_int_equal(find(f, 2, &found), 0);
        assert_int_equal(found.id, other.id);
        assert_int_equal(found.user_id, 0);
        assert_int_equal(found.expires_sec, 0);
        assert_int_equal(find(f, 3, &found), STORE_NOT_FOUND);
}

static void test_use_and_revoke(void **state) {
        Fixture *f = *state;
        Token made = make(f, 1, 0), found;

        assert_int_equal(store_token_use(f->session, made.id, 2000), 0);
        assert_int_equal(store_token_use(f->session, made.id, 1500), 0);
        assert_int_equal(find(f, 1, &found), 0);
        assert_int_equal(found.used_sec, 2000); /* never back */
        assert_int_equal(store_token_revoke(f->session, made.id, 3000), 0);
        assert_int_equal(store_token_revoke(f->session, made.id, 4000), STORE_NOT_FOUND);
        assert_int_equal(find(f, 1, &found), 0);
        assert_int_equal(found.revoked_sec, 3000);
        assert_int_equal(store_token_use(f->session, made.id + 1, 1), STORE_NOT_FOUND);
        assert_int_equal(store_token_revoke(f->session, made.id + 1, 1), STORE_NOT_FOUND);
}

static void test_no_user(void **state) {
        Fixture *f = *state;
        Token token = {.user_id = 77, .name = S("x"), .scopes = TOKEN_READ};
        int64_t id = -1;

        assert_int_equal(store_token_create(f->session, &token, &id), STORE_NO_USER);
        assert_int_equal(id, -1);
}

static void test_deleted_users_tokens_open_nothing(void **state) {
        Fixture *f = *state;
        int64_t user = make_user(f, "gone");
        Token found;

        (void)make(f, 1, user);
        assert_int_equal(find(f, 1, &found), 0);
        assert_int_equal(store_user_delete(f->session, user), 0);
        assert_int_equal(find(f, 1, &found), STORE_NOT_FOUND);
}

/* An import may bring a user with the id of one that is gone: whose token was that? */
static void import_user(Fixture *f, int64_t id) {
        StoreUserRow row = {.user = {.id = id, .username = S("heir"), .email = S("h@x.example")}};

        assert_int_equal(store_users_import(f->session, &row, 1), 0);
        assert_int_equal(row.result, STORE_OK);
}

/* How many rows of the audit tell that this token ended? */
static size_t n_ends(Fixture *f, int64_t id) {
        StoreAuditQuery query = {.limit = 10, .kind = S("token"), .object_id = id};
        size_t n, n_ends = 0;
        Audit *rows;

        assert_int_equal(store_audit_list(f->session, &f->arena, &query, &rows, &n), 0);
        for (size_t i = 0; i < n; i++)
                n_ends += slice_equal(rows[i].action, S("revoke"));
        return n_ends;
}

static void test_deleted_users_tokens_end(void **state) {
        Fixture *f = *state;
        int64_t user = make_user(f, "gone"), other = make_user(f, "stays");
        Token one = make(f, 1, user), two = make(f, 2, user), found;

        (void)make(f, 3, other);
        (void)make(f, 4, 0);
        assert_int_equal(store_token_revoke(f->session, two.id, 3000), 0);
        assert_int_equal(store_user_delete(f->session, user), 0);
        import_user(f, user);
        assert_int_equal(find(f, 1, &found), 0);
        assert_true(found.revoked_sec > 3000);
        assert_int_equal(n_ends(f, one.id), 1);
        assert_int_equal(n_ends(f, two.id), 1);
        for (uint8_t i = 3; i < 5; i++) {
                assert_int_equal(find(f, i, &found), 0);
                assert_int_equal(found.revoked_sec, 0);
        }
}

static void test_users_that_are_replaced_leave_no_tokens(void **state) {
        Fixture *f = *state;
        int64_t user = make_user(f, "replaced");
        Token one = make(f, 1, user), found;

        (void)make(f, 2, 0);
        assert_int_equal(store_load_begin(f->session, true), 0);
        import_user(f, user);
        assert_int_equal(store_load_end(f->session, true), 0);
        assert_int_equal(find(f, 1, &found), 0);
        assert_true(found.revoked_sec > 0);
        assert_int_equal(n_ends(f, one.id), 1);
        assert_int_equal(find(f, 2, &found), 0);
        assert_int_equal(found.revoked_sec, 0);
}

static void test_list(void **state) {
        Fixture *f = *state;
        int64_t user = make_user(f, "lister");
        StoreQuery all = {.limit = 10}, window = {.limit = 1, .has_after = true},
                   own = {.limit = 10, .has_user_id = true, .user_id = user};
        Token one = make(f, 1, 0), two = make(f, 2, user), three = make(f, 3, 0), *rows;
        size_t n;

        assert_int_equal(store_token_list(f->session, &f->arena, &all, &rows, &n), 0);
        assert_int_equal(n, 3);
        assert_int_equal(rows[0].id, one.id);
        assert_int_equal(rows[2].id, three.id);
        window.after = one.id;
        assert_int_equal(store_token_list(f->session, &f->arena, &window, &rows, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(rows[0].id, two.id);
        assert_int_equal(store_token_list(f->session, &f->arena, &own, &rows, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(rows[0].user_id, user);
}

int run_tokens(void) {
        const struct CMUnitTest tests[] = {
                        CONTRACT_TEST(test_found_by_digest),
                        CONTRACT_TEST(test_use_and_revoke),
                        CONTRACT_TEST(test_no_user),
                        CONTRACT_TEST(test_deleted_users_tokens_open_nothing),
                        CONTRACT_TEST(test_deleted_users_tokens_end),
                        CONTRACT_TEST(test_users_that_are_replaced_leave_no_tokens),
                        CONTRACT_TEST(test_list),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
