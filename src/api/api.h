/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The API's handlers, run on workers: one function per route, see work/call.h for what they may do
 * and return. Each validates in the order that shortener-api(7) gives, calls one store verb, and
 * fills the response. They know neither sockets nor which store it is.
 */

#include "work/call.h"

int api_users_list(Call *call) _must_check_;
int api_users_create(Call *call) _must_check_;
int api_users_get(Call *call) _must_check_;
int api_users_update(Call *call) _must_check_;
int api_users_delete(Call *call) _must_check_;
int api_users_bulk(Call *call) _must_check_;

int api_urls_list(Call *call) _must_check_;
int api_urls_create(Call *call) _must_check_;
int api_urls_get(Call *call) _must_check_;
int api_urls_update(Call *call) _must_check_;
int api_urls_delete(Call *call) _must_check_;
int api_urls_stats(Call *call) _must_check_;
int api_urls_events(Call *call) _must_check_;

int api_events_list(Call *call) _must_check_;
int api_events_create(Call *call) _must_check_;
