/* SPDX-License-Identifier: MIT */
/*
 * The reader keeps one number, the next one to hand out. The segment to read it from is the one
 * with the greatest first number that is not above it; so a segment ends where the next one begins,
 * and what an abandoned file holds beyond that is never seen. Within a segment records follow each
 * other; where none is, it looks at each byte for one that has a number it may have. One thread.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clicks/io.h"
#include "clicks/reader.h"

#define BUFFER_SIZE (256u * 1024)
#define READ_MIN    4096u
#define BLOCK_SIZE  4096u /* what one unreadable sector costs at least */
#define TYPICAL     256u  /* bytes of a record, to guess how much is there to be read */
#define OPEN_TRIES  3
#define READ_TRIES  3 /* of one place, before it counts as unreadable */

/* What lies between the last record and the end of a segment. */
typedef struct Remains {
        bool begun;
        bool unreadable;   /* a place in it */
        uint8_t kind;      /* of a record at its start; 0: none */
        uint8_t last_byte; /* that is not zero; 0: there are only zeros */
        uint64_t start;    /* offset */
        uint64_t last_at;  /* offset of last_byte */
        uint64_t n_whole;  /* records with a readable head and a whole body, by their numbers */
} Remains;

struct Reader {
        int directory_fd; /* borrowed */
        const Spool *live;
        uint8_t id[SPOOL_ID_SIZE];
        uint32_t crc_start;
        SegmentList list;
        uint64_t n_switches; /* of the live spool, when it was listed */
        uint64_t seq;        /* the next number */
        uint64_t limit;      /* numbers below it are there to be read */

        /* The open segment. */
        size_t index; /* in list */
        int fd;       /* -1: none */
        uint64_t offset;
        uint64_t after; /* the number behind the last record seen in it */
        Remains remains;
        bool ended; /* of a dead spool's last segment: nothing follows */

        uint8_t *buffer;
        uint64_t buffer_at; /* offset in the file of its first byte */
        size_t buffer_len;
        bool buffer_last; /* the file ends with it */
};

/* ---- the list ---- */

static void close_segment(Reader *reader) {
        if (reader->fd >= 0)
                (void)close(reader->fd);
        reader->fd = -1;
}

static bool is_last(const Reader *reader) {
        return reader->index + 1 >= reader->list.n;
}

/* Numbers below it are in the open segment or nowhere. */
static uint64_t bound(const Reader *reader) {
        if (is_last(reader))
                return reader->limit;
        return MIN(reader->list.items[reader->index + 1].first_seq, reader->limit);
}

static uint64_t segment_size(const Reader *reader) {
        return reader->list.items[reader->index].size;
}

static size_t choose(const Reader *reader) {
        size_t index = 0;

        for (size_t i = 0; i < reader->list.n; i++)
                if (reader->list.items[i].first_seq <= reader->seq)
                        index = i;
        return index;
}

/* Goes on in the open file if it is still the one to read. */
static void keep_segment(Reader *reader) {
        struct stat held, named;

        if (reader->fd < 0)
                return;
        reader->index = choose(reader);
        if (reader->list.n == 0 || fstat(reader->fd, &held) < 0 ||
            fstatat(reader->directory_fd, reader->list.items[reader->index].name, &named,
                    AT_SYMLINK_NOFOLLOW) < 0 ||
            held.st_ino != named.st_ino || held.st_dev != named.st_dev)
                close_segment(reader);
}

static int list_again(Reader *reader) {
        SegmentList list;
        int r;

        r = segment_list(reader->directory_fd, reader->id, &list);
        if (r < 0)
                return r;
        segment_list_done(&reader->list);
        reader->list = list;
        keep_segment(reader);
        return 0;
}

/* 1: the live spool has other segments than those listed, and they are listed now. */
static int follow_switches(Reader *reader) {
        uint64_t n_switches = reader->live ? spool_switches(reader->live) : 0;
        int r;

        if (n_switches == reader->n_switches)
                return 0;
        r = list_again(reader);
        if (r < 0)
                return r;
        reader->n_switches = n_switches;
        return 1;
}

