/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The log. Entries are structured: a level (syslog.h's LOG_*), a message, and fields. Where they go
 * is decided once: native journal entries when standard error is a journal stream, readable lines
 * otherwise, JSON lines on request. Without log_thread_fd() an entry is written by the caller; with
 * it, callers put entries into a bounded kernel queue (a non-blocking socket pair) and a thread
 * takes them out, so that a blocked journal never blocks a request: what does not fit is dropped
 * and counted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "basic/slice.h"

typedef enum LogFormat {
        LOG_FORMAT_AUTO,
        LOG_FORMAT_TEXT,
        LOG_FORMAT_JSON,
        LOG_FORMAT_JOURNAL,
} LogFormat;

typedef struct LogField {
        const char *name; /* e.g. "SHORTENER_STATUS" */
        Slice value;
} LogField;

/* program: for the text form and SYSLOG_IDENTIFIER. Never fails: standard error is always there. */
void log_open(const char *program, LogFormat format, int max_level);
void log_set_max_level(int max_level);
/* Would an entry of this level be written? For what is costly to put together. */
bool log_wants(int level);

/* Switches to the queue; log_run() is the body of the thread that empties it, until log_stop(). */
int log_queue_open(void) _must_check_;
void log_run(void);
void log_stop(void);
uint64_t log_drops(void);

/* message_id: 32 hex digits of a catalog entry, or NULL. */
void log_entry(int level, const char *message_id, const LogField *fields, size_t n_fields,
               const char *format, ...) _printf_(5, 6);

#define log_error(...)   log_entry(LOG_ERR, NULL, NULL, 0, __VA_ARGS__)
#define log_warning(...) log_entry(LOG_WARNING, NULL, NULL, 0, __VA_ARGS__)
#define log_notice(...)  log_entry(LOG_NOTICE, NULL, NULL, 0, __VA_ARGS__)
#define log_info(...)    log_entry(LOG_INFO, NULL, NULL, 0, __VA_ARGS__)
#define log_debug(...)   log_entry(LOG_DEBUG, NULL, NULL, 0, __VA_ARGS__)
