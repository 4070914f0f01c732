/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The domain's records, pure data. Slices in them are borrowed: from the arena of the request (rows
 * that a store returned) or from the caller. Times are seconds since the epoch, UTC. Ids count up
 * from 1 and are never reused; 0 stands for "none".
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/slice.h"

#define MODEL_TEXT_MAX 255u /* characters: username, email, title, event_type */
/* Ids of imports go up to here, so that the sequences behind them never end. */
#define MODEL_ID_MAX       (INT64_MAX / 2)
#define MODEL_LOCATION_MAX (3 * MODEL_TARGET_MAX) /* bytes: each percent-encoded */
#define MODEL_CODE_MAX     64u                    /* bytes of a short code */
#define MODEL_TARGET_MAX   2048u                  /* bytes of original_url as stored */
#define MODEL_DETAILS_MAX  4096u /* bytes of an event's details as JSON text, from a client */
/* Of the details of our own events "created" and "updated", as JSON text: \uXXXX for each two bytes
 * of a target, and the rest. What was exported is imported again. */
#define MODEL_DETAILS_OWN_MAX (3 * MODEL_TARGET_MAX + 256u)

typedef struct User {
        int64_t id;
        Slice username;
        Slice email;
        int64_t created_sec;
} User;

typedef struct Url {
        int64_t id;
        int64_t user_id; /* 0: none, or its user was deleted */
        Slice code;      /* short_code */
        Slice target;    /* original_url, exactly as sent (trimmed) */
        Slice location;  /* what goes into Location: the target serialised (ASCII) */
        Slice title;     /* data == NULL: null */
        bool is_active;
        int64_t created_sec;
        int64_t updated_sec;
} Url;

typedef struct Event {
        int64_t id;
        int64_t url_id;
        int64_t user_id; /* 0: none, or deleted */
        Slice type;      /* event_type */
        int64_t timestamp_sec;
        Slice details;    /* canonical JSON text of an object; data == NULL: null */
        Slice request_id; /* data == NULL: none. Of redirects; not part of the API object */
} Event;

#define TOKEN_DIGEST_SIZE 32u /* bytes of SHA-256 */

typedef enum TokenScope {
        TOKEN_READ = 1 << 0,
        TOKEN_WRITE = 1 << 1,
        TOKEN_ADMIN = 1 << 2, /* everything, of everybody */
} TokenScope;

/* Who may use the API. The text of a token is nowhere. */
typedef struct Token {
        int64_t id;
        int64_t user_id; /* whose links it sees and changes; 0: nobody's */
        uint8_t digest[TOKEN_DIGEST_SIZE];
        Slice name;
        unsigned scopes; /* TokenScope */
        int64_t created_sec;
        int64_t expires_sec; /* 0: never */
        int64_t used_sec;    /* last, to a minute; 0: not yet */
        int64_t revoked_sec; /* 0: it is not */
} Token;

/* Who changed what. Rows outlive what they name. */
typedef struct Audit {
        int64_t id;
        int64_t time_sec;
        int64_t token_id;  /* that the API was called with; 0: none */
        int64_t user_id;   /* the token's; 0: none */
        Slice actor;       /* "token", "open" (none was asked for), "shortenerctl:LOGIN" */
        Slice action;      /* "create", "update", "delete", "revoke", "import", "load" */
        Slice kind;        /* of the object: "url", "user", "token", "event", "store" */
        int64_t object_id; /* 0: none, of "store" */
        Slice old_fields;  /* JSON object of the changed fields; data == NULL: there was none */
        Slice new_fields;  /* the same, as they are now */
        Slice request_id;  /* data == NULL: none */
} Audit;

/* What the redirect path needs of a link. */
typedef struct Link {
        int64_t id; /* 0: there is no such code */
        Slice code;
        Slice location;
        bool is_active;
} Link;
