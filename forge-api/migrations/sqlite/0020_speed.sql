-- From a project's publications to what is live of them, from a set to its publications, and to its newest version
-- without reading past the bodies of all.
CREATE INDEX heads_publication ON heads (publication_id);
CREATE INDEX publications_set ON publications (set_id, number);
CREATE INDEX versions_newest ON versions (set_id, kind, id, created_at);
