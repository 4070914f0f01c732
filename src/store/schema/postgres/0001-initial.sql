-- SPDX-License-Identifier: MIT
-- Ids come from the sequences and are never used twice, so a reference may outlive its row: there
-- are no foreign keys. Times are seconds since 1970, UTC. Texts compare by bytes.

CREATE SEQUENCE user_ids;
CREATE SEQUENCE url_ids;
CREATE SEQUENCE event_ids;

-- The sequence goes on behind wanted, an id that an import brings. Others wait with nextval() until
-- this transaction ends, or one that comes between would be given out twice.
CREATE FUNCTION ids_reach(name text, wanted bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    is_behind boolean;
BEGIN
    EXECUTE format('SELECT last_value > $1 OR (last_value = $1 AND is_called) FROM %I', name)
        INTO is_behind USING wanted;
    IF is_behind THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER SEQUENCE %I OWNED BY NONE', name);
    EXECUTE format('SELECT setval(%L, $1) FROM %I WHERE last_value < $1 OR NOT is_called',
                   name, name) USING wanted;
END
$$;

CREATE TABLE users (
    id       bigint PRIMARY KEY,
    username text COLLATE "C" NOT NULL,
    email    text COLLATE "C" NOT NULL,
    created  bigint NOT NULL
);
CREATE UNIQUE INDEX users_username ON users (username);
CREATE UNIQUE INDEX users_email ON users (email);

-- location is the target as it goes into a redirect; NULL where both are the same.
CREATE TABLE urls (
    id        bigint PRIMARY KEY,
    user_id   bigint,
    code      text COLLATE "C" NOT NULL,
    target    text NOT NULL,
    location  text,
    title     text,
    is_active boolean NOT NULL,
    created   bigint NOT NULL,
    updated   bigint NOT NULL
);
CREATE UNIQUE INDEX urls_code ON urls (code) INCLUDE (id, is_active);
CREATE INDEX urls_user ON urls (user_id, id) WHERE user_id IS NOT NULL;
-- The few inactive links, all and of a user; the many active ones are found on the way.
CREATE INDEX urls_inactive ON urls (id) WHERE NOT is_active;
CREATE INDEX urls_user_inactive ON urls (user_id, id) WHERE NOT is_active AND user_id IS NOT NULL;

-- Redirects of each link that has any; beside urls, so that visits do not rewrite wide rows.
-- dropped: those whose events the retention has dropped.
CREATE TABLE url_totals (
    url_id    bigint PRIMARY KEY,
    redirects bigint NOT NULL,
    dropped   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

-- Redirects of each link in each hour since 1970.
CREATE TABLE url_hours (
    url_id    bigint NOT NULL,
    hour      integer NOT NULL,
    redirects bigint NOT NULL,
    PRIMARY KEY (url_id, hour)
) WITH (fillfactor = 70);

-- Names of event types; 1 to 4 are known to the program.
CREATE TABLE event_types (
    id   integer PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);
CREATE SEQUENCE event_type_ids START 5;
INSERT INTO event_types VALUES (1, 'redirect'), (2, 'created'), (3, 'updated'), (4, 'deleted');

-- The number of a type's name, which is made if it is new.
CREATE FUNCTION event_type(wanted text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    found_id integer;
BEGIN
    LOOP
        SELECT id INTO found_id FROM event_types WHERE name = wanted;
        EXIT WHEN found_id IS NOT NULL;
        INSERT INTO event_types VALUES (nextval('event_type_ids'), wanted) ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN found_id;
END
$$;

-- day: of the partition. clamped: the time is too far from the server's to have a partition of its
-- own; timestamp keeps it as it came. spool and seq: where a visit came from.
CREATE TABLE events (
    id         bigint NOT NULL DEFAULT nextval('event_ids'),
    url_id     bigint NOT NULL,
    user_id    bigint,
    timestamp  bigint NOT NULL,
    seq        bigint,
    type       integer NOT NULL,
    spool      integer,
    day        date NOT NULL,
    clamped    boolean NOT NULL DEFAULT false,
    details    text,
    request_id text,
    PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);
CREATE INDEX events_url ON events (url_id, id);
CREATE INDEX events_user ON events (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX events_type ON events (type, id);
-- What is no redirect is rare among a hot link's events; these cost a visit nothing.
CREATE INDEX events_url_rare ON events (url_id, type, id) WHERE type <> 1;
CREATE INDEX events_user_rare ON events (user_id, type, id) WHERE type <> 1;
CREATE TABLE events_default PARTITION OF events DEFAULT;

-- How far each spool is shipped. The id stays in events after its row here is gone.
-- dropped: rows that the retention has dropped.
CREATE TABLE spool_offset (
    id        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    spool     uuid NOT NULL UNIQUE,
    first_seq bigint NOT NULL,
    next_seq  bigint NOT NULL,
    rows      bigint NOT NULL DEFAULT 0,
    shed      bigint NOT NULL DEFAULT 0,
    bad       bigint NOT NULL DEFAULT 0,
    damaged   bigint NOT NULL DEFAULT 0,
    dropped   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- What lists and metrics show as totals: the sum of 16 rows, so that writers do not queue on one.
-- redirects counts those of dropped events too.
CREATE TABLE totals (
    slot        integer PRIMARY KEY,
    users       bigint NOT NULL DEFAULT 0,
    urls        bigint NOT NULL DEFAULT 0,
    active_urls bigint NOT NULL DEFAULT 0,
    events      bigint NOT NULL DEFAULT 0,
    redirects   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO totals (slot) SELECT generate_series(0, 15);

-- ---- partitions ----

CREATE FUNCTION events_partition(wanted date) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT 'events_' || to_char(wanted, 'YYYYMMDD') $$;

-- Makes the partitions from today to n_days ahead; returns how many were missing. Not CREATE TABLE
-- PARTITION OF, which would lock out readers and writers of all other partitions.
CREATE FUNCTION events_prepare(n_days integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    wanted date;
    name   text;
    n_made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('shortener events'));
    FOR wanted IN SELECT (now() AT TIME ZONE 'UTC')::date + i FROM generate_series(0, n_days) AS i
    LOOP
        name := events_partition(wanted);
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING ALL,'
                       ' CHECK (day >= %L AND day < %L))', name, wanted, wanted + 1);
        LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('WITH moved AS (DELETE FROM events_default WHERE day = %L RETURNING *)'
                       ' INSERT INTO %I SELECT * FROM moved', wanted, name);
        EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       name, wanted, wanted + 1);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', name, name || '_day_check');
        n_made := n_made + 1;
    END LOOP;
    RETURN n_made;
END
$$;

-- What the visits of a partition leave behind before they are dropped.
CREATE FUNCTION events_settle(name text, condition text, OUT n bigint) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO url_totals AS t (url_id, redirects, dropped)'
                   ' SELECT url_id, 0, count(*) FROM %I WHERE type = 1 AND %s'
                   ' GROUP BY url_id ORDER BY url_id'
                   ' ON CONFLICT (url_id) DO UPDATE SET dropped = t.dropped + excluded.dropped',
                   name, condition);
    EXECUTE format('UPDATE spool_offset AS s SET dropped = s.dropped + e.n FROM'
                   ' (SELECT spool, count(*) AS n FROM %I WHERE type = 1 AND %s'
                   ' AND spool IS NOT NULL GROUP BY spool) AS e WHERE s.id = e.spool',
                   name, condition);
    EXECUTE format('SELECT count(*) FROM %I WHERE type = 1 AND %s', name, condition) INTO n;
    UPDATE totals SET events = events - n WHERE slot = 0;
END
$$;

-- One step of the retention of visits from before a day. A partition is detached first, which locks
-- others out for a moment only; what it leaves behind is settled when it is alone, then it is
-- dropped. What is no visit moves to the default partition and stays. The default partition loses
-- its old visits some at a time. Returns how many visits went, NULL when there was nothing to do.
CREATE FUNCTION events_expire(before date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    oldest      text;
    is_attached boolean;
    ids         bigint[];
    n           bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('shortener events'));
    SELECT c.relname, i.inhrelid IS NOT NULL INTO oldest, is_attached
        FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
        WHERE c.relkind = 'r' AND c.relname ~ '^events_[0-9]{8}$' AND pg_table_is_visible(c.oid)
        AND c.relname < events_partition(before) ORDER BY i.inhrelid IS NOT NULL, c.relname LIMIT 1;
    IF is_attached THEN
        EXECUTE format('ALTER TABLE events DETACH PARTITION %I', oldest);
        RETURN 0;
    END IF;
    IF oldest IS NOT NULL THEN
        EXECUTE format('INSERT INTO events SELECT * FROM %I WHERE type <> 1', oldest);
        n := events_settle(oldest, 'true');
        EXECUTE format('DROP TABLE %I', oldest);
        RETURN n;
    END IF;
    SELECT array_agg(id) INTO ids FROM (SELECT id FROM events_default
        WHERE type = 1 AND day < before ORDER BY id LIMIT 10000 FOR UPDATE) AS expired;
    IF ids IS NULL THEN
        RETURN NULL;
    END IF;
    n := events_settle('events_default', format('id = ANY (%L)', ids));
    DELETE FROM events_default WHERE type = 1 AND id = ANY (ids);
    RETURN n;
END
$$;

SELECT events_prepare(7);

-- ---- what other hosts are told ----

-- The payload is the code of a changed link; empty: any may have changed.
CREATE FUNCTION urls_row_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('url_changed', OLD.code);
    IF OLD.code <> NEW.code THEN
        PERFORM pg_notify('url_changed', NEW.code);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER urls_updated AFTER UPDATE ON urls FOR EACH ROW
    WHEN ((OLD.code, OLD.target, OLD.location, OLD.is_active)
          IS DISTINCT FROM (NEW.code, NEW.target, NEW.location, NEW.is_active))
    EXECUTE FUNCTION urls_row_changed();

CREATE FUNCTION urls_rows_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' OR current_setting('shortener.load', true) = 'on' THEN
        PERFORM pg_notify('url_changed', '');
    ELSE
        PERFORM pg_notify('url_changed', code) FROM changed;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER urls_inserted AFTER INSERT ON urls REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION urls_rows_changed();
CREATE TRIGGER urls_deleted AFTER DELETE ON urls REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION urls_rows_changed();
CREATE TRIGGER urls_truncated AFTER TRUNCATE ON urls
    FOR EACH STATEMENT EXECUTE FUNCTION urls_rows_changed();
