/* SPDX-License-Identifier: MIT */

/*
 * libcurl on sd-event, see the header. Names are resolved by libcurl's own threads; a request that
 * is given up while a name server hangs does not wait for them (CURLOPT_QUICK_EXIT). Redirections
 * are not followed: an alert goes where the configuration says or nowhere.
 */

#include "alertd/transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "basic/clock.h"

#define ACCURACY_USEC (1 * USEC_PER_MSEC)
#define BODY_KEPT     1024u           /* bytes of an answer */
#define AFTER_MAX_SEC (366.0 * 86400) /* more is taken for this */
#define USER_AGENT    "shortener-alertd/" SHORTENER_VERSION

struct Transfers {
        sd_event *event;
        sd_event_source *timer;
        CURLM *multi;
};

struct Transfer {
        Transfers *transfers;
        CURL *easy;
        struct curl_slist *headers;
        Buffer body; /* the beginning of the answer's */
        TransferDone done;
        void *userdata;
        bool busy;
};

/* ---- results ---- */

/* Discord says there how long exactly; the header is in whole seconds, or missing. */
static uint64_t body_after_usec(Slice body) {
        json_t *root = json_loadb(body.data ? body.data : "", body.len, 0, NULL),
               *value = json_object_get(root, "retry_after");
        double after = json_number_value(value); /* 0 of what is no number */

        json_decref(root);
        return after > 0 ? (uint64_t)(MIN(after, AFTER_MAX_SEC) * (double)USEC_PER_SEC) : 0;
}

/* A status counts once it is there, even if the rest of the answer is not: what was taken must not
 * be sent again. */
static void finish(Transfer *transfer, CURLcode code) {
        TransferResult result = {.error = curl_easy_strerror(code)};
        curl_off_t after = 0;
        long status = 0;

        (void)curl_multi_remove_handle(transfer->transfers->multi, transfer->easy);
        transfer->busy = false;
        (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200) {
                (void)curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &after);
                result.status = (int)status;
                result.retry_after_usec = after > 0 ? (uint64_t)after * USEC_PER_SEC : 0;
        }
        if (status == 429)
                result.retry_after_usec = MAX(result.retry_after_usec,
                                              body_after_usec(buffer_slice(&transfer->body)));
        transfer->done(transfer->userdata, &result);
}

