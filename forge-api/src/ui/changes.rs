//! What differs between two states of a set, for callers and word by word, and which number the
//! next version should have because of it.

use schemas::parameter::Parameter;
use schemas::prompt::{Content, Engine, Message, Partial, Prompt};

use super::diff::Diff;
use super::editor::role_name;
use super::view::count;

/// Most prompts whose words are shown on one page.
const SHOWN_MAX: usize = 20;

/// How much a change means to callers, by semantic versioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Weight {
    #[default]
    None,
    Patch,
    Minor,
    Major,
}

/// The differences of two states.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
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
}

/// Prompts and partials of a draft or of a version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Side<'a> {
    pub prompts: &'a [Prompt],
    pub partials: &'a [Partial],
}

impl Changes {
    pub(crate) fn between(old: Side<'_>, new: Side<'_>) -> Self {
        let mut changes = Self::default();
        for prompt in new.prompts {
            let before = old.prompts.iter().find(|p| p.id == prompt.id);
            changes.note_prompt(before, Some(prompt));
        }
        for prompt in old.prompts {
            if !new.prompts.iter().any(|p| p.id == prompt.id) {
                changes.note_prompt(Some(prompt), None);
            }
        }
        for partial in new.partials {
            let before = old.partials.iter().find(|p| p.name == partial.name);
            changes.note_partial(
                partial.name.as_str(),
                before.map(|p| p.source.as_str()),
                Some(&partial.source),
            );
        }
        for partial in old.partials {
            if !new.partials.iter().any(|p| p.name == partial.name) {
                changes.note_partial(partial.name.as_str(), Some(&partial.source), None);
            }
        }
        changes
    }

    fn weigh(&mut self, weight: Weight, why: impl FnOnce() -> String) {
        if weight > self.weight {
            self.weight = weight;
            self.why = why();
        }
    }

    fn note_prompt(&mut self, old: Option<&Prompt>, new: Option<&Prompt>) {
        let id = new.or(old).map(|p| p.id.to_string()).unwrap_or_default();
        match (old, new) {
            (Some(old), Some(new)) if old == new => return self.same += 1,
            (Some(_), Some(_)) => self.changed += 1,
            (None, _) => {
                self.new += 1;
                self.weigh(Weight::Minor, || format!("{id} is new"));
            }
            (Some(_), None) => {
                self.gone += 1;
                self.weigh(Weight::Major, || format!("{id} is gone"));
            }
        }
        let text = |p: Option<&Prompt>| p.map(text_of).unwrap_or_default();
        let mut diff = Diff::of(id.clone(), &text(old), &text(new));
        (diff.note, diff.note_state) = match (old, new) {
            (None, _) => (Some("new prompt"), "ok"),
            (_, None) => (Some("removed"), "bad"),
            _ => (None, ""),
        };
        if let (Some(old), Some(new)) = (old, new) {
            self.note_parameters(&id, &old.parameters, &new.parameters, &mut diff.facts);
            note_settings(old, new, &mut diff.facts);
            self.weigh(Weight::Patch, || "only texts changed".to_owned());
        }
        self.push(diff);
    }

    fn note_partial(&mut self, name: &str, old: Option<&str>, new: Option<&str>) {
        if old == new {
            return;
        }
        let mut diff = Diff::of(name, old.unwrap_or_default(), new.unwrap_or_default());
        diff.note = Some(match (old, new) {
            (None, _) => "new partial",
            (_, None) => "partial removed",
            _ => "partial",
        });
        diff.note_state = "info";
        self.weigh(Weight::Patch, || "only texts changed".to_owned());
        self.push(diff);
    }

    fn push(&mut self, diff: Diff) {
        self.plus += diff.plus;
        self.minus += diff.minus;
        self.diffs.push(diff);
    }

