-- A variable set is saved against the revision one started from, as a prompt is.
ALTER TABLE variable_sets ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
