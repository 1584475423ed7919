-- Who comes in: invitations, rights in one project, identities of a provider, mail.

-- When the user showed that the address is theirs: by a mailed link, by a provider's word, or because the operator said so.
ALTER TABLE users ADD COLUMN proven_at BIGINT;
UPDATE users SET proven_at = created_at;
ALTER TABLE sign_in_links ADD COLUMN mailed BOOLEAN NOT NULL DEFAULT FALSE;

-- What somebody may do in one project, whatever they are in its organisation. An owner owns the whole organisation.
CREATE TABLE project_grants (
    project_id TEXT NOT NULL REFERENCES projects (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    role TEXT NOT NULL CHECK (role IN ('admin', 'context_engineer', 'reviewer', 'viewer')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (project_id, user_id)
);
CREATE INDEX project_grants_user ON project_grants (user_id);

-- The link of an invitation is good once. Without a role it makes nobody a member: a guest of some projects.
CREATE TABLE invitations (
    id TEXT NOT NULL PRIMARY KEY,
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    email TEXT NOT NULL,
    role TEXT CHECK (role IN ('owner', 'admin', 'context_engineer', 'reviewer', 'viewer')),
    token_hash TEXT NOT NULL UNIQUE,
    invited_by TEXT NOT NULL,
    invited_by_id TEXT NOT NULL,
    -- none, waiting, sent or failed
    mail TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    -- accepted, withdrawn or replaced
    outcome TEXT
);
CREATE INDEX invitations_organisation ON invitations (organisation_id, ended_at);

CREATE TABLE invitation_grants (
    invitation_id TEXT NOT NULL REFERENCES invitations (id),
    project_id TEXT NOT NULL REFERENCES projects (id),
    role TEXT NOT NULL CHECK (role IN ('admin', 'context_engineer', 'reviewer', 'viewer')),
    PRIMARY KEY (invitation_id, project_id)
);

-- Who asked for a sign-in link that could not be mailed: the last time.
CREATE TABLE link_requests (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id),
    asked_at BIGINT NOT NULL,
    address TEXT NOT NULL
);

-- A user as a provider of OpenID Connect knows them.
CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX identities_user ON identities (user_id);

-- Mail that waits to be sent. The text holds a link: it is sealed under the master key.
CREATE TABLE mails (
    id TEXT NOT NULL PRIMARY KEY,
    invitation_id TEXT REFERENCES invitations (id),
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    sealed BLOB NOT NULL,
    attempts BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    give_up_at BIGINT NOT NULL
);
CREATE INDEX mails_due ON mails (due_at);
