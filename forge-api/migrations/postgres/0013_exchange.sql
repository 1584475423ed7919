-- Files that were read and wait for somebody to say that they are imported; none stays for long.
CREATE TABLE imports (
    id TEXT NOT NULL PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    name TEXT NOT NULL,
    format TEXT NOT NULL,
    body BYTEA NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX imports_of_set ON imports (set_id, id);