    fn note_parameters(&mut self, id: &str, old: &[Parameter], new: &[Parameter], facts: &mut Vec<String>) {
        for parameter in new {
            let name = &parameter.name;
            match old.iter().find(|p| p.name == *name) {
                None if parameter.required => {
                    facts.push(format!("now requires {name}"));
                    self.weigh(Weight::Major, || format!("{id} now requires {name}"));
                }
                None => {
                    facts.push(format!("new optional parameter {name}"));
                    self.weigh(Weight::Minor, || format!("{id} has a new optional parameter {name}"));
                }
                Some(before) if before.required != parameter.required => {
                    let (word, weight) = if parameter.required {
                        ("required", Weight::Major)
                    } else {
                        ("optional", Weight::Minor)
                    };
                    facts.push(format!("{name} is now {word}"));
                    self.weigh(weight, || format!("{name} of {id} is now {word}"));
                }
                Some(before) if before.kind != parameter.kind => {
                    facts.push(format!("{name} has another type or bounds"));
                    self.weigh(Weight::Major, || format!("{name} of {id} has another type or bounds"));
                }
                Some(before) if before.default != parameter.default => {
                    facts.push(format!("{name} has another default"));
                }
                Some(_) => {}
            }
        }
        for parameter in old {
            if !new.iter().any(|p| p.name == parameter.name) {
                facts.push(format!("parameter {} is gone", parameter.name));
                self.weigh(Weight::Major, || format!("parameter {} of {id} is gone", parameter.name));
            }
        }
    }

    /// `4 prompts changed, 1 new, 9 unchanged.`
    pub(crate) fn sentence(&self) -> String {
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
    pub(crate) fn shown(self) -> (Vec<Diff>, Option<String>) {
        let hidden = self.diffs.len().saturating_sub(SHOWN_MAX);
        let more = (hidden > 0).then(|| {
            format!(
                "{} more changed. Compare shows one after the other.",
                count(hidden as u64, "prompt", "prompts")
            )
        });
        (self.diffs.into_iter().take(SHOWN_MAX).collect(), more)
    }

    /// The version that these changes ask for above `last`.
    pub(crate) fn next(&self, last: Option<&semver::Version>) -> semver::Version {
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

/// All text of a prompt, chat messages one under the other.
fn text_of(prompt: &Prompt) -> String {
    match &prompt.content {
        Content::Text { template } => template.clone(),
        Content::Chat { messages } => messages
            .iter()
            .map(|m| match m {
                Message::Message { role, template } => format!("── {} ──\n{template}", role_name(*role)),
                Message::Placeholder { name } => format!("── messages of {name} ──"),
            })
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn note_settings(old: &Prompt, new: &Prompt, facts: &mut Vec<String>) {
    if old.model != new.model {
        facts.push("other model settings".to_owned());
    }
    if old.engine != new.engine {
        let now = if new.engine == Engine::Plain { "plain text" } else { "a Tera template" };
        facts.push(format!("the text is now {now}"));
    }
    if old.description != new.description || old.tags != new.tags || old.metadata != new.metadata {
        facts.push("description, tags or metadata changed".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::PromptId;
    use schemas::parameter::Kind;

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
        Changes::between(Side { prompts: old, partials: &[] }, Side { prompts: new, partials: &[] })
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
        assert_eq!(required.why, "p of a is now required");
        let gone = between(&old, &old[..1]);
        assert_eq!(gone.next(Some(&last)).to_string(), "3.0.0");
        assert_eq!(gone.next(None).to_string(), "1.0.0");
    }

    #[test]
    fn differences_are_counted_and_said() {
        let old = [prompt("a", "x", &[]), prompt("b", "y", &[])];
        let changes =
            between(&old, &[prompt("a", "x2", &[("q", false)]), prompt("b", "y", &[]), prompt("c", "", &[])]);
        assert_eq!(changes.sentence(), "1 prompt changed, 1 new, 1 unchanged.");
        assert_eq!(changes.diffs[0].facts, ["new optional parameter q"]);
        assert_eq!(changes.diffs.len(), 2);
    }
}
