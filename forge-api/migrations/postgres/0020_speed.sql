-- The index stands in blocks of entries, by their numbers: one holds those from its first number up to the first of the
-- next one, about 4,096 when it is closed. Each word is kept behind the number of its entry's block, so that the newest
-- blocks are asked first and the others only where these do not fill a page: a frequent word ends there, wherever it
-- stands. `12.word` is a word of an entry in block 12, `12-word` one of its name or tags, `12_o…` whose, where and of
-- which kind it is.
DROP TABLE search_entries;
CREATE TABLE search_entries (
    number BIGINT NOT NULL,
    kind TEXT NOT NULL,
    row_id TEXT NOT NULL PRIMARY KEY,
    organisation_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    set_id TEXT,
    block BIGINT NOT NULL,
    words TSVECTOR NOT NULL
);
-- The index alone is asked for words: they need not be small, nor read with their entry.
ALTER TABLE search_entries ALTER COLUMN words SET STORAGE EXTERNAL;
-- What was written last is searched one by one until it is merged: let that be little.
CREATE INDEX search_entries_words ON search_entries USING GIN (words) WITH (gin_pending_list_limit = 256);

-- Block 0 is always there: who writes entries holds its row.
CREATE TABLE search_blocks (
    block BIGINT NOT NULL PRIMARY KEY,
    first BIGINT NOT NULL UNIQUE,
    last BIGINT NOT NULL,
    entries BIGINT NOT NULL
);
INSERT INTO search_blocks (block, first, last, entries)
VALUES (0, '-9223372036854775808', '-9223372036854775808', 0);

-- The newest entries below a number that fit, at most so many. In what is asked, # stands for a block. Blocks with few
-- entries are asked together.
CREATE FUNCTION search_found(asked TEXT, below BIGINT, wanted BIGINT)
RETURNS TABLE (number BIGINT, kind TEXT, row_id TEXT, organisation_id TEXT, project_id TEXT, set_id TEXT)
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    one RECORD;
    part TEXT := '';
    size BIGINT := 0;
    blocks INT := 0;
    missing BIGINT := wanted;
    found_now BIGINT;
BEGIN
    FOR one IN
        SELECT b.block, b.entries FROM search_blocks b WHERE b.first < below ORDER BY b.block DESC
    LOOP
        part := part || CASE WHEN blocks = 0 THEN '' ELSE ' | ' END
            || '(' || replace(asked, '#', one.block::TEXT) || ')';
        size := size + one.entries;
        blocks := blocks + 1;
        IF size >= 4096 OR blocks >= 16 OR one.block = 0 THEN
            RETURN QUERY
                SELECT e.number, e.kind, e.row_id, e.organisation_id, e.project_id, e.set_id
                FROM search_entries e
                WHERE e.words @@ part::TSQUERY AND e.number < below
                ORDER BY e.number DESC LIMIT missing;
            GET DIAGNOSTICS found_now = ROW_COUNT;
            missing := missing - found_now;
            EXIT WHEN missing <= 0;
            part := '';
            size := 0;
            blocks := 0;
        END IF;
    END LOOP;
END
$$;

-- What is there already is taken up anew with the migration.
DELETE FROM search_stale;
INSERT INTO search_stale (kind, row_id) SELECT 'project', id FROM projects;
INSERT INTO search_stale (kind, row_id) SELECT 'set', id FROM prompt_sets;
INSERT INTO search_stale (kind, row_id) SELECT 'partial', id FROM partials;
INSERT INTO search_stale (kind, row_id) SELECT 'prompt', id FROM prompts;
INSERT INTO search_stale (kind, row_id) SELECT kind, id FROM archived_prompts;

CREATE INDEX heads_publication ON heads (publication_id);
CREATE INDEX publications_set ON publications (set_id, number);
CREATE INDEX versions_newest ON versions (set_id, kind, id, created_at);
