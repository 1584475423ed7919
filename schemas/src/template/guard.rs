//! Walks the tree of a template: what it uses, what it costs, and where prices go into it.
//!
//! The engine has no bound of its own on time or memory. So the guard writes filters into the
//! source, by insertion only, that charge an operand or a whole loop when it is entered. The engine
//! then runs the rest unmodified.

use hashbrown::{HashMap, HashSet};

use super::budget::FUEL;
use super::error::TemplateErrorCode::{
    self, Forbidden, TooComplex, UnknownFilter, UnknownFunction, UnknownTest,
};
use super::filters::{self, INDEX, LOOK, LOOP, PRICED, WEIGH};
use super::lex::Flaw;
use super::syntax::{Args, Expr, ExprKind, FilterCall, Node};

/// Deepest nesting of loops, through partials.
const LOOPS_MAX: usize = 8;
/// Most flaws of one template that are told.
const FLAWS_MAX: usize = 100;
/// What a filter or a function costs beside its words.
const CALL_COST: u64 = 3;

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Report<'s> {
    /// Names that come from outside, in the order of their first use, and where that is.
    pub free: Vec<(&'s str, usize)>,
    /// What to write into the source: where, and what. In the order of the source.
    pub insertions: Vec<(usize, String)>,
    /// The filters among them that are made to measure: loops, and the namesakes of Tera's own.
    pub filters: Vec<String>,
    pub flaws: Vec<Flaw>,
    /// Units of one run, loops not counted.
    pub cost: u64,
    /// Deepest nesting of loops, through partials.
    pub loops: usize,
}

/// What a template has to know of the partials that it includes.
#[derive(Debug, Clone, Default)]
pub(super) struct Included<'s> {
    pub free: Vec<&'s str>,
    pub cost: u64,
    pub loops: usize,
}

/// Walks `nodes` of `source`. `captured` says that the output goes into a variable somewhere.
pub(super) fn walk<'s>(
    source: &'s str,
    nodes: &[Node<'s>],
    captured: bool,
    partials: &HashMap<&str, Included<'s>>,
) -> Report<'s> {
    let mut guard = Guard {
        source,
        partials,
        report: Report::default(),
        seen: HashSet::new(),
        scopes: vec![Vec::new()],
        loops: 0,
        captures: usize::from(captured),
    };
    let cost = guard.nodes(nodes);
    let mut report = guard.report;
    report.cost = cost;
    if cost > FUEL / 2 {
        let message = "the template and what it includes cost more than a render may take: make it smaller";
        report.flaws.push(Flaw::new(0, TooComplex, message));
    }
    report.insertions.sort_by_key(|(at, _)| *at);
    report
}

struct Guard<'s, 'p> {
    source: &'s str,
    partials: &'p HashMap<&'p str, Included<'s>>,
    report: Report<'s>,
    /// The names of [`Report::free`].
    seen: HashSet<&'s str>,
    /// Names set so far: of the template, then of each open loop.
    scopes: Vec<Vec<&'s str>>,
    loops: usize,
    captures: usize,
}

