//! Format strings of Python as LangChain has them: `{name}`; doubled braces are braces.

use super::Why;
use super::bounds::line_of;
use super::tree::{Expr, Node, Tree, is_part};
use super::variables::merged;

/// Reads a template.
///
/// # Errors
/// A brace that stands alone, or a variable with a conversion or a format.
pub(crate) fn read(source: &str) -> Result<Tree, Why> {
    let (mut nodes, mut text) = (Vec::new(), String::new());
    let mut chars = source.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '{' | '}' if chars.next_if(|(_, next)| *next == c).is_some() => text.push(c),
            '{' => {
                let rest = source.get(at + 1..).unwrap_or_default();
                let name = rest.split('}').next().unwrap_or_default();
                let closed = rest.len() > name.len();
                let is_name = is_part(name) && !name.starts_with(|c: char| c.is_ascii_digit());
                if !closed || !is_name {
                    let what: String = format!("{{{}", rest.chars().take(40).collect::<String>());
                    let why = "is no plain variable: formats, conversions and fields cannot be converted";
                    return Err(Why::new(line_of(source, at), what, why));
                }
                nodes.extend((!text.is_empty()).then(|| Node::Text(std::mem::take(&mut text))));
                nodes.push(Node::Output(Expr::path(&[name])));
                for _ in 0..=name.len() {
                    chars.next();
                }
            }
            '}' => {
                let why = "a closing brace stands alone; as text it is written twice";
                return Err(Why::new(line_of(source, at), "}", why));
            }
            other => text.push(other),
        }
    }
    nodes.extend((!text.is_empty()).then_some(Node::Text(text)));
    Ok(Tree { nodes, remarks: Vec::new() })
}

/// Writes text and plain variables.
pub(crate) fn write(nodes: &[Node]) -> Result<String, Why> {
    let mut out = String::new();
    for node in merged(nodes) {
        match &node {
            Node::Text(text) => out.push_str(&text.replace('{', "{{").replace('}', "}}")),
            Node::Output(expr) if expr.as_name().is_some() => {
                out.push_str(&format!("{{{}}}", expr.as_name().unwrap_or_default()));
            }
            _ => return Err(Why::new(1, "a tag", "a format string has plain variables only")),
        }
    }
    Ok(out)
}
