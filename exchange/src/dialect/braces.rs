//! The tags of Mustache and Handlebars.

use super::Why;
use super::bounds::{Lines, another};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `{{x}}`
    Output,
    /// `{{{x}}}` or `{{&x}}`
    Unescaped,
    /// `{{#x}}`
    Open,
    /// `{{^x}}`
    Inverted,
    /// `{{/x}}`
    Close,
    /// `{{>x}}`
    Partial,
    Comment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Text(String),
    Tag { kind: Kind, inner: String, line: usize },
}

/// Cuts a template up, and takes off the lines on which a block's tag stands alone.
///
/// # Errors
/// A tag that is not closed, other delimiters, or more tags than a template may have.
pub(crate) fn tokens(source: &str, escapes: bool) -> Result<Vec<Token>, Why> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut trims_next = false;
    let (mut lines, mut tags) = (Lines::new(source), 0);
    while !rest.is_empty() {
        let at = source.len() - rest.len();
        let start = rest.find("{{").unwrap_or(rest.len());
        let (text, after) = rest.split_at(start);
        let mut text = text.to_owned();
        if std::mem::take(&mut trims_next) {
            text = text.trim_start().to_owned();
        }
        if after.is_empty() {
            tokens.push(Token::Text(text));
            break;
        }
        // `\{{x}}` is text in Handlebars.
        if escapes && text.ends_with('\\') {
            text.pop();
            let end = after.find("}}").map_or(after.len(), |end| end + 2);
            text.push_str(after.get(..end).unwrap_or_default());
            tokens.push(Token::Text(text));
            rest = after.get(end..).unwrap_or_default();
            continue;
        }
        let line = lines.of(at + start);
        tags = another(tags, line, after)?;
        let (close, open) = match after {
            a if a.starts_with("{{!--") || a.starts_with("{{~!--") => ("--}}", 2),
            a if a.starts_with("{{{") => ("}}}", 3),
            _ => ("}}", 2),
        };
        let not_closed = || Why::new(line, crate::found::shown(after), "the tag is not closed");
        let end = after.get(open..).and_then(|a| a.find(close)).map(|e| e + open).ok_or_else(not_closed)?;
        let mut inner = after.get(open..end).unwrap_or_default();
        rest = after.get(end + close.len()..).unwrap_or_default();
        if escapes {
            if let Some(less) = inner.strip_prefix('~') {
                text = text.trim_end().to_owned();
                inner = less;
            }
            if let Some(less) = inner.strip_suffix('~') {
                trims_next = true;
                inner = less;
            }
        }
        tokens.push(Token::Text(text));
        tokens.push(tag(inner, open == 3, line)?);
    }
    tokens.retain(|t| !matches!(t, Token::Text(text) if text.is_empty()));
    Ok(alone(tokens))
}

fn tag(inner: &str, triple: bool, line: usize) -> Result<Token, Why> {
    let (kind, inner) = match inner.chars().next() {
        _ if triple => (Kind::Unescaped, inner),
        Some('#') => (Kind::Open, inner.get(1..).unwrap_or_default()),
        Some('^') => (Kind::Inverted, inner.get(1..).unwrap_or_default()),
        Some('/') => (Kind::Close, inner.get(1..).unwrap_or_default()),
        Some('>') => (Kind::Partial, inner.get(1..).unwrap_or_default()),
        Some('&') => (Kind::Unescaped, inner.get(1..).unwrap_or_default()),
        Some('!') => (Kind::Comment, inner.get(1..).unwrap_or_default().trim_start_matches("--")),
        Some('=') => return Err(Why::new(line, inner, "other delimiters than braces cannot be converted")),
        _ => (Kind::Output, inner),
    };
    Ok(Token::Tag { kind, inner: inner.trim().to_owned(), line })
}

/// A tag of a block, a partial or a comment that stands alone on its line takes the line with it.
fn alone(mut tokens: Vec<Token>) -> Vec<Token> {
    let before: Vec<bool> = (0..tokens.len())
        .map(|at| match at.checked_sub(1).and_then(|at| tokens.get(at)) {
            None => true,
            Some(Token::Text(text)) => {
                let last = text.rsplit('\n').next().unwrap_or_default();
                (text.contains('\n') || at == 1) && last.chars().all(|c| c == ' ' || c == '\t')
            }
            Some(Token::Tag { .. }) => false,
        })
        .collect();
    let after: Vec<bool> = (0..tokens.len())
        .map(|at| match tokens.get(at + 1) {
            None => true,
            Some(Token::Text(text)) => {
                let first = text.split('\n').next().unwrap_or_default();
                (text.contains('\n') || at + 2 == tokens.len()) && first.trim().is_empty()
            }
            Some(Token::Tag { .. }) => false,
        })
        .collect();
    for at in 0..tokens.len() {
        let takes = matches!(tokens.get(at), Some(Token::Tag { kind, inner, .. })
            if !matches!(kind, Kind::Output | Kind::Unescaped) || inner == "else" || inner.starts_with("else "));
        if !takes || before.get(at) != Some(&true) || after.get(at) != Some(&true) {
            continue;
        }
        if let Some(Token::Text(text)) = at.checked_sub(1).and_then(|at| tokens.get_mut(at)) {
            let keep = text.rfind('\n').map_or(0, |at| at + 1);
            text.truncate(keep);
        }
        if let Some(Token::Text(text)) = tokens.get_mut(at + 1) {
            let cut = text.find('\n').map_or(text.len(), |at| at + 1);
            text.drain(..cut);
        }
    }
    tokens.retain(|t| !matches!(t, Token::Text(text) if text.is_empty()));
    tokens
}
