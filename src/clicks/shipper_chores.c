/* SPDX-License-Identifier: MIT */
/* What the shipper's thread does once a second: marks, retention, what the store forgot. */

#include "clicks/shipper_internal.h"

#include "basic/clock.h"

#define SWEEP_CHORES 10u /* each so many chores */

void shipper_count_move(Shipper *shipper, const StreamMove *move) {
        atomic_fetch_add(&shipper->n_shipped, move->rows);
        atomic_fetch_add(&shipper->n_bad, move->bad);
        atomic_fetch_add(&shipper->n_damaged, move->damaged);
        if (move->n > 0)
                shipper->moved = true;
        /* The store was restored from a backup, under connections perhaps, so nobody else was told:
         * what is kept is looked through again, and what is cached was read from another history.
         */
        if (move->backwards) {
                shipper->listed = false;
                ended_done(&shipper->ended); /* all of them are asked for again */
                if (shipper->page)
                        host_page_touch_all(shipper->page);
        }
}

int shipper_list_backlog(Shipper *shipper, bool all) {
        int r;

        r = backlog_list(&shipper->backlog, shipper->directory_fd, shipper->keep.live, all);
        shipper->listed = r == 0;
        return r;
}

int shipper_mark_live(Shipper *shipper) {
        if (!shipper->spool)
                return 0;
        return backlog_mark(shipper->directory_fd, shipper->live.id, shipper->live.position, false);
}

int shipper_sweep(Shipper *shipper) {
        return backlog_sweep(shipper->directory_fd, &shipper->keep, &shipper->shared);
}

/* Now and then: what is marked as shipped, a spool at a time; then for spools that came into the
 * folder otherwise, or whose marks were taken back. */
static void look_around(Shipper *shipper) {
        Backlog *backlog = &shipper->backlog;

        if (!shipper->listed || backlog->at < backlog->n_wanted)
                return;
        if (backlog->n_wanted < backlog->n)
                backlog->n_wanted++;
        else if (shipper->n_chores % SWEEP_CHORES == 0 && shipper_list_backlog(shipper, false) == 0)
                backlog->n = backlog->n_urgent;
}

/* Does the store know all that it was given? A step that ships hears when it does not; this is for
 * a shipper that has nothing to ship. */
static void look_back(Shipper *shipper) {
        StreamMove move = {0};
        int r = 0;

        if (shipper->spool && shipper->n_chores % SWEEP_CHORES == 0)
                r = stream_look_back(&shipper->live, &shipper->shared, &move);
        if (r == 0 && !move.backwards)
                move.backwards = ended_check(&shipper->ended, shipper->directory_fd,
                                             &shipper->shared) > 0;
        shipper_count_move(shipper, &move);
}

/* What fails here is done the next time. Without the folder's lock only the own spool is marked:
 * what is shipped of it must not count against MaxSize=. */
void shipper_chores(Shipper *shipper) {
        uint64_t now = clock_monotonic_usec();

        if (now < shipper->chores_usec || (shipper->lock_fd < 0 && !shipper->moved))
                return;
        shipper->chores_usec = now + shipper->chores_every_usec;
        if (shipper->moved)
                shipper->moved = shipper_mark_live(shipper) < 0;
        if (shipper->lock_fd < 0)
                return;
        shipper->n_chores++;
        atomic_store(&shipper->shared.in_store, true);
        tidy_run(&shipper->tidy, shipper->shared.session, now);
        atomic_store(&shipper->shared.in_store, false);
        if (shipper->n_chores % SWEEP_CHORES == 0 && shipper->retry_usec == 0)
                (void)shipper_sweep(shipper);
        if (shipper->retry_usec == 0)
                look_back(shipper);
        look_around(shipper);
        if (shipper->adopt_neighbours && shipper->page && shipper->neighbour.lock_fd < 0)
                (void)neighbour_find(&shipper->neighbour, shipper->page, shipper->directory);
}
