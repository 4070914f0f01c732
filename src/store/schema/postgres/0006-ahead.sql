-- SPDX-License-Identifier: MIT
-- Making days ahead does not walk the default partition while everybody waits.

CREATE INDEX events_default_day ON events_default (day);
CREATE INDEX events_default_visits ON events_default (day) WHERE type = 1;

-- Makes and attaches the partition of a day. What lies in the default partition moves there.
CREATE FUNCTION events_attach(wanted date) RETURNS void LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
DECLARE
    name text = events_partition(wanted);
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING ALL,'
                   ' CHECK (day >= %L AND day < %L))', name, wanted, wanted + 1);
    LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('WITH moved AS (DELETE FROM events_default WHERE day = %L RETURNING *)'
                   ' INSERT INTO %I SELECT * FROM moved', wanted, name);
    EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   name, wanted, wanted + 1);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', name, name || '_day_check');
END
$$;

-- One step of making the partitions from today to n_days ahead; returns 0 when all are there. To
-- attach one the server walks the default partition, locked, unless a constraint says that nothing
-- of that day is in it. So those that no visit needs yet get such a constraint first, which is
-- checked in a transaction of its own while others read and write; an event of such a day cannot be
-- stored meanwhile. Today and tomorrow do not wait for that.
CREATE OR REPLACE FUNCTION events_prepare(n_days integer) RETURNS integer LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
DECLARE
    today     CONSTANT date = (now() AT TIME ZONE 'UTC')::date;
    near      CONSTANT date = today + 1;
    missing   date[];
    is_proved boolean;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('shortener events')) THEN
        RAISE lock_not_available USING MESSAGE = 'another process tidies the events';
    END IF;
    SELECT array_agg(day ORDER BY day) INTO missing
        FROM (SELECT today + i AS day FROM generate_series(0, n_days) AS i) AS d
        WHERE to_regclass(events_partition(day)) IS NULL;
    SELECT convalidated INTO is_proved FROM pg_constraint
        WHERE conrelid = 'events_default'::regclass AND conname = 'events_default_ahead';
    IF missing IS NULL AND is_proved IS NULL THEN
        RETURN 0;
    ELSIF missing[1] > near AND is_proved IS NULL THEN
        LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE;
        IF NOT EXISTS (SELECT 1 FROM events_default AS e WHERE e.day >= missing[1]
                       AND e.day <= missing[cardinality(missing)]) THEN
            EXECUTE format('ALTER TABLE events_default ADD CONSTRAINT events_default_ahead'
                           ' CHECK (day < %L OR day >= %L) NOT VALID',
                           missing[1], missing[cardinality(missing)] + 1);
            RETURN 1;
        END IF;
    ELSIF missing[1] > near AND NOT is_proved THEN
        ALTER TABLE events_default VALIDATE CONSTRAINT events_default_ahead;
        RETURN 1;
    END IF;
    -- Proved, or urgent, or there is something to be moved.
    PERFORM events_attach(day) FROM unnest(missing) AS day
        WHERE missing[1] > near OR day <= near;
    ALTER TABLE events_default DROP CONSTRAINT IF EXISTS events_default_ahead;
    RETURN 1;
END
$$;
