/* SPDX-License-Identifier: MIT */

/* Each allocation of our own fails once: an error, nothing half done, nothing leaked. (jansson's
 * are its own: it is linked dynamically.) */

#include "alertd-test.h"

#include "alertd/evidence.h"
#include "alertd/message.h"
#include "alertd/target.h"
#include "failing-malloc.h"

/* Runs step until no allocation fails; returns how often one did. */
static size_t with_failures(int (*step)(void *userdata), void *userdata) {
        size_t n = 0;
        int r;

        do {
                failing_malloc_arm(++n);
                r = step(userdata);
                if (failing_malloc_happened() && r != -ENOMEM)
                        fail_msg("allocation %zu failed: %d", n, r);
        } while (failing_malloc_happened());
        failing_malloc_arm(0);
        assert_int_equal(r, 0);
        return n - 1;
}

static int parse_step(void *userdata) {
        const Slice *body = userdata;
        Batch batch;
        int r = batch_parse(*body, &batch);

        if (r == 0)
                batch_done(&batch);
        return r;
}

static void test_parse(void **state) {
        Slice alerts = SLICE("{\"alerts\":[{},{}]}"), raw = SLICE("\xff\xfe");

        (void)state;
        assert_true(with_failures(parse_step, &alerts) >= 1);
        assert_true(with_failures(parse_step, &raw) >= 2);
}

static int journal_step(void *userdata) {
        static const char *const texts[] = {"{}", "{\"a\":1}", NULL};
        JournalFound found;
        Journal *journal = NULL;
        int r;

        list_init(&found.batches);
        r = journal_open(userdata, &found, &journal);
        while (!list_empty(&found.batches)) {
                ListNode *node = list_first(&found.batches);

                list_remove(node);
                (void)alert_batch_free(LIST_ENTRY(node, AlertBatch, node));
        }
        if (r == 0 && found.last_seq == 0) {
                AlertBatch *batch;

                failing_malloc_arm(0);
                batch = make_batch(texts);
                r = journal_append(journal, batch);
                (void)alert_batch_free(batch);
                r = r == 0 ? -ENOMEM : r; /* once more, with something to load */
        }
        (void)journal_free(journal);
        return r;
}

static void test_journal(void **state) {
        size_t n = 0;
        int r;

        (void)journal_step(*state);
        do {
                failing_malloc_arm(++n);
                r = journal_step(*state);
                assert_int_equal(r, failing_malloc_happened() ? -ENOMEM : 0);
        } while (failing_malloc_happened());
        failing_malloc_arm(0);
        assert_true(n > 5);
}

static int target_step(void *userdata) {
        Target target = {0};
        int r = target_read(userdata, "/nonexistent", &target);

        if (r == 0)
                target_done(&target);
        return r;
}

static void test_target(void **state) {
        char text[] = "json:http://h/";

        (void)state;
        assert_true(with_failures(target_step, text) >= 1);
}

static int message_step(void *userdata) {
        Buffer out = BUFFER_EMPTY;
        uint64_t seq;
        size_t n = discord_message(userdata, 0, 10, "https://g/", &out, &seq);
        bool failed = out.failed;

        buffer_done(&out);
        if (failed)
                return n == 0 ? -ENOMEM : -EIO;
        n = webhook_message(userdata, 0, 10, &out, &seq);
        failed = out.failed;
        buffer_done(&out);
        return failed && n == 0 ? -ENOMEM : failed ? -EIO : 0;
}

static void test_message(void **state) {
        static const char *const texts[] = {"{\"annotations\":{\"runbook_url\":\"http://r/\"}}",
                                            "{}", NULL};
        AlertBatch *batch;
        Queue queue;

        (void)state;
        queue_init(&queue);
        batch = make_batch(texts);
        batch->first_seq = 1;
        queue_add(&queue, batch);
        assert_true(with_failures(message_step, &queue) > 10);
        queue_done(&queue);
}

static int evidence_step(void *userdata) {
        Buffer names = BUFFER_EMPTY;
        Evidence *evidence = NULL;
        Batch batch;
        int r;

        failing_malloc_arm(0);
        assert_int_equal(batch_parse(SLICE("[{},{}]"), &batch), 0);
        failing_malloc_arm(*(size_t *)userdata);
        r = evidence_open("/tmp", &evidence);
        if (r == 0)
                r = evidence_write(evidence, &batch, 1, &names);
        if (r == 0)
                evidence_remove(evidence, &names);
        buffer_done(&names);
        (void)evidence_free(evidence);
        batch_done(&batch);
        return r;
}

static void test_evidence(void **state) {
        size_t n = 0;
        int r;

        (void)state;
        do {
                n++;
                r = evidence_step(&n);
                assert_int_equal(r, failing_malloc_happened() ? -ENOMEM : 0);
        } while (failing_malloc_happened());
        failing_malloc_arm(0);
        assert_true(n > 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_parse),
                        cmocka_unit_test_setup_teardown(test_journal, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test(test_target),
                        cmocka_unit_test(test_message),
                        cmocka_unit_test(test_evidence),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
