/* SPDX-License-Identifier: MIT */

/*
 * What is done once: the three verbs that create a row for a client, with a key. That a key is
 * remembered with the change, in its transaction, is the driver's doing. Here: of two requests of
 * this process that have one key at the same time, the second is told so, instead of waiting for
 * the first with a thread and a connection. (Of other processes, PostgreSQL knows by a lock; SQLite
 * has one writer, behind whom the second one waits and then finds the key.)
 *
 * Which keys these are is in a small table, each at its only place. One whose place has another key
 * goes without, and waits as for another process.
 */

#include "store/verb.h"

typedef _Atomic uint64_t Place;

/* false: another one is at it. *ret_place: what end() has to leave; NULL: nothing. */
static bool begin(Store *store, const StoreKey *key, Place **ret_place) {
        uint64_t there = 0, id;
        Place *place;

        *ret_place = NULL;
        if (!key)
                return true;
        memcpy(&id, key->name, sizeof id);
        id |= (uint64_t)1 << 63; /* 0 is nobody */
        place = &store->ongoing[id % STORE_ONGOING];
        if (atomic_compare_exchange_strong(place, &there, id))
                *ret_place = place;
        return there != id;
}

static int end(Place *place, int result) {
        if (place)
                atomic_store(place, 0);
        return result;
}

int store_user_create_once(StoreSession *session, Arena *arena, const User *user,
                           const StoreKey *key, User *ret) {
        Place *place;

        if (!begin(session->store, key, &place))
                return STORE_KEY_BUSY;
        return end(place, VERB(session, user_create(session, arena, user, key, ret)));
}

int store_url_create_once(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                          Url *ret) {
        Place *place;

        if (!begin(session->store, key, &place))
                return STORE_KEY_BUSY;
        return end(place, VERB(session, url_create(session, new, key, ret)));
}

int store_event_create_once(StoreSession *session, const Event *event, const StoreKey *key,
                            Event *ret) {
        Place *place;

        if (!begin(session->store, key, &place))
                return STORE_KEY_BUSY;
        return end(place, VERB(session, event_create(session, event, key, ret)));
}

int store_key_find(StoreSession *session, Arena *arena, const StoreKey *key, StoreAnswer *ret) {
        return VERB(session, key_find(session, arena, key, ret));
}

int store_keys_tidy(StoreSession *session, int64_t now_sec, bool *ret_more) {
        *ret_more = false;
        return VERB(session, keys_tidy(session, now_sec, ret_more));
}
