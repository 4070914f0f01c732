/* SPDX-License-Identifier: MIT */

/*
 * Bodies of alerts: any bytes as what shortener-alertd receives. Its line must be one line of JSON
 * that holds the body; names of evidence must stay in their folder; what is forwarded must be JSON
 * within Discord's limits, and reach the end of the queue.
 */

#include <stddef.h>
#include <stdint.h>

#include "alertd/evidence.h"
#include "alertd/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TAKEN_MAX 200u /* alerts of a body that are looked at */

static json_t *read_json(Slice text) {
        json_t *value = json_loadb(text.data, text.len, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);

        CHECK(value);
        return value;
}

static void check_line(const Batch *batch) {
        Buffer line = BUFFER_EMPTY;
        json_t *value;

        batch_append_line(batch, "T", &line);
        CHECK(!line.failed && line.len > 0);
        CHECK(slice_find(buffer_slice(&line), '\n') == (ptrdiff_t)line.len - 1);
        value = read_json(buffer_slice(&line));
        CHECK(json_object_size(value) == 2);
        CHECK(json_object_get(value, "alerts"));
        if (batch->raw)
                CHECK(json_is_string(json_object_get(json_object_get(value, "alerts"), "raw")));
        json_decref(value);
        buffer_done(&line);
}

static void check_evidence(const BatchAlert *alert, size_t index) {
        char name[EVIDENCE_NAME_MAX + 1];
        Buffer text = BUFFER_EMPTY;

        for (unsigned attempt = 0; attempt < 2; attempt++) {
                evidence_name(alert, 1767323045123456, index, attempt, name);
                CHECK(strlen(name) < EVIDENCE_NAME_MAX);
                CHECK(slice_starts_with(slice_from_string(name), SLICE("alert_")));
                for (const char *p = name; *p; p++)
                        CHECK((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
                              (*p >= 'A' && *p <= 'Z') || strchr("._-", *p));
        }
        batch_append_evidence(alert, "T", &text);
        CHECK(!text.failed);
        json_decref(read_json(buffer_slice(&text)));
        buffer_done(&text);
}

/* ---- what is forwarded ---- */

static AlertBatch *make_batch(const Batch *from, size_t n) {
        AlertBatch *batch = calloc(1, sizeof *batch);
        uint32_t lengths[TAKEN_MAX];
        Buffer bytes = BUFFER_EMPTY;

        CHECK(batch);
        for (size_t i = 0; i < n; i++) {
                size_t start = bytes.len;

                batch_append_json(from->alerts[i].alert, &bytes);
                lengths[i] = (uint32_t)(bytes.len - start);
        }
        CHECK(!bytes.failed);
        batch->first_seq = 1;
        batch->n_alerts = (uint32_t)n;
        batch->bytes = bytes.data;
        batch->size = bytes.len;
        CHECK(alert_batch_slice(batch, lengths) == 0);
        return batch;
}

static size_t check_text(json_t *text, size_t max) {
        Slice s = slice_make(json_string_value(text), json_string_length(text));
        size_t n = 0;

        CHECK(slice_trim(s).len > 0);
        for (size_t i = 0; i < s.len; i++) {
                CHECK((unsigned char)s.data[i] >= 0x20 || s.data[i] == '\n' || s.data[i] == '\t');
                if (((unsigned char)s.data[i] & 0xC0) != 0x80)
                        n += (unsigned char)s.data[i] >= 0xF0 ? 2 : 1;
        }
        CHECK(n <= max);
        return n;
}

static size_t check_embed(json_t *embed) {
        json_t *fields = json_object_get(embed, "fields"), *field;
        size_t n = check_text(json_object_get(embed, "title"), DISCORD_TITLE_MAX), i;

        n += check_text(json_object_get(embed, "description"), 4096);
        n += check_text(json_object_get(json_object_get(embed, "footer"), "text"), 2048);
        CHECK(json_array_size(fields) <= 25);
        json_array_foreach(fields, i, field) {
                n += check_text(json_object_get(field, "name"), 256);
                n += check_text(json_object_get(field, "value"), DISCORD_VALUE_MAX);
        }
        return n;
}

static void check_discord(const Queue *queue) {
        Buffer out = BUFFER_EMPTY;
        uint64_t seq = 0;

        while (seq < queue->last_seq) {
                size_t n = discord_message(queue, seq, SIZE_MAX, "https://g/", &out, &seq), sum = 0,
                       i;
                json_t *message, *embeds, *embed;

                CHECK(n >= 1 && n <= DISCORD_EMBEDS_MAX);
                message = read_json(buffer_slice(&out));
                embeds = json_object_get(message, "embeds");
                CHECK(json_array_size(embeds) == n);
                json_array_foreach(embeds, i, embed) {
                        sum += check_embed(embed);
                }
                CHECK(sum <= DISCORD_CHARACTERS_MAX);
                json_decref(message);
        }
        buffer_done(&out);
}

static void check_webhook(const Queue *queue) {
        Buffer out = BUFFER_EMPTY;
        uint64_t seq = 0;

        while (seq < queue->last_seq) {
                CHECK(webhook_message(queue, seq, SIZE_MAX, &out, &seq) >= 1);
                json_decref(read_json(buffer_slice(&out)));
        }
        buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Batch batch;
        Queue queue;
        size_t n;

        CHECK(batch_parse(slice_make((const char *)data, size), &batch) == 0);
        check_line(&batch);
        n = MIN(batch.n_alerts, (size_t)TAKEN_MAX);
        for (size_t i = 0; i < n; i++)
                check_evidence(batch.alerts + i, i);
        queue_init(&queue);
        if (n > 0)
                queue_add(&queue, make_batch(&batch, n));
        check_discord(&queue);
        check_webhook(&queue);
        queue_done(&queue);
        batch_done(&batch);
        return 0;
}
