-- What can be found: one row for each project, set, prompt and partial. The words stand in the index beside it, under the
-- same number, as forge split them; the database splits nothing.
CREATE TABLE search_entries (
    number INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    row_id TEXT NOT NULL UNIQUE,
    organisation_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    set_id TEXT
);
CREATE VIRTUAL TABLE search_index USING fts5 (
    names, words, facets,
    content = '', contentless_delete = 1, detail = column, prefix = '2 3 4 5', tokenize = 'ascii'
);

-- Rows whose words are to be taken up before the transaction that wrote them ends: empty but for that moment.
CREATE TABLE search_stale (kind TEXT NOT NULL, row_id TEXT NOT NULL);
CREATE INDEX search_stale_row ON search_stale (row_id);

CREATE TRIGGER search_project_new AFTER INSERT ON projects
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('project', NEW.id); END;
CREATE TRIGGER search_project AFTER UPDATE OF slug, name, description ON projects
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('project', NEW.id); END;
CREATE TRIGGER search_project_gone AFTER DELETE ON projects
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('project', OLD.id); END;

CREATE TRIGGER search_set_new AFTER INSERT ON prompt_sets
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('set', NEW.id); END;
CREATE TRIGGER search_set AFTER UPDATE OF slug, name, description, tags ON prompt_sets
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('set', NEW.id); END;
CREATE TRIGGER search_set_gone AFTER DELETE ON prompt_sets
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('set', OLD.id); END;

CREATE TRIGGER search_prompt_new AFTER INSERT ON prompts
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('prompt', NEW.id); END;
CREATE TRIGGER search_prompt AFTER UPDATE OF set_id, prompt_id, body ON prompts
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('prompt', NEW.id); END;
CREATE TRIGGER search_prompt_gone AFTER DELETE ON prompts
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('prompt', OLD.id); END;

CREATE TRIGGER search_partial_new AFTER INSERT ON partials
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('partial', NEW.id); END;
CREATE TRIGGER search_partial AFTER UPDATE OF set_id, name, source ON partials
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('partial', NEW.id); END;
CREATE TRIGGER search_partial_gone AFTER DELETE ON partials
BEGIN INSERT INTO search_stale (kind, row_id) VALUES ('partial', OLD.id); END;

-- What is there already is taken up with the migration.
INSERT INTO search_stale (kind, row_id) SELECT 'project', id FROM projects;
INSERT INTO search_stale (kind, row_id) SELECT 'set', id FROM prompt_sets;
INSERT INTO search_stale (kind, row_id) SELECT 'partial', id FROM partials;
INSERT INTO search_stale (kind, row_id) SELECT 'prompt', id FROM prompts;
INSERT INTO search_stale (kind, row_id) SELECT kind, id FROM archived_prompts;

-- What somebody starred, and what they opened last.
CREATE TABLE favourites (
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    row_id TEXT NOT NULL,
    organisation_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, row_id)
);
CREATE TABLE visits (
    user_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    row_id TEXT NOT NULL,
    organisation_id TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, row_id)
);
CREATE INDEX visits_newest ON visits (user_id, organisation_id, seen_at);
