-- SPDX-License-Identifier: MIT
-- Tokens of the API. digest: SHA-256 of the text, which is nowhere. user_id NULL: nobody's.
-- scopes: 1 read, 2 write, 4 admin. expires, used, revoked: NULL: never.

CREATE TABLE tokens (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint,
    digest  bytea NOT NULL UNIQUE,
    name    text NOT NULL,
    scopes  integer NOT NULL,
    created bigint NOT NULL,
    expires bigint,
    used    bigint,
    revoked bigint
);
