//! Reading and rendering: the path of every call of the host. No lock, no system call, no await.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use schemas::names::{NameError, Wanted};
use schemas::prompt::{Content, Prompt};
use schemas::status::Mode;
use schemas::template::{CompiledPrompt, RenderError, RenderedMessage, Values};
use schemas::{Slug, Version};

use crate::RENDER_SPANS;
use crate::agent::Core;
use crate::cache::{ActiveSet, Found, Served};
use crate::config::options::distance;
use crate::report::tally::Call;

mod search;

/// Why a prompt was not given. No text of it holds a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    #[error(
        "no agent was started for the whole program: start one with start_global(), or call make_global()"
    )]
    NotStarted,
    #[error("there is no prompt {id:?} here; {near}")]
    Unknown { id: String, near: String },
    #[error(transparent)]
    Address(NameError),
    /// The set is served, but not in the version that the address asks for.
    #[error("{address} is not what is served here, which is {set}@{here}; {why}")]
    OtherVersion { address: String, set: Slug, here: Version, why: &'static str },
    #[error("{address} is of another organisation: this agent serves prompts of {here} only")]
    OtherOrganisation { address: String, here: Slug },
    #[error("prompt {id:?} stands in several sets ({sets}): write @set/{id}")]
    Ambiguous { id: String, sets: String },
    #[error("nothing is served yet: {why}")]
    Empty { why: &'static str },
    #[error(
        "what is here was not confirmed for {age_s} s, and {most_s} s are allowed: see to the connection to FORGE"
    )]
    TooOld { age_s: u64, most_s: u64 },
    #[error(transparent)]
    Render(RenderError),
}

impl PromptError {
    /// Whether the prompt is not here at all: what [`crate::LiveAgent::prompt_or`] has a text for.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::NotStarted | Self::Unknown { .. } | Self::Empty { .. })
    }
}

/// A prompt as its author wrote it. It stays what it was when it was asked for, whatever is
/// published after.
#[derive(Debug, Clone)]
pub struct Template(Arc<CompiledPrompt>);

impl std::ops::Deref for Template {
    type Target = Prompt;
    fn deref(&self) -> &Prompt {
        self.0.prompt()
    }
}

/// One served prompt in a list.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
#[cfg_attr(feature = "serve", derive(schemars::JsonSchema))]
pub struct Listed {
    pub set: Slug,
    pub id: String,
    #[cfg_attr(feature = "serve", schemars(with = "String"))]
    pub version: schemas::Version,
    pub serial: u64,
    pub chat: bool,
    #[serde(default)]
    pub description: String,
    /// Names of the parameters, in the order of the author.
    pub parameters: Vec<String>,
    #[serde(default)]
    pub tags: Vec<String>,
    /// It is of a folder of this machine, and not what FORGE published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
}

impl Core {
    /// Finds a prompt and lends it to `read`.
    pub(crate) fn with<R>(
        &self,
        id: &str,
        read: impl FnOnce(&Arc<CompiledPrompt>) -> R,
    ) -> Result<R, PromptError> {
        self.with_served(id, |served| read(&served.prompt))
    }

    /// Counts and times a render, within a span that bears no value.
    #[inline]
    fn measured<T>(
        &self,
        id: &str,
        render: impl FnOnce(&CompiledPrompt) -> Result<T, RenderError>,
    ) -> Result<T, PromptError> {
        let rendered = self.with_served(id, |served| {
            let tally = &served.tally;
            let span = tracing::debug_span!(
                target: RENDER_SPANS, "render", prompt.set = %tally.set, prompt.id = %tally.prompt,
                prompt.version = %tally.version, otel.status_code = tracing::field::Empty,
            );
            let _within = span.enter();
            let rendered = tally.measure(|| render(&served.prompt));
            if rendered.is_err() {
                span.record("otel.status_code", "ERROR");
            }
            rendered
        });
        rendered.inspect_err(|_| self.meter.count_miss())?.map_err(PromptError::Render)
    }

    /// Counts a call of a model with what a prompt gave.
    pub(crate) fn report(&self, id: &str, call: &Call) -> Result<(), PromptError> {
        self.with_served(id, |served| served.tally.called(call))
    }

