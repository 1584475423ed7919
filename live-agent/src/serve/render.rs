//! `POST /v1/render`: the path that is called all the time, and so the shortest one.
//!
//! Values are read straight into the form that the engine takes, the text is rendered into a buffer of
//! the thread, and the answer is written once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::Body as HttpBody;
use schemas::template::{RenderedMessage, Values};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use serde_json::{Map, Value};

use super::Bounds;
use super::problem::{Code, Problem};
use crate::PromptError;
use crate::agent::Core;
use crate::cache::{ActiveSet, Table};

/// More names are no call of a prompt: each is compared with those before it.
const NAMES_MAX: usize = 1_000;
/// A buffer that grew beyond this is given back.
const BUFFER_KEPT: usize = 256 * 1024;

thread_local! {
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What is asked for.
#[derive(DeriveDeserialize)]
#[serde(deny_unknown_fields)]
struct Wanted<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    values: Given,
    #[serde(default)]
    history: BTreeMap<String, Vec<RenderedMessage>>,
}

/// The same, for the document.
#[derive(schemars::JsonSchema)]
#[schemars(rename = "RenderRequest")]
#[expect(dead_code, reason = "only its shape is of use")]
pub(super) struct WantedShape {
    /// The prompt's id, or `@set/id`.
    id: String,
    /// By parameter.
    #[serde(default)]
    values: Map<String, Value>,
    /// The caller's messages for each placeholder of a chat, by its name.
    #[serde(default)]
    history: BTreeMap<String, Vec<RenderedMessage>>,
}

/// What comes back: `text`, or the `messages` of a chat.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Rendered")]
pub(super) struct Rendered<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<&'r [RenderedMessage]>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    of: Option<Of<'r>>,
}

/// Which version it is of.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct Of<'r> {
    pub(super) set: &'r str,
    #[schemars(with = "String")]
    pub(super) version: &'r schemas::Version,
    pub(super) serial: u64,
    pub(super) digest: schemas::canonical::Digest,
    /// It is served from a folder of this machine, in the place of that version's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) local: bool,
}

/// Values as they are read from JSON.
#[derive(Default)]
struct Given(Values);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Given;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of values by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
                let mut values = Values::new();
                let mut many = 0;
                while let Some(name) = map.next_key::<String>()? {
                    many += 1;
                    if many > NAMES_MAX {
                        return Err(de::Error::custom(format_args!("more than {NAMES_MAX} values")));
                    }
                    map.next_value_seed(One { values: &mut values, name })?;
                }
                Ok(Given(values))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// One value, on its way into the others.
struct One<'v> {
    values: &'v mut Values,
    name: String,
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! scalar {
    ($($visit:ident: $kind:ty),+) => {
        $(fn $visit<E: de::Error>(self, value: $kind) -> Result<(), E> {
            self.values.insert(self.name, value);
            Ok(())
        })+
    };
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    scalar!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.values.insert(self.name, ());
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        let value = Value::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
        self.values.insert(self.name, value);
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let value = Value::deserialize(de::value::MapAccessDeserializer::new(map))?;
        self.values.insert(self.name, value);
        Ok(())
    }
}

/// Of a body that is too large, this many times the bound is read and dropped before it is refused.
const DROPPED: usize = 8;

/// Reads a body, within its bounds.
pub(super) async fn read_body<B>(mut body: B, bounds: &Bounds) -> Result<Bytes, Problem>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let by = tokio::time::Instant::now() + bounds.body_time;
    let announced = body.size_hint().lower();
    let most = |times: usize| u64::try_from(bounds.body.saturating_mul(times)).unwrap_or(u64::MAX);
    let problem = if announced > most(1) {
        too_large(bounds.body)
    } else {
        match tokio::time::timeout_at(by, gather(&mut body, bounds.body)).await {
            Ok(Err(problem)) if problem.code() == Code::BodyTooLarge => problem,
            Ok(bytes) => return bytes,
            Err(_) => return Err(too_slow(bounds.body_time)),
        }
    };
    // Who still writes when the connection closes sees it break and not why: so the rest is taken and dropped.
    if announced <= most(DROPPED) {
        let _ = tokio::time::timeout_at(by, drop_rest(&mut body, bounds.body.saturating_mul(DROPPED))).await;
    }
    Err(problem)
}

