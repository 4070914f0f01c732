/* SPDX-License-Identifier: MIT */

/*
 * CSV: any bytes. Fed in one piece and byte by byte they give the same rows; lines and offsets only
 * grow; what is not broken keeps the limits, and is read back the same when it is written again.
 */

#include <stddef.h>
#include <stdint.h>

#include "basic/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(Buffer *out, const CsvRow *row) {
        buffer_printf(out, "%llu %llu %d %zu\n", (unsigned long long)row->line,
                      (unsigned long long)row->offset, row->broken, row->n_fields);
        for (size_t i = 0; i < row->n_fields; i++) {
                buffer_printf(out, "%zu:", row->fields[i].len);
                buffer_append(out, row->fields[i]);
        }
}

static void check_row(const CsvRow *row, size_t size) {
        size_t n_bytes = 0;

        CHECK(row->offset < size);
        CHECK(row->broken ? row->n_fields == 0 : row->n_fields > 0);
        CHECK(row->n_fields <= CSV_FIELDS_MAX);
        for (size_t i = 0; i < row->n_fields; i++)
                n_bytes += row->fields[i].len;
        CHECK(n_bytes <= CSV_ROW_MAX);
}

/* Rows that are not broken, as CSV again. An empty line would be no row. */
static void write_row(Buffer *out, const CsvRow *row) {
        if (row->broken || (row->n_fields == 1 && row->fields[0].len == 0))
                return;
        for (size_t i = 0; i < row->n_fields; i++) {
                if (i > 0)
                        buffer_append_byte(out, ',');
                csv_write_field(out, row->fields[i]);
        }
        buffer_append_byte(out, '\n');
}

static void read_all(Slice text, size_t piece, Buffer *out, Buffer *written) {
        uint64_t line = 0, end = 0;
        CsvReader *reader;
        CsvRow row;

        CHECK(csv_reader_new(&reader) == 0);
        for (size_t at = 0; at <= text.len; at += piece) {
                if (at == text.len)
                        csv_finish(reader);
                else
                        CHECK(csv_feed(reader, slice_sub(text, at, at + piece)) == 0);
                while (csv_next(reader, &row) == 1) {
                        check_row(&row, text.len);
                        CHECK(row.line > line && row.offset >= end);
                        line = row.line;
                        end = row.offset + 1;
                        render(out, &row);
                        write_row(written, &row);
                }
        }
        csv_reader_free(reader);
        CHECK(!out->failed && !written->failed);
}

static void check_written(Slice text) {
        Buffer marked = BUFFER_EMPTY, rows = BUFFER_EMPTY, again = BUFFER_EMPTY;

        /* The first field may begin with the bytes of a mark; a real one in front protects them. */
        buffer_append(&marked, SLICE("\xEF\xBB\xBF"));
        buffer_append(&marked, text);
        CHECK(!marked.failed);
        read_all(buffer_slice(&marked), marked.len, &rows, &again);
        CHECK(slice_equal(buffer_slice(&again), text));
        buffer_done(&marked);
        buffer_done(&rows);
        buffer_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice text = slice_make((const char *)data, size);
        Buffer whole = BUFFER_EMPTY, bytes = BUFFER_EMPTY;
        Buffer written = BUFFER_EMPTY, unused = BUFFER_EMPTY;

        if (size == 0)
                return 0;
        read_all(text, size, &whole, &written);
        read_all(text, 1, &bytes, &unused);
        CHECK(slice_equal(buffer_slice(&whole), buffer_slice(&bytes)));
        check_written(buffer_slice(&written));
        buffer_done(&whole);
        buffer_done(&bytes);
        buffer_done(&written);
        buffer_done(&unused);
        return 0;
}
