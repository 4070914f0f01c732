/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The body of one POST: what it says, and the texts that are made of it. A body that is not JSON,
 * or nests deeper than BATCH_DEPTH_MAX, is a batch without alerts whose root is {"raw": TEXT}; with
 * bytes that are not UTF-8, these are replaced there and "raw_hex" has the whole body.
 */

#include <jansson.h>
#include <stdbool.h>

#include "basic/buffer.h"

#define BATCH_DEPTH_MAX  64u
#define BATCH_ALERTS_MAX 4000u /* each becomes a file and a part of a message */

typedef struct BatchAlert {
        json_t *alert;                /* borrowed from the root; any JSON value */
        Slice name, status, severity; /* borrowed likewise; "unknown" when they are missing */
} BatchAlert;

typedef struct Batch {
        json_t *root; /* owned */
        BatchAlert *alerts;
        size_t n_alerts;
        bool raw;
} Batch;

/* The alerts are those of Alertmanager's {"alerts": [...]}, or of a bare list. -ENOMEM; -E2BIG:
 * more than BATCH_ALERTS_MAX of them. */
int batch_parse(Slice body, Batch *ret) _must_check_;
void batch_done(Batch *batch);

/* received: a stamp_iso(). Each appends to out, whose failure is the caller's to see. */
void batch_append_line(const Batch *batch, const char *received, Buffer *out);
void batch_append_evidence(const BatchAlert *alert, const char *received, Buffer *out);
/* Any value, compact, on one line. */
void batch_append_json(json_t *value, Buffer *out);

/* labels.NAME or annotations.NAME of an alert, as FIELD says; SLICE_NONE when it is not a string.
 */
Slice batch_text(json_t *alert, const char *field, const char *name);
/* A member of the alert itself, e.g. "startsAt". */
Slice batch_member(json_t *alert, const char *name);
