/* SPDX-License-Identifier: MIT */

/* One suite of the store's contract for every kind of store: SHORTENER_CONTRACT_STORE names it. */

#include "contract/fixture.h"

int main(void) {
        int (*const groups[])(void) = {
                        run_users,    run_urls,      run_url_changes, run_lists, run_events,
                        run_clicks,   run_positions, run_imports,     run_loads, run_sessions,
                        run_parallel, run_tokens,    run_conditions,  run_audit, run_keys,
        };
        int n_failed = 0;

        for (size_t i = 0; i < ELEMENTSOF(groups); i++)
                n_failed += groups[i]();
        return n_failed == 0 ? 0 : 1;
}
