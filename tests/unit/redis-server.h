/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A real redis-server for unit tests: in a folder of its own, on a Unix socket and, if wanted, a
 * free port of 127.0.0.1. Without an installed redis-server the test fails: it is among the
 * packages of script/packages.txt.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <hiredis/hiredis.h>

typedef struct RedisServer {
        char folder[64];
        char place[96]; /* for RedisOptions.place: "unix:..." */
        char tcp[64];   /* the same: "redis://127.0.0.1:PORT" */
        uint16_t port;
        const char *extra; /* further lines of its configuration, or NULL */
        pid_t pid;         /* 0: not running */
} RedisServer;

/* Starts it and waits until it answers. extra must stay. */
void redis_server_start(RedisServer *server, const char *extra);
/* With its dump.rdb, if it wrote one. */
void redis_server_restart(RedisServer *server);
void redis_server_signal(const RedisServer *server, int number);
void redis_server_kill(RedisServer *server);
void redis_server_end(RedisServer *server); /* and removes the folder */

/* One command over a connection of its own; the caller frees the reply. */
redisReply *redis_server_command(const RedisServer *server, const char *format, ...);
