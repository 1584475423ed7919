//! Cuts a source into text and tags exactly as Tera does, and refuses what would hurt its parser.
//!
//! Tera's own parser recurses on `elif` and on nesting, so sizes are bounded here, before it sees
//! the source.

use super::error::TemplateErrorCode;

/// Longest source of a template, in bytes. What hurts is bounded by itself below; real prompts with long
/// examples reach 230 KiB.
pub const SOURCE_MAX: usize = 256 * 1024;
/// Most tags and outputs in one template.
pub const TAGS_MAX: usize = 4_000;
/// Most tokens in one tag.
const TOKENS_MAX: usize = 400;
/// Most `~` in one tag.
const CONCATS_MAX: usize = 32;
/// Most blocks open at once, every `elif` counted as one.
const NESTING_MAX: usize = 100;

/// What is wrong at a byte of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    pub at: usize,
    pub code: TemplateErrorCode,
    pub message: String,
}

impl Flaw {
    pub(super) fn new(at: usize, code: TemplateErrorCode, message: impl Into<String>) -> Self {
        Self { at, code, message: message.into() }
    }

    pub(super) fn syntax(at: usize, message: impl Into<String>) -> Self {
        Self::new(at, TemplateErrorCode::Syntax, message)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Ident,
    Str,
    Number,
    Op,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'s> {
    pub kind: TokenKind,
    pub text: &'s str,
    /// Byte of the source that it starts at.
    pub at: usize,
}

/// A source is a sequence of these.
#[derive(Debug, Clone)]
pub(super) enum Piece<'s> {
    /// Text to write, after white space was taken off as the tags around it ask; `at` is where it
    /// starts in the source.
    Text { at: usize, text: &'s str },
    /// `{{ … }}`
    Output(Tag<'s>),
    /// `{% … %}`
    Block(Tag<'s>),
}

#[derive(Debug, Clone)]
pub(super) struct Tag<'s> {
    /// Byte of the opening delimiter.
    pub at: usize,
    /// Byte of the closing delimiter.
    pub end: usize,
    pub tokens: Vec<Token<'s>>,
}

enum Item<'s> {
    Text(&'s str, usize),
    Raw { before: bool, text: &'s str, at: usize, after: bool },
    Comment { before: bool, after: bool },
    Tag { before: bool, tag: Tag<'s>, is_block: bool, after: bool },
}

impl Item<'_> {
    fn trims_before(&self) -> bool {
        match self {
            Self::Text(..) => false,
            Self::Raw { before, .. } | Self::Comment { before, .. } | Self::Tag { before, .. } => *before,
        }
    }
}

/// Cuts `source` up.
///
/// # Errors
/// What Tera would refuse too, and what is larger than it can bear.
pub(super) fn lex(source: &str) -> Result<Vec<Piece<'_>>, Flaw> {
    if source.len() > SOURCE_MAX {
        let message = format!(
            "the template has {} bytes; at most {SOURCE_MAX} are allowed: move parts into partials",
            source.len()
        );
        return Err(Flaw::new(0, TemplateErrorCode::TooLong, message));
    }
    let mut items = Vec::new();
    let mut at = 0;
    let mut tags = 0;
    let mut nesting = Nesting::default();
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let start = find_opening(rest);
        if start > 0 {
            items.push(Item::Text(rest.get(..start).unwrap_or_default(), at));
            at += start;
            continue;
        }
        tags += 1;
        if tags > TAGS_MAX {
            let message = format!("the template has more than {TAGS_MAX} tags: split it into partials");
            return Err(Flaw::new(at, TemplateErrorCode::TooComplex, message));
        }
        let before = rest.as_bytes().get(2) == Some(&b'-');
        let inside = at + if before { 3 } else { 2 };
        match rest.as_bytes().get(1) {
            Some(b'#') => {
                let end = source
                    .get(inside..)
                    .and_then(|s| s.find("#}"))
                    .map(|end| inside + end)
                    .ok_or_else(|| Flaw::syntax(at, "the comment is not closed; end it with `#}`"))?;
                let after = end > inside && source.as_bytes().get(end - 1) == Some(&b'-');
                items.push(Item::Comment { before, after });
                at = end + 2;
            }
            Some(b'%') => {
                if let Some((raw, end)) = raw(source, at, inside, before)? {
                    items.push(raw);
                    at = end;
                } else {
                    let (tag, after, end) = tag(source, at, inside, "%}")?;
                    nesting.enter(&tag)?;
                    items.push(Item::Tag { before, tag, is_block: true, after });
                    at = end;
                }
            }
            _ => {
                let (tag, after, end) = tag(source, at, inside, "}}")?;
                items.push(Item::Tag { before, tag, is_block: false, after });
                at = end;
            }
        }
    }
    Ok(trim(items))
}

/// Byte of the next `{{`, `{%` or `{#`, or the length.
fn find_opening(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(found) = bytes.get(from..).and_then(|b| b.iter().position(|b| *b == b'{')) {
        let at = from + found;
        if matches!(bytes.get(at + 1), Some(b'{' | b'%' | b'#')) {
            return at;
        }
        from = at + 1;
    }
    bytes.len()
}

/// Reads `-? name -? %}` and gives the bytes it took, and whether it ends in `-%}`.
fn skip_tag(text: &str, name: &str) -> Option<(usize, bool)> {
    let space = |s: &'_ str| s.len() - s.trim_start_matches(|c: char| c.is_ascii_whitespace()).len();
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    rest = rest.get(space(rest)..)?;
    rest = rest.strip_prefix(name)?;
    rest = rest.get(space(rest)..)?;
    let (rest, after) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    let rest = rest.strip_prefix("%}")?;
    Some((text.len() - rest.len(), after))
}

fn raw(source: &str, at: usize, inside: usize, before: bool) -> Result<Option<(Item<'_>, usize)>, Flaw> {
    let Some((opened, trim_start)) = source.get(inside..).and_then(|s| skip_tag(s, "raw")) else {
        return Ok(None);
    };
    let body = inside + opened;
    let mut from = body;
    while let Some(found) = source.get(from..).and_then(|s| s.find("{%")) {
        let end = from + found;
        let rest = source.get(end + 2..).unwrap_or_default();
        if let Some((closed, after)) = skip_tag(rest, "endraw") {
            let whole = source.get(body..end).unwrap_or_default();
            let mut text = whole;
            if trim_start {
                text = text.trim_start();
            }
            let at = body + (whole.len() - text.len());
            if rest.starts_with('-') {
                text = text.trim_end();
            }
            return Ok(Some((Item::Raw { before, text, at, after }, end + 2 + closed)));
        }
        from = end + 2;
    }
    Err(Flaw::syntax(at, "the raw block is not closed; end it with `{% endraw %}`"))
}

fn tag<'s>(
    source: &'s str,
    start: usize,
    inside: usize,
    close: &str,
) -> Result<(Tag<'s>, bool, usize), Flaw> {
    let mut tokens: Vec<Token<'s>> = Vec::new();
    let mut at = inside;
    let mut concats = 0;
    loop {
        let rest = source.get(at..).unwrap_or_default();
        let trimmed = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        at += rest.len() - trimmed.len();
        if trimmed.is_empty() {
            return Err(Flaw::syntax(start, format!("the tag is not closed; end it with `{close}`")));
        }
        if trimmed.strip_prefix('-').is_some_and(|rest| rest.starts_with(close)) {
            return Ok((Tag { at: start, end: at, tokens }, true, at + 3));
        }
        if trimmed.starts_with(close) {
            return Ok((Tag { at: start, end: at, tokens }, false, at + 2));
        }
        let (kind, length) = token(trimmed, at)?;
        let text = trimmed.get(..length).unwrap_or_default();
        if kind == TokenKind::Ident && text.starts_with("__") {
            let message = format!("`{text}` is reserved: names do not start with two underscores");
            return Err(Flaw::new(at, TemplateErrorCode::Forbidden, message));
        }
        concats += usize::from(text == "~");
        tokens.push(Token { kind, text, at });
        if tokens.len() > TOKENS_MAX || concats > CONCATS_MAX {
            let message = format!(
                "the tag is too long: at most {TOKENS_MAX} words and {CONCATS_MAX} `~`; build it in steps with `set`"
            );
            return Err(Flaw::new(start, TemplateErrorCode::TooComplex, message));
        }
        at += length;
    }
}

