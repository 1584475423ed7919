//! Find or do: projects, prompt sets, prompts and actions of one organisation.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::engine;
use super::fault::PageResult;
use super::visitor::Visitor;
use crate::auth::Action;
use crate::author::{self, ProjectAt};
use crate::state::AppState;

/// Most hits of one kind.
const HITS: usize = 8;

#[derive(Debug, Serialize)]
struct Page {
    q: String,
    organisation: String,
    groups: Vec<Group>,
}

#[derive(Debug, Serialize)]
struct Group {
    title: &'static str,
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
struct Item {
    icon: &'static str,
    text: String,
    #[serde(rename = "where")]
    place: String,
    href: String,
}

/// What is looked for, and where.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    organisation: String,
}

/// `GET /-/palette?organisation=…&q=…`.
pub(super) async fn get_palette(
    visitor: Visitor,
    State(state): State<AppState>,
    Query(asked): Query<Asked>,
) -> PageResult {
    let organisation = visitor.visit(&asked.organisation).ok().or_else(|| visitor.places().next()).cloned();
    let words: Vec<String> = asked.q.split_whitespace().map(str::to_lowercase).collect();
    let fits = |text: &str| {
        let text = text.to_lowercase();
        words.iter().all(|w| text.contains(w))
    };
    let (mut projects, mut sets, mut prompts, mut actions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    if let Some(organisation) = &organisation {
        let o = &organisation.slug;
        let mut act = |text: String, href: String, icon| {
            if fits(&text) {
                actions.push(Item { icon, text, place: String::new(), href });
            }
        };
        act("Dashboard".into(), format!("/{o}"), "home");
        if visitor.actor.may(&organisation.id, Action::ManageProjects) {
            act("New project".into(), format!("/{o}/-/new"), "plus");
        }
        if visitor.actor.may(&organisation.id, Action::ReadAudit) {
            act("Audit log".into(), format!("/{o}/-/audit"), "audit");
        }
        if visitor.actor.may(&organisation.id, Action::View) {
            act("People".into(), format!("/{o}/-/settings"), "user");
        }
        act("Account".into(), "/-/account".into(), "user");
        act("Help".into(), "/-/help".into(), "help");
        for project in author::projects(&state, &visitor.actor, organisation).await? {
            let base = format!("/{o}/{}", project.slug);
            let name = project.name.clone();
            act(format!("Agents of {name}"), format!("{base}/-/agents"), "agent");
            act(format!("Publications of {name}"), format!("{base}/-/publications"), "publish");
            act(format!("New prompt set in {name}"), format!("{base}/-/new"), "plus");
            if fits(&format!("{} {name}", project.slug)) {
                projects.push(Item {
                    icon: "folder",
                    text: name.clone(),
                    place: String::new(),
                    href: base.clone(),
                });
            }
            let at = ProjectAt { organisation: organisation.clone(), project };
            for row in author::sets(&state, &visitor.actor, &at).await? {
                let set_base = format!("{base}/{}", row.slug);
                act(format!("Publish {}", row.slug), format!("{set_base}/-/publish"), "publish");
                if fits(&format!("{} {}", row.slug, row.name)) {
                    sets.push(Item {
                        icon: "set",
                        text: row.slug.clone(),
                        place: name.clone(),
                        href: set_base.clone(),
                    });
                }
            }
            // Prompts only when something is looked for, and their names only: a set may have thousands.
            if let Some(word) = words.iter().max_by_key(|w| w.len()).filter(|_| prompts.len() < HITS) {
                let found = author::prompts_named(&state, &visitor.actor, &at, word).await?;
                prompts.extend(found.into_iter().filter(|(_, id)| fits(id)).map(|(set, id)| Item {
                    icon: "prompt",
                    href: format!("{base}/{set}/{id}"),
                    text: id,
                    place: set,
                }));
            }
        }
    }
    let groups = [("Prompts", prompts), ("Prompt sets", sets), ("Projects", projects), ("Do", actions)]
        .into_iter()
        .filter(|(_, items)| !items.is_empty())
        .map(|(title, items)| Group { title, items: items.into_iter().take(HITS).collect() })
        .collect();
    let page = Page { q: asked.q, organisation: organisation.map(|o| o.slug).unwrap_or_default(), groups };
    Ok(engine::page(StatusCode::OK, "palette.html", &visitor.anywhere().titled("Find or do", ""), &page))
}
