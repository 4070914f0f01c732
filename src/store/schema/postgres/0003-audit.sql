-- SPDX-License-Identifier: MIT
-- Who changed what, in the transaction of the change. actor: "token" (with token_id and its user),
-- "open" or "shortenerctl:LOGIN". old, new: JSON objects of the changed fields. There is one row for
-- an import, whose counts move with it. A row outlives what it names.

CREATE TABLE audit (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    time       bigint NOT NULL,
    token_id   bigint,
    user_id    bigint,
    actor      text COLLATE "C" NOT NULL,
    action     text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL,
    object_id  bigint NOT NULL,
    old        text,
    new        text,
    request_id text COLLATE "C",
    PRIMARY KEY (time, id)
);
CREATE INDEX audit_object ON audit (kind, object_id, time, id);