/* 1: the segment that has reader->seq, or the first one behind it, is open; 0: there is none. */
static int open_segment(Reader *reader) {
        int r;

        for (int i = 0; i < OPEN_TRIES; i++) {
                if (reader->list.n == 0)
                        return 0;
                reader->index = choose(reader);
                reader->fd = openat(reader->directory_fd, reader->list.items[reader->index].name,
                                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                if (reader->fd >= 0) {
                        reader->offset = 0;
                        reader->after = reader->list.items[reader->index].first_seq;
                        reader->buffer_len = 0;
                        reader->buffer_last = false;
                        reader->remains = (Remains){0};
                        return 1;
                }
                if (errno != ENOENT)
                        return -errno;
                r = list_again(reader);
                if (r < 0)
                        return r;
        }
        return -EAGAIN;
}

/* ---- bytes ---- */

static size_t read_size(const Reader *reader) {
        uint64_t guess = BUFFER_SIZE;

        if (reader->live && is_last(reader))
                guess = (reader->limit - reader->seq) * TYPICAL + READ_MIN;
        return (size_t)MIN(guess, (uint64_t)BUFFER_SIZE);
}

/* The place cannot be read: steps over it. What was there is damage if nothing valid follows. */
static bool step_over(Reader *reader) {
        reader->offset += BLOCK_SIZE - reader->offset % BLOCK_SIZE;
        reader->remains.unreadable = true;
        return reader->offset < segment_size(reader);
}

static void fill_buffer(Reader *reader) {
        size_t size = read_size(reader);
        unsigned n_failures = 0;
        ssize_t n = 0;

        reader->buffer_len = 0;
        reader->buffer_last = false;
        while (reader->buffer_len < size) {
                n = clicks_io.pread(reader->fd, reader->buffer + reader->buffer_len,
                                    size - reader->buffer_len,
                                    (off_t)(reader->offset + reader->buffer_len));
                if (n > 0)
                        reader->buffer_len += (size_t)n;
                else if (n == 0 || reader->buffer_len > 0)
                        break;
                else if (++n_failures % READ_TRIES == 0 && !step_over(reader))
                        break;
        }
        reader->buffer_last = n == 0;
        reader->buffer_at = reader->offset;
}

/* The bytes from reader->offset on: RECORD_MAX_SIZE or more, fewer at the end of the file, 0 there.
 */
static size_t view(Reader *reader, const uint8_t **ret) {
        uint64_t from = reader->offset - reader->buffer_at;

        if (reader->offset < reader->buffer_at || from > reader->buffer_len ||
            (from + RECORD_MAX_SIZE > reader->buffer_len && !reader->buffer_last)) {
                fill_buffer(reader);
                from = 0;
        }
        *ret = reader->buffer + from;
        return reader->buffer_len - (size_t)from;
}

/* ---- records ---- */

/* At data there is no record: what may be said of it, and how many bytes are to be stepped over. */
static size_t step(Reader *reader, const uint8_t *data, size_t len) {
        Remains *remains = &reader->remains;
        RecordHead head;
        size_t n = 0;

        if (!remains->begun) {
                remains->begun = true;
                remains->start = reader->offset;
                remains->kind = len < RECORD_HEAD_SIZE ? 0 : data[RECORD_HEAD_SIZE - 1];
        }
        while (n < len && data[n] == 0)
                n++;
        if (n > 0)
                return n > 1 ? n - 1 : 1; /* the last zero may be the low byte of a length */
        remains->last_at = reader->offset;
        remains->last_byte = data[0];
        if (record_head(data, len, &head) && head.len <= len && data[head.len - 1] != 0 &&
            head.seq >= reader->after &&
            head.seq - reader->after < segment_size(reader) / RECORD_MIN_SIZE)
                remains->n_whole = MAX(remains->n_whole, head.seq + 1 - reader->after);
        return 1;
}

/* The next record that has numbers not below reader->seq, and its bytes. False: the segment has no
 * more. */
static bool find_record(Reader *reader, Record *ret, const uint8_t **ret_data, size_t *ret_size) {
        for (;;) {
                const uint8_t *data;
                size_t len = view(reader, &data);
                int size;

                if (len == 0)
                        return false;
                size = record_decode(reader->crc_start, data, len, ret);
                if (size < 0) {
                        reader->offset += step(reader, data, len);
                        continue;
                }
                reader->remains = (Remains){0};
                reader->after = MAX(reader->after, ret->seq + ret->n);
                if (ret->seq + ret->n > reader->seq) {
                        *ret_data = data;
                        *ret_size = (size_t)size;
                        return ret->seq < bound(reader);
                }
                reader->offset += (uint64_t)size;
        }
}

/* Is the last byte the end of a record that was whole once? Behind the numbers in front of it, a
 * visit has no such byte but its last; among them it is one of a number. */
static bool ends_like_record(const Remains *remains) {
        uint64_t at = remains->last_at - remains->start;

        if (remains->last_byte != '\n')
                return false;
        return at >= RECORD_HEAD_SIZE + RECORD_BODY_HEAD ||
               (at == RECORD_SHED_SIZE - 1 && remains->kind != RECORD_VISIT);
}

/*
 * How many records the end of a dead spool lost: those that look whole but are not valid, or one if
 * the file was cut, cannot be read, or ends like a record.
 *
 * A process that is killed while it writes leaves the beginning of what it wrote, and zeros behind
 * it. So what was being written is one record at most, it begins where the last valid one ends, and
 * its last byte is not there: nobody was told that it was kept, and it is no damage. An end that
 * was turned into zeros later looks the same, and is not counted either.
 */
static uint64_t count_remains(Reader *reader) {
        const Remains *remains = &reader->remains;
        bool cut = remains->last_byte != 0 && remains->last_at + 1 == reader->offset;

        if (remains->n_whole > 0)
                return remains->n_whole;
        return cut || remains->unreadable || ends_like_record(remains);
}

/* A live spool's number is only lost if it is not in a newer segment: then 0, and the caller looks
 * again. */
static int give_damaged(Reader *reader, uint64_t upto, ReaderItem *ret) {
        int r;

        r = follow_switches(reader);
        if (r != 0)
                return MIN(r, 0);
        *ret = (ReaderItem){.kind = READER_DAMAGED, .seq = reader->seq, .n = upto - reader->seq};
        reader->seq = upto;
        return 1;
}

static int give_record(Reader *reader, const Record *record, const uint8_t *data, size_t size,
                       ReaderItem *ret) {
        uint64_t end = MIN(record->seq + record->n, bound(reader));

        *ret = (ReaderItem){
                        .kind = record->kind == RECORD_SHED ? READER_SHED : READER_VISIT,
                        .seq = reader->seq,
                        .n = end - reader->seq,
                        .click = record->click,
                        .raw = data,
                        .raw_len = size,
        };
        reader->seq = end;
        if (end == record->seq + record->n)
                reader->offset += size;
        return 1;
}

/* No record of the open segment has reader->seq. */
static int end_segment(Reader *reader, ReaderItem *ret) {
        uint64_t end;

        if (!is_last(reader) || reader->live)
                return give_damaged(reader, bound(reader), ret);
        reader->ended = true;
        end = reader->after + count_remains(reader);
        return end > reader->seq ? give_damaged(reader, end, ret) : 0;
}

/* How far may be read now. 1, or 0: nothing. */
static int look_at_writer(Reader *reader) {
        uint64_t limit;
        int r;

        if (!reader->live || reader->seq < reader->limit)
                return 1;
        limit = spool_written_seq(reader->live);
        if (reader->seq >= limit)
                return 0;
        reader->limit = limit;
        reader->buffer_len = 0;
        reader->buffer_last = false;
        r = follow_switches(reader);
        return r < 0 ? r : 1;
}

/* An open segment that may have reader->seq: 1; 0: look again; 2: *ret is what is missing before
 * it. There is none at all: -ENOENT. */
static int reach_segment(Reader *reader, ReaderItem *ret) {
        uint64_t first;
        int r;

        if (reader->fd >= 0 && reader->seq >= bound(reader))
                close_segment(reader);
        if (reader->fd >= 0)
                return 1;
        r = open_segment(reader);
        if (r < 0)
                return r;
        if (r == 0 && !reader->live)
                return -ENOENT;
        first = r == 0 ? reader->limit : reader->list.items[reader->index].first_seq;
        if (first <= reader->seq)
                return 1;
        r = give_damaged(reader, MIN(first, reader->limit), ret);
        return r == 1 ? 2 : r;
}

static int next_in_segment(Reader *reader, ReaderItem *ret) {
        const uint8_t *data = NULL;
        size_t size = 0;
        Record record;

        if (!find_record(reader, &record, &data, &size))
                return end_segment(reader, ret);
        if (record.seq > reader->seq)
                return give_damaged(reader, record.seq, ret);
        return give_record(reader, &record, data, size, ret);
}

/* ---- public ---- */

int reader_open(int directory_fd, const uint8_t id[SPOOL_ID_SIZE], uint64_t from_seq,
                const Spool *live, Reader **ret) {
        _cleanup_(reader_free_p) Reader *reader = NULL;
        int r;

        reader = calloc(1, sizeof(*reader));
        if (!reader)
                return -ENOMEM;
        reader->fd = -1;
        reader->buffer = malloc(BUFFER_SIZE);
        if (!reader->buffer)
                return -ENOMEM;
        reader->directory_fd = directory_fd;
        reader->live = live;
        memcpy(reader->id, id, SPOOL_ID_SIZE);
        reader->crc_start = record_crc_start(id);
        reader->seq = MAX(from_seq, (uint64_t)1);
        reader->limit = live ? 0 : RECORD_SEQ_END;
        reader->n_switches = live ? spool_switches(live) : 0;
        r = list_again(reader);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(reader);
        return 0;
}

Reader *reader_free(Reader *reader) {
        if (!reader)
                return NULL;
        close_segment(reader);
        segment_list_done(&reader->list);
        free(reader->buffer);
        free(reader);
        return NULL;
}

int reader_next(Reader *reader, ReaderItem *ret) {
        int r;

        while (!reader->ended) {
                r = look_at_writer(reader);
                if (r <= 0)
                        return r;
                r = reach_segment(reader, ret);
                if (r == -ENOENT)
                        return 0;
                if (r == 2)
                        return 1;
                if (r == 1)
                        r = next_in_segment(reader, ret);
                if (r != 0)
                        return r;
        }
        return 0;
}

uint64_t reader_seq(const Reader *reader) {
        return reader->seq;
}
