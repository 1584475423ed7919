//! The prompts of a set as a tree: a slash in a name makes a folder, and so does a point that several share.

use schemas::prompt::Prompt;
use serde::Serialize;

use super::typed::What;
use crate::author::Draft;

/// One step of the tree as it is written: a folder begins, something stands in it, it ends.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(crate) enum Node {
    Open { name: String, count: usize },
    Item(Item),
    Close,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Item {
    pub id: String,
    pub label: String,
    pub href: String,
    pub current: bool,
    pub mark: Option<Mark>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Mark {
    pub state: &'static str,
    pub title: &'static str,
}

/// The prompts of a draft, then its partials.
pub(crate) fn tree(
    base: &str,
    draft: &Draft,
    live: Option<&[Prompt]>,
    current: Option<(&str, What)>,
) -> Vec<Node> {
    let prompts: Vec<Item> = draft
        .prompts
        .iter()
        .map(|one| {
            let id = one.prompt.id.as_str();
            Item {
                id: id.to_owned(),
                label: id.to_owned(),
                href: format!("{base}/{id}"),
                current: current.is_some_and(|(name, what)| name == id && what != What::Partial),
                mark: live.and_then(|live| change(live, &one.prompt)),
            }
        })
        .collect();
    let partials: Vec<Item> = draft
        .partials
        .iter()
        .map(|one| {
            let id = one.partial.name.to_string();
            Item {
                href: format!("{base}/-/partials/{id}"),
                label: id.clone(),
                current: current.is_some_and(|(name, what)| name == id && what == What::Partial),
                mark: None,
                id,
            }
        })
        .collect();
    let mut nodes = Vec::new();
    write(&prompts, &mut nodes);
    if !partials.is_empty() {
        nodes.push(Node::Open { name: "partials".into(), count: partials.len() });
        write(&partials, &mut nodes);
        nodes.push(Node::Close);
    }
    nodes
}

/// The folder that a label stands in: up to its slash, or up to its first point.
fn folder(label: &str) -> Option<(&str, bool)> {
    match label.split_once('/') {
        Some((first, _)) => Some((first, true)),
        None => label.split_once('.').map(|(first, _)| (first, false)),
    }
}

/// Writes items whose labels are what is left of their names at this depth. What shares a folder stands
/// together, where the first of it stands; folders have as many levels as names have slashes.
fn write(items: &[Item], nodes: &mut Vec<Node>) {
    let mut written: Vec<(&str, bool)> = Vec::new();
    for item in items {
        let Some(found) = folder(&item.label) else {
            nodes.push(Node::Item(item.clone()));
            continue;
        };
        let (name, slash) = found;
        if written.contains(&found) {
            continue;
        }
        let within: Vec<Item> = items
            .iter()
            .filter(|other| folder(&other.label) == Some(found))
            .map(|other| Item { label: other.label[name.len() + 1..].to_owned(), ..other.clone() })
            .collect();
        // A point that nobody shares is a part of the name.
        if !slash && within.len() == 1 {
            nodes.push(Node::Item(item.clone()));
            continue;
        }
        written.push(found);
        nodes.push(Node::Open { name: name.to_owned(), count: within.len() });
        match slash {
            true => write(&within, nodes),
            false => nodes.extend(within.into_iter().map(Node::Item)),
        }
        nodes.push(Node::Close);
    }
}

fn change(live: &[Prompt], prompt: &Prompt) -> Option<Mark> {
    match live.iter().find(|p| p.id == prompt.id) {
        None => Some(Mark { state: "ok", title: "new since the last version" }),
        Some(old) if old != prompt => {
            Some(Mark { state: "editing", title: "changed since the last version" })
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::PromptId;
    use schemas::canonical::Digest;

    fn draft(ids: &[&str]) -> Draft {
        let prompts = ids
            .iter()
            .map(|id| crate::author::PromptDraft {
                prompt: Prompt::text(PromptId::new(id).unwrap(), "x"),
                revision: 1,
                updated_at: 0,
                updated_by: String::new(),
            })
            .collect();
        Draft { prompts, partials: Vec::new(), requirements: Vec::new(), digest: Digest::of(b"") }
    }

    fn shape(nodes: &[Node]) -> String {
        let word = |node: &Node| match node {
            Node::Open { name, count } => format!("{name}{count}("),
            Node::Item(item) => format!("{} ", item.label),
            Node::Close => ")".into(),
        };
        nodes.iter().map(word).collect()
    }

    #[test]
    fn slashes_make_folders_and_points_do_where_they_are_shared() {
        let ids = ["mail/a", "mail/de/b", "mail/de/c.d", "plain", "refund.ask", "refund.decide", "sum.one"];
        let found = tree("/o/p/s", &draft(&ids), None, Some(("refund.ask", What::Text)));
        assert_eq!(shape(&found), "mail3(a de2(b c.d ))plain refund2(ask decide )sum.one ");
        let Node::Item(current) = &found[9] else { panic!("{found:?}") };
        assert_eq!((current.href.as_str(), current.current), ("/o/p/s/refund.ask", true));
    }
}
