//! What template languages have in common.

use std::collections::BTreeMap;

use schemas::parameter::Kind;

use super::Why;

/// A template that was read, and what means only nearly the same.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) remarks: Vec<Why>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// To be written as it is.
    Text(String),
    Output(Expr),
    If {
        branches: Vec<(Cond, Vec<Node>)>,
        otherwise: Option<Vec<Node>>,
    },
    For {
        name: String,
        over: Expr,
        body: Vec<Node>,
        otherwise: Option<Vec<Node>>,
    },
    Set {
        name: String,
        value: Expr,
    },
    /// What a block writes, as a variable.
    Capture {
        name: String,
        body: Vec<Node>,
    },
    Include(String),
    Comment(String),
    Break,
    Continue,
}

/// A value with filters behind it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expr {
    pub(crate) head: Head,
    pub(crate) filters: Vec<Filter>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Head {
    /// A variable and the way into it; a part of digits is an index.
    Path(Vec<String>),
    Text(String),
    /// As it is written.
    Number(String),
    Bool(bool),
    /// Both ends are in it.
    Range(Box<Expr>, Box<Expr>),
}

/// A filter under the name and with the arguments that Tera has for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) args: Vec<(String, Expr)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cond {
    Holds(Expr),
    Not(Box<Cond>),
    Compare(Expr, &'static str, Expr),
    /// The second is in the first.
    Contains(Expr, Expr),
    All(Vec<Cond>),
    Any(Vec<Cond>),
}

impl Expr {
    pub(crate) fn path(parts: &[&str]) -> Self {
        Head::Path(parts.iter().map(|p| (*p).to_owned()).collect()).into()
    }

    /// The variable that it is, where it is nothing but one.
    pub(crate) fn as_path(&self) -> Option<&[String]> {
        match &self.head {
            Head::Path(parts) if self.filters.is_empty() => Some(parts),
            _ => None,
        }
    }

    /// The same, where it is a variable without a way into it.
    pub(crate) fn as_name(&self) -> Option<&str> {
        match self.as_path() {
            Some([name]) => Some(name),
            _ => None,
        }
    }
}

impl From<Head> for Expr {
    fn from(head: Head) -> Self {
        Self { head, filters: Vec::new() }
    }
}

/// Whether a text can be a part of a path: a name or an index.
pub(crate) fn is_part(text: &str) -> bool {
    !text.is_empty()
        && (text.bytes().all(|b| b.is_ascii_digit())
            || (text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')))
}

/// A path of names with points between them.
pub(crate) fn dotted(text: &str) -> Option<Vec<String>> {
    let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    let first_is_name = parts.first().is_some_and(|p| !p.starts_with(|c: char| c.is_ascii_digit()));
    (first_is_name && parts.iter().all(|p| is_part(p))).then_some(parts)
}

/// What each variable has to be for a template to work, as far as that shows.
pub(crate) fn kinds(nodes: &[Node]) -> BTreeMap<String, Kind> {
    let mut uses = Uses::default();
    uses.nodes(nodes);
    uses.found
}

#[derive(Default)]
struct Uses {
    found: BTreeMap<String, Kind>,
    /// Names that a loop gives, innermost last, with the list that they come from.
    scope: Vec<(String, Option<String>)>,
}

impl Uses {
    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Output(expr) | Node::Set { value: expr, .. } => self.expr(expr),
                Node::If { branches, otherwise } => {
                    for (cond, body) in branches {
                        self.cond(cond);
                        self.nodes(body);
                    }
                    self.nodes(otherwise.as_deref().unwrap_or_default());
                }
                Node::For { name, over, body, otherwise } => {
                    let list = over.as_name().filter(|n| !self.is_inner(n)).map(str::to_owned);
                    match &list {
                        Some(list) => self.note(list, list_of(string())),
                        None => self.expr(over),
                    }
                    self.scope.push((name.clone(), list));
                    self.nodes(body);
                    self.scope.pop();
                    self.nodes(otherwise.as_deref().unwrap_or_default());
                }
                Node::Capture { body, .. } => self.nodes(body),
                Node::Text(_) | Node::Include(_) | Node::Comment(_) | Node::Break | Node::Continue => {}
            }
        }
    }

    fn is_inner(&self, name: &str) -> bool {
        self.scope.iter().any(|(inner, _)| inner == name)
    }

    fn note(&mut self, name: &str, kind: Kind) {
        self.found.entry(name.to_owned()).or_insert(kind);
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.head {
            Head::Path(parts) => {
                let Some((first, rest)) = parts.split_first() else { return };
                let inner = self.scope.iter().rev().find(|(inner, _)| inner == first).cloned();
                match (inner, rest.first()) {
                    (Some((_, Some(list))), Some(_)) => {
                        self.found.insert(list, list_of(object()));
                    }
                    (None, Some(next)) if next.bytes().all(|b| b.is_ascii_digit()) => {
                        self.note(first, list_of(string()));
                    }
                    (None, Some(_)) => {
                        self.found.insert(first.clone(), object());
                    }
                    _ => {}
                }
            }
            Head::Range(from, to) => {
                self.expr(from);
                self.expr(to);
            }
            Head::Text(_) | Head::Number(_) | Head::Bool(_) => {}
        }
        for (_, arg) in expr.filters.iter().flat_map(|f| &f.args) {
            self.expr(arg);
        }
    }

    fn cond(&mut self, cond: &Cond) {
        match cond {
            Cond::Holds(expr) => self.expr(expr),
            Cond::Not(inner) => self.cond(inner),
            Cond::Compare(a, _, b) | Cond::Contains(a, b) => {
                self.expr(a);
                self.expr(b);
            }
            Cond::All(all) | Cond::Any(all) => all.iter().for_each(|c| self.cond(c)),
        }
    }
}

pub(crate) fn string() -> Kind {
    Kind::String { min_length: None, max_length: None }
}

fn object() -> Kind {
    Kind::Object { properties: Vec::new() }
}

pub(crate) fn list_of(items: Kind) -> Kind {
    Kind::List { items: Box::new(items), min_items: None, max_items: None }
}
