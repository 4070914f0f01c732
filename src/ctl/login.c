/* SPDX-License-Identifier: MIT */

/* The login of who runs the program. Not $USER or $SUDO_USER, which may say anything. */

#include "ctl/login.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/number.h"
#include "basic/utf8.h"
#include "sys/fd.h"

#define LOGIN_UID      "/proc/self/loginuid"
#define LOGIN_UID_NONE UINT32_MAX
#define LOGIN_UID_SIZE 64u /* bytes of the file at most */

static uid_t login_uid(void) {
        Buffer text = BUFFER_EMPTY;
        uid_t uid = getuid();
        int64_t value;

        if (fd_read_file(LOGIN_UID, LOGIN_UID_SIZE, &text) == 0 &&
            number_parse_i64(slice_trim(buffer_slice(&text)), &value) == 0 && value >= 0 &&
            value < LOGIN_UID_NONE)
                uid = (uid_t)value;
        buffer_done(&text);
        return uid;
}

void login_name(char *out, size_t size) {
        uid_t uid = login_uid();
        const struct passwd *user = getpwuid(uid);
        Slice name = user ? slice_from_string(user->pw_name) : SLICE_NONE;

        if (name.len > 0 && name.len < size && utf8_valid(name) && !utf8_has_control(name))
                (void)snprintf(out, size, "%.*s", SLICE_ARG(name));
        else
                (void)snprintf(out, size, "%u", (unsigned)uid);
}
