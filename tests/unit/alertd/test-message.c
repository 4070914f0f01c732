/* SPDX-License-Identifier: MIT */

/* Messages: Discord's embeds with all their limits, and the generic form. What a message looks like
 * in full is in tests/alertd/test_forward.py; here is what is cut, and where. */

#include "alertd-test.h"

#include <jansson.h>

#include "alertd/message.h"

#define WIDE "\xF0\x9F\x94\xA5" /* two units of UTF-16 */

static json_t *discord(const Queue *queue, uint64_t seq, size_t max, size_t n, uint64_t last) {
        Buffer out = BUFFER_EMPTY;
        uint64_t reached;
        json_t *message;

        assert_int_equal(discord_message(queue, seq, max, "https://g/", &out, &reached), n);
        assert_int_equal(reached, last);
        message = json_loadb(out.data, out.len, 0, NULL);
        assert_non_null(message);
        assert_int_equal(json_array_size(json_object_get(message, "embeds")), n);
        buffer_done(&out);
        return message;
}

static void fill(Queue *queue, const char *const *texts) {
        AlertBatch *batch = make_batch(texts);

        batch->first_seq = queue->last_seq + 1;
        queue_add(queue, batch);
}

static const char *member(json_t *message, size_t index, const char *name) {
        json_t *embeds = json_object_get(message, "embeds");

        return json_string_value(json_object_get(json_array_get(embeds, index), name));
}

/* UTF-16 units of valid UTF-8. */
static size_t units(const char *text) {
        size_t n = 0;

        for (; *text; text++)
                if (((unsigned char)*text & 0xC0) != 0x80)
                        n += (unsigned char)*text >= 0xF0 ? 2u : 1u;
        return n;
}

static size_t embed_units(json_t *embed) {
        json_t *fields = json_object_get(embed, "fields"), *field;
        size_t n = units(json_string_value(json_object_get(embed, "title"))) +
                   units(json_string_value(json_object_get(embed, "description"))) +
                   units(json_string_value(
                                   json_object_get(json_object_get(embed, "footer"), "text"))),
               i;

        json_array_foreach(fields, i, field) {
                const char *value = json_string_value(json_object_get(field, "value"));

                assert_true(value && *value && units(value) <= DISCORD_VALUE_MAX);
                n += units(value) + units(json_string_value(json_object_get(field, "name")));
        }
        return n;
}

static void test_ten_at_most(void **state) {
        static const char *const texts[] = {"{}", "{}", "{}", "{}", "{}", "{}", "{}",
                                            "{}", "{}", "{}", "{}", "{}", NULL};
        Queue queue;

        (void)state;
        queue_init(&queue);
        fill(&queue, texts);
        json_decref(discord(&queue, 0, SIZE_MAX, 10, 10));
        json_decref(discord(&queue, 10, SIZE_MAX, 2, 12));
        json_decref(discord(&queue, 3, 1, 1, 4));
        json_decref(discord(&queue, 12, SIZE_MAX, 0, 12));
        queue_done(&queue);
}

/* A text of n wide characters in a member. */
static char *wide_alert(const char *before, size_t n, const char *behind) {
        Buffer text = BUFFER_EMPTY;

        buffer_append(&text, slice_from_string(before));
        for (size_t i = 0; i < n; i++)
                buffer_append(&text, SLICE(WIDE));
        buffer_append(&text, slice_from_string(behind));
        buffer_append_byte(&text, '\0');
        assert_false(text.failed);
        return text.data;
}

/* 6000 characters together: a message ends before the embed that does not fit. */
static void test_together(void **state) {
        char *text = wide_alert("{\"annotations\":{\"summary\":\"", 900, "\"}}");
        const char *const texts[] = {text, text, text, text, text, NULL};
        uint64_t seq = 0;
        Queue queue;

        (void)state;
        queue_init(&queue);
        fill(&queue, texts);
        while (seq < 5) {
                Buffer out = BUFFER_EMPTY;
                size_t n = discord_message(&queue, seq, SIZE_MAX, "", &out, &seq), sum = 0, i;
                json_t *message = json_loadb(out.data, out.len, 0, NULL), *embed;

                assert_true(n >= 1 && n <= 3);
                json_array_foreach(json_object_get(message, "embeds"), i, embed) sum +=
                                embed_units(embed);
                assert_true(sum <= DISCORD_CHARACTERS_MAX);
                assert_true(seq == 5 || sum + 1800 > DISCORD_CHARACTERS_MAX);
                json_decref(message);
                buffer_done(&out);
        }
        queue_done(&queue);
        free(text);
}

