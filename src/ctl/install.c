/* SPDX-License-Identifier: MIT */

/* Steps that change a host, see the header. */

#include "ctl/install.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/context.h"
#include "ctl/output.h"
#include "ctl/systemctl.h"
#include "sys/fd.h"

#define FILE_MAX 65536u /* bytes of a file that is compared */

void install_init(Install *install, const char *root, bool dry_run) {
        *install = (Install){.root = root ? root : "", .dry_run = dry_run, .steps = BUFFER_EMPTY};
}

/* The path below the root. Returns false, after saying so, when it is too long. */
static bool real_path(const Install *install, const char *path, char ret[static PATH_MAX]) {
        int n = snprintf(ret, PATH_MAX, "%s%s", install->root, path);

        if (n >= 0 && n < PATH_MAX)
                return true;
        ctl_error(path, "%s", strerror(ENAMETOOLONG));
        return false;
}

static void add_step(Install *install, const char *action, const char *what, const char *remark) {
        buffer_printf(&install->steps, "%s\t%s\t%s\n", action, what, remark);
}

static void fail(Install *install, const char *what, int error) {
        ctl_error(what, "%s%s", strerror(error),
                  error == EACCES || error == EPERM ? ": run this as root" : "");
        install->failed = true;
}

/* ---- looking ---- */

bool install_exists(const Install *install, const char *path) {
        char real[PATH_MAX];
        struct stat st;

        return real_path(install, path, real) && lstat(real, &st) == 0;
}

static bool has_text(const Install *install, const char *path, const Buffer *text) {
        Buffer there = BUFFER_EMPTY;
        char real[PATH_MAX];
        bool same = real_path(install, path, real) && fd_read_file(real, FILE_MAX, &there) == 0 &&
                    slice_equal(buffer_slice(&there), buffer_slice(text));

        buffer_done(&there);
        return same;
}

/* ---- files ---- */

static int make_folders(char *path) {
        for (char *at = path + 1; *at != '\0'; at++) {
                int r;

                if (*at != '/')
                        continue;
                *at = '\0';
                r = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
                *at = '/';
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A new file under another name first: a reader sees the old text or the new one. */
static int replace_file(char *path, Slice text) {
        _cleanup_fd_ int fd = -1;
        char part[PATH_MAX];
        int r;

        r = make_folders(path);
        if (r < 0)
                return r;
        r = snprintf(part, sizeof(part), "%s.part", path);
        if (r < 0 || r >= (int)sizeof(part))
                return -ENAMETOOLONG;
        fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        r = fchmod(fd, 0644) < 0 ? -errno : fd_write_all(fd, text.data, text.len);
        if (r == 0 && (fsync(fd) < 0 || rename(part, path) < 0))
                r = -errno;
        if (r < 0)
                (void)unlink(part);
        return r;
}

void install_write(Install *install, const char *path, const Buffer *text) {
        char real[PATH_MAX];
        int r;

        if (install->failed)
                return;
        if (text->failed) {
                fail(install, path, ENOMEM);
                return;
        }
        if (has_text(install, path, text)) {
                add_step(install, "keep", path, "");
                return;
        }
        if (!install->dry_run) {
                r = real_path(install, path, real) ? replace_file(real, buffer_slice(text))
                                                   : -ENAMETOOLONG;
                if (r < 0) {
                        fail(install, path, -r);
                        return;
                }
        }
        add_step(install, "write", path, "");
}

static bool links_to(const char *path, const char *target) {
        char there[PATH_MAX];
        ssize_t n = readlink(path, there, sizeof(there));

        return n >= 0 && slice_equal(slice_make(there, (size_t)n), slice_from_string(target));
}

void install_link(Install *install, const char *path, const char *target) {
        char real[PATH_MAX];

        if (install->failed || !real_path(install, path, real))
                return;
        if (links_to(real, target)) {
                add_step(install, "keep", path, "");
                return;
        }
        if (!install->dry_run && symlink(target, real) < 0) {
                fail(install, path, errno);
                return;
        }
        add_step(install, "link", path, target);
}

void install_remove(Install *install, const char *path) {
        char real[PATH_MAX], *slash;

        if (install->failed || !install_exists(install, path) || !real_path(install, path, real))
                return;
        if (!install->dry_run) {
                if (unlink(real) < 0) {
                        fail(install, path, errno);
                        return;
                }
                slash = strrchr(real, '/');
                *slash = '\0';
                /* A folder of drop-ins is ours, if it is empty now; any other is a package's. */
                if (slice_starts_with(slice_from_string(path), SLICE("/etc/systemd/system/")))
                        (void)rmdir(real);
        }
        add_step(install, "remove", path, "");
}

/* ---- commands ---- */

void install_systemctl(Install *install, const char *const words[]) {
        Buffer line = BUFFER_EMPTY;
        int r = 0;

        if (install->failed || *install->root != '\0')
                return;
        buffer_append(&line, SLICE("systemctl"));
        for (size_t i = 0; words[i]; i++)
                buffer_printf(&line, " %s", words[i]);
        buffer_append_byte(&line, '\0');
        if (line.failed) {
                fail(install, "systemctl", ENOMEM);
        } else {
                if (!install->dry_run)
                        r = systemctl_run(words, 0, NULL);
                if (r < 0) {
                        fail(install, line.data, -r);
                } else if (r > 0) {
                        ctl_error(line.data, "it ended with status %d", r);
                        install->failed = true;
                } else {
                        add_step(install, "run", line.data, "");
                }
        }
        buffer_done(&line);
}

void install_note(Install *install, const char *action, const char *what, const char *why) {
        if (!install->failed)
                add_step(install, action, what, why);
}

/* ---- the list ---- */

static void steps_json(Slice steps, Buffer *out) {
        Slice line, action, what, remark;
        bool first = true;

        buffer_append_byte(out, '[');
        while (steps.len > 0) {
                (void)slice_cut(steps, '\n', &line, &steps);
                (void)slice_cut(line, '\t', &action, &line);
                (void)slice_cut(line, '\t', &what, &remark);
                buffer_printf(out, "%s{\"action\":\"%.*s\",\"object\":", first ? "" : ",",
                              SLICE_ARG(action));
                output_string_json(out, what);
                buffer_append(out, SLICE(",\"remark\":"));
                output_string_json(out, remark.len > 0 ? remark : SLICE(""));
                buffer_append_byte(out, '}');
                first = false;
        }
        buffer_append(out, SLICE("]\n"));
}

int install_finish(Install *install, bool json, Buffer *out) {
        if (json)
                steps_json(buffer_slice(&install->steps), out);
        else
                output_align(out, buffer_slice(&install->steps), 0);
        if (install->steps.failed)
                out->failed = true;
        buffer_done(&install->steps);
        return install->failed ? EXIT_FAILED : EXIT_DONE;
}
