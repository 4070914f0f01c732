/* SPDX-License-Identifier: MIT */

/*
 * The set is an open-addressing table of hashes that is made once, in its final size: files are
 * read twice, first to count. What a hash is of (a host, a domain, a URL) is its first byte, so
 * that one table holds all three.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "basic/arena.h"
#include "basic/hash.h"
#include "model/host.h"
#include "model/target.h"
#include "model/types.h"
#include "policy/blocklist.h"
#include "policy/location.h"

#define LINE_MAX_BYTES  4096u                /* of a line that counts */
#define LINE_SIZE       (LINE_MAX_BYTES + 2) /* with its end and a NUL */
#define BLANKS          " \t\r\n\v\f"
#define BYTE_ORDER_MARK "\xEF\xBB\xBF" /* at the start of what some editors save */

enum {
        KIND_HOST = 'h',
        KIND_DOMAIN = 'd',
        KIND_URL = 'u',
};

struct Blocklist {
        HashKey key;
        size_t n_places;
        size_t n_entries;
        size_t n_bad;
        uint64_t places[]; /* 0: free */
};

/* ---- the set ---- */

static uint64_t hash_of(const Blocklist *blocklist, char kind, Slice text) {
        HashKey key = {blocklist->key.k0 ^ (uint64_t)kind, blocklist->key.k1};
        uint64_t hash = hash_keyed(&key, text);

        return hash != 0 ? hash : 1;
}

/* Where the hash is, or would be; the table is never full. */
static size_t place_of(const Blocklist *blocklist, uint64_t hash) {
        size_t at = (size_t)(((unsigned __int128)hash * blocklist->n_places) >> 64);

        while (blocklist->places[at] != 0 && blocklist->places[at] != hash)
                at = at + 1 < blocklist->n_places ? at + 1 : 0;
        return at;
}

static bool has(const Blocklist *blocklist, char kind, Slice text) {
        return blocklist->places[place_of(blocklist, hash_of(blocklist, kind, text))] != 0;
}

static int add(Blocklist *blocklist, char kind, Slice text) {
        uint64_t hash = hash_of(blocklist, kind, text);
        size_t at = place_of(blocklist, hash);

        if (blocklist->places[at] == hash)
                return 0;
        if (blocklist->n_entries + 1 >= blocklist->n_places)
                return -EAGAIN;
        blocklist->places[at] = hash;
        blocklist->n_entries++;
        return 0;
}

/* A URL goes in, and is looked for, by its page: location.h. */
static bool has_page(const Blocklist *blocklist, Slice location) {
        char page[LOCATION_PAGE_SIZE];
        size_t len = location_page(location, page);

        return len > 0 && has(blocklist, KIND_URL, slice_make(page, len));
}

static int add_page(Blocklist *blocklist, Slice location) {
        char page[LOCATION_PAGE_SIZE];

        return add(blocklist, KIND_URL, slice_make(page, location_page(location, page)));
}

static bool has_domain(const Blocklist *blocklist, Slice host) {
        ptrdiff_t dot;

        for (;;) {
                if (has(blocklist, KIND_DOMAIN, host))
                        return true;
                dot = slice_find(host, '.');
                if (dot < 0)
                        return false;
                host = slice_from(host, (size_t)dot + 1);
        }
}

bool blocklist_has(const Blocklist *blocklist, Slice location) {
        char buffer[LOCATION_IPV4_SIZE];
        Slice host;

        if (!blocklist || blocklist->n_entries == 0)
                return false;
        host = location_plain_host(location_host(location), buffer);
        return has(blocklist, KIND_HOST, host) || has_domain(blocklist, host) ||
               has_page(blocklist, location);
}

/* ---- lines ---- */

static bool next_word(Slice *rest, Slice *ret) {
        size_t from = 0, to;

        while (from < rest->len && strchr(BLANKS, rest->data[from]))
                from++;
        for (to = from; to < rest->len && !strchr(BLANKS, rest->data[to]);)
                to++;
        *ret = slice_sub(*rest, from, to);
        *rest = slice_from(*rest, to);
        return ret->len > 0 && ret->data[0] != '#';
}

static bool is_comment(Slice line) {
        return line.len == 0 || line.data[0] == '#' || line.data[0] == '!';
}

static bool is_address(Slice word) {
        char host[HOST_SIZE + 2];
        size_t len;

        if (slice_find(word, ':') >= 0)
                return true; /* IPv6; a URL was told apart before */
        if (word.len == 0 || word.data[word.len - 1] < '0' || word.data[word.len - 1] > '9')
                return false;
        return host_parse(word, host, &len) == 0 && slice_equal(slice_make(host, len), word);
}

static int add_host(Blocklist *blocklist, char kind, Slice name) {
        char host[HOST_SIZE], buffer[LOCATION_IPV4_SIZE];
        size_t len;
        int r = host_parse(name, host, &len);

        if (r == -EINVAL) {
                blocklist->n_bad++;
                return 0;
        }
        if (r < 0)
                return r;
        return add(blocklist, kind, location_plain_host(slice_make(host, len), buffer));
}

static int add_url(Blocklist *blocklist, Slice text, Arena *arena) {
        Slice location;
        int r = target_parse_credentials(arena, text, &location);

        if (r == 0)
                r = add_page(blocklist, location);
        else if (r == -EINVAL) {
                blocklist->n_bad++;
                r = 0;
        }
        arena_reset(arena);
        return r;
}

