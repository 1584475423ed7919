//! The short way: a template of text, plain variables, loops and simple conditions needs no engine.
//!
//! It is written piece by piece, and the text is the one that Tera would write; a test holds the two
//! against each other. What is found here is only what can be read off a value without a copy.

use std::fmt::Write as _;

use tera::Value;
use tera::value::ValueKind;

use super::budget::{FUEL, OUTPUT_MAX};
use super::condition::Condition;
use super::error::Limit;
use super::path::{self, Frame, Item, Lookup, Names, Path, Span, span};
use super::syntax::{Expr, ExprKind, Node};
use super::values::Values;
use crate::parameter::check::Given;

#[derive(Debug)]
enum Step {
    Text(Span),
    /// A variable, and the text before it.
    Variable(Span, Path),
    LoopField(path::LoopField),
    For(Loop),
    If {
        branches: Box<[(Condition, Box<[Step]>)]>,
        otherwise: Box<[Step]>,
    },
}

#[derive(Debug)]
struct Loop {
    target: Path,
    has_key: bool,
    body: Box<[Step]>,
    /// Units of one round, loops in it not counted.
    round: u64,
    /// What is written where there is no round.
    otherwise: Box<[Step]>,
}

/// A template that is written without the engine.
#[derive(Debug)]
pub(super) struct Direct(Box<[Step]>);

/// Why a text was not written.
#[derive(Debug)]
pub(super) struct Halt {
    /// Byte of the source that it is about.
    pub at: usize,
    pub why: Why,
}

#[derive(Debug)]
pub(super) enum Why {
    NoValue,
    NoField,
    NotIterable { found: &'static str, by_key: bool },
    Limit(Limit),
}

impl Direct {
    /// Takes a template the short way, where that can be gone.
    ///
    /// `parameters` are the names that are declared; callers mostly keep to their order.
    pub(super) fn of<'s>(nodes: &[Node<'s>], parameters: Vec<&'s str>) -> Option<Self> {
        steps(nodes, &mut Names { parameters, loops: Vec::new() }).map(Self)
    }

    /// Appends the text to `out`. `defaults` stands in for what is not given.
    ///
    /// # Errors
    /// The first variable that is not there or cannot be walked, or a limit.
    pub(super) fn render(
        &self,
        source: &str,
        given: &Given<'_>,
        defaults: &Values,
        out: &mut String,
    ) -> Result<(), Halt> {
        let longest = out.len() + OUTPUT_MAX;
        let lookup = Lookup { source, given, defaults };
        Writer { lookup: &lookup, longest, fuel: FUEL, out }.steps(&self.0, None)
    }
}

fn steps<'s>(nodes: &[Node<'s>], names: &mut Names<'s>) -> Option<Box<[Step]>> {
    let mut steps: Vec<Step> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let step = match (step(node, names)?, steps.last()) {
            (Step::Variable(_, path), Some(Step::Text(before))) => {
                let before = *before;
                steps.pop();
                Step::Variable(before, path)
            }
            (step, _) => step,
        };
        steps.push(step);
    }
    Some(steps.into())
}

fn step<'s>(node: &Node<'s>, names: &mut Names<'s>) -> Option<Step> {
    Some(match node {
        Node::Text { at, text } => Step::Text(span(*at, text.len())?),
        Node::Output(Expr { kind: ExprKind::LoopField(field), .. }) => {
            Step::LoopField(path::LoopField::of(field)?)
        }
        Node::Output(expr) => Step::Variable((0, 0), Path::of(expr, names)?),
        Node::For { names: own, target, body, otherwise } => {
            let target = Path::of(target, names)?;
            let (key, value) = match own.as_slice() {
                [value] => (None, *value),
                [key, value] => (Some(*key), *value),
                _ => return None,
            };
            names.loops.push([key, Some(value)]);
            let body = steps(body, names);
            names.loops.pop();
            let body = body?;
            let round = 2 + weight(&body);
            let otherwise = steps(otherwise, names)?;
            Step::For(Loop { target, has_key: key.is_some(), body, round, otherwise })
        }
        Node::If { branches, otherwise } => {
            let mut taken = Vec::with_capacity(branches.len());
            for (condition, body) in branches {
                taken.push((Condition::of(condition, names)?, steps(body, names)?));
            }
            Step::If { branches: taken.into(), otherwise: steps(otherwise, names)? }
        }
        Node::Set { .. }
        | Node::SetBlock { .. }
        | Node::FilterBlock { .. }
        | Node::Include { .. }
        | Node::Jump => return None,
    })
}

/// Units of `steps`, every branch counted and loops in them not.
fn weight(steps: &[Step]) -> u64 {
    let one = |step: &Step| match step {
        Step::Text(_) | Step::Variable(..) | Step::LoopField(_) => 1,
        Step::For(own) => 2 + weight(&own.otherwise),
        Step::If { branches, otherwise } => {
            let taken = branches.iter().map(|(condition, body)| condition.weight() + weight(body));
            taken.sum::<u64>() + weight(otherwise)
        }
    };
    steps.iter().map(one).sum()
}

