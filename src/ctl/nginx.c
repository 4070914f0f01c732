/* SPDX-License-Identifier: MIT */

/*
 * `shortenerctl nginx-upstream N`: etc/nginx/snippets/shortener-upstream.conf for N instances. The
 * file that is shipped is what this prints for 3 (tests/lint/nginx.py).
 */

#include <stdio.h>

#include "basic/number.h"
#include "config/instances.h"
#include "ctl/verbs.h"

static void print_upstream(Buffer *out, const char *name, unsigned n, const char *fails,
                           const char *rest) {
        buffer_printf(out, "\nupstream %s {\n    zone %s 128k;\n    least_conn;\n", name, name);
        for (unsigned i = 1; i <= n; i++)
                buffer_printf(out, "    server unix:/run/shortener-%u.sock %s;\n", i, fails);
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
                      "# The instances, by their Unix sockets, which stay open while an instance "
                      "is started again. Reads\n"
                      "# keep their connections and may be sent to another instance when one does "
                      "not answer, creates\n"
                      "# while none of them was sent: no failures are counted, or instances that "
                      "die together would all\n"
                      "# be passed over when they are back. Changes are never sent twice: an "
                      "instance that refuses them\n"
                      "# is passed over for a second.\n",
                      (unsigned)n);
        print_upstream(out, "shortener_read", (unsigned)n, "max_fails=0",
                       "    keepalive 64;\n"
                       "    keepalive_timeout 60s; # the instances close theirs after 75 s\n");
        print_upstream(out, "shortener_post", (unsigned)n, "max_fails=0", "");
        print_upstream(out, "shortener_write", (unsigned)n, "max_fails=2 fail_timeout=1s", "");
        return ctl_print(ctl);
}
