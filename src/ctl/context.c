/* SPDX-License-Identifier: MIT */

/*
 * Opening and closing what verbs work with, and the messages they share.
 */

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "basic/redact.h"
#include "config/instances.h"
#include "ctl/context.h"
#include "ctl/login.h"
#include "ctl/owner.h"
#include "sys/log.h"

#define CONFIG_FILE "/etc/shortener/shortener.conf"
#define SQLITE      "sqlite:"
#define ACTOR       "shortenerctl:"

/* ---- messages ---- */

static Buffer *kept_errors; /* see ctl_keep_errors() */

_printf_(2, 0) static void print_message(const char *what, const char *format, va_list arguments) {
        char text[2048];

        (void)vsnprintf(text, sizeof(text), format, arguments);
        if (kept_errors)
                buffer_printf(kept_errors, "%s%s%s\n", what ? what : "", what ? ": " : "", text);
        else
                (void)fprintf(stderr, "shortenerctl: %s%s%s\n", what ? what : "", what ? ": " : "",
                              text);
}

void ctl_keep_errors(Buffer *out) {
        kept_errors = out;
}

void ctl_error(const char *what, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        print_message(what, format, arguments);
        va_end(arguments);
}

int ctl_usage(const Ctl *ctl, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        print_message(ctl->command.verb->name, format, arguments);
        va_end(arguments);
        (void)fprintf(stderr, "Try 'shortenerctl %s --help'.\n", ctl->command.verb->name);
        return EXIT_USAGE;
}

int ctl_store_failed(const Ctl *ctl, int result) {
        const char *what = ctl->store ? store_url_shown(ctl->store) : "store";
        const char *why = ctl->session ? store_session_error(ctl->session) : "";

        switch (result) {
        case -EHOSTDOWN:
        case -ETIMEDOUT:
                ctl_error(what,
                          "%s: it cannot be reached now; try again, or see what "
                          "\"shortenerctl doctor\" says",
                          *why ? why : "away");
                return EXIT_AGAIN;
        case -EBUSY:
                ctl_error(what, "%s: another writer holds it; try again", *why ? why : "busy");
                return EXIT_AGAIN;
        case -ENOMEM:
                ctl_error(what, "out of memory");
                return EXIT_AGAIN;
        case STORE_BAD_SCHEMA:
                ctl_error(what, "%s: say which file with --store= or [Store] URL=", why);
                return EXIT_CONFIG;
        default:
                if (result < 0)
                        ctl_error(what, "%s", *why ? why : strerror(-result));
                else
                        ctl_error(what, "unexpected result %d", result);
                return EXIT_FAILED;
        }
}

int ctl_confirm(const Ctl *ctl, const char *option, const char *format, ...) {
        char answer[16];
        va_list arguments;

        if (command_flag(&ctl->command, option))
                return EXIT_DONE;
        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
                ctl_error(ctl->command.verb->name,
                          "this cannot be undone: give --%s where no terminal is there to ask on",
                          option);
                return EXIT_USAGE;
        }
        va_start(arguments, format);
        (void)vfprintf(stderr, format, arguments);
        va_end(arguments);
        (void)fputs(" [y/N] ", stderr);
        if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y')) {
                ctl_error(ctl->command.verb->name, "nothing was changed");
                return EXIT_FAILED;
        }
        return EXIT_DONE;
}

int ctl_print(Ctl *ctl) {
        bool failed = ctl->out.failed;

        if (!failed && ctl->out.len > 0)
                failed = fwrite(ctl->out.data, ctl->out.len, 1, stdout) != 1;
        if (failed || fflush(stdout) == EOF) {
                ctl_error("standard output", "%s",
                          ctl->out.failed ? "out of memory" : strerror(errno));
                buffer_clear(&ctl->out);
                return EXIT_FAILED;
        }
        buffer_clear(&ctl->out);
        return EXIT_DONE;
}

/* ---- configuration ---- */

