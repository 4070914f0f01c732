/* SPDX-License-Identifier: MIT */

/*
 * INI as systemd has it, read by libinih: sections in brackets, Key=Value, comments on lines of
 * their own that begin with # or ;, a backslash at the end of a line joins the next one to it.
 *
 * libinih cuts lines at a length and strips comments in values as its build was configured (200
 * bytes by default, which several PostgreSQL hosts exceed). So its reader function hands it each
 * line up to the = only, and the value goes to the handler beside it, whole.
 */

#include <errno.h>
#include <ini.h>
#include <string.h>

#include "basic/base62.h"
#include "basic/buffer.h"
#include "basic/utf8.h"
#include "config/file.h"

#define NAME_MAX_BYTES 48u /* libinih cuts longer ones */

typedef struct Parse {
        Slice rest;       /* not read yet */
        Buffer joined;    /* the present line, its continuations joined */
        Slice value;      /* behind the = of the present line; in joined */
        unsigned line;    /* number of the present line's first physical line */
        unsigned n_taken; /* physical lines taken so far */
        unsigned n_given; /* lines given to libinih: blank ones stand for those that were joined */
        const char *why;  /* the first error of syntax */
        int r;            /* the first error of assign(), or -ENOMEM */
        ConfigAssign assign;
        void *userdata;
} Parse;

static Slice take_physical_line(Parse *parse) {
        Slice line;

        (void)slice_cut(parse->rest, '\n', &line, &parse->rest);
        parse->n_taken++;
        return slice_trim(line);
}

static bool is_comment(Slice line) {
        return line.len == 0 || line.data[0] == '#' || line.data[0] == ';';
}

static bool is_continued(Slice line) {
        return line.len > 0 && line.data[line.len - 1] == '\\';
}

/* Reads a line and those that it continues on into parse->joined, comments among them left out. */
static int take_line(Parse *parse) {
        Slice line = take_physical_line(parse);

        parse->line = parse->n_taken;
        buffer_clear(&parse->joined);
        if (is_comment(line))
                return 0;
        while (is_continued(line)) {
                buffer_append(&parse->joined, slice_trim(slice_sub(line, 0, line.len - 1)));
                buffer_append_byte(&parse->joined, ' ');
                do
                        line = take_physical_line(parse);
                while (parse->rest.len > 0 && line.len > 0 && is_comment(line));
                if (is_comment(line))
                        line = SLICE_NONE;
        }
        buffer_append(&parse->joined, line);
        return parse->joined.failed ? -ENOMEM : 0;
}

/* Sections and keys: letters and digits, so that nothing in them means something to libinih. */
static bool is_name(Slice s) {
        return s.len > 0 && s.len <= NAME_MAX_BYTES && base62_valid(s);
}

/* The part of the present line that libinih gets: "", "[Section]" or "Key". NULL or what is wrong.
 */
static const char *line_head(Parse *parse, Slice *ret) {
        Slice all = slice_trim(buffer_slice(&parse->joined)), key;

        *ret = SLICE_NONE;
        if (all.len == 0)
                return NULL;
        if (all.data[0] == '[') {
                if (all.len < 3 || all.data[all.len - 1] != ']' ||
                    !is_name(slice_sub(all, 1, all.len - 1)))
                        return "expected [Section]";
                *ret = all;
                return NULL;
        }
        if (!slice_cut(all, '=', &key, &parse->value) || !is_name(slice_trim(key)))
                return "expected [Section] or Key=Value";
        *ret = slice_trim(key);
        return NULL;
}

/* libinih's fgets(). NULL ends the parse. */
static char *read_line(char *line, int size, void *stream) {
        Parse *parse = stream;
        Slice head = SLICE_NONE;

        if (parse->r < 0)
                return NULL;
        if (parse->n_given == parse->n_taken) {
                if (parse->rest.len == 0)
                        return NULL;
                parse->r = take_line(parse);
                if (parse->r < 0)
                        return NULL;
                parse->why = line_head(parse, &head);
                if (parse->why)
                        return NULL;
        }
        parse->n_given++;
        CHECK(head.len + sizeof("=\n") <= (size_t)size);
        if (head.len > 0)
                memcpy(line, head.data, head.len);
        if (head.len > 0 && head.data[0] != '[')
                line[head.len++] = '=';
        memcpy(line + head.len, "\n", 2);
        return line;
}

/* libinih's handler: 1 is good, 0 an error. */
static int on_assignment(void *userdata, const char *section, const char *name, const char *value) {
        Parse *parse = userdata;

        CHECK(value[0] == '\0'); /* it is in parse->value */
        if (parse->r >= 0)
                parse->r = parse->assign(parse->userdata, section, name, slice_trim(parse->value),
                                         parse->line);
        return parse->r >= 0;
}

static unsigned count_lines(Slice text) {
        unsigned n = 1;

        for (size_t i = 0; i < text.len; i++)
                n += text.data[i] == '\n';
        return n;
}

/* Bytes that no line may hold, before libinih sees them. */
static int check_bytes(Slice text, unsigned *ret_line, const char **ret_why) {
        size_t offset = 0;
        uint32_t c;

        while (offset < text.len) {
                size_t start = offset;

                if (utf8_next(text, &offset, &c) < 0 || c == 0) {
                        *ret_line = count_lines(slice_sub(text, 0, start));
                        *ret_why = "not UTF-8 text";
                        return -EINVAL;
                }
        }
        return 0;
}

int config_file_parse(Slice text, ConfigAssign assign, void *userdata, unsigned *ret_line,
                      const char **ret_why) {
        Parse parse = {.assign = assign, .userdata = userdata};
        int r;

        if (slice_starts_with(text, SLICE("\xEF\xBB\xBF")))
                text = slice_from(text, 3);
        r = check_bytes(text, ret_line, ret_why);
        if (r < 0)
                return r;

        parse.rest = text;
        r = ini_parse_stream(read_line, &parse, on_assignment, &parse);
        buffer_done(&parse.joined);
        if (parse.r >= 0 && parse.why) {
                *ret_why = parse.why;
                parse.r = -EINVAL;
        }
        if (parse.r < 0)
                *ret_line = parse.line;
        /* Every line was checked before libinih saw it: all that it can find is no memory. */
        else if (r != 0)
                parse.r = -ENOMEM;
        return parse.r;
}
