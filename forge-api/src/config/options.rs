//! Every option of `forge`, from which the flags, `forge config --table` and the check of the documentation are made.

use super::people;

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name of the flag, and of the line in the file.
    pub key: &'static str,
    pub variable: &'static str,
    /// What it is when nobody says anything; empty: unset.
    pub default: &'static str,
    pub help: &'static str,
}

pub(super) const fn setting(
    key: &'static str,
    variable: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { key, variable, default, help }
}

impl Setting {
    /// Whether it is true or false: the flag alone then says true.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.default == "false"
    }
}

/// Every option of `forge`.
pub const OPTIONS: &[Setting] = &[
    setting("config", "FORGE_CONFIG", "", "file with lines `key = value`, keys as the flags"),
    setting(
        "listen",
        "FORGE_LISTEN",
        "127.0.0.1:7450",
        "address and port to serve on; port 0 takes a free one",
    ),
    setting(
        "public-url",
        "FORGE_PUBLIC_URL",
        "",
        "address under which people reach FORGE; default: the address served on",
    ),
    setting(
        "tls",
        "FORGE_TLS",
        "off",
        "auto: serve https with a certificate of FORGE's own authority; off: http, unless tls-cert is given",
    ),
    setting(
        "tls-cert",
        "FORGE_TLS_CERT",
        "",
        "certificate chain (PEM) to serve https with; read again when it changes",
    ),
    setting("tls-key", "FORGE_TLS_KEY", "", "private key (PEM) of tls-cert"),
    setting(
        "tls-names",
        "FORGE_TLS_NAMES",
        "",
        "more names and addresses for certificates of FORGE's own authority, separated by commas",
    ),
    setting(
        "allow-plain-http",
        "FORGE_ALLOW_PLAIN_HTTP",
        "false",
        "serve http beyond this machine: only behind a proxy that speaks https",
    ),
    setting(
        "data-dir",
        "FORGE_DATA_DIR",
        "data",
        "folder of the SQLite file, the master key and the embedded broker",
    ),
    setting(
        "database-url",
        "FORGE_DATABASE_URL",
        "",
        "sqlite://<file> or postgres://…; default: forge.db in the data directory",
    ),
    setting(
        "database-password-file",
        "FORGE_DATABASE_PASSWORD_FILE",
        "",
        "file with the password for postgres",
    ),
    setting("master-key", "FORGE_MASTER_KEY", "", "key that seals private keys: 32 bytes in base64"),
    setting(
        "master-key-file",
        "FORGE_MASTER_KEY_FILE",
        "",
        "file with the master key; default: master.key in the data directory, made at the first start",
    ),
    setting(
        "nats-url",
        "FORGE_NATS_URL",
        "",
        "addresses of an external broker, separated by commas; default: an embedded one",
    ),
    setting(
        "agent-nats-url",
        "FORGE_AGENT_NATS_URL",
        "",
        "addresses that agents get to connect to; default: those of FORGE",
    ),
    setting(
        "nats-listen",
        "FORGE_NATS_LISTEN",
        "",
        "address and port of the embedded broker, port 0 for one that FORGE chooses; default: the loopback interface",
    ),
    setting(
        "nats-tls",
        "FORGE_NATS_TLS",
        "off",
        "auto: the embedded broker speaks TLS with a certificate of FORGE's own authority",
    ),
    setting(
        "nats-tls-cert",
        "FORGE_NATS_TLS_CERT",
        "",
        "certificate chain (PEM) for the embedded broker instead",
    ),
    setting("nats-tls-key", "FORGE_NATS_TLS_KEY", "", "private key (PEM) of nats-tls-cert"),
    setting(
        "nats-ca",
        "FORGE_NATS_CA",
        "",
        "authority (PEM) that signs the broker's certificate, for FORGE and agents; default: those of the system",
    ),
    setting(
        "nats-pins",
        "FORGE_NATS_PINS",
        "",
        "keys that the broker's certificate may bear, sha256/<base64>, separated by commas; default: any",
    ),
    setting(
        "allow-plain-nats",
        "FORGE_ALLOW_PLAIN_NATS",
        "false",
        "let a broker beyond this machine go without TLS; each agent has to allow it too",
    ),
    setting(
        "nats-server",
        "FORGE_NATS_SERVER",
        "",
        "nats-server to embed; default: from the PATH, or installed into the tools directory",
    ),
    setting("nats-replicas", "FORGE_NATS_REPLICAS", "1", "copies of each stream; 3 in a cluster"),
    setting(
        "tools-dir",
        "FORGE_TOOLS_DIR",
        ".tools",
        "folder into which nats-server is installed where there is none",
    ),
    setting(
        "heartbeat-ms",
        "FORGE_HEARTBEAT_MS",
        "10000",
        "time between two signed heartbeats, in milliseconds",
    ),
    setting("status-ms", "FORGE_STATUS_MS", "12000", "how often an agent sends its status, in milliseconds"),
    setting(
        "max-agents",
        "FORGE_MAX_AGENTS",
        "10000",
        "agents that one environment lists; a new one takes the place of one not heard for a day, or is not listed",
    ),
    setting(
        "session-hours",
        "FORGE_SESSION_HOURS",
        "336",
        "a browser's session ends after so many hours of silence",
    ),
    setting(
        "session-max-days",
        "FORGE_SESSION_MAX_DAYS",
        "30",
        "a browser's session ends after so many days, however much it is used",
    ),
    setting(
        "sign-in-per-minute",
        "FORGE_SIGN_IN_PER_MINUTE",
        "20",
        "attempts to sign in, per address and minute; a quarter of it per account; per account from unknown browsers as many an hour",
    ),
    setting(
        "requests-per-second",
        "FORGE_REQUESTS_PER_SECOND",
        "100",
        "requests per user, per token and per address and second, in bursts of four times as many; all who share an address have four times as much",
    ),
    setting(
        "organisations",
        "FORGE_ORGANISATIONS",
        "owners",
        "who makes organisations, besides the console: owners (of one already), anyone, or console (nobody else)",
    ),
    people::OPTIONS[0],
    people::OPTIONS[1],
    people::OPTIONS[2],
    people::OPTIONS[3],
    people::OPTIONS[4],
    people::OPTIONS[5],
    people::OPTIONS[6],
    people::OPTIONS[7],
    people::OPTIONS[8],
    people::OPTIONS[9],
    setting(
        "models-file",
        "FORGE_MODELS_FILE",
        "",
        "file (TOML) that names the model endpoints of the playground; default: prompts are rendered, and not run",
    ),
    setting(
        "trusted-proxies",
        "FORGE_TRUSTED_PROXIES",
        "",
        "addresses or networks of reverse proxies, separated by commas: from them X-Forwarded-For is believed",
    ),
    setting(
        "webhook-private-addresses",
        "FORGE_WEBHOOK_PRIVATE_ADDRESSES",
        "false",
        "let webhooks go to private addresses, this machine's too, and over http",
    ),
    setting(
        "webhook-retry-ms",
        "FORGE_WEBHOOK_RETRY_MS",
        "5000",
        "pause before a webhook is tried again, in milliseconds; each further one is four times as long, up to 4 hours",
    ),
    setting(
        "log",
        "FORGE_LOG",
        "info,async_nats=warn",
        "what is logged: error, warn, info, debug, or a filter by module",
    ),
    setting("log-format", "FORGE_LOG_FORMAT", "text", "text or json"),
];

/// [`OPTIONS`] as the table of the documentation.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| flag | variable | default | what |\n|---|---|---|---|\n");
    for o in OPTIONS {
        let default = if o.default.is_empty() { String::new() } else { format!("`{}`", o.default) };
        out.push_str(&format!("| `--{}` | `{}` | {default} | {} |\n", o.key, o.variable, o.help));
    }
    out
}
