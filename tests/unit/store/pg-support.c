/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "unit/store/pg-support.h"

#define PAIRS_MAX 16u
#define PORT      "5432"

/* ---- the server's processes ---- */

static pid_t postmaster(void) {
        const char *text = getenv("SHORTENER_TEST_POSTGRES_PID");
        uint64_t pid = 0;

        if (!text || number_parse_u64(slice_from_string(text), &pid) < 0)
                fail_msg("run by tests/lib/postgres.py, which starts a server");
        return (pid_t)pid;
}

static void signal_all(int number) {
        char path[64];
        FILE *file;
        int pid;

        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", postmaster(), postmaster());
        (void)kill(postmaster(), number);
        file = fopen(path, "re");
        assert_non_null(file);
        while (fscanf(file, "%d", &pid) == 1)
                (void)kill(pid, number);
        (void)fclose(file);
}

void server_freeze(void) {
        signal_all(SIGSTOP);
}

void server_thaw(void) {
        signal_all(SIGCONT);
}

/* ---- the proxy ---- */

typedef struct Pair {
        int client, server; /* descriptors; -1: free */
} Pair;

struct Proxy {
        char folder[64];
        int listener;
        int wake[2]; /* a pipe: its end stops the thread */
        Pair pairs[PAIRS_MAX];
        pthread_t thread;
        pthread_mutex_t lock;
        const char *cut_behind;
        unsigned cut_at;
        atomic_bool refuse;
        atomic_bool has_cut;
        atomic_uint n_accepted;
};

static int unix_socket(const char *folder, bool listens) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL." PORT, folder);
        if (listens) {
                assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
                assert_int_equal(listen(fd, 64), 0);
        } else if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                (void)close(fd);
                return -1;
        }
        return fd;
}

static void close_pair(Pair *pair) {
        (void)close(pair->client);
        (void)close(pair->server);
        *pair = (Pair){-1, -1};
}

static void accept_client(Proxy *proxy) {
        int client = accept(proxy->listener, NULL, NULL), server;

        atomic_fetch_add(&proxy->n_accepted, 1);
        server = atomic_load(&proxy->refuse)
                                 ? -1
                                 : unix_socket(getenv("SHORTENER_TEST_POSTGRES"), false);
        for (size_t i = 0; i < PAIRS_MAX && server >= 0; i++) {
                if (proxy->pairs[i].client >= 0)
                        continue;
                proxy->pairs[i] = (Pair){client, server};
                return;
        }
        (void)close(client);
        (void)close(server);
}

static bool send_all(int fd, const char *data, size_t len) {
        while (len > 0) {
                ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

                if (n <= 0)
                        return false;
                data += n;
                len -= (size_t)n;
        }
        return true;
}

/* From the client: goes on, or is the piece at which the connection ends. */
static bool pass_up(Proxy *proxy, const Pair *pair) {
        char data[65536];
        ssize_t n = recv(pair->client, data, sizeof(data), 0);
        bool cut_now, cut_then;

        if (n <= 0)
                return false;
        (void)pthread_mutex_lock(&proxy->lock);
        cut_now = proxy->cut_at == 1;
        proxy->cut_at -= proxy->cut_at > 0;
        cut_then = proxy->cut_behind &&
                   memmem(data, (size_t)n, proxy->cut_behind, strlen(proxy->cut_behind));
        if (cut_then)
                proxy->cut_behind = NULL;
        (void)pthread_mutex_unlock(&proxy->lock);
        if (cut_now || cut_then)
                atomic_store(&proxy->has_cut, true);
        return !cut_now && send_all(pair->server, data, (size_t)n) && !cut_then;
}

static bool pass_down(const Pair *pair) {
        char data[65536];
        ssize_t n = recv(pair->server, data, sizeof(data), 0);

        return n > 0 && send_all(pair->client, data, (size_t)n);
}

