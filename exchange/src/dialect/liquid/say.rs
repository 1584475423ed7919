//! Writing Liquid.

use super::super::tree::{Cond, Expr, Head, Node, is_part};
use super::super::variables::merged;
use super::Why;

/// Writes a tree.
pub(crate) fn write(nodes: &[Node]) -> Result<String, Why> {
    let mut out = String::new();
    emit(&merged(nodes), &mut out)?;
    Ok(out)
}

fn emit(nodes: &[Node], out: &mut String) -> Result<(), Why> {
    let cannot = |what: &str| Why::new(1, what, "Liquid has no way to say this");
    for node in nodes {
        match node {
            Node::Text(text) if text.contains("{{") || text.contains("{%") || text.ends_with('{') => {
                out.push_str(&format!("{{% raw %}}{text}{{% endraw %}}"));
            }
            Node::Text(text) => out.push_str(text),
            Node::Comment(_) => {}
            Node::Output(expr) => {
                let text = say(expr).ok_or_else(|| cannot("a filter or an expression"))?;
                out.push_str(&format!("{{{{ {text} }}}}"));
            }
            Node::If { branches, otherwise } => {
                for (index, (cond, body)) in branches.iter().enumerate() {
                    let (not, text) = say_cond(cond).ok_or_else(|| cannot("a condition"))?;
                    match (index, not) {
                        (0, false) => out.push_str(&format!("{{% if {text} %}}")),
                        (0, true) if branches.len() == 1 => out.push_str(&format!("{{% unless {text} %}}")),
                        (_, false) => out.push_str(&format!("{{% elsif {text} %}}")),
                        _ => return Err(cannot("not")),
                    }
                    emit(&merged(body), out)?;
                }
                if let Some(body) = otherwise {
                    out.push_str("{% else %}");
                    emit(&merged(body), out)?;
                }
                let not = branches.first().is_some_and(|(c, _)| matches!(c, Cond::Not(_)));
                out.push_str(if not { "{% endunless %}" } else { "{% endif %}" });
            }
            Node::For { name, over, body, otherwise } => {
                let over = say(over).ok_or_else(|| cannot("a loop"))?;
                out.push_str(&format!("{{% for {name} in {over} %}}"));
                emit(&merged(body), out)?;
                if let Some(body) = otherwise {
                    out.push_str("{% else %}");
                    emit(&merged(body), out)?;
                }
                out.push_str("{% endfor %}");
            }
            Node::Include(name) => out.push_str(&format!("{{% include '{name}' %}}")),
            Node::Set { .. } | Node::Capture { .. } => return Err(cannot("set")),
            Node::Break => out.push_str("{% break %}"),
            Node::Continue => out.push_str("{% continue %}"),
        }
    }
    Ok(())
}

/// Without filters: several of one name mean something else.
fn say(expr: &Expr) -> Option<String> {
    const SAME: [(&str, &str); 6] = [
        ("upper", "upcase"),
        ("lower", "downcase"),
        ("capitalize", "capitalize"),
        ("trim", "strip"),
        ("first", "first"),
        ("last", "last"),
    ];
    let mut out = match &expr.head {
        Head::Path(path) if path.first().is_some_and(|p| p == "loop") => match path.get(1)?.as_str() {
            word @ ("index" | "index0" | "first" | "last") => format!("forloop.{word}"),
            _ => return None,
        },
        Head::Path(path) => path.iter().all(|p| is_part(p)).then(|| super::super::tera::path(path))?,
        Head::Text(text) if !text.contains('"') => format!("\"{text}\""),
        Head::Number(number) => number.clone(),
        Head::Bool(value) => value.to_string(),
        Head::Text(_) | Head::Range(..) => return None,
    };
    for filter in &expr.filters {
        let (_, name) = SAME.iter().find(|(tera, _)| *tera == filter.name && filter.args.is_empty())?;
        out.push_str(&format!(" | {name}"));
    }
    Some(out)
}

/// Whether it is negated, and the condition itself.
fn say_cond(cond: &Cond) -> Option<(bool, String)> {
    Some(match cond {
        Cond::Holds(expr) => (false, say(expr)?),
        Cond::Not(inner) => match say_cond(inner)? {
            (false, text) => (true, text),
            (true, _) => return None,
        },
        Cond::Compare(a, op, b) => (false, format!("{} {op} {}", say(a)?, say(b)?)),
        Cond::Contains(a, b) => (false, format!("{} contains {}", say(a)?, say(b)?)),
        Cond::All(all) | Cond::Any(all) => {
            let word = if matches!(cond, Cond::All(_)) { " and " } else { " or " };
            let parts = all.iter().map(|c| say_cond(c).filter(|(not, _)| !not).map(|(_, text)| text));
            (false, parts.collect::<Option<Vec<_>>>()?.join(word))
        }
    })
}
