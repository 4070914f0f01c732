/* SPDX-License-Identifier: MIT */

/* Two lists in the registries' order, and where IPv6 addresses have one of IPv4 in them. */

#include <stddef.h>
#include <string.h>

#include "basic/check.h"
#include "policy/special.h"

typedef struct Network {
        unsigned char bytes[16];
        unsigned bits;
} Network;

static const Network v4[] = {
                {{0}, 8},             /* this network */
                {{10}, 8},            /* private */
                {{100, 64}, 10},      /* between a provider and its customers */
                {{127}, 8},           /* loopback */
                {{169, 254}, 16},     /* link-local */
                {{172, 16}, 12},      /* private */
                {{192, 0, 0}, 24},    /* protocols */
                {{192, 0, 2}, 24},    /* documentation */
                {{192, 88, 99}, 24},  /* relays of 6to4 and 6a44 (RFC 7526, 6751) */
                {{192, 168}, 16},     /* private */
                {{198, 18}, 15},      /* benchmarks */
                {{198, 51, 100}, 24}, /* documentation */
                {{203, 0, 113}, 24},  /* documentation */
                {{224}, 4},           /* multicast */
                {{240}, 4},           /* reserved, and broadcast */
};

static const Network v6[] = {
                {{0}, 128},                        /* :: */
                {{[15] = 1}, 128},                 /* ::1 */
                {{0, 0x64, 0xff, 0x9b, 0, 1}, 48}, /* local translation (RFC 8215) */
                {{0x01}, 64},                      /* 100::, discard */
                {{0x01, [7] = 1}, 64},             /* 100:0:0:1::, dummy (RFC 9780) */
                {{0x20, 0x01}, 23},                /* protocols, Teredo and benchmarks among them */
                {{0x20, 0x01, 0x0d, 0xb8}, 32},    /* documentation */
                {{0x3f, 0xff}, 20},                /* documentation (RFC 9637) */
                {{0x5f}, 16},                      /* segment identifiers (RFC 9602) */
                {{0xfc}, 7},                       /* unique local */
                {{0xfe, 0x80}, 10},                /* link-local */
                {{0xfe, 0xc0}, 10},                /* site-local of old */
                {{0xff}, 8},                       /* multicast */
};

static const struct {
        Network prefix;
        unsigned at; /* index of the IPv4 address' first byte */
} embedded[] = {
                {{{0}, 96}, 12},                        /* compatible (RFC 4291) */
                {{{[10] = 0xff, [11] = 0xff}, 96}, 12}, /* mapped */
                {{{[8] = 0xff, [9] = 0xff}, 96}, 12},   /* translated (RFC 2765) */
                {{{0, 0x64, 0xff, 0x9b}, 96}, 12},      /* NAT64 (RFC 6052) */
                {{{0x20, 0x02}, 16}, 2},                /* 6to4 (RFC 3056) */
};

/* The identifier of an ISATAP interface (RFC 5214), whatever the network: 0:5efe or 200:5efe. */
static const unsigned char isatap[] = {0x00, 0x00, 0x5e, 0xfe};

static bool within(const unsigned char *address, const Network *network) {
        unsigned whole = network->bits / 8, rest = network->bits % 8;

        if (memcmp(address, network->bytes, whole) != 0)
                return false;
        return rest == 0 || ((address[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}

static bool is_isatap(const unsigned char *address) {
        return (address[8] & ~0x02) == isatap[0] &&
               memcmp(address + 9, isatap + 1, sizeof isatap - 1) == 0;
}

bool special_v4(const unsigned char *address) {
        for (size_t i = 0; i < ELEMENTSOF(v4); i++)
                if (within(address, v4 + i))
                        return true;
        return false;
}

bool special_v6(const unsigned char *address) {
        for (size_t i = 0; i < ELEMENTSOF(v6); i++)
                if (within(address, v6 + i))
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(embedded); i++)
                if (within(address, &embedded[i].prefix) && special_v4(address + embedded[i].at))
                        return true;
        return is_isatap(address) && special_v4(address + 12);
}

const unsigned char *special_same_v4(const unsigned char *address) {
        static const Network none = {{0}, 104}; /* :: and ::1 are of it */

        if (within(address, &none))
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(embedded); i++)
                if (embedded[i].prefix.bits == 96 && within(address, &embedded[i].prefix))
                        return address + 12;
        return NULL;
}
