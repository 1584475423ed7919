//! `{{name}}` and nothing else: Langfuse, MLflow, hosted prompts. Other braces are text.

use super::Why;
use super::bounds::Lines;
use super::tree::{Expr, Head, Node, Tree, is_part};
use crate::found::shown;

/// Longest name of a variable with the spaces around it, in bytes.
const NAME_MAX: usize = 256;

/// Reads a template.
pub(crate) fn read(source: &str) -> Tree {
    let (mut nodes, mut remarks, mut text) = (Vec::new(), Vec::new(), String::new());
    let (mut at, mut close, mut lines) = (0, Close::default(), Lines::new(source));
    while let Some(rest) = source.get(at..).filter(|r| !r.is_empty()) {
        let open = rest.starts_with("{{").then_some(at + 2);
        let end = open.and_then(|from| close.behind(source, from));
        if let Some(name) = open.zip(end).and_then(|(from, end)| source.get(from..end)) {
            let inner = if name.len() > NAME_MAX { "" } else { name.trim() };
            if is_part(inner) && !inner.starts_with(|c: char| c.is_ascii_digit()) {
                nodes.extend((!text.is_empty()).then(|| Node::Text(std::mem::take(&mut text))));
                nodes.push(Node::Output(Expr::path(&[inner])));
                at += name.len() + 4;
                continue;
            }
            // Of braces within braces only the outermost place is of interest.
            let line = lines.of(at);
            if remarks.last().is_none_or(|last: &Why| last.line != line) {
                let what = format!("{{{{{}}}}}", shown(name));
                remarks.push(Why::new(line, what, "is no variable there, so it stays text here too"));
            }
        }
        let length = rest.chars().next().map_or(1, char::len_utf8);
        text.push_str(rest.get(..length).unwrap_or_default());
        at += length;
    }
    nodes.extend((!text.is_empty()).then_some(Node::Text(text)));
    Tree { nodes, remarks }
}

/// The next `}}`, looked for once and kept until it is passed.
#[derive(Default)]
struct Close {
    found: Option<usize>,
    is_known: bool,
}

impl Close {
    /// Where it is, behind a place that is never before the last one.
    fn behind(&mut self, source: &str, from: usize) -> Option<usize> {
        if !self.is_known || self.found.is_some_and(|at| at < from) {
            self.found = source.get(from..).and_then(|rest| rest.find("}}")).map(|at| from + at);
            self.is_known = true;
        }
        self.found
    }
}

/// Writes text and plain variables.
pub(crate) fn write(nodes: &[Node]) -> Result<String, Why> {
    let mut out = String::new();
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Comment(_) => {}
            Node::Output(expr) => match expr.as_name() {
                Some(name) => out.push_str(&format!("{{{{{name}}}}}")),
                None => return Err(only(expr)),
            },
            _ => {
                return Err(Why::new(
                    1,
                    "a tag",
                    "the other format has variables only, no conditions or loops",
                ));
            }
        }
    }
    // A brace of the text before a variable would make three.
    match read(&out).nodes.as_slice() == merged(nodes).as_slice() {
        true => Ok(out),
        false => Err(Why::new(1, "{{", "the other format would read a text of braces as a variable")),
    }
}

fn only(expr: &Expr) -> Why {
    let what = match &expr.head {
        Head::Path(parts) => super::tera::path(parts),
        _ => "an expression".to_owned(),
    };
    Why::new(1, what, "the other format has variables without fields or filters only")
}

/// Neighbouring texts as one, comments left out: as reading gives them.
pub(crate) fn merged(nodes: &[Node]) -> Vec<Node> {
    let mut out: Vec<Node> = Vec::new();
    for node in nodes.iter().filter(|n| !matches!(n, Node::Comment(_))) {
        match (out.last_mut(), node) {
            (_, Node::Text(text)) if text.is_empty() => {}
            (Some(Node::Text(last)), Node::Text(text)) => last.push_str(text),
            _ => out.push(node.clone()),
        }
    }
    out
}
