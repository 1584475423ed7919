//! A folder of prompts that stand before what FORGE published, for development.
//!
//! ```text
//! <folder>/
//!   welcome.message.md      the text of the prompt welcome.message, in every set that has one
//!   mail/reply.txt          the text of mail/reply; .md, .txt and .tera are the same
//!   tools.json              the whole prompt "tools" in the schema: chats, parameters, model settings
//!   @chat/hello.md          the text of hello, in the set chat alone
//! ```
//!
//! A text takes parameters, engine and model settings from the prompt that it stands before; what it uses and
//! nobody declares becomes an optional string, empty where it is not given. One line end at the end of a file
//! is the editor's and is left out. A prompt that no set has is served in the set `local`. A file that cannot be used
//! changes nothing: the last that could stays, and [`LocalStatus::problems`] says what is wrong and where.
//!
//! [`LocalStatus::problems`]: crate::LocalStatus::problems

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use schemas::canonical::Digest;
use schemas::parameter::{Kind, Parameter};
use schemas::prompt::{Content, Engine, Partial, Prompt};
use schemas::status::Applied;
use schemas::template::{self, CompiledPrompt, CompiledSet, TemplateError};
use schemas::{PromptId, Slug, Version};
use serde_json::Value;

use crate::cache::ActiveSet;
use crate::clock;

pub(crate) mod folder;

use folder::Found;

/// Where a prompt stands that no set has.
const OWN_SET: &str = "local";

/// Which prompt a file is for; without a set, for that of each set that has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) set: Option<Slug>,
    pub(crate) id: PromptId,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    Text(String),
    Whole(Box<Prompt>),
}

#[derive(Debug)]
struct File {
    found: Result<(Target, Source), String>,
    /// The last that could be used.
    good: Option<(Target, Source)>,
}

/// The files as they were seen last, and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    files: BTreeMap<PathBuf, File>,
    /// What stands before what FORGE published.
    standing: BTreeMap<(Slug, PromptId), Source>,
    problems: Vec<String>,
}

impl Overrides {
    /// Takes up what is in the folder now: all files, with the content of those that changed.
    pub(crate) fn update(&mut self, all: Vec<Found>) {
        let names: BTreeSet<PathBuf> = all.iter().map(|one| one.path.clone()).collect();
        self.files.retain(|path, _| names.contains(path));
        for one in all {
            let Some(found) = one.content else { continue };
            let good = self.files.remove(&one.path).and_then(|file| file.good);
            self.files.insert(one.path, File { found, good });
        }
    }

    /// What is wrong with files, each with its place.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The sets as they are served, and those in which something changed since the last time.
    pub(crate) fn lay_over(&mut self, published: &[Arc<ActiveSet>]) -> (Vec<Arc<ActiveSet>>, BTreeSet<Slug>) {
        let mut problems = Vec::new();
        let mut laid: BTreeMap<(Slug, PromptId), Laid> = BTreeMap::new();
        for (path, file) in &mut self.files {
            let mut say = |what: &str| problems.push(format!("{}{what}", path.display()));
            let tried = match &file.found {
                Ok((target, source)) => compile_all(published, target, source),
                Err(what) => Err(what.clone()),
            };
            let compiled = match tried {
                Ok(compiled) => {
                    file.good = file.found.as_ref().ok().cloned();
                    compiled
                }
                Err(what) => {
                    say(&what);
                    let good = file.good.as_ref();
                    let last = good.and_then(|(target, source)| compile_all(published, target, source).ok());
                    last.unwrap_or_default()
                }
            };
            let Some((target, source)) = &file.good else { continue };
            for (set, compiled) in compiled {
                let one =
                    Laid { own: target.set.is_some(), source: source.clone(), compiled: Arc::new(compiled) };
                match laid.entry((set, target.id.clone())) {
                    std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(one)),
                    // The file below the set's own folder counts.
                    std::collections::btree_map::Entry::Occupied(mut there)
                        if one.own && !there.get().own =>
                    {
                        there.insert(one);
                    }
                    std::collections::btree_map::Entry::Occupied(there) if one.own == there.get().own => {
                        say(&format!(": another file is for {} already", target.id));
                    }
                    std::collections::btree_map::Entry::Occupied(_) => {}
                }
            }
        }
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            tracing::warn!(problem, "a local override is not taken up");
        }
        self.problems = problems;
        let standing: BTreeMap<_, _> =
            laid.iter().map(|(place, one)| (place.clone(), one.source.clone())).collect();
        let differs = |place: &&(Slug, PromptId)| standing.get(place) != self.standing.get(place);
        let changed = standing.keys().chain(self.standing.keys()).filter(differs);
        let changed: BTreeSet<Slug> = changed.map(|(set, _)| set.clone()).collect();
        self.standing = standing;
        (served(published, laid), changed)
    }
}

/// One that stands before what is published.
struct Laid {
    /// It was named with its set.
    own: bool,
    source: Source,
    compiled: Arc<CompiledPrompt>,
}

