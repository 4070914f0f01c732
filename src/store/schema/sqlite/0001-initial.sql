-- SPDX-License-Identifier: MIT
-- Ids come from the sequences in `totals` and are never used twice, so a reference may outlive its
-- row: there are no foreign keys. Times are seconds since 1970, UTC.

CREATE TABLE users (
    id       INTEGER PRIMARY KEY,
    username TEXT NOT NULL,
    email    TEXT NOT NULL,
    created  INTEGER NOT NULL
);
CREATE UNIQUE INDEX users_username ON users (username);
CREATE UNIQUE INDEX users_email ON users (email);

-- location is the target as it goes into a redirect; NULL where both are the same.
CREATE TABLE urls (
    id        INTEGER PRIMARY KEY,
    user_id   INTEGER,
    code      TEXT NOT NULL,
    target    TEXT NOT NULL,
    location  TEXT,
    title     TEXT,
    is_active INTEGER NOT NULL,
    created   INTEGER NOT NULL,
    updated   INTEGER NOT NULL
);
CREATE UNIQUE INDEX urls_code ON urls (code);
CREATE INDEX urls_user ON urls (user_id) WHERE user_id IS NOT NULL;
-- The few inactive links, all and of a user; the many active ones are found on the way.
CREATE INDEX urls_inactive ON urls (is_active) WHERE is_active = 0;
CREATE INDEX urls_user_inactive ON urls (user_id) WHERE is_active = 0 AND user_id IS NOT NULL;

-- Redirects of each link that has any; beside urls, so that visits do not rewrite wide rows.
CREATE TABLE url_totals (
    url_id    INTEGER PRIMARY KEY,
    redirects INTEGER NOT NULL
);

-- Names of event types; 1 to 4 are known to the program.
CREATE TABLE event_types (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
INSERT INTO event_types VALUES (1, 'redirect'), (2, 'created'), (3, 'updated'), (4, 'deleted');

-- spool and seq: where a visit came from.
CREATE TABLE events (
    id         INTEGER PRIMARY KEY,
    url_id     INTEGER NOT NULL,
    user_id    INTEGER,
    type       INTEGER NOT NULL,
    timestamp  INTEGER NOT NULL,
    details    TEXT,
    request_id TEXT,
    spool      INTEGER,
    seq        INTEGER
);
CREATE INDEX events_url ON events (url_id);
CREATE INDEX events_user ON events (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX events_type ON events (type);
-- What is no redirect is rare among a hot link's events; these cost a visit nothing.
CREATE INDEX events_url_rare ON events (url_id, type) WHERE type <> 1;
CREATE INDEX events_user_rare ON events (user_id, type) WHERE type <> 1;

-- How far each spool is shipped. The id stays in events after its row here is gone.
CREATE TABLE spools (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid      BLOB NOT NULL UNIQUE,
    first_seq INTEGER NOT NULL,
    next_seq  INTEGER NOT NULL,
    rows      INTEGER NOT NULL,
    shed      INTEGER NOT NULL,
    bad       INTEGER NOT NULL,
    damaged   INTEGER NOT NULL
);

-- One row: what lists and metrics show as totals, and the highest id ever used of each table.
-- There is one writer at a time, who has this row anyway.
CREATE TABLE totals (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    users       INTEGER NOT NULL,
    urls        INTEGER NOT NULL,
    active_urls INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    redirects   INTEGER NOT NULL,
    last_user   INTEGER NOT NULL,
    last_url    INTEGER NOT NULL,
    last_event  INTEGER NOT NULL
);
INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0);
