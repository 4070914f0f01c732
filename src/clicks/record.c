/* SPDX-License-Identifier: MIT */
/*
 * Encoding is on the path of every redirect: no allocation, one pass over the texts, which are
 * nearly always printable ASCII (checked and copied eight bytes at a time), one CRC. Decoding
 * trusts nothing. No I/O. Any thread.
 */

#include <endian.h>
#include <errno.h>

#include "basic/hash.h"
#include "basic/utf8.h"
#include "clicks/record.h"

#define REFERRER_NONE 0xFFFFu
#define END_BYTE      '\n'
#define CRC_OFFSET    4u
#define SEQ_OFFSET    8u /* the CRC covers what is from here on */

#define EACH_BYTE(b) ((b)*0x0101010101010101ULL)

static void put_u16(uint8_t *p, uint16_t value) {
        value = htole16(value);
        memcpy(p, &value, sizeof(value));
}

static void put_u32(uint8_t *p, uint32_t value) {
        value = htole32(value);
        memcpy(p, &value, sizeof(value));
}

static void put_u64(uint8_t *p, uint64_t value) {
        value = htole64(value);
        memcpy(p, &value, sizeof(value));
}

static uint16_t get_u16(const uint8_t *p) {
        uint16_t value;

        memcpy(&value, p, sizeof(value));
        return le16toh(value);
}

static uint32_t get_u32(const uint8_t *p) {
        uint32_t value;

        memcpy(&value, p, sizeof(value));
        return le32toh(value);
}

static uint64_t get_u64(const uint8_t *p) {
        uint64_t value;

        memcpy(&value, p, sizeof(value));
        return le64toh(value);
}

/* Is one of the eight bytes not in 0x20 to 0x7E? The three terms set the high bit of a byte that is
 * not ASCII, is below a blank, or is DEL; carries only come from bytes that one of them marks. */
static bool has_odd_byte(uint64_t word) {
        return (word | (word - EACH_BYTE(0x20)) | (word + EACH_BYTE(0x01))) & EACH_BYTE(0x80);
}

/* Valid UTF-8 without control characters, at most max bytes. */
static size_t put_text(uint8_t *out, Slice s, size_t max) {
        size_t n = MIN(s.len, max), i = 0;
        uint64_t word;

        for (; n - i >= sizeof(word); i += sizeof(word)) {
                memcpy(&word, s.data + i, sizeof(word));
                if (UNLIKELY(has_odd_byte(word)))
                        return utf8_clean(s, (char *)out, max);
                memcpy(out + i, &word, sizeof(word));
        }
        for (; i < n; i++) {
                uint8_t c = (uint8_t)s.data[i];

                if (UNLIKELY(c < 0x20 || c > 0x7E))
                        return utf8_clean(s, (char *)out, max);
                out[i] = c;
        }
        return n;
}

/* Fills the head; everything behind it is in place. */
static size_t seal(uint32_t crc_start, uint64_t seq, uint64_t time_usec, RecordKind kind,
                   uint8_t *out, size_t len) {
        put_u32(out, (uint32_t)len);
        put_u64(out + SEQ_OFFSET, seq);
        put_u64(out + SEQ_OFFSET + 8, time_usec);
        out[RECORD_HEAD_SIZE - 1] = (uint8_t)kind;
        put_u32(out + CRC_OFFSET, hash_crc32c(crc_start, out + SEQ_OFFSET, len - SEQ_OFFSET));
        return len;
}

uint32_t record_crc_start(const uint8_t spool_id[16]) {
        return hash_crc32c(0, spool_id, 16);
}

size_t record_encode_visit(uint32_t crc_start, uint64_t seq, const Click *click, uint8_t *out) {
        uint8_t *body = out + RECORD_HEAD_SIZE, *p = body + RECORD_BODY_HEAD;
        size_t n;

        put_u64(body, (uint64_t)click->link_id);
        n = put_text(p, click->remote, RECORD_NAME_MAX);
        body[8] = (uint8_t)n;
        p += n;
        n = put_text(p, click->request_id, RECORD_NAME_MAX);
        body[9] = (uint8_t)n;
        p += n;
        n = put_text(p, click->referrer, RECORD_TEXT_MAX);
        put_u16(body + 10, click->referrer.data ? (uint16_t)n : REFERRER_NONE);
        p += n;
        n = put_text(p, click->user_agent, RECORD_TEXT_MAX);
        put_u16(body + 12, (uint16_t)n);
        p += n;
        *p++ = END_BYTE;
        return seal(crc_start, seq, click->time_usec, RECORD_VISIT, out, (size_t)(p - out));
}

