/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The tables of the in-memory store: arrays sorted by id, each row owning its texts. No locks here:
 * fake.c holds one around each verb.
 */

#include "store/ops.h"

/* Rows begin with their int64_t id. */
typedef struct FakeTable {
        char *items;
        size_t item_size; /* bytes */
        size_t n;
        size_t size;     /* rows allocated */
        int64_t last_id; /* the highest ever used; never goes back */
} FakeTable;

typedef struct FakeUrl {
        Url url;
        int64_t redirects;
} FakeUrl;

typedef struct FakeEvent {
        Event event;
        uint64_t seq;
        uint8_t spool[STORE_SPOOL_ID_SIZE];
        bool from_spool; /* spool and seq count */
} FakeEvent;

typedef struct FakeKey {
        int64_t id;
        uint8_t name[STORE_KEY_SIZE];
        uint8_t request[STORE_KEY_SIZE];
        int64_t expires_sec;
        int status;
        Slice body;
} FakeKey;

typedef struct FakeData {
        FakeTable users;  /* User */
        FakeTable urls;   /* FakeUrl */
        FakeTable events; /* FakeEvent */
        FakeTable tokens; /* Token */
        FakeTable audit;  /* Audit */
        FakeTable keys;   /* FakeKey */
        StoreOffset *offsets;
        size_t n_offsets;
        bool has_orphans; /* there may be redirects of links that are not there */
} FakeData;

FakeData *fake_data_new(void);
FakeData *fake_data_free(FakeData *data);
DEFINE_CLEANUP(FakeData, fake_data_free)
/* A deep copy; NULL when memory is out. */
FakeData *fake_data_copy(const FakeData *data);
/* Drops all rows; the ids go on, and the spools' positions stay (with nothing counted). */
void fake_data_clear(FakeData *data);

void *fake_row(const FakeTable *table, size_t i);
/* NULL: there is none. */
void *fake_find(const FakeTable *table, int64_t id);
/* Room for n more rows, so that the fake_add_...() of them cannot fail. */
int fake_reserve(FakeTable *table, size_t n) _must_check_;

User *fake_user_by_name(const FakeData *data, Slice username);
User *fake_user_by_email(const FakeData *data, Slice email);
FakeUrl *fake_url_by_code(const FakeData *data, Slice code);
StoreOffset *fake_offset(const FakeData *data, const uint8_t spool[STORE_SPOOL_ID_SIZE]);
/* A zeroed row of this spool; NULL when memory is out. */
StoreOffset *fake_offset_add(FakeData *data, const uint8_t spool[STORE_SPOOL_ID_SIZE]);
void fake_offset_remove(FakeData *data, StoreOffset *offset);

/* A malloc'ed copy in *ret (which must hold none); data == NULL stays so. */
int fake_dup(Slice s, Slice *ret) _must_check_;
/* Frees the old text of *text and moves the new one there. */
void fake_replace(Slice *text, Slice *from);
void fake_slice_free(Slice *text);

/* Each copies the row with its texts and adds it. id 0: the next one. -ENOMEM: nothing was added.
 * An event of type redirect moves its url's total. */
int fake_add_user(FakeData *data, const User *user, int64_t *ret_id) _must_check_;
int fake_add_token(FakeData *data, const Token *token, int64_t *ret_id) _must_check_;
int fake_add_audit(FakeData *data, const Audit *audit, int64_t *ret_id) _must_check_;
int fake_add_url(FakeData *data, const Url *url, int64_t *ret_id) _must_check_;
int fake_add_event(FakeData *data, const FakeEvent *event, int64_t *ret_id) _must_check_;
int fake_add_key(FakeData *data, const FakeKey *key, int64_t *ret_id) _must_check_;
void fake_remove_user(FakeData *data, User *user);
void fake_remove_key(FakeData *data, FakeKey *key);
/* Takes back the n events that were added last. */
void fake_pop_events(FakeData *data, size_t n);

/* Takes back the row that was added last. */
void fake_pop_audit(FakeData *data);
/* Drops the rows [0, n). */
void fake_drop_audit(FakeData *data, size_t n);

/* id, or 0 when this user is gone. */
int64_t fake_live_user(const FakeData *data, int64_t id);
