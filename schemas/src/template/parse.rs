//! Reads a template into its tree, with the precedences of Tera.

use super::error::TemplateErrorCode::{Forbidden, TooComplex};
use super::lex::{self, Flaw, Piece, Tag, Token, TokenKind};
use super::syntax::{Args, Expr, ExprKind, FilterCall, Node};

/// Deepest nesting of one expression, as in Tera.
const DEPTH_MAX: usize = 40;
/// Deepest nesting of blocks, below Tera's own bound.
pub const BLOCKS_MAX: usize = 38;
/// Most subscripts behind one name.
const SUBSCRIPTS_MAX: usize = 8;

/// Reads `source`.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn parse(source: &str) -> Result<Vec<Node<'_>>, Flaw> {
    let pieces = lex::lex(source)?;
    let mut reader = Reader { pieces: pieces.iter(), depth: 0, loops: 0 };
    let (nodes, end) = reader.nodes(&[])?;
    match end {
        None => Ok(nodes),
        Some(tag) => Err(Flaw::syntax(tag.at, "nothing is open that could end here")),
    }
}

struct Reader<'p, 's> {
    pieces: std::slice::Iter<'p, Piece<'s>>,
    depth: usize,
    loops: usize,
}

impl<'p, 's> Reader<'p, 's> {
    /// Reads nodes up to a tag that starts with one of `ends`, or the end of the source.
    fn nodes(&mut self, ends: &[&str]) -> Result<(Vec<Node<'s>>, Option<&'p Tag<'s>>), Flaw> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            match piece {
                Piece::Text { at, text } => nodes.push(Node::Text { at: *at, text }),
                Piece::Output(tag) => {
                    let mut words = Words::new(tag, self.loops > 0);
                    let expr = words.expr(0)?;
                    words.finish()?;
                    nodes.push(Node::Output(expr));
                }
                Piece::Block(tag) => {
                    let word = tag.tokens.first().map_or("", |token| token.text);
                    if ends.contains(&word) {
                        return Ok((nodes, Some(tag)));
                    }
                    self.depth += 1;
                    if self.depth > BLOCKS_MAX {
                        let message = format!("blocks are nested more than {BLOCKS_MAX} deep: use partials");
                        return Err(Flaw::new(tag.at, TooComplex, message));
                    }
                    nodes.push(self.block(tag, word)?);
                    self.depth -= 1;
                }
            }
        }
        Ok((nodes, None))
    }

    /// Reads the nodes of a block and the tag that ends them.
    fn body(&mut self, open: &Tag<'s>, ends: &[&str]) -> Result<(Vec<Node<'s>>, &'p Tag<'s>), Flaw> {
        let (nodes, end) = self.nodes(ends)?;
        let word = open.tokens.first().map_or("", |token| token.text);
        let last = ends.last().copied().unwrap_or_default();
        end.map(|end| (nodes, end)).ok_or_else(|| {
            Flaw::syntax(open.at, format!("`{word}` is not closed; end it with `{{% {last} %}}`"))
        })
    }

    fn block(&mut self, tag: &'p Tag<'s>, word: &str) -> Result<Node<'s>, Flaw> {
        let mut words = Words::new(tag, self.loops > 0);
        words.at += 1;
        match word {
            "if" => self.branches(tag, words),
            "for" => {
                let names = words.loop_names()?;
                let target = words.expr(0)?;
                words.finish()?;
                self.loops += 1;
                let (body, mut end) = self.body(tag, &["else", "endfor"])?;
                self.loops -= 1;
                let mut otherwise = Vec::new();
                if is_word(end, "else") {
                    Words::only(end)?;
                    (otherwise, end) = self.body(tag, &["endfor"])?;
                }
                Words::only(end)?;
                Ok(Node::For { names, target, body, otherwise })
            }
            "set" | "set_global" => {
                let name = words.ident()?;
                let global = word == "set_global";
                if words.eat("=") {
                    let value = words.expr(0)?;
                    words.finish()?;
                    return Ok(Node::Set { name, global, value });
                }
                let mut filters = Vec::new();
                while words.eat("|") {
                    filters.push(words.filter()?);
                }
                words.finish()?;
                let (body, end) = self.body(tag, &["endset"])?;
                Words::only(end)?;
                Ok(Node::SetBlock { name, global, filters, body })
            }
            "filter" => {
                let mut filters = vec![words.filter()?];
                while words.eat("|") {
                    filters.push(words.filter()?);
                }
                words.finish()?;
                let (body, end) = self.body(tag, &["endfilter"])?;
                Words::only(end)?;
                Ok(Node::FilterBlock { filters, body })
            }
            "include" => {
                let token = words.next()?;
                let name = token.text.get(1..token.text.len() - 1).filter(|_| token.kind == TokenKind::Str);
                let name = name.filter(|name| !name.contains('\\')).ok_or_else(|| {
                    Flaw::syntax(token.at, "`include` takes the name of a partial as a string")
                })?;
                words.finish()?;
                Ok(Node::Include { name, at: token.at })
            }
            "break" | "continue" => {
                words.finish()?;
                Ok(Node::Jump)
            }
            "extends" | "block" | "component" => {
                let message = format!("`{word}` is not allowed in prompts: include a partial instead");
                Err(Flaw::new(tag.at, Forbidden, message))
            }
            "<" => Err(Flaw::new(tag.at, Forbidden, NO_COMPONENTS)),
            _ => {
                let message = format!(
                    "unknown tag `{word}`; there are if, for, set, set_global, filter, include, break, continue and raw"
                );
                Err(Flaw::syntax(tag.at, message))
            }
        }
    }

    fn branches(&mut self, tag: &'p Tag<'s>, mut words: Words<'p, 's>) -> Result<Node<'s>, Flaw> {
        let mut branches = Vec::new();
        loop {
            let condition = words.expr(0)?;
            words.finish()?;
            let (body, end) = self.body(tag, &["elif", "else", "endif"])?;
            branches.push((condition, body));
            if is_word(end, "elif") {
                words = Words::new(end, self.loops > 0);
                words.at += 1;
                continue;
            }
            let mut otherwise = Vec::new();
            let mut last = end;
            if is_word(end, "else") {
                Words::only(end)?;
                (otherwise, last) = self.body(tag, &["endif"])?;
            }
            Words::only(last)?;
            return Ok(Node::If { branches, otherwise });
        }
    }
}

