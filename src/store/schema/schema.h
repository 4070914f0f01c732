/* SPDX-License-Identifier: MIT */
#pragma once

/* The numbered SQL files of this folder, embedded at build time (embed.cmake). */

#include <stddef.h>

typedef struct SchemaMigration {
        int version;      /* 1, 2, 3 ... without a gap */
        const char *name; /* of the file, without .sql */
        const char *sql;
} SchemaMigration;

typedef struct SchemaSeries {
        const SchemaMigration *migrations; /* ascending */
        size_t n;
        int oldest; /* the oldest version that this program runs on */
} SchemaSeries;

extern const SchemaMigration schema_sqlite[];
extern const size_t n_schema_sqlite;
extern const SchemaMigration schema_postgres[];
extern const size_t n_schema_postgres;
