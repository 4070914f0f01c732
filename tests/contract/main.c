/* SPDX-License-Identifier: MIT */

/* One suite of the store's contract for every kind of store: SHORTENER_CONTRACT_STORE names it. */

#include "contract/fixture.h"

int main(void) {
        int n_failed = 0;

        n_failed += run_users();
        n_failed += run_urls();
        return n_failed == 0 ? 0 : 1;
}