/* Names of this machine itself stand in every hosts file; they are nobody's target list. */
static bool is_local_name(Slice name) {
        static const char *const names[] = {"localhost",     "localhost.localdomain",
                                            "local",         "broadcasthost",
                                            "ip6-localhost", "ip6-loopback"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (slice_equal_nocase(name, slice_from_string(names[i])))
                        return true;
        return false;
}

static int add_hosts(Blocklist *blocklist, Slice names) {
        Slice name;
        int r = 0;

        while (r == 0 && next_word(&names, &name))
                if (!is_local_name(name))
                        r = add_host(blocklist, KIND_HOST, name);
        return r;
}

static int add_line(Blocklist *blocklist, Slice line, Arena *arena) {
        Slice word, second, rest = line;

        if (is_comment(line) || !next_word(&rest, &word))
                return 0;
        if (slice_search(word, SLICE("://")) >= 0)
                return add_url(blocklist, word, arena);
        line = rest;
        if (next_word(&line, &second)) {
                if (is_address(word))
                        return add_hosts(blocklist, rest);
                blocklist->n_bad++;
                return 0;
        }
        if (slice_starts_with(word, SLICE("*.")))
                word = slice_from(word, 2);
        else if (slice_starts_with(word, SLICE(".")))
                word = slice_from(word, 1);
        return add_host(blocklist, KIND_DOMAIN, word);
}

/* How many entries the line may make, at most. */
static size_t count_line(Slice line) {
        size_t n = 0;
        Slice word;

        if (is_comment(line))
                return 0;
        while (next_word(&line, &word))
                n++;
        return n > 1 ? n - 1 : n;
}

/* ---- files ---- */

typedef int (*EachLine)(void *userdata, Slice line, bool whole, Arena *arena);

/* The next line without its end, or its first bytes; up to a NUL, if there is one. false: there is
 * none. */
static bool read_line(FILE *file, char line[LINE_SIZE], size_t *ret_len, bool *ret_whole) {
        size_t len;
        int c;

        if (!fgets(line, LINE_SIZE, file))
                return false;
        len = strlen(line);
        *ret_whole = len <= LINE_MAX_BYTES || line[len - 1] == '\n';
        if (!*ret_whole)
                do
                        c = getc_unlocked(file);
                while (c != EOF && c != '\n');
        if (len > 0 && line[len - 1] == '\n')
                len--;
        *ret_len = len;
        return true;
}

static int each_line_of(FILE *file, EachLine each, void *userdata) {
        char buffer[LINE_SIZE];
        bool first = true, whole;
        Arena arena;
        size_t len;
        int r = 0;

        arena_init(&arena, 0);
        for (; r == 0 && read_line(file, buffer, &len, &whole); first = false) {
                Slice line = slice_make(buffer, len);

                if (first && slice_starts_with(line, SLICE(BYTE_ORDER_MARK)))
                        line = slice_from(line, sizeof BYTE_ORDER_MARK - 1);
                r = each(userdata, slice_trim(line), whole, &arena);
        }
        arena_done(&arena);
        return r == 0 && ferror(file) ? -EIO : r;
}

static int each_line(const char *path, EachLine each, void *userdata) {
        struct stat st;
        FILE *file;
        int r;

        /* A list is read twice; a pipe without a writer would be waited for besides. */
        if (stat(path, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (S_ISFIFO(st.st_mode))
                return -ESPIPE;
        file = fopen(path, "re");
        if (!file)
                return -errno;
        r = each_line_of(file, each, userdata);
        (void)fclose(file);
        return r;
}

static int on_count(void *userdata, Slice line, bool whole, Arena *arena _unused_) {
        size_t *n = userdata;

        if (whole)
                *n += count_line(line);
        return 0;
}

static int on_add(void *userdata, Slice line, bool whole, Arena *arena) {
        Blocklist *blocklist = userdata;

        if (whole)
                return add_line(blocklist, line, arena);
        blocklist->n_bad += !is_comment(line);
        return 0;
}

int blocklist_load(char *const *files, Blocklist **ret, size_t *ret_bad) {
        _cleanup_(blocklist_free_p) Blocklist *blocklist = NULL;
        size_t n = 0, n_places;
        int r;

        for (*ret_bad = 0; files[*ret_bad]; (*ret_bad)++) {
                r = each_line(files[*ret_bad], on_count, &n);
                if (r < 0)
                        return r;
        }
        n_places = n + n / 3 + 8;
        blocklist = calloc(1, sizeof *blocklist + n_places * sizeof blocklist->places[0]);
        if (!blocklist)
                return -ENOMEM;
        blocklist->n_places = n_places;
        blocklist->key = hash_key_random();
        for (*ret_bad = 0; files[*ret_bad]; (*ret_bad)++) {
                r = each_line(files[*ret_bad], on_add, blocklist);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(blocklist);
        return 0;
}

Blocklist *blocklist_free(Blocklist *blocklist) {
        free(blocklist);
        return NULL;
}

void blocklist_stats(const Blocklist *blocklist, BlocklistStats *ret) {
        *ret = (BlocklistStats){0};
        if (blocklist)
                *ret = (BlocklistStats){
                                .n_entries = blocklist->n_entries,
                                .n_bytes = sizeof *blocklist +
                                           blocklist->n_places * sizeof blocklist->places[0],
                                .n_bad = blocklist->n_bad,
                };
}
