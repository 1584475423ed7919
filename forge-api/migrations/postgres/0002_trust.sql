-- Keys come and go: what was ever trusted is remembered, and what agents are told of it.

CREATE TABLE signing_keys (
    public_key TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('root', 'publishing')),
    project_id TEXT REFERENCES projects (id),
    state TEXT NOT NULL CHECK (state IN ('active', 'retired', 'revoked')),
    created_at BIGINT NOT NULL,
    retired_at BIGINT,
    revoked_at BIGINT,
    reason TEXT
);
CREATE INDEX signing_keys_project ON signing_keys (project_id, created_at);

INSERT INTO signing_keys (public_key, kind, state, created_at)
    SELECT public_key, 'root', 'active', created_at FROM keys WHERE name = 'installation/root';
INSERT INTO signing_keys (public_key, kind, project_id, state, created_at)
    SELECT keys.public_key, 'publishing', projects.id, 'active', keys.created_at
    FROM keys JOIN projects ON keys.name = 'project/' || projects.id || '/publishing';

CREATE TABLE trust_lists (
    project_id TEXT NOT NULL REFERENCES projects (id),
    version BIGINT NOT NULL,
    line TEXT NOT NULL,
    -- It changed the roots: agents that slept need it to follow.
    link BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, version)
);

ALTER TABLE publications ADD COLUMN trust TEXT;

ALTER TABLE projects ADD COLUMN max_age_seconds BIGINT;
ALTER TABLE projects ADD COLUMN max_age_action TEXT CHECK (max_age_action IN ('serve', 'warn', 'refuse'));
