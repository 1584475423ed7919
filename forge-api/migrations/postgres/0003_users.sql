-- Users and the audit log.

-- What belongs to no organisation has a chain of its own, named 'installation': no reference any more.
-- Each entry is sealed under a key that the database does not hold.
ALTER TABLE audit_log DROP CONSTRAINT audit_log_organisation_id_fkey;
ALTER TABLE audit_tips DROP CONSTRAINT audit_tips_organisation_id_fkey;
ALTER TABLE audit_log ADD COLUMN seal TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_log ALTER COLUMN seal DROP DEFAULT;

CREATE FUNCTION append_at_the_tip() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM audit_log
        WHERE organisation_id = NEW.organisation_id AND sequence >= NEW.sequence
    ) OR NOT EXISTS (
        SELECT 1 FROM audit_tips
        WHERE organisation_id = NEW.organisation_id AND sequence = NEW.sequence
    ) THEN
        RAISE EXCEPTION 'audit_log is append-only';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER audit_log_at_the_tip BEFORE INSERT ON audit_log
FOR EACH ROW EXECUTE FUNCTION append_at_the_tip();

CREATE FUNCTION only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.organisation_id <> OLD.organisation_id
        OR NEW.sequence NOT IN (OLD.sequence, OLD.sequence + 1)
        OR (NEW.hash <> OLD.hash AND NOT EXISTS (
            SELECT 1 FROM audit_log
            WHERE organisation_id = NEW.organisation_id AND sequence = NEW.sequence AND hash = NEW.hash
        )) THEN
        RAISE EXCEPTION 'audit_tips is append-only';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER audit_tips_only_grow BEFORE UPDATE ON audit_tips
FOR EACH ROW EXECUTE FUNCTION only_grow();
CREATE TRIGGER audit_tips_no_delete BEFORE DELETE ON audit_tips
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_tips_no_truncate BEFORE TRUNCATE ON audit_tips
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a token may be used for. Those that are there could be used for everything.
ALTER TABLE api_tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT 'read edit review publish manage';
ALTER TABLE api_tokens ALTER COLUMN scopes DROP DEFAULT;

-- Where a session was begun.
ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ALTER COLUMN address DROP DEFAULT;

-- Links by which the first user is made, while there is none.
CREATE TABLE set_up_links (
    token_hash TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
