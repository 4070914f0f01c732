/* SPDX-License-Identifier: MIT */

/*
 * Internationalised domain names. Plain ASCII names are only lowered, which is all that the
 * standard does to them; everything else is libidn2's work. Any thread.
 */

#include <errno.h>

#include <idn2.h>

#include "model/idna.h"

#define LABEL_MAX 63u /* bytes */

static char lower(char c) {
        return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_ascii(Slice s) {
        for (size_t i = 0; i < s.len; i++)
                if ((unsigned char)s.data[i] >= 0x80)
                        return false;
        return true;
}

/* Does any label claim to be encoded already? Such a claim is checked by decoding it. */
static bool has_encoded_label(Slice domain) {
        Slice label;
        bool more = true;

        while (more) {
                more = slice_cut(domain, '.', &label, &domain);
                if (slice_starts_with_nocase(label, SLICE("xn--")))
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

int idna_to_ascii(Slice domain, char ret[HOST_SIZE], size_t *ret_len) {
        _cleanup_free_ char *text = NULL;
        char *ascii = NULL;
        int r;

        if (is_ascii(domain) && !has_encoded_label(domain))
                return emit(domain, ret, ret_len);
        text = slice_to_string(domain);
        if (!text)
                return -ENOMEM;
        r = idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
        if (r == IDN2_OK)
                r = emit(slice_from_string(ascii), ret, ret_len);
        else
                r = r == IDN2_MALLOC ? -ENOMEM : -EINVAL;
        idn2_free(ascii);
        return r;
}
