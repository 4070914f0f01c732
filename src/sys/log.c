/* SPDX-License-Identifier: MIT */

/*
 * The log, see the header. An entry travels as one packet: its level in a byte, then "NAME=value"
 * strings, each behind its length (u16). The packet is built on the caller's stack, so an entry
 * costs no memory; what does not fit in LOG_PACKET_MAX is cut.
 */

#include "sys/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <jansson.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "basic/clock.h"
#include "sys/fd.h"

#define LOG_PACKET_MAX  4096u
#define LOG_MESSAGE_MAX 1024u
#define LOG_FIELDS_MAX  32u
#define LOG_QUEUE_SIZE  (1024 * 1024) /* bytes of kernel buffer */

typedef struct Packet {
        char data[LOG_PACKET_MAX];
        size_t len;
} Packet;

static struct {
        const char *program;
        LogFormat format;
        atomic_int max_level;
        int queue[2]; /* written by everybody, read by log_run() */
        atomic_bool queued;
        atomic_uint_fast64_t drops;
} log_state = {.program = "shortener",
               .format = LOG_FORMAT_TEXT,
               .max_level = LOG_INFO,
               .queue = {-1, -1}};

/* systemd sets JOURNAL_STREAM to device:inode of the stream it connected. */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        char text[64];
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return false;
        (void)snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
        return strcmp(stream, text) == 0;
}

void log_open(const char *program, LogFormat format, int max_level) {
        log_state.program = program;
        if (format == LOG_FORMAT_AUTO)
                format = stderr_is_journal() ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;
        log_state.format = format;
        atomic_store(&log_state.max_level, max_level);
}

void log_set_max_level(int max_level) {
        atomic_store(&log_state.max_level, max_level);
}

bool log_wants(int level) {
        return level <= atomic_load_explicit(&log_state.max_level, memory_order_relaxed);
}

static void packet_add(Packet *packet, const char *name, Slice value) {
        size_t name_len = strlen(name), len = name_len + 1 + value.len;
        uint16_t n;

        if (packet->len + sizeof n + name_len + 1 >= sizeof packet->data)
                return;
        len = MIN(len, sizeof packet->data - packet->len - sizeof n);
        n = (uint16_t)len;
        memcpy(packet->data + packet->len, &n, sizeof n);
        packet->len += sizeof n;
        memcpy(packet->data + packet->len, name, name_len);
        packet->data[packet->len + name_len] = '=';
        if (len > name_len + 1)
                memcpy(packet->data + packet->len + name_len + 1, value.data, len - name_len - 1);
        packet->len += len;
}

/* Splits a packet into its strings; returns how many. */
static size_t packet_split(const char *data, size_t len, struct iovec *ret, size_t max) {
        size_t n = 0, at = 1;

        while (n < max && at + sizeof(uint16_t) <= len) {
                uint16_t size;

                memcpy(&size, data + at, sizeof size);
                at += sizeof size;
                ret[n++] = (struct iovec){(void *)(data + at), size};
                at += size;
        }
        return n;
}

static void write_journal(const struct iovec *fields, size_t n, int level) {
        struct iovec all[LOG_FIELDS_MAX + 2];
        char priority[16], identifier[64];

        (void)snprintf(priority, sizeof priority, "PRIORITY=%d", level);
        (void)snprintf(identifier, sizeof identifier, "SYSLOG_IDENTIFIER=%s", log_state.program);
        all[0] = (struct iovec){priority, strlen(priority)};
        all[1] = (struct iovec){identifier, strlen(identifier)};
        memcpy(all + 2, fields, n * sizeof *fields);
        (void)sd_journal_sendv(all, (int)n + 2);
}

/* The name of a field as people read it: SHORTENER_DURATION_USEC becomes duration_usec. */
static void field_label(Slice name, char *ret, size_t size) {
        size_t n = 0;

        if (slice_starts_with(name, SLICE("SHORTENER_")))
                name = slice_from(name, 10);
        for (; n < name.len && n + 1 < size; n++)
                ret[n] = name.data[n] >= 'A' && name.data[n] <= 'Z' ? (char)(name.data[n] + 32)
                                                                    : name.data[n];
        ret[n] = '\0';
}

