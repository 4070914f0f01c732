/* SPDX-License-Identifier: MIT */

/*
 * The sources of the configuration and their order: built-in, file, FILE.d/ drop-ins, environment,
 * --set. Each names an option by section and key; the table says what it takes (value.c), the
 * syntax of files is file.c's.
 *
 * Lists: files and drop-ins add to what is there (an empty value resets); the environment's value
 * and the first --set replace it.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/slice.h"
#include "config/config.h"
#include "config/file.h"
#include "config/value.h"

#define ENVIRONMENT_PREFIX "SHORTENER_"
#define DROPIN_SUFFIX      ".conf"

typedef struct Loader {
        const ConfigOption *table;
        size_t n;
        void *options;
        bool *set;          /* per option: --set has been seen */
        const char *source; /* of the present assignment: a path, a variable, "--set" */
        Buffer error;
} Loader;

/* ---- errors ---- */

/* "SOURCE[:LINE]: [Section] Key=: " */
static void begin_error(Loader *loader, unsigned line, const char *section, const char *key) {
        buffer_clear(&loader->error);
        buffer_append(&loader->error, slice_from_string(loader->source));
        if (line > 0)
                buffer_printf(&loader->error, ":%u", line);
        buffer_append(&loader->error, SLICE(": "));
        if (section && *section)
                buffer_printf(&loader->error, "[%s] ", section);
        if (key)
                buffer_printf(&loader->error, "%s=: ", key);
}

static int fail(Loader *loader, int r, unsigned line, const char *why) {
        begin_error(loader, line, NULL, NULL);
        buffer_append(&loader->error, slice_from_string(why));
        return r;
}

static int fail_errno(Loader *loader, const char *path, int r) {
        loader->source = path;
        return fail(loader, r, 0, strerror(-r));
}

/* Names the section's keys, or the sections. */
static int fail_unknown(Loader *loader, unsigned line, const char *section, const char *key) {
        bool section_exists = false;
        const char *shown = "";

        for (size_t i = 0; i < loader->n; i++)
                section_exists |= strcmp(loader->table[i].section, section) == 0;
        begin_error(loader, line, section, section_exists ? key : NULL);
        buffer_append(&loader->error, section_exists ? SLICE("unknown key: this section has")
                                                     : SLICE("unknown section: there are"));
        for (size_t i = 0; i < loader->n; i++) {
                const ConfigOption *option = &loader->table[i];

                if (section_exists && strcmp(option->section, section) == 0) {
                        buffer_printf(&loader->error, " %s=", option->key);
                } else if (!section_exists && strcmp(option->section, shown) != 0) {
                        shown = option->section;
                        buffer_printf(&loader->error, " [%s]", shown);
                }
        }
        return -EINVAL;
}

/* ---- one assignment ---- */

static const ConfigOption *find_option(const Loader *loader, const char *section, const char *key) {
        for (size_t i = 0; i < loader->n; i++)
                if (strcmp(loader->table[i].section, section) == 0 &&
                    strcmp(loader->table[i].key, key) == 0)
                        return &loader->table[i];
        return NULL;
}

static int set_option(Loader *loader, const ConfigOption *option, Slice value, unsigned line) {
        Buffer why = BUFFER_EMPTY;
        int r;

        r = config_value_set(option, loader->options, value, &why);
        if (r == -EINVAL) {
                begin_error(loader, line, option->section, option->key);
                buffer_append(&loader->error, buffer_slice(&why));
        }
        buffer_done(&why);
        return r;
}

/* The same for sources whose list replaces that of the sources before it. */
static int replace_option(Loader *loader, const ConfigOption *option, Slice value) {
        int r;

        r = config_value_reset_list(option, loader->options);
        if (r < 0)
                return r;
        return set_option(loader, option, value, 0);
}

/* ---- files ---- */

static int assign_from_file(void *userdata, const char *section, const char *key, Slice value,
                            unsigned line) {
        Loader *loader = userdata;
        const ConfigOption *option = find_option(loader, section, key);

        if (!option)
                return fail_unknown(loader, line, section, key);
        return set_option(loader, option, value, line);
}

