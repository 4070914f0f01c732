/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How far a target has come: one small file with two slots that are written in turns, so that a
 * crash in a write leaves the other. Storing never needs disk space. position_store() is a write
 * into the page cache, which a killed process does not lose; position_sync() brings it to the disk
 * and may run on another thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/check.h"

typedef struct Position {
        int fd;
        uint64_t generation;
        uint64_t seq; /* the last alert that is done with */
        uint64_t n_forwarded, n_failed;
} Position;

/* folder: a descriptor. A new file starts at seq. */
int position_open(int folder, const char *name, uint64_t seq, Position *ret) _must_check_;
void position_close(Position *position);
int position_store(Position *position) _must_check_;
int position_sync(const Position *position) _must_check_;
