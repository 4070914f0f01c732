/* SPDX-License-Identifier: MIT */

/*
 * Can this program run on the schema that the store has? Asked at the start; a driver whose server
 * may be away then, or may be another one later, asks each new connection (StoreOptions.check_fit).
 * A store that does not fit counts as away: the breaker is open, and here is why.
 */

#include <stdio.h>

#include "basic/clock.h"
#include "store/verb.h"

bool store_schema_fits(const StoreSchema *schema, bool ran, char *ret_why, size_t size) {
        if (schema->version == 0)
                (void)snprintf(ret_why, size, "has no schema: run 'shortenerctl db init'");
        else if (schema->version < schema->oldest)
                (void)snprintf(ret_why, size,
                               "schema %d is older than %d: run 'shortenerctl db migrate'",
                               schema->version, schema->oldest);
        else if (schema->version > schema->supported && !ran)
                (void)snprintf(ret_why, size,
                               "schema %d is newer than %d, the newest that this version knows: "
                               "install the newer shortener again",
                               schema->version, schema->supported);
        else
                return true;
        return false;
}

bool store_unfit(Store *store, char *ret_why, size_t size) {
        if (!atomic_load(&store->is_unfit))
                return false;
        store_lock_cause(store);
        (void)snprintf(ret_why, size, "%s", store->unfit);
        store_unlock_cause(store);
        return true;
}

void store_set_unfit(Store *store, const char *why) {
        store_lock_cause(store);
        (void)snprintf(store->unfit, sizeof(store->unfit), "%s", why);
        store_unlock_cause(store);
        atomic_store(&store->n_failures, STORE_BREAKER_FAILURES);
        atomic_store(&store->next_probe_usec, clock_monotonic_usec() + STORE_BREAKER_USEC);
        atomic_store(&store->is_unfit, true);
}

void store_set_fit(Store *store) {
        if (atomic_exchange(&store->is_unfit, false))
                store_note(store, 0);
}