async fn drop_rest<B: HttpBody<Data = Bytes> + Unpin>(body: &mut B, most: usize) {
    let mut dropped = 0;
    while let Some(Ok(frame)) = body.frame().await {
        dropped += frame.data_ref().map_or(0, Bytes::len);
        if dropped > most {
            return;
        }
    }
}

async fn gather<B: HttpBody<Data = Bytes> + Unpin>(body: &mut B, most: usize) -> Result<Bytes, Problem> {
    // Almost always it is one piece, which is taken as it is.
    let mut first: Option<Bytes> = None;
    let mut more: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::new(Code::BadJson, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.as_ref().map_or(0, Bytes::len).max(more.len());
        if so_far + data.len() > most {
            return Err(too_large(most));
        }
        match first.take() {
            None if more.is_empty() => first = Some(data),
            begun => {
                more.extend_from_slice(&begun.unwrap_or_default());
                more.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| more.into()))
}

fn too_large(most: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body has more than {most} bytes"))
}

fn too_slow(most: Duration) -> Problem {
    Problem::new(Code::BodyTooSlow, format!("the body did not come within {} ms", most.as_millis()))
}

pub(super) fn bad_json(error: &serde_json::Error) -> Problem {
    // What serde says of a wrong type may quote it; the place is enough.
    let what = match error.classify() {
        serde_json::error::Category::Data => "the body is JSON, but not of the form that is wanted",
        _ => "the body is not JSON",
    };
    Problem::new(Code::BadJson, format!("{what}: line {}, column {}", error.line(), error.column()))
}

/// Renders what the body asks for.
pub(super) fn render(core: &Core, headers: &HeaderMap, body: &[u8]) -> Result<Response<Body>, Problem> {
    let wanted: Wanted<'_> = serde_json::from_slice(body).map_err(|error| bad_json(&error))?;
    let Given(values) = &wanted.values;
    let plain = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == b"text/plain");
    if core.is_chat(&wanted.id)? {
        let history: Vec<(&str, &[RenderedMessage])> =
            wanted.history.iter().map(|(name, messages)| (name.as_str(), messages.as_slice())).collect();
        let (messages, owner) =
            placed(core, &wanted.id, || core.render_messages(&wanted.id, values, &history))?;
        let rendered = Rendered { text: None, messages: Some(&messages), of: owner.as_ref().map(of) };
        return Ok(json(serde_json::to_vec(&rendered)));
    }
    if let Some(name) = wanted.history.keys().next() {
        let name: String = name.chars().take(80).collect();
        let detail = format!("prompt {} is one text and has no placeholder {name:?}", clip(&wanted.id));
        return Err(Problem::new(Code::UnknownPlaceholder, detail));
    }
    if plain {
        let (text, owner) = placed(core, &wanted.id, || core.render(&wanted.id, values))?;
        return Ok(text_answer(text, owner.as_ref().map(of)));
    }
    BUFFER.with_borrow_mut(|buffer| {
        let (made, owner) = placed(core, &wanted.id, || {
            buffer.clear();
            core.render_to(&wanted.id, values, buffer)
        })?;
        let () = made;
        let rendered = Rendered { text: Some(buffer), messages: None, of: owner.as_ref().map(of) };
        let mut out = Vec::with_capacity(buffer.len() + buffer.len() / 16 + 256);
        let written = serde_json::to_writer(&mut out, &rendered);
        buffer.clear();
        if buffer.capacity() > BUFFER_KEPT {
            *buffer = String::new();
        }
        Ok(json(written.map(|()| out)))
    })
}

