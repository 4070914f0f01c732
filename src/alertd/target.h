/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where alerts are forwarded: KIND:URL or KIND:@CREDENTIAL, KIND being discord or json. The URL of
 * a webhook is a secret: whoever knows it may post. So a target has a name that is shown instead,
 * "discord-CREDENTIAL" or "discord-" and a hash of the URL, which also names its file of progress.
 */

#include "basic/check.h"
#include "basic/slice.h"

#define TARGET_NAME_SIZE 80
/* The credential that makes a Discord target when Forward= is empty, and that target's name. */
#define TARGET_CREDENTIAL "shortener.discord-webhook"
#define TARGET_USUAL_NAME "discord-webhook"

typedef enum TargetKind {
        TARGET_DISCORD,
        TARGET_JSON,
} TargetKind;

typedef struct Target {
        TargetKind kind;
        char name[TARGET_NAME_SIZE];
        char *url;
} Target;

/* http:// or https:// with a host and no blanks or control characters: 0 or -EINVAL. */
int target_check_url(Slice url) _must_check_;
/* The text of Forward=: 0 or -EINVAL. */
int target_check(const char *text) _must_check_;

/* text must have passed target_check(). directory: $CREDENTIALS_DIRECTORY or NULL. -ENOENT: there
 * is no such credential; -EINVAL: it is no URL; others of reading it. */
int target_read(const char *text, const char *directory, Target *ret) _must_check_;
void target_done(Target *target);
