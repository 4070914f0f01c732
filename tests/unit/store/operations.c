/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "basic/number.h"
#include "unit/store/operations.h"

#define TARGET S("https://x.example/a-path-that-needs-some-memory")

static const uint8_t spool[STORE_SPOOL_ID_SIZE] = {1, 2, 3};

/* A name that was not used before. */
static Slice fresh(char name[32]) {
        static unsigned n;

        (void)snprintf(name, 32, "name-%u", ++n);
        return slice_from_string(name);
}

static int user_create(StoreSession *session, Arena *arena) {
        char name[32];
        Slice slice = fresh(name);
        User user;

        return store_user_create(session, arena, slice, slice, 1, &user);
}

static int answer(void *userdata _unused_, const void *row _unused_, StoreAnswer *ret) {
        *ret = (StoreAnswer){201, S("{\"id\":1}")};
        return 0;
}

/* A key that was not used before. */
static StoreKey fresh_key(void) {
        StoreKey key = {.now_sec = 1, .expires_sec = 2, .answer = answer};
        char name[32] = "";

        memcpy(key.name, fresh(name).data, sizeof name);
        return key;
}

static int user_once(StoreSession *session, Arena *arena) {
        const StoreKey key = fresh_key();
        char name[32];
        const User user = {.username = fresh(name), .email = slice_from_string(name)};
        User made;

        return store_user_create_once(session, arena, &user, &key, &made);
}

static int url_once(StoreSession *session, Arena *arena _unused_) {
        const StoreKey key = fresh_key();
        char name[32];
        const Url url = {.code = fresh(name), .target = TARGET, .location = TARGET};
        Url made;

        return store_url_create_once(session, &(StoreUrlNew){.url = &url, .details = S("{}")}, &key,
                                     &made);
}

static int event_once(StoreSession *session, Arena *arena _unused_) {
        const Event event = {.url_id = 1, .type = S("redirect")};
        const StoreKey key = fresh_key();
        Event made;

        return store_event_create_once(session, &event, &key, &made);
}

/* One key is found, and is used up; then all are forgotten. */
static int keys(StoreSession *session, Arena *arena) {
        static const StoreKey key = {
                        .name = "found", .now_sec = 1, .expires_sec = 2, .answer = answer};
        const User user = {.username = S("found"), .email = S("found")};
        StoreAnswer found;
        bool more;
        User made;
        int r;

        r = store_user_create_once(session, arena, &user, &key, &made);
        if (r == 0 || r == STORE_KEY_USED)
                r = store_key_find(session, arena, &key, &found);
        return r >= 0 ? store_keys_tidy(session, 2, &more) : r;
}

static int user_get(StoreSession *session, Arena *arena) {
        User user;

        return store_user_get(session, arena, 1, &user);
}

static int user_update(StoreSession *session, Arena *arena) {
        char name[32];
        Slice slice = fresh(name);
        const StoreUserChange change = {.username = slice, .email = slice};
        User user;

        return store_user_update(session, arena, 1, &change, &user);
}

static int always(void *userdata _unused_, const void *row _unused_) {
        return 1;
}

/* Leaves all rows there. */
static int conditions(StoreSession *session, Arena *arena) {
        const StoreCondition condition = {always, NULL};
        const StoreUrlChange no_url_change = {.condition = &condition};
        StoreUserChange change = {.condition = &condition};
        char name[32];
        User user;
        Url url;
        int r;

        r = store_user_update(session, arena, 1, &change, &user);
        change.email = fresh(name);
        if (r == 0)
                r = store_user_update(session, arena, 1, &change, &user);
        if (r == 0)
                r = store_url_update(session, arena, 2, &no_url_change, &url);
        if (r == 0)
                r = store_user_delete_if(session, 999, &condition);
        return r == STORE_NOT_FOUND ? store_url_retire_if(session, 999, 1, S("{}"), &condition) : r;
}

static int user_delete(StoreSession *session, Arena *arena _unused_) {
        static int64_t id = 2;

        return store_user_delete(session, id++);
}

static int user_list(StoreSession *session, Arena *arena) {
        const StoreQuery query = {.limit = 5};
        int64_t total;
        User *users;
        size_t n;

        return store_user_list(session, arena, &query, &users, &n, &total);
}

