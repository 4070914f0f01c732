/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl nginx-upstream N`: etc/nginx/snippets/shortener-upstream.conf for N instances. The
 * file that is shipped is what this prints for 3 (tests/lint/nginx.py).
 */

#include <stdio.h>

#include "basic/number.h"
#include "config/instances.h"
#include "ctl/verbs.h"

static void print_upstream(Buffer *out, const char *name, unsigned n, const char *rest) {
        buffer_printf(out, "\nupstream %s {\n    zone %s 128k;\n    least_conn;\n", name, name);
        for (unsigned i = 1; i <= n; i++)
                buffer_printf(out,
                              "    server unix:/run/shortener-%u.sock max_fails=2 "
                              "fail_timeout=1s;\n",
                              i);
        buffer_printf(out, "%s}\n", rest);
}

int verb_nginx_upstream(Ctl *ctl) {
        const char *text = ctl->command.arguments[0];
        Buffer *out = &ctl->out;
        uint64_t n;

        if (number_parse_u64(slice_from_string(text), &n) < 0 || n < 1 || n > INSTANCES_MAX)
                return ctl_usage(ctl, "\"%s\" is no number from 1 to %u", text, INSTANCES_MAX);
        buffer_printf(out,
                      "# SPDX-License-Identifier: MIT\n"
                      "# Made by: shortenerctl nginx-upstream %u\n"
                      "# The instances, by their Unix sockets. Reads keep their connections and "
                      "may be sent to another\n"
                      "# instance when one does not answer; all else is never sent twice.",
                      (unsigned)n);
        buffer_append_byte(out, '\n');
        print_upstream(out, "shortener_read", (unsigned)n,
                       "    keepalive 64;\n"
                       "    keepalive_timeout 60s; # the instances close theirs after 75 s\n");
        print_upstream(out, "shortener_write", (unsigned)n, "");
        return ctl_print(ctl);
}
