-- SPDX-License-Identifier: MIT
-- Tokens of the API. digest: SHA-256 of the text, which is nowhere. user_id NULL: nobody's.
-- scopes: 1 read, 2 write, 4 admin. expires, used, revoked: NULL: never.

CREATE TABLE tokens (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER,
    digest  BLOB NOT NULL UNIQUE,
    name    TEXT NOT NULL,
    scopes  INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    used    INTEGER,
    revoked INTEGER
);
