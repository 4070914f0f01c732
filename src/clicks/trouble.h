/* SPDX-License-Identifier: MIT */
#pragma once

/* What keeps the shipper from shipping, for whoever tells people. Private to clicks/. */

#include "clicks/shipper.h"
#include "clicks/stream.h"
#include "host/futex.h"

typedef struct Trouble {
        unsigned n_failures; /* of steps, in a row; the shipper's thread's */
        HostLock lock;       /* of the next */
        char text[SHIPPER_TROUBLE_SIZE];
} Trouble;

/* A step's result: it becomes known when TROUBLE_TRIES in a row have failed, or no more will come.
 */
#define TROUBLE_TRIES 3u
void trouble_note(Trouble *trouble, int result, const StreamShared *shared, const char *directory);
void trouble_get(Trouble *trouble, char ret[SHIPPER_TROUBLE_SIZE]); /* any thread */