static int read_whole(int fd, Buffer *out) {
        for (;;) {
                char *place = buffer_reserve(out, 4096);
                ssize_t n;

                if (!place)
                        return -ENOMEM;
                n = read(fd, place, 4096);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;
                out->len += (size_t)n;
                if (out->len > CONFIG_FILE_MAX)
                        return -EFBIG;
        }
}

static int load_file(Loader *loader, const char *path, bool required) {
        Buffer text = BUFFER_EMPTY;
        const char *why = NULL;
        unsigned line = 0;
        int fd, r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return errno == ENOENT && !required ? 0 : fail_errno(loader, path, -errno);
        r = read_whole(fd, &text);
        (void)close(fd);
        if (r < 0) {
                buffer_done(&text);
                return r == -ENOMEM ? r : fail_errno(loader, path, r);
        }
        loader->source = path;
        r = config_file_parse(buffer_slice(&text), assign_from_file, loader, &line, &why);
        buffer_done(&text);
        if (why)
                return fail(loader, r, line, why);
        return r;
}

static int is_dropin(const struct dirent *entry) {
        Slice name = slice_from_string(entry->d_name), suffix = SLICE(DROPIN_SUFFIX);

        return name.len > suffix.len && name.data[0] != '.' &&
               slice_equal(slice_from(name, name.len - suffix.len), suffix);
}

