/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Lists: the window that page, per_page and after ask for, filters that are integers, and the
 * fields X-Total-Count and Link. One row more than asked for is read, which tells whether there is
 * a next page without trusting a total.
 */

#include "api/reply.h"
#include "work/call.h"

#define PAGING_DEFAULT 25 /* rows */
#define PAGING_MAX     100
#define PAGING_NEAR    10000 /* rows before a page that cost too little to count */

typedef struct Paging {
        StoreQuery query;
        int64_t page;     /* from 1 */
        int64_t per_page; /* 0 to PAGING_MAX */
        bool has_next;
} Paging;

/* 0; API_REFUSED: the response says why; -ENOMEM. */
int paging_read(Call *call, Paging *ret) _must_check_;

/* The query's integer `name` as a filter: results as above. *ret_has stays untouched if it was not
 * sent. wrong: the error text. */
int paging_filter_id(Call *call, const char *name, const char *wrong, bool *ret_has,
                     int64_t *ret) _must_check_;

/* Around the verb that reads the rows: pages far down a list cost a walk through all before them,
 * so of those that bound actors ask for there is one at a time, and workers are left for others.
 * API_REFUSED: there is one already, which was answered; -ENOMEM. */
int paging_begin(Call *call, const Paging *paging) _must_check_;
void paging_end(const Call *call, const Paging *paging);

/* n rows came back: how many of them to show. */
size_t paging_cut(Paging *paging, size_t n);

/* X-Total-Count (total -1: unknown) and Link; last_id: of the last row that is shown, 0 for none.
 * -ENOMEM. */
int paging_fields(Call *call, const Paging *paging, int64_t last_id, int64_t total) _must_check_;
