//! Everything that can be said about a prompt before it is rendered.

use std::cell::OnceCell;

use hashbrown::{HashMap, HashSet};

use super::error::{TemplateError, TemplateErrorCode};
use super::guard::{self, Included, Report};
use super::lex::Flaw;
use super::parse;
use super::syntax::Node;
use crate::names::PromptId;
use crate::parameter::{self, Parameter};
use crate::prompt::{Content, Engine, Message, Partial, Prompt};

/// Deepest chain of includes.
const INCLUDES_MAX: usize = 16;

/// Most undeclared names of one template that are told.
const UNDECLARED_MAX: usize = 100;
/// Most characters of a line that are shown beside an error.
const SHOWN_MAX: usize = 1_000;

/// The partials of a version, read when they are first needed and then kept.
#[derive(Debug)]
pub(super) struct Library<'a>(HashMap<&'a str, Entry<'a>>);

#[derive(Debug)]
struct Entry<'a> {
    partial: &'a Partial,
    nodes: OnceCell<Result<Vec<Node<'a>>, Flaw>>,
}

impl<'a> Library<'a> {
    pub(super) fn new(partials: &'a [Partial]) -> Self {
        let entry = |partial: &'a Partial| (partial.name.as_str(), Entry { partial, nodes: OnceCell::new() });
        Self(partials.iter().map(entry).collect())
    }

    fn nodes(&self, name: &str) -> Option<(&'a Partial, &Result<Vec<Node<'a>>, Flaw>)> {
        let entry = self.0.get(name)?;
        Some((entry.partial, entry.nodes.get_or_init(|| parse::parse(&entry.partial.source))))
    }
}

/// One template of a prompt, read and walked.
pub(super) struct Template<'a> {
    /// Which entry of the content it is.
    pub index: usize,
    pub source: &'a str,
    pub nodes: Vec<Node<'a>>,
    pub report: Report<'a>,
}

/// What is known of a prompt.
pub(super) struct Inspection<'a> {
    pub errors: Vec<TemplateError>,
    pub templates: Vec<Template<'a>>,
    /// The partials that are included, directly or through others.
    pub partials: Vec<(&'a Partial, Report<'a>)>,
}

/// The sources of a prompt, with the place of each in a chat.
fn sources(prompt: &Prompt) -> Vec<(usize, &str)> {
    match &prompt.content {
        Content::Text { template } => vec![(0, template)],
        Content::Chat { messages } => messages
            .iter()
            .enumerate()
            .filter_map(|(index, message)| match message {
                Message::Message { template, .. } => Some((index, template.as_str())),
                Message::Placeholder { .. } => None,
            })
            .collect(),
    }
}

/// Reads and walks all templates of `prompt`.
pub(super) fn inspect<'a>(prompt: &'a Prompt, library: &Library<'a>) -> Inspection<'a> {
    let mut errors = declarations(prompt);
    if prompt.engine == Engine::Plain {
        errors.extend(unused(prompt, &prompt.parameters, &HashSet::new()));
        return Inspection { errors, templates: Vec::new(), partials: Vec::new() };
    }
    let mut read = Vec::new();
    for (index, source) in sources(prompt) {
        match parse::parse(source) {
            Ok(nodes) => read.push((index, source, nodes)),
            Err(flaw) => errors.push(Place::of(prompt, index, source).error(&flaw)),
        }
    }
    let mut includes =
        Includes { library, prompt, order: Vec::new(), state: HashMap::new(), errors: Vec::new() };
    for (index, source, nodes) in &read {
        includes.follow(&Place::of(prompt, *index, source), nodes);
    }
    let order = includes.order;
    errors.extend(includes.errors);
    if errors.iter().any(|error| !error.is_warning()) {
        return Inspection { errors, templates: Vec::new(), partials: Vec::new() };
    }

    let captured = captured(&read, &order, library);
    let mut known: HashMap<&str, Included<'a>> = HashMap::new();
    let mut partials = Vec::new();
    for name in order {
        let Some((partial, Ok(nodes))) = library.nodes(name) else { continue };
        let report = guard::walk(&partial.source, nodes, captured.contains(name), &known);
        let place = Place::of_partial(prompt, partial);
        errors.extend(report.flaws.iter().map(|flaw| place.error(flaw)));
        let free = report.free.iter().map(|(name, _)| *name).collect();
        known.insert(name, Included { free, cost: report.cost, loops: report.loops });
        partials.push((partial, report));
    }
    let mut templates = Vec::new();
    let mut used = HashSet::new();
    for (index, source, nodes) in read {
        let report = guard::walk(source, &nodes, false, &known);
        let place = Place::of(prompt, index, source);
        errors.extend(report.flaws.iter().map(|flaw| place.error(flaw)));
        let mut told = 0;
        for (name, at) in &report.free {
            if used.insert(*name)
                && told < UNDECLARED_MAX
                && prompt.parameters.iter().all(|p| p.name != *name)
            {
                errors.push(place.error(&undeclared(name, *at, source)));
                told += 1;
            }
        }
        templates.push(Template { index, source, nodes, report });
    }
    errors.extend(unused(prompt, &prompt.parameters, &used));
    Inspection { errors, templates, partials }
}

