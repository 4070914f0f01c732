/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Ships a folder that belongs to no process of this host, such as one copied from a dead machine:
 * `shortenerctl clicks adopt DIR`. Doing it twice does nothing the second time.
 */

#include "clicks/shipper.h"

typedef struct AdoptResult {
        uint64_t shipped, bad, damaged;
} AdoptResult;

/* 1: DIR is the folder of a spool, or was; 0: it is another one, in which clicks_adopt() would
 * leave its locks for nothing. -ENOENT, -ENOTDIR, -EACCES. Nothing is written. */
int clicks_adoptable(const char *directory) _must_check_;

/* 0, or: -EADDRINUSE: a process writes there; -ENOTRECOVERABLE: the store refused too many rows in
 * a row; the store's negative result. *ret says how far it came in every case but -EADDRINUSE. The
 * folder's files stay. page: the host's, or NULL. */
int clicks_adopt(const char *directory, Store *store, const StoreHooks *hooks, HostPage *page,
                 AdoptResult *ret) _must_check_;
