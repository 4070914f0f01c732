/* SPDX-License-Identifier: MIT */

/* The queue on disk: what is appended is there again, whole batches or none, whatever is cut off or
 * damaged; segments go when all have passed; positions survive a torn write. */

#include "alertd-test.h"

#include "alertd/journal-file.h"
#include "alertd/position.h"

static const char *const one[] = {"{\"a\":1}", NULL};
static const char *const three[] = {"{\"b\":1}", "", "{\"b\":3}", NULL};

static Journal *open_journal(const char *folder, Queue *queue, JournalFound *found) {
        Journal *journal;

        list_init(&found->batches);
        assert_int_equal(journal_open(folder, found, &journal), 0);
        queue_init(queue);
        while (!list_empty(&found->batches)) {
                ListNode *node = list_first(&found->batches);

                list_remove(node);
                queue_add(queue, LIST_ENTRY(node, AlertBatch, node));
        }
        return journal;
}

static void append(Journal *journal, const char *const *texts) {
        AlertBatch *batch = make_batch(texts);

        assert_int_equal(journal_append(journal, batch), 0);
        (void)alert_batch_free(batch);
}

static void assert_text(const Queue *queue, uint64_t behind, uint64_t seq, const char *text) {
        QueueAlert next;

        assert_true(queue_next(queue, behind, &next));
        assert_int_equal(next.seq, seq);
        assert_int_equal(next.text.len, strlen(text));
        assert_memory_equal(next.text.data, text, next.text.len);
}

static void test_there_again(void **state) {
        JournalFound found;
        Queue queue;
        Journal *journal = open_journal(*state, &queue, &found);
        QueueAlert next;

        assert_int_equal(found.last_seq, 0);
        append(journal, one);
        append(journal, three);
        assert_int_equal(journal_sync(journal), 0);
        (void)journal_free(journal);

        journal = open_journal(*state, &queue, &found);
        assert_int_equal(found.last_seq, 4);
        assert_int_equal(found.torn + found.damaged, 0);
        assert_text(&queue, 0, 1, "{\"a\":1}");
        assert_text(&queue, 1, 2, "{\"b\":1}");
        assert_text(&queue, 2, 3, "");
        assert_text(&queue, 3, 4, "{\"b\":3}");
        assert_false(queue_next(&queue, 4, &next));
        assert_int_equal(journal_mark(journal).next_seq, 5);
        assert_int_equal(journal_mark(journal).next_number, 3);
        queue_done(&queue);
        (void)journal_free(journal);
}

static void test_one_process(void **state) {
        JournalFound found;
        Queue queue;
        Journal *journal = open_journal(*state, &queue, &found), *other;

        list_init(&found.batches);
        assert_int_equal(journal_open(*state, &found, &other), -EADDRINUSE);
        (void)journal_free(journal);
}

static void test_taken_back(void **state) {
        JournalFound found;
        Queue queue;
        Journal *journal = open_journal(*state, &queue, &found);
        JournalMark mark;

        append(journal, one);
        mark = journal_mark(journal);
        append(journal, three);
        journal_cut(journal, mark);
        append(journal, one);
        (void)journal_free(journal);
        journal = open_journal(*state, &queue, &found);
        assert_int_equal(found.last_seq, 2);
        assert_text(&queue, 1, 2, "{\"a\":1}");
        queue_done(&queue);
        (void)journal_free(journal);
}

static void segment_path(const char *folder, uint64_t first, char *path, size_t size) {
        char name[JOURNAL_NAME_SIZE];

        journal_file_name(first, name);
        assert_true(snprintf(path, size, "%s/%s", folder, name) < (int)size);
}

/* Cut off at any byte, the whole batches before it are there, and appending goes on behind them. */
static void test_cut_anywhere(void **state) {
        JournalFound found;
        Queue queue;
        Journal *journal = open_journal(*state, &queue, &found);
        uint64_t first_size, size;
        char path[256];

        append(journal, one);
        first_size = journal_mark(journal).size;
        append(journal, three);
        size = journal_mark(journal).size;
        (void)journal_free(journal);
        segment_path(*state, 1, path, sizeof path);
        for (uint64_t cut = size; cut-- > 0;) {
                assert_int_equal(truncate(path, (off_t)cut), 0);
                journal = open_journal(*state, &queue, &found);
                assert_int_equal(found.last_seq, cut >= first_size ? 1 : 0);
                assert_int_equal(found.torn, cut >= first_size ? cut - first_size : cut);
                queue_done(&queue);
                append(journal, cut >= first_size ? three : one);
                if (cut < first_size)
                        append(journal, three);
                assert_int_equal(journal_mark(journal).size, size);
                (void)journal_free(journal);
        }
}

static void test_any_byte_changed(void **state) {
        JournalFound found;
        Queue queue;
        Journal *journal = open_journal(*state, &queue, &found);
        char path[256], whole[1024];
        ssize_t size;
        int fd;

        append(journal, one);
        append(journal, three);
        (void)journal_free(journal);
        segment_path(*state, 1, path, sizeof path);
        fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        size = read(fd, whole, sizeof whole);
        assert_true(size > 0 && size < (ssize_t)sizeof whole);
        for (ssize_t at = 0; at < size; at++) {
                char changed = (char)(whole[at] ^ 0x20);

                assert_int_equal(pwrite(fd, whole, (size_t)size, 0), size);
                assert_int_equal(pwrite(fd, &changed, 1, at), 1);
                journal = open_journal(*state, &queue, &found);
                assert_true(found.last_seq <= 1);
                assert_true(found.torn > 0);
                queue_done(&queue);
                (void)journal_free(journal);
        }
        (void)close(fd);
}

