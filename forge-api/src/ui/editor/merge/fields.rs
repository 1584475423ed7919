//! What a prompt holds besides its text and its parameters, made one.

use serde_json::{Map, Value};

use super::super::settings::{self, Settings};
use super::super::typed::Typed;
use super::{Clash, Three, three};

/// What stands for an empty field.
const NONE: &str = "none";

pub(super) fn description(of: Three<'_>, clashes: &mut Vec<Clash>) -> String {
    let [base, mine, theirs] = [of.base, of.mine, of.theirs].map(|typed| typed.description.as_str());
    let (kept, clash) = three(base, mine, theirs);
    if clash {
        let said = |text: &str| if text.is_empty() { NONE.to_owned() } else { text.to_owned() };
        clashes.push(Clash::of("description", said(theirs), said(mine)));
    }
    kept.to_owned()
}

/// Tags word by word, so that two never clash: what either added is there, and what either took away is not.
pub(super) fn tags(of: Three<'_>) -> String {
    let [base, mine, theirs] = [of.base, of.mine, of.theirs].map(words);
    if theirs == base {
        return of.mine.tags.clone();
    }
    if mine == base {
        return of.theirs.tags.clone();
    }
    let kept = mine.iter().filter(|tag| !base.contains(*tag) || theirs.contains(*tag));
    let new = theirs.iter().filter(|tag| !base.contains(*tag) && !mine.contains(*tag));
    kept.chain(new).copied().collect::<Vec<&str>>().join(", ")
}

fn words(typed: &Typed) -> Vec<&str> {
    typed.tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect()
}

/// Model settings by their keys. Settings of mine that do not read stay as they were typed.
pub(super) fn settings(of: Three<'_>, clashes: &mut Vec<Clash>) -> Settings {
    let ((base, _), (theirs, _)) = (of.base.settings.parse(), of.theirs.settings.parse());
    let (mine, flaws) = of.mine.settings.parse();
    if !flaws.is_empty() {
        if theirs != base {
            clashes.push(Clash::of("model settings", whole(theirs), "as you typed them"));
        }
        return of.mine.settings.clone();
    }
    let merged = by_key("model setting", [&base, &mine, &theirs], clashes);
    if merged == mine { of.mine.settings.clone() } else { Settings::of(&merged) }
}

/// Metadata by its keys; none where the form did not hold any, since what is stored stays then.
pub(super) fn metadata(of: Three<'_>, clashes: &mut Vec<Clash>) -> Option<String> {
    let typed = of.mine.metadata.as_ref()?;
    let read = |typed: &Typed| settings::object(typed.metadata.as_deref().unwrap_or_default(), "{}");
    let (base, theirs) = (read(of.base).unwrap_or_default(), read(of.theirs).unwrap_or_default());
    let Ok(mine) = read(of.mine) else {
        if theirs != base {
            clashes.push(Clash::of("metadata", whole(theirs), typed.as_str()));
        }
        return Some(typed.clone());
    };
    let merged = by_key("metadata", [&base, &mine, &theirs], clashes);
    Some(if merged == mine { typed.clone() } else { pretty(&merged) })
}

/// Base, mine and theirs, key by key.
fn by_key(
    what: &str,
    [base, mine, theirs]: [&Map<String, Value>; 3],
    clashes: &mut Vec<Clash>,
) -> Map<String, Value> {
    let mut keys: Vec<&String> = base.keys().chain(mine.keys()).chain(theirs.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut merged = mine.clone();
    for key in keys {
        let (kept, clash) = three(base.get(key), mine.get(key), theirs.get(key));
        if clash {
            clashes.push(Clash::of(format!("{what} {key}"), said(theirs.get(key)), said(mine.get(key))));
        }
        match kept {
            Some(value) => merged.insert(key.clone(), value.clone()),
            None => merged.remove(key),
        };
    }
    merged
}

fn said(value: Option<&Value>) -> String {
    match value {
        None => NONE.to_owned(),
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// An object in one line.
fn whole(object: Map<String, Value>) -> String {
    Value::Object(object).to_string()
}

/// An object as the form shows it: an empty one is an empty field.
fn pretty(object: &Map<String, Value>) -> String {
    if object.is_empty() {
        return String::new();
    }
    serde_json::to_string_pretty(object).unwrap_or_default()
}
