/* SPDX-License-Identifier: MIT */

/*
 * Alerts for any webhook: the form that Alertmanager gives them (version 4), so that what takes its
 * messages takes ours; each alert has got received_at and alert_id, by which a receiver knows one
 * that it has had.
 */

#include <jansson.h>
#include <stdio.h>

#include "alertd/batch.h"
#include "alertd/message.h"
#include "alertd/stamp.h"

#define ID_SIZE 48

/* Ours first; members of the same names do not replace them. What is no object is its "value". */
static json_t *make_alert(const QueueAlert *alert, json_t *value) {
        char id[ID_SIZE], received[STAMP_SIZE];
        json_t *result;
        int r = -1;

        (void)snprintf(id, sizeof id, "%jx-%ju", (uintmax_t)alert->received_usec,
                       (uintmax_t)alert->seq);
        stamp_iso(alert->received_usec, received);
        result = json_pack("{s:s, s:s}", "alert_id", id, "received_at", received);
        if (result)
                r = json_is_object(value) ? json_object_update_missing(result, value)
                                          : json_object_set(result, "value", value);
        if (r < 0) {
                json_decref(result);
                result = NULL;
        }
        return result;
}

/* Whether it has ended. */
static bool append_alert(const QueueAlert *alert, Buffer *out) {
        json_t *value = json_loadb(alert->text.data, alert->text.len,
                                   JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL),
               *made = value ? make_alert(alert, value) : NULL;
        bool resolved = slice_equal(batch_member(value, "status"), SLICE("resolved"));

        if (made)
                batch_append_json(made, out);
        else
                out->failed = true;
        json_decref(made);
        json_decref(value);
        return resolved;
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
                if (!append_alert(&next, out))
                        firing = true;
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
