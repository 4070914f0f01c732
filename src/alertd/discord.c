/* SPDX-License-Identifier: MIT */

/*
 * Alerts as Discord's embeds. Lengths are counted as UTF-16 does, which is never less than what
 * Discord counts. Control characters but line ends and tabs become blanks.
 */

#include <jansson.h>
#include <stdio.h>

#include "alertd/batch.h"
#include "alertd/message.h"
#include "alertd/target.h"
#include "basic/clock.h"
#include "basic/utf8.h"

#define DESCRIPTION_MAX 2000u
#define SHORT_VALUE_MAX 256u
#define FOOTER          "shortener-alertd"
#define DASHBOARD       "/d/url-shortener-prod"

#define SIREN       "\xF0\x9F\x9A\xA8"         /* U+1F6A8 */
#define WARNING     "\xE2\x9A\xA0\xEF\xB8\x8F" /* U+26A0 U+FE0F */
#define INFORMATION "\xE2\x84\xB9\xEF\xB8\x8F" /* U+2139 U+FE0F */
#define CHECK_MARK  "\xE2\x9C\x85"             /* U+2705 */
#define ELLIPSIS    "\xE2\x80\xA6"

typedef struct Look {
        const char *symbol;
        int colour;
} Look;

static Look look_of(Slice severity, Slice status) {
        if (slice_equal_nocase(status, SLICE("resolved")))
                return (Look){CHECK_MARK, 0x00FF00};
        if (slice_equal_nocase(severity, SLICE("critical")))
                return (Look){SIREN, 0xFF0000};
        if (slice_equal_nocase(severity, SLICE("warning")))
                return (Look){WARNING, 0xFFA500};
        return (Look){INFORMATION, 0x3498DB};
}

/* ---- texts and their lengths ---- */

static size_t units(uint32_t c) {
        return c >= 0x10000 ? 2 : 1;
}

/* Discord trims texts and refuses what is then empty; its blanks are Unicode's, and what has no
 * width. */
static bool is_blank(Slice text) {
        size_t at = 0;

        while (at < text.len) {
                uint32_t c;

                if (utf8_next(text, &at, &c) < 0)
                        return false;
                if (c > ' ' && c != 0x7F && c != 0xA0 && c != 0xAD && c != 0x1680 &&
                    !(c >= 0x2000 && c <= 0x200F) && !(c >= 0x2028 && c <= 0x202F) &&
                    !(c >= 0x205F && c <= 0x206F) && c != 0x3000 && c != 0xFEFF)
                        return false;
        }
        return true;
}

/* text onto out, at most max units, cut with an ellipsis; returns the units. */
static size_t append_clipped(Slice text, size_t max, Buffer *out) {
        size_t n = 0, at = 0, keep_len = out->len, keep_n = 0;

        while (at < text.len) {
                size_t start = at;
                uint32_t c;

                if (utf8_next(text, &at, &c) < 0) {
                        c = ' ';
                        at = start + 1;
                }
                if ((c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0))
                        c = ' ';
                if (n + units(c) > max) {
                        out->len = keep_len;
                        buffer_append(out, SLICE(ELLIPSIS));
                        return keep_n + 1;
                }
                if (c == ' ')
                        buffer_append_byte(out, ' ');
                else
                        buffer_append(out, slice_sub(text, start, at));
                n += units(c);
                if (n < max) {
                        keep_len = out->len;
                        keep_n = n;
                }
        }
        return n;
}

/* A JSON string of the clipped text, "-" if nothing is left to see. Adds its units. */
static json_t *text_value(Slice text, size_t max, size_t *n_units) {
        Buffer clipped = BUFFER_EMPTY;
        size_t n = append_clipped(text, max, &clipped);
        Slice shown = buffer_slice(&clipped);
        json_t *value = NULL;

        if (is_blank(shown)) {
                shown = SLICE("-");
                n = 1;
        }
        *n_units += n;
        if (!clipped.failed)
                value = json_stringn(shown.data, shown.len);
        buffer_done(&clipped);
        return value;
}

/* "2026-01-02 03:04:05 UTC"; the text as it is when it is no time. */
static Slice time_text(Slice text, char ret[CLOCK_ISO_SIZE + 4]) {
        char iso[CLOCK_ISO_SIZE];
        int64_t seconds;

        if (clock_parse_iso(text, &seconds) < 0)
                return text;
        clock_format_iso(seconds, ' ', iso);
        (void)snprintf(ret, CLOCK_ISO_SIZE + 4, "%s UTC", iso);
        return slice_from_string(ret);
}

/* ---- an embed ---- */

typedef struct Embed {
        json_t *fields;
        size_t n_units;
        bool failed;
} Embed;

static void add_field(Embed *embed, const char *name, Slice value, size_t max, bool is_inline) {
        json_t *text = text_value(value, max, &embed->n_units);

        embed->n_units += strlen(name);
        if (json_array_append_new(embed->fields, json_pack("{s:s, s:o, s:b}", "name", name, "value",
                                                           text, "inline", (int)is_inline)) < 0)
                embed->failed = true;
}

/* A link cannot be cut: one that is too long is left out, and so is what is no URL. */
static void add_link(Embed *embed, const char *name, const char *shown, Slice url) {
        Buffer link = BUFFER_EMPTY;

        if (target_check_url(url) >= 0) {
                buffer_printf(&link, "[%s](%.*s)", shown, SLICE_ARG(url));
                if (link.failed)
                        embed->failed = true;
                else if (link.len <= DISCORD_VALUE_MAX)
                        add_field(embed, name, buffer_slice(&link), DISCORD_VALUE_MAX, false);
        }
        buffer_done(&link);
}

