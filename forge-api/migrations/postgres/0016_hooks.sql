-- What webhooks were told of agents, each once: a publication that one refused, by its id, or `stale`. Who tells it
-- takes it under a token of its own; what ended may be told again.
CREATE TABLE agent_told (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    agent TEXT NOT NULL,
    what TEXT NOT NULL,
    token TEXT NOT NULL,
    told_at BIGINT NOT NULL,
    ended BOOLEAN NOT NULL,
    PRIMARY KEY (environment_id, agent, what)
);
CREATE INDEX agent_told_token ON agent_told (token);

-- Why the mail of an invitation was not sent yet, or never.
ALTER TABLE invitations ADD COLUMN mail_error TEXT;

-- The projects that an API token reaches, by name, with spaces between; none: all that its owner reaches.
ALTER TABLE api_tokens ADD COLUMN projects TEXT;