int ctl_configure(Ctl *ctl) {
        static const int levels[] = {LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG};
        _cleanup_free_ char *error = NULL;
        _cleanup_free_ char *store = NULL;
        Command *command = &ctl->command;
        ConfigSources sources = {
                        .file = command->config ? command->config : CONFIG_FILE,
                        .file_required = command->config != NULL,
                        .environment = environ,
                        .set = command->sets,
        };
        int r;

        if (ctl->configured)
                return EXIT_DONE;
        if (command->store) {
                if (asprintf(&store, "Store.URL=%s", command->store) < 0) {
                        store = NULL;
                        return ctl_store_failed(ctl, -ENOMEM);
                }
                command->sets[command->n_sets] = store; /* the last word; its place was kept */
        }
        r = options_load(&sources, &ctl->options, &error);
        command->sets[command->n_sets] = NULL;
        ctl->configured = true;
        if (r < 0) {
                ctl_error(NULL, "%s", error ? error : strerror(-r));
                return EXIT_CONFIG;
        }
        log_set_max_level(levels[ctl->options.log.level]);
        return EXIT_DONE;
}

int ctl_takes_credentials(Ctl *ctl, bool *ret) {
        int r = ctl_configure(ctl);

        if (r == EXIT_DONE)
                *ret = !ctl->options.links.credentials;
        return r;
}

const char *ctl_sqlite_path(const Ctl *ctl) {
        const char *url = ctl->options.store.url;

        return strncmp(url, SQLITE, strlen(SQLITE)) == 0 ? url + strlen(SQLITE) : NULL;
}

bool ctl_sqlite_missing(const Ctl *ctl) {
        const char *path = ctl_sqlite_path(ctl);

        return path && access(path, F_OK) < 0 && errno == ENOENT;
}

/* ---- host page ---- */

int ctl_open_page(Ctl *ctl) {
        _cleanup_free_ char *path = NULL;
        const char *folder = ctl->options.server.runtime_directory;
        char name[HOST_NAME_SIZE];
        int r;

        if (ctl->page)
                return EXIT_DONE;
        if (asprintf(&path, "%s/page", folder) < 0) {
                path = NULL;
                return ctl_store_failed(ctl, -ENOMEM);
        }
        if (access(path, F_OK) < 0 && errno == ENOENT) {
                log_debug("no host page at %s: no instance has run here, none needs to be told",
                          path);
                return EXIT_DONE;
        }
        r = host_page_open(folder, &ctl->page);
        if (r < 0) {
                ctl_error(path,
                          "the host page cannot be mapped: %s: run this as the service's "
                          "user or root",
                          strerror(-r));
                return EXIT_FAILED;
        }
        (void)snprintf(name, sizeof(name), "shortenerctl-%d", (int)getpid());
        r = host_slot_claim(ctl->page, name, "", &ctl->slot);
        if (r < 0) {
                ctl_error(host_page_path(ctl->page), "no slot is free: %s", strerror(-r));
                return EXIT_AGAIN;
        }
        return EXIT_DONE;
}

void ctl_try_page(Ctl *ctl) {
        Buffer message = BUFFER_EMPTY;

        ctl_keep_errors(&message);
        if (ctl_open_page(ctl) != EXIT_DONE)
                log_debug("%.*s", SLICE_ARG(slice_trim(buffer_slice(&message))));
        ctl_keep_errors(NULL);
        buffer_done(&message);
}

static void hook_waiting(void *userdata, int delta) {
        Ctl *ctl = userdata;

        host_slot_waiting(ctl->slot, delta);
}

static int hook_enter(void *userdata, uint64_t deadline_usec, void **ret_pass) {
        Ctl *ctl = userdata;

        return host_gate_enter(ctl->page, deadline_usec, ret_pass);
}

static void hook_leave(void *userdata _unused_, void *pass) {
        host_gate_leave(pass);
}

static unsigned hook_n_waiting(void *userdata) {
        Ctl *ctl = userdata;

        return host_page_n_waiting(ctl->page);
}

