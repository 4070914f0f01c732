/* SPDX-License-Identifier: MIT */
#pragma once

/* libcurl's multi interface as sources of the loop: POSTs that never block it. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "basic/buffer.h"

typedef struct Transfers Transfers;
typedef struct Transfer Transfer; /* one target's connection; one request at a time */

typedef struct TransferResult {
        int status;                /* of HTTP; 0: there was no answer */
        const char *error;         /* then why: static text that names no URL */
        uint64_t retry_after_usec; /* Retry-After, or retry_after in the body of a 429; 0: none */
} TransferResult;

typedef void (*TransferDone)(void *userdata, const TransferResult *result);

int transfers_new(sd_event *event, Transfers **ret) _must_check_;
/* After all of its Transfers. */
Transfers *transfers_free(Transfers *transfers);
DEFINE_CLEANUP(Transfers, transfers_free)

/* url: copied. timeout_usec: of a request, names resolved and all. done() comes from the loop,
 * never from transfer_post(). */
int transfer_new(Transfers *transfers, const char *url, uint64_t timeout_usec, TransferDone done,
                 void *userdata, Transfer **ret) _must_check_;
/* A request under way is given up without done(). */
Transfer *transfer_free(Transfer *transfer);
DEFINE_CLEANUP(Transfer, transfer_free)

/* Sends body, which must stay until done(), as application/json. */
int transfer_post(Transfer *transfer, Slice body) _must_check_;
