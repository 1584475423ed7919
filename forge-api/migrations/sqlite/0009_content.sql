-- What people note on a prompt; it stands in no bundle. The prompt is named by its row, which a rename keeps.
CREATE TABLE prompt_notes (
    prompt_row TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    body TEXT NOT NULL,
    revision BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);

-- Where a prompt or a partial stood before it was renamed.
CREATE TABLE prompt_redirects (
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    kind TEXT NOT NULL,
    old_id TEXT NOT NULL,
    prompt_row TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (set_id, kind, old_id)
);

-- Prompts and partials that were taken out of a draft. Nothing is destroyed.
CREATE TABLE archived_prompts (
    id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    archived_at BIGINT NOT NULL,
    archived_by TEXT NOT NULL
);
CREATE INDEX archived_prompts_name ON archived_prompts (set_id, kind, name, archived_at);

ALTER TABLE prompt_sets ADD COLUMN tags TEXT NOT NULL DEFAULT '';
ALTER TABLE prompt_sets ADD COLUMN archived_at BIGINT;
ALTER TABLE projects ADD COLUMN archived_at BIGINT;
