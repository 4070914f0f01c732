-- SPDX-License-Identifier: MIT
-- Who changed what, in the transaction of the change. actor: "token" (with token_id and its user),
-- "open" or "shortenerctl:LOGIN". old, new: JSON objects of the changed fields. There is one row for
-- an import, whose counts move with it. A row outlives what it names.

CREATE TABLE audit (
    id         INTEGER PRIMARY KEY,
    time       INTEGER NOT NULL,
    token_id   INTEGER,
    user_id    INTEGER,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    kind       TEXT NOT NULL,
    object_id  INTEGER NOT NULL,
    old        TEXT,
    new        TEXT,
    request_id TEXT
);
CREATE INDEX audit_time ON audit (time);
CREATE INDEX audit_object ON audit (kind, object_id, time);

-- The highest id of audit ever used: here, for its oldest rows are dropped, maybe all of them.
ALTER TABLE totals ADD COLUMN last_audit INTEGER NOT NULL DEFAULT 0;
