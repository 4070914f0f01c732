/* SPDX-License-Identifier: MIT */

/* What is done once, in the in-memory store. With a key a verb works on a copy of all data, as
 * imports do: the row and the key go in together or not at all. */

#include <errno.h>

#include "store/fake/session.h"

static FakeKey *find(const FakeData *data, const StoreKey *key) {
        for (size_t i = 0; i < data->keys.n; i++) {
                FakeKey *row = fake_row(&data->keys, i);

                if (memcmp(row->name, key->name, STORE_KEY_SIZE) == 0 &&
                    row->expires_sec > key->now_sec)
                        return row;
        }
        return NULL;
}

int fake_key_find(StoreSession *session, Arena *arena, const StoreKey *key, StoreAnswer *ret) {
        const FakeKey *row;
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        row = find(data, key);
        if (!row)
                r = STORE_NOT_FOUND;
        else if (memcmp(row->request, key->request, STORE_KEY_SIZE) != 0)
                r = STORE_KEY_OTHER;
        else {
                Slice body = arena_dup(arena, row->body);

                if (body.data)
                        *ret = (StoreAnswer){row->status, body};
                else
                        r = -ENOMEM;
        }
        fake_end_read(session);
        return r;
}

static void drop_expired(FakeData *data, int64_t now_sec) {
        for (size_t i = data->keys.n; i-- > 0;) {
                FakeKey *row = fake_row(&data->keys, i);

                if (row->expires_sec <= now_sec)
                        fake_remove_key(data, row);
        }
}

static int keep(FakeData *data, const StoreKey *key, const void *row) {
        FakeKey kept = {.expires_sec = key->expires_sec};
        StoreAnswer answer;
        int64_t id;
        int r;

        r = key->answer(key->userdata, row, &answer);
        if (r < 0)
                return r;
        drop_expired(data, key->now_sec);
        memcpy(kept.name, key->name, STORE_KEY_SIZE);
        memcpy(kept.request, key->request, STORE_KEY_SIZE);
        kept.status = answer.status;
        kept.body = answer.body;
        return fake_add_key(data, &kept, &id);
}

int fake_begin_once(StoreSession *session, const StoreKey *key, FakeData **ret) {
        FakeData *data;
        int r;

        r = fake_begin_write(session, &data);
        if (r < 0)
                return r;
        if (key && find(data, key))
                return fake_end_write(session, STORE_KEY_USED, &SLICE_NONE, 0);
        if (key) {
                data = fake_data_copy(data);
                if (!data)
                        return fake_end_write(session, -ENOMEM, &SLICE_NONE, 0);
        }
        *ret = data;
        return 0;
}

int fake_end_once(StoreSession *session, FakeData *data, const StoreKey *key, int result,
                  const void *row, const Slice *codes, size_t n) {
        Fake *fake = session->store->data;

        if (key) {
                if (result == 0)
                        result = keep(data, key, row);
                if (result == 0) {
                        FakeData *old = fake->data;

                        fake->data = data;
                        data = old;
                }
                (void)fake_data_free(data);
        }
        return fake_end_making(session, result, codes, n);
}

int fake_keys_tidy(StoreSession *session, int64_t now_sec, bool *ret_more _unused_) {
        FakeData *data;
        int r;

        r = fake_begin_ship(session, &data);
        if (r < 0)
                return r;
        drop_expired(data, now_sec);
        fake_end_read(session);
        return 0;
}
