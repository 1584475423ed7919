//! What somebody gave, and where: values as they were written, the first source that has one first.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Kind, OPTIONS, Place, Setting, find, read};
use crate::config::{ConfigError, Preset};

/// A value, and the switch that says that there is none: they exclude each other.
const EITHER: [(&str, &str); 2] = [("cache_dir", "memory_only"), ("token_file", "no_token")];

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag(&'static str),
    Variable(&'static str),
    File { path: Arc<PathBuf>, line: usize },
    Preset(Preset),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable(variable) => f.write_str(variable),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Preset(preset) => write!(f, "preset {}", preset.as_str()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value, and where it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub text: String,
    pub origin: Origin,
}

/// Something that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, as it was written.
    pub key: String,
    pub why: String,
    pub origin: Option<Origin>,
}

impl Fault {
    pub(crate) fn of(key: &str, why: impl Into<String>, origin: &Origin) -> Self {
        Self { key: key.to_owned(), why: why.into(), origin: Some(origin.clone()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.why)?;
        match &self.origin {
            Some(origin) => write!(f, " ({origin})"),
            None => Ok(()),
        }
    }
}

impl From<Fault> for ConfigError {
    fn from(fault: Fault) -> Self {
        let place = fault.origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
        match find(&fault.key) {
            Some(setting) => Self::Invalid { key: setting.key, why: format!("{}{place}", fault.why) },
            None => Self::Invalid { key: "config", why: fault.to_string() },
        }
    }
}

/// The values of settings, each from the source that counts.
#[derive(Debug, Clone, Default)]
pub struct Given(BTreeMap<&'static str, Found>);

impl Given {
    /// What the environment says of every setting, as `lookup` knows it. An empty value is none.
    #[must_use]
    pub fn environment(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut given = Self::default();
        for s in OPTIONS {
            if let Some(text) = lookup(s.variable).filter(|text| !text.is_empty()) {
                given.put(s, text, Origin::Variable(s.variable));
            }
        }
        given
    }

    /// Notes a value, unless there is one.
    pub fn put(&mut self, setting: &'static Setting, text: impl Into<String>, origin: Origin) {
        self.0.entry(setting.key).or_insert_with(|| Found { text: text.into(), origin });
    }

    /// Takes from `later` what is not here.
    pub fn or(&mut self, later: Self) {
        // Of those that exclude each other the source that counts says which.
        let excludes = EITHER.map(|(value, switch)| (self.0.contains_key(value), self.is_on(switch)));
        for (key, found) in later.0 {
            let excluded = EITHER.iter().zip(excludes).any(|((value, switch), (has_value, is_on))| {
                (key == *value && is_on) || (key == *switch && has_value)
            });
            if !excluded {
                self.0.entry(key).or_insert(found);
            }
        }
    }

    fn is_on(&self, switch: &str) -> bool {
        self.get(switch).is_some_and(|found| read::switch(&found.text) == Ok(true))
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Found> {
        self.0.get(key)
    }

    /// Takes a value out, as if nobody had said it.
    pub fn remove(&mut self, key: &str) -> Option<Found> {
        self.0.remove(key)
    }

    /// Everything that is wrong with the values themselves.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = OPTIONS
            .iter()
            .filter_map(|s| {
                let found = self.0.get(s.key)?;
                let why = read::check(s.kind, &found.text).err()?;
                Some(Fault::of(s.key, why, &found.origin))
            })
            .collect();
        for (value, switch) in EITHER {
            if let (true, Some(said)) = (self.is_on(switch), self.get(value)) {
                faults.push(Fault::of(value, format!("{switch} is set too: say one of them"), &said.origin));
            }
        }
        faults
    }

    /// The preset, if one is given and is one.
    #[must_use]
    pub fn preset(&self) -> Option<Preset> {
        Preset::parse(&self.get("preset")?.text)
    }

    /// What holds for a setting: what was given, what its preset makes of it, or its default.
    #[must_use]
    pub fn effective(&self, setting: &Setting) -> Found {
        if let Some(found) = self.get(setting.key) {
            return found.clone();
        }
        match self.preset().and_then(|preset| Some((preset, setting.of_preset(preset)?))) {
            Some((preset, text)) => Found { text: text.to_owned(), origin: Origin::Preset(preset) },
            None => Found { text: setting.default.to_owned(), origin: Origin::Default },
        }
    }

    /// Only what an agent has, without what is the program's own.
    #[must_use]
    pub fn of_agent(&self) -> Self {
        let agent = |key: &str| find(key).is_some_and(|s| s.place == Place::Agent);
        Self(self.0.iter().filter(|(key, _)| agent(key)).map(|(key, found)| (*key, found.clone())).collect())
    }

    /// The value understood by `read`.
    pub(crate) fn parsed<T>(
        &self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Fault> {
        let Some(found) = self.get(key) else { return Ok(None) };
        read(&found.text).map(Some).map_err(|why| Fault::of(key, why, &found.origin))
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(|found| found.text.clone())
    }

    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        debug_assert!(find(key).is_some_and(|s| s.kind == Kind::Path));
        self.text(key).map(PathBuf::from)
    }
}