/* Names of every length around the limit: never longer, never half a character, never empty. */
static void test_titles(void **state) {
        (void)state;
        for (size_t n = 100; n < 140; n++) {
                char *text = wide_alert("{\"status\":\"firing\",\"labels\":{\"alertname\":\"x", n,
                                        "\"}}");
                const char *const texts[] = {text, NULL};
                json_t *message;
                const char *title;
                Queue queue;

                queue_init(&queue);
                fill(&queue, texts);
                message = discord(&queue, 0, SIZE_MAX, 1, 1);
                title = member(message, 0, "title");
                assert_true(units(title) <= DISCORD_TITLE_MAX);
                assert_non_null(strstr(title, "[FIRING]"));
                assert_int_equal(strstr(title, "\xE2\x80\xA6") != NULL, 1 + 2 * n > 216);
                json_decref(message);
                queue_done(&queue);
                free(text);
        }
}

static void test_odd_alerts(void **state) {
        static const char *const texts[] = {
                        "7",
                        "null",
                        "[]",
                        "{\"labels\":7,\"annotations\":[]}",
                        "{\"status\":\"RESOLVED\",\"endsAt\":\"never\",\"startsAt\":\"\"}",
                        "{\"annotations\":{\"summary\":\"a\\u0000\\u0001\\tb\\n\\u007f\"}}",
                        "{\"annotations\":{\"summary\":\" \\n\",\"description\":\"d\"}}",
                        "{\"annotations\":{\"runbook_url\":\"javascript:alert(1)\"}}",
                        "{\"annotations\":{\"runbook_url\":\"https://a/) [x](https://b/\"}}",
                        NULL};
        json_t *message, *embed;
        Queue queue;
        size_t i;

        (void)state;
        queue_init(&queue);
        fill(&queue, texts);
        message = discord(&queue, 0, SIZE_MAX, 9, 9);
        json_array_foreach(json_object_get(message, "embeds"), i, embed)
                        assert_true(embed_units(embed) < 1000);
        assert_string_equal(member(message, 0, "title"),
                            "\xE2\x84\xB9\xEF\xB8\x8F unknown [UNKNOWN]");
        assert_string_equal(member(message, 4, "title"), "\xE2\x9C\x85 unknown [RESOLVED]");
        assert_string_equal(member(message, 5, "description"), "a  \tb\n ");
        assert_string_equal(member(message, 6, "description"), "d");
        for (i = 7; i < 9; i++) {
                json_t *fields = json_object_get(
                                json_array_get(json_object_get(message, "embeds"), i), "fields");

                assert_int_equal(json_array_size(fields), 5); /* no runbook */
        }
        json_decref(message);
        queue_done(&queue);
}

static void test_dashboard(void **state) {
        static const struct {
                const char *url, *link;
        } cases[] = {{"https://g", "[Open dashboard](https://g/d/url-shortener-prod)"},
                     {"https://g/x//", "[Open dashboard](https://g/x/d/url-shortener-prod)"},
                     {"https://g/d/own?a=1", "[Open dashboard](https://g/d/own?a=1)"}};
        static const char *const texts[] = {"{}", NULL};
        Queue queue;

        (void)state;
        queue_init(&queue);
        fill(&queue, texts);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Buffer out = BUFFER_EMPTY;
                uint64_t seq;

                assert_int_equal(discord_message(&queue, 0, 9, cases[i].url, &out, &seq), 1);
                assert_true(slice_search(buffer_slice(&out), slice_from_string(cases[i].link)) > 0);
                buffer_done(&out);
        }
        queue_done(&queue);
}