fn served(published: &[Arc<ActiveSet>], laid: BTreeMap<(Slug, PromptId), Laid>) -> Vec<Arc<ActiveSet>> {
    let mut by_set: BTreeMap<Slug, Vec<Arc<CompiledPrompt>>> = BTreeMap::new();
    for ((set, _), one) in laid {
        by_set.entry(set).or_default().push(one.compiled);
    }
    let mut all: Vec<Arc<ActiveSet>> = Vec::with_capacity(published.len());
    for base in published {
        all.push(match by_set.remove(&base.set) {
            Some(prompts) => Arc::new(over(base, prompts)),
            None => Arc::clone(base),
        });
    }
    for (set, prompts) in by_set {
        all.push(Arc::new(over(&nothing(set), prompts)));
    }
    all
}

fn over(base: &ActiveSet, prompts: Vec<Arc<CompiledPrompt>>) -> ActiveSet {
    ActiveSet {
        set: base.set.clone(),
        applied: base.applied.clone(),
        local: prompts.iter().map(|prompt| prompt.id().clone()).collect(),
        compiled: base.compiled.with(prompts),
        partials: base.partials.clone(),
    }
}

/// A set of which nothing is published.
fn nothing(set: Slug) -> ActiveSet {
    let applied = Applied {
        publication: String::new(),
        serial: 0,
        version: Version::new(0, 0, 0),
        digest: Digest::of(b""),
        activated_at: clock::now(),
    };
    ActiveSet { set, applied, compiled: CompiledSet::default(), partials: Vec::new(), local: BTreeSet::new() }
}

/// Compiles a file for each set that it is for.
fn compile_all(
    published: &[Arc<ActiveSet>],
    target: &Target,
    source: &Source,
) -> Result<Vec<(Slug, CompiledPrompt)>, String> {
    let one = |set: &Slug, base: Option<&ActiveSet>| {
        let served = base.and_then(|base| base.compiled.get(target.id.as_str())).map(|p| p.prompt());
        let partials = base.map_or(&[][..], |base| &base.partials);
        let compiled = catch_unwind(AssertUnwindSafe(|| compile(&target.id, source, served, partials)));
        let compiled =
            compiled.unwrap_or_else(|_| Err(": this program failed on it; please report it".into()));
        compiled.map(|compiled| (set.clone(), compiled))
    };
    if let Some(set) = &target.set {
        let base = published.iter().find(|base| base.set == *set);
        return Ok(vec![one(set, base.map(AsRef::as_ref))?]);
    }
    let having: Vec<_> =
        published.iter().filter(|base| base.compiled.get(target.id.as_str()).is_some()).collect();
    if having.is_empty() {
        let own = Slug::new(OWN_SET).map_err(|error| error.to_string())?;
        return Ok(vec![one(&own, None)?]);
    }
    having.into_iter().map(|base| one(&base.set, Some(base))).collect()
}

fn compile(
    id: &PromptId,
    source: &Source,
    served: Option<&Prompt>,
    partials: &[Partial],
) -> Result<CompiledPrompt, String> {
    let prompt = match source {
        Source::Whole(prompt) => (**prompt).clone(),
        Source::Text(text) => with_text(id, text, served)?,
    };
    CompiledPrompt::compile(&prompt, partials).map_err(|errors| errors.first().map(place).unwrap_or_default())
}

/// The served prompt with another text.
fn with_text(id: &PromptId, text: &str, served: Option<&Prompt>) -> Result<Prompt, String> {
    let mut prompt = served.cloned().unwrap_or_else(|| Prompt::text(id.clone(), ""));
    if matches!(prompt.content, Content::Chat { .. }) {
        return Err(format!(": {id} is a chat; override it with {id}.json"));
    }
    prompt.content = Content::Text { template: text.to_owned() };
    if prompt.engine == Engine::Plain {
        return Ok(prompt);
    }
    for name in template::extract(text).map_err(|error| place(&error))? {
        if prompt.parameters.iter().all(|parameter| parameter.name != name) {
            prompt.parameters.push(Parameter {
                name,
                kind: Kind::String { min_length: None, max_length: None },
                required: false,
                default: Some(Value::String(String::new())),
                description: String::new(),
                example: None,
            });
        }
    }
    Ok(prompt)
}

/// Where in the file, as compilers write it, and what is wrong there.
fn place(error: &TemplateError) -> String {
    let message = error.message_index.map(|index| format!("message {}, ", index + 1)).unwrap_or_default();
    let partial = error.partial.as_ref().map(|name| format!("partial {name}, ")).unwrap_or_default();
    if message.is_empty() && partial.is_empty() {
        return format!(":{}:{}: {}", error.line, error.column, error.message);
    }
    format!(": {message}{partial}line {}, column {}: {}", error.line, error.column, error.message)
}

#[cfg(test)]
mod tests;
