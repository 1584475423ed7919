-- The first layout. Ids are UUIDv7 texts, times are microseconds since 1970; both are made by us.

CREATE TABLE organisations (
    id TEXT NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    password_hash TEXT,
    disabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE memberships (
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'context_engineer', 'reviewer', 'viewer')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    token_hash TEXT NOT NULL UNIQUE,
    user_agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'context_engineer', 'reviewer', 'viewer')),
    token_hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX api_tokens_user ON api_tokens (user_id);

CREATE TABLE sign_in_links (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    token_hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

CREATE TABLE projects (
    id TEXT NOT NULL PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    publications BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (organisation_id, slug)
);

CREATE TABLE environments (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    takes_drafts BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (project_id, slug)
);

CREATE TABLE prompt_sets (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('editing', 'review', 'locked')),
    revision BIGINT NOT NULL,
    reviews BIGINT NOT NULL,
    snapshots BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    UNIQUE (project_id, slug)
);

CREATE TABLE prompts (
    id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    prompt_id TEXT NOT NULL,
    body TEXT NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    UNIQUE (set_id, prompt_id)
);

CREATE TABLE prompt_revisions (
    id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    prompt_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    body TEXT,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX prompt_revisions_prompt ON prompt_revisions (set_id, prompt_id, created_at);

CREATE TABLE partials (
    id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    revision BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    UNIQUE (set_id, name)
);

CREATE TABLE variable_sets (
    id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    prompt_id TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    UNIQUE (set_id, prompt_id, name)
);

CREATE TABLE versions (
    id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    version TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('locked', 'snapshot')),
    digest TEXT NOT NULL,
    body BYTEA NOT NULL,
    size BIGINT NOT NULL,
    prompts BIGINT NOT NULL,
    notes TEXT NOT NULL,
    author TEXT NOT NULL,
    approver TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (set_id, version)
);

CREATE TABLE aliases (
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    name TEXT NOT NULL,
    version_id TEXT NOT NULL REFERENCES versions (id),
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (set_id, name)
);

CREATE TABLE dependencies (
    version_id TEXT NOT NULL REFERENCES versions (id),
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    requirement TEXT NOT NULL,
    resolved_version_id TEXT NOT NULL REFERENCES versions (id),
    PRIMARY KEY (version_id, set_id)
);

CREATE TABLE reviews (
    id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    title TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'approved', 'returned', 'locked')),
    requested_by TEXT NOT NULL,
    requested_by_id TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    closed_at BIGINT,
    UNIQUE (set_id, number)
);

CREATE TABLE review_comments (
    id TEXT NOT NULL PRIMARY KEY,
    review_id TEXT NOT NULL REFERENCES reviews (id),
    prompt_id TEXT,
    line BIGINT,
    body TEXT NOT NULL,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX review_comments_review ON review_comments (review_id, created_at);

CREATE TABLE approvals (
    id TEXT NOT NULL PRIMARY KEY,
    review_id TEXT NOT NULL REFERENCES reviews (id),
    digest TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('approved', 'returned')),
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL
);
CREATE INDEX approvals_review ON approvals (review_id, created_at);

CREATE TABLE publications (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    environment_id TEXT NOT NULL REFERENCES environments (id),
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    version_id TEXT NOT NULL REFERENCES versions (id),
    number BIGINT NOT NULL,
    serial BIGINT NOT NULL,
    rollback BOOLEAN NOT NULL,
    certificate TEXT NOT NULL,
    attestation TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'superseded', 'failed')),
    error TEXT,
    stream_sequence BIGINT,
    comment TEXT NOT NULL,
    published_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    UNIQUE (project_id, number),
    UNIQUE (environment_id, set_id, serial)
);

CREATE TABLE heads (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    serial BIGINT NOT NULL,
    publication_id TEXT REFERENCES publications (id),
    PRIMARY KEY (environment_id, set_id)
);

CREATE TABLE outbox (
    publication_id TEXT NOT NULL PRIMARY KEY REFERENCES publications (id),
    created_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT NOT NULL,
    last_error TEXT
);
CREATE INDEX outbox_due ON outbox (not_before);

CREATE TABLE credentials (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    environment_id TEXT NOT NULL REFERENCES environments (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('agent', 'inspect')),
    public_key TEXT NOT NULL UNIQUE,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    revoked_by TEXT,
    last_seen_at BIGINT
);
CREATE INDEX credentials_project ON credentials (project_id, created_at);

CREATE TABLE agents (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    name TEXT NOT NULL,
    identity TEXT NOT NULL,
    host TEXT NOT NULL,
    service TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    mode TEXT NOT NULL,
    stale BOOLEAN NOT NULL,
    stream_floor BIGINT NOT NULL,
    cache TEXT NOT NULL,
    status TEXT NOT NULL,
    consumer TEXT,
    started_at BIGINT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    disconnected_at BIGINT,
    PRIMARY KEY (environment_id, name)
);

CREATE TABLE acknowledgements (
    publication_id TEXT NOT NULL REFERENCES publications (id),
    agent TEXT NOT NULL,
    state TEXT NOT NULL,
    reason_code TEXT,
    reason TEXT,
    activated_at BIGINT,
    answered_at BIGINT NOT NULL,
    PRIMARY KEY (publication_id, agent)
);

CREATE TABLE audit_tips (
    organisation_id TEXT NOT NULL PRIMARY KEY REFERENCES organisations (id),
    sequence BIGINT NOT NULL,
    hash TEXT NOT NULL
);

CREATE TABLE audit_log (
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (organisation_id, sequence)
);

CREATE TABLE keys (
    name TEXT NOT NULL PRIMARY KEY,
    public_key TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- The audit log only grows, and a version never changes.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END;
$$;
CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER versions_no_change BEFORE UPDATE OR DELETE ON versions
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER versions_no_truncate BEFORE TRUNCATE ON versions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
