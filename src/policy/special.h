/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Addresses that are not global: what IANA's registries of special purposes for IPv4 and IPv6
 * (RFC 6890, RFC 8190; as of October 2025, with RFC 9602, 9637 and 9780) do not call globally
 * reachable, multicast (RFC 5771, RFC 4291), and what was site-local once (RFC 3879).
 *
 * IETF's blocks for protocols, 192.0.0.0/24 and 2001::/23, are special as a whole. The registries
 * call a few parts of them reachable (anycast of PCP and TURN, AMT, AS112, ORCHIDv2, DETs); nobody
 * serves pages there. Teredo, 2001::/32, is in it: its addresses hide two of IPv4, one obfuscated,
 * and whatever these are, no web server has such an address any more.
 */

#include <stdbool.h>

/* 4 and 16 bytes, as on the wire. An IPv6 address with a special IPv4 address in it, by which a
 * router or host would go there (mapped, compatible, translated, NAT64, 6to4, ISATAP), is special
 * too. */
bool special_v4(const unsigned char *address);
bool special_v6(const unsigned char *address);

/* The IPv4 address that is all that an IPv6 address says (mapped, compatible, translated, NAT64),
 * so that by both one comes to the same host; NULL: it is another's. */
const unsigned char *special_same_v4(const unsigned char *address);
