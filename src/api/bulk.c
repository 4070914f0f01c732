/* SPDX-License-Identifier: MIT */

/*
 * The import of users from a CSV file. Rows go into the store in batches, each one transaction; a
 * bad row is skipped and told, and so a file can be sent again: what is in already is a duplicate.
 * Memory is bounded by one batch, not by the file. Runs on a worker.
 */

#include <errno.h>

#include "api/api.h"
#include "api/json.h"
#include "api/reply.h"
#include "api/users.h"
#include "basic/clock.h"
#include "basic/csv.h"
#include "http/multipart.h"
#include "model/details.h"
#include "model/text.h"

#define FILE_MAX   (10u * 1024 * 1024) /* bytes */
#define PIECE_SIZE (64u * 1024)        /* bytes handed to the CSV reader at once */
#define BATCH_ROWS 1000u               /* of one transaction */
#define ERRORS_MAX 20u                 /* skipped rows that the answer names */

#define COLUMN_NONE SIZE_MAX

static const JsonText row_username = {
                .name = "username",
                .blank = USERS_USERNAME_REQUIRED,
                .too_long = USERS_USERNAME_TOO_LONG,
                .invalid = "username is not UTF-8 or has control characters",
};

static const JsonText row_email = {
                .name = "email",
                .blank = USERS_EMAIL_REQUIRED,
                .too_long = USERS_EMAIL_TOO_LONG,
                .invalid = USERS_EMAIL_INVALID,
                .valid = text_email_valid,
};

typedef struct RowError {
        uint64_t line;
        const char *text; /* static */
} RowError;

typedef struct Columns {
        size_t n;                           /* fields of the header line */
        size_t username, email, created_at; /* index or COLUMN_NONE */
} Columns;

typedef struct Import {
        Call *call;
        Columns columns;
        Arena arena; /* texts of the batch */
        size_t n_rows;
        StoreUserRow rows[BATCH_ROWS];
        uint64_t lines[BATCH_ROWS];
        uint64_t n_imported;
        uint64_t n_skipped;
        size_t n_errors;
        RowError errors[ERRORS_MAX]; /* of the lowest lines so far, ascending */
} Import;

static Import *import_free(Import *import) {
        if (import)
                arena_done(&import->arena);
        free(import);
        return NULL;
}
DEFINE_CLEANUP(Import, import_free)

/* Rows are refused here and, at the end of their batch, by the store: the lines do not come in
 * order. */
static void skip(Import *import, uint64_t line, const char *text) {
        size_t at = import->n_errors;

        import->n_skipped++;
        while (at > 0 && import->errors[at - 1].line > line)
                at--;
        if (at == ERRORS_MAX)
                return;
        if (import->n_errors < ERRORS_MAX)
                import->n_errors++;
        memmove(&import->errors[at + 1], &import->errors[at],
                (import->n_errors - 1 - at) * sizeof(RowError));
        import->errors[at] = (RowError){line, text};
}

static int flush(Import *import) {
        int r;

        if (import->n_rows == 0)
                return 0;
        r = store_users_import(import->call->store, import->rows, import->n_rows);
        if (r != 0)
                return r < 0 ? r : -EPROTO;
        for (size_t i = 0; i < import->n_rows; i++) {
                if (import->rows[i].result == STORE_OK)
                        import->n_imported++;
                else
                        skip(import, import->lines[i],
                             import->rows[i].result == STORE_EMAIL_TAKEN ? USERS_EMAIL_TAKEN
                                                                         : USERS_USERNAME_TAKEN);
        }
        import->n_rows = 0;
        arena_reset(&import->arena);
        return 0;
}

static size_t find_column(const CsvRow *header, Slice name) {
        for (size_t i = 0; i < header->n_fields; i++) {
                if (slice_equal(slice_trim(header->fields[i]), name))
                        return i;
        }
        return COLUMN_NONE;
}

/* false: the columns that a user needs are not all there. */
static bool read_header(const CsvRow *row, Columns *ret) {
        if (row->broken)
                return false;
        ret->n = row->n_fields;
        ret->username = find_column(row, SLICE("username"));
        ret->email = find_column(row, SLICE("email"));
        ret->created_at = find_column(row, SLICE("created_at"));
        return ret->username != COLUMN_NONE && ret->email != COLUMN_NONE;
}

/* NULL, or why the row is skipped. The texts are borrowed from the row. */
static const char *read_row(const Import *import, const CsvRow *row, User *ret) {
        const Columns *columns = &import->columns;
        const char *mistake;
        Slice created_at;

        if (row->broken)
                return "the row is not valid CSV";
        if (row->n_fields < columns->n)
                return "the row has too few fields";
        mistake = json_check_text(&row_username, row->fields[columns->username], &ret->username);
        if (mistake)
                return mistake;
        mistake = json_check_text(&row_email, row->fields[columns->email], &ret->email);
        if (mistake)
                return mistake;

        ret->created_sec = (int64_t)(import->call->now_usec / USEC_PER_SEC);
        if (columns->created_at == COLUMN_NONE)
                return NULL;
        created_at = slice_trim(row->fields[columns->created_at]);
        if (created_at.len > 0 && clock_parse_iso(created_at, &ret->created_sec) < 0)
                return "created_at is not a date";
        return NULL;
}

