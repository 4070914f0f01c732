/* SPDX-License-Identifier: MIT */

/* Users of the in-memory store. */

#include <errno.h>

#include "store/fake/session.h"

static int show(Arena *arena, const User *user, User *ret) {
        User copy = *user;

        copy.username = arena_dup(arena, user->username);
        copy.email = arena_dup(arena, user->email);
        if (!copy.username.data || !copy.email.data)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

/* STORE_OK, or which of the two another user than `self` has. */
static int find_clash(const FakeData *data, Slice username, Slice email, const User *self) {
        const User *other;

        if (username.data) {
                other = fake_user_by_name(data, username);
                if (other && other != self)
                        return STORE_USERNAME_TAKEN;
        }
        if (email.data) {
                other = fake_user_by_email(data, email);
                if (other && other != self)
                        return STORE_EMAIL_TAKEN;
        }
        return STORE_OK;
}

static int create(StoreSession *session, FakeData *data, Arena *arena, const User *user,
                  User *ret) {
        User shown;
        int64_t id;
        int r;

        r = find_clash(data, user->username, user->email, NULL);
        if (r != 0)
                return r;
        r = show(arena, user, &shown);
        if (r < 0)
                return r;
        shown.id = data->users.last_id + 1;
        r = fake_audit_user(session, data, "create", NULL, &shown);
        if (r < 0)
                return r;
        r = fake_add_user(data, user, &id);
        if (r < 0) {
                fake_pop_audit(data);
                return r;
        }
        *ret = shown;
        return 0;
}

int fake_user_create(StoreSession *session, Arena *arena, const User *user, const StoreKey *key,
                     User *ret) {
        FakeData *data;
        User row;
        int r;

        r = fake_begin_once(session, key, &data);
        if (r != 0)
                return r;
        r = create(session, data, arena, user, &row);
        r = fake_end_once(session, data, key, r, &row, &SLICE_NONE, 0);
        if (r == 0)
                *ret = row;
        return r;
}

int fake_user_get(StoreSession *session, Arena *arena, int64_t id, User *ret) {
        FakeData *data;
        const User *user;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        user = fake_find(&data->users, id);
        r = user ? show(arena, user, ret) : STORE_NOT_FOUND;
        fake_end_read(session);
        return r;
}

static int replace_texts(User *user, const User *new) {
        Slice username, email;

        if (fake_dup(new->username, &username) < 0)
                return -ENOMEM;
        if (fake_dup(new->email, &email) < 0) {
                fake_slice_free(&username);
                return -ENOMEM;
        }
        fake_replace(&user->username, &username);
        fake_replace(&user->email, &email);
        return 0;
}

static int replace(StoreSession *session, FakeData *data, User *user, const User *new) {
        int r;

        r = fake_audit_user(session, data, "update", user, new);
        if (r < 0)
                return r;
        r = replace_texts(user, new);
        if (r < 0)
                fake_pop_audit(data);
        return r;
}

static int update(StoreSession *session, FakeData *data, Arena *arena, int64_t id,
                  const StoreUserChange *change, User *ret) {
        bool is_named = change->username.data || change->email.data;
        User *user = fake_find(&data->users, id);
        User shown;
        int r;

        if (!user)
                return STORE_NOT_FOUND;
        r = store_condition_check(change->condition, user);
        if (r != 0)
                return r;
        r = find_clash(data, change->username, change->email, user);
        if (r != 0)
                return r;
        shown = *user;
        if (change->username.data)
                shown.username = change->username;
        if (change->email.data)
                shown.email = change->email;
        r = show(arena, &shown, &shown);
        if (r == 0 && is_named)
                r = replace(session, data, user, &shown);
        if (r == 0)
                *ret = shown;
        return r;
}

int fake_user_update(StoreSession *session, Arena *arena, int64_t id, const StoreUserChange *change,
                     User *ret) {
        FakeData *data;
        int r;

        r = fake_begin_write(session, &data);
        if (r < 0)
                return r;
        r = update(session, data, arena, id, change, ret);
        return fake_end_write(session, r, &SLICE_NONE, 0);
}

int fake_user_delete(StoreSession *session, int64_t id, const StoreCondition *condition) {
        FakeData *data;
        User *user;
        int r;

        r = fake_begin_write(session, &data);
        if (r < 0)
                return r;
        user = fake_find(&data->users, id);
        r = user ? store_condition_check(condition, user) : STORE_NOT_FOUND;
        if (r == 0)
                r = fake_tokens_end(session, data, id);
        if (r == 0)
                r = fake_audit_user(session, data, "delete", user, NULL);
        if (r == 0)
                fake_remove_user(data, user);
        return fake_end_write(session, r, &SLICE_NONE, 0);
}

static int list(FakeData *data, Arena *arena, const StoreQuery *query, FakeWindow *window,
                User **ret_rows, size_t *ret_n) {
        User *rows = arena_new(arena, User, fake_window_rows(window, &data->users));
        size_t n = 0;

        if (!rows)
                return -ENOMEM;
        for (size_t i = 0; i < data->users.n; i++) {
                const User *user = fake_row(&data->users, i);
                bool behind = !query->has_after || user->id > query->after;

                if (fake_window_admits(window, behind) && show(arena, user, &rows[n++]) < 0)
                        return -ENOMEM;
        }
        *ret_rows = rows;
        *ret_n = n;
        return 0;
}

int fake_user_list(StoreSession *session, Arena *arena, const StoreQuery *query, User **ret_rows,
                   size_t *ret_n, int64_t *ret_total) {
        FakeWindow window = fake_window(query);
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        r = list(data, arena, query, &window, ret_rows, ret_n);
        if (r == 0 && ret_total)
                *ret_total = fake_window_total(&window, false);
        fake_end_read(session);
        return r;
}

static int import_row(FakeData *data, StoreUserRow *row) {
        int64_t id;
        int clash = find_clash(data, row->user.username, row->user.email, NULL);

        if (row->user.id < 0 || row->user.id > STORE_ID_MAX ||
            (row->user.id != 0 && fake_find(&data->users, row->user.id)))
                clash = STORE_REFUSED;
        row->result = (StoreResult)clash;
        if (clash != STORE_OK)
                return 0;
        if (fake_add_user(data, &row->user, &id) < 0)
                return -ENOMEM;
        row->user.id = id;
        return 0;
}

int fake_users_import(StoreSession *session, StoreUserRow *rows, size_t n) {
        AuditCounts added = {.users = 0};
        FakeData *draft;
        int r;

        r = fake_begin_import(session, &draft);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n && r == 0; i++) {
                r = import_row(draft, &rows[i]);
                added.users += rows[i].result == STORE_OK;
        }
        if (r == 0)
                r = fake_audit_import(session, draft, &added);
        return fake_end_import(session, draft, r, &SLICE_NONE, 0);
}
