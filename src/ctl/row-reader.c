/* SPDX-License-Identifier: MIT */

/*
 * Both formats become RecordTexts, and record_parse() judges those. A CSV reader that starts in the
 * middle of a file is fed one line end first: what follows is then the second line to it, and no
 * byte order mark is looked for.
 */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/buffer.h"
#include "basic/csv.h"
#include "ctl/jsontext.h"
#include "ctl/row-reader.h"

#define PIECE     (256u * 1024) /* bytes of one read(2) */
#define MARK      SLICE("\xEF\xBB\xBF")
#define NO_COLUMN (-1)

struct RowReader {
        int fd;
        bool json_lines;
        bool ended; /* read(2) met the end */
        bool credentials;
        RecordType type;
        bool present[N_RECORD_FIELDS];

        /* CSV */
        CsvReader *csv;
        uint64_t base_offset; /* bytes and lines before what csv was fed */
        uint64_t base_line;
        int fields[CSV_FIELDS_MAX]; /* the field of each column, or NO_COLUMN */
        size_t n_columns;

        /* JSON lines */
        Buffer input;    /* read and not handed out yet */
        size_t consumed; /* of input */
        uint64_t offset; /* of input.data[consumed] in the file */
        uint64_t line;   /* 1-based, likewise */

        char piece[PIECE];
};

int row_reader_new(int fd, bool json_lines, RowReader **ret) {
        _cleanup_(row_reader_free_p) RowReader *reader = calloc(1, sizeof(*reader));
        int r;

        if (!reader)
                return -ENOMEM;
        reader->fd = fd;
        reader->json_lines = json_lines;
        reader->line = 1;
        r = csv_reader_new(&reader->csv);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(reader);
        return 0;
}

RowReader *row_reader_free(RowReader *reader) {
        if (reader) {
                (void)csv_reader_free(reader->csv);
                buffer_done(&reader->input);
                free(reader);
        }
        return NULL;
}

RecordType row_reader_type(const RowReader *reader) {
        return reader->type;
}

bool row_reader_has(const RowReader *reader, RecordField field) {
        return reader->present[field];
}

/* The next piece of the file; empty at its end. */
static int read_piece(RowReader *reader, Slice *ret) {
        ssize_t n;

        do
                n = read(reader->fd, reader->piece, sizeof(reader->piece));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        reader->ended = n == 0;
        *ret = slice_make(reader->piece, (size_t)n);
        return 0;
}

/* ---- CSV ---- */

/* 1, 0 at the end, or -errno. */
static int next_csv(RowReader *reader, CsvRow *ret) {
        Slice piece;
        int r;

        while ((r = csv_next(reader->csv, ret)) == 0 && !reader->ended) {
                r = read_piece(reader, &piece);
                if (r < 0)
                        return r;
                if (reader->ended) {
                        csv_finish(reader->csv);
                        continue;
                }
                r = csv_feed(reader->csv, piece);
                if (r < 0)
                        return r;
        }
        if (r == 1) {
                ret->offset += reader->base_offset;
                ret->line += reader->base_line;
        }
        return r;
}

static int bad_header(char **ret_problem, const char *what, Slice which) {
        if (asprintf(ret_problem, "%s%.*s", what, SLICE_ARG(which)) < 0)
                return -ENOMEM;
        return -EINVAL;
}

static int begin_csv(RowReader *reader, char **ret_problem) {
        CsvRow row;
        int r;

        r = next_csv(reader, &row);
        if (r < 0)
                return r;
        if (r == 0)
                return bad_header(ret_problem,
                                  "the file is empty: a header line must name the "
                                  "columns",
                                  SLICE_NONE);
        if (row.broken)
                return bad_header(ret_problem, "the header line is broken", SLICE_NONE);
        for (size_t i = 0; i < row.n_fields; i++) {
                int field = record_field(slice_trim(row.fields[i]));

                reader->fields[i] = field;
                if (field < 0)
                        continue;
                if (reader->present[field])
                        return bad_header(ret_problem, "two columns have the name ", row.fields[i]);
                reader->present[field] = true;
        }
        reader->n_columns = row.n_fields;
        return 0;
}