static void write_text(const struct iovec *fields, size_t n) {
        char line[LOG_PACKET_MAX * 2], label[64];
        size_t len = 0;

        for (size_t i = 0; i < n; i++) {
                Slice name, value;
                int w;

                (void)slice_cut(slice_make(fields[i].iov_base, fields[i].iov_len), '=', &name,
                                &value);
                if (slice_equal(name, SLICE("MESSAGE")))
                        w = snprintf(line, sizeof line, "%s: %.*s", log_state.program,
                                     SLICE_ARG(value));
                else if (slice_equal(name, SLICE("MESSAGE_ID")))
                        continue;
                else {
                        field_label(name, label, sizeof label);
                        w = snprintf(line + len, sizeof line - len, " %s=%.*s", label,
                                     SLICE_ARG(value));
                }
                len = MIN(sizeof line - 2, (i == 0 ? 0 : len) + (size_t)MAX(w, 0));
        }
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
                        line[i] = '?';
        line[len++] = '\n';
        if (fd_write_all(STDERR_FILENO, line, len) < 0)
                (void)atomic_fetch_add(&log_state.drops, 1);
}

static void write_json(const struct iovec *fields, size_t n, int level) {
        static const char *const levels[] = {"emerg",   "alert",  "crit", "error",
                                             "warning", "notice", "info", "debug"};
        json_t *object = json_object();
        uint64_t now = clock_realtime_usec();
        char iso[CLOCK_ISO_SIZE], time[48], label[64];
        char *text;

        clock_format_iso((int64_t)(now / USEC_PER_SEC), 'T', iso);
        (void)snprintf(time, sizeof time, "%s.%06uZ", iso, (unsigned)(now % USEC_PER_SEC));
        (void)json_object_set_new(object, "time", json_string(time));
        (void)json_object_set_new(object, "level", json_string(levels[level & 7]));
        (void)json_object_set_new(object, "program", json_string(log_state.program));
        for (size_t i = 0; i < n; i++) {
                Slice name, value;
                json_t *json;

                (void)slice_cut(slice_make(fields[i].iov_base, fields[i].iov_len), '=', &name,
                                &value);
                field_label(name, label, sizeof label);
                json = json_stringn(value.data, value.len);
                (void)json_object_set_new(object, label, json ? json : json_string("?"));
        }
        text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
        json_decref(object);
        if (text) {
                struct iovec line[2] = {{text, strlen(text)}, {(void *)"\n", 1}};

                if (writev(STDERR_FILENO, line, 2) < 0)
                        (void)atomic_fetch_add(&log_state.drops, 1);
        }
        free(text);
}

static void write_packet(const char *data, size_t len) {
        struct iovec fields[LOG_FIELDS_MAX];
        size_t n;

        if (len < 1)
                return;
        n = packet_split(data, len, fields, ELEMENTSOF(fields));
        if (log_state.format == LOG_FORMAT_JOURNAL)
                write_journal(fields, n, data[0]);
        else if (log_state.format == LOG_FORMAT_JSON)
                write_json(fields, n, data[0]);
        else
                write_text(fields, n);
}

int log_queue_open(void) {
        const int size = LOG_QUEUE_SIZE;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, log_state.queue) < 0)
                return -errno;
        (void)setsockopt(log_state.queue[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        atomic_store(&log_state.queued, true);
        return 0;
}

void log_run(void) {
        char data[LOG_PACKET_MAX];

        for (;;) {
                ssize_t n = recv(log_state.queue[1], data, sizeof data, 0);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                write_packet(data, (size_t)n);
        }
        log_state.queue[1] = fd_close(log_state.queue[1]);
}

void log_stop(void) {
        /* What is queued is still read; then recv() sees the end. Entries from now on are written
         * by their callers. The descriptor stays open: a caller may be about to send. */
        if (atomic_exchange(&log_state.queued, false))
                (void)shutdown(log_state.queue[0], SHUT_WR);
}

uint64_t log_drops(void) {
        return atomic_load_explicit(&log_state.drops, memory_order_relaxed);
}

void log_entry(int level, const char *message_id, const LogField *fields, size_t n_fields,
               const char *format, ...) {
        char message[LOG_MESSAGE_MAX];
        Packet packet;
        va_list ap;
        int n;

        if (!log_wants(level))
                return;
        va_start(ap, format);
        n = vsnprintf(message, sizeof message, format, ap);
        va_end(ap);
        packet.data[0] = (char)level;
        packet.len = 1;
        packet_add(&packet, "MESSAGE",
                   slice_make(message, MIN((size_t)MAX(n, 0), sizeof message - 1)));
        if (message_id)
                packet_add(&packet, "MESSAGE_ID", slice_from_string(message_id));
        for (size_t i = 0; i < n_fields; i++)
                packet_add(&packet, fields[i].name, fields[i].value);
        if (!atomic_load(&log_state.queued))
                write_packet(packet.data, packet.len);
        else if (send(log_state.queue[0], packet.data, packet.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                (void)atomic_fetch_add_explicit(&log_state.drops, 1, memory_order_relaxed);
}