    fn with_served<R>(&self, id: &str, read: impl FnOnce(&Served) -> R) -> Result<R, PromptError> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(self.too_old_error());
        }
        let table = self.cache.load();
        match table.find(id, &self.trust.scope().organisation) {
            Found::One(served) => Ok(read(served)),
            Found::None if table.is_empty() => Err(PromptError::Empty { why: self.why_empty() }),
            other => Err(self.not_found(id, other)),
        }
    }

    #[cold]
    fn not_found(&self, id: &str, found: Found<'_>) -> PromptError {
        match found {
            Found::Several(sets) => {
                let sets: Vec<&str> = sets.iter().map(Slug::as_str).collect();
                PromptError::Ambiguous { id: clip(id), sets: sets.join(", ") }
            }
            Found::OtherVersion { set, wanted } => other_version(id, set, &wanted),
            Found::OtherOrganisation => PromptError::OtherOrganisation {
                address: clip(id),
                here: self.trust.scope().organisation.clone(),
            },
            Found::NoAddress(error) => PromptError::Address(error),
            Found::One(_) | Found::None => PromptError::Unknown { id: clip(id), near: self.near(id) },
        }
    }

    pub(crate) fn render(&self, id: &str, values: &Values) -> Result<String, PromptError> {
        self.measured(id, |prompt| prompt.render(values))
    }

    pub(crate) fn render_to(&self, id: &str, values: &Values, out: &mut String) -> Result<(), PromptError> {
        self.measured(id, |prompt| prompt.render_to(values, out))
    }

    /// The rendered text, or `default` as it stands where the prompt is missing.
    pub(crate) fn render_or<'d>(
        &self,
        id: &str,
        values: &Values,
        default: &'d str,
    ) -> Result<Cow<'d, str>, PromptError> {
        match self.render(id, values) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(error) if error.is_missing() => {
                self.meter.count_default();
                Ok(Cow::Borrowed(default))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn render_messages(
        &self,
        id: &str,
        values: &Values,
        history: &[(&str, &[RenderedMessage])],
    ) -> Result<Vec<RenderedMessage>, PromptError> {
        self.measured(id, |prompt| prompt.render_messages(values, history))
    }

    pub(crate) fn template(&self, id: &str) -> Result<Template, PromptError> {
        self.with(id, |prompt| Template(Arc::clone(prompt)))
    }

    pub(crate) fn is_chat(&self, id: &str) -> Result<bool, PromptError> {
        self.with(id, |prompt| matches!(prompt.prompt().content, Content::Chat { .. }))
    }

    /// All that is served, sorted by set and id.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let table = self.cache.load();
        let mut all: Vec<Listed> =
            table.sets().iter().flat_map(|set| set.prompts().map(|p| listed(set, p.prompt()))).collect();
        all.sort_by(|a, b| (&a.set, &a.id).cmp(&(&b.set, &b.id)));
        all
    }

    #[cold]
    fn too_old_error(&self) -> PromptError {
        let most_s = self.too_old().map_or(0, |rule| rule.seconds);
        PromptError::TooOld { age_s: self.age_ms().unwrap_or_default() / 1000, most_s }
    }

    fn why_empty(&self) -> &'static str {
        let state = self.state();
        match state.mode {
            _ if state.is_pinned_out() => {
                "no version that fits the pin of its set came yet; the agent's status shows what waits"
            }
            Mode::Frozen => {
                "the agent is FROZEN and its cache is empty; sync it once, set it to ACCEPTING, or start it with a baked \
                 bundle"
            }
            Mode::Accepting => "no bundle was taken up; publish one, and look at the agent's status",
        }
    }

    /// A few ids that look like the one asked for.
    fn near(&self, id: &str) -> String {
        let table = self.cache.load();
        let wanted = id.rsplit('/').next().unwrap_or(id);
        let ids = || table.sets().iter().flat_map(|set| set.prompts()).map(|p| p.prompt().id.as_str());
        let alike =
            ids().filter(|have| !wanted.is_empty() && (have.contains(wanted) || wanted.contains(have)));
        let mut near: Vec<&str> = alike.take(3).collect();
        if near.is_empty() {
            near.extend(ids().take(LOOKED_AT).filter(|have| is_slip(have, wanted)).take(3));
        }
        near.dedup();
        match near.as_slice() {
            [] => "\"live list\" shows what there is".into(),
            some => format!("did you mean {}", some.join(" or ")),
        }
    }
}

/// Ids that are looked at for one that was mistyped: who asks again and again for what is not there is not held up.
const LOOKED_AT: usize = 1000;

/// Whether an id was meant and mistyped: one letter in four, two at most.
fn is_slip(have: &str, wanted: &str) -> bool {
    let have = have.rsplit('/').next().unwrap_or(have);
    let most = (wanted.len() / 4).min(2);
    // What is asked for may be of any length.
    have.len().abs_diff(wanted.len()) <= most && distance(have, wanted) <= most
}

fn listed(set: &ActiveSet, prompt: &Prompt) -> Listed {
    Listed {
        set: set.set.clone(),
        id: prompt.id.to_string(),
        version: set.applied.version.clone(),
        serial: set.applied.serial,
        chat: matches!(prompt.content, Content::Chat { .. }),
        description: prompt.description.clone(),
        parameters: prompt.parameters.iter().map(|p| p.name.clone()).collect(),
        tags: prompt.tags.clone(),
        local: set.local.contains(&prompt.id),
    }
}

fn other_version(address: &str, set: &ActiveSet, wanted: &Wanted) -> PromptError {
    let why = match wanted {
        Wanted::Alias(_) => {
            "what an alias other than latest means, FORGE says: resolve it there and ask for the version"
        }
        Wanted::Exact(_) | Wanted::Range(_) => "publish one that fits, or ask for what is here",
    };
    let (set, here) = (set.set.clone(), set.applied.version.clone());
    PromptError::OtherVersion { address: clip(address), set, here, why }
}

fn clip(id: &str) -> String {
    id.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_id_is_told_from_another_one() {
        for (have, wanted, slip) in [
            ("welcome.message", "welcome.mesage", true),
            ("mail/reply", "rpely", false),
            ("mail/reply", "repli", true),
            ("hello", "help", false),
            ("a", "b", false),
        ] {
            assert_eq!(is_slip(have, wanted), slip, "{have} {wanted}");
        }
    }
}
