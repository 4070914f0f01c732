/* SPDX-License-Identifier: MIT */

/*
 * Requests to 127.0.0.1 at a rate that does not depend on the answers (an open loop): who is slow
 * gets no fewer. A request takes the connection that has been free for longest, so that none is so
 * long that the server closes it; when none is free, it counts as unsent. With rate 0 each
 * connection asks again as soon as it is answered (a closed loop), which finds the peak.
 *
 * usage: open-load PORT create|miss|redirect RATE SECONDS CONNECTIONS [CODE...]
 *
 * A miss asks for a code that no request had before, a redirect for the given ones in turn.
 * Ends after SECONDS, or at SIGTERM. Prints one line of JSON; latencies in usec from the time when
 * a request was due, windows are the p99 of the taken ones in each 5 s; hits are answers with
 * "X-Cache: HIT".
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/number.h"

#define STATUSES      600u
#define EVENTS        256
#define DRAIN_USEC    (3 * USEC_PER_SEC) /* for what is under way at the end */
#define ANSWER_SIZE   16384u
#define REQUEST_SIZE  512u
#define WINDOW_USEC   (5 * USEC_PER_SEC)
#define WINDOWS_MAX   1000u
#define LATENCIES_MAX 40000000u /* an hour at 10,000 a second, and some */

typedef struct Connection {
        int fd;
        bool busy;
        uint64_t due_usec;
        size_t len;
        char answer[ANSWER_SIZE];
} Connection;

typedef struct Sample {
        uint32_t *usec;
        size_t n;
} Sample;

static struct sockaddr_in address = {.sin_family = AF_INET};
static bool creates;
static char **codes; /* of redirects */
static size_t n_codes;
static volatile sig_atomic_t ended;
static uint64_t first_code; /* of this run: those of another one are remembered */
static int epoll_fd;
static Connection *connections, **idle; /* a ring */
static size_t n_connections, first_idle, n_idle, n_busy;
static uint64_t n_sent, n_unsent, n_broken, n_made, n_hits, statuses[STATUSES];
static Sample taken, refused;                      /* 2xx, 3xx, 404; and the others */
static size_t windows[WINDOWS_MAX + 1], n_windows; /* where each begins in the taken ones */
static uint64_t window_ends_usec;

static void add(Sample *sample, uint64_t usec) {
        if (sample->n < LATENCIES_MAX)
                sample->usec[sample->n++] = (uint32_t)MIN(usec, (uint64_t)UINT32_MAX);
}

static void open_connection(Connection *connection) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        int one = 1;

        connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(connection->fd >= 0);
        CHECK(connect(connection->fd, (struct sockaddr *)&address, sizeof address) == 0);
        CHECK(setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
        CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) == 0);
        connection->len = 0;
}

static void reopen(Connection *connection) {
        (void)close(connection->fd);
        open_connection(connection);
}

static void ask(Connection *connection, uint64_t due_usec) {
        char request[REQUEST_SIZE], body[REQUEST_SIZE / 2];
        int len;

        n_made++;
        if (creates) {
                int n = snprintf(body, sizeof body,
                                 "{\"url\":\"https://example.com/%d/%ju\",\"title\":\"load\"}",
                                 (int)getpid(), (uintmax_t)n_made);

                len = snprintf(request, sizeof request,
                               "POST /urls HTTP/1.1\r\nHost: a\r\nContent-Type: "
                               "application/json\r\n"
                               "Content-Length: %d\r\n\r\n%s",
                               n, body);
        } else if (n_codes > 0)
                len = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n",
                               codes[n_made % n_codes]);
        else
                len = snprintf(request, sizeof request, "GET /Z%07jx HTTP/1.1\r\nHost: a\r\n\r\n",
                               (uintmax_t)(n_made + first_code));
        CHECK(len > 0 && (size_t)len < sizeof request);
        connection->busy = true;
        connection->due_usec = due_usec;
        connection->len = 0;
        n_busy++;
        n_sent++;
        if (send(connection->fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
                reopen(connection);
                (void)!send(connection->fd, request, (size_t)len, MSG_NOSIGNAL);
        }
}

