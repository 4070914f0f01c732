-- SPDX-License-Identifier: MIT
-- Links that are made are told apart from links that change: what other hosts know of links that are there stays true.
-- Who only listens to url_changed learns of a new link when what it knows of unknown codes ends, after a minute.

-- url_created: the payload is the code of a link that was made; the store has never had it.
CREATE OR REPLACE FUNCTION urls_rows_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' OR current_setting('shortener.load', true) = 'on' THEN
        PERFORM pg_notify('url_changed', '');
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM pg_notify('url_created', code) FROM changed;
    ELSE
        PERFORM pg_notify('url_changed', code) FROM changed;
    END IF;
    RETURN NULL;
END
$$;
