//! What differs between two states of a set, for callers and word by word, and which number the
//! next version should have because of it.
//!
//! | what changed | asks for |
//! |---|---|
//! | a prompt is gone or has another name; a call that was right would fail ([`schemas::contract`]): a parameter is gone, newly required, of another type or narrower | major |
//! | a prompt is new; a parameter is new and optional, no longer required, or takes more | minor |
//! | texts, partials, defaults, settings, words for people | patch |

use std::collections::{HashMap, HashSet};

use schemas::Slug;
use schemas::bundle::Dependency;
use schemas::contract::Contract;
use schemas::prompt::{Content, Message, Partial, Prompt, Role};

use super::diff::Diff;
use super::facts::{note_parameters, note_settings};
use crate::author::history::Renames;

/// The title of what changed in what is taken from other sets.
pub const DEPENDENCIES: &str = "dependencies";
/// Why there is a new version at all, where nothing of more weight is a reason.
const ONLY_TEXTS: &str = "only texts changed";
/// Most prompts whose words are shown on one page.
const SHOWN_MAX: usize = 20;

/// How much a change means to callers, by semantic versioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Weight {
    #[default]
    None,
    Patch,
    Minor,
    Major,
}

impl Weight {
    /// `none`, `patch`, `minor` or `major`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

/// One reason for the next version's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub weight: Weight,
    pub what: String,
}

/// The differences of two states.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    pub diffs: Vec<Diff>,
    pub changed: usize,
    pub new: usize,
    pub gone: usize,
    pub same: usize,
    pub plus: usize,
    pub minus: usize,
    pub weight: Weight,
    /// The sentence that explains the weight.
    pub why: String,
    /// Every change that raises more than the last number, heaviest first.
    pub reasons: Vec<Reason>,
}

/// Prompts, partials and dependencies of a draft or of a version.
#[derive(Debug, Clone, Copy, Default)]
pub struct Side<'a> {
    pub prompts: &'a [Prompt],
    pub partials: &'a [Partial],
    pub dependencies: &'a [Dependency],
}

impl Changes {
    /// What `new` has that `old` has not, and the other way round.
    #[must_use]
    pub fn between(old: Side<'_>, new: Side<'_>) -> Self {
        Self::across(old, new, &Renames::default())
    }

