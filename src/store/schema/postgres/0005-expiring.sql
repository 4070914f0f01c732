-- SPDX-License-Identifier: MIT
-- Old visits are settled some at a time, each step a short transaction that says how far it came.

-- Not while the function that this replaces is at it.
SELECT pg_advisory_xact_lock(hashtext('shortener events'));

-- Days of visits that no longer belong to events. What lies before next_block has been settled; a
-- table that nobody inserts into any more keeps its rows where they are, so that this is exact.
CREATE TABLE events_expiring (
    name       text PRIMARY KEY,
    next_block bigint NOT NULL DEFAULT 0,
    n_blocks   bigint NOT NULL
);

-- The visits there that are not settled. STABLE: what the caller sees of the totals and this belong
-- to the same moment.
CREATE FUNCTION events_unsettled() RETURNS TABLE (url_id bigint, spool integer, seq bigint)
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    expiring events_expiring;
BEGIN
    FOR expiring IN SELECT * FROM events_expiring WHERE next_block < n_blocks LOOP
        RETURN QUERY EXECUTE format('SELECT url_id, spool, seq FROM %I WHERE type = 1'
                                    ' AND ctid >= ''(%s,0)''::tid',
                                    expiring.name, expiring.next_block);
    END LOOP;
END
$$;

-- All events that the totals count.
CREATE VIEW events_counted AS
    SELECT url_id, type, spool, seq FROM events
    UNION ALL SELECT url_id, 1, spool, seq FROM events_unsettled();

-- Kept events of days whose visits were dropped have this day, and a partition of their own: the
-- default one stays small.
CREATE TABLE events_kept PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('4713-01-01 BC');

-- Out of events it goes, the visits as they are; what is no visit stays there.
CREATE FUNCTION events_detached(name text) RETURNS void LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
BEGIN
    EXECUTE format('WITH kept AS (DELETE FROM %I WHERE type <> 1 RETURNING *)'
                   ' INSERT INTO events SELECT id, url_id, user_id, timestamp, seq, type, spool,'
                   ' ''-infinity'', clamped, details, request_id FROM kept', name);
    INSERT INTO events_expiring (name, n_blocks)
        VALUES (name, pg_relation_size(name::regclass) / current_setting('block_size')::bigint);
END
$$;

-- What the visits of a partition leave behind before they are dropped. Rows are locked in the order
-- in which those who ship visits lock them.
CREATE OR REPLACE FUNCTION events_settle(name text, condition text, OUT n bigint)
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM spool_offset WHERE id IN'
                   ' (SELECT spool FROM %I WHERE type = 1 AND %s) ORDER BY id FOR UPDATE) AS s',
                   name, condition);
    EXECUTE format('UPDATE spool_offset AS s SET dropped = s.dropped + e.n FROM'
                   ' (SELECT spool, count(*) AS n FROM %I WHERE type = 1 AND %s'
                   ' AND spool IS NOT NULL GROUP BY spool) AS e WHERE s.id = e.spool',
                   name, condition);
    EXECUTE format('INSERT INTO url_totals AS t (url_id, redirects, dropped)'
                   ' SELECT url_id, 0, count(*) FROM %I WHERE type = 1 AND %s'
                   ' GROUP BY url_id ORDER BY url_id'
                   ' ON CONFLICT (url_id) DO UPDATE SET dropped = t.dropped + excluded.dropped',
                   name, condition);
    EXECUTE format('SELECT count(*) FROM %I WHERE type = 1 AND %s', name, condition) INTO n;
    UPDATE totals SET events = events - n WHERE slot = 0;
END
$$;

-- One short step of the retention of visits from before a day. What is no visit leaves the oldest
-- day some at a time; when little is left the day is detached, which locks others out for a moment
-- only; its visits are settled some blocks at a time, then it is dropped. The default partition
-- loses its old visits some at a time. Returns how many visits went, NULL when there was nothing to
-- do. Whoever counts everything is not waited for.
CREATE OR REPLACE FUNCTION events_expire(before date) RETURNS bigint LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
DECLARE
    rows_max   CONSTANT integer = 2000;
    blocks_max CONSTANT integer = 32;
    expiring   events_expiring;
    oldest     text;
    ids        bigint[];
    n          bigint;
BEGIN
    LOCK TABLE events_expiring IN ROW EXCLUSIVE MODE NOWAIT;
    IF NOT pg_try_advisory_xact_lock(hashtext('shortener events')) THEN
        RAISE lock_not_available USING MESSAGE = 'another process tidies the events';
    END IF;
    SELECT * INTO expiring FROM events_expiring AS e ORDER BY e.name LIMIT 1;
    IF FOUND AND expiring.next_block >= expiring.n_blocks THEN
        EXECUTE format('DROP TABLE %I', expiring.name);
        DELETE FROM events_expiring AS e WHERE e.name = expiring.name;
        RETURN 0;
    ELSIF FOUND THEN
        -- Behind shippers, which are never long.
        PERFORM set_config('lock_timeout', '1000', true);
        n := events_settle(expiring.name,
                           format('ctid >= ''(%s,0)''::tid AND ctid < ''(%s,0)''::tid',
                                  expiring.next_block, expiring.next_block + blocks_max));
        UPDATE events_expiring AS e SET next_block = e.next_block + blocks_max
            WHERE e.name = expiring.name;
        RETURN n;
    END IF;
    SELECT c.relname INTO oldest FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'events'::regclass AND c.relname ~ '^events_[0-9]{8}$'
        AND c.relname < events_partition(before) ORDER BY c.relname LIMIT 1;
    IF FOUND THEN
        EXECUTE format('UPDATE events SET day = ''-infinity'' WHERE day = to_date(%L, %L)'
                       ' AND id = ANY (ARRAY(SELECT id FROM %I WHERE type <> 1 LIMIT %s))',
                       substr(oldest, 8), 'YYYYMMDD', oldest, rows_max);
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n < rows_max THEN
            EXECUTE format('ALTER TABLE events DETACH PARTITION %I', oldest);
            PERFORM events_detached(oldest);
        END IF;
        RETURN 0;
    END IF;
    SELECT array_agg(id) INTO ids FROM (SELECT id FROM events_default
        WHERE type = 1 AND day < before LIMIT rows_max FOR UPDATE) AS expired;
    IF ids IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('lock_timeout', '1000', true);
    n := events_settle('events_default', format('id = ANY (%L::bigint[])', ids));
    DELETE FROM events_default WHERE type = 1 AND id = ANY (ids);
    RETURN n;
END
$$;

-- Days that were detached and not settled before this.
SELECT events_detached(c.relname::text) FROM pg_class AS c
    WHERE c.relkind = 'r' AND c.relname ~ '^events_[0-9]{8}$' AND pg_table_is_visible(c.oid)
    AND NOT EXISTS (SELECT 1 FROM pg_inherits AS i WHERE i.inhrelid = c.oid);