/* The page is looked at first: an instance that has just begun may have made another one. */
static void hook_committing(void *userdata, const Slice *codes, size_t n_codes) {
        Ctl *ctl = userdata;

        (void)host_page_check(ctl->page);
        host_writer_committing(ctl->slot, 0, codes, n_codes);
}

static void hook_making(void *userdata, const Slice *codes, size_t n_codes) {
        Ctl *ctl = userdata;

        (void)host_page_check(ctl->page);
        host_writer_making(ctl->slot, 0, codes, n_codes);
}

static void hook_committed(void *userdata) {
        Ctl *ctl = userdata;

        host_writer_committed(ctl->slot, 0);
}

const StoreHooks *ctl_hooks(Ctl *ctl) {
        static StoreHooks hooks;

        if (!ctl->slot)
                return NULL;
        hooks = (StoreHooks){
                        .userdata = ctl,
                        .waiting = hook_waiting,
                        .enter = hook_enter,
                        .leave = hook_leave,
                        .n_waiting = hook_n_waiting,
                        .committing = hook_committing,
                        .making = hook_making,
                        .committed = hook_committed,
        };
        return &hooks;
}

/* ---- instances ---- */

int ctl_instances(const Ctl *ctl, const char *root, unsigned *ret) {
        const char *given = command_value(&ctl->command, "instances");
        Buffer problems = BUFFER_EMPTY;
        char path[PATH_MAX];
        uint64_t n;
        int r = EXIT_DONE;

        if (given) {
                if (number_parse_u64(slice_from_string(given), &n) < 0 || n > INSTANCES_MAX)
                        return ctl_usage(ctl, "--instances=%s: a number from 0 to %u is wanted",
                                         given, INSTANCES_MAX);
                *ret = (unsigned)n;
                return EXIT_DONE;
        }
        (void)snprintf(path, sizeof(path), "%s" INSTANCES_FILE, root);
        if (instances_read(path, &problems, ret) < 0) {
                ctl_error(NULL, "%.*s", SLICE_ARG(slice_trim(buffer_slice(&problems))));
                r = EXIT_CONFIG;
        }
        buffer_done(&problems);
        return r;
}

/* ---- store ---- */

static int check_schema(Ctl *ctl) {
        const char *what = store_url_shown(ctl->store);
        StoreSchema schema;
        int r;

        r = store_schema(ctl->session, &schema);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        if (schema.version == 0)
                ctl_error(what, "it has no schema yet: run \"shortenerctl db init\"");
        else if (schema.version < schema.oldest)
                ctl_error(what,
                          "schema %d is too old for this program, which needs %d: run "
                          "\"shortenerctl db migrate\"",
                          schema.version, schema.oldest);
        else if (schema.version > schema.supported)
                ctl_error(what,
                          "schema %d is newer than this program knows (%d): use the "
                          "shortenerctl that \"db migrate\" was run with",
                          schema.version, schema.supported);
        else
                return EXIT_DONE;
        return EXIT_CONFIG;
}

/* Is the folder there that path lies in? */
static bool has_folder(const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : NULL;

        return !folder || access(folder, F_OK) == 0;
}

/* The URL is what is wrong. */
static int store_refused(const char *url, int result) {
        Buffer shown = BUFFER_EMPTY;

        redact_append(&shown, slice_from_string(url));
        ctl_error("[Store] URL", "\"%.*s\" %s", SLICE_ARG(buffer_slice(&shown)),
                  store_refusal(result));
        buffer_done(&shown);
        return EXIT_CONFIG;
}

static void name_actor(Ctl *ctl) {
        size_t len = strlen(ACTOR);

        memcpy(ctl->actor, ACTOR, len);
        login_name(ctl->actor + len, sizeof(ctl->actor) - len);
        store_session_actor(ctl->session, &(StoreActor){.name = slice_from_string(ctl->actor)});
}

