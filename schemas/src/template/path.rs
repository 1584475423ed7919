//! Variables and their attributes, found without a copy.

use tera::Value;
use tera::value::Key;

use super::direct::{Halt, Why};
use super::syntax::{Expr, ExprKind};
use super::values::Values;

/// A stretch of the source, in bytes.
pub(super) type Span = (u32, u32);

pub(super) fn span(at: usize, length: usize) -> Option<Span> {
    Some((u32::try_from(at).ok()?, u32::try_from(at + length).ok()?))
}

/// A variable and its attributes.
#[derive(Debug)]
pub(super) struct Path {
    root: Root,
    name: Span,
    attributes: Box<[Span]>,
}

/// The names that a template knows where it is being read.
pub(super) struct Names<'s> {
    /// Of the parameters, in the order of their declarations.
    pub parameters: Vec<&'s str>,
    /// Of the open loops, the innermost last: key and value.
    pub loops: Vec<[Option<&'s str>; 2]>,
}

#[derive(Debug, Clone, Copy)]
enum Root {
    /// What the caller gives; it probably stands at `place`.
    Value { place: u16 },
    /// What a loop stands at, so many loops further out.
    Item { up: u16 },
    /// The key of it.
    Key { up: u16 },
}

/// A loop that is running, seen from inside.
pub(super) struct Frame<'f> {
    pub up: Option<&'f Frame<'f>>,
    pub key: Option<Value>,
    pub item: Item<'f>,
    pub index: usize,
    pub length: usize,
}

pub(super) enum Item<'f> {
    Lent(&'f Value),
    Own(Value),
}

/// Where values are looked up.
pub(super) struct Lookup<'v> {
    pub source: &'v str,
    pub values: &'v Values,
    pub defaults: &'v Values,
}

impl Path {
    /// The path that `expr` is, if it is one.
    pub(super) fn of(expr: &Expr<'_>, names: &Names<'_>) -> Option<Self> {
        let mut attributes = Vec::new();
        let mut expr = expr;
        let name = loop {
            match &expr.kind {
                ExprKind::Var(name) => break *name,
                ExprKind::Attr { base, name, name_at, optional: false } => {
                    attributes.push(span(*name_at, name.len())?);
                    expr = base;
                }
                _ => return None,
            }
        };
        attributes.reverse();
        let place = names.parameters.iter().position(|own| *own == name).unwrap_or_default();
        let mut root = Root::Value { place: u16::try_from(place).ok()? };
        for (up, [key, value]) in names.loops.iter().rev().enumerate() {
            let up = u16::try_from(up).ok()?;
            if *value == Some(name) {
                root = Root::Item { up };
                break;
            }
            if *key == Some(name) {
                root = Root::Key { up };
                break;
            }
        }
        Some(Self { root, name: span(expr.start, name.len())?, attributes: attributes.into() })
    }

    /// Byte of the source where it starts.
    pub(super) fn at(&self) -> usize {
        self.name.0 as usize
    }
}

impl<'v> Lookup<'v> {
    pub(super) fn cut(&self, span: Span) -> &'v str {
        self.source.get(span.0 as usize..span.1 as usize).unwrap_or_default()
    }

    /// The value of a path.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn find<'a>(&self, path: &Path, frame: Option<&'a Frame<'a>>) -> Result<&'a Value, Halt>
    where
        'v: 'a,
    {
        self.find_or_none(path, frame)?.ok_or_else(|| match path.attributes.last() {
            Some(last) => Halt { at: last.0 as usize, why: Why::NoField },
            None => Halt { at: path.at(), why: Why::NoValue },
        })
    }

    /// The value of a path, or none where the last part of it is not there.
    ///
    /// # Errors
    /// Another part of it is not there.
    pub(super) fn find_or_none<'a>(
        &self,
        path: &Path,
        frame: Option<&'a Frame<'a>>,
    ) -> Result<Option<&'a Value>, Halt>
    where
        'v: 'a,
    {
        let root: Option<&'a Value> = match path.root {
            Root::Value { place } => {
                let name = self.cut(path.name);
                self.values.get_near(name, usize::from(place)).or_else(|| self.defaults.get(name))
            }
            Root::Item { up } => nth(frame, up).map(|frame| match &frame.item {
                Item::Lent(value) => *value,
                Item::Own(value) => value,
            }),
            Root::Key { up } => nth(frame, up).and_then(|frame| frame.key.as_ref()),
        };
        let Some((last, attributes)) = path.attributes.split_last() else { return Ok(root) };
        let mut value = root.ok_or_else(|| Halt { at: path.at(), why: Why::NoValue })?;
        for attribute in attributes {
            value = field(value, self.cut(*attribute))
                .ok_or_else(|| Halt { at: attribute.0 as usize, why: Why::NoField })?;
        }
        Ok(field(value, self.cut(*last)))
    }
}

fn nth<'a>(mut frame: Option<&'a Frame<'a>>, up: u16) -> Option<&'a Frame<'a>> {
    for _ in 0..up {
        frame = frame?.up;
    }
    frame
}

fn field<'v>(value: &'v Value, name: &'v str) -> Option<&'v Value> {
    /// Up to here a walk is faster than a hash.
    const WALK: usize = 12;
    let map = value.as_map()?;
    if map.len() <= WALK {
        map.iter().find_map(|(key, value)| (key.as_str() == Some(name)).then_some(value))
    } else {
        map.get(&Key::Str(name))
    }
}

/// `loop.index` and its like.
#[derive(Debug, Clone, Copy)]
pub(super) enum LoopField {
    Index,
    Index0,
    First,
    Last,
    Length,
}

impl LoopField {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "index" => Self::Index,
            "index0" => Self::Index0,
            "first" => Self::First,
            "last" => Self::Last,
            "length" => Self::Length,
            _ => return None,
        })
    }

    pub(super) fn of_frame(self, frame: &Frame<'_>) -> Value {
        match self {
            Self::Index => Value::from(frame.index as u64 + 1),
            Self::Index0 => Value::from(frame.index as u64),
            Self::First => Value::from(frame.index == 0),
            Self::Last => Value::from(frame.index + 1 == frame.length),
            Self::Length => Value::from(frame.length as u64),
        }
    }
}