/* 1, 0 at the end, or -errno. */
static int next_csv_texts(RowReader *reader, ReadRow *ret, RecordTexts *texts) {
        CsvRow row;
        int r;

        r = next_csv(reader, &row);
        if (r <= 0)
                return r;
        ret->line = row.line;
        ret->offset = row.offset;
        if (row.broken)
                ret->problem = "the row is broken: a stray quote, or over 64 KiB or 64 fields";
        else if (row.n_fields < reader->n_columns)
                ret->problem = "the row has fewer fields than the header";
        else if (row.n_fields > reader->n_columns)
                ret->problem = "the row has more fields than the header";
        for (size_t i = 0; !ret->problem && i < row.n_fields; i++)
                if (reader->fields[i] != NO_COLUMN && row.fields[i].len > 0)
                        texts->texts[reader->fields[i]] = row.fields[i];
        return 1;
}

/* ---- JSON lines ---- */

/* The line at `consumed`, without its end. 1: *ret is borrowed from input, *ret_taken the bytes of
 * it with the end; 0: the end of the file. Over-long lines are cut short and said to be so. */
static int peek_line(RowReader *reader, Slice *ret, size_t *ret_taken, bool *ret_too_long) {
        Slice rest, piece;
        ptrdiff_t end;
        int r;

        for (;;) {
                rest = slice_from(buffer_slice(&reader->input), reader->consumed);
                end = slice_find(rest, '\n');
                *ret_too_long = (end < 0 ? rest.len : (size_t)end) > ROW_READER_LINE_MAX;
                if (end >= 0 || reader->ended || *ret_too_long)
                        break;
                buffer_consume(&reader->input, reader->consumed);
                reader->consumed = 0;
                r = read_piece(reader, &piece);
                if (r < 0)
                        return r;
                buffer_append(&reader->input, piece);
                if (reader->input.failed)
                        return -ENOMEM;
        }
        if (rest.len == 0)
                return 0;
        *ret = slice_sub(rest, 0, end < 0 ? rest.len : (size_t)end);
        *ret_taken = end < 0 ? rest.len : (size_t)end + 1;
        return 1;
}

static void take_line(RowReader *reader, size_t taken) {
        if (reader->input.data[reader->consumed + taken - 1] == '\n')
                reader->line++;
        reader->consumed += taken;
        reader->offset += taken;
}

/* Drops bytes up to the end of a line that is too long to be kept. */
static int skip_line(RowReader *reader) {
        Slice rest;
        ptrdiff_t end;
        int r;

        for (;;) {
                rest = slice_from(buffer_slice(&reader->input), reader->consumed);
                end = slice_find(rest, '\n');
                if (rest.len > 0)
                        take_line(reader, end < 0 ? rest.len : (size_t)end + 1);
                if (end >= 0 || reader->ended)
                        return 0;
                buffer_clear(&reader->input);
                reader->consumed = 0;
                r = read_piece(reader, &rest);
                if (r < 0)
                        return r;
                buffer_append(&reader->input, rest);
                if (reader->input.failed)
                        return -ENOMEM;
        }
}

/* Past blank lines, and at the very start past a byte order mark. */
static int peek_object(RowReader *reader, Slice *ret, size_t *ret_taken, bool *ret_too_long) {
        int r;

        while ((r = peek_line(reader, ret, ret_taken, ret_too_long)) == 1) {
                if (reader->offset == 0 && slice_starts_with(*ret, MARK)) {
                        take_line(reader, MARK.len);
                        continue;
                }
                if (*ret_too_long || slice_trim(*ret).len > 0)
                        return 1;
                take_line(reader, *ret_taken);
        }
        return r;
}

static const char *const wrong_kind[N_RECORD_FIELDS] = {
                [FIELD_ID] = "id must be a positive integer",
                [FIELD_USERNAME] = "username must be a string",
                [FIELD_EMAIL] = "email must be a string",
                [FIELD_USER_ID] = "user_id must be an integer",
                [FIELD_SHORT_CODE] = "short_code must be a string",
                [FIELD_ORIGINAL_URL] = "original_url must be a string",
                [FIELD_TITLE] = "title must be a string",
                [FIELD_IS_ACTIVE] = "is_active must be a boolean",
                [FIELD_URL_ID] = "url_id must be an integer",
                [FIELD_EVENT_TYPE] = "event_type must be a string",
                [FIELD_TIMESTAMP] = "timestamp must be a string",
                [FIELD_DETAILS] = "details must be a JSON object",
                [FIELD_CREATED_AT] = "created_at must be a string",
                [FIELD_UPDATED_AT] = "updated_at must be a string",
};

static bool kind_fits(RecordField field, JsonTextKind kind) {
        if (field == FIELD_ID || field == FIELD_USER_ID || field == FIELD_URL_ID)
                return kind == JSONTEXT_NUMBER;
        if (field == FIELD_IS_ACTIVE)
                return kind == JSONTEXT_TRUE || kind == JSONTEXT_FALSE;
        return kind == (field == FIELD_DETAILS ? JSONTEXT_OBJECT : JSONTEXT_STRING);
}

