/* SPDX-License-Identifier: MIT */

/* The rules; which addresses are special is special.h's. */

#include <arpa/inet.h>
#include <errno.h>
#include <unictype.h>

#include "model/host.h"
#include "model/punycode.h"
#include "policy/location.h"
#include "policy/policy.h"
#include "policy/special.h"

#define LABEL_MAX 63u

/* Names that are only known inside (RFC 6761, 6762, 8375, 9476 and ICANN's .internal). */
static const char *const inside[] = {"localhost", "local", "internal", "intranet",   "lan", "home",
                                     "home.arpa", "corp",  "private",  "localdomain"};

static bool is_below(Slice host, Slice domain) {
        if (host.len < domain.len ||
            !slice_equal_nocase(slice_from(host, host.len - domain.len), domain))
                return false;
        return host.len == domain.len || host.data[host.len - domain.len - 1] == '.';
}

static bool is_own(char *const *own_hosts, Slice host) {
        char buffer[LOCATION_IPV4_SIZE], own_buffer[LOCATION_IPV4_SIZE];

        host = location_plain_host(host, buffer);
        for (size_t i = 0; own_hosts && own_hosts[i]; i++)
                if (slice_equal_nocase(host, location_plain_host(slice_from_string(own_hosts[i]),
                                                                 own_buffer)))
                        return true;
        return false;
}

bool policy_host_private(Slice host) {
        unsigned char address[16];
        char text[HOST_SIZE];

        host = location_without_dots(host);
        if (host.len == 0 || host.len >= sizeof text)
                return true;
        memcpy(text, host.data, host.len);
        text[host.len] = '\0';
        if (host.data[0] == '[') {
                text[host.len - 1] = '\0';
                return inet_pton(AF_INET6, text + 1, address) != 1 || special_v6(address);
        }
        if (inet_pton(AF_INET, text, address) == 1)
                return special_v4(address);
        for (size_t i = 0; i < ELEMENTSOF(inside); i++)
                if (is_below(host, slice_from_string(inside[i])))
                        return true;
        return slice_find(host, '.') < 0;
}

/* ---- scripts ---- */

enum {
        SCRIPT_LATIN = 1 << 0,
        SCRIPT_HAN = 1 << 1,
        SCRIPT_KANA = 1 << 2,
        SCRIPT_BOPOMOFO = 1 << 3,
        SCRIPT_HANGUL = 1 << 4,
        SCRIPT_OTHER = 1 << 5,
};

/* What may stand beside each other in one label, besides one script alone. */
static const unsigned mixtures[] = {
                SCRIPT_LATIN | SCRIPT_HAN | SCRIPT_KANA,
                SCRIPT_LATIN | SCRIPT_HAN | SCRIPT_BOPOMOFO,
                SCRIPT_LATIN | SCRIPT_HAN | SCRIPT_HANGUL,
};

static const struct {
        const char *name;
        unsigned set;
} scripts[] = {
                {"Latin", SCRIPT_LATIN},
                {"Han", SCRIPT_HAN},
                {"Hiragana", SCRIPT_KANA},
                {"Katakana", SCRIPT_KANA},
                {"Bopomofo", SCRIPT_BOPOMOFO},
                {"Hangul", SCRIPT_HANGUL},
                {"Common", 0},
                {"Inherited", 0},
};

static unsigned set_of(const uc_script_t *script) {
        for (size_t i = 0; i < ELEMENTSOF(scripts); i++)
                if (script && strcmp(script->name, scripts[i].name) == 0)
                        return scripts[i].set;
        return SCRIPT_OTHER;
}

static bool label_mixed(const uint32_t *characters, size_t n) {
        const uc_script_t *other = NULL;
        unsigned seen = 0;

        for (size_t i = 0; i < n; i++) {
                const uc_script_t *script = uc_script(characters[i]);
                unsigned set = set_of(script);

                if (set == SCRIPT_OTHER && other && other != script)
                        return true;
                if (set == SCRIPT_OTHER)
                        other = script;
                seen |= set;
        }
        if ((seen & (seen - 1)) == 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(mixtures); i++)
                if ((seen & ~mixtures[i]) == 0)
                        return false;
        return true;
}

bool policy_host_mixed(Slice host) {
        uint32_t characters[LABEL_MAX];
        Slice label;
        bool more = true;
        size_t n;

        host = location_without_dots(host);
        while (more) {
                more = slice_cut(host, '.', &label, &host);
                if (!slice_starts_with_nocase(label, SLICE("xn--")))
                        continue;
                n = ELEMENTSOF(characters);
                if (punycode_decode(slice_from(label, 4), characters, &n) < 0 ||
                    label_mixed(characters, n))
                        return true;
        }
        return false;
}

/* ---- all of it ---- */

bool policy_allows(const Policy *policy, Slice location) {
        Slice host = location_host(location);

        if (policy->refuse_private && policy_host_private(host))
                return false;
        if (policy->refuse_mixed && policy_host_mixed(host))
                return false;
        return !is_own(policy->own_hosts, host);
}