    /// The same over changes of names: `renamed` says what each prompt and partial of `old` is called in `new`, where
    /// that is another name.
    #[must_use]
    pub fn across(old: Side<'_>, new: Side<'_>, renamed: &Renames) -> Self {
        let mut changes = Self::default();
        let before: HashMap<&str, &Prompt> = old.prompts.iter().map(|p| (p.id.as_str(), p)).collect();
        let after: HashSet<&str> = new.prompts.iter().map(|p| p.id.as_str()).collect();
        let moved = moved(&renamed.prompts, &before, &after);
        let left: HashSet<&str> = moved.values().map(|p| p.id.as_str()).collect();
        for prompt in new.prompts {
            let id = prompt.id.as_str();
            let stayed = before.get(id).copied().filter(|_| !left.contains(id));
            changes.note_prompt(moved.get(id).copied().or(stayed), Some(prompt));
        }
        for prompt in old.prompts {
            let id = prompt.id.as_str();
            if !left.contains(id) && (!after.contains(id) || moved.contains_key(id)) {
                changes.note_prompt(Some(prompt), None);
            }
        }
        changes.note_partials(old.partials, new.partials, &renamed.partials);
        changes.note_dependencies(old.dependencies, new.dependencies);
        if changes.reasons.len() > 1
            && let Some(texts) = changes.reasons.iter_mut().find(|reason| reason.what == ONLY_TEXTS)
        {
            texts.what = "texts changed".to_owned();
        }
        // Stable: within a weight in the order of the prompts.
        changes.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.weight));
        if let Some(first) = changes.reasons.first() {
            changes.weight = first.weight;
            changes.why = first.what.clone();
        }
        changes
    }

    /// There was no version before: that is the one reason for the next.
    pub(super) fn first(&mut self) {
        self.why = "first version".to_owned();
        self.reasons = vec![Reason { weight: self.weight, what: self.why.clone() }];
    }

    fn because(&mut self, weight: Weight, what: String) {
        self.reasons.push(Reason { weight, what });
    }

    /// The text changed, or what means no more than that.
    fn patch(&mut self) {
        if !self.reasons.iter().any(|reason| reason.weight == Weight::Patch) {
            self.because(Weight::Patch, ONLY_TEXTS.to_owned());
        }
    }

    fn note_prompt(&mut self, old: Option<&Prompt>, new: Option<&Prompt>) {
        let id = new.or(old).map(|p| p.id.to_string()).unwrap_or_default();
        match (old, new) {
            (Some(old), Some(new)) if old == new => return self.same += 1,
            (Some(_), Some(_)) => self.changed += 1,
            (None, _) => {
                self.new += 1;
                self.because(Weight::Minor, format!("{id} is new"));
            }
            (Some(_), None) => {
                self.gone += 1;
                self.because(Weight::Major, format!("{id} is gone"));
            }
        }
        let mut diff = diff(&id, old, new);
        (diff.note, diff.note_state) = match (old, new) {
            (None, _) => (Some("new prompt"), "ok"),
            (_, None) => (Some("removed"), "bad"),
            _ => (None, ""),
        };
        if let (Some(old), Some(new)) = (old, new) {
            let told = self.reasons.len();
            if old.id == new.id {
                self.note_calls(&id, old, new);
            } else {
                (diff.note, diff.note_state) = (Some("renamed"), "info");
                diff.facts.push(format!("renamed from {}", old.id));
                self.because(Weight::Major, format!("{} is now called {id}", old.id));
                self.note_calls(&id, &Prompt { id: new.id.clone(), ..old.clone() }, new);
            }
            note_parameters(&old.parameters, &new.parameters, &mut diff.facts);
            note_settings(old, new, &mut diff.facts);
            // What has a reason of its own needs no other, unless its text changed too.
            if self.reasons.len() == told || old.content != new.content {
                self.patch();
            }
        }
        self.push(diff);
    }

    /// What it means to who calls the prompt.
    fn note_calls(&mut self, id: &str, old: &Prompt, new: &Prompt) {
        let mut broken = false;
        if let Ok(set) = Slug::new("set") {
            let contract = Contract::of(set, semver::Version::new(0, 0, 0), [old]);
            for one in contract.breaks([new]) {
                broken = true;
                self.because(Weight::Major, format!("{id}: {}", one.what));
            }
        }
        for parameter in &new.parameters {
            let name = &parameter.name;
            match old.parameters.iter().find(|p| p.name == *name) {
                None if !parameter.required => {
                    self.because(Weight::Minor, format!("{id} has a new optional parameter {name}"));
                }
                Some(before) if before.required && !parameter.required => {
                    self.because(Weight::Minor, format!("{name} of {id} is now optional"));
                }
                Some(before) if before.kind != parameter.kind && !broken => {
                    self.because(Weight::Minor, format!("{name} of {id} takes more than before"));
                }
                _ => {}
            }
        }
    }

    fn note_partials(&mut self, old: &[Partial], new: &[Partial], renamed: &[(String, String)]) {
        let before: HashMap<&str, &Partial> = old.iter().map(|p| (p.name.as_str(), p)).collect();
        let after: HashSet<&str> = new.iter().map(|p| p.name.as_str()).collect();
        let moved = moved(renamed, &before, &after);
        let left: HashSet<&str> = moved.values().map(|p| p.name.as_str()).collect();
        for partial in new {
            let name = partial.name.as_str();
            let stayed = before.get(name).copied().filter(|_| !left.contains(name));
            self.note_partial(name, moved.get(name).copied().or(stayed), Some(partial));
        }
        for partial in old {
            let name = partial.name.as_str();
            if !left.contains(name) && (!after.contains(name) || moved.contains_key(name)) {
                self.note_partial(name, Some(partial), None);
            }
        }
    }

    fn note_partial(&mut self, name: &str, old: Option<&Partial>, new: Option<&Partial>) {
        if old == new {
            return;
        }
        let text = |one: Option<&Partial>| one.map(|p| p.source.clone()).unwrap_or_default();
        let mut diff = Diff::of(name, &text(old), &text(new));
        diff.note = Some(match (old, new) {
            (None, _) => "new partial",
            (_, None) => "partial removed",
            (Some(old), Some(new)) if old.name != new.name => {
                diff.facts.push(format!("renamed from {}", old.name));
                "partial renamed"
            }
            _ => "partial",
        });
        diff.note_state = "info";
        self.patch();
        self.push(diff);
    }

    fn note_dependencies(&mut self, old: &[Dependency], new: &[Dependency]) {
        let mut facts = Vec::new();
        for one in new {
            match old.iter().find(|o| o.set == one.set) {
                None => facts.push(format!("takes partials from {} {}", one.set, one.version)),
                Some(before) if before.version != one.version => {
                    facts.push(format!("{}: {} → {}", one.set, before.version, one.version));
                }
                Some(_) => {}
            }
        }
        let left = old.iter().filter(|o| !new.iter().any(|n| n.set == o.set));
        facts.extend(left.map(|one| format!("takes nothing from {} any more", one.set)));
        if !facts.is_empty() {
            self.patch();
            self.push(Diff { title: DEPENDENCIES.into(), facts, ..Diff::default() });
        }
    }

    fn push(&mut self, diff: Diff) {
        self.plus += diff.plus;
        self.minus += diff.minus;
        self.diffs.push(diff);
    }

    /// `4 prompts changed, 1 new, 9 unchanged.`
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        let counts =
            [(self.changed, "changed"), (self.new, "new"), (self.gone, "removed"), (self.same, "unchanged")];
        for (n, what) in counts {
            let noun = if n == 1 { "prompt" } else { "prompts" };
            match (n, parts.is_empty(), what) {
                (0, ..) => {}
                (_, true, "new") => parts.push(format!("{n} new {noun}")),
                (_, true, _) => parts.push(format!("{n} {noun} {what}")),
                (_, false, _) => parts.push(format!("{n} {what}")),
            }
        }
        match parts.is_empty() {
            true => "There are no prompts.".to_owned(),
            false => format!("{}.", parts.join(", ")),
        }
    }

    /// The first diffs, and what to say about the rest.
    #[must_use]
    pub fn shown(self) -> (Vec<Diff>, Option<String>) {
        let hidden = self.diffs.len().saturating_sub(SHOWN_MAX);
        let more = (hidden > 0).then(|| match hidden {
            1 => "1 more prompt changed. Compare shows one after the other.".to_owned(),
            n => format!("{n} more prompts changed. Compare shows one after the other."),
        });
        (self.diffs.into_iter().take(SHOWN_MAX).collect(), more)
    }

    /// The version that these changes ask for above `last`.
    #[must_use]
    pub fn next(&self, last: Option<&semver::Version>) -> semver::Version {
        let Some(last) = last else { return semver::Version::new(1, 0, 0) };
        if !last.pre.is_empty() {
            return semver::Version::new(last.major, last.minor, last.patch);
        }
        match self.weight {
            Weight::Major => semver::Version::new(last.major + 1, 0, 0),
            Weight::Minor => semver::Version::new(last.major, last.minor + 1, 0),
            Weight::Patch | Weight::None => semver::Version::new(last.major, last.minor, last.patch + 1),
        }
    }
}

