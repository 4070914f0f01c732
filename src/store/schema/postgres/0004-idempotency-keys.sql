-- SPDX-License-Identifier: MIT
-- Answers to requests that are done once. name: SHA-256 of who asked, for what, and the key;
-- request: SHA-256 of what was asked. Times are seconds since 1970, UTC.

CREATE TABLE idempotency_keys (
    name    bytea PRIMARY KEY,
    request bytea NOT NULL,
    expires bigint NOT NULL,
    status  integer NOT NULL,
    body    text NOT NULL
);
CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires);
