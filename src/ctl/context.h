/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What every verb works with: the command, the configuration, the store with one session, and the
 * host page, so that running instances see at once what shortenerctl changed. One thread.
 */

#include "basic/arena.h"
#include "config/options.h"
#include "ctl/command.h"
#include "host/gate.h"
#include "store/store.h"

/* How long one verb of the store may take for a person who waits, and for one of many rows. */
#define CTL_DEADLINE_USEC      10000000ULL
#define CTL_LONG_DEADLINE_USEC 60000000ULL

#define CTL_ACTOR_SIZE 64 /* bytes of "shortenerctl:LOGIN" */

typedef enum CtlAccess {
        CTL_READ = 0,
        CTL_WRITE = 1 << 0,      /* by way of the host page */
        CTL_CREATE = 1 << 1,     /* SQLite: makes a missing file */
        CTL_ANY_SCHEMA = 1 << 2, /* the verb looks at the schema itself */
        CTL_TRY = 1 << 3,        /* makes no file: a store in memory plays a missing one */
} CtlAccess;

struct Ctl {
        Command command;
        Options options;
        bool configured; /* options are to be freed */
        HostPage *page;  /* NULL: none is there */
        HostSlot *slot;
        Store *store;
        StoreSession *session;
        char actor[CTL_ACTOR_SIZE]; /* of the session's changes */
        Arena arena;                /* what verbs of the store returned */
        Buffer out;                 /* for standard output, see ctl_print() */
        size_t n_listed;            /* rows of the JSON array that is being printed */
};

/* Reads the configuration. The functions that return an ExitStatus have said what was wrong. */
int ctl_configure(Ctl *ctl) _must_check_;

/* Are targets with credentials good ([Links] Credentials=allow)? Reads the configuration before. */
int ctl_takes_credentials(Ctl *ctl, bool *ret) _must_check_;

/* Configuration, the state folder's owner, host page (CTL_WRITE), store, session, schema. how: of
 * CtlAccess. */
int ctl_open(Ctl *ctl, unsigned how) _must_check_;

/* How many instances this host has: --instances=, else what the generator of the units reads below
 * root. */
int ctl_instances(const Ctl *ctl, const char *root, unsigned *ret) _must_check_;

/* Maps the host page and takes a slot, if the page is there; `ctl_open` does it for writers. */
int ctl_open_page(Ctl *ctl) _must_check_;

/* The same for readers, who can do without it: a page that cannot be mapped is logged (debug). */
void ctl_try_page(Ctl *ctl);

/* The hooks that a session of this program needs; NULL without a host page. Borrowed. */
const StoreHooks *ctl_hooks(Ctl *ctl);

void ctl_close_store(Ctl *ctl);
void ctl_done(Ctl *ctl);

/* The next verbs of the session give up after usec. */
void ctl_deadline(Ctl *ctl, uint64_t usec);

/* What a person may write instead of a path: the file of a sqlite: URL; NULL for other stores. */
const char *ctl_sqlite_path(const Ctl *ctl);

bool ctl_sqlite_missing(const Ctl *ctl); /* is it one that is not there? */

/* "shortenerctl: what: why" on standard error; what may be NULL. */
void ctl_error(const char *what, const char *format, ...) _printf_(2, 3);

/* Messages go to out, a line each, until this is called with NULL. */
void ctl_keep_errors(Buffer *out);

/* The message for a store's negative result, or a positive one that the verb does not expect. */
int ctl_store_failed(const Ctl *ctl, int result);

/* A usage error that only the verb can see; returns EXIT_USAGE. */
int ctl_usage(const Ctl *ctl, const char *format, ...) _printf_(2, 3);

/*
 * Asks on a terminal; EXIT_DONE when the answer is yes, or when `option` ("yes", "force") was
 * given. Without a terminal the option must be given: EXIT_USAGE. EXIT_FAILED: the answer was no.
 */
int ctl_confirm(const Ctl *ctl, const char *option, const char *format, ...)
                _printf_(3, 4) _must_check_;

/* Writes ctl->out to standard output and clears it. */
int ctl_print(Ctl *ctl) _must_check_;
