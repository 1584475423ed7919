//! What flags, environment and file say of the options, flag > environment > file > default, before it is understood.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::{ConfigError, OPTIONS, Setting, Tls};

/// The values of all options, before they are understood.
pub(super) struct Values<'a> {
    pub flags: &'a dyn Fn(&str) -> Option<String>,
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    pub file: BTreeMap<String, String>,
}

impl Values<'_> {
    pub(super) fn find(&self, key: &'static str) -> Result<(Setting, Option<String>), ConfigError> {
        let setting = *OPTIONS.iter().find(|o| o.key == key).ok_or(ConfigError::Value {
            key,
            variable: "",
            detail: "no such option".into(),
        })?;
        let value = (self.flags)(key)
            .or_else(|| (self.environment)(setting.variable))
            .or_else(|| self.file.get(key).cloned())
            .or_else(|| Some(setting.default.to_owned()))
            .filter(|v| !v.is_empty());
        Ok((setting, value))
    }

    /// The option of a key that is one.
    pub(super) fn setting(&self, key: &'static str) -> Setting {
        self.find(key).map_or(Setting { key, variable: "", default: "", help: "" }, |(setting, _)| setting)
    }

    pub(super) fn text(&self, key: &'static str) -> Result<Option<String>, ConfigError> {
        Ok(self.find(key)?.1)
    }

    pub(super) fn path(&self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.text(key)?.map(PathBuf::from))
    }

    pub(super) fn list(&self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let text = self.text(key)?.unwrap_or_default();
        Ok(text.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect())
    }

    pub(super) fn parsed<T>(&self, key: &'static str) -> Result<T, ConfigError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let (setting, value) = self.find(key)?;
        let text = value.unwrap_or_default();
        text.parse().map_err(|e: T::Err| bad(setting, format!("{text:?} cannot be used: {e}")))
    }

    /// What the options `key`, `certificate` and `private` say of one server.
    pub(super) fn tls(
        &self,
        key: &'static str,
        certificate: &'static str,
        private: &'static str,
    ) -> Result<Tls, ConfigError> {
        let auto = match self.text(key)?.as_deref() {
            Some("auto") => true,
            Some("off") | None => false,
            Some(other) => {
                return Err(bad(self.find(key)?.0, format!("{other:?} is neither auto nor off")));
            }
        };
        match (self.path(certificate)?, self.path(private)?) {
            (None, None) if auto => Ok(Tls::Auto),
            (None, None) => Ok(Tls::Off),
            (Some(_), Some(_)) if auto => {
                Err(bad(self.find(key)?.0, format!("either auto, or {certificate} and {private}")))
            }
            (Some(certificate), Some(key)) => Ok(Tls::Files { certificate, key }),
            (Some(_), None) => Err(bad(self.find(private)?.0, format!("{certificate} needs its key"))),
            (None, Some(_)) => {
                Err(bad(self.find(certificate)?.0, format!("{private} needs its certificate")))
            }
        }
    }

    pub(super) fn millis(&self, key: &'static str, least: u64) -> Result<Duration, ConfigError> {
        let value: u64 = self.parsed(key)?;
        if value < least {
            return Err(bad(self.find(key)?.0, format!("at least {least}")));
        }
        Ok(Duration::from_millis(value))
    }
}

pub(super) fn bad(setting: Setting, detail: String) -> ConfigError {
    ConfigError::Value { key: setting.key, variable: setting.variable, detail }
}

/// The lines of a configuration file.
pub(super) fn read_file(path: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.into(), source })?;
    let mut out = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || ConfigError::Line { path: path.into(), line: index + 1 };
        let (key, value) = line.split_once('=').ok_or_else(wrong)?;
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if !OPTIONS.iter().any(|o| o.key == key) {
            return Err(wrong());
        }
        out.insert(key.to_owned(), value.to_owned());
    }
    Ok(out)
}
