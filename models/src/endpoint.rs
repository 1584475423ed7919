//! The endpoints that an operator configured, as a file names them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use serde::Deserialize;
use tokio_rustls::rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::http;
use crate::tokens::Family;

/// Which protocol an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Chat completions, as `OpenAI` made them and most others speak them.
    OpenAi,
    /// Anthropic messages.
    Anthropic,
}

/// All endpoints. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Endpoints(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    currency: String,
    endpoints: Vec<Endpoint>,
}

/// One address that answers prompts.
#[derive(Debug)]
pub struct Endpoint {
    pub name: String,
    pub kind: Kind,
    pub models: Vec<Model>,
    pub(crate) uri: Uri,
    pub(crate) key: Option<Key>,
    /// None: without TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// A model of an endpoint. Prices are per million tokens, in the currency of the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    pub id: String,
    #[serde(default)]
    pub input_price: Option<f64>,
    #[serde(default)]
    pub output_price: Option<f64>,
    /// The tokenizer of its texts; none: as its id says.
    #[serde(default)]
    pub tokenizer: Option<Family>,
}

impl Model {
    /// What so many tokens cost, where the prices are known.
    #[must_use]
    pub fn cost(&self, input: u64, output: u64) -> Option<f64> {
        let price = |tokens: u64, per_million: f64| tokens as f64 * per_million / 1_000_000.0;
        Some(price(input, self.input_price?) + price(output, self.output_price?))
    }
}

/// The secret of an endpoint. It is never printed.
pub(crate) struct Key(Zeroizing<String>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

impl Key {
    /// As the value of a header, with something before it.
    pub(crate) fn header(&self, before: &str) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("{before}{}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A text without the key, should somebody have sent it back.
    pub(crate) fn taken_out_of(&self, text: &str) -> String {
        text.replace(self.0.as_str(), "…")
    }
}

/// Why a file of endpoints cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointsError {
    #[error("{} cannot be read: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is not as it should be: {why}", path.display())]
    Syntax { path: PathBuf, why: String },
    #[error("endpoint {name}: {why}")]
    Endpoint { name: String, why: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "dollars")]
    currency: String,
    #[serde(default)]
    endpoints: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    kind: Kind,
    url: String,
    #[serde(default)]
    key_env: Option<String>,
    #[serde(default)]
    key_file: Option<PathBuf>,
    #[serde(default)]
    ca: Option<PathBuf>,
    #[serde(default)]
    allow_plain: bool,
    models: Vec<Model>,
}

fn dollars() -> String {
    "USD".into()
}

impl Endpoints {
    /// Reads a file (TOML), and the keys that it names by `environment`.
    ///
    /// # Errors
    /// [`EndpointsError`]: not readable, not of this form, a key that is not there, or an address that
    /// would carry a key over a network without TLS.
    pub fn read(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, EndpointsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| EndpointsError::File { path: path.to_owned(), source })?;
        let file: File = toml::from_str(&text)
            .map_err(|e| EndpointsError::Syntax { path: path.to_owned(), why: e.message().to_owned() })?;
        let mut names = BTreeSet::new();
        let mut endpoints = Vec::with_capacity(file.endpoints.len());
        for written in file.endpoints {
            let name = written.name.clone();
            let refused = |why: String| EndpointsError::Endpoint { name: name.clone(), why };
            if !names.insert(name.clone()) {
                return Err(refused("the name stands twice".into()));
            }
            endpoints.push(written.endpoint(environment).map_err(refused)?);
        }
        Ok(Self(Arc::new(Inner { currency: file.currency, endpoints })))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.endpoints.is_empty()
    }

    /// In the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.0.endpoints.iter()
    }

    /// The currency of all prices.
    #[must_use]
    pub fn currency(&self) -> &str {
        &self.0.currency
    }

    /// Every model as `endpoint/model`, with what it is.
    pub fn models(&self) -> impl Iterator<Item = (String, &Model)> {
        self.iter().flat_map(|e| e.models.iter().map(move |m| (format!("{}/{}", e.name, m.id), m)))
    }

    /// A model by `endpoint/model`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&Endpoint, &Model)> {
        let (endpoint, model) = name.split_once('/')?;
        let endpoint = self.iter().find(|e| e.name == endpoint)?;
        Some((endpoint, endpoint.models.iter().find(|m| m.id == model)?))
    }
}

