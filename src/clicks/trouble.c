/* SPDX-License-Identifier: MIT */

/* The shipper's thread writes it, others copy it. */

#include "clicks/trouble.h"

#include <errno.h>
#include <stdio.h>

static void set(Trouble *trouble, const char *text) {
        host_lock(&trouble->lock);
        (void)snprintf(trouble->text, sizeof(trouble->text), "%s", text);
        host_unlock(&trouble->lock);
}

void trouble_note(Trouble *trouble, int result, const StreamShared *shared, const char *directory) {
        char text[SHIPPER_TROUBLE_SIZE];

        if (result >= 0) {
                if (trouble->n_failures >= TROUBLE_TRIES)
                        set(trouble, "");
                trouble->n_failures = 0;
                return;
        }
        if (result == -ENOTRECOVERABLE)
                trouble->n_failures = TROUBLE_TRIES;
        else
                trouble->n_failures = MIN(trouble->n_failures + 1, TROUBLE_TRIES);
        if (trouble->n_failures < TROUBLE_TRIES)
                return;
        if (shared->asked_store)
                store_session_cause(shared->session, text, sizeof(text));
        else
                (void)snprintf(text, sizeof(text), "%s: %s", directory, strerror(-result));
        set(trouble, text);
}

void trouble_get(Trouble *trouble, char ret[SHIPPER_TROUBLE_SIZE]) {
        host_lock(&trouble->lock);
        memcpy(ret, trouble->text, sizeof(trouble->text));
        host_unlock(&trouble->lock);
}