static void reap(Transfers *transfers) {
        CURLMsg *message;
        int rest;

        while ((message = curl_multi_info_read(transfers->multi, &rest))) {
                Transfer *transfer = NULL;
                CURLcode code;

                if (message->msg != CURLMSG_DONE)
                        continue;
                code = message->data.result;
                (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
                finish(transfer, code);
        }
}

/* ---- sources ---- */

static int on_io(sd_event_source *source _unused_, int fd, uint32_t events, void *userdata) {
        Transfers *transfers = userdata;
        int mask = 0, running;

        if (events & EPOLLIN)
                mask |= CURL_CSELECT_IN;
        if (events & EPOLLOUT)
                mask |= CURL_CSELECT_OUT;
        if (events & (EPOLLERR | EPOLLHUP))
                mask |= CURL_CSELECT_ERR;
        (void)curl_multi_socket_action(transfers->multi, fd, mask, &running);
        reap(transfers);
        return 0;
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Transfers *transfers = userdata;
        int running;

        (void)curl_multi_socket_action(transfers->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        reap(transfers);
        return 0;
}

static int set_socket(CURL *easy _unused_, curl_socket_t fd, int what, void *userdata,
                      void *socket) {
        Transfers *transfers = userdata;
        sd_event_source *source = socket;
        uint32_t events = 0;

        if (what == CURL_POLL_REMOVE) {
                (void)sd_event_source_disable_unref(source);
                (void)curl_multi_assign(transfers->multi, fd, NULL);
                return 0;
        }
        if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
                events |= EPOLLIN;
        if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
                events |= EPOLLOUT;
        if (source)
                return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
        if (sd_event_add_io(transfers->event, &source, fd, events, on_io, transfers) < 0)
                return -1;
        /* First: what a target has taken must be on record before anything can happen. */
        (void)sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
        (void)curl_multi_assign(transfers->multi, fd, source);
        return 0;
}

static int set_timer(CURLM *multi _unused_, long msec, void *userdata) {
        Transfers *transfers = userdata;

        if (msec < 0)
                return sd_event_source_set_enabled(transfers->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
        if (sd_event_source_set_time_relative(transfers->timer, (uint64_t)msec * USEC_PER_MSEC) < 0)
                return -1;
        return sd_event_source_set_enabled(transfers->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

int transfers_new(sd_event *event, Transfers **ret) {
        _cleanup_(transfers_free_p) Transfers *transfers = calloc(1, sizeof *transfers);
        int r;

        if (!transfers)
                return -ENOMEM;
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        transfers->event = sd_event_ref(event);
        r = sd_event_add_time_relative(event, &transfers->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC,
                                       on_timer, transfers);
        if (r >= 0)
                r = sd_event_source_set_enabled(transfers->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        transfers->multi = curl_multi_init();
        if (!transfers->multi)
                return -ENOMEM;
        (void)curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
        (void)curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETDATA, transfers);
        (void)curl_multi_setopt(transfers->multi, CURLMOPT_TIMERFUNCTION, set_timer);
        (void)curl_multi_setopt(transfers->multi, CURLMOPT_TIMERDATA, transfers);
        *ret = TAKE_PTR(transfers);
        return 0;
}

Transfers *transfers_free(Transfers *transfers) {
        if (transfers) {
                if (transfers->multi)
                        (void)curl_multi_cleanup(transfers->multi);
                (void)sd_event_source_disable_unref(transfers->timer);
                (void)sd_event_unref(transfers->event);
        }
        free(transfers);
        return NULL;
}

/* ---- one target's ---- */

static size_t keep_body(char *data, size_t size, size_t n, void *userdata) {
        Transfer *transfer = userdata;

        if (transfer->body.len < BODY_KEPT)
                buffer_append(&transfer->body,
                              slice_make(data, MIN(size * n, BODY_KEPT - transfer->body.len)));
        return size * n;
}

static void set_options(Transfer *transfer, const char *url, uint64_t timeout_usec) {
        CURL *easy = transfer->easy;

        (void)curl_easy_setopt(easy, CURLOPT_URL, url);
        (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
        (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
        (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT);
        (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(timeout_usec / USEC_PER_MSEC));
        (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep_body);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
        (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
#if LIBCURL_VERSION_NUM >= 0x075500
        (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
        (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
        (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static int add_header(Transfer *transfer, const char *header) {
        struct curl_slist *list = curl_slist_append(transfer->headers, header);

        if (!list)
                return -ENOMEM;
        transfer->headers = list;
        return 0;
}

int transfer_new(Transfers *transfers, const char *url, uint64_t timeout_usec, TransferDone done,
                 void *userdata, Transfer **ret) {
        _cleanup_(transfer_free_p) Transfer *transfer = calloc(1, sizeof *transfer);

        if (!transfer)
                return -ENOMEM;
        *transfer = (Transfer){.transfers = transfers, .done = done, .userdata = userdata};
        transfer->easy = curl_easy_init();
        if (!transfer->easy || add_header(transfer, "Content-Type: application/json") < 0 ||
            add_header(transfer, "Expect:") < 0) /* no wait for "100 Continue" */
                return -ENOMEM;
        set_options(transfer, url, timeout_usec);
        *ret = TAKE_PTR(transfer);
        return 0;
}

Transfer *transfer_free(Transfer *transfer) {
        if (transfer) {
                if (transfer->busy)
                        (void)curl_multi_remove_handle(transfer->transfers->multi, transfer->easy);
                if (transfer->easy)
                        curl_easy_cleanup(transfer->easy);
                curl_slist_free_all(transfer->headers);
                buffer_done(&transfer->body);
        }
        free(transfer);
        return NULL;
}

int transfer_post(Transfer *transfer, Slice body) {
        CHECK(!transfer->busy);
        buffer_clear(&transfer->body);
        (void)curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        (void)curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, body.data);
        if (curl_multi_add_handle(transfer->transfers->multi, transfer->easy) != CURLM_OK)
                return -ENOMEM;
        transfer->busy = true;
        return 0;
}
