/* SPDX-License-Identifier: MIT */

/*
 * Values of options: each ConfigType's way from text into the options struct, back into text, and
 * the sentence that says what is allowed. Knows nothing of files, sections or sources.
 *
 * What is written by config_value_dump() is read back to the same value: sizes and spans are
 * written in the largest unit that divides them.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "basic/redact.h"
#include "basic/utf8.h"
#include "config/value.h"

#define VALUE_SHOWN_MAX 80u /* bytes of a refused value that an error text repeats */

typedef struct Unit {
        const char *suffix;
        uint64_t factor;
} Unit;

/* The largest first; the last one divides everything. */
static const Unit size_units[] = {
                {"T", 1ULL << 40}, {"G", 1ULL << 30}, {"M", 1ULL << 20}, {"K", 1ULL << 10}, {"", 1},
};

static const Unit span_units[] = {
                {"d", 24 * 3600 * USEC_PER_SEC}, {"h", 3600 * USEC_PER_SEC},
                {"min", 60 * USEC_PER_SEC},      {"s", USEC_PER_SEC},
                {"ms", USEC_PER_MSEC},           {"us", 1},
};

/* ---- fields ---- */

static void *field(const ConfigOption *option, void *options) {
        return (char *)options + option->offset;
}

static const void *field_const(const ConfigOption *option, const void *options) {
        return (const char *)options + option->offset;
}

static uint64_t field_number(const ConfigOption *option, const void *options) {
        return *(const uint64_t *)field_const(option, options);
}

static const char *field_text(const ConfigOption *option, const void *options) {
        const char *text = *(char *const *)field_const(option, options);

        return text ? text : "";
}

static char *const *field_list(const ConfigOption *option, const void *options) {
        static char *const none[] = {NULL};
        char *const *list = *(char **const *)field_const(option, options);

        return list ? list : none;
}

static char **list_free(char **list) {
        if (list)
                for (char **item = list; *item; item++)
                        free(*item);
        free(list);
        return NULL;
}

/* ---- text of a value ---- */

static void append_unit(uint64_t value, const Unit *units, Buffer *out) {
        const Unit *unit = units;

        if (value == 0) {
                buffer_append_byte(out, '0');
                return;
        }
        while (value % unit->factor != 0)
                unit++;
        buffer_append_u64(out, value / unit->factor);
        buffer_append(out, slice_from_string(unit->suffix));
}

/* The choice number `index` of "a|b|c"; data == NULL behind the last. */
static Slice choice_at(const char *choices, int index) {
        Slice rest = slice_from_string(choices), choice = SLICE_NONE;
        bool more = true;

        for (int i = 0; i <= index; i++) {
                if (!more)
                        return SLICE_NONE;
                more = slice_cut(rest, '|', &choice, &rest);
        }
        return choice;
}

static void append_range(const ConfigOption *option, const char *what, const Unit *units,
                         Buffer *out) {
        buffer_printf(out, "a %s from ", what);
        append_unit(option->min, units, out);
        buffer_append(out, SLICE(" to "));
        append_unit(option->max, units, out);
}

void config_value_allowed(const ConfigOption *option, Buffer *out) {
        static const Unit plain[] = {{"", 1}};

        switch (option->type) {
        case CONFIG_TEXT:
        case CONFIG_LIST:
                buffer_append(out, slice_from_string(option->allowed ? option->allowed : "a text"));
                return;
        case CONFIG_BOOL:
                buffer_append(out, SLICE("yes or no"));
                break;
        case CONFIG_NUMBER:
                append_range(option, "number", plain, out);
                break;
        case CONFIG_SIZE:
                append_range(option, "size", size_units, out);
                buffer_append(out, SLICE(" (bytes, or with K, M, G, T)"));
                break;
        case CONFIG_SPAN:
                append_range(option, "span", span_units, out);
                buffer_append(out, SLICE(" (seconds, or with us, ms, s, min, h, d)"));
                break;
        case CONFIG_CHOICE:
                for (int i = 0; choice_at(option->choices, i).data; i++) {
                        if (i > 0)
                                buffer_append(out, SLICE(", "));
                        buffer_append(out, choice_at(option->choices, i));
                }
                break;
        }
        if (option->allowed)
                buffer_printf(out, " (%s)", option->allowed);
}