fn undeclared(name: &str, at: usize, source: &str) -> Flaw {
    let message = if name == "loop" {
        "`loop` is only known inside of a `for`".to_owned()
    } else if matches!(source.as_bytes().get(at), Some(b'"' | b'\'' | b'`')) {
        format!("this partial uses `{name}`, which the prompt does not declare: add it to the parameters")
    } else {
        format!("undeclared parameter `{name}`: add it to the parameters")
    };
    Flaw::new(at, TemplateErrorCode::UndeclaredParameter, message)
}

fn declarations(prompt: &Prompt) -> Vec<TemplateError> {
    let found = parameter::validate(&prompt.parameters).err().unwrap_or_default();
    let place = Place { prompt: &prompt.id, partial: None, message_index: None, source: "" };
    found
        .into_iter()
        .map(|error| place.error(&Flaw::new(0, TemplateErrorCode::InvalidParameter, error.to_string())))
        .collect()
}

fn unused(prompt: &Prompt, parameters: &[Parameter], used: &HashSet<&str>) -> Vec<TemplateError> {
    let place = Place { prompt: &prompt.id, partial: None, message_index: None, source: "" };
    parameters
        .iter()
        .filter(|parameter| !used.contains(parameter.name.as_str()))
        .map(|parameter| {
            let message =
                format!("parameter `{}` is declared and not used: use it or remove it", parameter.name);
            place.error(&Flaw::new(0, TemplateErrorCode::UnusedParameter, message))
        })
        .collect()
}

/// Which source a byte is in.
pub(super) struct Place<'a> {
    prompt: &'a PromptId,
    partial: Option<&'a PromptId>,
    message_index: Option<usize>,
    source: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn of(prompt: &'a Prompt, index: usize, source: &'a str) -> Self {
        let message_index = matches!(prompt.content, Content::Chat { .. }).then_some(index);
        Self { prompt: &prompt.id, partial: None, message_index, source }
    }

    pub(super) fn of_partial(prompt: &'a Prompt, partial: &'a Partial) -> Self {
        Self {
            prompt: &prompt.id,
            partial: Some(&partial.name),
            message_index: None,
            source: &partial.source,
        }
    }

    pub(super) fn error(&self, flaw: &Flaw) -> TemplateError {
        let (line, column) = line_and_column(self.source, flaw.at);
        self.error_at(line, column, flaw.code, flaw.message.clone())
    }

    pub(super) fn error_at(
        &self,
        line: usize,
        column: usize,
        code: TemplateErrorCode,
        message: String,
    ) -> TemplateError {
        TemplateError {
            prompt: Some(self.prompt.clone()),
            partial: self.partial.cloned(),
            message_index: self.message_index,
            line,
            column,
            source_line: source_line(self.source, line),
            message,
            code,
        }
    }
}

/// The begin of a line, as an error shows it: there may be many errors in one long line.
pub(super) fn source_line(source: &str, line: usize) -> String {
    let line = source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    line.chars().take(SHOWN_MAX).collect()
}

/// Line and column of a byte, both from 1, the column in characters.
pub(super) fn line_and_column(source: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let before = source.get(..at).unwrap_or_default();
    let last = before.rsplit_once('\n').map_or(before, |(_, last)| last);
    (before.matches('\n').count() + 1, last.chars().count() + 1)
}

/// A source with every partial that it includes called otherwise.
pub(super) fn renamed(source: &str, prefix: &str) -> Result<String, Flaw> {
    let mut names = Vec::new();
    included(&parse::parse(source)?, false, &mut names);
    let mut places: Vec<usize> = names.into_iter().map(|(_, at, _)| at + 1).collect();
    places.sort_unstable();
    let mut out = String::with_capacity(source.len() + places.len() * prefix.len());
    let mut from = 0;
    for at in places {
        out.push_str(source.get(from..at).unwrap_or_default());
        out.push_str(prefix);
        from = at;
    }
    out.push_str(source.get(from..).unwrap_or_default());
    Ok(out)
}

