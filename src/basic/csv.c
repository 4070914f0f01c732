/* SPDX-License-Identifier: MIT */

/*
 * CSV. The reader is a state machine over the bytes that were fed; what it hands out depends on
 * those bytes alone, never on how they were cut into pieces.
 *
 * A broken row costs one line: the raw bytes of the row in work are kept, so that reading can go
 * back and go on with the line behind the one the row began on. A quote that is never closed
 * therefore does not swallow the good rows that follow. This stays linear: a line with an even
 * number of quotes ends its row when it is read afresh, and one with an odd number ends the scan
 * that a line above it began, so a byte is read three times at the most.
 *
 * A CR that no LF follows is data, and so is a NUL. Not thread safe.
 */

#include <errno.h>

#include "basic/csv.h"

typedef enum CsvState {
        CSV_BOM,          /* at the very start */
        CSV_ROW,          /* at the start of a row */
        CSV_FIELD,        /* at the start of a field behind a comma */
        CSV_PLAIN,        /* in a field without quotes */
        CSV_PLAIN_CR,     /* behind a CR in or right before such a field */
        CSV_QUOTED,       /* between quotes */
        CSV_QUOTED_QUOTE, /* behind a quote between quotes: the end, or half of "" */
        CSV_QUOTED_CR,    /* behind a CR behind the closing quote */
        CSV_SKIP,         /* behind a broken row: on to the next line */
} CsvState;

typedef enum CsvStep {
        CSV_STEP_ON,     /* go on */
        CSV_STEP_ROW,    /* a row is complete */
        CSV_STEP_BROKEN, /* the row is broken */
} CsvStep;

struct CsvReader {
        Buffer input;     /* raw bytes from the current row's first byte on */
        size_t row_start; /* index in input of the current row's first byte */
        size_t at;        /* index in input of the next byte to look at */
        uint64_t offset;  /* of input.data[0] in the whole input */
        uint64_t line;    /* 1-based, of the byte at `at` */
        uint64_t row_line;
        CsvState state;
        bool finished;
        size_t n_fields; /* complete ones of the current row */
        size_t n_bytes;  /* of row in use */
        size_t ends[CSV_FIELDS_MAX];
        Slice fields[CSV_FIELDS_MAX];
        char row[CSV_ROW_MAX]; /* the fields' bytes, one behind the other */
};

static bool add_bytes(CsvReader *reader, const char *data, size_t len) {
        if (len > sizeof(reader->row) - reader->n_bytes)
                return false;
        memcpy(reader->row + reader->n_bytes, data, len);
        reader->n_bytes += len;
        return true;
}

static bool end_field(CsvReader *reader) {
        if (reader->n_fields == CSV_FIELDS_MAX)
                return false;
        reader->ends[reader->n_fields++] = reader->n_bytes;
        return true;
}

static CsvStep end_row(CsvReader *reader) {
        return end_field(reader) ? CSV_STEP_ROW : CSV_STEP_BROKEN;
}

static void begin_row(CsvReader *reader) {
        reader->state = CSV_ROW;
        reader->row_start = reader->at;
        reader->row_line = reader->line;
        reader->n_fields = 0;
        reader->n_bytes = 0;
}

/* The length of the run of bytes from `at` on that mean nothing in the current state. */
static size_t run_length(const CsvReader *reader) {
        const char *data = reader->input.data + reader->at;
        size_t n = 0, len = reader->input.len - reader->at;

        if (reader->state == CSV_QUOTED)
                while (n < len && data[n] != '"' && data[n] != '\n')
                        n++;
        else
                while (n < len && data[n] != '"' && data[n] != ',' && data[n] != '\n' &&
                       data[n] != '\r')
                        n++;
        return n;
}

static CsvStep step_comma(CsvReader *reader) {
        reader->state = CSV_FIELD;
        return end_field(reader) ? CSV_STEP_ON : CSV_STEP_BROKEN;
}

static CsvStep step_plain(CsvReader *reader, char c) {
        reader->state = CSV_PLAIN;
        switch (c) {
        case '\n':
                return end_row(reader);
        case '\r':
                reader->state = CSV_PLAIN_CR;
                return CSV_STEP_ON;
        case ',':
                return step_comma(reader);
        case '"':
                return CSV_STEP_BROKEN;
        default:
                return add_bytes(reader, &c, 1) ? CSV_STEP_ON : CSV_STEP_BROKEN;
        }
}

static CsvStep step_quoted(CsvReader *reader, char c) {
        if (c == '"') {
                reader->state = CSV_QUOTED_QUOTE;
                return CSV_STEP_ON;
        }
        return add_bytes(reader, &c, 1) ? CSV_STEP_ON : CSV_STEP_BROKEN;
}

static CsvStep step_quoted_quote(CsvReader *reader, char c) {
        switch (c) {
        case '\n':
                return end_row(reader);
        case '\r':
                reader->state = CSV_QUOTED_CR;
                return CSV_STEP_ON;
        case ',':
                return step_comma(reader);
        case '"':
                reader->state = CSV_QUOTED;
                return add_bytes(reader, &c, 1) ? CSV_STEP_ON : CSV_STEP_BROKEN;
        default:
                return CSV_STEP_BROKEN;
        }
}

