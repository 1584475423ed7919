//! Jinja: what Prompty and MLflow use. Tera reads most of it as Jinja does; the rest is found by the check.

use super::tree::Node;
use super::{Converted, Why};

/// Takes a template as it stands. What Tera does not know is found when the prompt is checked.
pub(crate) fn read(source: &str) -> Converted {
    Converted { tera: source.to_owned(), remarks: Vec::new() }
}

/// What both languages read alike is written as it stands.
pub(crate) fn write(source: &str, nodes: &[Node]) -> Result<String, Why> {
    match nodes.iter().find(|n| matches!(n, Node::Include(_))) {
        Some(Node::Include(name)) => {
            Err(Why::new(1, format!("include {name}"), "the other format has no partials"))
        }
        _ => Ok(source.to_owned()),
    }
}
