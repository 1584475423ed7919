//! Conditions that are read off values without a copy.

use tera::Value;

use super::direct::Halt;
use super::path::{Frame, Lookup, LoopField, Names, Path};
use super::syntax::{Expr, ExprKind};

#[derive(Debug)]
pub(super) enum Condition {
    /// A variable that is neither empty, zero, false nor missing.
    Truth(Path),
    LoopField(LoopField),
    Defined(Path, bool),
    Equal(Path, Value),
    Not(Box<Condition>),
    Both(Box<Condition>, Box<Condition>),
    Either(Box<Condition>, Box<Condition>),
}

impl Condition {
    /// The condition that `expr` is, if it is as simple as that.
    pub(super) fn of(expr: &Expr<'_>, names: &Names<'_>) -> Option<Self> {
        Some(match &expr.bare().kind {
            ExprKind::LoopField(field) => Self::LoopField(LoopField::of(field)?),
            ExprKind::Not(inner) => Self::Not(Box::new(Self::of(inner, names)?)),
            ExprKind::Binary { op: "and", left, right } => {
                Self::Both(Box::new(Self::of(left, names)?), Box::new(Self::of(right, names)?))
            }
            ExprKind::Binary { op: "or", left, right } => {
                Self::Either(Box::new(Self::of(left, names)?), Box::new(Self::of(right, names)?))
            }
            ExprKind::Binary { op: op @ ("==" | "!="), left, right } => {
                let equal = Self::Equal(Path::of(left.bare(), names)?, literal(right)?);
                if *op == "==" { equal } else { Self::Not(Box::new(equal)) }
            }
            ExprKind::Test { base, name: name @ ("defined" | "undefined"), args, .. } if args.is_empty() => {
                Self::Defined(Path::of(base.bare(), names)?, *name == "defined")
            }
            _ => Self::Truth(Path::of(expr.bare(), names)?),
        })
    }

    /// Units of looking at it.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Truth(_) | Self::LoopField(_) | Self::Defined(..) => 1,
            Self::Equal(..) => 2,
            Self::Not(inner) => 1 + inner.weight(),
            Self::Both(left, right) | Self::Either(left, right) => 1 + left.weight() + right.weight(),
        }
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// A part of a path is not there.
    pub(super) fn holds(&self, lookup: &Lookup<'_>, frame: Option<&Frame<'_>>) -> Result<bool, Halt> {
        Ok(match self {
            Self::Truth(path) => lookup.find_or_none(path, frame)?.is_some_and(Value::is_truthy),
            Self::LoopField(field) => frame.is_some_and(|frame| field.of_frame(frame).is_truthy()),
            Self::Defined(path, wanted) => lookup.find_or_none(path, frame)?.is_some() == *wanted,
            Self::Equal(path, literal) => lookup.find_or_none(path, frame)? == Some(literal),
            Self::Not(inner) => !inner.holds(lookup, frame)?,
            Self::Both(left, right) => left.holds(lookup, frame)? && right.holds(lookup, frame)?,
            Self::Either(left, right) => left.holds(lookup, frame)? || right.holds(lookup, frame)?,
        })
    }
}

/// The value of a short text without escapes, a boolean or a small integer.
fn literal(expr: &Expr<'_>) -> Option<Value> {
    /// Longer texts cost more to compare than a step does; the engine prices that.
    const SHORT: usize = 64;
    match &expr.bare().kind {
        ExprKind::Text(text) if text.len() <= SHORT && !text.contains('\\') => {
            Some(Value::from(text.get(1..text.len().checked_sub(1)?)?))
        }
        ExprKind::Scalar("true" | "True") => Some(Value::from(true)),
        ExprKind::Scalar("false" | "False") => Some(Value::from(false)),
        ExprKind::Scalar(text) => text.parse::<i64>().ok().map(Value::from),
        _ => None,
    }
}
