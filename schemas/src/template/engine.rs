//! Tera, with nothing in it but one prompt, and bounds around it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use tera::{ErrorKind, ReportError, Tera};

use super::budget::{self, FUEL, OUTPUT_MAX, Stop};
use super::error::Limit;
use super::filters;
use super::values::Values;

/// What every engine starts from; cloning it is cheaper than building it.
static BASE: LazyLock<Tera> = LazyLock::new(filters::base);

/// A template for the engine: its name, what the guard made of it, and what that costs.
#[derive(Debug)]
pub(super) struct Source {
    pub name: String,
    pub text: String,
    /// What the guard wrote, by place in `text`.
    pub written: Vec<Written>,
}

/// Something that the guard wrote into a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    /// Counted from 1.
    line: u32,
    /// In characters of the line as the engine sees it, counted from 0.
    column: u32,
    /// In characters.
    length: u32,
}

/// One prompt's own engine.
pub(super) struct Engine {
    tera: Tera,
    written: Vec<(String, Vec<Written>)>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("written", &self.written).finish_non_exhaustive()
    }
}

/// Where in which template something is, in the author's own lines and columns, both from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub template: String,
    pub line: usize,
    pub column: usize,
}

/// Why the engine gave up.
#[derive(Debug)]
pub(super) enum Failure {
    Stopped(Stop, Option<Spot>),
    Failed { message: String, spot: Option<Spot> },
    Broken,
}

impl Source {
    /// Writes `insertions`, which are sorted by place, into `source`.
    pub(super) fn new(name: String, source: &str, insertions: &[(usize, String)]) -> Self {
        let extra: usize = insertions.iter().map(|(_, text)| text.len()).sum();
        let mut text = String::with_capacity(source.len() + extra);
        let mut written = Vec::with_capacity(insertions.len());
        let mut from = 0;
        let mut line = 1;
        let mut column = 0;
        for (at, inserted) in insertions {
            let piece = source.get(from..*at).unwrap_or_default();
            text.push_str(piece);
            from = *at;
            line += count(piece.matches('\n').count());
            column = match piece.rsplit_once('\n') {
                Some((_, last)) => count(last.chars().count()),
                None => column + count(piece.chars().count()),
            };
            let length = count(inserted.chars().count());
            written.push(Written { line, column, length });
            column += length;
            text.push_str(inserted);
        }
        text.push_str(source.get(from..).unwrap_or_default());
        Self { name, text, written }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Engine {
    /// Compiles `sources`. `priced` are the filters that the guard wrote into them; `defaults` stand
    /// in for values that are not given.
    ///
    /// # Errors
    /// What Tera does not take, with its place where there is one.
    pub(super) fn new(
        sources: Vec<Source>,
        priced: impl IntoIterator<Item = String>,
        defaults: &Values,
    ) -> Result<Self, Failure> {
        let build = || {
            let mut tera = BASE.clone();
            for name in priced {
                filters::register(&mut tera, name);
            }
            *tera.global_context() = defaults.context().clone();
            tera.add_raw_templates(sources.iter().map(|s| (s.name.as_str(), s.text.as_str())))?;
            Ok(tera)
        };
        let written = sources.iter().map(|s| (s.name.clone(), s.written.clone())).collect::<Vec<_>>();
        match catch_unwind(AssertUnwindSafe(build)) {
            Ok(Ok(tera)) => Ok(Self { tera, written }),
            Ok(Err(error)) => Err(failure(&error, None, &written)),
            Err(_) => Err(Failure::Broken),
        }
    }

    /// Appends the text of `template` to `out`.
    ///
    /// # Errors
    /// The engine's own, or that of a bound that was met. `out` may hold a part of the text then.
    pub(super) fn render(
        &self,
        template: &str,
        cost: u64,
        values: &Values,
        out: &mut String,
    ) -> Result<(), Failure> {
        let mut writer = Capped { left: OUTPUT_MAX, is_over: false, out };
        let (done, stopped) = budget::within(FUEL.saturating_sub(cost), || {
            catch_unwind(AssertUnwindSafe(|| self.tera.render_to(template, values.context(), &mut writer)))
        });
        let stopped = stopped.or(writer.is_over.then_some(Stop::Limit(Limit::Output)));
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failure(&error, stopped, &self.written)),
            Err(_) => Err(Failure::Broken),
        }
    }
}

/// Appends to a text, up to a bound.
struct Capped<'o> {
    left: usize,
    is_over: bool,
    out: &'o mut String,
}

impl io::Write for Capped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        let text = std::str::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        self.left = left;
        self.out.push_str(text);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failure(error: &tera::Error, stopped: Option<Stop>, written: &[(String, Vec<Written>)]) -> Failure {
    let (message, spot) = match error.kind() {
        ErrorKind::SyntaxError(report) => (sentence(report.message()), Some(spot(report, written))),
        ErrorKind::RenderingError(report) => (harmless(report.message()), Some(spot(report, written))),
        _ => (harmless(""), None),
    };
    match stopped {
        Some(stop) => Failure::Stopped(stop, spot),
        None => Failure::Failed { message, spot },
    }
}

/// Brings a place back to where the author wrote it.
fn spot(report: &ReportError, written: &[(String, Vec<Written>)]) -> Spot {
    let template = report.filename().to_owned();
    let line = report.span().start_line;
    let found = report.span().start_col;
    let before: usize = written
        .iter()
        .filter(|(name, _)| *name == template)
        .flat_map(|(_, written)| written)
        .filter(|w| w.line as usize == line && (w.column as usize) < found)
        .map(|w| (w.length as usize).min(found - w.column as usize))
        .sum();
    Spot { template, line, column: found - before + 1 }
}

/// Tera's message as one of ours: lower case, no full stop.
fn sentence(message: &str) -> String {
    let message = message.trim().trim_end_matches('.');
    let mut chars = message.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// What the engine says at render time, without anything in it that may come from a value.
fn harmless(message: &str) -> String {
    /// Messages that hold names of the template and names of types, and nothing else.
    const KNOWN: [&str; 13] = [
        "Cannot compare `",
        "Cannot index into an undefined value",
        "Cannot slice an undefined value",
        "Index expression is undefined",
        "Invalid type for the value, expected `",
        "Iteration not possible on type `",
        "Key/value iteration is not possible on type `",
        "Math operations can only be done on numbers",
        "Missing keyword argument `",
        "Slicing can only be used on",
        "Spread operator requires",
        "`+` requires both operands to be numbers",
        "`range` ",
    ];
    let name = |prefix: &str| {
        message.strip_prefix(prefix).and_then(|rest| rest.split_once('`')).map(|(name, _)| name)
    };
    if let Some(name) = name("Variable `") {
        return no_value(name);
    }
    if let Some(name) = name("Field `") {
        return no_field(name);
    }
    if message.starts_with("Tried to render a variable that is undefined") {
        return "this has no value: give it, or write `… | default(value=…)`".into();
    }
    if KNOWN.iter().any(|known| message.starts_with(known)) {
        return sentence(message);
    }
    "a filter, test or operator cannot take the value that it was given".into()
}

pub(super) fn no_value(name: &str) -> String {
    format!("`{name}` has no value: give it, or write `{name} | default(value=…)`")
}

pub(super) fn no_field(name: &str) -> String {
    format!("there is no field `{name}` in the value")
}
