/* SPDX-License-Identifier: MIT */

/* Targets as text. No state; nothing here is ever logged. */

#include "alertd/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "basic/buffer.h"
#include "basic/hash.h"
#include "sys/fd.h"

#define CREDENTIAL_MAX      4096u /* bytes */
#define CREDENTIAL_NAME_MAX 64u   /* bytes */

static const struct {
        Slice prefix;
        TargetKind kind;
} kinds[] = {{{"discord:", 8}, TARGET_DISCORD}, {{"json:", 5}, TARGET_JSON}};

int target_check_url(Slice url) {
        Slice rest = SLICE_NONE;

        if (slice_starts_with(url, SLICE("https://")))
                rest = slice_from(url, strlen("https://"));
        else if (slice_starts_with(url, SLICE("http://")))
                rest = slice_from(url, strlen("http://"));
        if (rest.len == 0 || rest.data[0] == '/' || rest.data[0] == '?' || rest.data[0] == '#')
                return -EINVAL;
        for (size_t i = 0; i < url.len; i++)
                if ((unsigned char)url.data[i] <= ' ' || (unsigned char)url.data[i] >= 0x7F ||
                    strchr("\"<>\\^`{|}()", url.data[i]))
                        return -EINVAL;
        return 0;
}

static bool is_name(Slice name) {
        if (name.len == 0 || name.len > CREDENTIAL_NAME_MAX || name.data[0] == '.')
                return false;
        for (size_t i = 0; i < name.len; i++) {
                char c = name.data[i];

                if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
                    !strchr("._-", c))
                        return false;
        }
        return true;
}

static bool split(const char *text, TargetKind *ret_kind, Slice *ret_prefix, Slice *ret_where) {
        Slice whole = slice_from_string(text);

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (slice_starts_with(whole, kinds[i].prefix)) {
                        *ret_kind = kinds[i].kind;
                        *ret_prefix = slice_sub(whole, 0, kinds[i].prefix.len - 1);
                        *ret_where = slice_from(whole, kinds[i].prefix.len);
                        return true;
                }
        return false;
}

int target_check(const char *text) {
        Slice prefix, where;
        TargetKind kind;

        if (!split(text, &kind, &prefix, &where))
                return -EINVAL;
        if (slice_starts_with(where, SLICE("@")))
                return is_name(slice_from(where, 1)) ? 0 : -EINVAL;
        return target_check_url(where);
}

static int read_credential(const char *directory, Slice name, char **ret) {
        _cleanup_free_ char *path = NULL;
        Buffer text = BUFFER_EMPTY;
        Slice url;
        int r;

        if (!directory || !*directory)
                return -ENOENT;
        if (asprintf(&path, "%s/%.*s", directory, SLICE_ARG(name)) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = fd_read_file(path, CREDENTIAL_MAX, &text);
        if (r >= 0) {
                url = slice_trim(buffer_slice(&text));
                r = target_check_url(url);
                if (r >= 0) {
                        *ret = slice_to_string(url);
                        r = *ret ? 0 : -ENOMEM;
                }
        }
        buffer_done(&text);
        return r;
}

int target_read(const char *text, const char *directory, Target *ret) {
        Target target = {0};
        Slice prefix, where;
        int r = 0;

        CHECK(split(text, &target.kind, &prefix, &where));
        if (slice_starts_with(where, SLICE("@"))) {
                Slice name = slice_from(where, 1);
                bool usual = slice_equal(name, SLICE(TARGET_CREDENTIAL)) &&
                             target.kind == TARGET_DISCORD;

                r = read_credential(directory, name, &target.url);
                if (usual)
                        (void)snprintf(target.name, sizeof target.name, "%s", TARGET_USUAL_NAME);
                else
                        (void)snprintf(target.name, sizeof target.name, "%.*s-%.*s",
                                       SLICE_ARG(prefix), SLICE_ARG(name));
        } else {
                target.url = slice_to_string(where);
                if (!target.url)
                        r = -ENOMEM;
                (void)snprintf(target.name, sizeof target.name, "%.*s-%016jx", SLICE_ARG(prefix),
                               (uintmax_t)hash_plain(where));
        }
        if (r >= 0)
                *ret = target;
        return r;
}

void target_done(Target *target) {
        free(target->url);
        *target = (Target){0};
}
