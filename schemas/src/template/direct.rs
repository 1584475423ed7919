//! The short way: a template of nothing but text and plain variables needs no engine.
//!
//! It is written piece by piece, and the text is the one that Tera would write. A test holds the
//! two against each other.

use std::fmt::Write as _;

use tera::Value;
use tera::value::{Key, ValueKind};

use super::budget::OUTPUT_MAX;
use super::syntax::{Expr, ExprKind, Node};
use super::values::Values;

/// A stretch of the source, in bytes.
type Span = (u32, u32);

#[derive(Debug)]
enum Piece {
    Text(Span),
    /// A variable and its attributes.
    Variable(Box<[Span]>),
}

/// A template that is only text and variables.
#[derive(Debug)]
pub(super) struct Direct(Box<[Piece]>);

/// Why a text was not written; `at` is the byte of the source where the variable's name starts.
#[derive(Debug)]
pub(super) enum Halt {
    Missing { at: usize, is_field: bool },
    TooLong { at: usize },
}

impl Direct {
    /// Takes a template the short way, where that can be gone.
    pub(super) fn of(nodes: &[Node<'_>]) -> Option<Self> {
        let piece = |node: &Node<'_>| match node {
            Node::Text { at, text } => Some(Piece::Text(span(*at, text.len())?)),
            Node::Output(expr) => {
                let mut path = Vec::new();
                collect(expr, &mut path)?;
                Some(Piece::Variable(path.into()))
            }
            _ => None,
        };
        nodes.iter().map(piece).collect::<Option<Box<[_]>>>().map(Self)
    }

    /// Appends the text to `out`. `defaults` stands in for what `values` does not have.
    ///
    /// # Errors
    /// The first variable that is not there, or that makes the text too long.
    pub(super) fn render(
        &self,
        source: &str,
        values: &Values,
        defaults: &Values,
        out: &mut String,
    ) -> Result<(), Halt> {
        let longest = out.len() + OUTPUT_MAX;
        let cut = |span: &Span| source.get(span.0 as usize..span.1 as usize).unwrap_or_default();
        for piece in &self.0 {
            match piece {
                Piece::Text(span) => out.push_str(cut(span)),
                Piece::Variable(path) => {
                    let Some((name, attributes)) = path.split_first() else { continue };
                    let missing = |span: &Span, is_field| Halt::Missing { at: span.0 as usize, is_field };
                    let mut value = values
                        .get(cut(name))
                        .or_else(|| defaults.get(cut(name)))
                        .ok_or_else(|| missing(name, false))?;
                    for attribute in attributes {
                        value = field(value, cut(attribute)).ok_or_else(|| missing(attribute, true))?;
                    }
                    write(value, out);
                    if out.len() > longest {
                        return Err(Halt::TooLong { at: name.0 as usize });
                    }
                }
            }
        }
        Ok(())
    }
}

fn span(at: usize, length: usize) -> Option<Span> {
    Some((u32::try_from(at).ok()?, u32::try_from(at + length).ok()?))
}

fn collect(expr: &Expr<'_>, path: &mut Vec<Span>) -> Option<()> {
    match &expr.kind {
        ExprKind::Var(name) => path.push(span(expr.start, name.len())?),
        ExprKind::Attr { base, name, name_at, optional: false } => {
            collect(base, path)?;
            path.push(span(*name_at, name.len())?);
        }
        _ => return None,
    }
    Some(())
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

/// Writes a value as Tera does.
fn write(value: &Value, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = match value.kind() {
        ValueKind::String => {
            out.push_str(value.as_str().unwrap_or_default());
            Ok(())
        }
        ValueKind::I64 => value.as_i64().map_or(Ok(()), |n| write!(out, "{n}")),
        ValueKind::U64 => value.as_u64().map_or(Ok(()), |n| write!(out, "{n}")),
        ValueKind::Bool => {
            out.push_str(if value.as_bool() == Some(true) { "true" } else { "false" });
            Ok(())
        }
        ValueKind::None | ValueKind::Undefined => Ok(()),
        _ => write!(out, "{value}"),
    };
}