static int add_row(Import *import, const CsvRow *row) {
        StoreUserRow *next = &import->rows[import->n_rows];
        const char *mistake;

        *next = (StoreUserRow){0};
        mistake = read_row(import, row, &next->user);
        if (mistake) {
                skip(import, row->line, mistake);
                return 0;
        }
        next->user.username = arena_dup(&import->arena, next->user.username);
        next->user.email = arena_dup(&import->arena, next->user.email);
        if (import->arena.overflow)
                return -ENOMEM;
        import->lines[import->n_rows] = row->line;
        import->n_rows++;
        return import->n_rows == BATCH_ROWS ? flush(import) : 0;
}

/* Rows that the reader has whole. 1: the file has not the columns and is of no use. */
static int add_rows(Import *import, CsvReader *reader) {
        CsvRow row;
        int r;

        for (;;) {
                r = csv_next(reader, &row);
                if (r <= 0)
                        return r;
                if (import->columns.n > 0)
                        r = add_row(import, &row);
                else
                        r = !read_header(&row, &import->columns);
                if (r != 0)
                        return r;
        }
}

static int import_file(Import *import, Slice file) {
        _cleanup_(csv_reader_free_p) CsvReader *reader = NULL;
        int r;

        r = csv_reader_new(&reader);
        while (r == 0 && file.len > 0) {
                Slice piece = slice_sub(file, 0, MIN(file.len, PIECE_SIZE));

                file = slice_from(file, piece.len);
                r = csv_feed(reader, piece);
                if (r == 0 && file.len == 0)
                        csv_finish(reader);
                if (r == 0)
                        r = add_rows(import, reader);
        }
        if (r < 0)
                return r;
        return flush(import);
}

/* {"count", "errors"?, "imported", "skipped"} */
static int reply_import(const Import *import) {
        Buffer *out = &import->call->exchange->response.body;

        buffer_append(out, SLICE("{\"count\":"));
        buffer_append_u64(out, import->n_imported);
        for (size_t i = 0; i < import->n_errors; i++) {
                buffer_append(out, i == 0 ? SLICE(",\"errors\":[") : SLICE(","));
                buffer_append(out, SLICE("{\"error\":"));
                details_append_string(out, slice_from_string(import->errors[i].text));
                buffer_append(out, SLICE(",\"row\":"));
                buffer_append_u64(out, import->errors[i].line);
                buffer_append_byte(out, '}');
        }
        if (import->n_errors > 0)
                buffer_append_byte(out, ']');
        buffer_append(out, SLICE(",\"imported\":"));
        buffer_append_u64(out, import->n_imported);
        buffer_append(out, SLICE(",\"skipped\":"));
        buffer_append_u64(out, import->n_skipped);
        buffer_append_byte(out, '}');
        return reply_finish(import->call, 201);
}

/* The import ended early with `error`: says how many rows are in, if the store is only away. */
static int reply_interrupted(const Import *import, int error) {
        Slice text;

        if (error != -EHOSTDOWN && error != -ETIMEDOUT && error != -EBUSY)
                return error;
        /* Behind a time-out nobody knows what became of the last batch. */
        text = arena_printf(&import->call->exchange->arena,
                            "Service unavailable: %s%llu rows are in",
                            error == -ETIMEDOUT ? "at least " : "",
                            (unsigned long long)import->n_imported);
        if (!text.data)
                return -ENOMEM;
        http_response_field(&import->call->exchange->response, "Retry-After", SLICE("1"));
        return call_problem(import->call, 503, text.data);
}

/* The first part named "file" that is a file; SLICE_NONE as its filename: there is none. */
static HttpPart find_file(const HttpRequest *request) {
        HttpMultipart multipart;
        HttpPart part;

        if (http_multipart_init(&multipart, request->known[HTTP_FIELD_CONTENT_TYPE],
                                request->body) < 0)
                return (HttpPart){0};
        while (http_multipart_next(&multipart, &part) == 1) {
                if (part.filename.data && slice_equal(part.name, SLICE("file")))
                        return part;
        }
        return (HttpPart){0};
}

int api_users_bulk(Call *call) {
        _cleanup_(import_free_p) Import *import = NULL;
        HttpPart file = find_file(&call->exchange->request);
        int r;

        if (!file.filename.data)
                return call_problem(call, 400, "No file provided");
        if (file.filename.len == 0)
                return call_problem(call, 400, "No file selected");
        if (file.data.len > FILE_MAX)
                return call_problem(call, 413, "File too large (max 10MB)");

        import = calloc(1, sizeof(*import));
        if (!import)
                return -ENOMEM;
        import->call = call;
        arena_init(&import->arena, 0);
        r = import_file(import, file.data);
        return r < 0 ? reply_interrupted(import, r) : reply_import(import);
}
