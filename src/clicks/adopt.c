/* SPDX-License-Identifier: MIT */
/* A shipper without a spool of its own, until nothing is left. */

#include <unistd.h>

#include "clicks/adopt.h"
#include "clicks/segment.h"

int clicks_adoptable(const char *directory) {
        int r, fd = segment_folder_open(directory, false);

        if (fd < 0)
                return fd;
        r = segment_folder_known(fd);
        (void)close(fd);
        return r;
}

int clicks_adopt(const char *directory, Store *store, const StoreHooks *hooks, HostPage *page,
                 AdoptResult *ret) {
        const ShipperOptions options = {
                        .directory = directory,
                        .keep_usec = UINT64_MAX,
                        .keep_size = UINT64_MAX,
        };
        _cleanup_(shipper_free_p) Shipper *shipper = NULL;
        ShipperStats stats;
        int r;

        r = shipper_new(&options, store, hooks, page, NULL, NULL, &shipper);
        if (r < 0)
                return r;
        r = shipper_drain(shipper);
        shipper_stats(shipper, &stats);
        *ret = (AdoptResult){
                        .shipped = stats.shipped,
                        .bad = stats.bad,
                        .damaged = stats.damaged,
        };
        return r;
}
