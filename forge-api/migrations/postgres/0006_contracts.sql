-- What the programs of agents were built for, each once, and which agent announced it.
CREATE TABLE contracts (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    digest TEXT NOT NULL,
    set_slug TEXT NOT NULL,
    version TEXT NOT NULL,
    body TEXT NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (environment_id, digest)
);
CREATE TABLE agent_contracts (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    agent TEXT NOT NULL,
    digest TEXT NOT NULL,
    set_slug TEXT NOT NULL,
    announced_at BIGINT NOT NULL,
    PRIMARY KEY (environment_id, agent, digest)
);
CREATE INDEX agent_contracts_set ON agent_contracts (environment_id, set_slug);

-- Whom a publication breaks, and was published all the same: JSON, none where nobody.
ALTER TABLE publications ADD COLUMN overridden TEXT;

-- Use of prompts by the hour: what all agents of an environment did in it.
CREATE TABLE usage_hours (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    set_id TEXT NOT NULL REFERENCES prompt_sets (id),
    hour BIGINT NOT NULL,
    version_id TEXT NOT NULL REFERENCES versions (id),
    prompt TEXT NOT NULL,
    renders BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    render_p50_ns BIGINT NOT NULL,
    render_p99_ns BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    call_errors BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (environment_id, set_id, hour, version_id, prompt)
);
CREATE INDEX usage_hours_hour ON usage_hours (hour, environment_id);

-- What each agent said last of its use since its start: what it says next counts from there.
CREATE TABLE usage_lives (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    agent TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    heard_at BIGINT NOT NULL,
    prompts BIGINT NOT NULL,
    PRIMARY KEY (environment_id, agent, started_at)
);
CREATE TABLE usage_seen (
    environment_id TEXT NOT NULL REFERENCES environments (id),
    agent TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    version_id TEXT NOT NULL,
    prompt TEXT NOT NULL,
    renders BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    call_errors BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    latency_us BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (environment_id, agent, started_at, version_id, prompt)
);
