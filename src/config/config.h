/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The configuration engine: one table of options per program makes the parser, --dump-config, the
 * range checks and the reload. Sources in order, later wins: built-in, file, FILE.d drop-ins
 * (*.conf, in name order), environment SHORTENER_<SECTION>_<KEY>, --set. The file is INI as systemd
 * has it (libinih). A list option takes words and may be repeated, an empty value resets it; the
 * environment and the first --set of a list replace what the files said. An unknown key, a bad
 * value or one out of range is an error that names source, line and what is allowed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basic/buffer.h"
#include "basic/check.h"

typedef enum ConfigType {
        CONFIG_TEXT,   /* char *, "" when empty */
        CONFIG_LIST,   /* char **, NULL terminated, never NULL */
        CONFIG_BOOL,   /* bool: yes/no, true/false, on/off, 1/0 */
        CONFIG_NUMBER, /* uint64_t */
        CONFIG_SIZE,   /* uint64_t bytes, with K M G T */
        CONFIG_SPAN,   /* uint64_t usec */
        CONFIG_CHOICE, /* int: index into choices */
} ConfigType;

typedef struct ConfigOption {
        const char *section;
        const char *key;
        ConfigType type;
        size_t offset;       /* into the program's options struct */
        const char *initial; /* default, as text; "" for none */
        uint64_t min, max;   /* NUMBER, SIZE, SPAN (usec) */
        const char *choices; /* CHOICE: "open|token" */
        bool reloadable;     /* SIGHUP applies it; else a change is named as needing a restart */
        int (*check)(const char *value); /* of a text or of each item of a list: 0, -EINVAL,
                                            -ENOMEM; may be NULL */
        bool secret;         /* TEXT and LIST: neither errors nor --dump-config show it */
        bool redact;         /* TEXT: --dump-config shows it by redact_append() */
        const char *allowed; /* for the error text where type and range don't say it */
        const char *help;    /* one line, for --dump-config */
} ConfigOption;

typedef struct ConfigSources {
        const char *file; /* NULL: none; a missing file is an error only when file_required */
        bool file_required;
        char **environment;     /* environ, or NULL */
        const char *const *set; /* "SECTION.KEY=VALUE", NULL terminated, or NULL */
} ConfigSources;

/* Fills *options (zeroed by the caller) from defaults and sources. On failure -EINVAL (or -errno),
 * *ret_error is a malloc'ed text "FILE:LINE: [Section] Key=: what: why", and *options must still be
 * freed. */
int config_load(const ConfigOption *table, size_t n, const ConfigSources *sources, void *options,
                char **ret_error) _must_check_;
void config_free(const ConfigOption *table, size_t n, void *options);

/* The whole effective configuration as a file that config_load() reads back to the same, but for
 * what is secret, and passwords that are shown as ***. */
void config_dump(const ConfigOption *table, size_t n, const void *options, Buffer *out);

/* Names ("Section.Key") of options that differ; reloadable or not as asked. For the reload's
 * message. */
void config_diff(const ConfigOption *table, size_t n, const void *old, const void *new,
                 bool reloadable, Buffer *out);