struct Writer<'v, 'o> {
    lookup: &'v Lookup<'v>,
    longest: usize,
    fuel: u64,
    out: &'o mut String,
}

impl<'v> Writer<'v, '_> {
    fn steps(&mut self, steps: &[Step], frame: Option<&Frame<'_>>) -> Result<(), Halt> {
        for step in steps {
            match step {
                Step::Text(span) => self.out.push_str(self.lookup.cut(*span)),
                Step::Variable(before, path) => {
                    self.out.push_str(self.lookup.cut(*before));
                    let value = self.lookup.find(path, frame)?;
                    let units = write(value, self.out);
                    self.spend(path, units)?;
                }
                Step::LoopField(field) => {
                    if let Some(frame) = frame {
                        write(&field.of_frame(frame), self.out);
                    }
                }
                Step::For(own) => {
                    if !self.each(own, frame)? {
                        self.steps(&own.otherwise, frame)?;
                    }
                }
                Step::If { branches, otherwise } => {
                    let mut chosen = otherwise;
                    for (condition, body) in branches {
                        if condition.holds(self.lookup, frame)? {
                            chosen = body;
                            break;
                        }
                    }
                    self.steps(chosen, frame)?;
                }
            }
        }
        Ok(())
    }

    /// Takes `units`, and looks at the length of what was written.
    #[inline]
    fn spend(&mut self, path: &Path, units: u64) -> Result<(), Halt> {
        self.fuel = self.fuel.saturating_sub(units);
        let limit = if self.out.len() > self.longest {
            Limit::Output
        } else if self.fuel == 0 {
            Limit::Work
        } else {
            return Ok(());
        };
        Err(Halt { at: path.at(), why: Why::Limit(limit) })
    }

    /// Runs a loop, and says whether there was a round.
    fn each(&mut self, own: &Loop, up: Option<&Frame<'_>>) -> Result<bool, Halt> {
        let Loop { target, has_key, body, round: units, .. } = own;
        let value = self.lookup.find_or_none(target, up)?;
        let found = value.map_or(ValueKind::Undefined, Value::kind);
        let is_walkable =
            matches!(found, ValueKind::Array | ValueKind::Map | ValueKind::String | ValueKind::Bytes);
        let value = match value {
            Some(value) if is_walkable && (!*has_key || found == ValueKind::Map) => value,
            _ => {
                let why =
                    Why::NotIterable { found: value.map_or("undefined", Value::name), by_key: is_walkable };
                return Err(Halt { at: target.at(), why });
            }
        };
        let length = value.len().unwrap_or_default();
        let round = |writer: &mut Self, index: usize, key: Option<Value>, item: Item<'_>| {
            writer.fuel = writer.fuel.saturating_sub(*units);
            if writer.fuel == 0 || writer.out.len() > writer.longest {
                let limit = if writer.fuel == 0 { Limit::Work } else { Limit::Output };
                return Err(Halt { at: target.at(), why: Why::Limit(limit) });
            }
            writer.steps(body, Some(&Frame { up, key, item, index, length }))
        };
        if let Some(items) = value.as_array() {
            for (index, item) in items.iter().enumerate() {
                round(self, index, None, Item::Lent(item))?;
            }
        } else if let Some(map) = value.as_map() {
            for (index, (key, item)) in map.iter().enumerate() {
                round(self, index, Some(key.as_value()), Item::Lent(item))?;
            }
        } else if let Some(text) = value.as_str() {
            let mut buffer = [0; 4];
            for (index, c) in text.chars().enumerate() {
                round(self, index, None, Item::Own(Value::from(&*c.encode_utf8(&mut buffer))))?;
            }
        } else if let Some(bytes) = value.as_bytes() {
            for (index, byte) in bytes.iter().enumerate() {
                round(self, index, None, Item::Own(Value::from(u64::from(*byte))))?;
            }
        }
        Ok(length > 0)
    }
}

/// Writes a value as Tera does, and says how many units that takes.
#[inline]
fn write(value: &Value, out: &mut String) -> u64 {
    match value.kind() {
        ValueKind::String => out.push_str(value.as_str().unwrap_or_default()),
        ValueKind::I64 | ValueKind::U64 => match value.as_i64() {
            Some(n) => out.push_str(itoa::Buffer::new().format(n)),
            None => return other(value, out),
        },
        ValueKind::Bool => out.push_str(if value.as_bool() == Some(true) { "true" } else { "false" }),
        ValueKind::None | ValueKind::Undefined => {}
        _ => return other(value, out),
    }
    1
}

#[cold]
fn other(value: &Value, out: &mut String) -> u64 {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
    1 + value.as_array().map_or(0, <[Value]>::len) as u64 + value.as_map().map_or(0, tera::Map::len) as u64
}
