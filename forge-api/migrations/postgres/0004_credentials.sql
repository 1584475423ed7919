-- What a credential is for, and who used it last.
ALTER TABLE credentials ADD COLUMN purpose TEXT NOT NULL DEFAULT '';
ALTER TABLE credentials ADD COLUMN last_seen_agent TEXT;
ALTER TABLE credentials ADD COLUMN last_seen_address TEXT;
