/* SPDX-License-Identifier: MIT */
#pragma once

/* StoreHooks over the host page: how a writer's change reaches every cache of the host. */

#include "host/page.h"
#include "store/store.h"

typedef struct HostWriter {
        HostPage *page;
        HostSlot *slot;
        unsigned index; /* of the writer in its slot */
} HostWriter;

/* writer must outlive the session that gets the hooks. */
StoreHooks host_writer_hooks(HostWriter *writer);
