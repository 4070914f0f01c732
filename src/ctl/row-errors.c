/* SPDX-License-Identifier: MIT */

/*
 * The errors' file is the caller's, so it is opened as who called (owner.h). It is made with the
 * first error.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/buffer.h"
#include "basic/csv.h"
#include "ctl/context.h"
#include "ctl/owner.h"
#include "ctl/row-errors.h"
#include "sys/fd.h"

#define SHOWN_MAX 10u /* on standard error */

int row_errors_begin(RowErrors *errors, const char *input, const char *path, uint64_t size,
                     bool dry_run) {
        struct stat st;
        int r = 0;

        errors->input = input;
        errors->path = path;
        errors->fd = -1;
        errors->size = size;
        errors->n_shown = errors->n_hidden = 0;
        errors->n_pending = 0;
        if (!path || size > 0 || dry_run)
                return 0;
        owner_suspend();
        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && unlink(path) < 0)
                r = -errno;
        owner_resume();
        return r;
}

void row_errors_add(RowErrors *errors, uint64_t line, const char *problem) {
        CHECK(errors->n_pending < ELEMENTSOF(errors->pending));
        errors->pending[errors->n_pending++] = (RowError){line, problem};
}

static int compare_lines(const void *left, const void *right) {
        const RowError *a = left, *b = right;

        return a->line < b->line ? -1 : a->line > b->line;
}

static void show(RowErrors *errors) {
        for (size_t i = 0; i < errors->n_pending; i++) {
                if (errors->n_shown == SHOWN_MAX) {
                        errors->n_hidden += errors->n_pending - i;
                        return;
                }
                errors->n_shown++;
                ctl_error(NULL, "%s:%" PRIu64 ": %s", errors->input, errors->pending[i].line,
                          errors->pending[i].problem);
        }
}

/* Opens the file at its true size. */
static int open_file(RowErrors *errors) {
        int r = 0;

        if (errors->fd >= 0)
                return 0;
        owner_suspend();
        errors->fd = open(errors->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (errors->fd < 0)
                r = -errno;
        owner_resume();
        if (r < 0)
                return r;
        /* What stands behind it was written by a run that died before it counted. */
        if (ftruncate(errors->fd, (off_t)errors->size) < 0 && errno != EINVAL)
                return -errno;
        if (lseek(errors->fd, (off_t)errors->size, SEEK_SET) < 0 && errno != ESPIPE)
                return -errno;
        return 0;
}

static int keep(RowErrors *errors) {
        Buffer text = BUFFER_EMPTY;
        int r;

        r = open_file(errors);
        if (r < 0)
                return r;
        if (errors->size == 0)
                buffer_append(&text, SLICE("line,error\n"));
        for (size_t i = 0; i < errors->n_pending; i++) {
                buffer_append_u64(&text, errors->pending[i].line);
                buffer_append_byte(&text, ',');
                csv_write_field(&text, slice_from_string(errors->pending[i].problem));
                buffer_append_byte(&text, '\n');
        }
        r = text.failed ? -ENOMEM : fd_write_all(errors->fd, text.data, text.len);
        if (r == 0)
                errors->size += text.len;
        buffer_done(&text);
        return r;
}

int row_errors_flush(RowErrors *errors) {
        int r = 0;

        if (errors->n_pending == 0)
                return 0;
        qsort(errors->pending, errors->n_pending, sizeof(*errors->pending), compare_lines);
        show(errors);
        if (errors->path)
                r = keep(errors);
        errors->n_pending = 0;
        return r;
}

void row_errors_end(RowErrors *errors) {
        if (errors->n_hidden > 0)
                ctl_error(NULL, "%s: %" PRIu64 " more such rows", errors->input, errors->n_hidden);
        if (errors->fd >= 0)
                (void)close(errors->fd);
        errors->fd = -1;
}