static void test_webhook(void **state) {
        static const char *const texts[] = {"{\"status\":\"resolved\"}", "{}", "5", NULL};
        Buffer out = BUFFER_EMPTY;
        json_t *message, *alerts;
        uint64_t seq;
        Queue queue;

        (void)state;
        queue_init(&queue);
        fill(&queue, texts);
        assert_int_equal(webhook_message(&queue, 0, 1, &out, &seq), 1);
        message = json_loadb(out.data, out.len, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(message, "status")), "resolved");
        json_decref(message);
        assert_int_equal(webhook_message(&queue, 0, SIZE_MAX, &out, &seq), 3);
        assert_int_equal(seq, 3);
        message = json_loadb(out.data, out.len, 0, NULL);
        assert_non_null(message);
        assert_string_equal(json_string_value(json_object_get(message, "status")), "firing");
        alerts = json_object_get(message, "alerts");
        assert_int_equal(json_array_size(alerts), 3);
        assert_string_equal(json_string_value(json_object_get(json_array_get(alerts, 1),
                                                              "received_at")),
                            "2026-01-02T03:04:05.123456Z");
        assert_int_equal(json_integer_value(json_object_get(json_array_get(alerts, 2), "value")),
                         5);
        json_decref(message);
        buffer_done(&out);
        queue_done(&queue);
}

/* A label called status is not the alert's, and an alert that brings an alert_id does not replace
 * ours, by which its receiver knows what it has had. */
static void test_webhook_of_odd_alerts(void **state) {
        static const char *const texts[] = {
                        "{\"status\":\"firing\",\"labels\":{\"status\":\"resolved\"}}",
                        "{\"alert_id\":\"7\",\"received_at\":\"never\",\"status\":\"resolved\"}",
                        NULL};
        Buffer out = BUFFER_EMPTY;
        json_t *message, *alert;
        uint64_t seq;
        Queue queue;

        (void)state;
        queue_init(&queue);
        fill(&queue, texts);
        assert_int_equal(webhook_message(&queue, 0, SIZE_MAX, &out, &seq), 2);
        message = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(message);
        assert_string_equal(json_string_value(json_object_get(message, "status")), "firing");
        alert = json_array_get(json_object_get(message, "alerts"), 1);
        assert_string_equal(json_string_value(json_object_get(alert, "alert_id")),
                            "6475ef64ed580-2");
        assert_string_equal(json_string_value(json_object_get(alert, "received_at")),
                            "2026-01-02T03:04:05.123456Z");
        json_decref(message);
        buffer_done(&out);
        queue_done(&queue);
}

/* The runbook: a link, else what the shipped rules have. */
static void test_runbook(void **state) {
        static const char *const texts[] = {"{\"annotations\":{\"runbook\":\"runbook.md#x\"}}",
                                            "{\"annotations\":{\"runbook\":\"runbook.md#x\","
                                            "\"runbook_url\":\"https://r/\"}}",
                                            NULL};
        static const char *const wanted[] = {"runbook.md#x", "[What to do](https://r/)"};
        json_t *message;
        Queue queue;

        (void)state;
        queue_init(&queue);
        fill(&queue, texts);
        message = discord(&queue, 0, SIZE_MAX, 2, 2);
        for (size_t i = 0; i < 2; i++) {
                json_t *fields = json_object_get(
                                       json_array_get(json_object_get(message, "embeds"), i),
                                       "fields"),
                       *last = json_array_get(fields, json_array_size(fields) - 1);

                assert_string_equal(json_string_value(json_object_get(last, "name")), "Runbook");
                assert_string_equal(json_string_value(json_object_get(last, "value")), wanted[i]);
        }
        json_decref(message);
        queue_done(&queue);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_ten_at_most),
                        cmocka_unit_test(test_together),
                        cmocka_unit_test(test_titles),
                        cmocka_unit_test(test_odd_alerts),
                        cmocka_unit_test(test_dashboard),
                        cmocka_unit_test(test_webhook),
                        cmocka_unit_test(test_webhook_of_odd_alerts),
                        cmocka_unit_test(test_runbook),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