static void *run(void *userdata) {
        Proxy *proxy = userdata;
        struct pollfd fds[2 + 2 * PAIRS_MAX];

        for (;;) {
                fds[0] = (struct pollfd){.fd = proxy->wake[0], .events = POLLIN};
                fds[1] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
                for (size_t i = 0; i < PAIRS_MAX; i++) {
                        fds[2 + 2 * i] = (struct pollfd){.fd = proxy->pairs[i].client,
                                                         .events = POLLIN};
                        fds[3 + 2 * i] = (struct pollfd){.fd = proxy->pairs[i].server,
                                                         .events = POLLIN};
                }
                if (poll(fds, ELEMENTSOF(fds), -1) < 0)
                        continue;
                if (fds[0].revents)
                        return NULL;
                for (size_t i = 0; i < PAIRS_MAX; i++) {
                        Pair *pair = &proxy->pairs[i];

                        if (pair->client >= 0 && fds[2 + 2 * i].revents && !pass_up(proxy, pair))
                                close_pair(pair);
                        if (pair->client >= 0 && fds[3 + 2 * i].revents && !pass_down(pair))
                                close_pair(pair);
                }
                if (fds[1].revents)
                        accept_client(proxy);
        }
}

Proxy *proxy_new(void) {
        Proxy *proxy = calloc(1, sizeof(*proxy));

        CHECK(proxy);
        (void)snprintf(proxy->folder, sizeof(proxy->folder), "/tmp/shortener-proxy-XXXXXX");
        assert_non_null(mkdtemp(proxy->folder));
        proxy->listener = unix_socket(proxy->folder, true);
        for (size_t i = 0; i < PAIRS_MAX; i++)
                proxy->pairs[i] = (Pair){-1, -1};
        assert_int_equal(pipe(proxy->wake), 0);
        assert_int_equal(pthread_mutex_init(&proxy->lock, NULL), 0);
        assert_int_equal(pthread_create(&proxy->thread, NULL, run, proxy), 0);
        return proxy;
}

Proxy *proxy_free(Proxy *proxy) {
        char path[128];

        (void)close(proxy->wake[1]);
        assert_int_equal(pthread_join(proxy->thread, NULL), 0);
        for (size_t i = 0; i < PAIRS_MAX; i++)
                if (proxy->pairs[i].client >= 0)
                        close_pair(&proxy->pairs[i]);
        (void)close(proxy->wake[0]);
        (void)close(proxy->listener);
        (void)snprintf(path, sizeof(path), "%s/.s.PGSQL." PORT, proxy->folder);
        (void)unlink(path);
        (void)rmdir(proxy->folder);
        (void)pthread_mutex_destroy(&proxy->lock);
        free(proxy);
        return NULL;
}

char *proxy_url(const Proxy *proxy, const char *database) {
        char *url = NULL;

        CHECK(asprintf(&url, "postgresql:///%s?host=%s&user=postgres", database, proxy->folder) >
              0);
        return url;
}

void proxy_cut_behind(Proxy *proxy, const char *text) {
        (void)pthread_mutex_lock(&proxy->lock);
        proxy->cut_behind = text;
        atomic_store(&proxy->has_cut, false);
        (void)pthread_mutex_unlock(&proxy->lock);
}

void proxy_cut_at(Proxy *proxy, unsigned n) {
        (void)pthread_mutex_lock(&proxy->lock);
        proxy->cut_at = n;
        atomic_store(&proxy->has_cut, false);
        (void)pthread_mutex_unlock(&proxy->lock);
}

bool proxy_has_cut(const Proxy *proxy) {
        return atomic_load(&proxy->has_cut);
}

unsigned proxy_n_accepted(const Proxy *proxy) {
        return atomic_load(&proxy->n_accepted);
}

void proxy_refuse(Proxy *proxy, bool refuse) {
        atomic_store(&proxy->refuse, refuse);
}

/* ---- stores ---- */

Store *pg_open_store(char *url, bool unprepared) {
        const StoreOptions options = {.connect_usec = 20 * USEC_PER_SEC, .unprepared = unprepared};
        Store *store = NULL;

        assert_int_equal(store_new(url, &options, &store), 0);
        free(url);
        return store;
}

void wait_until_up(StoreSession *session) {
        uint64_t end_usec = clock_monotonic_usec() + 30 * USEC_PER_SEC;
        int r;

        do {
                deadline_in(session, 20 * USEC_PER_SEC);
                r = store_ping(session);
                if (r != 0)
                        (void)usleep(20000);
        } while (r != 0 && clock_monotonic_usec() < end_usec);
        if (r != 0)
                fail_msg("not back: %s", store_session_error(session));
}