static void set_idle(Connection *connection) {
        if (connection->busy)
                n_busy--;
        connection->busy = false;
        idle[(first_idle + n_idle++) % n_connections] = connection;
}

static Connection *take_idle(void) {
        Connection *connection = idle[first_idle];

        first_idle = (first_idle + 1) % n_connections;
        n_idle--;
        return connection;
}

/* The status when the answer is whole; 0: not yet. */
static unsigned answer_status(const Connection *connection) {
        const char *end = memmem(connection->answer, connection->len, "\r\n\r\n", 4), *field;
        uint64_t body = 0, status;
        Slice text;

        if (!end)
                return 0;
        field = memmem(connection->answer, (size_t)(end - connection->answer),
                       "Content-Length: ", 16);
        if (field) {
                text = slice_make(field + 16, strcspn(field + 16, "\r"));
                CHECK(number_parse_u64(text, &body) == 0);
        }
        if (connection->len < (size_t)(end - connection->answer) + 4 + body)
                return 0;
        CHECK(number_parse_u64(slice_make(connection->answer + 9, 3), &status) == 0);
        return (unsigned)(status % STATUSES);
}

static void receive(Connection *connection, bool again) {
        ssize_t n = recv(connection->fd, connection->answer + connection->len,
                         ANSWER_SIZE - 1 - connection->len, MSG_DONTWAIT);
        unsigned status;
        uint64_t now;

        if (n < 0 && errno == EAGAIN)
                return;
        if (n <= 0) {
                bool was_busy = connection->busy;

                n_broken += was_busy;
                reopen(connection);
                if (was_busy)
                        set_idle(connection);
                return;
        }
        connection->len += (size_t)n;
        connection->answer[connection->len] = '\0';
        status = answer_status(connection);
        if (status == 0 || !connection->busy)
                return;
        now = clock_monotonic_usec();
        statuses[status]++;
        n_hits += memmem(connection->answer, connection->len, "\r\nX-Cache: HIT\r", 15) != NULL;
        add(status < 400 || status == 404 ? &taken : &refused, now - connection->due_usec);
        if (memmem(connection->answer, connection->len, "\r\nConnection: close", 19))
                reopen(connection);
        set_idle(connection);
        if (again)
                ask(take_idle(), now);
}

static void wait_for_answers(uint64_t until_usec, bool again) {
        struct epoll_event events[EVENTS];
        uint64_t now = clock_monotonic_usec(), left = until_usec > now ? until_usec - now : 0;
        struct timespec wait = {.tv_sec = (time_t)(left / USEC_PER_SEC),
                                .tv_nsec = (long)(left % USEC_PER_SEC) * 1000};
        int n = epoll_pwait2(epoll_fd, events, EVENTS, &wait, NULL);

        CHECK(n >= 0 || errno == EINTR);
        for (int i = 0; i < n; i++)
                receive(events[i].data.ptr, again);
}

static void begin_windows(uint64_t now) {
        for (; now >= window_ends_usec && n_windows < WINDOWS_MAX; window_ends_usec += WINDOW_USEC)
                windows[n_windows++] = taken.n;
}

static int by_value(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return x < y ? -1 : x > y;
}

static uint32_t percentile(const Sample *sample, unsigned share) {
        return sample->usec[MIN(sample->n * share / 100, sample->n - 1)];
}

/* Before all of them are sorted. */
static void print_windows(void) {
        const char *comma = "";

        printf(", \"windows\": [");
        windows[n_windows] = taken.n;
        for (size_t i = 0; i < n_windows; i++) {
                Sample window = {taken.usec + windows[i], windows[i + 1] - windows[i]};

                if (window.n == 0)
                        continue;
                qsort(window.usec, window.n, sizeof *window.usec, by_value);
                printf("%s%u", comma, percentile(&window, 99));
                comma = ", ";
        }
        printf("]");
}

