-- Orders to agents: take up what is published, or do not. They only grow; agents are told those that stand.
CREATE TABLE mode_orders (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    number BIGINT NOT NULL,
    target_kind TEXT NOT NULL CHECK (target_kind IN ('agent', 'service', 'environment')),
    -- Empty for the environment.
    target_name TEXT NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('ACCEPTING', 'FROZEN')),
    given_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    given_at BIGINT NOT NULL,
    PRIMARY KEY (environment_id, number)
);
CREATE INDEX mode_orders_target ON mode_orders (environment_id, target_kind, target_name, number);
CREATE INDEX mode_orders_number ON mode_orders (number);
CREATE TRIGGER mode_orders_no_update BEFORE UPDATE ON mode_orders
BEGIN SELECT RAISE(ABORT, 'mode_orders is append-only'); END;
CREATE TRIGGER mode_orders_no_delete BEFORE DELETE ON mode_orders
BEGIN SELECT RAISE(ABORT, 'mode_orders is append-only'); END;
-- INSERT OR REPLACE deletes without a word to the trigger above.
CREATE TRIGGER mode_orders_no_replace BEFORE INSERT ON mode_orders
BEGIN
    SELECT RAISE(ABORT, 'mode_orders is append-only')
    WHERE EXISTS (
        SELECT 1 FROM mode_orders WHERE environment_id = NEW.environment_id AND number >= NEW.number
    );
END;

-- Who set an agent's mode, and what it answered to the newest order to it.
ALTER TABLE agents ADD COLUMN mode_by TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE agents ADD COLUMN order_number BIGINT;
ALTER TABLE agents ADD COLUMN order_result TEXT;
