/* SPDX-License-Identifier: MIT */
#pragma once

/* The database of the tests, on the server that tests/lib/postgres.py started for this program. */

/* A database with the newest schema and nothing in it, the same each time. */
const char *postgres_database(void);
/* Its URL; the caller frees it. */
char *postgres_url(const char *database);
/* The same, through a PgBouncer if the program was given one. */
char *postgres_store_url(const char *database);
/* Runs SQL in a database by other means than the store; the first value of the last result, "" if
 * there is none; the caller frees it. */
char *postgres_sql(const char *database, const char *sql);
