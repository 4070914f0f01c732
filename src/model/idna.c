/* SPDX-License-Identifier: MIT */

/*
 * Internationalised domain names. Plain ASCII names are only lowered, which is all that the
 * standard does to them; everything else is libidn2's work.
 *
 * libidn2 also applies IDNA2008's own rules, which refuse what UTS #46 and therefore every browser
 * accepts: symbols such as emoji, and hyphens in certain places. A name that it refuses gets a
 * second chance: each of these characters is replaced by one letter that IDNA leaves alone (and
 * that is as neutral in right-to-left names), libidn2 maps, normalises and checks all the rest, and
 * the characters are put back into its answer. Any thread.
 */

#include <errno.h>

#include <idn2.h>

#include "basic/utf8.h"
#include "model/idna.h"
#include "model/punycode.h"

#define LABEL_MAX    PUNYCODE_MAX  /* bytes */
#define PREFIX       SLICE("xn--") /* of an encoded label */
#define DOTTED_MAX   512u          /* bytes of a name that gets the second chance */
#define PLACEHOLDER  0xA717u       /* the first of PLACEHOLDERS modifier letters in a row */
#define PLACEHOLDERS 4u

/* A name whose characters were replaced, and what they were, in order. */
typedef struct Masked {
        uint32_t placeholder;
        uint32_t originals[DOTTED_MAX];
        size_t n_originals;
        size_t n_restored;
        char text[4 * DOTTED_MAX + 1]; /* UTF-8; NUL terminated when complete */
        size_t len;
} Masked;

typedef struct Range {
        uint32_t first, last;
} Range;

/* Symbols that UTS #46 leaves as they are and IDNA2008 forbids: those that people register. Gaps
 * are letters, or symbols that are mapped. Emoji that are yet to be assigned are let through. */
static const Range symbols[] = {
                {0xA1, 0xA7},       {0xA9, 0xA9},       {0xAB, 0xAC},       {0xAE, 0xAE},
                {0xB0, 0xB1},       {0xB6, 0xB6},       {0xBB, 0xBB},       {0xBF, 0xBF},
                {0xD7, 0xD7},       {0xF7, 0xF7},       {0x20A0, 0x20A7},   {0x20A9, 0x20C0},
                {0x2190, 0x222B},   {0x222E, 0x222E},   {0x2231, 0x225F},   {0x2261, 0x226D},
                {0x2270, 0x2328},   {0x232B, 0x2426},   {0x2440, 0x244A},   {0x24EB, 0x2A0B},
                {0x2A0D, 0x2A73},   {0x2A77, 0x2ADB},   {0x2ADD, 0x2B73},   {0x2B76, 0x2B95},
                {0x2B97, 0x2BFF},   {0x3003, 0x3004},   {0x3008, 0x3029},   {0x4DC0, 0x4DFF},
                {0x1F000, 0x1F0FF}, {0x1F10B, 0x1F10C}, {0x1F12F, 0x1F12F}, {0x1F150, 0x1F169},
                {0x1F170, 0x1F18F}, {0x1F191, 0x1F1FF}, {0x1F260, 0x1F265}, {0x1F300, 0x1FAFF},
};

