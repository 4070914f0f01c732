/* SPDX-License-Identifier: MIT */

/* Queues between threads, see the header. A mutex each; nothing is held while a thread works. */

#include "work/inbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "basic/clock.h"
#include "sys/fd.h"

struct Inbox {
        pthread_mutex_t lock;
        pthread_cond_t ready;
        ListNode nodes;
        size_t n, limit;
        bool closed;
};

struct Outbox {
        pthread_mutex_t lock;
        ListNode nodes;
        int fd;
};

static void list_splice(ListNode *from, ListNode *to) {
        while (!list_empty(from)) {
                ListNode *node = list_first(from);

                list_remove(node);
                list_append(to, node);
        }
}

int inbox_new(size_t limit, Inbox **ret) {
        Inbox *inbox = calloc(1, sizeof *inbox);
        pthread_condattr_t attr;

        if (!inbox)
                return -ENOMEM;
        inbox->limit = limit;
        list_init(&inbox->nodes);
        (void)pthread_mutex_init(&inbox->lock, NULL);
        (void)pthread_condattr_init(&attr);
        (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        (void)pthread_cond_init(&inbox->ready, &attr);
        (void)pthread_condattr_destroy(&attr);
        *ret = inbox;
        return 0;
}

Inbox *inbox_free(Inbox *inbox) {
        if (!inbox)
                return NULL;
        CHECK(list_empty(&inbox->nodes));
        (void)pthread_cond_destroy(&inbox->ready);
        (void)pthread_mutex_destroy(&inbox->lock);
        free(inbox);
        return NULL;
}

int inbox_push(Inbox *inbox, ListNode *node) {
        int r = 0;

        (void)pthread_mutex_lock(&inbox->lock);
        if (inbox->n >= inbox->limit || inbox->closed)
                r = -ENOBUFS;
        else {
                list_append(&inbox->nodes, node);
                inbox->n++;
                (void)pthread_cond_signal(&inbox->ready);
        }
        (void)pthread_mutex_unlock(&inbox->lock);
        return r;
}

void inbox_return(Inbox *inbox, ListNode *node) {
        (void)pthread_mutex_lock(&inbox->lock);
        list_append(inbox->nodes.next, node); /* before the first */
        inbox->n++;
        (void)pthread_cond_signal(&inbox->ready);
        (void)pthread_mutex_unlock(&inbox->lock);
}

/* With the lock held: waits until there is a node, the inbox is closed or time is up. */
static void wait_ready(Inbox *inbox, uint64_t usec) {
        uint64_t until = clock_monotonic_usec() + usec;
        struct timespec ts = {.tv_sec = (time_t)(until / USEC_PER_SEC),
                              .tv_nsec = (long)(until % USEC_PER_SEC) * 1000};

        while (inbox->n == 0 && !inbox->closed) {
                if (usec == 0)
                        (void)pthread_cond_wait(&inbox->ready, &inbox->lock);
                else if (pthread_cond_timedwait(&inbox->ready, &inbox->lock, &ts) == ETIMEDOUT)
                        return;
        }
}

ListNode *inbox_take(Inbox *inbox, uint64_t usec) {
        ListNode *node;

        (void)pthread_mutex_lock(&inbox->lock);
        wait_ready(inbox, usec);
        node = list_first(&inbox->nodes);
        if (node) {
                list_remove(node);
                inbox->n--;
        }
        (void)pthread_mutex_unlock(&inbox->lock);
        return node;
}

bool inbox_take_all(Inbox *inbox, uint64_t usec, ListNode *head) {
        bool any;

        (void)pthread_mutex_lock(&inbox->lock);
        wait_ready(inbox, usec);
        any = inbox->n > 0;
        list_splice(&inbox->nodes, head);
        inbox->n = 0;
        (void)pthread_mutex_unlock(&inbox->lock);
        return any;
}

void inbox_close(Inbox *inbox) {
        (void)pthread_mutex_lock(&inbox->lock);
        inbox->closed = true;
        (void)pthread_cond_broadcast(&inbox->ready);
        (void)pthread_mutex_unlock(&inbox->lock);
}

bool inbox_closed(Inbox *inbox) {
        bool closed;

        (void)pthread_mutex_lock(&inbox->lock);
        closed = inbox->closed;
        (void)pthread_mutex_unlock(&inbox->lock);
        return closed;
}

size_t inbox_length(Inbox *inbox) {
        size_t n;

        (void)pthread_mutex_lock(&inbox->lock);
        n = inbox->n;
        (void)pthread_mutex_unlock(&inbox->lock);
        return n;
}

int outbox_new(Outbox **ret) {
        Outbox *outbox = calloc(1, sizeof *outbox);

        if (!outbox)
                return -ENOMEM;
        outbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (outbox->fd < 0) {
                int r = -errno;

                free(outbox);
                return r;
        }
        list_init(&outbox->nodes);
        (void)pthread_mutex_init(&outbox->lock, NULL);
        *ret = outbox;
        return 0;
}

Outbox *outbox_free(Outbox *outbox) {
        if (!outbox)
                return NULL;
        CHECK(list_empty(&outbox->nodes));
        (void)pthread_mutex_destroy(&outbox->lock);
        (void)fd_close(outbox->fd);
        free(outbox);
        return NULL;
}

void outbox_push(Outbox *outbox, ListNode *node) {
        bool first;

        (void)pthread_mutex_lock(&outbox->lock);
        first = list_empty(&outbox->nodes);
        list_append(&outbox->nodes, node);
        (void)pthread_mutex_unlock(&outbox->lock);
        if (first)
                (void)eventfd_write(outbox->fd, 1);
}

int outbox_fd(const Outbox *outbox) {
        return outbox->fd;
}

void outbox_take_all(Outbox *outbox, ListNode *head) {
        eventfd_t value;

        (void)eventfd_read(outbox->fd, &value);
        (void)pthread_mutex_lock(&outbox->lock);
        list_splice(&outbox->nodes, head);
        (void)pthread_mutex_unlock(&outbox->lock);
}