const NO_COMPONENTS: &str = "components are not allowed in prompts: include a partial instead";

fn is_word(tag: &Tag<'_>, word: &str) -> bool {
    tag.tokens.first().is_some_and(|token| token.text == word)
}

/// The words of one tag.
struct Words<'p, 's> {
    tag: &'p Tag<'s>,
    at: usize,
    depth: usize,
    in_loop: bool,
}

impl<'p, 's> Words<'p, 's> {
    fn new(tag: &'p Tag<'s>, in_loop: bool) -> Self {
        Self { tag, at: 0, depth: 0, in_loop }
    }

    /// Checks that a tag is only its first word.
    fn only(tag: &'p Tag<'s>) -> Result<(), Flaw> {
        let mut words = Self::new(tag, false);
        words.at += 1;
        words.finish()
    }

    fn peek(&self) -> Option<&'p Token<'s>> {
        self.tag.tokens.get(self.at)
    }

    fn is(&self, text: &str) -> bool {
        self.peek().is_some_and(|token| token.text == text && token.kind != TokenKind::Str)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.is(text);
        self.at += usize::from(found);
        found
    }

    fn next(&mut self) -> Result<&'p Token<'s>, Flaw> {
        let token = self.peek().ok_or_else(|| Flaw::syntax(self.tag.end, "the tag ends too early"))?;
        self.at += 1;
        Ok(token)
    }

    fn expect(&mut self, text: &str) -> Result<(), Flaw> {
        if self.eat(text) { Ok(()) } else { Err(self.unexpected(&format!("`{text}`"))) }
    }

