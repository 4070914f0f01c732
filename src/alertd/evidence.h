/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The folder of evidence: one file for each alert, alert_<name>_<status>_<time>.json. Names hold
 * what is safe in one, never a slash; a file is only ever created, so that none is overwritten.
 * Belongs to one thread.
 */

#include "alertd/batch.h"

#define EVIDENCE_WORD_MAX 100u /* bytes of an alert's name, and of its status, in a file's name */
#define EVIDENCE_NAME_MAX 255u /* NAME_MAX */

typedef struct Evidence Evidence;

/* Makes the folder if only it is missing, not its parents. */
int evidence_open(const char *folder, Evidence **ret) _must_check_;
Evidence *evidence_free(Evidence *evidence);
DEFINE_CLEANUP(Evidence, evidence_free)
/* The folder that has the path now, made again if somebody has removed it. Not between a write and
 * its sync. */
int evidence_follow(Evidence *evidence) _must_check_;

/* The name of alert number `index` of its batch; attempt 0 is the plain one. */
void evidence_name(const BatchAlert *alert, uint64_t received_usec, size_t index, unsigned attempt,
                   char ret[EVIDENCE_NAME_MAX + 1]);

/* Writes the files of a batch; all or none. Their names go behind `names`, each with a NUL, for
 * evidence_remove(). Not on the disk before evidence_sync(). */
int evidence_write(Evidence *evidence, const Batch *batch, uint64_t received_usec,
                   Buffer *names) _must_check_;
void evidence_remove(Evidence *evidence, const Buffer *names);
/* All that was written since the last one is on the disk. */
int evidence_sync(Evidence *evidence) _must_check_;
