/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests on a real PostgreSQL server share: tests/lib/postgres.py has started it for the
 * program, which may freeze it, and talks to it through a proxy that cuts connections. */

#include "contract/postgres.h"
#include "store/postgres/session.h"
#include "unit/store/support.h"

/* SIGSTOP and SIGCONT for all of the server's processes. */
void server_freeze(void);
void server_thaw(void);

/* A Unix socket in a folder of its own; what comes in goes to the server. */
typedef struct Proxy Proxy;
Proxy *proxy_new(void);
Proxy *proxy_free(Proxy *proxy);
char *proxy_url(const Proxy *proxy, const char *database); /* the caller frees it */
/* The next piece from a client that has this text goes on to the server, then the client's
 * connection is cut, without the answer. NULL: no longer. */
void proxy_cut_behind(Proxy *proxy, const char *text);
/* The n-th piece from a client from now on is lost with its connection; 0: none. */
void proxy_cut_at(Proxy *proxy, unsigned n);
bool proxy_has_cut(const Proxy *proxy);        /* since either of the two was asked for */
unsigned proxy_n_accepted(const Proxy *proxy); /* connections so far */
void proxy_refuse(Proxy *proxy, bool refuse);  /* new ones are closed at once */

/* Store and session; the store's URL is freed. */
Store *pg_open_store(char *url, bool unprepared);
/* Calls ping until it answers 0. */
void wait_until_up(StoreSession *session);
