/* SPDX-License-Identifier: MIT */

/* Changes under a condition. The condition is the caller's; when it is asked is the driver's. */

#include "store/verb.h"

int store_condition_check(const StoreCondition *condition, const void *row) {
        int r;

        if (!condition)
                return 0;
        r = condition->holds(condition->userdata, row);
        if (r < 0)
                return r;
        return r > 0 ? 0 : STORE_UNMET;
}

int store_user_delete_if(StoreSession *session, int64_t id, const StoreCondition *condition) {
        return VERB(session, user_delete(session, id, condition));
}

int store_url_retire_if(StoreSession *session, int64_t id, int64_t now_sec, Slice details,
                        const StoreCondition *condition) {
        return VERB(session, url_retire(session, id, now_sec, details, condition));
}