fn token(rest: &str, at: usize) -> Result<(TokenKind, usize), Flaw> {
    const LONG: [&str; 10] = ["...", "//", "**", "==", "!=", ">=", "<=", "</", "?.", "?["];
    const SHORT: &[u8] = b"+-*/%!.,:~|=><()[]{}@";
    if let Some(op) = LONG.iter().find(|op| rest.starts_with(**op)) {
        return Ok((TokenKind::Op, op.len()));
    }
    let bytes = rest.as_bytes();
    match bytes.first() {
        Some(quote @ (b'\'' | b'"' | b'`')) => {
            let mut escaped = false;
            for (index, byte) in bytes.iter().enumerate().skip(1) {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    byte if byte == quote => return Ok((TokenKind::Str, index + 1)),
                    _ => {}
                }
            }
            Err(Flaw::syntax(at, format!("the string is not closed; end it with `{}`", *quote as char)))
        }
        Some(byte) if byte.is_ascii_digit() => {
            let mut dot = false;
            let is_part =
                |byte: &&u8| byte.is_ascii_digit() || (**byte == b'.' && !std::mem::replace(&mut dot, true));
            Ok((TokenKind::Number, bytes.iter().take_while(is_part).count()))
        }
        Some(byte) if SHORT.contains(byte) => Ok((TokenKind::Op, 1)),
        Some(byte) if byte.is_ascii_alphabetic() || *byte == b'_' => {
            let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
            Ok((TokenKind::Ident, bytes.iter().take_while(is_part).count()))
        }
        _ => {
            let shown = rest.chars().next().unwrap_or(' ');
            let message = format!(
                "unexpected character {shown:?}; are the braces only text? use `raw` or the plain engine"
            );
            Err(Flaw::syntax(at, message))
        }
    }
}

