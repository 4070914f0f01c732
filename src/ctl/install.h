/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Steps that change a host: files, links, commands. A dry run only lists them; with another root
 * folder paths are below it and no command is run. The first step that fails is told on standard
 * error, and those behind it are left out. One thread.
 */

#include <stdbool.h>

#include "basic/buffer.h"

typedef struct Install {
        const char *root; /* "": the host itself */
        bool dry_run;
        bool failed;
        Buffer steps; /* action, object, remark, between tabs; a line each */
} Install;

/* root: NULL or a folder, borrowed. */
void install_init(Install *install, const char *root, bool dry_run);

/* Is the path (below the root) there? A link counts whatever it points at. */
bool install_exists(const Install *install, const char *path);

/* Makes missing folders; replaces the file at once, mode 0644. One with this text is left alone. */
void install_write(Install *install, const char *path, const Buffer *text);

/* A symbolic link at path; one that points there already is left alone. */
void install_link(Install *install, const char *path, const char *target);

/* Removes a file or link, if it is there, and a drop-in's folder if that is empty then. */
void install_remove(Install *install, const char *path);

/* Runs systemctl with these words; NULL ends them. */
void install_systemctl(Install *install, const char *const words[]);

/* Lists something that is not done. */
void install_note(Install *install, const char *action, const char *what, const char *why);

/* Appends the list of steps, frees; an ExitStatus. */
int install_finish(Install *install, bool json, Buffer *out) _must_check_;
