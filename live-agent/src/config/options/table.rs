//! Every setting there is.

use super::Kind::{Addresses, Bound, Duration, Mode, Number, OneOf, Part, Path, Pins, Switch, Text, Words};
use super::{Kind, Place, Setting};

const fn setting(
    key: &'static str,
    variable: &'static str,
    flag: &'static str,
    kind: Kind,
    default: &'static str,
    what: &'static str,
) -> Setting {
    Setting {
        key,
        variable,
        flag,
        kind,
        place: Place::Agent,
        default,
        otherwise: "",
        staging: "",
        prod: "",
        what,
    }
}

/// Every setting, in the order in which people think of them.
pub const OPTIONS: &[Setting] = &[
    setting("config", "LIVE_CONFIG", "config", Path, "", "the file with these settings")
        .otherwise("`<profile>.toml` in the configuration directory, if there is one")
        .at(Place::BeforeFile),
    setting("profile", "LIVE_PROFILE", "profile", Text, "default", "which of several connections to use")
        .at(Place::BeforeFile),
    setting("config_dir", "LIVE_CONFIG_DIR", "config-dir", Path, "", "where profiles are kept")
        .otherwise("`anvil-live` below the user's configuration")
        .at(Place::BeforeFile),
    setting("connection", "LIVE_CONNECTION", "connection", Path, "", "the `.connect.json` file")
        .otherwise("the profile's"),
    setting("credentials", "LIVE_CREDENTIALS", "credentials", Path, "", "the `.creds` file; secret")
        .otherwise("the profile's"),
    setting(
        "allow_plain",
        "LIVE_ALLOW_PLAIN",
        "allow-plain",
        Switch,
        "false",
        "lets a broker beyond this machine go without TLS",
    ),
    setting("cache_dir", "LIVE_CACHE_DIR", "cache-dir", Path, "", "the folder of the disk cache")
        .otherwise("one per scope below the user's cache"),
    setting(
        "memory_only",
        "LIVE_MEMORY_ONLY",
        "memory-only",
        Switch,
        "false",
        "keeps nothing on disk: each start is the first one",
    ),
    setting(
        "baked",
        "LIVE_BAKED",
        "baked",
        Path,
        "",
        "a file of `live bundle pull`, to start from where there is no cache",
    ),
    setting("name", "LIVE_NAME", "name", Text, "", "the agent's name, a slug")
        .otherwise("the host's name and a part of the identity"),
    setting("service", "LIVE_SERVICE", "service", Text, "", "the service that the agent lives in, for people and for orders; 200 characters at most"),
    setting(
        "preset",
        "LIVE_PRESET",
        "preset",
        OneOf(&["dev", "staging", "prod"]),
        "",
        "settings that go together; each one that is said by itself counts before them",
    ),
    setting(
        "mode",
        "LIVE_MODE",
        "mode-default",
        OneOf(&["accepting", "frozen"]),
        "accepting",
        "the mode of a first start; later ones keep the mode that was set last",
    ),
    setting(
        "remote_mode",
        "LIVE_REMOTE_MODE",
        "remote-mode",
        Switch,
        "true",
        "whether FORGE may set the mode",
    )
    .presets("", "false"),
    setting(
        "pins",
        "LIVE_PINS",
        "pins",
        Pins,
        "",
        "versions of each set that are taken up, such as `support==2.1.0,billing=^2`; in the file a table `[pins]`",
    )
    .otherwise("every version"),
    setting(
        "start",
        "LIVE_START",
        "start",
        OneOf(&["serve", "fresh", "age"]),
        "serve",
        "what a start waits for: `serve` what is there; `fresh`: until FORGE confirms that nothing is missing; `age`: what FORGE confirmed within start_age",
    ),
    setting(
        "start_wait",
        "LIVE_START_WAIT",
        "start-wait",
        Duration,
        "30s",
        "how long a start waits for `fresh` or `age` before it fails",
    ),
    setting("start_age", "LIVE_START_AGE", "start-age", Duration, "1d", "the oldest that `age` starts with"),
    setting(
        "max_age",
        "LIVE_MAX_AGE",
        "max-age",
        Bound,
        "none",
        "the agent's own bound for content that was not confirmed for long; of it and the project's the stricter holds",
    )
    .presets("7d", "1d"),
    setting(
        "max_age_action",
        "LIVE_MAX_AGE_ACTION",
        "max-age-action",
        OneOf(&["serve", "warn", "refuse"]),
        "warn",
        "what happens beyond max_age",
    ),
    setting(
        "overrides",
        "LIVE_OVERRIDES",
        "overrides",
        Path,
        "",
        "a folder of prompts that are served instead of what FORGE published, for development",
    ),
    setting(
        "allow_overrides",
        "LIVE_ALLOW_OVERRIDES",
        "allow-overrides",
        Switch,
        "false",
        "takes overrides with the preset prod, or in an environment that is called prod",
    ),
    setting(
        "usage",
        "LIVE_USAGE",
        "usage",
        Switch,
        "true",
        "whether FORGE is told of the use of each prompt; if not, only of the sums over all",
    ),
    setting("log", "LIVE_LOG", "log", Text, "", "what to log, as tracing filters have it")
        .otherwise("errors; of an agent in the foreground, what happens")
        .at(Place::Program),
    setting(
        "otlp_endpoint",
        "LIVE_OTLP_ENDPOINT",
        "otlp-endpoint",
        Text,
        "",
        "the OpenTelemetry collector that an agent in the foreground sends spans of renders to, as \
         `http://127.0.0.1:4318`",
    )
    .at(Place::Program),
    setting(
        "otlp_sample",
        "LIVE_OTLP_SAMPLE",
        "otlp-sample",
        Part,
        "1",
        "the part of all renders of which spans are sent, from 0 to 1",
    )
    .at(Place::Program),
    setting("json", "LIVE_JSON", "json", Switch, "false", "writes JSON, one value a line")
        .at(Place::Program),
    setting("listen", "LIVE_LISTEN", "listen", Addresses, "", "TCP addresses of the sidecar")
        .otherwise("`127.0.0.1:7460`, where there is no socket")
        .at(Place::Serve),
    setting("socket", "LIVE_SOCKET", "socket", Path, "", "a Unix socket; who may open the file may ask")
        .at(Place::Serve),
    setting("socket_mode", "LIVE_SOCKET_MODE", "socket-mode", Mode, "0600", "the socket's permissions")
        .at(Place::Serve),
    setting("socket_group", "LIVE_SOCKET_GROUP", "socket-group", Text, "", "the group that the socket belongs to")
        .at(Place::Serve),
    setting(
        "token_file",
        "LIVE_TOKEN_FILE",
        "token-file",
        Path,
        "",
        "the file of the token that TCP wants, made with one if it is not there; two lines are two tokens",
    )
    .otherwise("`<profile>.sidecar.token` beside the profile")
    .at(Place::Serve),
    setting(
        "no_token",
        "LIVE_NO_TOKEN",
        "no-token",
        Switch,
        "false",
        "wants no token: everybody on this machine may ask",
    )
    .at(Place::Serve),
    setting(
        "allow_remote",
        "LIVE_ALLOW_REMOTE",
        "allow-remote",
        Switch,
        "false",
        "lets the sidecar listen where other machines reach it",
    )
    .at(Place::Serve),
    setting(
        "allow_host",
        "LIVE_ALLOW_HOST",
        "allow-host",
        Words,
        "",
        "names that the sidecar may be called by, besides localhost",
    )
    .at(Place::Serve),
    setting("workers", "LIVE_WORKERS", "workers", Number, "", "threads that serve")
        .otherwise("one for each core")
        .at(Place::Serve),
    setting(
        "connections",
        "LIVE_CONNECTIONS",
        "connections",
        Number,
        "512",
        "connections at once by each address, and by the socket; more wait",
    )
    .at(Place::Serve),
    setting("event_readers", "LIVE_EVENT_READERS", "event-readers", Number, "64", "readers of events at once")
        .at(Place::Serve),
    setting("body_max", "LIVE_BODY_MAX", "body-max", Number, "1048576", "largest body of a request, in bytes")
        .at(Place::Serve),
    setting(
        "body_time_ms",
        "LIVE_BODY_TIME_MS",
        "body-time-ms",
        Number,
        "10000",
        "how long the body of a request may take, in milliseconds",
    )
    .at(Place::Serve),
    setting(
        "head_time_ms",
        "LIVE_HEAD_TIME_MS",
        "head-time-ms",
        Number,
        "30000",
        "how long the head of a request may take, a connection be silent between two, and a caller take \
         nothing of its answer, in milliseconds",
    )
    .at(Place::Serve),
    setting(
        "drain_delay_ms",
        "LIVE_DRAIN_DELAY_MS",
        "drain-delay-ms",
        Number,
        "1000",
        "how long new connections are still taken once it is told to end, in milliseconds",
    )
    .at(Place::Serve),
    setting(
        "drain_time_ms",
        "LIVE_DRAIN_TIME_MS",
        "drain-time-ms",
        Number,
        "20000",
        "how long running requests may still take then, in milliseconds",
    )
    .at(Place::Serve),
];