/// By the name that it has now, what had another one before.
fn moved<'a, T>(
    renamed: &'a [(String, String)],
    before: &HashMap<&'a str, &'a T>,
    after: &HashSet<&'a str>,
) -> HashMap<&'a str, &'a T> {
    renamed
        .iter()
        .filter(|(_, now)| after.contains(now.as_str()))
        .filter_map(|(then, now)| Some((now.as_str(), *before.get(then.as_str())?)))
        .collect()
}

/// Whether two texts are compared message by message.
fn by_message(old: Option<&Prompt>, new: Option<&Prompt>) -> bool {
    let chat = |p: Option<&Prompt>| p.is_none_or(|p| matches!(p.content, Content::Chat { .. }));
    chat(old) && chat(new)
}

/// How many lines the text of a prompt has where it is compared, 1 at least: of a chat those of all of its messages.
#[must_use]
pub fn lines(old: Option<&Prompt>, new: &Prompt) -> usize {
    let height = |text: &str| text.lines().count().max(1);
    match by_message(old, Some(new)) {
        true => parts_of(new).iter().map(|(_, text)| height(text)).sum::<usize>().max(1),
        false => height(&text_of(new)),
    }
}

/// The texts of a prompt before and after; two chats message by message.
fn diff(id: &str, old: Option<&Prompt>, new: Option<&Prompt>) -> Diff {
    if by_message(old, new) {
        let parts = |p: Option<&Prompt>| p.map(parts_of).unwrap_or_default();
        return Diff::of_chat(id, &parts(old), &parts(new));
    }
    let text = |p: Option<&Prompt>| p.map(text_of).unwrap_or_default();
    Diff::of(id, &text(old), &text(new))
}

