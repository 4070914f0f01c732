/* SPDX-License-Identifier: MIT */

/* Starting and ending redis-server, see the header. */

#include "redis-server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define START_SEC 60

static uint16_t free_port(void) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
        (void)close(fd);
        return ntohs(address.sin_port);
}

static void write_configuration(const RedisServer *server) {
        char path[96];
        FILE *file;

        (void)snprintf(path, sizeof path, "%s/redis.conf", server->folder);
        file = fopen(path, "we");
        assert_non_null(file);
        (void)fprintf(file,
                      "port %u\nbind 127.0.0.1\nunixsocket %s/socket\nunixsocketperm 700\n"
                      "dir %s\nsave \"\"\nlogfile %s/log\n%s\n",
                      server->port, server->folder, server->folder, server->folder,
                      server->extra ? server->extra : "");
        assert_int_equal(fclose(file), 0);
}

static bool answers(const RedisServer *server) {
        redisContext *context = redisConnectUnix(server->place + strlen("unix:"));
        redisReply *reply = context && !context->err ? redisCommand(context, "PING") : NULL;
        bool yes = reply && reply->type != REDIS_REPLY_ERROR;

        yes = yes || (reply && strncmp(reply->str, "NOAUTH", 6) == 0);
        if (reply)
                freeReplyObject(reply);
        if (context)
                redisFree(context);
        return yes;
}

void redis_server_restart(RedisServer *server) {
        time_t end = time(NULL) + START_SEC;
        char path[96];

        (void)snprintf(path, sizeof path, "%s/redis.conf", server->folder);
        server->pid = fork();
        assert_true(server->pid >= 0);
        if (server->pid == 0) {
                (void)close(STDIN_FILENO);
                (void)open("/dev/null", O_RDONLY);
                (void)execlp("redis-server", "redis-server", path, NULL);
                (void)fprintf(stderr, "redis-server cannot be started: install it\n");
                _exit(127);
        }
        while (!answers(server)) {
                assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
                assert_true(time(NULL) < end);
                (void)usleep(5000);
        }
}

void redis_server_start(RedisServer *server, const char *extra) {
        *server = (RedisServer){.port = free_port(), .extra = extra};
        (void)snprintf(server->folder, sizeof server->folder, "/tmp/shortener-redis-XXXXXX");
        assert_non_null(mkdtemp(server->folder));
        (void)snprintf(server->place, sizeof server->place, "unix:%s/socket", server->folder);
        (void)snprintf(server->tcp, sizeof server->tcp, "redis://127.0.0.1:%u", server->port);
        write_configuration(server);
        redis_server_restart(server);
}

void redis_server_signal(const RedisServer *server, int number) {
        assert_int_equal(kill(server->pid, number), 0);
}

void redis_server_kill(RedisServer *server) {
        if (server->pid == 0)
                return;
        redis_server_signal(server, SIGKILL);
        assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
        server->pid = 0;
}

static int remove_file(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        (void)st;
        (void)flag;
        (void)ftw;
        return remove(path);
}

void redis_server_end(RedisServer *server) {
        redis_server_kill(server);
        (void)nftw(server->folder, remove_file, 8, FTW_DEPTH | FTW_PHYS);
}

redisReply *redis_server_command(const RedisServer *server, const char *format, ...) {
        redisContext *context = redisConnectUnix(server->place + strlen("unix:"));
        redisReply *reply;
        va_list args;

        assert_non_null(context);
        assert_int_equal(context->err, 0);
        va_start(args, format);
        reply = redisvCommand(context, format, args);
        va_end(args);
        assert_non_null(reply);
        redisFree(context);
        return reply;
}
