//! The tree of a template, as much of Tera's language as is allowed here.
//!
//! Tera keeps its own tree private. This one knows where each expression stands in the source, so
//! that the guard can price it, and a message can point at it.

/// A statement or a text.
#[derive(Debug, Clone)]
pub(super) enum Node<'s> {
    Text {
        at: usize,
        text: &'s str,
    },
    Output(Expr<'s>),
    If {
        branches: Vec<(Expr<'s>, Vec<Node<'s>>)>,
        otherwise: Vec<Node<'s>>,
    },
    For {
        names: Vec<&'s str>,
        target: Expr<'s>,
        body: Vec<Node<'s>>,
        otherwise: Vec<Node<'s>>,
    },
    Set {
        name: &'s str,
        global: bool,
        value: Expr<'s>,
    },
    /// `{% set name | filters %}…{% endset %}`
    SetBlock {
        name: &'s str,
        global: bool,
        filters: Vec<FilterCall<'s>>,
        body: Vec<Node<'s>>,
    },
    /// `{% filter name %}…{% endfilter %}`
    FilterBlock {
        filters: Vec<FilterCall<'s>>,
        body: Vec<Node<'s>>,
    },
    Include {
        name: &'s str,
        at: usize,
    },
    /// `break` and `continue`
    Jump,
}

/// An expression, and where it stands: bytes `start..end` of the source.
#[derive(Debug, Clone)]
pub(super) struct Expr<'s> {
    pub kind: ExprKind<'s>,
    pub start: usize,
    pub end: usize,
    /// Whether ` | filter` behind it takes all of it, and no parentheses are needed.
    pub closed: bool,
}

#[derive(Debug, Clone)]
pub(super) enum ExprKind<'s> {
    /// A number, boolean or none, as it is written.
    Scalar(&'s str),
    /// A text with its quotes.
    Text(&'s str),
    Var(&'s str),
    /// `loop.index` and its like, inside of a loop.
    LoopField(&'s str),
    Attr {
        base: Box<Expr<'s>>,
        name: &'s str,
        name_at: usize,
        optional: bool,
    },
    Index {
        base: Box<Expr<'s>>,
        index: Box<Expr<'s>>,
    },
    Slice {
        base: Box<Expr<'s>>,
        /// Byte behind the opening bracket.
        inside: usize,
        parts: [Option<Box<Expr<'s>>>; 3],
    },
    Filter {
        base: Box<Expr<'s>>,
        call: FilterCall<'s>,
    },
    Test {
        base: Box<Expr<'s>>,
        name: &'s str,
        name_at: usize,
        args: Args<'s>,
    },
    Call {
        name: &'s str,
        name_at: usize,
        args: Args<'s>,
    },
    Not(Box<Expr<'s>>),
    Minus(Box<Expr<'s>>),
    Binary {
        op: &'s str,
        left: Box<Expr<'s>>,
        right: Box<Expr<'s>>,
    },
    Ternary {
        condition: Box<Expr<'s>>,
        yes: Box<Expr<'s>>,
        no: Box<Expr<'s>>,
    },
    /// A list or a map: its members, and whether each is spread.
    Literal(Vec<(bool, Expr<'s>)>),
    Comprehension {
        names: Vec<&'s str>,
        value: Box<Expr<'s>>,
        target: Box<Expr<'s>>,
        condition: Option<Box<Expr<'s>>>,
    },
    Paren(Box<Expr<'s>>),
}

pub(super) type Args<'s> = Vec<(&'s str, Expr<'s>)>;

#[derive(Debug, Clone)]
pub(super) struct FilterCall<'s> {
    pub name: &'s str,
    pub name_at: usize,
    pub args: Args<'s>,
}

impl<'s> Expr<'s> {
    /// The expression without parentheses around it.
    pub(super) fn bare(&self) -> &Expr<'s> {
        match &self.kind {
            ExprKind::Paren(inner) => inner.bare(),
            _ => self,
        }
    }

    /// Whether its value is small whatever the values are: a number, a boolean, a short answer.
    pub(super) fn is_scalar(&self) -> bool {
        match &self.bare().kind {
            ExprKind::Scalar(_)
            | ExprKind::LoopField(_)
            | ExprKind::Not(_)
            | ExprKind::Minus(_)
            | ExprKind::Test { .. } => true,
            ExprKind::Binary { op, .. } => !matches!(*op, "~" | "and" | "or"),
            ExprKind::Filter { call, .. } => {
                matches!(call.name, "length" | "wordcount" | "abs" | "round" | "int" | "float")
            }
            _ => false,
        }
    }

    /// Whether it is a name, with attributes and subscripts, and nothing else.
    pub(super) fn is_path(&self) -> bool {
        match &self.kind {
            ExprKind::Var(_) => true,
            ExprKind::Attr { base, .. } => base.is_path(),
            ExprKind::Index { base, index } => {
                base.is_path()
                    && (matches!(
                        index.kind,
                        ExprKind::Scalar(_) | ExprKind::Text(_) | ExprKind::LoopField(_)
                    ) || index.is_path())
            }
            _ => false,
        }
    }
}