    fn finish(&self) -> Result<(), Flaw> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected("the end of the tag")) }
    }

    fn unexpected(&self, expected: &str) -> Flaw {
        match self.peek() {
            Some(token) => {
                let shown: String = token.text.chars().take(40).collect();
                Flaw::syntax(token.at, format!("found `{shown}`, expected {expected}"))
            }
            None => Flaw::syntax(self.tag.end, format!("the tag ends, expected {expected}")),
        }
    }

    /// Byte behind the last word that was read.
    fn end(&self) -> usize {
        self.at
            .checked_sub(1)
            .and_then(|at| self.tag.tokens.get(at))
            .map_or(self.tag.at, |token| token.at + token.text.len())
    }

    fn ident(&mut self) -> Result<&'s str, Flaw> {
        match self.peek() {
            Some(token) if token.kind == TokenKind::Ident => {
                self.at += 1;
                Ok(token.text)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn loop_names(&mut self) -> Result<Vec<&'s str>, Flaw> {
        let mut names = vec![self.ident()?];
        if self.eat(",") {
            names.push(self.ident()?);
        }
        self.expect("in")?;
        Ok(names)
    }

    fn filter(&mut self) -> Result<FilterCall<'s>, Flaw> {
        let name_at = self.peek().map_or(self.tag.end, |token| token.at);
        let name = self.ident()?;
        let args = if self.is("(") { self.args()? } else { Vec::new() };
        Ok(FilterCall { name, name_at, args })
    }

    fn args(&mut self) -> Result<Args<'s>, Flaw> {
        let mut args = Vec::new();
        self.expect("(")?;
        while !self.eat(")") {
            if !args.is_empty() {
                self.expect(",")?;
                if self.eat(")") {
                    break;
                }
            }
            if self.peek().is_some_and(|token| token.kind != TokenKind::Ident) {
                return Err(self.unexpected("a named argument such as `name=value`"));
            }
            let name = self.ident()?;
            self.expect("=")?;
            args.push((name, self.expr(0)?));
        }
        Ok(args)
    }

    fn expr(&mut self, power: u8) -> Result<Expr<'s>, Flaw> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let message = "the expression is nested too deep; build it in steps with `set`";
            return Err(Flaw::new(self.tag.at, TooComplex, message));
        }
        let mut left = self.primary()?;
        while let Some(token) = self.peek().filter(|token| token.kind != TokenKind::Str) {
            let Some((text, l_power, r_power)) = binding(token.text) else { break };
            if l_power < power {
                break;
            }
            self.at += 1;
            left = self.continued(left, text, r_power)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    /// Goes on behind `left`, after the operator `op` was read.
    fn continued(&mut self, left: Expr<'s>, op: &'static str, power: u8) -> Result<Expr<'s>, Flaw> {
        let start = left.start;
        let left = Box::new(left);
        let (kind, closed) = match op {
            "|" => (ExprKind::Filter { base: left, call: self.filter()? }, true),
            "is" => {
                let negated = self.eat("not");
                let FilterCall { name, name_at, args } = self.filter()?;
                let test = ExprKind::Test { base: left, name, name_at, args };
                let end = self.end();
                let test = Expr { kind: test, start, end, closed: false };
                return Ok(if negated { unary(ExprKind::Not, test, start, end) } else { test });
            }
            "not" => {
                self.expect("in")?;
                let right = Box::new(self.expr(power)?);
                let end = self.end();
                let inner =
                    Expr { kind: ExprKind::Binary { op: "in", left, right }, start, end, closed: false };
                return Ok(unary(ExprKind::Not, inner, start, end));
            }
            "[" => (self.subscript(left)?, true),
            "if" => {
                let condition = Box::new(self.expr(0)?);
                self.expect("else")?;
                (ExprKind::Ternary { condition, yes: left, no: Box::new(self.expr(0)?) }, false)
            }
            _ => (ExprKind::Binary { op, left, right: Box::new(self.expr(power)?) }, false),
        };
        Ok(Expr { kind, start, end: self.end(), closed })
    }

    fn subscript(&mut self, base: Box<Expr<'s>>) -> Result<ExprKind<'s>, Flaw> {
        let inside = self.end();
        let mut parts = [None, None, None];
        if !self.is(":") {
            parts[0] = Some(Box::new(self.expr(0)?));
        }
        if !self.is(":") {
            self.expect("]")?;
            let [Some(index), ..] = parts else { return Err(self.unexpected("a subscript")) };
            return Ok(ExprKind::Index { base, index });
        }
        self.at += 1;
        if !self.is(":") && !self.is("]") {
            parts[1] = Some(Box::new(self.expr(0)?));
        }
        if self.eat(":") {
            parts[2] = Some(Box::new(self.expr(0)?));
        }
        self.expect("]")?;
        Ok(ExprKind::Slice { base, inside, parts })
    }

    fn primary(&mut self) -> Result<Expr<'s>, Flaw> {
        let token = self.next()?;
        let start = token.at;
        let kind = match (token.kind, token.text) {
            (TokenKind::Number, _)
            | (TokenKind::Ident, "true" | "True" | "false" | "False" | "none" | "None" | "null") => {
                ExprKind::Scalar(token.text)
            }
            (TokenKind::Str, _) => ExprKind::Text(token.text),
            (TokenKind::Op, "-") | (TokenKind::Ident, "not") => {
                if self.is("-") || self.is("not") {
                    return Err(self.unexpected("a value: `-` and `not` cannot follow one another"));
                }
                let is_minus = token.text == "-";
                let inner = self.expr(if is_minus { 20 } else { 5 })?;
                let kind = if is_minus { ExprKind::Minus } else { ExprKind::Not };
                let mut whole = unary(kind, inner, start, self.end());
                whole.closed = is_minus;
                return Ok(whole);
            }
            (TokenKind::Ident, name) => return self.chain(name, start),
            (TokenKind::Op, "(") => {
                let inner = self.expr(0)?;
                self.expect(")")?;
                ExprKind::Paren(Box::new(inner))
            }
            (TokenKind::Op, "[") => self.list()?,
            (TokenKind::Op, "{") => self.map()?,
            (TokenKind::Op, "<") => return Err(Flaw::new(start, Forbidden, NO_COMPONENTS)),
            _ => {
                self.at -= 1;
                return Err(self.unexpected("a value"));
            }
        };
        Ok(Expr { kind, start, end: self.end(), closed: true })
    }

    /// A name and what hangs on it: attributes, subscripts, or the arguments of a function.
    fn chain(&mut self, name: &'s str, start: usize) -> Result<Expr<'s>, Flaw> {
        if self.is("(") {
            let kind = ExprKind::Call { name, name_at: start, args: self.args()? };
            return Ok(Expr { kind, start, end: self.end(), closed: true });
        }
        let mut expr = Expr { kind: ExprKind::Var(name), start, end: self.end(), closed: true };
        let mut subscripts = 0;
        loop {
            let base = Box::new(expr);
            let kind = if self.is(".") || self.is("?.") {
                let optional = self.is("?.");
                self.at += 1;
                let name_at = self.peek().map_or(self.tag.end, |token| token.at);
                let attr = self.ident()?;
                if name == "loop" && self.in_loop {
                    if !matches!(attr, "index" | "index0" | "first" | "last" | "length") {
                        let message = format!(
                            "`loop` has no `{attr}`; there are index, index0, first, last and length"
                        );
                        return Err(Flaw::syntax(name_at, message));
                    }
                    ExprKind::LoopField(attr)
                } else {
                    ExprKind::Attr { base, name: attr, name_at, optional }
                }
            } else if self.is("[") || self.is("?[") {
                subscripts += 1;
                if subscripts > SUBSCRIPTS_MAX {
                    let message = format!("more than {SUBSCRIPTS_MAX} subscripts behind one name; use `set`");
                    return Err(Flaw::new(start, TooComplex, message));
                }
                self.at += 1;
                self.subscript(base)?
            } else {
                return Ok(*base);
            };
            expr = Expr { kind, start, end: self.end(), closed: true };
        }
    }

    fn list(&mut self) -> Result<ExprKind<'s>, Flaw> {
        let mut members = Vec::new();
        while !self.eat("]") {
            if !members.is_empty() {
                self.expect(",")?;
                if self.eat("]") {
                    break;
                }
            }
            let spread = self.eat("...");
            let value = self.expr(0)?;
            if members.is_empty() && !spread && self.eat("for") {
                let names = self.loop_names()?;
                let target = Box::new(self.expr(1)?);
                let condition = if self.eat("if") { Some(Box::new(self.expr(1)?)) } else { None };
                self.expect("]")?;
                return Ok(ExprKind::Comprehension { names, value: Box::new(value), target, condition });
            }
            members.push((spread, value));
        }
        Ok(ExprKind::Literal(members))
    }

    fn map(&mut self) -> Result<ExprKind<'s>, Flaw> {
        let mut members = Vec::new();
        while !self.eat("}") {
            if !members.is_empty() {
                self.expect(",")?;
                if self.eat("}") {
                    break;
                }
            }
            let spread = self.eat("...");
            if !spread {
                let key = self.next()?;
                let is_key = matches!(key.kind, TokenKind::Str | TokenKind::Number)
                    || matches!(key.text, "true" | "True" | "false" | "False");
                if !is_key {
                    self.at -= 1;
                    return Err(self.unexpected("a key: a string, an integer or a boolean"));
                }
                self.expect(":")?;
            }
            members.push((spread, self.expr(0)?));
        }
        Ok(ExprKind::Literal(members))
    }
}

