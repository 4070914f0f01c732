/* SPDX-License-Identifier: MIT */

/*
 * Progress bar. Rates and the time left come from this run alone: what a resumed import had done
 * before says nothing about the speed of now.
 */

#include <inttypes.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "basic/clock.h"
#include "ctl/output.h"
#include "ctl/progress.h"
#include "sys/fd.h"

#define FIRST_USEC    (1 * USEC_PER_SEC)    /* what is done by then needs no bar */
#define INTERVAL_USEC (100 * USEC_PER_MSEC) /* between two drawings */
#define COLUMNS_MIN   20u
#define COLUMNS_USUAL 80u
#define BAR_MAX       30u /* columns of the bar, its brackets not counted */
#define BAR_MIN       5u
#define ERASE         "\r\033[K" /* back to the line's begin, and nothing behind it */

static size_t terminal_columns(int fd) {
        struct winsize size;

        if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col < COLUMNS_MIN)
                return COLUMNS_USUAL;
        return size.ws_col;
}

void progress_begin(Progress *progress, int fd, const char *name, uint64_t total, uint64_t done,
                    uint64_t rows) {
        *progress = (Progress){
                        .name = name,
                        .fd = isatty(fd) ? fd : -1,
                        .total = total,
                        .first_done = done,
                        .first_rows = rows,
                        .started_usec = clock_monotonic_usec(),
        };
}

static void append_span(Buffer *out, uint64_t seconds) {
        if (seconds >= 3600)
                buffer_printf(out, "%" PRIu64 ":%02u:%02u", seconds / 3600,
                              (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
        else
                buffer_printf(out, "%u:%02u", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
}

static void append_bar(Buffer *out, double part, size_t width) {
        size_t full = (size_t)(part * (double)width);

        buffer_append(out, SLICE(" ["));
        for (size_t i = 0; i < width; i++)
                buffer_append_byte(out, i < full ? '#' : '.');
        buffer_append_byte(out, ']');
}

void progress_format(const Progress *progress, uint64_t now_usec, uint64_t done, uint64_t rows,
                     size_t columns, Buffer *out) {
        Buffer figures = BUFFER_EMPTY;
        uint64_t usec = MAX(now_usec - progress->started_usec, (uint64_t)1);
        double seconds = (double)usec / (double)USEC_PER_SEC;
        double speed = (double)(done - progress->first_done) / seconds;
        size_t name_len = strlen(progress->name);

        if (progress->total > 0)
                buffer_printf(&figures, " %3u %%",
                              (unsigned)(MIN(done, progress->total) * 100 / progress->total));
        buffer_append_byte(&figures, ' ');
        output_number(&figures, rows);
        buffer_append(&figures, SLICE(" rows, "));
        output_number(&figures, (uint64_t)((double)(rows - progress->first_rows) / seconds));
        buffer_append(&figures, SLICE("/s"));
        if (progress->total > done && speed > 0) {
                buffer_append(&figures, SLICE(", ETA "));
                append_span(&figures, (uint64_t)((double)(progress->total - done) / speed));
        }

        /* The figures matter most, then the bar, then the name. */
        if (name_len + figures.len <= columns)
                buffer_append(out, slice_make(progress->name, name_len));
        else
                name_len = 0;
        if (progress->total > 0 && columns >= name_len + figures.len + BAR_MIN + 3)
                append_bar(out, (double)MIN(done, progress->total) / (double)progress->total,
                           MIN((size_t)BAR_MAX, columns - name_len - figures.len - 3));
        buffer_append(out, slice_sub(buffer_slice(&figures), 0, MIN(figures.len, columns)));
        if (figures.failed)
                out->failed = true;
        buffer_done(&figures);
}

void progress_update(Progress *progress, uint64_t done, uint64_t rows) {
        Buffer line = BUFFER_EMPTY;
        uint64_t now;

        if (progress->fd < 0)
                return;
        now = clock_monotonic_usec();
        if (now < progress->started_usec + FIRST_USEC || now < progress->drawn_usec + INTERVAL_USEC)
                return;
        buffer_append_byte(&line, '\r');
        progress_format(progress, now, done, rows, terminal_columns(progress->fd) - 1, &line);
        buffer_append(&line, SLICE("\033[K"));
        progress->drawn_usec = now;
        if (!line.failed && fd_write_all(progress->fd, line.data, line.len) < 0)
                progress->fd = -1; /* the terminal is gone */
        buffer_done(&line);
}

void progress_end(Progress *progress) {
        if (progress->fd >= 0 && progress->drawn_usec > 0 &&
            fd_write_all(progress->fd, ERASE, strlen(ERASE)) < 0)
                progress->drawn_usec = 0;
        progress->fd = -1;
}
