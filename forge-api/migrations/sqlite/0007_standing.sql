-- The newest order to each target that is neither withdrawn nor overtaken by a newer one to the environment: what is read
-- for every heartbeat, of orders that only grow.
CREATE TABLE standing_orders (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    target_kind TEXT NOT NULL,
    target_name TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (environment_id, target_kind, target_name)
);
INSERT INTO standing_orders (environment_id, target_kind, target_name, number)
SELECT environment_id, target_kind, target_name, MAX(number) FROM mode_orders
GROUP BY environment_id, target_kind, target_name;
DELETE FROM standing_orders WHERE number < (
    SELECT MAX(wider.number) FROM mode_orders AS wider
    WHERE wider.environment_id = standing_orders.environment_id AND wider.target_kind = 'environment'
);

-- Whether what an agent announced is kept: not, where its environment has no room.
ALTER TABLE agents ADD COLUMN contracts_kept BOOLEAN NOT NULL DEFAULT TRUE;
