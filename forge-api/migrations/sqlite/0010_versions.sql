-- Why something was saved, and what partials were before.
ALTER TABLE prompt_revisions ADD COLUMN message TEXT NOT NULL DEFAULT '';
CREATE INDEX prompt_revisions_set ON prompt_revisions (set_id, id);
CREATE TABLE partial_revisions (
    id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    name TEXT NOT NULL,
    revision BIGINT NOT NULL,
    source TEXT,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX partial_revisions_name ON partial_revisions (set_id, name, id);
INSERT INTO partial_revisions (id, set_id, name, revision, source, author, created_at, message)
SELECT id, set_id, name, revision, source, updated_by, updated_at, '' FROM partials;

-- What a review is about: who is asked, what was read, and against which version.
ALTER TABLE reviews ADD COLUMN message TEXT NOT NULL DEFAULT '';
ALTER TABLE reviews ADD COLUMN base_version_id TEXT;
CREATE INDEX reviews_state ON reviews (state);
CREATE TABLE review_contents (
    review_id TEXT NOT NULL PRIMARY KEY REFERENCES reviews (id),
    body BLOB NOT NULL
);
CREATE TABLE review_reviewers (
    review_id TEXT NOT NULL REFERENCES reviews (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    PRIMARY KEY (review_id, user_id)
);
ALTER TABLE approvals ADD COLUMN by_author BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE approvals ADD COLUMN comment TEXT NOT NULL DEFAULT '';
CREATE INDEX approvals_digest ON approvals (digest);

-- Who may publish to an environment, and after how many approvals. None: everybody whose role may, with none.
CREATE TABLE environment_rules (
    environment_id TEXT NOT NULL PRIMARY KEY REFERENCES environments (id),
    approvals BIGINT NOT NULL,
    not_author BOOLEAN NOT NULL,
    roles TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);

-- An alias that only some may move.
ALTER TABLE aliases ADD COLUMN protected BOOLEAN NOT NULL DEFAULT FALSE;

-- Sets that a draft takes partials from.
CREATE TABLE set_requirements (
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    dependency_id TEXT NOT NULL REFERENCES prompt_sets (id),
    requirement TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (set_id, dependency_id)
);