impl<'s> Guard<'s, '_> {
    fn flaw(&mut self, at: usize, code: TemplateErrorCode, message: impl Into<String>) {
        if self.report.flaws.len() < FLAWS_MAX {
            self.report.flaws.push(Flaw::new(at, code, message));
        }
    }

    fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.report.insertions.push((at, text.into()));
    }

    fn name(&mut self, name: &'s str, at: usize) {
        let own = self.scopes.iter().flatten().any(|own| *own == name);
        if !own && self.seen.insert(name) {
            self.report.free.push((name, at));
        }
    }

    fn define(&mut self, name: &'s str, global: bool) {
        let scope = if global { self.scopes.first_mut() } else { self.scopes.last_mut() };
        if let Some(scope) = scope {
            scope.push(name);
        }
    }

    fn nodes(&mut self, nodes: &[Node<'s>]) -> u64 {
        nodes.iter().fold(0, |cost: u64, node| cost.saturating_add(self.node(node)))
    }

    fn captured(&mut self, body: &[Node<'s>]) -> u64 {
        self.captures += 1;
        let cost = self.nodes(body);
        self.captures -= 1;
        cost
    }

    fn node(&mut self, node: &Node<'s>) -> u64 {
        match node {
            Node::Text { text, .. } => 1 + text.len() as u64 / if self.captures > 0 { 8 } else { 64 },
            Node::Output(expr) => {
                let cost = self.expr(expr);
                if self.captures > 0 && !expr.is_scalar() {
                    self.wrap(expr, WEIGH);
                }
                cost + 1
            }
            Node::If { branches, otherwise } => {
                let mut cost: u64 = 1;
                for (condition, body) in branches {
                    cost = cost.saturating_add(self.expr(condition)).saturating_add(self.nodes(body));
                }
                cost.saturating_add(self.nodes(otherwise))
            }
            Node::For { names, target, body, otherwise } => {
                let mut cost = self.expr(target).saturating_add(2);
                let round = self.in_loop(names, target.start, |guard| guard.nodes(body));
                self.price_loop(target, round);
                cost = cost.saturating_add(self.nodes(otherwise));
                cost
            }
            Node::Set { name, global, value } => {
                let cost = self.expr(value);
                // A name too: in a loop it may stand for a list made around what it is set to.
                self.operand(value);
                self.define(name, *global);
                cost + 1
            }
            Node::SetBlock { name, global, filters, body } => {
                let cost = self.captured(body).saturating_add(self.filters(filters));
                self.define(name, *global);
                cost
            }
            Node::FilterBlock { filters, body } => self.captured(body).saturating_add(self.filters(filters)),
            Node::Include { name, at } => {
                let Some(included) = self.partials.get(name) else { return 0 };
                let (cost, loops) = (included.cost, included.loops);
                for free in &included.free {
                    self.name(free, *at);
                }
                self.deepen(loops, *at);
                cost.saturating_add(4)
            }
            Node::Jump => 1,
        }
    }

    /// Walks what is done once per round, with the names of the loop known in it.
    fn in_loop(&mut self, names: &[&'s str], at: usize, walk: impl FnOnce(&mut Self) -> u64) -> u64 {
        self.loops += 1;
        self.deepen(0, at);
        self.scopes.push(names.to_vec());
        let cost = walk(self);
        self.scopes.pop();
        self.loops -= 1;
        cost
    }

    fn deepen(&mut self, inner: usize, at: usize) {
        let depth = self.loops + inner;
        self.report.loops = self.report.loops.max(depth);
        if depth > LOOPS_MAX {
            let message = format!("more than {LOOPS_MAX} loops in one another: prepare the values instead");
            self.flaw(at, TooComplex, message);
        }
    }

    fn price_loop(&mut self, target: &Expr<'s>, round: u64) {
        let name = format!("{LOOP}{}", round.saturating_add(2));
        self.wrap(target, &name);
        self.report.filters.push(name);
    }

    /// Passes the value of `expr` through the filter `name`.
    fn wrap(&mut self, expr: &Expr<'s>, name: &str) {
        if expr.closed {
            self.insert(expr.end, format!("|{name}"));
        } else {
            self.insert(expr.start, "(");
            self.insert(expr.end, format!(")|{name}"));
        }
    }

    /// Charges a value that is looked at as a whole.
    fn operand(&mut self, operand: &Expr<'s>) {
        if !(operand.is_scalar() || matches!(operand.bare().kind, ExprKind::Text(_))) {
            self.wrap(operand, WEIGH);
        }
    }

    fn expr(&mut self, expr: &Expr<'s>) -> u64 {
        match &expr.kind {
            ExprKind::Scalar(_) | ExprKind::Text(_) | ExprKind::LoopField(_) => 1,
            ExprKind::Var(name) => {
                self.name(name, expr.start);
                1
            }
            ExprKind::Attr { base, .. } => self.expr(base) + 1,
            ExprKind::Index { base, index } => {
                let cost = self.expr(base).saturating_add(self.expr(index)).saturating_add(1);
                // A text as subscript finds a field of an object; anything else may cut a text up.
                if !matches!(index.bare().kind, ExprKind::Text(_)) {
                    self.subscript(base, Some(index), index.start);
                }
                cost
            }
            ExprKind::Slice { base, inside, parts } => {
                let mut cost = self.expr(base).saturating_add(2);
                for part in parts.iter().flatten() {
                    cost = cost.saturating_add(self.expr(part));
                }
                self.subscript(base, parts[0].as_deref(), *inside);
                cost
            }
            ExprKind::Filter { base, call } => {
                let cost = self.expr(base);
                cost.saturating_add(self.filters(std::slice::from_ref(call)))
            }
            ExprKind::Test { base, name, name_at, args } => {
                let mut cost = self.expr(base).saturating_add(CALL_COST).saturating_add(self.args(args));
                if !filters::TESTS.contains(name) {
                    let message = unknown("test", name, filters::TESTS.into_iter());
                    self.flaw(*name_at, UnknownTest, message);
                }
                if matches!(*name, "containing" | "starting_with" | "ending_with") {
                    cost += 2;
                    self.wrap(base, WEIGH);
                    for (_, arg) in args {
                        self.wrap(arg, WEIGH);
                    }
                }
                cost
            }
            ExprKind::Call { name, name_at, args } => {
                if !filters::FUNCTIONS.contains(name) {
                    let message = unknown("function", name, filters::FUNCTIONS.into_iter());
                    self.flaw(*name_at, UnknownFunction, message);
                }
                self.args(args).saturating_add(CALL_COST)
            }
            ExprKind::Not(inner) | ExprKind::Minus(inner) | ExprKind::Paren(inner) => self.expr(inner) + 1,
            ExprKind::Binary { op, left, right } => {
                let cost = self.expr(left).saturating_add(self.expr(right)).saturating_add(1);
                match *op {
                    "~" => {
                        // A chain reads from the left: what stands there was charged with it.
                        if !matches!(left.kind, ExprKind::Binary { op: "~", .. }) {
                            self.operand(left);
                        }
                        self.operand(right);
                    }
                    "in" => {
                        self.operand(left);
                        self.operand(right);
                    }
                    "==" | "!=" | "<" | "<=" | ">" | ">=" if !(left.is_scalar() || right.is_scalar()) => {
                        self.operand(left);
                        self.operand(right);
                    }
                    _ => {}
                }
                cost
            }
            ExprKind::Ternary { condition, yes, no } => {
                let cost = self.expr(condition);
                cost.saturating_add(self.expr(yes)).saturating_add(self.expr(no)).saturating_add(1)
            }
            ExprKind::Literal(members) => {
                let mut cost: u64 = 1;
                for (spread, member) in members {
                    cost = cost.saturating_add(self.expr(member)).saturating_add(1);
                    if *spread {
                        self.wrap(member, LOOK);
                    }
                }
                cost
            }
            ExprKind::Comprehension { names, value, target, condition } => {
                let cost = self.expr(target).saturating_add(2);
                let round = self.in_loop(names, target.start, |guard| {
                    let tested = condition.as_ref().map_or(0, |condition| guard.expr(condition));
                    tested.saturating_add(guard.expr(value))
                });
                self.price_loop(target, round);
                cost
            }
        }
    }

    fn args(&mut self, args: &Args<'s>) -> u64 {
        args.iter().fold(0, |cost: u64, (_, arg)| cost.saturating_add(self.expr(arg)).saturating_add(1))
    }

    fn filters(&mut self, calls: &[FilterCall<'s>]) -> u64 {
        let mut cost: u64 = 0;
        for call in calls {
            cost = cost.saturating_add(self.args(&call.args)).saturating_add(CALL_COST + 1);
            if !filters::names().any(|name| name == call.name) {
                let message = unknown("filter", call.name, filters::names());
                self.flaw(call.name_at, UnknownFilter, message);
            } else if !filters::is_free(call.name) {
                self.insert(call.name_at, PRICED);
                self.report.filters.push(format!("{PRICED}{}", call.name));
            }
        }
        cost
    }

    /// Charges the value that a subscript or a slice takes from. Behind a name the charge goes into
    /// the brackets, since nothing may stand between a name and them.
    fn subscript(&mut self, base: &Expr<'s>, first: Option<&Expr<'s>>, inside: usize) {
        if base.is_path() {
            // No line break is ever written, so that lines stay what they are.
            let path = self.source.get(base.start..base.end).unwrap_or_default().replace(['\n', '\r'], " ");
            match first {
                Some(first) if first.closed => self.insert(first.end, format!("|{INDEX}(v={path})")),
                Some(first) => {
                    self.insert(first.start, "(");
                    self.insert(first.end, format!(")|{INDEX}(v={path})"));
                }
                None => self.insert(inside, format!("none|{INDEX}(v={path})")),
            }
        } else if matches!(base.bare().kind, ExprKind::Text(_) | ExprKind::Literal(_)) {
            // As long as the source says, and no longer.
        } else if base.closed && !matches!(base.kind, ExprKind::Index { .. } | ExprKind::Slice { .. }) {
            self.insert(base.end, format!("|{LOOK}"));
        } else {
            self.flaw(
                base.start,
                Forbidden,
                "this cannot take one more subscript: put it into a variable with `set`",
            );
        }
    }
}

/// A message for a name that there is not, with the one that was probably meant.
fn unknown(what: &str, name: &str, known: impl Iterator<Item = &'static str> + Clone) -> String {
    let near = known.clone().map(|other| (distance(name, other), other)).min();
    match near {
        Some((away, other)) if away <= 2 && away < other.len() => {
            format!("unknown {what} `{name}`; did you mean `{other}`?")
        }
        _ => {
            let all: Vec<&str> = known.collect();
            format!("unknown {what} `{name}`; there are {}", all.join(", "))
        }
    }
}

/// Edits between two short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut before = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let here = (before + usize::from(x != *y)).min(left + 1).min(*cell + 1);
            before = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}