/// Counts the blocks that are open, with every `elif` as one more, as Tera recurses.
#[derive(Default)]
struct Nesting {
    open: Vec<usize>,
    depth: usize,
}

impl Nesting {
    fn enter(&mut self, tag: &Tag<'_>) -> Result<(), Flaw> {
        let word = tag.tokens.first().map_or("", |token| token.text);
        match word {
            "if" | "for" | "filter" | "block" | "component" => self.push(),
            "set" | "set_global" if tag.tokens.get(2).is_none_or(|token| token.text != "=") => self.push(),
            "elif" => {
                if let Some(top) = self.open.last_mut() {
                    *top += 1;
                    self.depth += 1;
                }
            }
            _ if word.starts_with("end") => {
                self.depth = self.depth.saturating_sub(self.open.pop().unwrap_or_default());
            }
            _ => {}
        }
        if self.depth <= NESTING_MAX {
            return Ok(());
        }
        let message = format!("blocks and `elif` are nested more than {NESTING_MAX} deep: use partials");
        Err(Flaw::new(tag.at, TemplateErrorCode::TooComplex, message))
    }

    fn push(&mut self) {
        self.open.push(1);
        self.depth += 1;
    }
}

/// Takes white space off around tags with `-`, in the order and with the oddities of Tera.
fn trim(items: Vec<Item<'_>>) -> Vec<Piece<'_>> {
    let mut pieces = Vec::with_capacity(items.len());
    let mut trims_next = false;
    let mut items = items.into_iter().peekable();
    while let Some(item) = items.next() {
        let next_trims = items.peek().is_some_and(Item::trims_before);
        match item {
            Item::Text(text, at) => {
                pieces.extend(text_piece(text, at, std::mem::take(&mut trims_next), next_trims));
            }
            Item::Raw { text, at, after, .. } => {
                pieces.extend(text_piece(text, at, trims_next, next_trims));
                trims_next = after;
            }
            Item::Comment { after, .. } => trims_next |= after,
            Item::Tag { tag, is_block, after, .. } => {
                pieces.push(if is_block { Piece::Block(tag) } else { Piece::Output(tag) });
                trims_next = after;
            }
        }
    }
    pieces
}

fn text_piece(whole: &str, at: usize, leading: bool, trailing: bool) -> Option<Piece<'_>> {
    let mut text = if leading { whole.trim_start() } else { whole };
    let at = at + (whole.len() - text.len());
    if trailing {
        text = text.trim_end();
    }
    (!text.is_empty()).then_some(Piece::Text { at, text })
}
