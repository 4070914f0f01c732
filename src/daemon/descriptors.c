/* SPDX-License-Identifier: MIT */

/*
 * Who may have how many of the descriptors that RLIMIT_NOFILE allows. What the store and the spool
 * need is kept from clients: without a descriptor no segment is begun, and visits are lost.
 */

#include <sys/resource.h>

#include "daemon/manager.h"
#include "sys/log.h"

#define OWN_FILES     64u /* listeners, queues, timers, the spool's segments, pages, lists, /proc */
#define SESSION_FILES 4u  /* of a session with SQLite: the file, its log, index and journal */
#define OWN_SESSIONS  5u  /* importer, resolver, watcher, warm-up, shipper */
#define SPILL_FILES   16u /* request bodies in files, at least */

/* As much as wanted, if the hard limit is not below; what is allowed now. */
static size_t raise_limit(size_t wanted) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return wanted;
        if (limit.rlim_cur < wanted) {
                rlim_t soft = limit.rlim_cur;

                limit.rlim_cur = MIN((rlim_t)wanted, limit.rlim_max);
                if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                        limit.rlim_cur = soft;
        }
        return (size_t)limit.rlim_cur;
}

void manager_divide_descriptors(const Manager *manager, HttpServerOptions *options) {
        size_t own = OWN_FILES + SESSION_FILES * (manager->options.server.workers + OWN_SESSIONS),
               limit = raise_limit(own + options->max_connections + SPILL_FILES),
               room = limit - MIN(limit, own);

        if (room < options->max_connections + SPILL_FILES) {
                options->max_connections = room > SPILL_FILES ? room - SPILL_FILES : 1;
                log_warning("[Server] MaxConnections=: %zu, because no more than %zu files may be "
                            "open (LimitNOFILE=)",
                            options->max_connections, limit);
        }
        options->spill_files = MAX(room - MIN(room, options->max_connections), (size_t)SPILL_FILES);
}
