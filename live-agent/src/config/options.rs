//! Every setting of an agent, once: [`OPTIONS`]. From it come the flags of `live`, what is read of the
//! environment and of a file, `live config`, and the check of the documentation.
//!
//! `given` holds what somebody gave and where; `file` reads a file; `read` understands the values.

use std::fmt::Write as _;

use super::Preset;

#[cfg(feature = "config-file")]
mod file;
mod given;
pub(crate) mod read;

#[cfg(feature = "config-file")]
pub use file::read as read_file;
pub use given::{Fault, Found, Given, Origin};

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// In a file: beside that file, unless it is absolute.
    Path,
    /// True or false; the flag alone says true.
    Switch,
    /// `30s`, `5m`, `12h`, `7d`, or seconds.
    Duration,
    /// A duration, or `none`.
    Bound,
    /// `set=requirement`, separated by commas; in a file a table.
    Pins,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// Where a setting can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Everywhere.
    Agent,
    /// Everywhere, and only the program `live` has it.
    Program,
    /// By flag and variable: it says which file there is.
    BeforeFile,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in a file.
    pub key: &'static str,
    /// Its variable in the environment.
    pub variable: &'static str,
    /// Its flag, without the dashes.
    pub flag: &'static str,
    pub kind: Kind,
    pub place: Place,
    /// What it is when nobody says anything, as it would be written; empty: unset.
    pub default: &'static str,
    /// The default in words, where it depends.
    pub otherwise: &'static str,
    /// What staging and prod make of it; empty: the default. Dev changes nothing.
    pub staging: &'static str,
    pub prod: &'static str,
    pub what: &'static str,
}

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

impl Setting {
    const fn otherwise(self, otherwise: &'static str) -> Self {
        Self { otherwise, ..self }
    }

    const fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    const fn presets(self, staging: &'static str, prod: &'static str) -> Self {
        Self { staging, prod, ..self }
    }

    /// What a preset makes of it, if anything.
    #[must_use]
    pub fn of_preset(&self, preset: Preset) -> Option<&'static str> {
        let value = match preset {
            Preset::Dev => "",
            Preset::Staging => self.staging,
            Preset::Prod => self.prod,
        };
        (!value.is_empty()).then_some(value)
    }

    /// The default as people read it.
    #[must_use]
    pub fn default_words(&self) -> &'static str {
        if self.otherwise.is_empty() { self.default } else { self.otherwise }
    }

    /// Whether a file can say it.
    #[must_use]
    pub fn in_file(&self) -> bool {
        self.place != Place::BeforeFile
    }
}

use Kind::{Bound, Duration, OneOf, Path, Pins, Switch, Text};

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
    setting("service", "LIVE_SERVICE", "service", Text, "", "the service that the agent lives in, for people"),
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
        Text,
        "1",
        "the part of all renders of which spans are sent, from 0 to 1",
    )
    .at(Place::Program),
    setting("json", "LIVE_JSON", "json", Switch, "false", "writes JSON, one value a line")
        .at(Place::Program),
];

/// The setting of this key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    OPTIONS.iter().find(|setting| setting.key == key)
}

/// The key that somebody meant who wrote this one, if it can be told.
#[must_use]
pub fn nearest(wrong: &str) -> Option<&'static str> {
    let wrong = wrong.to_ascii_lowercase().replace('-', "_");
    let distances = OPTIONS.iter().filter(|s| s.in_file()).map(|s| (distance(&wrong, s.key), s.key));
    distances.min().filter(|(far, key)| *far <= 1 + key.len() / 3).map(|(_, key)| key)
}

/// How many letters to change, put in or take out.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut corner = i;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let best = (*cell + 1).min(left + 1).min(corner + usize::from(x != *y));
            corner = std::mem::replace(cell, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The table of all settings, in Markdown.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("| key | flag | variable | default | staging | prod | what |\n");
    out.push_str("|---|---|---|---|---|---|---|\n");
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    for s in OPTIONS {
        let key = if s.in_file() { code(s.key) } else { String::new() };
        let default = if s.otherwise.is_empty() { code(s.default) } else { s.otherwise.to_owned() };
        let (staging, prod) = (code(s.staging), code(s.prod));
        let _ = writeln!(
            out,
            "| {key} | `--{}` | `{}` | {default} | {staging} | {prod} | {} |",
            s.flag, s.variable, s.what
        );
    }
    out
}

/// A file with every setting, each in a comment of its own with its default.
#[must_use]
pub fn commented(preset: Option<Preset>) -> String {
    let mut out = String::from(
        "# Settings of a LIVE agent. A flag counts before a variable, a variable before this file, this file\n\
         # before its preset. \"live config check\" says what is wrong, \"live config show\" what holds.\n",
    );
    for s in OPTIONS.iter().filter(|s| s.in_file()) {
        let _ = write!(out, "\n# {} ({})\n", s.what.replace('`', ""), s.variable);
        match (s.key, preset) {
            ("preset", Some(preset)) => {
                let _ = writeln!(out, "preset = \"{}\"", preset.as_str());
            }
            ("pins", _) => {
                out.push_str("# At the end of the file, since it is a table.\n");
            }
            _ => {
                let of_preset = preset.and_then(|preset| s.of_preset(preset));
                let value = of_preset.unwrap_or(s.default);
                let _ = writeln!(out, "#{} = {}", s.key, written(s.kind, value));
            }
        }
    }
    out.push_str("\n#[pins]\n#support = \"=2.1.0\"\n#billing = \"^2\"\n");
    out
}

fn written(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Switch => value.to_owned(),
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_keys_and_no_two_are_alike() {
        for (at, s) in OPTIONS.iter().enumerate() {
            assert_eq!(s.variable, format!("LIVE_{}", s.key.to_uppercase()));
            assert!(s.flag == s.key.replace('_', "-") || s.key == "mode", "{}", s.key);
            assert!(!OPTIONS[..at].iter().any(|other| other.key == s.key || other.flag == s.flag));
        }
    }

    #[test]
    fn every_default_and_every_preset_is_a_value_that_is_understood() {
        for s in OPTIONS {
            for value in [s.default, s.staging, s.prod].into_iter().filter(|v| !v.is_empty()) {
                read::check(s.kind, value).unwrap_or_else(|why| panic!("{} = {value}: {why}", s.key));
            }
        }
    }

    #[test]
    fn a_misspelt_key_finds_its_neighbour_and_nonsense_none() {
        for (wrong, right) in [
            ("serivce", Some("service")),
            ("cache-dir", Some("cache_dir")),
            ("max_age_acton", Some("max_age_action")),
            ("Mode", Some("mode")),
            ("frobnicate", None),
        ] {
            assert_eq!(nearest(wrong), right, "{wrong}");
        }
    }
}