/* Moves over one byte. */
static CsvStep step(CsvReader *reader, char c) {
        switch (reader->state) {
        case CSV_ROW:
                if (c == '\n') {
                        begin_row(reader);
                        return CSV_STEP_ON;
                }
                __attribute__((fallthrough));
        case CSV_FIELD:
                if (c != '"')
                        return step_plain(reader, c);
                reader->state = CSV_QUOTED;
                return CSV_STEP_ON;
        case CSV_PLAIN:
                return step_plain(reader, c);
        case CSV_PLAIN_CR:
                if (c == '\n' && reader->n_fields == 0 && reader->n_bytes == 0) {
                        begin_row(reader);
                        return CSV_STEP_ON;
                }
                if (c != '\n' && !add_bytes(reader, "\r", 1))
                        return CSV_STEP_BROKEN;
                return step_plain(reader, c);
        case CSV_QUOTED:
                return step_quoted(reader, c);
        case CSV_QUOTED_QUOTE:
                return step_quoted_quote(reader, c);
        case CSV_QUOTED_CR:
                return c == '\n' ? end_row(reader) : CSV_STEP_BROKEN;
        case CSV_SKIP:
                if (c == '\n')
                        begin_row(reader);
                else
                        reader->row_start = reader->at;
                return CSV_STEP_ON;
        case CSV_BOM:
        default:
                CHECK(false);
        }
}

/* What the end of the input means. */
static CsvStep step_end(CsvReader *reader) {
        switch (reader->state) {
        case CSV_FIELD:
        case CSV_PLAIN:
        case CSV_QUOTED_QUOTE:
        case CSV_QUOTED_CR:
                return end_row(reader);
        case CSV_PLAIN_CR: /* half a line end */
                return reader->n_fields == 0 && reader->n_bytes == 0 ? CSV_STEP_ON
                                                                     : end_row(reader);
        case CSV_QUOTED:
                return CSV_STEP_BROKEN;
        case CSV_BOM:
        case CSV_ROW:
        case CSV_SKIP:
        default:
                return CSV_STEP_ON;
        }
}

/* False while the bytes at hand may still become a byte order mark. */
static bool pass_bom(CsvReader *reader) {
        static const char bom[] = {'\xEF', '\xBB', '\xBF'};
        size_t n = MIN(reader->input.len, sizeof(bom));

        if (n > 0 && memcmp(reader->input.data, bom, n) == 0) {
                if (n == sizeof(bom))
                        reader->at = n;
                else if (!reader->finished)
                        return false;
        } else if (n == 0)
                return false;
        begin_row(reader);
        return true;
}

/* Reads on until something is to be handed out; CSV_STEP_ON: the input is used up. */
static CsvStep advance(CsvReader *reader) {
        CsvStep result = CSV_STEP_ON;

        while (result == CSV_STEP_ON && reader->at < reader->input.len) {
                char c;

                if (reader->state == CSV_PLAIN || reader->state == CSV_QUOTED) {
                        size_t n = run_length(reader);

                        if (!add_bytes(reader, reader->input.data + reader->at, n))
                                return CSV_STEP_BROKEN;
                        reader->at += n;
                        if (reader->at == reader->input.len)
                                break;
                }
                c = reader->input.data[reader->at++];
                reader->line += c == '\n';
                result = step(reader, c);
        }
        if (result == CSV_STEP_ON && reader->finished) {
                result = step_end(reader);
                if (result == CSV_STEP_ON)
                        begin_row(reader);
        }
        return result;
}

CsvReader *csv_reader_free(CsvReader *reader) {
        if (!reader)
                return NULL;
        buffer_done(&reader->input);
        free(reader);
        return NULL;
}

int csv_reader_new(CsvReader **ret) {
        CsvReader *reader = calloc(1, sizeof(*reader));

        if (!reader)
                return -ENOMEM;
        reader->line = 1;
        *ret = reader;
        return 0;
}

int csv_feed(CsvReader *reader, Slice piece) {
        CHECK(!reader->finished);
        buffer_consume(&reader->input, reader->row_start);
        reader->offset += reader->row_start;
        reader->at -= reader->row_start;
        reader->row_start = 0;
        buffer_append(&reader->input, piece);
        if (!reader->input.failed)
                return 0;
        reader->input.failed = false;
        return -ENOMEM;
}

void csv_finish(CsvReader *reader) {
        reader->finished = true;
}

int csv_next(CsvReader *reader, CsvRow *ret) {
        CsvStep result;
        size_t start = 0;

        if (reader->state == CSV_BOM && !pass_bom(reader))
                return 0;
        result = advance(reader);
        if (result == CSV_STEP_ON)
                return 0;
        *ret = (CsvRow){
                        .fields = reader->fields,
                        .line = reader->row_line,
                        .offset = reader->offset + reader->row_start,
                        .broken = result == CSV_STEP_BROKEN,
        };
        if (ret->broken) {
                reader->state = CSV_SKIP;
                reader->at = reader->row_start;
                reader->line = reader->row_line;
                return 1;
        }
        for (size_t i = 0; i < reader->n_fields; i++) {
                reader->fields[i] = slice_make(reader->row + start, reader->ends[i] - start);
                start = reader->ends[i];
        }
        ret->n_fields = reader->n_fields;
        begin_row(reader);
        return 1;
}

void csv_write_field(Buffer *out, Slice field) {
        bool quoted = field.len > 0 &&
                      (field.data[0] == ' ' || field.data[0] == '\t' ||
                       field.data[field.len - 1] == ' ' || field.data[field.len - 1] == '\t');

        for (size_t i = 0; i < field.len && !quoted; i++)
                quoted = strchr("\",\r\n", field.data[i]) && field.data[i] != '\0';
        if (!quoted) {
                buffer_append(out, field);
                return;
        }
        buffer_append_byte(out, '"');
        for (size_t i = 0; i < field.len; i++) {
                if (field.data[i] == '"')
                        buffer_append_byte(out, '"');
                buffer_append_byte(out, field.data[i]);
        }
        buffer_append_byte(out, '"');
}