static char lower(char c) {
        return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_ascii(Slice s) {
        for (size_t i = 0; i < s.len; i++)
                if ((unsigned char)s.data[i] >= 0x80)
                        return false;
        return true;
}

static bool is_symbol(uint32_t c) {
        for (size_t i = 0; i < ELEMENTSOF(symbols); i++)
                if (c >= symbols[i].first && c <= symbols[i].last)
                        return true;
        return false;
}

/* Does the label claim to be encoded already? Such a claim is checked by decoding it. */
static bool is_encoded(Slice label) {
        return slice_starts_with_nocase(label, PREFIX);
}

static bool has_encoded_label(Slice domain) {
        Slice label;
        bool more = true;

        while (more) {
                more = slice_cut(domain, '.', &label, &domain);
                if (is_encoded(label))
                        return true;
        }
        return false;
}

static bool lengths_fit(Slice domain) {
        Slice label;
        bool more = true;

        if (domain.len > HOST_MAX + (domain.len > 0 && domain.data[domain.len - 1] == '.'))
                return false;
        while (more) {
                more = slice_cut(domain, '.', &label, &domain);
                if (label.len > LABEL_MAX)
                        return false;
        }
        return true;
}

static int emit(Slice domain, char ret[HOST_SIZE], size_t *ret_len) {
        if (!lengths_fit(domain))
                return -EINVAL;
        for (size_t i = 0; i < domain.len; i++)
                ret[i] = lower(domain.data[i]);
        *ret_len = domain.len;
        return 0;
}

/* Copies domain to out (DOTTED_MAX bytes) with the three other dots of IDNA turned into ASCII's. */
static int unify_dots(Slice domain, char *out, Slice *ret) {
        size_t at = 0, n = 0;
        uint32_t c;

        if (domain.len > DOTTED_MAX)
                return -EINVAL;
        while (at < domain.len) {
                CHECK(utf8_next(domain, &at, &c) == 0);
                n += utf8_encode(c == 0x3002 || c == 0xFF0E || c == 0xFF61 ? '.' : c, out + n);
        }
        *ret = slice_make(out, n);
        return 0;
}

/* The code points of a label; n is at most its bytes. */
static int decode_label(Slice label, uint32_t *ret, size_t *ret_n) {
        size_t at = 0, n = 0;

        if (is_encoded(label))
                return punycode_decode(slice_from(label, PREFIX.len), ret, ret_n);
        while (at < label.len)
                CHECK(utf8_next(label, &at, ret + n++) == 0);
        *ret_n = n;
        return 0;
}

/* IDNA2008 has hyphens neither first, nor last, nor third and fourth. */
static bool is_masked(const uint32_t *points, size_t n, size_t i) {
        if (points[i] == '-')
                return i == 0 || i == 2 || i == 3 || i + 1 == n;
        return is_symbol(points[i]);
}

static int mask_label(Masked *masked, Slice label) {
        uint32_t points[DOTTED_MAX];
        size_t n;
        int r;

        r = decode_label(label, points, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                uint32_t c = points[i];

                if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF) || c == 0)
                        return -EINVAL;
                if (is_masked(points, n, i)) {
                        masked->originals[masked->n_originals++] = c;
                        c = masked->placeholder;
                } else if (c == masked->placeholder) {
                        return -EINVAL;
                }
                masked->len += utf8_encode(c, masked->text + masked->len);
        }
        return 0;
}

static int mask(Masked *masked, Slice domain, uint32_t placeholder) {
        Slice label;
        bool more = true;
        int r;

        masked->placeholder = placeholder;
        masked->n_originals = masked->n_restored = masked->len = 0;
        while (more) {
                more = slice_cut(domain, '.', &label, &domain);
                r = mask_label(masked, label);
                if (r < 0)
                        return r;
                if (more)
                        masked->text[masked->len++] = '.';
        }
        masked->text[masked->len] = '\0';
        return masked->n_originals > 0 ? 0 : -EINVAL;
}

/* Writes label with its own characters again to out (LABEL_MAX bytes). */
static int restore_label(Masked *masked, Slice label, char *out, size_t *ret_len) {
        uint32_t points[LABEL_MAX];
        bool ascii = true;
        size_t n;
        int r;

        r = label.len <= LABEL_MAX ? decode_label(label, points, &n) : -EINVAL;
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                if (points[i] == masked->placeholder) {
                        if (masked->n_restored == masked->n_originals)
                                return -EINVAL;
                        points[i] = masked->originals[masked->n_restored++];
                }
                ascii = ascii && points[i] < 0x80;
        }
        if (!ascii) {
                char code[PUNYCODE_MAX];
                size_t len;

                r = punycode_encode(points, n, code, &len);
                if (r < 0 || len > LABEL_MAX - PREFIX.len)
                        return -EINVAL;
                memcpy(out, PREFIX.data, PREFIX.len);
                memcpy(out + PREFIX.len, code, len);
                *ret_len = PREFIX.len + len;
                return 0;
        }
        for (size_t i = 0; i < n; i++)
                out[i] = (char)points[i];
        *ret_len = n;
        return 0;
}