static int users_import(StoreSession *session, Arena *arena _unused_) {
        char names[3][32];
        StoreUserRow rows[3];

        for (size_t i = 0; i < 3; i++) {
                rows[i] = (StoreUserRow){.user = {.username = fresh(names[i])}};
                rows[i].user.email = rows[i].user.username;
        }
        rows[2].user = rows[1].user;
        return store_users_import(session, rows, 3);
}

static int url_create(StoreSession *session, Arena *arena _unused_) {
        char name[32];
        const Url url = {.code = fresh(name),
                         .target = TARGET,
                         .location = S("https://y.example/"),
                         .title = S("A title"),
                         .user_id = 1};
        const StoreUrlNew new = {&url, S("{\"a\":\"b\"}"), .user_max = 1000000};
        Url made;

        return store_url_create_once(session, &new, NULL, &made);
}

static int url_get(StoreSession *session, Arena *arena) {
        int64_t redirects;
        Url url;
        int r;

        r = store_url_get(session, arena, 1, &url);
        if (r == 0)
                r = store_url_get_by_code(session, arena, S("base"), &url);
        return r == 0 ? store_url_stats(session, arena, 1, &url, &redirects) : r;
}

static int url_update(StoreSession *session, Arena *arena) {
        const StoreUrlChange change = {.has_target = true,
                                       .target = TARGET,
                                       .location = S("https://z.example/"),
                                       .has_title = true,
                                       .title = S("Another title"),
                                       .has_active = true,
                                       .is_active = true,
                                       .target_details = S("{\"n\":1}"),
                                       .title_details = S("{\"n\":2}"),
                                       .active_details = S("{\"n\":3}")};
        Url url;

        return store_url_update(session, arena, 1, &change, &url);
}

static int url_retire(StoreSession *session, Arena *arena) {
        const StoreUrlChange change = {.has_active = true, .is_active = true};
        Url url;
        int r;

        r = store_url_retire(session, 2, 1, S("{\"reason\":\"x\"}"));
        /* Active again for the next time. */
        return r == 0 ? store_url_update(session, arena, 2, &change, &url) : r;
}

static int url_list(StoreSession *session, Arena *arena) {
        const StoreQuery query = {.limit = 5, .has_user_id = true, .user_id = 1};
        int64_t total;
        size_t n;
        Url *urls;

        return store_url_list(session, arena, &query, &urls, &n, &total);
}

static int urls_by_codes(StoreSession *session, Arena *arena) {
        Link links[] = {{.code = S("base")}, {.code = S("no")}, {.code = S("base2")}};

        return store_urls_by_codes(session, arena, links, ELEMENTSOF(links));
}

static int count_link(void *userdata, const Link *link _unused_) {
        (*(unsigned *)userdata)++;
        return 0;
}

static int codes_each(StoreSession *session, Arena *arena _unused_) {
        unsigned n = 0;

        return store_codes_each(session, 100, count_link, &n);
}

static int urls_import(StoreSession *session, Arena *arena _unused_) {
        char names[3][32];
        StoreUrlRow rows[3];

        for (size_t i = 0; i < 3; i++)
                rows[i] = (StoreUrlRow){.url = {.code = fresh(names[i]),
                                                .target = TARGET,
                                                .location = TARGET,
                                                .user_id = 1,
                                                .is_active = true}};
        rows[2].url = rows[1].url;
        return store_urls_import(session, rows, 3, true);
}

static int event_create(StoreSession *session, Arena *arena _unused_) {
        char name[32];
        const Event event = {.url_id = 1,
                             .user_id = 1,
                             .type = fresh(name),
                             .details = S("{\"a\":\"b\"}")};
        const Event redirect = {.url_id = 1, .type = S("redirect")};
        Event made;
        int r;

        r = store_event_create(session, &event, &made);
        return r == 0 ? store_event_create(session, &redirect, &made) : r;
}

static int event_list(StoreSession *session, Arena *arena) {
        const StoreQuery query = {
                        .limit = 5, .has_url_id = true, .url_id = 1, .type = S("created")};
        int64_t total;
        Event *events;
        size_t n;

        return store_event_list(session, arena, &query, &events, &n, &total);
}

