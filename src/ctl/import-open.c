/* SPDX-License-Identifier: MIT */

/*
 * What an import needs before its first row: the file, what kind of rows it has, the store, and
 * whether an earlier run left off in it. Files are opened as who called, before and beside the
 * store's owner (owner.h).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "ctl/import-found.h"
#include "ctl/import.h"
#include "ctl/owner.h"

#define HEAD_SIZE (64 * 1024) /* bytes that tell one file from another */

static int out_of_memory(void) {
        ctl_error("import", "out of memory");
        return EXIT_AGAIN;
}

static bool ends_with(const char *text, const char *end) {
        size_t len = strlen(text), end_len = strlen(end);

        return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static int open_input(Import *import) {
        struct stat st;

        if (strcmp(import->path, "-") == 0) {
                import->fd = STDIN_FILENO;
                return EXIT_DONE;
        }
        import->fd = open(import->path, O_RDONLY | O_CLOEXEC);
        if (import->fd < 0 || fstat(import->fd, &st) < 0) {
                ctl_error(import->path, "%s", strerror(errno));
                return EXIT_FAILED;
        }
        if (S_ISDIR(st.st_mode)) {
                ctl_error(import->path, "%s", strerror(EISDIR));
                return EXIT_FAILED;
        }
        import->is_file = S_ISREG(st.st_mode);
        if (import->is_file)
                import->state.file_size = (uint64_t)st.st_size;
        (void)posix_fadvise(import->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        return EXIT_DONE;
}

/* What tells this file from another of the same name. */
static int read_head(Import *import) {
        _cleanup_free_ char *head = malloc(HEAD_SIZE);
        ssize_t n;

        if (!head)
                return out_of_memory();
        n = pread(import->fd, head, HEAD_SIZE, 0);
        if (n < 0) {
                ctl_error(import->path, "%s", strerror(errno));
                return EXIT_FAILED;
        }
        import->state.file_head = hash_crc32c(0, head, (size_t)n);
        return EXIT_DONE;
}

static int begin_reader(Import *import) {
        const char *type = command_value(&import->ctl->command, "type");
        _cleanup_free_ char *problem = NULL;
        RecordType wanted = type ? record_type(type) : RECORD_NONE;
        bool credentials;
        int r;

        if (type && wanted == RECORD_NONE)
                return ctl_usage(import->ctl, "--type=%s: users, urls or events", type);
        r = ctl_takes_credentials(import->ctl, &credentials);
        if (r != EXIT_DONE)
                return r;
        r = row_reader_new(import->fd,
                           ends_with(import->path, ".jsonl") || ends_with(import->path, ".ndjson"),
                           &import->reader);
        if (r == 0 && credentials)
                row_reader_take_credentials(import->reader);
        if (r == 0)
                r = row_reader_begin(import->reader, wanted, &problem);
        if (r == -EINVAL) {
                ctl_error(import->path, "%s", problem);
                return EXIT_FAILED;
        }
        if (r < 0) {
                ctl_error(import->path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        import->state.type = row_reader_type(import->reader);
        for (size_t i = 0; i < ELEMENTSOF(import->batches); i++)
                if (batch_new(import->state.type, &import->batches[i]) < 0)
                        return out_of_memory();
        return EXIT_DONE;
}

/* ---- the state's file ---- */

static bool same_import(const ImportState *a, const ImportState *b) {
        return a->file_size == b->file_size && a->file_head == b->file_head &&
               a->store == b->store && a->type == b->type;
}

static int state_failed(const Import *import, int r) {
        switch (r) {
        case -EEXIST:
                ctl_error(import->path,
                          "an import of it was interrupted: go on with --resume, or "
                          "remove %s to begin again",
                          import->state_path);
                return EXIT_FAILED;
        case -ENOENT:
                ctl_error(import->path, "there is nothing to resume: %s is not there",
                          import->state_path);
                return EXIT_FAILED;
        case -EWOULDBLOCK:
                ctl_error(import->path, "another shortenerctl is importing it");
                return EXIT_AGAIN;
        case -EBADMSG:
                ctl_error(import->state_path, "damaged: remove it and import without --resume; "
                                              "rows that are in already are then refused, except "
                                              "links without a code and events without an id, "
                                              "which come twice");
                return EXIT_FAILED;
        case -EACCES:
        case -EROFS:
                ctl_error(import->state_path,
                          "%s: the import notes there how far it is: import a copy elsewhere, or "
                          "from standard input",
                          strerror(-r));
                return EXIT_FAILED;
        default:
                ctl_error(import->state_path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
}

static int resume(Import *import, const ImportState *kept) {
        int r;

        if (!same_import(&import->state, kept)) {
                ctl_error(import->path,
                          "this is not the file or the store that was imported: "
                          "remove %s and import without --resume",
                          import->state_path);
                return EXIT_FAILED;
        }
        import->state = *kept;
        import->resumed = true;
        import->target.unsettled = true;
        r = row_reader_seek(import->reader, kept->offset, kept->line);
        if (r < 0) {
                ctl_error(import->path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        return EXIT_DONE;
}

static int open_state(Import *import, bool wants_resume) {
        ImportState kept = {};
        int r;

        owner_suspend();
        r = import_file_open(import->state_path, wants_resume, &import->file, &kept);
        owner_resume();
        if (r < 0)
                return state_failed(import, r);
        if (r == 1)
                return resume(import, &kept);
        return EXIT_DONE;
}

static bool is_input(const Import *import, const char *path) {
        struct stat input, other;

        return fstat(import->fd, &input) == 0 && stat(path, &other) == 0 &&
               S_ISREG(input.st_mode) && input.st_dev == other.st_dev &&
               input.st_ino == other.st_ino;
}

static int make_paths(Import *import) {
        const char *errors = command_value(&import->ctl->command, "errors");
        bool beside = import->is_file && !import->dry_run;

        if (beside && asprintf(&import->state_path, "%s.state", import->path) < 0)
                import->state_path = NULL;
        if (errors)
                import->errors_path = strdup(errors);
        else if (beside && asprintf(&import->errors_path, "%s.errors", import->path) < 0)
                import->errors_path = NULL;
        if (errors && is_input(import, errors)) {
                ctl_error(errors, "is the file that is imported: give --errors another one");
                return EXIT_FAILED;
        }
        return (beside && !import->state_path) || ((beside || errors) && !import->errors_path)
                               ? out_of_memory()
                               : EXIT_DONE;
}

static int open_store(Import *import) {
        const char *url;
        int r;

        r = ctl_open(import->ctl, CTL_WRITE);
        if (r != EXIT_DONE)
                return r;
        url = store_url_shown(import->ctl->store);
        import->state.store = hash_crc32c(0, url, strlen(url));
        import->state.key = hash_key_random();
        import->state.code_length = import->ctl->options.links.code_length;
        import->target = (ImportTarget){
                        .session = import->ctl->session,
                        .with_events = !row_reader_has(import->reader, FIELD_ID),
        };
        r = import_last_id(import->ctl->session, import->state.type, &import->state.last_id);
        return r == 0 ? EXIT_DONE : ctl_store_failed(import->ctl, r);
}

int import_begin(Import *import) {
        bool wants_resume = command_flag(&import->ctl->command, "resume");
        int r;

        import->dry_run = command_flag(&import->ctl->command, "dry-run");
        if (import->dry_run && wants_resume)
                return ctl_usage(import->ctl, "--dry-run keeps nothing to --resume");
        r = open_input(import);
        if (r == EXIT_DONE && import->is_file)
                r = read_head(import);
        if (r == EXIT_DONE && wants_resume && !import->is_file)
                return ctl_usage(import->ctl, "%s is no file: it cannot be resumed", import->path);
        if (r == EXIT_DONE)
                r = begin_reader(import);
        if (r == EXIT_DONE)
                r = make_paths(import);
        if (r == EXIT_DONE && !import->dry_run)
                r = open_store(import);
        import->batch_rows =
                        import->ctl->store ? store_import_rows(import->ctl->store) : BATCH_ROWS;
        if (r == EXIT_DONE && import->state_path)
                r = open_state(import, wants_resume);
        if (r == EXIT_DONE && !import->resumed)
                import->state.now_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
        if (r != EXIT_DONE)
                return r;
        r = row_errors_begin(&import->errors, import->path, import->errors_path,
                             import->state.errors_size, import->dry_run);
        if (r < 0) {
                ctl_error(import->errors_path, "%s", strerror(-r));
                return EXIT_FAILED;
        }
        return EXIT_DONE;
}

void import_done(Import *import) {
        (void)import_file_close(import->file);
        for (size_t i = 0; i < ELEMENTSOF(import->batches); i++)
                (void)batch_free(import->batches[i]);
        (void)row_reader_free(import->reader);
        if (import->fd > STDERR_FILENO)
                (void)close(import->fd);
        free(import->state_path);
        free(import->errors_path);
        free(import);
}
