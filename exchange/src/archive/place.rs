//! A version where it stands, and elsewhere. Its bytes name the organisation, the project and the set that it is of,
//! and the bytes that it took partials from: another place makes other bytes of the same content.

use std::collections::BTreeMap;

use schemas::canonical::{Digest, to_canonical};
use serde_json::Value;

use crate::found::{Refusal, Result};

/// What names the place and not the content.
const NAMES: [&str; 3] = ["organisation", "project", "set"];

fn parsed(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).map_err(|e| Refusal::unreadable("a version", e))
}

fn dependencies(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.get_mut("dependencies").and_then(Value::as_array_mut).into_iter().flatten()
}

fn canonical(value: &Value) -> Result<Vec<u8>> {
    to_canonical(value).map_err(|e| Refusal::unreadable("a version", e))
}

/// The digest of what a version says, wherever it stands and whatever it is called: prompts, partials, and which versions
/// of which sets it took in.
///
/// # Errors
/// The bytes are no JSON.
pub fn content(body: &[u8]) -> Result<Digest> {
    let mut value = parsed(body)?;
    for dependency in dependencies(&mut value) {
        if let Some(fields) = dependency.as_object_mut() {
            fields.remove("digest");
        }
    }
    if let Some(fields) = value.as_object_mut() {
        for name in NAMES.into_iter().chain(["version"]) {
            fields.remove(name);
        }
    }
    Ok(Digest::of(&canonical(&value)?))
}

/// The bytes of a version in another place. `digests` are those that the versions it took partials from have there, by
/// their set.
///
/// # Errors
/// A set that it took partials from is not among them, or what comes out would not say the same.
pub fn moved(
    body: &[u8],
    organisation: &str,
    project: &str,
    set: &str,
    digests: &BTreeMap<String, Digest>,
) -> Result<Vec<u8>> {
    let mut value = parsed(body)?;
    if let Some(fields) = value.as_object_mut() {
        for (name, now) in NAMES.into_iter().zip([organisation, project, set]) {
            fields.insert(name.to_owned(), Value::from(now));
        }
    }
    for dependency in dependencies(&mut value) {
        let slug = dependency["set"].as_str().unwrap_or_default();
        let digest = digests.get(slug).ok_or_else(|| {
            Refusal::new("invalid", format!("a version takes partials from {slug}, which is not there"))
        })?;
        if let Some(fields) = dependency.as_object_mut() {
            fields.insert("digest".to_owned(), Value::from(digest.to_string()));
        }
    }
    let now = canonical(&value)?;
    if content(&now)? == content(body)? {
        return Ok(now);
    }
    Err(Refusal::new("invalid", "a version holds a number that cannot be written as it was read"))
}