static int events_import(StoreSession *session, Arena *arena _unused_) {
        char name[32];
        StoreEventRow rows[] = {
                        {.event = {.url_id = 1, .type = fresh(name), .details = S("{}")}},
                        {.event = {.url_id = 1, .type = S("redirect"), .request_id = S("r")}},
                        {.event = {.url_id = 999, .type = S("redirect")}},
        };

        return store_events_import(session, rows, ELEMENTSOF(rows));
}

static int load(StoreSession *session, Arena *arena) {
        int r, end;

        r = store_load_begin(session, true);
        if (r != 0)
                return r;
        r = users_import(session, arena);
        if (r == 0)
                r = urls_import(session, arena);
        /* Rolled back: the base is needed on. */
        end = store_load_end(session, false);
        return r != 0 ? r : end;
}

static int totals(StoreSession *session, Arena *arena _unused_) {
        StoreTotals some;

        return store_totals(session, &some);
}

static int clicks_append(StoreSession *session, Arena *arena _unused_) {
        StoreClick clicks[20];
        StoreBatch batch = {.first_seq = 1, .clicks = clicks, .n_clicks = ELEMENTSOF(clicks)};
        uint64_t next_seq = 0;
        StoreOffset offset;
        int r;

        memcpy(batch.spool, spool, sizeof(spool));
        r = store_offset_get(session, spool, &offset);
        if (r < 0)
                return r;
        batch.from_seq = r == 0 ? offset.next_seq : 1;
        batch.upto_seq = batch.from_seq + batch.n_clicks;
        for (size_t i = 0; i < batch.n_clicks; i++)
                clicks[i] = (StoreClick){.seq = batch.from_seq + i,
                                         .url_id = 1 + (int64_t)i % 3,
                                         .details = S("{\"ip\":\"192.0.2.1\"}"),
                                         .request_id = S("r")};
        return store_clicks_append(session, &batch, &next_seq);
}

static int offsets(StoreSession *session, Arena *arena) {
        const StoreBatch other = {
                        .spool = {9}, .first_seq = 1, .from_seq = 1, .upto_seq = 2, .shed = 1};
        uint64_t next_seq;
        StoreOffset *list;
        size_t n;
        int r;

        r = store_offset_list(session, arena, &list, &n);
        if (r == 0)
                r = store_clicks_append(session, &other, &next_seq);
        return r >= 0 ? store_offset_delete(session, other.spool) : r;
}

static int audit(StoreSession *session, Arena *arena) {
        StoreAudit found;

        return store_audit(session, arena, &found);
}

static int schema(StoreSession *session, Arena *arena _unused_) {
        StoreSchema found;
        int n, r;

        r = store_schema(session, &found);
        if (r == 0)
                r = store_migrate(session, &n);
        return r == 0 ? store_ping(session) : r;
}

static int tokens(StoreSession *session, Arena *arena) {
        static uint32_t n;
        Token token = {.name = S("token"), .scopes = TOKEN_READ, .created_sec = 1}, *rows;
        const StoreQuery query = {.limit = 10};
        size_t n_rows;
        int r;

        n++;
        memcpy(token.digest, &n, sizeof n);
        r = store_token_create(session, &token, &token.id);
        if (r == 0)
                r = store_token_find(session, arena, token.digest, &token);
        if (r == 0)
                r = store_token_use(session, token.id, 2);
        if (r == 0)
                r = store_token_revoke(session, token.id, 3);
        return r == 0 ? store_token_list(session, arena, &query, &rows, &n_rows) : r;
}

static int audit_rows(StoreSession *session, Arena *arena) {
        StoreAuditQuery query = {.limit = 5};
        Audit *rows;
        bool more;
        size_t n;
        int r;

        r = store_audit_list(session, arena, &query, &rows, &n);
        query.kind = S("url");
        query.object_id = 1;
        if (r == 0)
                r = store_audit_list(session, arena, &query, &rows, &n);
        /* Nothing is that old: what was written is counted by assert_sound(). */
        return r == 0 ? store_audit_tidy(session, 1, &more) : r;
}

