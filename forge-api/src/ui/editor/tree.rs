//! The prompts of a set as a tree.

use schemas::prompt::Prompt;
use serde::Serialize;

use super::typed::What;
use crate::author::Draft;

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Folder {
    pub name: Option<String>,
    pub open: bool,
    pub items: Vec<Item>,
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

/// The prompts of a draft as a tree: folders by the first part of the name where it is shared.
pub(crate) fn tree(
    base: &str,
    draft: &Draft,
    live: Option<&[Prompt]>,
    current: Option<(&str, What)>,
) -> Vec<Folder> {
    let first = |id: &str| id.find(['/', '.']).map(|at| id[..at].to_owned());
    let mut folders: Vec<Folder> = Vec::new();
    for one in &draft.prompts {
        let id = one.prompt.id.as_str();
        let folder = first(id);
        let label = folder.as_ref().map_or(id, |f| &id[f.len() + 1..]);
        let item = Item {
            id: id.to_owned(),
            label: label.to_owned(),
            href: format!("{base}/{id}"),
            current: current.is_some_and(|(name, what)| name == id && what != What::Partial),
            mark: live.and_then(|live| change(live, &one.prompt)),
        };
        match folders.iter_mut().find(|f| f.name == folder) {
            Some(there) => there.items.push(item),
            None => folders.push(Folder { name: folder, open: true, items: vec![item] }),
        }
    }
    // A folder of one is no folder.
    for folder in &mut folders {
        if let [only] = folder.items.as_mut_slice()
            && folder.name.is_some()
        {
            only.label.clone_from(&only.id);
            folder.name = None;
        }
    }
    if !draft.partials.is_empty() {
        let items = draft
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
        folders.push(Folder { name: Some("partials".into()), open: true, items });
    }
    folders
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
        Draft { prompts, partials: Vec::new(), digest: Digest::of(b"") }
    }

    #[test]
    fn prompts_that_share_a_beginning_stand_in_a_folder() {
        let found = tree(
            "/o/p/s",
            &draft(&["plain", "refund.ask", "refund.decide", "summary/one"]),
            None,
            Some(("refund.ask", What::Text)),
        );
        let shape: Vec<_> = found
            .iter()
            .map(|f| (f.name.as_deref(), f.items.iter().map(|i| i.label.as_str()).collect::<Vec<_>>()))
            .collect();
        assert_eq!(
            shape,
            [(None, vec!["plain"]), (Some("refund"), vec!["ask", "decide"]), (None, vec!["summary/one"]),]
        );
        assert!(found[1].items[0].current);
        assert_eq!(found[1].items[0].href, "/o/p/s/refund.ask");
    }
}