/* "VALUE": what is allowed. A value with an @ may hold a password and is not repeated. */
static int refuse(const ConfigOption *option, Slice value, Buffer *why) {
        Buffer shown = BUFFER_EMPTY;

        redact_append(&shown, value);
        if (!option->secret && !shown.failed && slice_find(value, '@') < 0)
                buffer_printf(why, "\"%.*s\" is not allowed: ",
                              SLICE_ARG(utf8_cut(buffer_slice(&shown), VALUE_SHOWN_MAX)));
        else
                buffer_append(why, SLICE("this value is not allowed: "));
        buffer_done(&shown);
        config_value_allowed(option, why);
        return -EINVAL;
}

/* ---- text to field ---- */

static int parse_bool(Slice value, bool *ret) {
        static const struct {
                const char *word;
                bool value;
        } words[] = {
                        {"yes", true}, {"true", true},   {"on", true},   {"1", true},
                        {"no", false}, {"false", false}, {"off", false}, {"0", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (slice_equal_nocase(value, slice_from_string(words[i].word))) {
                        *ret = words[i].value;
                        return 0;
                }
        return -EINVAL;
}

static int parse_choice(const ConfigOption *option, Slice value, int *ret) {
        for (int i = 0; choice_at(option->choices, i).data; i++)
                if (slice_equal(value, choice_at(option->choices, i))) {
                        *ret = i;
                        return 0;
                }
        return -EINVAL;
}

/* NUMBER, SIZE and SPAN, with their range. */
static int parse_number(const ConfigOption *option, Slice value, uint64_t *ret) {
        uint64_t number;
        int r;

        if (option->type == CONFIG_SIZE)
                r = number_parse_size(value, &number);
        else if (option->type == CONFIG_SPAN)
                r = number_parse_span(value, &number);
        else
                r = number_parse_u64(value, &number);
        if (r < 0)
                return r;
        if (number < option->min || number > option->max)
                return -ERANGE;
        *ret = number;
        return 0;
}

/* A malloc'ed copy that has passed the option's check. */
static int make_text(const ConfigOption *option, Slice value, char **ret) {
        _cleanup_free_ char *text = NULL;
        int r = 0;

        text = slice_to_string(value);
        if (!text)
                return -ENOMEM;
        if (option->check)
                r = option->check(text);
        if (r >= 0)
                *ret = TAKE_PTR(text);
        return r;
}

static int set_text(const ConfigOption *option, void *options, Slice value) {
        char **text = field(option, options);
        char *made;
        int r;

        r = make_text(option, value, &made);
        if (r < 0)
                return r;
        free(*text);
        *text = made;
        return 0;
}

static int list_append(const ConfigOption *option, char ***list, Slice item) {
        char **grown, *made;
        size_t n = 0;
        int r;

        while ((*list)[n])
                n++;
        r = make_text(option, item, &made);
        if (r < 0)
                return r;
        grown = reallocarray(*list, n + 2, sizeof(char *));
        if (!grown) {
                free(made);
                return -ENOMEM;
        }
        grown[n] = made;
        grown[n + 1] = NULL;
        *list = grown;
        return 0;
}

/* A list with the field's items, or none. */
static int list_copy(const ConfigOption *option, const void *options, bool empty, char ***ret) {
        char **list;
        size_t n = 0;

        list = calloc(1, sizeof(char *));
        if (!list)
                return -ENOMEM;
        for (char *const *item = field_list(option, options); !empty && *item; item++, n++) {
                int r = list_append(option, &list, slice_from_string(*item));

                if (r < 0) {
                        list_free(list);
                        return r;
                }
        }
        *ret = list;
        return 0;
}

/* Builds the new list aside, so that a bad word leaves the old one. */
static int set_list(const ConfigOption *option, void *options, Slice value) {
        char ***place = field(option, options);
        Slice rest = value, word;
        char **list;
        int r;

        r = list_copy(option, options, value.len == 0, &list);
        while (r >= 0 && rest.len > 0) {
                (void)slice_cut(rest, ' ', &word, &rest);
                if (word.len > 0)
                        r = list_append(option, &list, word);
                if (r < 0)
                        list_free(list);
        }
        if (r < 0)
                return r;
        list_free(*place);
        *place = list;
        return 0;
}

static int set_field(const ConfigOption *option, void *options, Slice value) {
        void *place = field(option, options);

        switch (option->type) {
        case CONFIG_TEXT:
                return set_text(option, options, value);
        case CONFIG_LIST:
                return set_list(option, options, value);
        case CONFIG_BOOL:
                return parse_bool(value, place);
        case CONFIG_NUMBER:
        case CONFIG_SIZE:
        case CONFIG_SPAN:
                return parse_number(option, value, place);
        case CONFIG_CHOICE:
                return parse_choice(option, value, place);
        }
        check_failed("a type of the enum", __FILE__, __LINE__);
}

/* Text that a line of the file cannot hold is refused from every source, so that a dump can be
 * read back. */
static const char *bad_text(Slice value) {
        if (!utf8_valid(value))
                return "this value is not valid UTF-8";
        if (utf8_has_control(value))
                return "this value has a control character";
        if (value.len > 0 && value.data[value.len - 1] == '\\')
                return "a value cannot end with a backslash";
        return NULL;
}

int config_value_set(const ConfigOption *option, void *options, Slice value, Buffer *why) {
        const char *bad;
        int r;

        value = slice_trim(value);
        bad = bad_text(value);
        if (bad) {
                buffer_append(why, slice_from_string(bad));
                return -EINVAL;
        }
        r = set_field(option, options, value);
        if (r < 0 && r != -ENOMEM)
                return refuse(option, value, why);
        return r;
}

int config_value_reset_list(const ConfigOption *option, void *options) {
        if (option->type != CONFIG_LIST)
                return 0;
        return set_list(option, options, SLICE_NONE);
}

void config_value_free(const ConfigOption *option, void *options) {
        if (option->type == CONFIG_TEXT) {
                char **text = field(option, options);

                free(TAKE_PTR(*text));
        } else if (option->type == CONFIG_LIST) {
                char ***list = field(option, options);

                list_free(TAKE_PTR(*list));
        }
}

/* ---- field to text ---- */

static void dump_list(const ConfigOption *option, const void *options, Buffer *out) {
        char *const *list = field_list(option, options);

        /* The empty line first: read back over a default, the list must be this one alone. */
        buffer_printf(out, "%s=\n", option->key);
        for (; *list; list++)
                buffer_printf(out, "%s=%s\n", option->key, *list);
}

static bool is_empty(const ConfigOption *option, const void *options) {
        return option->type == CONFIG_LIST ? !field_list(option, options)[0]
                                           : *field_text(option, options) == '\0';
}

static void dump_text(const ConfigOption *option, const char *text, Buffer *out) {
        if (option->redact)
                redact_append(out, slice_from_string(text));
        else
                buffer_append(out, slice_from_string(text));
}

void config_value_dump(const ConfigOption *option, const void *options, Buffer *out) {
        if (option->secret && !is_empty(option, options)) {
                buffer_printf(out, "# %s= is set, and not shown\n", option->key);
                return;
        }
        if (option->type == CONFIG_LIST) {
                dump_list(option, options, out);
                return;
        }
        buffer_printf(out, "%s=", option->key);
        switch (option->type) {
        case CONFIG_TEXT:
                dump_text(option, field_text(option, options), out);
                break;
        case CONFIG_BOOL:
                buffer_append(out, *(const bool *)field_const(option, options) ? SLICE("yes")
                                                                               : SLICE("no"));
                break;
        case CONFIG_NUMBER:
                buffer_append_u64(out, field_number(option, options));
                break;
        case CONFIG_SIZE:
                append_unit(field_number(option, options), size_units, out);
                break;
        case CONFIG_SPAN:
                append_unit(field_number(option, options), span_units, out);
                break;
        case CONFIG_CHOICE:
                buffer_append(out, choice_at(option->choices,
                                             *(const int *)field_const(option, options)));
                break;
        case CONFIG_LIST:
                break;
        }
        buffer_append_byte(out, '\n');
}

static bool lists_equal(char *const *a, char *const *b) {
        for (; *a && *b; a++, b++)
                if (strcmp(*a, *b) != 0)
                        return false;
        return !*a && !*b;
}

bool config_value_equal(const ConfigOption *option, const void *a, const void *b) {
        switch (option->type) {
        case CONFIG_TEXT:
                return strcmp(field_text(option, a), field_text(option, b)) == 0;
        case CONFIG_LIST:
                return lists_equal(field_list(option, a), field_list(option, b));
        case CONFIG_BOOL:
                return *(const bool *)field_const(option, a) ==
                       *(const bool *)field_const(option, b);
        case CONFIG_NUMBER:
        case CONFIG_SIZE:
        case CONFIG_SPAN:
                return field_number(option, a) == field_number(option, b);
        case CONFIG_CHOICE:
                return *(const int *)field_const(option, a) == *(const int *)field_const(option, b);
        }
        check_failed("a type of the enum", __FILE__, __LINE__);
}