/* In the order of bytes, whatever the locale. */
static int compare_entries(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_dropin(Loader *loader, const char *folder, const char *name) {
        Buffer path = BUFFER_EMPTY;
        int r = -ENOMEM;

        buffer_printf(&path, "%s/%s", folder, name);
        buffer_append_byte(&path, '\0');
        if (!path.failed)
                r = load_file(loader, path.data, true);
        loader->source = NULL;
        buffer_done(&path);
        return r;
}

static int load_dropins(Loader *loader, const char *file) {
        struct dirent **entries = NULL;
        Buffer folder = BUFFER_EMPTY;
        int n, r = 0;

        buffer_printf(&folder, "%s.d", file);
        buffer_append_byte(&folder, '\0');
        if (folder.failed) {
                buffer_done(&folder);
                return -ENOMEM;
        }
        n = scandir(folder.data, &entries, is_dropin, compare_entries);
        if (n < 0 && errno != ENOENT && errno != ENOTDIR)
                r = fail_errno(loader, folder.data, -errno);
        for (int i = 0; i < n; i++) {
                if (r >= 0)
                        r = load_dropin(loader, folder.data, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        loader->source = NULL;
        buffer_done(&folder);
        return r;
}

/* ---- environment ---- */

static char upper(char c) {
        return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool take_upper(Slice *name, const char *word) {
        size_t n = strlen(word);

        if (name->len < n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (name->data[i] != upper(word[i]))
                        return false;
        *name = slice_from(*name, n);
        return true;
}

/* Is name (behind the prefix) SECTION_ and something? *ret_key is that something. */
static bool names_section(Slice name, const ConfigOption *option, Slice *ret_key) {
        if (!take_upper(&name, option->section) || !take_upper(&name, "_"))
                return false;
        *ret_key = name;
        return true;
}

/* A variable of a section that we do not have is somebody else's (SHORTENER_INSTANCE). */
static int load_variable(Loader *loader, Slice name, Slice value) {
        const char *section = NULL;
        Slice key;

        for (size_t i = 0; i < loader->n; i++) {
                const ConfigOption *option = &loader->table[i];

                if (!names_section(name, option, &key))
                        continue;
                section = option->section;
                if (take_upper(&key, option->key) && key.len == 0)
                        return replace_option(loader, option, value);
        }
        return section ? fail_unknown(loader, 0, section, NULL) : 0;
}

static int load_environment(Loader *loader, char **environment) {
        for (; environment && *environment; environment++) {
                Slice name, value, prefix = SLICE(ENVIRONMENT_PREFIX);
                _cleanup_free_ char *shown = NULL;
                int r;

                if (!slice_cut(slice_from_string(*environment), '=', &name, &value) ||
                    !slice_starts_with(name, prefix))
                        continue;
                shown = slice_to_string(name);
                if (!shown)
                        return -ENOMEM;
                loader->source = shown;
                r = load_variable(loader, slice_from(name, prefix.len), value);
                loader->source = NULL;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- --set ---- */

static int load_set(Loader *loader, const char *assignment) {
        _cleanup_free_ char *section_text = NULL, *key_text = NULL;
        Slice name, value, section, key;
        const ConfigOption *option;
        size_t index;

        loader->source = "--set";
        if (!slice_cut(slice_from_string(assignment), '=', &name, &value) ||
            !slice_cut(name, '.', &section, &key))
                return fail(loader, -EINVAL, 0, "expected SECTION.KEY=VALUE");
        section_text = slice_to_string(section);
        key_text = slice_to_string(key);
        if (!section_text || !key_text)
                return -ENOMEM;
        option = find_option(loader, section_text, key_text);
        if (!option)
                return fail_unknown(loader, 0, section_text, key_text);
        index = (size_t)(option - loader->table);
        if (loader->set[index])
                return set_option(loader, option, value, 0);
        loader->set[index] = true;
        return replace_option(loader, option, value);
}

/* ---- public ---- */

static int load_defaults(Loader *loader) {
        loader->source = "built-in";
        for (size_t i = 0; i < loader->n; i++) {
                int r = set_option(loader, &loader->table[i],
                                   slice_from_string(loader->table[i].initial), 0);

                if (r < 0) {
                        CHECK(r == -ENOMEM); /* else the table is wrong */
                        return r;
                }
        }
        return 0;
}

static int load_all(Loader *loader, const ConfigSources *sources) {
        int r;

        r = load_defaults(loader);
        if (r >= 0 && sources->file)
                r = load_file(loader, sources->file, sources->file_required);
        if (r >= 0 && sources->file)
                r = load_dropins(loader, sources->file);
        if (r >= 0)
                r = load_environment(loader, sources->environment);
        for (const char *const *set = sources->set; r >= 0 && set && *set; set++)
                r = load_set(loader, *set);
        return r;
}

int config_load(const ConfigOption *table, size_t n, const ConfigSources *sources, void *options,
                char **ret_error) {
        Loader loader = {.table = table, .n = n, .options = options};
        int r = -ENOMEM;

        *ret_error = NULL;
        loader.set = calloc(n, sizeof(bool));
        if (loader.set)
                r = load_all(&loader, sources);
        if (r < 0) {
                if (loader.error.len == 0)
                        buffer_append(&loader.error, slice_from_string(strerror(-r)));
                *ret_error = slice_to_string(buffer_slice(&loader.error));
        }
        free(loader.set);
        buffer_done(&loader.error);
        return r;
}

void config_free(const ConfigOption *table, size_t n, void *options) {
        for (size_t i = 0; i < n; i++)
                config_value_free(&table[i], options);
}

void config_dump(const ConfigOption *table, size_t n, const void *options, Buffer *out) {
        const char *section = "";

        for (size_t i = 0; i < n; i++) {
                if (strcmp(section, table[i].section) != 0) {
                        section = table[i].section;
                        buffer_printf(out, "%s[%s]\n", i > 0 ? "\n" : "", section);
                }
                buffer_printf(out, "# %s\n# ", table[i].help);
                config_value_allowed(&table[i], out);
                buffer_printf(out, "; default: %s%s\n",
                              *table[i].initial ? table[i].initial : "(empty)",
                              table[i].reloadable ? "; reloadable" : "");
                config_value_dump(&table[i], options, out);
        }
}

void config_diff(const ConfigOption *table, size_t n, const void *old, const void *new,
                 bool reloadable, Buffer *out) {
        bool first = true;

        for (size_t i = 0; i < n; i++) {
                if (table[i].reloadable != reloadable || config_value_equal(&table[i], old, new))
                        continue;
                buffer_printf(out, "%s%s.%s", first ? "" : ", ", table[i].section, table[i].key);
                first = false;
        }
}
