-- SPDX-License-Identifier: MIT
-- Answers to requests that are done once. name: SHA-256 of who asked, for what, and the key;
-- request: SHA-256 of what was asked. Times are seconds since 1970, UTC.

CREATE TABLE idempotency_keys (
    name    BLOB PRIMARY KEY,
    request BLOB NOT NULL,
    expires INTEGER NOT NULL,
    status  INTEGER NOT NULL,
    body    TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires);