/// Names of the partials that `nodes` include, where, and whether inside of something captured.
fn included<'s>(nodes: &[Node<'s>], captured: bool, found: &mut Vec<(&'s str, usize, bool)>) {
    for node in nodes {
        match node {
            Node::Include { name, at } => found.push((name, *at, captured)),
            Node::If { branches, otherwise } => {
                for (_, body) in branches {
                    included(body, captured, found);
                }
                included(otherwise, captured, found);
            }
            Node::For { body, otherwise, .. } => {
                included(body, captured, found);
                included(otherwise, captured, found);
            }
            Node::SetBlock { body, .. } | Node::FilterBlock { body, .. } => included(body, true, found),
            Node::Text { .. } | Node::Output(_) | Node::Set { .. } | Node::Jump => {}
        }
    }
}

/// Follows includes without recursion, and brings the partials into an order in which each stands
/// behind all that it includes.
struct Includes<'l, 'a> {
    library: &'l Library<'a>,
    prompt: &'a Prompt,
    order: Vec<&'a str>,
    /// `false` while its includes are being followed, `true` after.
    state: HashMap<&'a str, bool>,
    errors: Vec<TemplateError>,
}

impl<'a> Includes<'_, 'a> {
    fn follow(&mut self, root: &Place<'_>, nodes: &[Node<'a>]) {
        let mut stack = vec![(None::<&'a Partial>, Self::next(nodes))];
        while let Some((from, pending)) = stack.last_mut() {
            let from = *from;
            let Some((name, at, _)) = pending.pop() else {
                if let Some(partial) = from {
                    self.state.insert(partial.name.as_str(), true);
                    self.order.push(partial.name.as_str());
                }
                stack.pop();
                continue;
            };
            let mut say = |code, message: String| {
                let flaw = Flaw::new(at, code, message);
                self.errors.push(match from {
                    None => root.error(&flaw),
                    Some(partial) => Place::of_partial(self.prompt, partial).error(&flaw),
                });
            };
            match self.state.get(name) {
                Some(true) => continue,
                Some(false) => {
                    say(
                        TemplateErrorCode::IncludeCycle,
                        format!("`{name}` includes itself, through this one"),
                    );
                    continue;
                }
                None => {}
            }
            if stack.len() > INCLUDES_MAX {
                let message = format!("includes are more than {INCLUDES_MAX} deep: flatten them");
                say(TemplateErrorCode::TooComplex, message);
                return;
            }
            match self.library.nodes(name) {
                None => {
                    let shown: String = name.chars().take(80).collect();
                    let message =
                        format!("there is no partial `{shown}` in this set: add it, or correct the name");
                    say(TemplateErrorCode::UnknownPartial, message);
                }
                Some((partial, Err(flaw))) => {
                    self.state.insert(partial.name.as_str(), true);
                    self.errors.push(Place::of_partial(self.prompt, partial).error(flaw));
                }
                Some((partial, Ok(nodes))) => {
                    self.state.insert(partial.name.as_str(), false);
                    stack.push((Some(partial), Self::next(nodes)));
                }
            }
        }
    }

    /// What to follow, the first at the end.
    fn next(nodes: &[Node<'a>]) -> Vec<(&'a str, usize, bool)> {
        let mut found = Vec::new();
        included(nodes, false, &mut found);
        found.reverse();
        found
    }
}

/// The partials whose output goes into a variable somewhere.
fn captured<'a>(
    read: &[(usize, &'a str, Vec<Node<'a>>)],
    order: &[&'a str],
    library: &Library<'a>,
) -> HashSet<&'a str> {
    let mut captured = HashSet::new();
    let mark = |nodes: &[Node<'a>], all: bool, captured: &mut HashSet<&'a str>| {
        let mut found = Vec::new();
        included(nodes, all, &mut found);
        captured.extend(found.into_iter().filter(|(_, _, inside)| *inside).map(|(name, ..)| name));
    };
    for (_, _, nodes) in read {
        mark(nodes, false, &mut captured);
    }
    // Those that include come before those that they include.
    for name in order.iter().rev() {
        if let Some((_, Ok(nodes))) = library.nodes(name) {
            let all = captured.contains(name);
            mark(nodes, all, &mut captured);
        }
    }
    captured
}