fn unary<'s>(kind: fn(Box<Expr<'s>>) -> ExprKind<'s>, inner: Expr<'s>, start: usize, end: usize) -> Expr<'s> {
    Expr { kind: kind(Box::new(inner)), start, end, closed: false }
}

/// The binding powers of an operator, left and right.
fn binding(text: &str) -> Option<(&'static str, u8, u8)> {
    Some(match text {
        "if" => ("if", 0, 0),
        "or" => ("or", 1, 2),
        "and" => ("and", 3, 4),
        "in" => ("in", 5, 6),
        "not" => ("not", 5, 6),
        "is" => ("is", 5, 6),
        "==" => ("==", 7, 8),
        "!=" => ("!=", 7, 8),
        "<" => ("<", 7, 8),
        "<=" => ("<=", 7, 8),
        ">" => (">", 7, 8),
        ">=" => (">=", 7, 8),
        "+" => ("+", 11, 12),
        "-" => ("-", 11, 12),
        "*" => ("*", 13, 14),
        "/" => ("/", 13, 14),
        "//" => ("//", 13, 14),
        "%" => ("%", 13, 14),
        "~" => ("~", 13, 14),
        "**" => ("**", 16, 15),
        "|" => ("|", 17, 18),
        "[" => ("[", 100, 0),
        _ => return None,
    })
}
