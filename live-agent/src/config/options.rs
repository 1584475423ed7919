//! Every setting of an agent, once: [`OPTIONS`]. From it come the flags of `live`, what is read of the
//! environment and of a file, `live config`, and the check of the documentation.
//!
//! `table` holds them; `given` holds what somebody gave and where; `file` reads a file; `read` understands the values.

use std::fmt::Write as _;

use super::Preset;

#[cfg(feature = "config-file")]
mod file;
mod given;
pub(crate) mod read;
mod table;

#[cfg(feature = "config-file")]
pub use file::read as read_file;
pub use given::{Fault, Found, Given, Origin};
pub use table::OPTIONS;

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
    /// A whole number.
    Number,
    /// A number from 0 to 1.
    Part,
    /// Permissions of a file, such as `0660`.
    Mode,
    /// Words, separated by commas; in a file a list.
    Words,
    /// Addresses with their ports, separated by commas; in a file a list.
    Addresses,
}

/// Where a setting can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Everywhere.
    Agent,
    /// Everywhere, and only the program `live` has it.
    Program,
    /// Everywhere, and only the sidecar has it: a flag of `live serve`, in a file the part `[serve]`.
    Serve,
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

    /// Its key with the part of a file that it stands in, as `serve.listen`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.place == Place::Serve { format!("serve.{}", self.key) } else { self.key.to_owned() }
    }

    /// Whether a file can say it.
    #[must_use]
    pub fn in_file(&self) -> bool {
        self.place != Place::BeforeFile
    }
}

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
pub(crate) fn distance(a: &str, b: &str) -> usize {
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
        let key = if s.in_file() { code(&s.name()) } else { String::new() };
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
    let about = |s: &Setting| format!("\n# {} ({})\n", s.what.replace('`', ""), s.variable);
    for s in OPTIONS.iter().filter(|s| s.in_file() && s.place != Place::Serve) {
        out.push_str(&about(s));
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
    out.push_str("\n# The sidecar: what \"live serve\" has beside all this.\n#[serve]\n");
    for s in OPTIONS.iter().filter(|s| s.place == Place::Serve) {
        let _ = writeln!(out, "{}#{} = {}", about(s), s.key, written(s.kind, s.default));
    }
    out
}

fn written(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Switch => value.to_owned(),
        Kind::Number if !value.is_empty() => value.to_owned(),
        Kind::Words | Kind::Addresses if value.is_empty() => "[]".to_owned(),
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
