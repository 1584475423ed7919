-- Users and the audit log.

-- What belongs to no organisation has a chain of its own, named 'installation': no reference any more.
-- Each entry is sealed under a key that the database does not hold.
CREATE TABLE audit_log_new (
    organisation_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    seal TEXT NOT NULL,
    PRIMARY KEY (organisation_id, sequence)
);
INSERT INTO audit_log_new
SELECT organisation_id, sequence, at, actor_id, actor_name, action, subject, detail, previous_hash, hash, ''
FROM audit_log;
DROP TABLE audit_log;
ALTER TABLE audit_log_new RENAME TO audit_log;

CREATE TABLE audit_tips_new (
    organisation_id TEXT NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_tips_new SELECT organisation_id, sequence, hash FROM audit_tips;
DROP TABLE audit_tips;
ALTER TABLE audit_tips_new RENAME TO audit_tips;

CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END;
-- INSERT OR REPLACE deletes without a word to the trigger above: nothing is inserted but at the tip.
CREATE TRIGGER audit_log_at_the_tip BEFORE INSERT ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'audit_log is append-only')
    WHERE EXISTS (
        SELECT 1 FROM audit_log
        WHERE organisation_id = NEW.organisation_id AND sequence >= NEW.sequence
    ) OR NOT EXISTS (
        SELECT 1 FROM audit_tips
        WHERE organisation_id = NEW.organisation_id AND sequence = NEW.sequence
    );
END;
CREATE TRIGGER audit_tips_only_grow BEFORE UPDATE ON audit_tips
BEGIN
    SELECT RAISE(ABORT, 'audit_tips is append-only')
    WHERE NEW.organisation_id <> OLD.organisation_id
        OR NEW.sequence NOT IN (OLD.sequence, OLD.sequence + 1)
        OR (NEW.hash <> OLD.hash AND NOT EXISTS (
            SELECT 1 FROM audit_log
            WHERE organisation_id = NEW.organisation_id AND sequence = NEW.sequence AND hash = NEW.hash
        ));
END;
CREATE TRIGGER audit_tips_no_delete BEFORE DELETE ON audit_tips
BEGIN SELECT RAISE(ABORT, 'audit_tips is append-only'); END;
CREATE TRIGGER audit_tips_no_replace BEFORE INSERT ON audit_tips
BEGIN
    SELECT RAISE(ABORT, 'audit_tips is append-only')
    WHERE NEW.sequence <> 0
        OR EXISTS (SELECT 1 FROM audit_tips WHERE organisation_id = NEW.organisation_id);
END;
CREATE TRIGGER versions_no_replace BEFORE INSERT ON versions
BEGIN
    SELECT RAISE(ABORT, 'versions are immutable')
    WHERE EXISTS (SELECT 1 FROM versions WHERE id = NEW.id);
END;

-- What a token may be used for. Those that are there could be used for everything.
ALTER TABLE api_tokens ADD COLUMN scopes TEXT NOT NULL DEFAULT 'read edit review publish manage';

-- Where a session was begun.
ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';

-- Links by which the first user is made, while there is none.
CREATE TABLE set_up_links (
    token_hash TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
