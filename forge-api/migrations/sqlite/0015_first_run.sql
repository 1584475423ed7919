-- What somebody does not want to be shown again in an organisation, such as the first steps.
CREATE TABLE dismissals (
    organisation_id TEXT NOT NULL REFERENCES organisations (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    what TEXT NOT NULL,
    dismissed_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, user_id, what)
);

-- Dashboards count the answers to a publication by what they say.
CREATE INDEX acknowledgements_state ON acknowledgements (publication_id, state);