static void take_member(const JsonTextMember *member, ReadRow *ret, RecordTexts *texts) {
        int field = record_field(member->key);

        if (field < 0 || member->kind == JSONTEXT_NULL)
                return;
        if (!kind_fits((RecordField)field, member->kind))
                ret->problem = wrong_kind[field];
        else if (field == FIELD_IS_ACTIVE)
                texts->texts[field] =
                                member->kind == JSONTEXT_TRUE ? SLICE("true") : SLICE("false");
        else if (member->text.len > 0)
                texts->texts[field] = member->text;
}

/* 1, 0 at the end, or -errno. */
static int next_json_texts(RowReader *reader, Arena *arena, ReadRow *ret, RecordTexts *texts) {
        JsonTextMember *members;
        bool too_long;
        size_t taken, n;
        Slice line;
        int r;

        r = peek_object(reader, &line, &taken, &too_long);
        if (r <= 0)
                return r;
        ret->line = reader->line;
        ret->offset = reader->offset;
        if (too_long) {
                ret->problem = "the line is over 64 KiB";
                r = skip_line(reader);
                return r < 0 ? r : 1;
        }
        r = jsontext_members(line, arena, &members, &n);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                ret->problem = "the line is no JSON object";
        for (size_t i = 0; !ret->problem && i < n; i++)
                take_member(&members[i], ret, texts);
        take_line(reader, taken);
        return 1;
}

static int begin_json(RowReader *reader, char **ret_problem) {
        Arena arena;
        JsonTextMember *members;
        bool too_long = false;
        size_t taken, n;
        Slice line;
        int r;

        r = peek_object(reader, &line, &taken, &too_long);
        if (r < 0)
                return r;
        if (r == 0)
                return bad_header(ret_problem, "the file is empty", SLICE_NONE);
        arena_init(&arena, 0);
        r = too_long ? -EINVAL : jsontext_members(line, &arena, &members, &n);
        for (size_t i = 0; r == 0 && i < n; i++) {
                int field = record_field(members[i].key);

                if (field >= 0)
                        reader->present[field] = true;
        }
        arena_done(&arena);
        return r == -EINVAL ? bad_header(ret_problem, "the first line is no JSON object",
                                         SLICE_NONE)
                            : r;
}

/* ---- both ---- */

int row_reader_begin(RowReader *reader, RecordType wanted, char **ret_problem) {
        const char *missing;
        int r;

        r = reader->json_lines ? begin_json(reader, ret_problem) : begin_csv(reader, ret_problem);
        if (r < 0)
                return r;
        reader->type = wanted == RECORD_NONE ? record_type_of(reader->present) : wanted;
        if (reader->type == RECORD_NONE)
                return bad_header(ret_problem,
                                  "these are neither users (username, email), urls (original_url) "
                                  "nor events (event_type, url_id)",
                                  SLICE_NONE);
        missing = record_missing(reader->type, reader->present);
        if (missing)
                return bad_header(ret_problem, "there is no column ", slice_from_string(missing));
        return 0;
}

int row_reader_seek(RowReader *reader, uint64_t offset, uint64_t line) {
        int r;

        if (lseek(reader->fd, (off_t)offset, SEEK_SET) < 0)
                return -errno;
        reader->ended = false;
        if (reader->json_lines) {
                buffer_clear(&reader->input);
                reader->consumed = 0;
                reader->offset = offset;
                reader->line = line;
                return 0;
        }
        reader->csv = csv_reader_free(reader->csv);
        r = csv_reader_new(&reader->csv);
        if (r < 0)
                return r;
        reader->base_offset = offset - 1;
        reader->base_line = line - 2;
        return csv_feed(reader->csv, SLICE("\n"));
}

void row_reader_take_credentials(RowReader *reader) {
        reader->credentials = true;
}

int row_reader_next(RowReader *reader, Arena *arena, int64_t now_sec, ReadRow *ret) {
        RecordTexts texts = {.credentials = reader->credentials};
        int r;

        ret->problem = NULL;
        r = reader->json_lines ? next_json_texts(reader, arena, ret, &texts)
                               : next_csv_texts(reader, ret, &texts);
        if (r <= 0 || ret->problem)
                return r;
        r = record_parse(reader->type, &texts, now_sec, arena, &ret->record, &ret->problem);
        return r < 0 ? r : 1;
}