static void fill_segment(Journal *journal) {
        static char large[300000];
        const char *texts[] = {large, large, large, NULL};

        memset(large, 'x', sizeof large - 1);
        for (int i = 0; i < 5; i++)
                append(journal, texts);
}

static bool is_there(const char *folder, uint64_t first) {
        char path[256];

        segment_path(folder, first, path, sizeof path);
        return access(path, F_OK) == 0;
}

static void test_segments(void **state) {
        JournalFound found;
        Queue queue;
        Journal *journal = open_journal(*state, &queue, &found);
        uint64_t size;

        assert_int_equal(journal_rotate(journal), 0);
        assert_false(is_there(*state, 16));
        fill_segment(journal);
        assert_int_equal(journal_rotate(journal), 0);
        append(journal, one);
        assert_int_equal(journal_rotate(journal), 0);
        assert_true(is_there(*state, 1) && is_there(*state, 16));
        (void)journal_free(journal);

        /* A damaged middle costs what is behind it in its segment only. */
        {
                char path[256];
                int fd;

                segment_path(*state, 1, path, sizeof path);
                fd = open(path, O_RDWR);
                assert_true(fd >= 0);
                assert_int_equal(pwrite(fd, "damage", 6, 2000000), 6);
                (void)close(fd);
        }
        journal = open_journal(*state, &queue, &found);
        size = found.damaged;
        assert_true(size > 1000000);
        assert_int_equal(found.last_seq, 16);
        assert_text(&queue, 6, 16, "{\"a\":1}");
        queue_done(&queue);

        journal_trim(journal, 14);
        assert_true(is_there(*state, 1));
        journal_trim(journal, 15);
        assert_false(is_there(*state, 1));
        journal_trim(journal, 16);
        assert_true(is_there(*state, 16));
        (void)journal_free(journal);
        journal = open_journal(*state, &queue, &found);
        assert_int_equal(found.last_seq, 16);
        queue_done(&queue);
        (void)journal_free(journal);
}

/* An empty last segment still knows the numbers. */
static void test_empty_segment(void **state) {
        JournalFound found;
        Queue queue;
        Journal *journal = open_journal(*state, &queue, &found);

        fill_segment(journal);
        assert_int_equal(journal_rotate(journal), 0);
        journal_trim(journal, 15);
        (void)journal_free(journal);
        journal = open_journal(*state, &queue, &found);
        assert_int_equal(found.last_seq, 15);
        (void)journal_free(journal);
}

static void test_names(void **state) {
        static const char *const bad[] = {"",
                                          "lock",
                                          "0000000000000001.alert",
                                          "000000000000000g.alerts",
                                          "000000000000000A.alerts",
                                          "00000000000000001.alerts",
                                          "0000000000000001.alerts~"};
        char name[JOURNAL_NAME_SIZE];
        uint64_t first;

        (void)state;
        journal_file_name(0xfedcba9876543210, name);
        assert_true(journal_file_first(name, &first));
        assert_int_equal(first, 0xfedcba9876543210);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(journal_file_first(bad[i], &first));
}

/* ---- positions ---- */

static int open_folder(const char *path) {
        int fd = open(path, O_RDONLY | O_DIRECTORY);

        assert_true(fd >= 0);
        return fd;
}

static void test_position(void **state) {
        int folder = open_folder(*state);
        Position position;

        assert_int_equal(position_open(folder, "x", 17, &position), 0);
        assert_int_equal(position.seq, 17);
        for (uint64_t i = 18; i < 30; i++) {
                position.seq = i;
                position.n_forwarded++;
                assert_int_equal(position_store(&position), 0);
        }
        assert_int_equal(position_sync(&position), 0);
        position.n_failed = 2;
        assert_int_equal(position_store(&position), 0);
        position_close(&position);
        assert_int_equal(position_open(folder, "x", 99, &position), 0);
        assert_int_equal(position.seq, 29);
        assert_int_equal(position.n_forwarded, 12);
        assert_int_equal(position.n_failed, 2);
        position_close(&position);
        (void)close(folder);
}

/* One slot damaged: the other counts. Both: it begins anew. */
static void test_position_torn(void **state) {
        int folder = open_folder(*state);
        Position position;

        assert_int_equal(position_open(folder, "x", 1, &position), 0);
        position.seq = 2;
        assert_int_equal(position_store(&position), 0);
        position.seq = 3;
        assert_int_equal(position_store(&position), 0);
        assert_int_equal(pwrite(position.fd, "torn", 4,
                                (off_t)(position.generation % 2) * 4096 + 20),
                         4);
        position_close(&position);
        assert_int_equal(position_open(folder, "x", 99, &position), 0);
        assert_int_equal(position.seq, 2);
        assert_int_equal(ftruncate(position.fd, 0), 0);
        position_close(&position);
        assert_int_equal(position_open(folder, "x", 99, &position), 0);
        assert_int_equal(position.seq, 99);
        position_close(&position);
        (void)close(folder);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_there_again, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test_setup_teardown(test_one_process, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test_setup_teardown(test_taken_back, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test_setup_teardown(test_cut_anywhere, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test_setup_teardown(test_any_byte_changed, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test_setup_teardown(test_segments, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test_setup_teardown(test_empty_segment, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test(test_names),
                        cmocka_unit_test_setup_teardown(test_position, folder_setup,
                                                        folder_teardown),
                        cmocka_unit_test_setup_teardown(test_position_torn, folder_setup,
                                                        folder_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