size_t record_encode_shed(uint32_t crc_start, uint64_t seq, uint64_t count, uint64_t time_usec,
                          uint8_t *out) {
        put_u64(out + RECORD_HEAD_SIZE, count);
        out[RECORD_SHED_SIZE - 1] = END_BYTE;
        return seal(crc_start, seq, time_usec, RECORD_SHED, out, RECORD_SHED_SIZE);
}

bool record_head(const uint8_t *data, size_t len, RecordHead *ret) {
        uint32_t record_len;

        if (len < RECORD_HEAD_SIZE)
                return false;
        record_len = get_u32(data);
        if (record_len < RECORD_MIN_SIZE || record_len > RECORD_MAX_SIZE)
                return false;
        *ret = (RecordHead){
                        .len = record_len,
                        .crc = get_u32(data + CRC_OFFSET),
                        .seq = get_u64(data + SEQ_OFFSET),
                        .kind = data[RECORD_HEAD_SIZE - 1],
        };
        return true;
}

static Slice take_text(const uint8_t **p, size_t n) {
        Slice s = slice_make((const char *)*p, n);

        *p += n;
        return s;
}

static int decode_visit(const uint8_t *body, size_t len, Click *ret) {
        size_t n_remote, n_request_id, n_referrer, n_agent;
        const uint8_t *p = body + RECORD_BODY_HEAD;
        bool referred;

        if (len < RECORD_BODY_HEAD + 1)
                return -EBADMSG;
        n_remote = body[8];
        n_request_id = body[9];
        n_referrer = get_u16(body + 10);
        n_agent = get_u16(body + 12);
        referred = n_referrer != REFERRER_NONE;
        if (!referred)
                n_referrer = 0;
        if (n_remote > RECORD_NAME_MAX || n_request_id > RECORD_NAME_MAX ||
            n_referrer > RECORD_TEXT_MAX || n_agent > RECORD_TEXT_MAX ||
            len != RECORD_BODY_HEAD + n_remote + n_request_id + n_referrer + n_agent + 1)
                return -EBADMSG;
        ret->link_id = (int64_t)get_u64(body);
        ret->remote = take_text(&p, n_remote);
        ret->request_id = take_text(&p, n_request_id);
        ret->referrer = referred ? take_text(&p, n_referrer) : SLICE_NONE;
        ret->user_agent = take_text(&p, n_agent);
        if (!utf8_valid(ret->remote) || !utf8_valid(ret->request_id) ||
            !utf8_valid(ret->referrer) || !utf8_valid(ret->user_agent))
                return -EBADMSG;
        return 0;
}

int record_decode(uint32_t crc_start, const uint8_t *data, size_t len, Record *ret) {
        const uint8_t *body = data + RECORD_HEAD_SIZE;
        Record record = {.n = 1};
        RecordHead head;
        int r;

        if (!record_head(data, len, &head) || head.len > len || head.seq == 0 ||
            head.seq >= RECORD_SEQ_END || data[head.len - 1] != END_BYTE)
                return -EBADMSG;
        if (head.crc != hash_crc32c(crc_start, data + SEQ_OFFSET, head.len - SEQ_OFFSET))
                return -EBADMSG;
        record.seq = head.seq;
        record.click.time_usec = get_u64(data + SEQ_OFFSET + 8);
        switch (head.kind) {
        case RECORD_VISIT:
                record.kind = RECORD_VISIT;
                r = decode_visit(body, head.len - RECORD_HEAD_SIZE, &record.click);
                if (r < 0)
                        return r;
                break;
        case RECORD_SHED:
                record.kind = RECORD_SHED;
                record.n = get_u64(body);
                if (head.len != RECORD_SHED_SIZE || record.n == 0 ||
                    record.n > RECORD_SEQ_END - record.seq)
                        return -EBADMSG;
                break;
        default:
                return -EBADMSG;
        }
        *ret = record;
        return (int)head.len;
}
