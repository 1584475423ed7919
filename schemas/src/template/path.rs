//! Variables and their attributes, found without a copy.

use std::sync::atomic::{AtomicU8, Ordering};

use tera::Value;
use tera::value::Key;

use super::direct::{Halt, Why};
use super::syntax::{Expr, ExprKind};
use super::values::Values;
use crate::parameter::check::{Given, is_same};

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
    attributes: Box<[Attribute]>,
}

#[derive(Debug)]
struct Attribute {
    name: Box<str>,
    /// Byte of the source where it starts.
    at: u32,
    /// Where in the object it stood the last time: objects of one kind mostly look alike.
    place: AtomicU8,
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
    /// The parameter that is declared at `place`.
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
    pub given: &'v Given<'v>,
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
                    let at = u32::try_from(*name_at).ok()?;
                    attributes.push(Attribute { name: (*name).into(), at, place: AtomicU8::new(0) });
                    expr = base;
                }
                _ => return None,
            }
        };
        attributes.reverse();
        let mut root = None;
        for (up, [key, value]) in names.loops.iter().rev().enumerate() {
            let up = u16::try_from(up).ok()?;
            if *value == Some(name) {
                root = Some(Root::Item { up });
                break;
            }
            if *key == Some(name) {
                root = Some(Root::Key { up });
                break;
            }
        }
        let root = match root {
            Some(root) => root,
            None => {
                let place = names.parameters.iter().position(|own| *own == name)?;
                Root::Value { place: u16::try_from(place).ok()? }
            }
        };
        Some(Self { root, name: span(expr.start, name.len())?, attributes: attributes.into() })
    }

    /// Byte of the source where it starts.
    pub(super) fn at(&self) -> usize {
        self.name.0 as usize
    }
}

impl<'v> Lookup<'v> {
    #[inline]
    pub(super) fn cut(&self, span: Span) -> &'v str {
        self.source.get(span.0 as usize..span.1 as usize).unwrap_or_default()
    }

    /// The value of a path.
    ///
    /// # Errors
    /// It is not there.
    #[inline]
    pub(super) fn find<'a>(
        &'a self,
        path: &'a Path,
        frame: Option<&'a Frame<'a>>,
    ) -> Result<&'a Value, Halt> {
        let mut value = self.root(path, frame);
        for attribute in &path.attributes {
            value = value.and_then(|value| field(value, attribute));
        }
        value.ok_or_else(|| self.missing(path, frame))
    }

    /// The value of a path, or none where the last part of it is not there.
    ///
    /// # Errors
    /// Another part of it is not there.
    pub(super) fn find_or_none<'a>(
        &'a self,
        path: &'a Path,
        frame: Option<&'a Frame<'a>>,
    ) -> Result<Option<&'a Value>, Halt> {
        let mut value = self.root(path, frame);
        for attribute in &path.attributes {
            let base = value.ok_or_else(|| self.missing(path, frame))?;
            value = field(base, attribute);
        }
        Ok(value)
    }

    #[inline]
    fn root<'a>(&'a self, path: &'a Path, frame: Option<&'a Frame<'a>>) -> Option<&'a Value> {
        match path.root {
            Root::Value { place } => {
                let default = || self.defaults.get(self.cut(path.name));
                self.given.get(usize::from(place)).or_else(default)
            }
            Root::Item { up } => nth(frame, up).map(|frame| match &frame.item {
                Item::Lent(value) => *value,
                Item::Own(value) => value,
            }),
            Root::Key { up } => nth(frame, up).and_then(|frame| frame.key.as_ref()),
        }
    }

    /// Which part of a path is not there.
    #[cold]
    fn missing(&self, path: &Path, frame: Option<&Frame<'_>>) -> Halt {
        let Some(mut value) = self.root(path, frame) else {
            return Halt { at: path.at(), why: Why::NoValue };
        };
        for attribute in &path.attributes {
            match field(value, attribute) {
                Some(next) => value = next,
                None => return Halt { at: attribute.at as usize, why: Why::NoField },
            }
        }
        Halt { at: path.at(), why: Why::NoValue }
    }
}

#[inline]
fn nth<'a>(mut frame: Option<&'a Frame<'a>>, up: u16) -> Option<&'a Frame<'a>> {
    for _ in 0..up {
        frame = frame?.up;
    }
    frame
}

#[inline]
fn field<'v>(value: &'v Value, attribute: &'v Attribute) -> Option<&'v Value> {
    let map = value.as_map()?;
    let place = usize::from(attribute.place.load(Ordering::Relaxed));
    match map.get_index(place) {
        Some((key, value)) if key.as_str().is_some_and(|key| is_same(key, &attribute.name)) => Some(value),
        _ => search(map, attribute),
    }
}

fn search<'v>(map: &'v tera::Map, attribute: &'v Attribute) -> Option<&'v Value> {
    /// Up to here a walk is faster than a hash.
    const WALK: usize = 12;
    let (place, value) = if map.len() <= WALK {
        let mut entries = map.iter().enumerate();
        entries.find_map(|(place, (key, value))| {
            (key.as_str() == Some(&attribute.name)).then_some((place, value))
        })?
    } else {
        let (place, _, value) = map.get_full(&Key::Str(&attribute.name))?;
        (place, value)
    };
    if let Ok(place) = u8::try_from(place) {
        attribute.place.store(place, Ordering::Relaxed);
    }
    Some(value)
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