static void add_dashboard(Embed *embed, const char *grafana_url) {
        Slice url = slice_from_string(grafana_url);
        Buffer link = BUFFER_EMPTY;

        if (url.len == 0)
                return;
        while (url.data[url.len - 1] == '/')
                url.len--;
        buffer_append(&link, url);
        if (slice_search(url, SLICE("/d/")) < 0)
                buffer_append(&link, SLICE(DASHBOARD));
        if (link.failed)
                embed->failed = true;
        else
                add_link(embed, "Dashboard", "Open dashboard", buffer_slice(&link));
        buffer_done(&link);
}

/* A link if there is one; the shipped rules name a section of the runbook. */
static void add_runbook(Embed *embed, json_t *alert) {
        Slice url = batch_text(alert, "annotations", "runbook_url"),
              section = batch_text(alert, "annotations", "runbook");

        if (target_check_url(url) >= 0)
                add_link(embed, "Runbook", "What to do", url);
        else if (!is_blank(section))
                add_field(embed, "Runbook", section, SHORT_VALUE_MAX, false);
}

static void add_fields(Embed *embed, json_t *alert, const char *grafana_url) {
        Slice status = batch_member(alert, "status");
        char started[CLOCK_ISO_SIZE + 4], ended[CLOCK_ISO_SIZE + 4];

        add_field(embed, "Severity", batch_text(alert, "labels", "severity"), SHORT_VALUE_MAX,
                  true);
        add_field(embed, "Instance", batch_text(alert, "labels", "instance"), SHORT_VALUE_MAX,
                  true);
        add_field(embed, "Status", status, SHORT_VALUE_MAX, true);
        add_field(embed, "Started", time_text(batch_member(alert, "startsAt"), started),
                  SHORT_VALUE_MAX, true);
        if (slice_equal_nocase(status, SLICE("resolved")))
                add_field(embed, "Resolved", time_text(batch_member(alert, "endsAt"), ended),
                          SHORT_VALUE_MAX, true);
        add_dashboard(embed, grafana_url);
        add_runbook(embed, alert);
}

static json_t *title_of(json_t *alert, const Look *look, size_t *n_units) {
        Slice name = batch_text(alert, "labels", "alertname"),
              status = batch_member(alert, "status");
        Buffer title = BUFFER_EMPTY, words = BUFFER_EMPTY;
        json_t *value = NULL;

        buffer_append(&words, SLICE(" ["));
        (void)append_clipped(status.len > 0 ? status : SLICE("unknown"), 32, &words);
        for (size_t i = 0; i < words.len; i++)
                if (words.data[i] >= 'a' && words.data[i] <= 'z')
                        words.data[i] = (char)(words.data[i] - 'a' + 'A');
        buffer_append_byte(&words, ']');
        buffer_printf(&title, "%s ", look->symbol);
        (void)append_clipped(name.len > 0 ? name : SLICE("unknown"), DISCORD_TITLE_MAX - 40,
                             &title);
        buffer_append(&title, buffer_slice(&words));
        if (!title.failed && !words.failed)
                value = text_value(buffer_slice(&title), DISCORD_TITLE_MAX, n_units);
        buffer_done(&words);
        buffer_done(&title);
        return value;
}

/* NULL: no memory. */
static json_t *make_embed(json_t *alert, const char *grafana_url, size_t *ret_units) {
        Look look = look_of(batch_text(alert, "labels", "severity"), batch_member(alert, "status"));
        Slice text = batch_text(alert, "annotations", "summary");
        Embed embed = {.fields = json_array(), .n_units = strlen(FOOTER)};
        json_t *title, *description, *result;

        if (is_blank(text))
                text = batch_text(alert, "annotations", "description");
        title = title_of(alert, &look, &embed.n_units);
        description = text_value(text, DESCRIPTION_MAX, &embed.n_units);
        add_fields(&embed, alert, grafana_url);
        result = json_pack("{s:o, s:o, s:i, s:o, s:{s:s}}", "title", title, "description",
                           description, "color", look.colour, "fields", embed.fields, "footer",
                           "text", FOOTER);
        if (embed.failed && result) {
                json_decref(result);
                result = NULL;
        }
        *ret_units = embed.n_units;
        return result;
}

size_t discord_message(const Queue *queue, uint64_t seq, size_t max, const char *grafana_url,
                       Buffer *out, uint64_t *ret_seq) {
        size_t n = 0, total = 0;
        QueueAlert next;

        buffer_clear(out);
        buffer_append(out, SLICE("{\"embeds\":["));
        max = MIN(max, (size_t)DISCORD_EMBEDS_MAX);
        while (n < max && !out->failed && queue_next(queue, seq, &next)) {
                json_t *alert = json_loadb(next.text.data, next.text.len,
                                           JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL),
                       *embed;
                size_t n_units = 0;

                embed = make_embed(alert, grafana_url, &n_units);
                json_decref(alert);
                if (n > 0 && total + n_units > DISCORD_CHARACTERS_MAX) {
                        json_decref(embed);
                        break;
                }
                if (n > 0)
                        buffer_append_byte(out, ',');
                if (embed)
                        batch_append_json(embed, out);
                else
                        out->failed = true;
                json_decref(embed);
                total += n_units;
                seq = next.seq;
                n++;
        }
        buffer_append(out, SLICE("],\"allowed_mentions\":{\"parse\":[]}}"));
        *ret_seq = seq;
        return out->failed ? 0 : n;
}
