/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One row of an import, an export or the seed data: its columns, and the way from texts to the
 * domain's records by the rules of the API.
 */

#include <stdbool.h>

#include "basic/arena.h"
#include "model/types.h"

typedef enum RecordType {
        RECORD_NONE,
        RECORD_USERS,
        RECORD_URLS,
        RECORD_EVENTS,
} RecordType;

/* Every column that one of the files has. */
typedef enum RecordField {
        FIELD_ID,
        FIELD_USERNAME,
        FIELD_EMAIL,
        FIELD_USER_ID,
        FIELD_SHORT_CODE,
        FIELD_ORIGINAL_URL,
        FIELD_TITLE,
        FIELD_IS_ACTIVE,
        FIELD_URL_ID,
        FIELD_EVENT_TYPE,
        FIELD_TIMESTAMP,
        FIELD_DETAILS,
        FIELD_CREATED_AT,
        FIELD_UPDATED_AT,
        N_RECORD_FIELDS,
} RecordField;

typedef struct RecordTexts {
        Slice texts[N_RECORD_FIELDS]; /* data == NULL: missing, empty or null */
        bool credentials;             /* are taken in targets */
} RecordTexts;

typedef struct Record {
        union {
                User user;
                Url url; /* code.data == NULL: one is to be made */
                Event event;
        };
} Record;

/* "users"; RECORD_NONE for another word. */
RecordType record_type(const char *name);
const char *record_type_name(RecordType type);

/* The field of a column's name (any case), or -1. */
int record_field(Slice name);
const char *record_field_name(RecordField field);

/* The columns of a type in the order of an export, and how many. */
const RecordField *record_columns(RecordType type, size_t *ret_n);

/* What the columns say of the type; RECORD_NONE: they are none of ours. */
RecordType record_type_of(const bool present[N_RECORD_FIELDS]);

/* A column without which no row of the type makes sense, and that is not there; or NULL. */
const char *record_missing(RecordType type, const bool present[N_RECORD_FIELDS]);

/* 0: *ret is filled, its texts copied into the arena; times that are missing are now_sec. 1:
 * *ret_problem (static) says what is wrong with the row. -ENOMEM. */
int record_parse(RecordType type, const RecordTexts *row, int64_t now_sec, Arena *arena,
                 Record *ret, const char **ret_problem) _must_check_;