/* There is no file of SQLite's, or an empty one. */
static bool is_unmade(const Ctl *ctl) {
        const char *path = ctl_sqlite_path(ctl);
        struct stat st;

        return path && (ctl_sqlite_missing(ctl) ||
                        (stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0));
}

static int open_session(Ctl *ctl, unsigned how) {
        StoreOptions options = {
                        .connect_usec = CTL_DEADLINE_USEC,
                        .create = (how & CTL_CREATE) != 0,
                        .unprepared = !ctl->options.store.prepared,
                        .timeline_folders = {ctl->options.server.runtime_directory},
                        .timeline_read_only = true,
        };
        const char *url = ctl->options.store.url;
        int r;

        if (how & CTL_TRY && is_unmade(ctl)) {
                url = "fake:";
        } else if (!options.create && ctl_sqlite_missing(ctl)) {
                ctl_error(ctl->options.store.url, "the file is not there: run \"shortenerctl db "
                                                  "init\" to make it, or say which with --store=");
                return EXIT_CONFIG;
        }
        if (how & (CTL_CREATE | CTL_TRY) && ctl_sqlite_missing(ctl) &&
            !has_folder(ctl_sqlite_path(ctl))) {
                ctl_error(ctl->options.store.url, "its folder is not there: make it, for the "
                                                  "service's user");
                return EXIT_FAILED;
        }
        r = store_new(url, &options, &ctl->store);
        if (r == -ELIBACC) {
                ctl_error("libpq.so.5",
                          "it cannot be loaded: install libpq5 (Debian) or libpq (Fedora)");
                return EXIT_FAILED;
        }
        if (r == -ENOMEM)
                return ctl_store_failed(ctl, r);
        if (r < 0)
                return store_refused(ctl->options.store.url, r);
        r = store_session_new(ctl->store, ctl_hooks(ctl), &ctl->session);
        if (r != 0)
                return ctl_store_failed(ctl, r);
        name_actor(ctl);
        ctl_deadline(ctl, CTL_DEADLINE_USEC);
        return how & CTL_ANY_SCHEMA ? EXIT_DONE : check_schema(ctl);
}

/* Root becomes who the service is: for SQLite the owner of the file's folder, else that of the host
 * page's, whom PostgreSQL knows by its peer. */
static int become_service(const Ctl *ctl) {
        _cleanup_free_ char *page = NULL;
        const char *path = ctl_sqlite_path(ctl);
        int r;

        if (!path) {
                if (asprintf(&page, "%s/page", ctl->options.server.runtime_directory) < 0) {
                        page = NULL;
                        return ctl_store_failed(ctl, -ENOMEM);
                }
                path = page;
        }
        r = owner_become(path);
        if (r < 0) {
                ctl_error(path, "cannot become the owner of its folder: %s", strerror(-r));
                return EXIT_FAILED;
        }
        return EXIT_DONE;
}

int ctl_open(Ctl *ctl, unsigned how) {
        int r;

        r = ctl_configure(ctl);
        if (r == EXIT_DONE)
                r = become_service(ctl);
        if (r != EXIT_DONE)
                return r;
        if (how & CTL_WRITE) {
                r = ctl_open_page(ctl);
                if (r != EXIT_DONE)
                        return r;
        }
        return open_session(ctl, how);
}

void ctl_deadline(Ctl *ctl, uint64_t usec) {
        store_session_deadline(ctl->session, usec > 0 ? clock_monotonic_usec() + usec : 0);
}

void ctl_close_store(Ctl *ctl) {
        ctl->session = store_session_free(ctl->session);
        ctl->store = store_free(ctl->store);
}

void ctl_done(Ctl *ctl) {
        ctl_close_store(ctl);
        ctl->slot = host_slot_release(ctl->slot);
        ctl->page = host_page_free(ctl->page);
        if (ctl->configured)
                config_free(options_table, n_options, &ctl->options);
        arena_done(&ctl->arena);
        buffer_done(&ctl->out);
}
