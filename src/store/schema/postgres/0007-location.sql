-- SPDX-License-Identifier: MIT
-- Who edits a target (psql) need not know of its location: that of the old target goes with it.

CREATE FUNCTION urls_forget_location() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.location := NULL;
    RETURN NEW;
END
$$;
CREATE TRIGGER urls_target_edited BEFORE UPDATE OF target ON urls FOR EACH ROW
    WHEN (NEW.target <> OLD.target AND NEW.location = OLD.location)
    EXECUTE FUNCTION urls_forget_location();
