/* SPDX-License-Identifier: MIT */

/*
 * Role and database by peer authentication: root becomes postgres, as an administrator does, and
 * uses PostgreSQL's own programs. The names are checked before they become a part of a statement.
 */

#include "ctl/role.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/process.h"

#define LOCAL     "postgresql:///"
#define NAME_SIZE 64

/* Letters, digits and underscores: needs no quoting anywhere. */
static bool plain_name(const char *name) {
        size_t len = strlen(name);

        if (len == 0 || len >= NAME_SIZE)
                return false;
        for (size_t i = 0; i < len; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", name[i]))
                        return false;
        return true;
}

/* Whose the folder of the host page is: the service's user; NULL when that is root or nobody. */
static const char *service_user(const Ctl *ctl) {
        const struct passwd *user;
        struct stat st;

        if (stat(ctl->options.server.runtime_directory, &st) < 0 || st.st_uid == 0)
                return NULL;
        user = getpwuid(st.st_uid);
        return user && plain_name(user->pw_name) ? user->pw_name : NULL;
}

static int as_postgres(const char *const *words, Buffer *out) {
        /* From /, because postgres may not read the folder that root is in. */
        const char *argv[20] = {"runuser", "-u", "postgres", "--", "env", "-C", "/"};
        size_t n = 7;
        int r;

        for (size_t i = 0; words[i]; i++) {
                CHECK(n < ELEMENTSOF(argv) - 1);
                argv[n++] = words[i];
        }
        r = process_run(argv, 0, out);
        if (r < 0)
                ctl_error(argv[0], "%s", strerror(-r));
        return r;
}

/* *ret: does the query give a row? */
static int exists(const char *query, bool *ret) {
        const char *const words[] = {"psql", "-XAtq", "-d", "postgres", "-c", query, NULL};
        Buffer out = BUFFER_EMPTY;
        int r = as_postgres(words, &out);

        *ret = out.len > 0;
        buffer_done(&out);
        return r;
}

static int failed(const char *user, const char *database) {
        ctl_error(LOCAL,
                  "role %s and database %s cannot be made by way of the account postgres; is "
                  "postgresql installed and running? Its administrator can make them: "
                  "createuser %s && createdb -E UTF8 -T template0 --locale=C -O %s %s",
                  user, database, user, user, database);
        return EXIT_AGAIN;
}

int role_make(const Ctl *ctl) {
        const char *url = ctl->options.store.url, *database = url + strlen(LOCAL), *user;
        char query[NAME_SIZE + 64];
        bool there;

        if (geteuid() != 0 || strncmp(url, LOCAL, strlen(LOCAL)) != 0 || !plain_name(database))
                return EXIT_DONE;
        user = service_user(ctl);
        if (!user)
                return EXIT_DONE;

        (void)snprintf(query, sizeof query, "SELECT 1 FROM pg_roles WHERE rolname = '%s'", user);
        if (exists(query, &there) != 0)
                return failed(user, database);
        if (!there && as_postgres((const char *[]){"createuser", user, NULL}, NULL) != 0)
                return failed(user, database);
        (void)snprintf(query, sizeof query, "SELECT 1 FROM pg_database WHERE datname = '%s'",
                       database);
        if (exists(query, &there) != 0)
                return failed(user, database);
        /* Whatever the server's own encoding is; the C locale goes with any. */
        if (!there && as_postgres((const char *[]){"createdb", "-E", "UTF8", "-T", "template0",
                                                   "--locale=C", "-O", user, database, NULL},
                                  NULL) != 0)
                return failed(user, database);
        return EXIT_DONE;
}
