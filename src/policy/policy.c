/* SPDX-License-Identifier: MIT */

/* The rules. Addresses are those of IANA's registries of special purposes (RFC 6890), as far as
 * they are not global. */

#include <arpa/inet.h>
#include <errno.h>
#include <unictype.h>

#include "model/host.h"
#include "model/punycode.h"
#include "policy/location.h"
#include "policy/policy.h"

#define LABEL_MAX 63u

typedef struct Network {
        unsigned char bytes[16];
        unsigned bits;
} Network;

static const Network special_v4[] = {
                {{0}, 8},         {{10}, 8},       {{100, 64}, 10},      {{127}, 8},
                {{169, 254}, 16}, {{172, 16}, 12}, {{192, 0, 0}, 24},    {{192, 0, 2}, 24},
                {{192, 168}, 16}, {{198, 18}, 15}, {{198, 51, 100}, 24}, {{203, 0, 113}, 24},
                {{224}, 4},       {{240}, 4},
};

static const Network special_v6[] = {
                {{0}, 128},                        /* :: */
                {{[15] = 1}, 128},                 /* ::1 */
                {{0, 0x64, 0xff, 0x9b, 0, 1}, 48}, /* local translation (RFC 8215) */
                {{0x01}, 64},                      /* 100::, discard */
                {{0x5f}, 16},                      /* segment identifiers (RFC 9602) */
                {{0x20, 0x01, 0x0d, 0xb8}, 32},    /* documentation */
                {{0x20, 0x01, 0, 0x02}, 48},       /* benchmarks */
                {{0x3f, 0xff}, 20},                /* documentation */
                {{0xfc}, 7},                       /* unique local */
                {{0xfe, 0x80}, 10},                /* link-local */
                {{0xfe, 0xc0}, 10},                /* site-local of old */
                {{0xff}, 8},                       /* multicast */
};

/* Where an IPv4 address is hidden in an IPv6 one. */
static const struct {
        Network prefix;
        unsigned at;
} embedded[] = {
                {{{[10] = 0xff, [11] = 0xff}, 96}, 12}, /* mapped */
                {{{0}, 96}, 12},                        /* compatible */
                {{{0, 0x64, 0xff, 0x9b}, 96}, 12},      /* NAT64 */
                {{{0x20, 0x02}, 16}, 2},                /* 6to4 */
};

/* Names that are only known inside (RFC 6761, 6762, 8375, 9476 and ICANN's .internal). */
static const char *const inside[] = {"localhost", "local", "internal", "intranet",   "lan", "home",
                                     "home.arpa", "corp",  "private",  "localdomain"};

static bool within(const unsigned char *address, const Network *network) {
        unsigned whole = network->bits / 8, rest = network->bits % 8;

        if (memcmp(address, network->bytes, whole) != 0)
                return false;
        return rest == 0 || ((address[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}

static bool private_v4(const unsigned char *address) {
        for (size_t i = 0; i < ELEMENTSOF(special_v4); i++)
                if (within(address, special_v4 + i))
                        return true;
        return false;
}

static bool private_v6(const unsigned char *address) {
        for (size_t i = 0; i < ELEMENTSOF(special_v6); i++)
                if (within(address, special_v6 + i))
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(embedded); i++)
                if (within(address, &embedded[i].prefix))
                        return private_v4(address + embedded[i].at);
        return false;
}

static bool is_below(Slice host, Slice domain) {
        if (host.len < domain.len ||
            !slice_equal_nocase(slice_from(host, host.len - domain.len), domain))
                return false;
        return host.len == domain.len || host.data[host.len - domain.len - 1] == '.';
}

static Slice without_dot(Slice host) {
        if (host.len > 0 && host.data[host.len - 1] == '.')
                host.len--;
        return host;
}

bool policy_host_private(Slice host) {
        unsigned char address[16];
        char text[HOST_SIZE];

        host = without_dot(host);
        if (host.len == 0 || host.len >= sizeof text)
                return true;
        memcpy(text, host.data, host.len);
        text[host.len] = '\0';
        if (host.data[0] == '[') {
                text[host.len - 1] = '\0';
                return inet_pton(AF_INET6, text + 1, address) != 1 || private_v6(address);
        }
        if (inet_pton(AF_INET, text, address) == 1)
                return private_v4(address);
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

        host = without_dot(host);
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
        for (size_t i = 0; policy->own_hosts && policy->own_hosts[i]; i++)
                if (slice_equal_nocase(without_dot(host), slice_from_string(policy->own_hosts[i])))
                        return false;
        return true;
}