/// Renders, and tells of which set and version it is: both of one moment, whatever is taken up meanwhile.
fn placed<T>(
    core: &Core,
    id: &str,
    mut render: impl FnMut() -> Result<T, PromptError>,
) -> Result<(T, Option<Owner>), PromptError> {
    loop {
        let table = core.cache.load();
        let of = self::owner(core, &table, id)?;
        let rendered = render()?;
        if Arc::ptr_eq(&table, &core.cache.load()) {
            return Ok((rendered, of));
        }
    }
}

/// The set that a prompt is served from.
pub(super) struct Owner {
    pub(super) set: Arc<ActiveSet>,
    /// It stands in the place of what was published.
    pub(super) local: bool,
}

/// Whose a prompt is, of what one moment serves.
pub(super) fn owner(core: &Core, table: &Guard<Arc<Table>>, id: &str) -> Result<Option<Owner>, PromptError> {
    core.with(id, |prompt| {
        let own = |set: &&Arc<ActiveSet>| {
            set.compiled.get(prompt.id().as_str()).is_some_and(|one| Arc::ptr_eq(one, prompt))
        };
        let set = table.sets().iter().find(own)?;
        Some(Owner { set: Arc::clone(set), local: set.local.contains(prompt.id()) })
    })
}

/// The version that a prompt is of.
fn of<'s>(owner: &'s Owner) -> Of<'s> {
    let (set, local) = (&owner.set, owner.local);
    let applied = &set.applied;
    Of {
        set: set.set.as_str(),
        version: &applied.version,
        serial: applied.serial,
        digest: applied.digest,
        local,
    }
}

fn json(bytes: serde_json::Result<Vec<u8>>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes.unwrap_or_default()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Text as it is; which version it is of stands in the head.
fn text_answer(text: String, of: Option<Of<'_>>) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Some(of) = of {
        let mut text = String::new();
        let mut put = |name, value: &dyn fmt::Display| {
            text.clear();
            let _ = write!(text, "{value}");
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("live-set", &of.set);
        put("live-version", &of.version);
        put("live-serial", &of.serial);
        put("live-digest", &of.digest);
    }
    response
}

fn clip(id: &str) -> String {
    id.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(body: &str) -> Result<Vec<String>, Problem> {
        let wanted: Wanted<'_> = serde_json::from_slice(body.as_bytes()).map_err(|e| bad_json(&e))?;
        Ok(wanted.values.0.names().map(str::to_owned).collect())
    }

    #[test]
    fn values_are_read_whatever_they_are_and_a_null_is_none() {
        let body = r#"{"id":"a","values":{"s":"x\n","n":-1,"u":18446744073709551615,"f":1.5,"b":true,
            "l":[1,[2]],"o":{"k":{"d":1}},"none":null}}"#;
        assert_eq!(names(body).unwrap(), ["s", "n", "u", "f", "b", "l", "o"]);
        assert!(names(r#"{"id":"a"}"#).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_asked_in_the_right_form_is_refused_without_a_word_of_it() {
        let deep = format!(r#"{{"id":"a","values":{{"x":{}{}}}}}"#, "[".repeat(500), "]".repeat(500));
        let many: Vec<String> = (0..=NAMES_MAX).map(|n| format!("\"secret{n}\":1")).collect();
        let many = format!(r#"{{"id":"a","values":{{{}}}}}"#, many.join(","));
        let bad = [
            "",
            "{",
            "secret",
            "[]",
            r#"{"values":{}}"#,
            r#"{"id":7}"#,
            r#"{"id":"a","values":"secret"}"#,
            r#"{"id":"a","values":[]}"#,
            r#"{"id":"a","secret":1}"#,
            r#"{"id":"a","history":{"h":[{"role":"user"}]}}"#,
            r#"{"id":"a"} secret"#,
            &deep,
            &many,
        ];
        for bad in bad {
            let problem = names(bad).unwrap_err();
            assert_eq!(problem.status(), 400, "{bad}");
            assert!(!problem.detail().contains("secret"), "{}", problem.detail());
        }
    }
}