const Operation operations[] = {
                {"user_create", user_create},
                {"user_get", user_get},
                {"user_update", user_update},
                {"user_delete", user_delete},
                {"conditions", conditions},
                {"user_list", user_list},
                {"users_import", users_import},
                {"url_create", url_create},
                {"url_get", url_get},
                {"url_update", url_update},
                {"url_retire", url_retire},
                {"url_list", url_list},
                {"urls_by_codes", urls_by_codes},
                {"codes_each", codes_each},
                {"urls_import", urls_import},
                {"event_create", event_create},
                {"event_list", event_list},
                {"events_import", events_import},
                {"tokens", tokens},
                {"audit_rows", audit_rows},
                {"user_once", user_once},
                {"url_once", url_once},
                {"event_once", event_once},
                {"keys", keys},
                {"load", load},
                {"totals", totals},
                {"clicks_append", clicks_append},
                {"offsets", offsets},
                {"audit", audit},
                {"schema", schema},
};
const size_t n_operations = ELEMENTSOF(operations);

void make_base(StoreSession *session, Arena *arena) {
        add_user(session, arena, "base");
        add_url(session, arena, "base");
        add_url(session, arena, "base2");
        for (unsigned i = 0; i < 40; i++) {
                char name[32];

                (void)fresh(name);
                add_user(session, arena, name);
        }
        assert_int_equal(clicks_append(session, arena), 0);
}

/* The number behind `"NAME":`. */
static int64_t count_of(Slice fields, Slice name) {
        ptrdiff_t at = slice_search(fields, name);
        Slice rest, digits;
        int64_t n = -1;

        assert_true(at >= 0);
        rest = slice_from(fields, (size_t)at + name.len);
        (void)slice_cut(rest, ',', &digits, &rest);
        (void)slice_cut(digits, '}', &digits, &rest);
        assert_int_equal(number_parse_i64(digits, &n), 0);
        return n;
}

/* What the rows of the audit say that went in of a kind, less what went out: objects one by one,
 * and imports by their counts. */
static int64_t audited(const Audit *rows, size_t n, Slice kind, Slice count) {
        int64_t sum = 0;

        for (size_t i = 0; i < n; i++) {
                bool is_gone = !rows[i].new_fields.data;

                if (slice_equal(rows[i].kind, S("store")))
                        sum += count_of(rows[i].new_fields, count);
                else if (slice_equal(rows[i].kind, kind))
                        sum += slice_equal(rows[i].action, S("create")) - is_gone;
        }
        return sum;
}

/* Each change has its row, and no row is there without its change. */
static void assert_audited(StoreSession *session, const char *what) {
        int64_t users, urls;
        StoreTotals totals;
        Audit *rows = NULL;
        Arena arena;
        size_t n = 0;

        arena_init(&arena, 0);
        assert_int_equal(store_totals(session, &totals), 0);
        assert_int_equal(store_audit_list(session, &arena, &(StoreAuditQuery){.limit = INT32_MAX},
                                          &rows, &n),
                         0);
        users = audited(rows, n, S("user"), S("\"users\":"));
        urls = audited(rows, n, S("url"), S("\"urls\":"));
        if (users != totals.users || urls != totals.urls)
                fail_msg("%s: %lld users, %lld urls; the audit says %lld, %lld", what,
                         (long long)totals.users, (long long)totals.urls, (long long)users,
                         (long long)urls);
        arena_done(&arena);
}

void assert_sound(Store *store, const char *what) {
        StoreSession *session;
        StoreAudit found;
        Arena arena;

        arena_init(&arena, 0);
        atomic_store(&store->n_failures, 0);
        atomic_store(&store->next_probe_usec, 0);
        session = open_session(store);
        assert_int_equal(store_audit(session, &arena, &found), 0);
        if (found.duplicates != 0 || found.total_drift != 0 || found.list_drift != 0)
                fail_msg("%s: %lld doubled, %lld and %lld drifted", what,
                         (long long)found.duplicates, (long long)found.total_drift,
                         (long long)found.list_drift);
        assert_true(found.n_offsets > 0);
        for (size_t i = 0; i < found.n_offsets; i++) {
                const StoreOffset *offset = &found.offsets[i];

                assert_int_equal(found.rows_of_spool[i], offset->rows);
                assert_int_equal(offset->next_seq - offset->first_seq,
                                 offset->rows + offset->shed + offset->bad + offset->damaged);
        }
        arena_done(&arena);
        assert_audited(session, what);
        (void)store_session_free(session);
}
