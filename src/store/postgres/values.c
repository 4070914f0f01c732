/* SPDX-License-Identifier: MIT */

/*
 * Parameters, arrays, rows of COPY and results in PostgreSQL's binary form: integers big-endian,
 * texts as they are, a date as days since 2000.
 */

#include <endian.h>

#include "basic/utf8.h"
#include "store/postgres/session.h"

#define DAY_SEC      86400
#define EPOCH_DAYS   10957   /* from 1970-01-01 to 2000-01-01 */
#define DAY_EARLIEST -730119 /* 0001-01-01 */
#define DAY_LATEST   2921939 /* 9999-12-31 */

/* ---- parameters ---- */

static void add(PgParams *params, const char *value, size_t len) {
        CHECK(params->n < PG_PARAMS_MAX && len <= INT32_MAX);
        params->values[params->n] = value;
        params->lengths[params->n++] = (int)len;
}

/* The lower size bytes of a number. */
static void add_integer(PgParams *params, uint64_t value, size_t size) {
        uint64_t *number;

        CHECK(params->n < PG_PARAMS_MAX);
        number = &params->numbers[params->n];
        *number = htobe64(value);
        add(params, (const char *)number + sizeof(*number) - size, size);
}

void pg_add_number(PgParams *params, int64_t value) {
        add_integer(params, (uint64_t)value, sizeof(value));
}

void pg_add_id(PgParams *params, int64_t id) {
        if (id == 0)
                add(params, NULL, 0);
        else
                pg_add_number(params, id);
}

void pg_add_int(PgParams *params, int32_t value) {
        add_integer(params, (uint32_t)value, sizeof(value));
}

void pg_add_bool(PgParams *params, bool value) {
        add_integer(params, value, 1);
}

void pg_add_text(PgParams *params, Slice text) {
        add(params, text.data, text.len);
}

void pg_add_bytes(PgParams *params, Slice bytes) {
        add(params, bytes.data, bytes.len);
}

int32_t pg_day(int64_t time_sec) {
        int64_t days = time_sec / DAY_SEC - (time_sec % DAY_SEC < 0) - EPOCH_DAYS;

        return (int32_t)MIN(MAX(days, (int64_t)DAY_EARLIEST), (int64_t)DAY_LATEST);
}

void pg_add_day(PgParams *params, int64_t time_sec) {
        pg_add_int(params, pg_day(time_sec));
}

/* ---- arrays and rows ---- */

static void put_u32(Buffer *buffer, uint32_t value) {
        value = htobe32(value);
        buffer_append(buffer, slice_make((const char *)&value, sizeof(value)));
}

void pg_put_u16(Buffer *buffer, uint16_t value) {
        value = htobe16(value);
        buffer_append(buffer, slice_make((const char *)&value, sizeof(value)));
}

void pg_array(Buffer *buffer, unsigned type, size_t n) {
        CHECK(n <= INT32_MAX);
        put_u32(buffer, n > 0); /* dimensions */
        put_u32(buffer, 1);     /* there may be NULLs */
        put_u32(buffer, type);
        if (n == 0)
                return;
        put_u32(buffer, (uint32_t)n);
        put_u32(buffer, 1); /* number of the first */
}

void pg_put_number(Buffer *buffer, int64_t value) {
        uint64_t number = htobe64((uint64_t)value);

        put_u32(buffer, sizeof(number));
        buffer_append(buffer, slice_make((const char *)&number, sizeof(number)));
}

static void put_null(Buffer *buffer) {
        put_u32(buffer, UINT32_MAX);
}

void pg_put_id(Buffer *buffer, int64_t id) {
        if (id == 0)
                put_null(buffer);
        else
                pg_put_number(buffer, id);
}

void pg_put_int(Buffer *buffer, int32_t value) {
        put_u32(buffer, sizeof(value));
        put_u32(buffer, (uint32_t)value);
}

void pg_put_bool(Buffer *buffer, bool value) {
        put_u32(buffer, 1);
        buffer_append_byte(buffer, (char)value);
}

void pg_put_text(Buffer *buffer, Slice text) {
        if (!text.data) {
                put_null(buffer);
                return;
        }
        CHECK(text.len <= INT32_MAX);
        put_u32(buffer, (uint32_t)text.len);
        buffer_append(buffer, text);
}

bool pg_storable(Slice text) {
        return slice_find(text, 0) < 0 && utf8_valid(text);
}

/* ---- results ---- */

int64_t pg_number(const PGresult *result, int row, int column) {
        const unsigned char *bytes = (const unsigned char *)PQgetvalue(result, row, column);
        int len = PQgetlength(result, row, column);
        uint64_t value = 0;

        if (PQgetisnull(result, row, column))
                return 0;
        CHECK(len <= (int)sizeof(value));
        for (int i = 0; i < len; i++)
                value = value << 8 | bytes[i];
        return len == 4 ? (int32_t)value : (int64_t)value;
}

Slice pg_text(const PGresult *result, int row, int column) {
        if (PQgetisnull(result, row, column))
                return SLICE_NONE;
        return slice_make(PQgetvalue(result, row, column),
                          (size_t)PQgetlength(result, row, column));
}
