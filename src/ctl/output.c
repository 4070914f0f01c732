/* SPDX-License-Identifier: MIT */

/*
 * Text for standard output, built in a Buffer. Writes nowhere itself.
 */

#include "ctl/output.h"
#include "basic/clock.h"
#include "basic/number.h"
#include "basic/utf8.h"
#include "model/details.h"

#define COLUMNS_MAX 12u

static void append_id(Buffer *out, const char *before, int64_t id) {
        buffer_append(out, slice_from_string(before));
        if (id > 0)
                buffer_append_i64(out, id);
        else
                buffer_append(out, SLICE("null"));
}

static void append_text(Buffer *out, const char *before, Slice s) {
        buffer_append(out, slice_from_string(before));
        output_string_json(out, s);
}

static void append_time(Buffer *out, const char *before, int64_t seconds) {
        char text[CLOCK_ISO_SIZE];

        clock_format_iso(seconds, 'T', text);
        append_text(out, before, slice_from_string(text));
}

void output_string_json(Buffer *out, Slice s) {
        Buffer clean = BUFFER_EMPTY;

        if (!s.data) {
                buffer_append(out, SLICE("null"));
        } else if (utf8_valid(s)) {
                details_append_string(out, s);
        } else {
                char *at = buffer_reserve(&clean, s.len);

                if (at)
                        details_append_string(out, slice_make(at, utf8_clean(s, at, s.len)));
                else
                        out->failed = true;
                buffer_done(&clean);
        }
}

void output_user_json(Buffer *out, const User *user) {
        append_time(out, "{\"created_at\":", user->created_sec);
        append_text(out, ",\"email\":", user->email);
        append_id(out, ",\"id\":", user->id);
        append_text(out, ",\"username\":", user->username);
        buffer_append_byte(out, '}');
}

void output_url_json(Buffer *out, const Url *url) {
        append_time(out, "{\"created_at\":", url->created_sec);
        append_id(out, ",\"id\":", url->id);
        buffer_append(out, SLICE(",\"is_active\":"));
        buffer_append(out, url->is_active ? SLICE("true") : SLICE("false"));
        append_text(out, ",\"original_url\":", url->target);
        append_text(out, ",\"short_code\":", url->code);
        append_text(out, ",\"title\":", url->title);
        append_time(out, ",\"updated_at\":", url->updated_sec);
        append_id(out, ",\"user_id\":", url->user_id);
        buffer_append_byte(out, '}');
}

void output_event_json(Buffer *out, const Event *event) {
        buffer_append(out, SLICE("{\"details\":"));
        buffer_append(out, event->details.data ? event->details : SLICE("null"));
        append_text(out, ",\"event_type\":", event->type);
        append_id(out, ",\"id\":", event->id);
        append_time(out, ",\"timestamp\":", event->timestamp_sec);
        append_id(out, ",\"url_id\":", event->url_id);
        append_id(out, ",\"user_id\":", event->user_id);
        buffer_append_byte(out, '}');
}

static size_t shown_width(Slice cell) {
        return utf8_valid(cell) ? utf8_length(cell) : cell.len;
}

/* Calls for each line of a table the way that slice_cut() hands them out. */
static void measure(Slice lines, size_t widths[COLUMNS_MAX]) {
        Slice line, cell;

        while (lines.len > 0) {
                (void)slice_cut(lines, '\n', &line, &lines);
                for (size_t i = 0; i < COLUMNS_MAX; i++) {
                        bool more = slice_cut(line, '\t', &cell, &line);

                        widths[i] = MAX(widths[i], shown_width(cell));
                        if (!more)
                                break;
                }
        }
}

static void pad(Buffer *out, size_t n) {
        char *at = buffer_reserve(out, n);

        if (at) {
                memset(at, ' ', n);
                out->len += n;
        }
}

static void align_line(Buffer *out, Slice line, const size_t widths[COLUMNS_MAX], unsigned right) {
        Slice cell;
        bool more = true;

        for (size_t i = 0; i < COLUMNS_MAX && more; i++) {
                size_t blanks;

                more = slice_cut(line, '\t', &cell, &line);
                blanks = widths[i] - shown_width(cell);
                if (right & (1u << i))
                        pad(out, blanks);
                buffer_append(out, cell);
                if (more)
                        pad(out, (right & (1u << i) ? 0 : blanks) + 2);
        }
        buffer_append_byte(out, '\n');
}

void output_align(Buffer *out, Slice lines, unsigned right) {
        size_t widths[COLUMNS_MAX] = {};
        Slice line;

        measure(lines, widths);
        while (lines.len > 0) {
                (void)slice_cut(lines, '\n', &line, &lines);
                align_line(out, line, widths, right);
        }
}

void output_time(Buffer *out, int64_t seconds) {
        char text[CLOCK_ISO_SIZE];

        clock_format_iso(seconds, ' ', text);
        buffer_append(out, slice_from_string(text));
}

void output_number(Buffer *out, uint64_t value) {
        char digits[NUMBER_U64_SIZE];
        size_t len = number_format_u64(value, digits);

        for (size_t i = 0; i < len; i++) {
                if (i > 0 && (len - i) % 3 == 0)
                        buffer_append_byte(out, ',');
                buffer_append_byte(out, digits[i]);
        }
}

void output_size(Buffer *out, uint64_t bytes) {
        static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
        double value = (double)bytes / 1024;
        size_t unit = 0;

        if (bytes < 1024) {
                buffer_printf(out, "%u bytes", (unsigned)bytes);
                return;
        }
        for (; value >= 1024 && unit + 1 < ELEMENTSOF(units); unit++)
                value /= 1024;
        buffer_printf(out, "%.1f %s", value, units[unit]);
}
