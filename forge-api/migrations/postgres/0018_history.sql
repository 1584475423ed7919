-- What a prompt or a partial was called before the change that gave it this name.
ALTER TABLE prompt_revisions ADD COLUMN renamed_from TEXT;
ALTER TABLE partial_revisions ADD COLUMN renamed_from TEXT;
UPDATE prompt_revisions SET renamed_from = substr(message, 14)
WHERE message LIKE 'renamed from %' AND EXISTS (
    SELECT 1 FROM prompt_revisions AS gone
    WHERE gone.set_id = prompt_revisions.set_id AND gone.prompt_id = substr(prompt_revisions.message, 14)
        AND gone.body IS NULL AND gone.author = prompt_revisions.author AND gone.id < prompt_revisions.id
        AND gone.message = 'renamed to ' || prompt_revisions.prompt_id
);
UPDATE partial_revisions SET renamed_from = substr(message, 14)
WHERE message LIKE 'renamed from %' AND EXISTS (
    SELECT 1 FROM partial_revisions AS gone
    WHERE gone.set_id = partial_revisions.set_id AND gone.name = substr(partial_revisions.message, 14)
        AND gone.source IS NULL AND gone.author = partial_revisions.author AND gone.id < partial_revisions.id
        AND gone.message = 'renamed to ' || partial_revisions.name
);
CREATE INDEX prompt_revisions_renamed ON prompt_revisions (set_id, prompt_id, id) WHERE renamed_from IS NOT NULL;
CREATE INDEX partial_revisions_renamed ON partial_revisions (set_id, name, id) WHERE renamed_from IS NOT NULL;
-- The states of a set, by the time of each save.
CREATE INDEX prompt_revisions_time ON prompt_revisions (set_id, created_at, id);
CREATE INDEX partial_revisions_time ON partial_revisions (set_id, created_at, id);

-- A comment may answer another one, and is settled or not.
ALTER TABLE review_comments ADD COLUMN author_id TEXT NOT NULL DEFAULT '';
ALTER TABLE review_comments ADD COLUMN answers TEXT;
ALTER TABLE review_comments ADD COLUMN settled_at BIGINT;
ALTER TABLE review_comments ADD COLUMN settled_by TEXT;

-- What somebody ticked as seen: exactly this content of a prompt or a partial, in whichever review.
CREATE TABLE review_seen (
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    user_id TEXT NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (set_id, user_id, kind, name, digest)
);

-- The reviews of one person, closed ones too.
CREATE INDEX review_reviewers_user ON review_reviewers (user_id, review_id);
CREATE INDEX approvals_user ON approvals (user_id, review_id);
CREATE INDEX reviews_requested ON reviews (requested_by_id, id);
