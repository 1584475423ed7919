-- Archives of whole projects that were read and wait for somebody to say that they are imported; none stays for long.
CREATE TABLE project_imports (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX project_imports_of_project ON project_imports (project_id, id);

-- Versions that were locked elsewhere: where that was, who approved them there, and who brought them.
CREATE TABLE version_origins (
    version_id TEXT NOT NULL PRIMARY KEY REFERENCES versions (id),
    organisation TEXT NOT NULL,
    project TEXT NOT NULL,
    prompt_set TEXT NOT NULL,
    digest TEXT NOT NULL,
    approver TEXT,
    imported_by TEXT NOT NULL,
    imported_at BIGINT NOT NULL
);

-- Revisions of prompts and partials that were saved elsewhere, and who brought them.
CREATE TABLE revision_origins (
    revision_id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    imported_by TEXT NOT NULL,
    imported_at BIGINT NOT NULL
);
CREATE INDEX revision_origins_of_set ON revision_origins (set_id, imported_at);