/* ascii: libidn2's answer for masked. A label of the original domain that came encoded must come
 * out just as it was. */
static int restore(Masked *masked, Slice original, Slice ascii, Slice *ret) {
        size_t len = 0;
        bool more = true;
        int r;

        while (more) {
                Slice label, before;
                char *out = masked->text + len;
                size_t n = 0;

                more = slice_cut(ascii, '.', &label, &ascii);
                if (slice_cut(original, '.', &before, &original) != more ||
                    sizeof(masked->text) - len <= LABEL_MAX)
                        return -EINVAL;
                r = restore_label(masked, label, out, &n);
                if (r < 0)
                        return r;
                if (is_encoded(before) && !slice_equal_nocase(before, slice_make(out, n)))
                        return -EINVAL;
                len += n;
                if (more)
                        masked->text[len++] = '.';
        }
        *ret = slice_make(masked->text, len);
        return masked->n_restored == masked->n_originals ? 0 : -EINVAL;
}

static int call_libidn2(const char *text, char **ret_ascii) {
        int r = idn2_to_ascii_8z(text, ret_ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);

        if (r == IDN2_MALLOC)
                return -ENOMEM;
        return r == IDN2_OK ? 0 : -EINVAL;
}

static int second_chance(Slice domain, char ret[HOST_SIZE], size_t *ret_len) {
        char dotted[DOTTED_MAX];
        char *ascii = NULL;
        Masked masked;
        Slice original, result;
        int r;

        r = unify_dots(domain, dotted, &original);
        if (r < 0)
                return r;
        r = -EINVAL;
        for (uint32_t i = 0; i < PLACEHOLDERS && r < 0; i++)
                r = mask(&masked, original, PLACEHOLDER + i);
        if (r < 0)
                return r;
        r = call_libidn2(masked.text, &ascii);
        if (r == 0)
                r = restore(&masked, original, slice_from_string(ascii), &result);
        idn2_free(ascii);
        return r < 0 ? r : emit(result, ret, ret_len);
}

/* The capital sharp s is mapped to the small one since Unicode 15.1, and by browsers; libidn2
 * before it makes another name of it, with ss. */
static void lower_sharp_s(char *text) {
        static const char capital[] = "\xE1\xBA\x9E", small[] = "\xC3\x9F";

        for (char *at = text; (at = strstr(at, capital)); at += sizeof small - 1) {
                memcpy(at, small, sizeof small - 1);
                memmove(at + sizeof small - 1, at + sizeof capital - 1,
                        strlen(at + sizeof capital - 1) + 1);
        }
}

/* A name that is not plain ASCII, or has a label that is encoded. */
static int convert(Slice domain, char ret[HOST_SIZE], size_t *ret_len) {
        _cleanup_free_ char *text = slice_to_string(domain);
        char *ascii = NULL;
        int r;

        if (!text)
                return -ENOMEM;
        lower_sharp_s(text);
        r = call_libidn2(text, &ascii);
        if (r == 0)
                r = emit(slice_from_string(ascii), ret, ret_len);
        else if (r == -EINVAL)
                r = second_chance(slice_from_string(text), ret, ret_len);
        idn2_free(ascii);
        return r;
}

int idna_to_ascii(Slice domain, char ret[HOST_SIZE], size_t *ret_len) {
        char first[HOST_SIZE], second[HOST_SIZE];
        size_t first_len, second_len;
        int r;

        if (is_ascii(domain) && !has_encoded_label(domain))
                return emit(domain, ret, ret_len);
        r = convert(domain, first, &first_len);
        if (r < 0)
                return r;
        /* libidn2 looks for encoded labels before it maps; a label that only then begins with xn--
         * (by a soft hyphen in front) is checked here: a name must convert to itself. */
        if (has_encoded_label(slice_make(first, first_len))) {
                r = convert(slice_make(first, first_len), second, &second_len);
                if (r < 0)
                        return r;
                if (!slice_equal(slice_make(first, first_len), slice_make(second, second_len)))
                        return -EINVAL;
        }
        memcpy(ret, first, first_len);
        *ret_len = first_len;
        return 0;
}
