/* SPDX-License-Identifier: MIT */
#pragma once

/* Listening sockets and addresses: parsing, binding, text, prefixes. */

#include <stdbool.h>
#include <sys/socket.h>

#include "basic/check.h"
#include "basic/slice.h"

#define ADDRESS_TEXT_SIZE 46 /* INET6_ADDRSTRLEN */

/* "address:port", "[v6]:port", ":port" (all addresses) or "unix:/path". A Unix path that exists as
 * a socket nobody listens on is replaced. *ret_loopback: only this host can reach it. Non-blocking,
 * close-on-exec, listening. */
int socket_listen(const char *text, int *ret_fd, bool *ret_loopback) _must_check_;
/* A socket that was passed in, known by what it is: 0, or -ENOTSOCK when it is no listening stream
 * socket, IP or Unix. Over TCP answers leave at once: systemd's NoDelay= complains about a unit
 * that has Unix sockets too. */
int socket_adopt(int fd) _must_check_;
/* Can only this host reach it? false also when the text is none. */
bool socket_listen_local(const char *text);
/* Only checks the text: 0 or -EINVAL. */
int socket_listen_check(const char *text) _must_check_;

/* The address without its port ("192.0.2.1", "2001:db8::1", v4-mapped shown as v4); "" for Unix
 * sockets. Returns the length. */
size_t socket_address_text(const struct sockaddr_storage *address, char ret[ADDRESS_TEXT_SIZE]);

/* An address of either family; IPv4 as v4-mapped IPv6. -EINVAL. */
int address_parse(Slice text, unsigned char ret[16]) _must_check_;

/* An IP prefix: "10.0.0.0/8", "::1", "192.0.2.7". */
typedef struct AddressPrefix {
        unsigned char bytes[16]; /* v4 as v4-mapped v6 */
        unsigned bits;           /* of 128 */
} AddressPrefix;

int address_prefix_parse(Slice text, AddressPrefix *ret) _must_check_;
/* false also when text is no address. */
bool address_prefix_has(const AddressPrefix *prefix, Slice text);