static void print_sample(const char *name, Sample *sample) {
        static const unsigned shares[] = {50, 99, 100};

        qsort(sample->usec, sample->n, sizeof *sample->usec, by_value);
        printf(", \"%s\": {\"n\": %zu", name, sample->n);
        for (size_t i = 0; i < ELEMENTSOF(shares) && sample->n > 0; i++)
                printf(", \"p%u\": %u", shares[i], percentile(sample, shares[i]));
        printf("}");
}

static void print_result(double seconds) {
        const char *comma = "";

        printf("{\"seconds\": %.3f, \"sent\": %ju, \"unsent\": %ju, \"broken\": %ju, \"hits\": "
               "%ju, "
               "\"statuses\": {",
               seconds, (uintmax_t)n_sent, (uintmax_t)n_unsent, (uintmax_t)n_broken,
               (uintmax_t)n_hits);
        for (unsigned i = 0; i < STATUSES; i++)
                if (statuses[i] > 0) {
                        printf("%s\"%u\": %ju", comma, i, (uintmax_t)statuses[i]);
                        comma = ", ";
                }
        printf("}");
        print_windows();
        print_sample("taken", &taken);
        print_sample("refused", &refused);
        printf("}\n");
}

static void run(uint64_t rate, uint64_t seconds) {
        uint64_t start = clock_monotonic_usec(), end = start + seconds * USEC_PER_SEC, n = 0, now;

        window_ends_usec = start;
        while (rate == 0 && n_idle > 0)
                ask(take_idle(), start);
        while ((now = clock_monotonic_usec()) < end && !ended) {
                uint64_t due = rate > 0 ? start + n * USEC_PER_SEC / rate : end;

                begin_windows(now);

                for (; rate > 0 && due <= now; due = start + ++n * USEC_PER_SEC / rate) {
                        if (n_idle == 0)
                                n_unsent++;
                        else
                                ask(take_idle(), due);
                }
                wait_for_answers(due, rate == 0);
        }
        end = MIN(end, now);
        while (n_busy > 0 && clock_monotonic_usec() < end + DRAIN_USEC)
                wait_for_answers(end + DRAIN_USEC, false);
        print_result((double)(end - start) / (double)USEC_PER_SEC);
}

static void on_signal(int number _unused_) {
        ended = 1;
}

static uint64_t argument(const char *text, uint64_t max) {
        uint64_t value;

        if (number_parse_u64(slice_from_string(text), &value) < 0 || value > max) {
                (void)fprintf(stderr, "open-load: %s\n", text);
                exit(EXIT_FAILURE);
        }
        return value;
}

int main(int argc, char **argv) {
        if (argc < 6 || (argc > 6) != (strcmp(argv[2], "redirect") == 0)) {
                (void)fputs("usage: open-load PORT create|miss|redirect RATE SECONDS CONNECTIONS"
                            " [CODE...]\n",
                            stderr);
                return EXIT_FAILURE;
        }
        (void)signal(SIGTERM, on_signal);
        creates = strcmp(argv[2], "create") == 0;
        codes = argv + 6;
        n_codes = (size_t)argc - 6;
        first_code = (clock_monotonic_usec() / 1000) << 8 & 0xfffffff;
        address.sin_port = htons((uint16_t)argument(argv[1], 65535));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        n_connections = (size_t)argument(argv[5], 10000);
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        connections = calloc(n_connections, sizeof *connections);
        idle = calloc(n_connections, sizeof(Connection *));
        taken.usec = malloc(LATENCIES_MAX * sizeof *taken.usec);
        refused.usec = malloc(LATENCIES_MAX * sizeof *refused.usec);
        CHECK(epoll_fd >= 0 && connections && idle && taken.usec && refused.usec);
        for (size_t i = 0; i < n_connections; i++) {
                open_connection(connections + i);
                set_idle(connections + i);
        }
        run(argument(argv[3], 1000000), argument(argv[4], 3600));
        return EXIT_SUCCESS;
}
