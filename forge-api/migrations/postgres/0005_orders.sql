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
CREATE TRIGGER mode_orders_no_change BEFORE UPDATE OR DELETE ON mode_orders
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER mode_orders_no_truncate BEFORE TRUNCATE ON mode_orders
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who set an agent's mode, and what it answered to the newest order to it.
ALTER TABLE agents ADD COLUMN mode_by TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE agents ADD COLUMN order_number BIGINT;
ALTER TABLE agents ADD COLUMN order_result TEXT;
