-- What can be found: one row for each project, set, prompt and partial. The words stand beside it as forge split them;
-- the database splits nothing.
CREATE TABLE search_entries (
    number BIGINT NOT NULL,
    kind TEXT NOT NULL,
    row_id TEXT NOT NULL PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    set_id TEXT,
    names TSVECTOR NOT NULL,
    words TSVECTOR NOT NULL
);
CREATE INDEX search_entries_newest ON search_entries (organisation_id, number);
CREATE INDEX search_entries_project ON search_entries (project_id, number);
CREATE INDEX search_entries_set ON search_entries (set_id, number);
-- What was written last is searched one by one until it is merged: let that be little.
CREATE INDEX search_entries_names ON search_entries USING GIN (names) WITH (gin_pending_list_limit = 256);
CREATE INDEX search_entries_words ON search_entries USING GIN (words) WITH (gin_pending_list_limit = 256);

-- Rows whose words are to be taken up before the transaction that wrote them ends: empty but for that moment.
CREATE TABLE search_stale (kind TEXT NOT NULL, row_id TEXT NOT NULL);
CREATE INDEX search_stale_row ON search_stale (row_id);

CREATE FUNCTION search_mark() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO search_stale (kind, row_id) VALUES (TG_ARGV[0], OLD.id);
    ELSE
        INSERT INTO search_stale (kind, row_id) VALUES (TG_ARGV[0], NEW.id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER search_project AFTER INSERT OR DELETE OR UPDATE OF slug, name, description ON projects
FOR EACH ROW EXECUTE FUNCTION search_mark('project');
CREATE TRIGGER search_set AFTER INSERT OR DELETE OR UPDATE OF slug, name, description, tags ON prompt_sets
FOR EACH ROW EXECUTE FUNCTION search_mark('set');
CREATE TRIGGER search_prompt AFTER INSERT OR DELETE OR UPDATE OF set_id, prompt_id, body ON prompts
FOR EACH ROW EXECUTE FUNCTION search_mark('prompt');
CREATE TRIGGER search_partial AFTER INSERT OR DELETE OR UPDATE OF set_id, name, source ON partials
FOR EACH ROW EXECUTE FUNCTION search_mark('partial');

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