/// The messages of a chat, each by its role and its text.
fn parts_of(prompt: &Prompt) -> Vec<(String, String)> {
    match &prompt.content {
        Content::Text { template } => vec![("text".to_owned(), template.clone())],
        Content::Chat { messages } => messages
            .iter()
            .map(|m| match m {
                Message::Message { role, template } => (role_name(*role).to_owned(), template.clone()),
                Message::Placeholder { name } => ("placeholder".to_owned(), format!("messages of {name}")),
            })
            .collect(),
    }
}

/// All text of a prompt, chat messages one under the other.
fn text_of(prompt: &Prompt) -> String {
    match &prompt.content {
        Content::Text { template } => template.clone(),
        Content::Chat { .. } => {
            let parts = parts_of(prompt).into_iter().map(|(role, text)| format!("── {role} ──\n{text}"));
            parts.collect::<Vec<_>>().join("\n")
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
        Role::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::PromptId;
    use schemas::parameter::{Kind, Parameter};

    fn prompt(id: &str, text: &str, parameters: &[(&str, bool)]) -> Prompt {
        let mut prompt = Prompt::text(PromptId::new(id).unwrap(), text);
        prompt.parameters = parameters
            .iter()
            .map(|(name, required)| Parameter {
                name: (*name).into(),
                kind: Kind::Boolean,
                required: *required,
                default: None,
                description: String::new(),
                example: None,
            })
            .collect();
        prompt
    }

    fn between(old: &[Prompt], new: &[Prompt]) -> Changes {
        let side = |prompts| Side { prompts, ..Side::default() };
        Changes::between(side(old), side(new))
    }

    #[test]
    fn the_proposed_version_follows_from_what_changed_for_callers() {
        let last = semver::Version::new(2, 3, 1);
        let old = [prompt("a", "x", &[("p", false)]), prompt("b", "y", &[])];
        let text = between(&old, &[prompt("a", "z", &[("p", false)]), old[1].clone()]);
        assert_eq!(text.next(Some(&last)).to_string(), "2.3.2");
        let more = between(&old, &[old[0].clone(), old[1].clone(), prompt("c", "n", &[])]);
        assert_eq!((more.next(Some(&last)).to_string(), more.why.as_str()), ("2.4.0".into(), "c is new"));
        let required = between(&old, &[prompt("a", "x", &[("p", true)]), old[1].clone()]);
        assert_eq!(required.next(Some(&last)).to_string(), "3.0.0");
        assert_eq!(required.why, "a: the parameter p is required now");
        let gone = between(&old, &old[..1]);
        assert_eq!(gone.next(Some(&last)).to_string(), "3.0.0");
        assert_eq!(gone.next(None).to_string(), "1.0.0");
        let removed = between(&old, &[prompt("a", "x", &[]), old[1].clone()]);
        assert_eq!((removed.weight, removed.why.as_str()), (Weight::Major, "a: the parameter p is gone"));
    }

    #[test]
    fn a_type_that_takes_more_is_minor_and_one_that_takes_less_is_major() {
        let with = |max_length| {
            let mut one = prompt("a", "x", &[("p", true)]);
            one.parameters[0].kind = Kind::String { min_length: None, max_length };
            one
        };
        let wider = between(&[with(Some(5))], &[with(None)]);
        assert_eq!(
            (wider.weight, wider.diffs[0].facts.join("; ")),
            (Weight::Minor, "p: string, max length 5 → string".into())
        );
        assert_eq!(between(&[with(None)], &[with(Some(5))]).weight, Weight::Major);
    }

    #[test]
    fn what_was_renamed_is_compared_with_what_it_was() {
        let side = |prompts| Side { prompts, ..Side::default() };
        let old = [prompt("a", "one", &[]), prompt("b", "two", &[])];
        let renamed = |then: &str, now: &str| Renames {
            prompts: vec![(then.to_owned(), now.to_owned())],
            ..Renames::default()
        };
        let new = [prompt("b", "two", &[]), prompt("c", "one!", &[])];
        let changes = Changes::across(side(&old), side(&new), &renamed("a", "c"));
        assert_eq!(
            (changes.sentence().as_str(), changes.weight),
            ("1 prompt changed, 1 unchanged.", Weight::Major)
        );
        assert_eq!(changes.diffs[0].facts, ["renamed from a"]);
        // Its former name is somebody else's by now; what had the new name before is gone.
        let new = [prompt("a", "new", &[]), prompt("b", "one", &[])];
        let changes = Changes::across(side(&old), side(&new), &renamed("a", "b"));
        assert_eq!((changes.changed, changes.new, changes.gone), (1, 1, 1));
        // A rename to what is not there changes nothing.
        let changes = Changes::across(side(&old), side(&old), &renamed("a", "z"));
        assert_eq!(changes.same, 2);
    }

    #[test]
    fn differences_are_counted_and_said() {
        let old = [prompt("a", "x", &[]), prompt("b", "y", &[])];
        let mut changed = prompt("a", "x2", &[("q", false)]);
        changed.tags = vec!["mail".into()];
        changed.model.insert("temperature".into(), 0.1.into());
        let changes = between(&old, &[changed, prompt("b", "y", &[]), prompt("c", "", &[])]);
        assert_eq!(changes.sentence(), "1 prompt changed, 1 new, 1 unchanged.");
        assert_eq!(
            changes.diffs[0].facts,
            [
                "new optional parameter q: boolean",
                "model setting temperature: none → 0.1",
                "tags: none → mail"
            ]
        );
        assert_eq!(changes.diffs.len(), 2);
        let reasons: Vec<_> = changes.reasons.iter().map(|r| (r.weight.as_str(), r.what.as_str())).collect();
        assert_eq!(
            reasons,
            [
                ("minor", "a has a new optional parameter q"),
                ("minor", "c is new"),
                ("patch", "texts changed"),
            ]
        );
    }

    #[test]
    fn that_only_texts_changed_is_said_where_nothing_else_did() {
        let said = |old: &[Prompt], new: &[Prompt]| -> Vec<String> {
            between(old, new).reasons.into_iter().map(|reason| reason.what).collect()
        };
        let old = [prompt("a", "x", &[])];
        assert_eq!(said(&old, &[prompt("a", "y", &[])]), ["only texts changed"]);
        let (same, other) = (prompt("a", "x", &[("who", true)]), prompt("a", "y", &[("who", true)]));
        let required = "a: the parameter who is new and required";
        assert_eq!(said(&old, &[same]), [required], "its text did not change");
        assert_eq!(said(&old, &[other]), [required, "texts changed"]);
        assert_eq!(said(&old, &[old[0].clone(), prompt("b", "", &[])]), ["b is new"]);
    }
}
