//! Mustache as LangChain has it. A section means a loop, a condition or a change of context, by the value
//! that it meets; only what the template itself decides is converted.

use super::Why;
use super::bounds::deeper;
use super::braces::{Kind, Token, tokens};
use super::tree::{Cond, Expr, Node, Tree, dotted};
use super::variables::merged;

/// Reads a template.
///
/// # Errors
/// A section of which the template does not say what it is, and what else Tera cannot say.
pub(crate) fn read(source: &str) -> Result<Tree, Why> {
    let tokens = tokens(source, false)?;
    let mut reader =
        Reader { tokens: tokens.into_iter().peekable(), remarks: Vec::new(), loops: 0, depth: 0 };
    let nodes = reader.nodes(None)?;
    Ok(Tree { nodes, remarks: reader.remarks })
}

struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    remarks: Vec<Why>,
    loops: usize,
    /// How many sections are open.
    depth: usize,
}

impl Reader {
    fn nodes(&mut self, open: Option<(&str, usize)>) -> Result<Vec<Node>, Why> {
        let mut nodes = Vec::new();
        while let Some(token) = self.tokens.next() {
            let (kind, inner, line) = match token {
                Token::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Token::Tag { kind, inner, line } => (kind, inner, line),
            };
            match kind {
                Kind::Comment => nodes.push(Node::Comment(inner)),
                Kind::Output | Kind::Unescaped => {
                    let path = self.path(&inner, line)?;
                    if kind == Kind::Output && self.remarks.is_empty() {
                        let why =
                            "Mustache writes &, < and > of a value as HTML; here it is written as it is";
                        self.remarks.push(Why::new(line, format!("{{{{{inner}}}}}"), why));
                    }
                    nodes.push(Node::Output(path));
                }
                Kind::Inverted => {
                    let path = self.path(&inner, line)?;
                    let body = self.section(&inner, line)?;
                    let not = Cond::Not(Box::new(Cond::Holds(path)));
                    nodes.push(Node::If { branches: vec![(not, body)], otherwise: None });
                }
                Kind::Open => {
                    let over = self.path(&inner, line)?;
                    self.loops += 1;
                    let body = self.section(&inner, line)?;
                    let name = self.item();
                    self.loops -= 1;
                    if !body
                        .iter()
                        .any(|n| matches!(n, Node::Output(e) if e.as_name() == Some(name.as_str())))
                    {
                        let why =
                            "whether this is a loop, a condition or a change of context depends on the value";
                        return Err(Why::new(line, format!("{{{{#{inner}}}}}"), why));
                    }
                    nodes.push(Node::For { name, over, body, otherwise: None });
                }
                Kind::Close => {
                    return match open {
                        Some((name, _)) if name == inner => Ok(nodes),
                        _ => Err(Why::new(line, format!("{{{{/{inner}}}}}"), "closes nothing that is open")),
                    };
                }
                Kind::Partial => {
                    return Err(Why::new(
                        line,
                        format!("{{{{>{inner}}}}}"),
                        "the format has no partials to take it from",
                    ));
                }
            }
        }
        match open {
            None => Ok(nodes),
            Some((name, line)) => {
                Err(Why::new(line, format!("{{{{#{name}}}}}"), "the section is not closed"))
            }
        }
    }

    fn section(&mut self, name: &str, line: usize) -> Result<Vec<Node>, Why> {
        self.depth = deeper(self.depth, line, name)?;
        let body = self.nodes(Some((name, line)))?;
        self.depth -= 1;
        Ok(body)
    }

    fn item(&self) -> String {
        if self.loops <= 1 { "item".into() } else { format!("item{}", self.loops) }
    }

    fn path(&self, text: &str, line: usize) -> Result<Expr, Why> {
        if text == "." && self.loops > 0 {
            return Ok(Expr::path(&[self.item().as_str()]));
        }
        let cannot = || Why::new(line, format!("{{{{{text}}}}}"), "is no name of a variable");
        let parts = dotted(text).ok_or_else(cannot)?;
        if self.loops > 0 {
            let why = "a name within a section may be the section's or the one around it, by the value";
            return Err(Why::new(line, format!("{{{{{text}}}}}"), why));
        }
        Ok(super::tree::Head::Path(parts).into())
    }
}

/// Writes text and variables, unescaped.
pub(crate) fn write(nodes: &[Node]) -> Result<String, Why> {
    let mut out = String::new();
    for node in merged(nodes) {
        match &node {
            Node::Text(text) if text.contains("{{") || text.ends_with('{') => {
                return Err(Why::new(1, "{{", "Mustache has no way to write two braces as text"));
            }
            Node::Text(text) => out.push_str(text),
            Node::Output(expr) if expr.as_path().is_some() => {
                let path = expr.as_path().unwrap_or_default().join(".");
                out.push_str(&format!("{{{{{{{path}}}}}}}"));
            }
            _ => {
                return Err(Why::new(
                    1,
                    "a tag",
                    "conditions, loops and filters mean something else in Mustache",
                ));
            }
        }
    }
    Ok(out)
}