impl Written {
    fn endpoint(self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Endpoint, String> {
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 60 || !self.name.chars().all(named) {
            return Err("a name has small letters, digits and hyphens".into());
        }
        if self.models.is_empty() {
            return Err("name at least one model: [[endpoints.models]] with an id".into());
        }
        let prices = self.models.iter().flat_map(|m| [m.input_price, m.output_price]).flatten();
        for price in prices {
            if !price.is_finite() || price < 0.0 {
                return Err(format!("{price} is no price per million tokens"));
            }
        }
        let uri = address(&self.url, self.kind)?;
        let plain = uri.scheme_str() == Some("http");
        let key = self.key(environment)?;
        if plain && key.is_some() && !self.allow_plain && !is_loopback(uri.host().unwrap_or_default()) {
            return Err(
                "over http everybody on the way reads the key: use https, or say allow_plain = true".into()
            );
        }
        let tls = if plain { None } else { Some(http::client(self.ca.as_deref())?) };
        Ok(Endpoint { name: self.name, kind: self.kind, models: self.models, uri, key, tls })
    }

    fn key(&self, environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<Key>, String> {
        let text = match (&self.key_env, &self.key_file) {
            (Some(_), Some(_)) => return Err("either key_env or key_file".into()),
            (Some(name), None) => environment(name)
                .filter(|value| !value.trim().is_empty())
                .ok_or_else(|| format!("the variable {name}, which key_env names, is not set"))?,
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|e| format!("key_file {} cannot be read: {e}", path.display()))?,
            (None, None) => return Ok(None),
        };
        let key = Key(Zeroizing::new(text.trim().to_owned()));
        match key.header("Bearer ") {
            Some(_) if !key.0.is_empty() => Ok(Some(key)),
            _ => Err("the key cannot stand in a header".into()),
        }
    }
}

/// The address that a request goes to, from the one that an operator writes.
fn address(url: &str, kind: Kind) -> Result<Uri, String> {
    let base = url.trim().trim_end_matches('/');
    let end = match kind {
        Kind::OpenAi if base.ends_with("/chat/completions") => "",
        Kind::OpenAi => "/chat/completions",
        Kind::Anthropic if base.ends_with("/messages") => "",
        Kind::Anthropic if base.ends_with("/v1") => "/messages",
        Kind::Anthropic => "/v1/messages",
    };
    let uri: Uri = format!("{base}{end}").parse().map_err(|e| format!("url {url:?}: {e}"))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        _ => Err(format!("url {url:?} is no address: write https://…")),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Endpoints, EndpointsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.toml");
        std::fs::write(&path, text).unwrap();
        Endpoints::read(&path, &|name| (name == "KEY").then(|| "sk-secret".to_owned()))
    }

    const GOOD: &str = r#"
        currency = "EUR"
        [[endpoints]]
        name = "main"
        kind = "openai"
        url = "https://models.example/v1/"
        key_env = "KEY"
        models = [{ id = "org/one", input_price = 2.0, output_price = 10.0 }, { id = "two", tokenizer = "cl100k" }]
        [[endpoints]]
        name = "local"
        kind = "anthropic"
        url = "http://10.0.0.7:8080"
        models = [{ id = "three" }]
    "#;

    #[test]
    fn a_file_names_endpoints_models_prices_and_never_shows_a_key() {
        let all = read(GOOD).unwrap();
        assert!(!format!("{all:?}").contains("sk-secret"));
        assert_eq!(all.currency(), "EUR");
        let names: Vec<String> = all.models().map(|(name, _)| name).collect();
        assert_eq!(names, ["main/org/one", "main/two", "local/three"]);
        let (endpoint, model) = all.find("main/org/one").unwrap();
        assert_eq!(endpoint.uri.to_string(), "https://models.example/v1/chat/completions");
        assert_eq!(model.cost(1_000_000, 500_000), Some(7.0));
        assert_eq!(all.find("main/two").unwrap().1.cost(1, 1), None);
        assert_eq!(all.find("local/three").unwrap().0.uri.path(), "/v1/messages");
        assert!(all.find("main/three").is_none() && all.find("main").is_none());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        for (from, to, why) in [
            ("name = \"local\"", "name = \"main\"", "stands twice"),
            ("name = \"local\"", "name = \"Lo cal\"", "small letters"),
            ("\"KEY\"", "\"OTHER\"", "OTHER"),
            ("https://models.example", "http://models.example", "over http"),
            ("https://models.example", "ftp://models.example", "no address"),
            ("input_price = 2.0", "input_price = -2.0", "no price"),
            ("kind = \"openai\"", "kind = \"closed\"", "unknown variant"),
            ("key_env", "keyenv", "unknown field"),
            ("[{ id = \"three\" }]", "[]", "at least one model"),
        ] {
            let error = read(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(why), "{to}: {error}");
            assert!(!error.contains("sk-secret"), "{error}");
        }
    }
}
