/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How the values of text options look: ConfigOption.check of the rows of options.c. 0, -EINVAL or
 * -ENOMEM. Pure.
 */

int option_check_absolute(const char *value); /* /path */
int option_check_absolute_or_empty(const char *value);
int option_check_listen(const char *value);   /* 127.0.0.1:8080, [::1]:8080, unix:/path */
int option_check_prefix(const char *value);   /* 10.0.0.0/8, ::1 */
int option_check_base_url(const char *value); /* scheme and host, or empty */
int option_check_store_url(const char *value);
int option_check_host_name(const char *value); /* without a port */
int option_check_limit(const char *value);     /* auto, or see limit/rate.h */
int option_check_redis(const char *value);     /* see redis-place.h, or empty */
