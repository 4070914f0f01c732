/* SPDX-License-Identifier: MIT */

/* Records of the journal, in the byte order of the host: a queue does not move between hosts. */

#include "alertd/journal-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/hash.h"

#define MAGIC  0x544c4153u /* "SALT" */
#define SUFFIX ".alerts"
#define DIGITS 16u

typedef struct Header {
        uint32_t magic;
        uint32_t crc;  /* of all behind it, to the record's end */
        uint64_t size; /* bytes of the texts */
        uint64_t number, first_seq, received_usec, body_hash, body_size;
        uint32_t n_alerts;
        uint32_t zero;
} Header;

#define CRC_OFFSET offsetof(Header, size)

void journal_file_name(uint64_t first, char ret[JOURNAL_NAME_SIZE]) {
        (void)snprintf(ret, JOURNAL_NAME_SIZE, "%016jx" SUFFIX, (uintmax_t)first);
}

bool journal_file_first(const char *name, uint64_t *ret_first) {
        uint64_t first = 0;

        if (strlen(name) != DIGITS + strlen(SUFFIX) || strcmp(name + DIGITS, SUFFIX) != 0)
                return false;
        for (size_t i = 0; i < DIGITS; i++) {
                char c = name[i];

                if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
                        return false;
                first = first << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        *ret_first = first;
        return true;
}

void journal_file_record(const AlertBatch *batch, Buffer *out) {
        size_t start = out->len;
        Header header = {
                        .magic = MAGIC,
                        .size = batch->size,
                        .number = batch->number,
                        .first_seq = batch->first_seq,
                        .received_usec = batch->received_usec,
                        .body_hash = batch->body_hash,
                        .body_size = batch->body_size,
                        .n_alerts = batch->n_alerts,
        };

        buffer_append(out, slice_make((const char *)&header, sizeof header));
        for (uint32_t i = 0; i < batch->n_alerts; i++) {
                uint32_t length = (uint32_t)batch->texts[i].len;

                buffer_append(out, slice_make((const char *)&length, sizeof length));
        }
        buffer_append(out, slice_make(batch->bytes, batch->size));
        if (out->failed)
                return;
        header.crc = hash_crc32c(0, out->data + start + CRC_OFFSET, out->len - start - CRC_OFFSET);
        memcpy(out->data + start, &header, sizeof header);
}

/* The record at the front of rest: its length, or 0 when there is no whole one. */
static size_t check_record(Slice rest, Header *ret) {
        size_t lengths, length;
        uint64_t sum = 0;

        if (rest.len < sizeof *ret)
                return 0;
        memcpy(ret, rest.data, sizeof *ret);
        lengths = (size_t)ret->n_alerts * sizeof(uint32_t);
        if (ret->magic != MAGIC || ret->n_alerts == 0 || ret->first_seq == 0 ||
            ret->size > rest.len || sizeof *ret + lengths + ret->size > rest.len)
                return 0;
        length = sizeof *ret + lengths + (size_t)ret->size;
        if (hash_crc32c(0, rest.data + CRC_OFFSET, length - CRC_OFFSET) != ret->crc)
                return 0;
        for (uint32_t i = 0; i < ret->n_alerts; i++) {
                uint32_t one;

                memcpy(&one, rest.data + sizeof *ret + i * sizeof one, sizeof one);
                sum += one;
        }
        return sum == ret->size ? length : 0;
}

static int take_record(const Header *header, const char *data, AlertBatch **ret) {
        _cleanup_(alert_batch_free_p) AlertBatch *batch = calloc(1, sizeof *batch);
        size_t lengths_size = header->n_alerts * sizeof(uint32_t);
        _cleanup_free_ uint32_t *lengths = malloc(lengths_size);
        int r;

        if (!batch || !lengths)
                return -ENOMEM;
        *batch = (AlertBatch){
                        .number = header->number,
                        .first_seq = header->first_seq,
                        .received_usec = header->received_usec,
                        .body_hash = header->body_hash,
                        .body_size = header->body_size,
                        .n_alerts = header->n_alerts,
                        .size = (size_t)header->size,
                        .bytes = malloc(MAX((size_t)header->size, (size_t)1)),
        };
        if (!batch->bytes)
                return -ENOMEM;
        memcpy(lengths, data + sizeof *header, lengths_size);
        memcpy(batch->bytes, data + sizeof *header + lengths_size, batch->size);
        r = alert_batch_slice(batch, lengths);
        if (r >= 0)
                *ret = TAKE_PTR(batch);
        return r;
}

static int load_records(Slice bytes, JournalFound *found, uint64_t *next_number, size_t *ret_good) {
        size_t at = 0, length;
        Header header;

        while ((length = check_record(slice_from(bytes, at), &header)) > 0) {
                AlertBatch *batch;
                int r = take_record(&header, bytes.data + at, &batch);

                if (r < 0)
                        return r;
                list_append(&found->batches, &batch->node);
                found->last_seq = MAX(found->last_seq, alert_batch_last(batch));
                *next_number = MAX(*next_number, batch->number + 1);
                at += length;
        }
        *ret_good = at;
        return 0;
}

int journal_file_load(int fd, JournalFound *found, uint64_t *next_number, uint64_t *ret_good,
                      uint64_t *ret_rest) {
        size_t good = 0;
        struct stat st;
        void *bytes;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        *ret_good = *ret_rest = 0;
        if (st.st_size == 0)
                return 0;
        bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
                return -errno;
        r = load_records(slice_make(bytes, (size_t)st.st_size), found, next_number, &good);
        (void)munmap(bytes, (size_t)st.st_size);
        *ret_good = good;
        *ret_rest = (uint64_t)st.st_size - good;
        return r;
}
