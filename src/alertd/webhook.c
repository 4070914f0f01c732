/* SPDX-License-Identifier: MIT */

/*
 * Alerts for any webhook: the form that Alertmanager gives them (version 4), so that what takes its
 * messages takes ours; each alert has got received_at and alert_id, by which a receiver knows one
 * that it has had.
 */

#include "alertd/batch.h"
#include "alertd/message.h"
#include "alertd/stamp.h"

static void append_alert(const QueueAlert *alert, Buffer *out) {
        char received[STAMP_SIZE];
        bool object = alert->text.len > 2 && alert->text.data[0] == '{';

        stamp_iso(alert->received_usec, received);
        buffer_printf(out, "{\"alert_id\":\"%jx-%ju\",\"received_at\":\"%s\"",
                      (uintmax_t)alert->received_usec, (uintmax_t)alert->seq, received);
        if (object) {
                buffer_append_byte(out, ',');
                buffer_append(out, slice_from(alert->text, 1));
                return;
        }
        buffer_append(out, SLICE(",\"value\":"));
        buffer_append(out, alert->text);
        buffer_append_byte(out, '}');
}

size_t webhook_message(const Queue *queue, uint64_t seq, size_t max, Buffer *out,
                       uint64_t *ret_seq) {
        bool firing = false;
        QueueAlert next;
        size_t n = 0;

        buffer_clear(out);
        buffer_append(out,
                      SLICE("{\"version\":\"4\",\"receiver\":\"shortener-alertd\",\"alerts\":["));
        max = MIN(max, (size_t)WEBHOOK_ALERTS_MAX);
        for (; n < max && queue_next(queue, seq, &next); n++) {
                if (n > 0)
                        buffer_append_byte(out, ',');
                append_alert(&next, out);
                firing |= slice_search(next.text, SLICE("\"status\":\"resolved\"")) < 0;
                seq = next.seq;
        }
        buffer_printf(out,
                      "],\"status\":\"%s\",\"groupKey\":\"\",\"truncatedAlerts\":0,"
                      "\"groupLabels\":{},\"commonLabels\":{},\"commonAnnotations\":{},"
                      "\"externalURL\":\"\"}",
                      firing ? "firing" : "resolved");
        *ret_seq = seq;
        return out->failed ? 0 : n;
}
